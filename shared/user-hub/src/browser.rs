//! Browsers in which the user is signed in on the pages, and what the user allows there.

use ruma::DeviceId;
use tern_auth::oauth::{
    browser::LIFETIME,
    ticket::{Ticket, hash},
};
use tern_model::{MatrixError, Millis};
use tern_ports::{
    ObjectHost, WaitingPolls,
    wire::{
        Done,
        grant::{AllowReset, BrowserView, CloseBrowser, LetIn, OpenBrowser, ReadBrowser, SignedInDevice},
        user::Device,
    },
};

use super::{
    UserActor,
    store::{devices, grants, profile},
};

/// Most browsers at a time; the oldest is signed out.
const MOST_BROWSERS: u64 = 20;
/// Longest name of a browser, in bytes.
const LONGEST_AGENT: usize = 256;
/// How long the cross-signing identity may be replaced after the user allowed it, in milliseconds.
const RESET_FOR: u64 = 10 * 60 * 1_000;
/// The approval of that, by any device.
const RESET: &str = "cross_signing_reset";

/// The approval of that, by one device.
fn reset_by(device_id: &DeviceId) -> String {
    format!("{RESET}/{device_id}")
}

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    pub(super) fn open_browser(&self, command: OpenBrowser) -> Result<String, MatrixError> {
        if command.user_id != self.user_id {
            return Err(MatrixError::internal());
        }
        self.standing.get().admit()?;
        let mut secret = [0; 32];
        self.host.fill(&mut secret);
        let cookie = Ticket::Browser.write(&self.user_id, &secret);
        let now = self.host.now();
        let agent = command.agent.filter(|agent| agent.len() <= LONGEST_AGENT);
        self.change(|tx| {
            grants::drop_browsers_before(tx.sql, Millis(now.0.saturating_sub(LIFETIME)))?;
            grants::add_browser(tx.sql, &hash(&cookie), now, command.ip, agent)?;
            Ok(grants::keep_browsers(tx.sql, MOST_BROWSERS)?)
        })?;
        Ok(cookie)
    }

    /// When the user signed in with this browser.
    pub(super) fn admit_browser(&self, cookie: &str) -> Result<Millis, MatrixError> {
        self.standing.get().admit().map_err(|_| MatrixError::unknown_token(false))?;
        let opened = grants::browser(self.host.sql(), &hash(cookie))?;
        let open = opened.filter(|opened| self.host.now().since(*opened) < LIFETIME);
        open.ok_or_else(|| MatrixError::unknown_token(false))
    }

    pub(super) fn read_browser(&self, command: &ReadBrowser) -> Result<BrowserView, MatrixError> {
        let since = self.admit_browser(&command.cookie)?;
        let sql = self.host.sql();
        let display_name =
            profile::read(sql)?.get("displayname").and_then(|name| serde_json::from_str(name.text()).ok());
        let clients = grants::clients(sql)?.into_iter();
        let clients = clients.map(|client| LetIn { client_id: client.client_id, scope: client.scope }).collect();
        let suspended = self.standing.get().suspended;
        Ok(BrowserView { since, display_name, sessions: self.signed_in()?, clients, suspended })
    }

    fn signed_in(&self) -> Result<Vec<SignedInDevice>, MatrixError> {
        let sql = self.host.sql();
        let clients = grants::clients(sql)?;
        let devices = devices::all(sql)?.into_iter().filter(|device| device.session_id.is_some());
        let signed_in = devices.map(|row| SignedInDevice {
            client_name: clients
                .iter()
                .find(|client| client.device_id == row.device_id.as_str())
                .and_then(|client| client.client_name.clone()),
            device: Device::from(row),
        });
        Ok(signed_in.collect())
    }

    pub(super) fn close_browser(&self, command: &CloseBrowser) -> Result<Done, MatrixError> {
        grants::drop_browser(self.host.sql(), &hash(&command.cookie))?;
        Ok(Done {})
    }

    pub(super) fn allow_reset(&self, command: &AllowReset) -> Result<Done, MatrixError> {
        self.admit_browser(&command.cookie)?;
        let now = self.host.now();
        let kind = command.device_id.as_deref().map_or_else(|| RESET.to_owned(), reset_by);
        self.change(|tx| {
            grants::drop_approvals_before(tx.sql, now)?;
            Ok(grants::approve(tx.sql, &kind, now.plus(RESET_FOR))?)
        })?;
        Ok(Done {})
    }

    /// Whether this device may replace the cross-signing identity without further proof (MSC4312).
    pub(super) fn may_reset(&self, device_id: &DeviceId) -> Result<bool, MatrixError> {
        let now = self.host.now();
        for kind in [RESET, &reset_by(device_id)] {
            if grants::approval(self.host.sql(), kind)?.is_some_and(|until| now < until) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
