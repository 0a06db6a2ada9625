//! Refresh tokens (Client-Server API, "Refreshing access tokens").
//!
//! Tokens of a session have generations. Using a token of the generation after the newest used one makes its own the
//! newest used one; using that again is a repeat, after a lost answer. Within [`GRACE`] it gives the same successor, later
//! one more. Anything older, or a sibling of the newest used one, has been in two hands: the session ends.
//!
//! Access tokens name the generation they came with; once the next one is used, the hub refuses them. The first use of a
//! new one settles its generation: the answer arrived, so the refresh token it was got for is good for [`REPENTANCE`] and
//! no longer. After that it is like an older one.

use sha2::{Digest, Sha256};
use tern_auth::{refresh, secret, token};
use tern_model::{MatrixError, Millis, news};
use tern_ports::{
    ObjectHost, WaitingPolls,
    wire::user::{RefreshSession, Session},
};

use super::{
    UserActor,
    sessions::generation_id,
    store::{
        devices::{self, DeviceRow},
        grants,
    },
};

/// Used generations that are remembered, to know a stolen token when it comes back.
const REMEMBERED: u64 = 32;
/// Most unused successors of one token.
const MOST_SIBLINGS: usize = 16;

/// How long a repeated token gets the same successor, in milliseconds: an answer got lost.
const GRACE: u64 = 60_000;
/// How long a token may be repeated after the access token it was exchanged for was used, in milliseconds. An app that is
/// ended before it has stored its new tokens comes back with the old one when its access token is over: so two lifetimes
/// of one.
const REPENTANCE: u64 = 2 * token::LIFETIME;

/// A refresh token that is stored, and what it stands for.
pub(super) struct KnownToken {
    pub(super) device: DeviceRow,
    pub(super) session_id: String,
    pub(super) generation: u64,
    used: Option<Millis>,
    /// Hashes of the unused tokens of the next generation.
    successors: Vec<Vec<u8>>,
}

/// What a refresh token was exchanged for, and when first.
pub(super) struct Rotated {
    pub(super) session: Session,
    pub(super) issued: Millis,
}

/// What is stored of a token.
pub(super) fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// `N` random bytes as text for tokens.
    pub(super) fn random_text<const N: usize>(&self) -> String {
        let mut bytes = [0; N];
        self.host.fill(&mut bytes);
        secret::base64(&bytes)
    }

    /// A refresh token of a session, by its own id.
    pub(super) fn new_refresh_token(&self, session_id: &str) -> String {
        let mut bytes = [0; 32];
        self.host.fill(&mut bytes);
        refresh::write(&self.config, &self.user_id, session_id, &bytes)
    }

    pub(super) fn refresh_session(&self, command: &RefreshSession) -> Result<Session, MatrixError> {
        self.standing.get().admit()?;
        let known = self.known_refresh(&command.refresh_token)?;
        if grants::client_of(self.host.sql(), &known.session_id)?.is_some() {
            // An OAuth client refreshes as one, and proves which.
            return Err(MatrixError::unknown_token(false));
        }
        Ok(self.rotate(known, &command.refresh_token)?.session)
    }

    /// The token and its device, if their session is open. A token that was replaced is still known.
    pub(super) fn known_refresh(&self, token: &str) -> Result<KnownToken, MatrixError> {
        let presented = hash(token);
        let mut tokens = devices::tokens(self.host.sql())?;
        let at = tokens.iter().position(|token| same(&token.hash, &presented));
        let token = at.map(|at| tokens.swap_remove(at)).ok_or_else(|| MatrixError::unknown_token(false))?;
        tokens.retain(|other| other.device_id == token.device_id && other.generation == token.generation + 1);
        let device = devices::load(self.host.sql(), &token.device_id)?;
        let device = device.ok_or_else(|| MatrixError::unknown_token(false))?;
        let session_id = device.session_id.clone().ok_or_else(|| MatrixError::unknown_token(true))?;
        let successors = tokens.into_iter().map(|token| token.hash).collect();
        Ok(KnownToken { device, session_id, generation: token.generation, used: token.used, successors })
    }

    /// Exchanges a known token for its successor.
    pub(super) fn rotate(&self, known: KnownToken, token: &str) -> Result<Rotated, MatrixError> {
        let KnownToken { device, session_id, generation, used, successors } = known;
        let now = self.host.now();
        if device.has_revoked(generation, now) {
            self.end_family(device)?;
            return Err(MatrixError::unknown_token(true));
        }
        let derived = secret::derived(&self.config.token_key, token);
        let derived = refresh::write(&self.config, &self.user_id, &session_id, &derived);
        let known = successors.iter().any(|stored| same(stored, &hash(&derived)));
        let repeated = used.filter(|at| known && now.since(*at) < GRACE);
        if repeated.is_none() && successors.len() >= MOST_SIBLINGS {
            return Err(MatrixError::limit_exceeded(60_000));
        }
        let successor = match used {
            // After the grace, a token that nobody can have seen before: if there is a thief, the two part ways here.
            Some(_) if repeated.is_none() => self.new_refresh_token(&session_id),
            _ => derived,
        };
        let device_id = device.device_id.clone();
        if repeated.is_none() {
            self.change(|tx| {
                let presented = hash(token);
                if generation > device.generation {
                    devices::retire_siblings(tx.sql, &device_id, &presented, generation)?;
                    devices::drop_tokens_before(tx.sql, &device_id, generation.saturating_sub(REMEMBERED))?;
                }
                devices::use_token(tx.sql, &device_id, &presented, now)?;
                devices::add_token(tx.sql, &device_id, &hash(&successor), generation + 1)?;
                let settled = device.settled.filter(|_| generation == device.generation);
                Ok(devices::write(tx.sql, &DeviceRow { generation, settled, last_seen_ts: now, ..device })?)
            })?;
        }
        let session_id = generation_id(&session_id, generation);
        let session = Session { device_id, session_id, refresh_token: Some(successor) };
        Ok(Rotated { session, issued: repeated.unwrap_or(now) })
    }

    /// A token came back that must not: nobody can tell the thief from the owner, so both sign in again. The device stays,
    /// with its keys.
    fn end_family(&self, device: DeviceRow) -> Result<(), MatrixError> {
        let device_id = device.device_id.clone();
        self.change(|tx| {
            devices::write(tx.sql, &DeviceRow { session_id: None, ..device })?;
            tx.wake_device(&device_id, news::LOGOUT);
            Ok(())
        })
    }
}

impl DeviceRow {
    /// A refresh token of this generation is not to be exchanged any more.
    fn has_revoked(&self, generation: u64, now: Millis) -> bool {
        let settled = || self.settled.is_some_and(|at| now.since(at) >= REPENTANCE);
        generation < self.generation || (generation == self.generation && settled())
    }
}

/// Compares without telling by its time where the difference is.
fn same(stored: &[u8], presented: &[u8]) -> bool {
    stored.len() == presented.len()
        && stored.iter().zip(presented).fold(0, |difference, (left, right)| difference | (left ^ right)) == 0
}
