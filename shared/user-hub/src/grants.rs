//! Authorization codes and the sessions of OAuth clients (RFC 6749, 7009, 7636, 7662, 9700).
//!
//! A code is exchanged in one turn of the hub that also opens the session, so of fifty requests with the same code one
//! gets a session; the next one then ends it, since somebody else has the code.

use ruma::OwnedDeviceId;
use tern_auth::oauth::{
    OAuthError, code,
    ticket::{Ticket, hash},
};
use tern_model::{MatrixError, Millis, news};
use tern_ports::{
    ObjectHost, Sql, WaitingPolls,
    wire::Done,
    wire::grant::{
        Grant, Granted, InspectGrant, Inspected, Inspection, IssueGrant, RedeemGrant, RefreshGrant, RevokeGrant,
    },
    wire::user::{OpenSession, Session, SessionRef},
};

use super::{
    UserActor, sessions,
    store::{
        devices,
        grants::{self, ClientRow, CodeRow},
    },
    transaction::Transaction,
};

/// How long a code waits to be exchanged after a redirect, in milliseconds.
const CODE_FOR: u64 = 60_000;
/// How long one waits for a device that polls.
const DEVICE_CODE_FOR: u64 = 10 * 60_000;
/// How long spent codes are remembered, to know one that comes back.
const SPENT_FOR: u64 = 60 * 60_000;
/// How long a client without a device is remembered, and may be let in again without a question: as long as a browser
/// stays signed in. Its access token lives shorter.
const BARE_FOR: u64 = tern_auth::oauth::browser::LIFETIME;

