//! Which events are what their servers made: known ones first, then form, hash and signatures.

use std::collections::{BTreeMap, HashMap};

use ruma::{
    OwnedServerName, ServerName,
    serde::{Base64, base64::Standard},
    signatures::PublicKeyMap,
};
use tern_model::{MatrixError, Millis, Pdu, RawJson, ed25519};
use tern_ports::{
    ObjectHost, SqlError,
    wire::receive::{PduResult, Receipted, ServerKey},
};
use tern_room::{Dropped, Received, Signer, Unverified, Version};

use crate::{RoomActor, graph::take::known, timeline::view::Transaction};

/// Most keys of one request: as many servers as it has events, with a few keys each, or those of a whole room.
const MOST_KEYS: usize = tern_ports::wire::adopt::MOST_ADOPTED_KEYS;

/// Most bytes of an event: what one may have, and a tenth for `unsigned`, which is left behind.
const MOST_BYTES: usize = 65_536 + 6_553;

/// Keys are good for no longer ahead, whatever their server says (room version 5, "Signing key validity period").
const LONGEST_VALIDITY_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// Events that their servers made, and what is said of the others.
#[derive(Default)]
pub(crate) struct Genuine {
    pub(crate) events: Vec<Pdu>,
    pub(crate) receipts: Vec<Receipted>,
}

impl<H: ObjectHost> RoomActor<H> {
    /// The events that are new and what their servers made, and what is said of the others.
    pub(crate) fn genuine(
        &self,
        version: &'static Version,
        raw: &[RawJson],
        keys: &Keys,
    ) -> Result<Genuine, MatrixError> {
        let mut genuine = Genuine::default();
        for raw in raw {
            let (event_id, result) = match self.unverified(version, raw) {
                Err(reason) => (None, PduResult::Dropped(reason)),
                Ok(unverified) => {
                    let event_id = unverified.event_id().clone();
                    match self.result_of(&event_id)? {
                        Some(known) => (Some(event_id), known),
                        None => match keys.verify(version, unverified) {
                            Ok(pdu) => {
                                genuine.events.push(pdu);
                                continue;
                            }
                            Err(reason) => (Some(event_id), PduResult::Dropped(reason)),
                        },
                    }
                }
            };
            genuine.receipts.push(Receipted { event_id, result });
        }
        Ok(genuine)
    }

    /// An event that its server made, whether it is known or not.
    pub(crate) fn verified(&self, version: &'static Version, raw: &RawJson, keys: &Keys) -> Option<Pdu> {
        keys.verify(version, self.unverified(version, raw).ok()?).ok()
    }

    fn unverified(&self, version: &'static Version, raw: &RawJson) -> Result<Unverified, String> {
        if raw.text().len() > MOST_BYTES {
            return Err("too large".to_owned());
        }
        Unverified::read(version, &self.room_id, raw).map_err(|reason| reason.to_string())
    }

    /// What became of an event that came before: nobody has to check its signatures again.
    pub(crate) fn result_of(&self, event_id: &ruma::EventId) -> Result<Option<PduResult>, SqlError> {
        let Some(head) = self.head()? else { return Ok(None) };
        let head = std::rc::Rc::unwrap_or_clone(head);
        known(&Transaction::new(&self.room_id, self.host.sql(), &self.cache, head), event_id.as_str())
    }
}

/// Keys of servers by their ids, with the times until which they are good.
pub(crate) struct Keys(HashMap<OwnedServerName, BTreeMap<String, (Base64, Option<Millis>)>>);

impl Keys {
    /// Reads keys as they are given. Weak ones are left out, and a key id that stands for two keys is refused.
    pub(crate) fn read(keys: &[ServerKey], now: Millis) -> Result<Self, MatrixError> {
        if keys.len() > MOST_KEYS {
            return Err(MatrixError::too_large("Too many keys at once"));
        }
        let furthest = now.plus(LONGEST_VALIDITY_MS);
        let mut read: HashMap<_, BTreeMap<String, (Base64, Option<Millis>)>> = HashMap::new();
        for key in keys {
            let bytes = Base64::<Standard>::parse(&key.key).map_err(|_| MatrixError::bad_json("A key is no base64"))?;
            if ed25519::is_weak(bytes.as_bytes()) {
                continue;
            }
            let until = key.valid_until.map(|until| until.min(furthest));
            let known = read.entry(key.server_name.clone()).or_default();
            let before = known.insert(key.key_id.clone(), (bytes.clone(), until));
            if before.is_some_and(|(before, _)| before != bytes) {
                return Err(MatrixError::bad_json("A key id stands for two keys"));
            }
        }
        Ok(Self(read))
    }

    /// With the key of this server, in the place of what anybody else says of its keys.
    pub(crate) fn with_own(mut self, server: &ServerName, key_id: &str, signer: &Signer) -> Self {
        let key = (Base64::new(signer.public_key().to_vec()), Some(Millis(u64::MAX)));
        self.0.insert(server.to_owned(), [(key_id.to_owned(), key)].into());
        self
    }

    fn verify(&self, version: &Version, unverified: Unverified) -> Result<Pdu, String> {
        self.received(version, unverified).map(|received| received.pdu).map_err(|reason| reason.to_string())
    }

    /// Checks hash and signatures of an event by the keys of those who must have signed it.
    pub(crate) fn received(&self, version: &Version, unverified: Unverified) -> Result<Received, Dropped> {
        let made = unverified.made_at();
        let mut good = PublicKeyMap::new();
        for server in unverified.signers()? {
            let keys = self.0.get(&server).into_iter().flatten();
            // A key of unknown validity is good only where nobody asks for it.
            let valid = |until: &Option<Millis>| until.is_some_and(|until| made <= until);
            let valid = keys.filter(|(_, (_, until))| !version.enforces_key_validity() || valid(until));
            let valid = valid.map(|(key_id, (key, _))| (key_id.clone(), key.clone()));
            good.insert(server.to_string(), valid.collect());
        }
        unverified.verify(&good)
    }
}
