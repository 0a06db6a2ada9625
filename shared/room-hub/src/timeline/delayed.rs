//! Delayed events (MSC4140): kept in a table, sent by the alarm. An event leaves the table in the transaction that sends
//! it, or finds it not allowed when it is due, so it is sent at most once, and not before its time.

use std::rc::Rc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ruma::{OwnedRoomId, OwnedUserId, RoomId};
use tern_model::{MatrixError, Millis, RawJson};
use tern_ports::{
    ObjectHost, Row, Sql, SqlError,
    wire::{
        Done,
        delayed::{DelayAction, DelayEvent, Delayed, FindDelayed, ListDelayed, ManageDelayed, ScheduledEvent},
        room::{Draft, SendEvent},
    },
};

use crate::{
    RoomActor,
    timeline::{
        send::{Answer, Job, rule_draft},
        store::{Store, damaged},
        view::Transaction,
    },
};

/// The longest delay: a day.
const LONGEST_MS: u64 = 24 * 60 * 60 * 1000;

/// Events that one user may have scheduled in one room, and bytes of them.
const MOST_SCHEDULED: u64 = 100;
const MOST_BYTES: u64 = 1 << 20;

pub(crate) const TABLE: &str = "CREATE TABLE delayed (
    delay_id TEXT PRIMARY KEY,
    sender TEXT NOT NULL,
    device_id TEXT NOT NULL,
    txn_id TEXT,
    kind TEXT NOT NULL,
    state_key TEXT,
    content TEXT NOT NULL,
    delay INTEGER NOT NULL,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID";

/// The room in which a scheduled event waits: its name tells.
///
/// # Errors
/// 404 when it is no such name.
pub fn room_of(delay_id: &str) -> Result<OwnedRoomId, MatrixError> {
    let read = || {
        let (room_id, _) = delay_id.split_once('.')?;
        RoomId::parse(String::from_utf8(URL_SAFE_NO_PAD.decode(room_id).ok()?).ok()?).ok()
    };
    read().ok_or_else(unknown)
}

pub(crate) fn unknown() -> MatrixError {
    MatrixError::not_found("There is no such delayed event")
}

/// A scheduled event as it stands in its row.
pub(crate) struct Waiting {
    event: ScheduledEvent,
    sender: OwnedUserId,
    device_id: String,
    sticky_ms: Option<u64>,
    ts: Option<Millis>,
}

impl Waiting {
    /// The request that sends it.
    pub(crate) fn request(self) -> SendEvent {
        let ScheduledEvent { kind, state_key, content, .. } = self.event;
        let draft = Draft { sender: self.sender, kind, state_key, content, redacts: None };
        let (ts, sticky_ms) = (self.ts, self.sticky_ms);
        SendEvent { draft, device_id: self.device_id.into(), txn_id: None, ts, sticky_ms }
    }
}

const COLUMNS: &str = "delay_id, sender, device_id, kind, state_key, content, delay, since, sticky, ts";