/// The answer to a code or refresh token that is not, or no longer, good.
pub(super) fn invalid_grant() -> MatrixError {
    OAuthError::InvalidGrant.into()
}

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    pub(super) fn issue_grant(&self, command: IssueGrant) -> Result<String, MatrixError> {
        let auth_time = self.admit_browser(&command.cookie)?;
        let mut secret = [0; 32];
        self.host.fill(&mut secret);
        let code = Ticket::Code.write(&self.user_id, &secret);
        let now = self.host.now();
        let wait = if command.grant.challenge.is_some() { CODE_FOR } else { DEVICE_CODE_FOR };
        let row = CodeRow { grant: command.grant, auth_time, expires: now.plus(wait), session_id: None };
        self.change(|tx| {
            grants::drop_codes_before(tx.sql, Millis(now.0.saturating_sub(SPENT_FOR)))?;
            grants::drop_bare_clients_before(tx.sql, Millis(now.0.saturating_sub(BARE_FOR)))?;
            Ok(grants::add_code(tx.sql, &hash(&code), &row)?)
        })?;
        Ok(code)
    }

    pub(super) fn redeem_grant(&self, command: RedeemGrant) -> Result<Granted, MatrixError> {
        let spent = hash(&command.code);
        let row = grants::code(self.host.sql(), &spent)?.ok_or_else(invalid_grant)?;
        if let Some(session_id) = &row.session_id {
            self.end_session(session_id)?;
            return Err(invalid_grant());
        }
        if self.host.now() >= row.expires || !fits(&row.grant, &command) {
            return Err(invalid_grant());
        }
        // Who was locked or has left meanwhile lets nobody in.
        self.standing.get().admit().map_err(|_| invalid_grant())?;
        let CodeRow { grant, auth_time, .. } = row;
        let session = match &grant.device_id {
            Some(device_id) => self.open_granted_session(&grant, device_id.clone(), command.ip, &spent)?,
            None => self.open_identity_session(&grant, &spent)?,
        };
        Ok(Granted {
            session,
            client_id: grant.client_id,
            scope: grant.scope,
            issued: self.host.now(),
            nonce: grant.nonce,
            auth_time: Some(auth_time),
        })
    }

    /// Opens the session of a client that is a device.
    fn open_granted_session(
        &self,
        grant: &Grant,
        device_id: OwnedDeviceId,
        ip: Option<String>,
        spent: &[u8],
    ) -> Result<Session, MatrixError> {
        let opening = self.plan_session(OpenSession {
            device_id: Some(device_id),
            display_name: grant.client_name.clone(),
            refresh: true,
            ip,
            user_id: self.user_id.clone(),
        })?;
        self.change(|tx| {
            self.write_session(tx, &opening)?;
            let session_id = sessions::bare_id(&opening.session.session_id).0;
            let row = client_row(session_id, opening.session.device_id.as_str(), grant);
            grants::add_client(tx.sql, &row, self.host.now())?;
            Ok(grants::spend_code(tx.sql, spent, session_id)?)
        })?;
        Ok(opening.session)
    }

    /// Opens the session of a client that only learns who the user is: no device, no refresh token.
    fn open_identity_session(&self, grant: &Grant, spent: &[u8]) -> Result<Session, MatrixError> {
        let session_id = self.random_text::<16>();
        self.change(|tx| {
            grants::add_client(tx.sql, &client_row(&session_id, "", grant), self.host.now())?;
            Ok(grants::spend_code(tx.sql, spent, &session_id)?)
        })?;
        Ok(Session { device_id: "".into(), session_id, refresh_token: None })
    }

    /// Ends a session, if it is still open.
    fn end_session(&self, session_id: &str) -> Result<Option<OwnedDeviceId>, MatrixError> {
        let Some(client) = grants::client_of(self.host.sql(), session_id)? else { return Ok(None) };
        self.change(|tx| {
            grants::drop_client(tx.sql, session_id)?;
            let device = devices::load(tx.sql, client.device_id.as_str().into())?;
            let still_open = device.filter(|device| device.session_id.as_deref() == Some(session_id));
            if let Some(device) = &still_open {
                self.remove_one(tx, &device.device_id)?;
            }
            Ok(still_open.map(|device| device.device_id))
        })
    }

    fn remove_one(&self, tx: &Transaction<'_, H::Sql>, device_id: &ruma::DeviceId) -> Result<(), MatrixError> {
        let known_to_others = self.remove_device(tx, device_id)?;
        if known_to_others { self.devices_changed(tx) } else { self.note_own_devices(tx) }
    }

    pub(super) fn refresh_grant(&self, command: &RefreshGrant) -> Result<Granted, MatrixError> {
        let invalid = |error: MatrixError| if error.status == 401 { invalid_grant() } else { error };
        let known = self.known_refresh(&command.refresh_token).map_err(invalid)?;
        let client = grants::client_of(self.host.sql(), &known.session_id)?;
        let client = client.filter(|client| client.client_id == command.client_id).ok_or_else(invalid_grant)?;
        let rotated = self.rotate(known, &command.refresh_token).map_err(invalid)?;
        Ok(Granted {
            session: rotated.session,
            client_id: client.client_id,
            scope: client.scope,
            issued: rotated.issued,
            nonce: None,
            auth_time: None,
        })
    }

    pub(super) fn revoke_grant(&self, command: &RevokeGrant) -> Result<Option<OwnedDeviceId>, MatrixError> {
        let Ok(known) = self.known_refresh(&command.refresh_token) else { return Ok(None) };
        let device_id = known.device.device_id;
        self.change(|tx| {
            self.remove_one(tx, &device_id)?;
            tx.wake_device(&device_id, news::LOGOUT);
            Ok(())
        })?;
        Ok(Some(device_id))
    }

    pub(super) fn inspect_grant(&self, command: &InspectGrant) -> Result<Option<Inspection>, MatrixError> {
        let sql = self.host.sql();
        let (session_id, device_id) = match &command.of {
            Inspected::Refresh(token) => match self.known_refresh(token) {
                Ok(known) if known.generation >= known.device.generation => (known.session_id, known.device.device_id),
                _ => return Ok(None),
            },
            Inspected::Session(session) => match self.check(session) {
                Ok(_) => (sessions::bare_id(&session.session_id).0.to_owned(), session.device_id.clone()),
                Err(_) => return Ok(None),
            },
        };
        let client = grants::client_of(sql, &session_id)?;
        let (client_id, scope) = client.map(|client| (client.client_id, client.scope)).unzip();
        Ok(Some(Inspection { device_id, client_id, scope }))
    }

    /// Ends the session of a client without a device.
    pub(super) fn close_bare(&self, session: &SessionRef) -> Result<Done, MatrixError> {
        self.admit_bare(session)?;
        self.change(|tx| Ok(grants::drop_client(tx.sql, &session.session_id)?))?;
        Ok(Done {})
    }

    /// Refuses the session of a client without a device that is not open.
    pub(super) fn admit_bare(&self, session: &SessionRef) -> Result<(), MatrixError> {
        let client = grants::client_of(self.host.sql(), &session.session_id)?;
        client.filter(|client| client.device_id.is_empty()).map(|_| ()).ok_or_else(|| MatrixError::unknown_token(false))
    }
}

/// The request repeats what the code was given for (RFC 6749, 4.1.3; RFC 7636, 4.6).
fn fits(grant: &Grant, command: &RedeemGrant) -> bool {
    let proven = match (&grant.challenge, &command.verifier) {
        (Some(challenge), Some(verifier)) => code::proves(verifier, challenge),
        (None, None) => true,
        // A challenge without a verifier, and a verifier without a challenge (RFC 9700, 4.8.2).
        _ => false,
    };
    grant.client_id == command.client_id && grant.redirect_uri == command.redirect_uri && proven
}

fn client_row(session_id: &str, device_id: &str, grant: &Grant) -> ClientRow {
    ClientRow {
        session_id: session_id.to_owned(),
        device_id: device_id.to_owned(),
        client_id: grant.client_id.clone(),
        client_name: grant.client_name.clone(),
        scope: grant.scope.clone(),
    }
}

/// A device that goes takes its client with it.
pub(super) fn forget_device(sql: &impl Sql, device_id: &ruma::DeviceId) -> Result<(), MatrixError> {
    Ok(grants::drop_clients_of(sql, device_id)?)
}
