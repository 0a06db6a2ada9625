//! Giving keys out (Client-Server API, "One-time and fallback keys").

use std::collections::BTreeMap;

use ruma::DeviceId;
use tern_model::{MatrixError, RawJson, news};
use tern_ports::{
    ObjectHost, Sql, WaitingPolls,
    wire::keys::{ClaimKeys, ClaimedKeys},
};

use crate::{
    UserActor,
    store::keys::{self, FallbackRow},
    transaction::Transaction,
};

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// One transaction: whoever gets a key is the only one. A request that is repeated gets other keys.
    pub(crate) fn claim_keys(&self, command: &ClaimKeys) -> Result<ClaimedKeys, MatrixError> {
        self.change(|tx| {
            let mut claimed = ClaimedKeys::new();
            for (device_id, algorithm) in &command.devices {
                if let Some((id, key)) = claim(tx, device_id, algorithm)? {
                    claimed.insert(device_id.clone(), BTreeMap::from([(format!("{algorithm}:{id}"), key)]));
                }
            }
            Ok(claimed)
        })
    }
}

/// With sliding sync a device hears of its counts with the next answer it gets anyway, for a claim is mostly followed by a
/// message; it is woken when it should act: to upload more, or another fallback key.
fn claim(
    tx: &Transaction<'_, impl Sql>,
    device_id: &DeviceId,
    algorithm: &str,
) -> Result<Option<(String, RawJson)>, MatrixError> {
    let mut held = keys::one_time(tx.sql, device_id, algorithm)?;
    if let Some(key) = held.claim() {
        keys::set_one_time(tx.sql, device_id, algorithm, &held)?;
        tx.advance_key_counts(device_id, if held.count() == 0 { news::E2EE } else { 0 });
        return Ok(Some(key));
    }
    let Some(fallback) = keys::fallback(tx.sql, device_id, algorithm)? else { return Ok(None) };
    if !fallback.used {
        tx.advance_key_counts(device_id, news::E2EE);
        let row = FallbackRow { key_id: fallback.key_id.clone(), key: fallback.key.clone(), used: true };
        keys::set_fallback(tx.sql, device_id, algorithm, &row)?;
    }
    Ok(Some((fallback.key_id, fallback.key)))
}