impl<S: Sql> Store<'_, S> {
    fn delayed(self, room_id: &RoomId, delay_id: &str) -> Result<Option<Waiting>, SqlError> {
        let rows = self.0.query(&format!("SELECT {COLUMNS} FROM delayed WHERE delay_id = ?"), &[delay_id.into()])?;
        rows.first().map(|row| waiting(room_id, row)).transpose()
    }

    fn due_delayed(self, now: Millis) -> Result<Vec<String>, SqlError> {
        let rows = self
            .0
            .query("SELECT delay_id FROM delayed WHERE since + delay <= ? ORDER BY since + delay", &[now.0.into()])?;
        Ok(rows.iter().filter_map(|row| row.string(0)).collect())
    }

    fn next_delayed(self) -> Result<Option<Millis>, SqlError> {
        let rows = self.0.query("SELECT min(since + delay) FROM delayed", &[])?;
        Ok(rows.first().and_then(|row| row.int(0)).map(Millis))
    }

    fn put_delayed(self, delay_id: &str, ask: &DelayEvent, now: Millis) -> Result<(), SqlError> {
        let draft = &ask.draft;
        let params = [
            delay_id.into(),
            draft.sender.as_str().into(),
            ask.device_id.as_str().into(),
            ask.txn_id.clone().into(),
            draft.kind.as_str().into(),
            draft.state_key.clone().into(),
            draft.content.text().into(),
            ask.delay_ms.into(),
            now.0.into(),
            ask.sticky_ms.into(),
            ask.ts.map(|ts| ts.0).into(),
        ];
        self.0.query("INSERT INTO delayed VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", &params)?;
        Ok(())
    }

    /// How many events somebody has scheduled, and their bytes.
    fn delayed_held(self, sender: &str) -> Result<(u64, u64), SqlError> {
        let sql = "SELECT count(*), coalesce(sum(length(CAST(content AS BLOB))), 0) FROM delayed WHERE sender = ?";
        let rows = self.0.query(sql, &[sender.into()])?;
        Ok(rows.first().and_then(|row| Some((row.int(0)?, row.int(1)?))).unwrap_or_default())
    }

    fn delayed_of(self, room_id: &RoomId, sender: &str) -> Result<Vec<ScheduledEvent>, SqlError> {
        let sql = format!("SELECT {COLUMNS} FROM delayed WHERE sender = +? ORDER BY since + delay");
        let rows = self.0.query(&sql, &[sender.into()])?;
        rows.iter().map(|row| Ok(waiting(room_id, row)?.event)).collect()
    }

    fn restart_delayed(self, delay_id: &str, now: Millis) -> Result<bool, SqlError> {
        let params = [now.0.into(), delay_id.into()];
        let rows = self.0.query("UPDATE delayed SET since = ? WHERE delay_id = ? RETURNING 1", &params)?;
        Ok(!rows.is_empty())
    }
}

fn waiting(room_id: &RoomId, row: &Row) -> Result<Waiting, SqlError> {
    let text = |index| row.string(index).ok_or_else(|| SqlError(format!("delayed column {index} is damaged")));
    Ok(Waiting {
        sender: OwnedUserId::try_from(text(1)?).map_err(damaged)?,
        device_id: text(2)?,
        sticky_ms: row.int(8),
        ts: row.int(9).map(Millis),
        event: ScheduledEvent {
            delay_id: text(0)?,
            room_id: room_id.to_owned(),
            kind: text(3)?,
            state_key: row.string(4),
            content: RawJson::parse(text(5)?).map_err(damaged)?,
            delay: row.int(6).unwrap_or_default(),
            running_since: Millis(row.int(7).unwrap_or_default()),
        },
    })
}

impl<H: ObjectHost> RoomActor<H> {
    /// Schedules an event of somebody who is in the room.
    pub(crate) async fn delay_event(self: &Rc<Self>, ask: DelayEvent) -> Result<Delayed, MatrixError> {
        if let Some(first) = self.find_delayed(&FindDelayed::of(&ask))? {
            return Ok(first);
        }
        self.check_joined(&ask.draft.sender)?;
        tern_room::build::check(&rule_draft(ask.draft.clone()).sticky(ask.sticky_ms))?;
        if ask.delay_ms == 0 || ask.delay_ms > LONGEST_MS {
            return Err(too_long());
        }
        let (scheduled, bytes) = self.store().delayed_held(ask.draft.sender.as_str())?;
        if scheduled >= MOST_SCHEDULED || bytes + ask.draft.content.text().len() as u64 > MOST_BYTES {
            return Err(MatrixError::new(400, "M_MAX_DELAYED_EVENTS_EXCEEDED", "Too many delayed events in this room"));
        }
        let mut entropy = [0; 18];
        self.host.fill(&mut entropy);
        let room_id = URL_SAFE_NO_PAD.encode(self.room_id.as_str());
        let delay_id = format!("{room_id}.{}", URL_SAFE_NO_PAD.encode(entropy));
        let now = self.host.now();
        self.host.sql().transaction(|| self.store().put_delayed(&delay_id, &ask, now))?;
        self.request_alarm(now.plus(ask.delay_ms)).await;
        self.host.synced().await;
        Ok(Delayed { delay_id })
    }

