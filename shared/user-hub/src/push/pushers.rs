//! What clients set and read (Client-Server API, "Push Notifications", `GET /pushers`, `POST /pushers/set`).

use std::{cell::Cell, rc::Rc};

use ruma::DeviceId;
use serde_json::{Value, json};
use tern_model::{MatrixError, RawJson, StreamPos};
use tern_ports::{
    ObjectHost, Sql, WaitingPolls,
    wire::{
        Done,
        pushers::{DeletePusher, SetPusher},
    },
};
use tern_push::queue::Progress;

use super::{Live, State};
use crate::{
    UserActor,
    alarm::Duty,
    store::pushers::{self, PusherRow},
    transaction::Transaction,
};

/// Most pushers of a user.
const MOST: usize = 20;

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    pub(crate) fn list_pushers(&self) -> Result<RawJson, MatrixError> {
        let pushers: Vec<Value> = pushers::all(self.host.sql())?.iter().map(shown).collect();
        RawJson::from_value(&json!({ "pushers": pushers })).map_err(|_| MatrixError::internal())
    }

    pub(crate) fn set_pusher(self: &Rc<Self>, command: SetPusher) -> Result<Done, MatrixError> {
        self.change(|tx| {
            let all = pushers::all(tx.sql)?;
            let same =
                |row: &&PusherRow| row.app_id == command.app_id.as_str() && row.pushkey == command.pushkey.as_str();
            let known = all.iter().find(same);
            if known.is_none() && all.len() >= MOST {
                return Err(MatrixError::new(400, "M_LIMIT_EXCEEDED", "Too many pushers"));
            }
            pushers::write(tx.sql, &self.row_of(command, known))?;
            note_number(tx)
        })?;
        self.reload_pushers()?;
        // Large rooms tell a hub with a pusher, too.
        if self.pushes() && self.has_unsubscribed.get() {
            self.host.spawn(Box::pin(Rc::clone(self).see_to(Duty::Subscription)));
        }
        Ok(Done {})
    }

    pub(crate) fn delete_pusher(&self, command: &DeletePusher) -> Result<Done, MatrixError> {
        self.drop_pusher(&command.app_id, &command.pushkey)?;
        Ok(Done {})
    }

    /// Deletes a pusher, if it is there.
    pub(super) fn drop_pusher(&self, app_id: &str, pushkey: &str) -> Result<(), MatrixError> {
        self.change(|tx| {
            pushers::delete(tx.sql, app_id, pushkey)?;
            note_number(tx)
        })?;
        self.reload_pushers()
    }

    /// A device is removed, and its pushers with it.
    pub(crate) fn drop_pushers_of(
        &self,
        tx: &Transaction<'_, H::Sql>,
        device_id: &DeviceId,
    ) -> Result<(), MatrixError> {
        pushers::delete_device(tx.sql, device_id)?;
        if self.pushes() {
            note_number(tx)?;
            // Whether or not this is committed: those that are left are read again.
            self.push.live.take();
        }
        Ok(())
    }

    /// A pusher that is set again keeps its device and how far it is; what came while it was disabled is not for it.
    fn row_of(&self, command: SetPusher, known: Option<&PusherRow>) -> PusherRow {
        let fields = command.pusher;
        let now = Progress::after_all(self.hub.get().position);
        let resumed = known.filter(|row| row.enabled);
        PusherRow {
            device_id: known.map_or(command.session.device_id, |row| row.device_id.clone()),
            enabled: fields.enabled,
            ts: known.map_or_else(|| self.host.now(), |row| row.ts),
            data: fields.data.into(),
            app_display_name: fields.app_display_name.into_string(),
            device_display_name: fields.device_display_name.into_string(),
            profile_tag: fields.profile_tag.map(tern_model::Name::into_string),
            lang: fields.lang.into_string(),
            progress: resumed.map_or(now, |row| row.progress),
            app_id: command.app_id.into_string(),
            pushkey: command.pushkey.into_string(),
        }
    }

    /// The enabled pushers, read once.
    pub(super) fn live_pushers(&self) -> Result<Rc<[Rc<Live>]>, MatrixError> {
        if let Some(live) = &*self.push.live.borrow() {
            return Ok(Rc::clone(live));
        }
        self.read_live(&[])
    }

    /// A pusher, unless it has gone or is disabled.
    pub(super) fn live_pusher(&self, app_id: &str, pushkey: &str) -> Result<Option<Rc<Live>>, MatrixError> {
        let live = self.live_pushers()?;
        Ok(live.iter().find(|live| live.row.app_id == app_id && live.row.pushkey == pushkey).map(Rc::clone))
    }

    /// Pushers were changed: those that were there before go on from where they are.
    fn reload_pushers(&self) -> Result<(), MatrixError> {
        let before = self.push.live.take();
        self.read_live(before.as_deref().unwrap_or_default()).map(drop)
    }

    fn read_live(&self, before: &[Rc<Live>]) -> Result<Rc<[Rc<Live>]>, MatrixError> {
        let hub = self.hub.get();
        let done = if hub.push_from > StreamPos(0) { StreamPos(hub.push_from.0 - 1) } else { hub.position };
        let rows = pushers::all(self.host.sql())?.into_iter().filter(|row| row.enabled);
        let live = rows.map(|row| {
            let same = |live: &&Rc<Live>| live.row.app_id == row.app_id && live.row.pushkey == row.pushkey;
            let known = before.iter().find(same).map(|live| Rc::clone(&live.state));
            let state = known.unwrap_or_else(|| Rc::new(State::of(&row, done)));
            Rc::new(Live { row, state })
        });
        let live: Rc<[Rc<Live>]> = live.collect();
        self.push.live.replace(Some(Rc::clone(&live)));
        Ok(live)
    }
}

impl State {
    /// How far a healthy one is, is not written down: at least up to `done`.
    fn of(row: &PusherRow, done: StreamPos) -> Self {
        let mut progress = row.progress;
        if progress.outage.is_none() {
            progress.at = progress.at.max(Progress::after_all(done).at);
        }
        Self { progress: Cell::new(progress), busy: Cell::new(false), told: Cell::new(None) }
    }
}

/// How many are enabled is in the hub's row, so that those without any pay nothing.
fn note_number(tx: &Transaction<'_, impl Sql>) -> Result<(), MatrixError> {
    tx.set_pushers(pushers::count_enabled(tx.sql)?);
    Ok(())
}

fn shown(row: &PusherRow) -> Value {
    let mut shown = json!({
        "app_id": row.app_id, "pushkey": row.pushkey, "kind": "http", "app_display_name": row.app_display_name,
        "device_display_name": row.device_display_name, "lang": row.lang, "data": row.data,
        "enabled": row.enabled, "device_id": row.device_id,
        "org.matrix.msc3881.enabled": row.enabled, "org.matrix.msc3881.device_id": row.device_id,
    });
    if let (Some(tag), Some(fields)) = (&row.profile_tag, shown.as_object_mut()) {
        fields.insert("profile_tag".to_owned(), tag.as_str().into());
    }
    shown
}
