//! Refresh tokens (Client-Server API, "Refreshing access tokens").
//!
//! Tokens of a session have generations. Using a token of the generation after the newest used one makes its own the
//! newest used one; using that again is a repeat, after a lost answer, and gives one more successor. Anything older, or
//! a sibling of the newest used one, has been in two hands: the session ends.

use sha2::{Digest, Sha256};
use tern_auth::{refresh, secret};
use tern_model::{MatrixError, news};
use tern_ports::{
    ObjectHost, Parking,
    wire::user::{RefreshSession, Session},
};

use super::{
    UserActor,
    store::devices::{self, DeviceRow},
};

/// Used generations that are remembered, to know a stolen token when it comes back.
const REMEMBERED: u64 = 32;
/// Most unused successors of one token.
const MOST_SIBLINGS: usize = 16;

/// What is stored of a token.
pub(super) fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

impl<H: ObjectHost + Parking> UserActor<H> {
    /// `N` random bytes as text for tokens.
    pub(super) fn random_text<const N: usize>(&self) -> String {
        let mut bytes = [0; N];
        self.host.fill(&mut bytes);
        secret::base64(&bytes)
    }

    pub(super) fn new_refresh_token(&self) -> String {
        let mut bytes = [0; 32];
        self.host.fill(&mut bytes);
        refresh::write(&self.user_id, &bytes)
    }

    pub(super) fn refresh_session(&self, command: &RefreshSession) -> Result<Session, MatrixError> {
        let presented = hash(&command.refresh_token);
        let tokens = devices::tokens(self.host.sql())?;
        let known = tokens.iter().find(|(_, hash, _)| same(hash, &presented));
        let (device_id, _, generation) = known.ok_or_else(|| MatrixError::unknown_token(false))?;
        let device = devices::load(self.host.sql(), device_id)?.ok_or_else(|| MatrixError::unknown_token(false))?;
        let Some(session_id) = device.session_id.clone() else { return Err(MatrixError::unknown_token(true)) };
        if *generation < device.generation {
            self.end_family(device)?;
            return Err(MatrixError::unknown_token(true));
        }
        let next = generation + 1;
        let siblings = tokens.iter().filter(|(other, _, at)| other == device_id && *at == next).count();
        if siblings >= MOST_SIBLINGS {
            return Err(MatrixError::limit_exceeded(60_000));
        }
        let successor = self.new_refresh_token();
        self.change(|turn| {
            if *generation > device.generation {
                devices::retire_siblings(turn.sql, device_id, &presented, *generation)?;
                devices::drop_tokens_before(turn.sql, device_id, generation.saturating_sub(REMEMBERED))?;
            }
            devices::add_token(turn.sql, device_id, &hash(&successor), next)?;
            devices::write(turn.sql, &DeviceRow { generation: *generation, last_seen_ts: self.host.now(), ..device })?;
            Ok(())
        })?;
        Ok(Session { device_id: device_id.clone(), session_id, refresh_token: Some(successor) })
    }

    /// A token came back that must not: nobody can tell the thief from the owner, so both sign in again. The device stays,
    /// with its keys.
    fn end_family(&self, device: DeviceRow) -> Result<(), MatrixError> {
        let device_id = device.device_id.clone();
        self.change(|turn| {
            devices::write(turn.sql, &DeviceRow { session_id: None, ..device })?;
            turn.wake_device(&device_id, news::LOGOUT);
            Ok(())
        })
    }
}

/// Compares without telling by its time where the difference is.
fn same(stored: &[u8], presented: &[u8]) -> bool {
    stored.len() == presented.len()
        && stored.iter().zip(presented).fold(0, |difference, (left, right)| difference | (left ^ right)) == 0
}