    /// The answer to the first request of a transaction, whatever became of the event.
    pub(crate) fn find_delayed(&self, ask: &FindDelayed) -> Result<Option<Delayed>, MatrixError> {
        if ask.txn_id.is_empty() || self.head()?.is_none() {
            return Ok(None);
        }
        Ok(self.store().repeated_delayed(ask)?)
    }

    /// Sends, restarts or cancels a scheduled event.
    pub(crate) async fn manage_delayed(self: &Rc<Self>, ask: &ManageDelayed) -> Result<Done, MatrixError> {
        self.head()?.ok_or_else(unknown)?;
        let delay_id = &ask.delay_id;
        let found = match ask.action {
            DelayAction::Restart => {
                let found = self.store().restart_delayed(delay_id, self.host.now())?;
                self.wish_for_delayed().await?;
                found
            }
            DelayAction::Cancel => self.host.sql().transaction(|| self.store().finalise_delayed(delay_id, false))?,
            DelayAction::Send => {
                let job = || Job::Delayed { delay_id: delay_id.clone(), due: false };
                self.submit_here(job).await?.is_some()
            }
        };
        if !found {
            self.store().answer_finalised(delay_id, ask.action)?;
        }
        self.host.synced().await;
        Ok(Done {})
    }

    /// Sends a scheduled event that is due, or that somebody wants sent now. What is refused before its time stays, since
    /// it may be allowed by then.
    pub(crate) fn commit_delayed(
        &self,
        tx: &Transaction<'_, H::Sql>,
        delay_id: &str,
        due: bool,
    ) -> Result<Answer, SqlError> {
        let Some(waiting) = tx.store().delayed(&self.room_id, delay_id)? else { return Ok(Ok(None)) };
        let answer = Self::carry_out(tx, self.plan_event(tx, waiting.request(), None))?;
        if due || answer.is_ok() {
            tx.store().finalise_delayed(delay_id, answer.is_ok())?;
        }
        Ok(answer)
    }

    /// What somebody has scheduled here.
    pub(crate) fn list_delayed(&self, ask: &ListDelayed) -> Result<Vec<ScheduledEvent>, MatrixError> {
        if self.head()?.is_none() {
            return Ok(Vec::new());
        }
        Ok(self.store().delayed_of(&self.room_id, ask.caller.as_str())?)
    }

    /// Sends what is due. What is not allowed any more is given up.
    pub(crate) async fn send_delayed(self: &Rc<Self>, now: Millis) -> Result<(), SqlError> {
        for delay_id in self.store().due_delayed(now)? {
            let job = |due| Job::Delayed { delay_id: delay_id.clone(), due };
            if self.submit_here(|| job(false)).await.is_err() {
                // A refusal is the event's own end; it has left the table.
                let _ = self.submit(job(true)).await;
            }
        }
        Ok(())
    }

    /// When the next scheduled event is due.
    pub(crate) fn delayed_due(&self) -> Option<Millis> {
        self.store().next_delayed().ok().flatten()
    }

    async fn wish_for_delayed(&self) -> Result<(), SqlError> {
        if let Some(due) = self.store().next_delayed()? {
            self.request_alarm(due).await;
        }
        Ok(())
    }
}

fn too_long() -> MatrixError {
    let message = format!("The delay must be between 1 and {LONGEST_MS} ms");
    let body = serde_json::json!({ "org.matrix.msc4140.errcode": "M_MAX_DELAY_EXCEEDED", "org.matrix.msc4140.max_delay": LONGEST_MS });
    MatrixError { body: body.as_object().cloned(), ..MatrixError::new(400, "M_UNKNOWN", message) }
}
