//! A room of other servers, as one of them tells it to somebody who joins (Server-Server API, "Joining Rooms").
//!
//! Of what was before, the room has only the state, which stands in its timeline before the join, and beside it what that
//! cites. Each event is checked for itself and by what it cites; one that does not pass is left out. The join is then the only
//! forward extremity. Where the room was known before, what is told replaces what was known.

use std::{collections::BTreeSet, rc::Rc};

use ruma::events::StateEventType;
use tern_model::{MatrixError, Millis, Pdu, RoomSeq};
use tern_ports::{
    ObjectHost, Sql, SqlError,
    wire::{adopt::AdoptRoom, room::Sent},
};
use tern_room::{AuthError, Key, StateDelta, Verdict, Version, authorise, authorise_outlier};

use crate::{
    RoomActor, SCHEMA,
    graph::{
        fetched::Fetched,
        known::Graph,
        side_events::EventStatus,
        state_groups::FORMER,
        told::{Beginning, NEEDED, Refused},
    },
    timeline::{
        head::Head,
        store::Store,
        view::{Entry, Transaction, stored},
    },
};

impl<H: ObjectHost> RoomActor<H> {
    /// Makes the room, and tells who has joined.
    pub(crate) async fn adopt_room(self: &Rc<Self>, request: AdoptRoom) -> Result<Sent, MatrixError> {
        let unsupported = || MatrixError::new(400, "M_UNSUPPORTED_ROOM_VERSION", "The room version is not supported");
        let version = Version::find(&request.version).ok_or_else(unsupported)?;
        let before = self.head()?.map(Rc::unwrap_or_clone);
        if before.is_some() && self.store().has_joined(self.config.server_name.as_str())? {
            return Err(MatrixError::new(400, "M_ROOM_IN_USE", "Somebody of this server is in the room"));
        }
        if before.as_ref().is_some_and(|head| head.version.id != version.id) {
            return Err(Refused::Theirs("it has another version than it had".to_owned()).into());
        }
        let user_id = request.user_id.clone();
        let beginning = self.beginning(version, request)?;
        let event_id = beginning.join.id().to_owned();
        self.adopt(self.begin(before, version, &beginning)?);
        self.servers_changed();
        self.before_join.forget();
        self.waits.set(None);
        self.settle().await;
        self.tell(&[user_id]).await;
        self.follow_up();
        Ok(Sent { event_id })
    }

    fn begin(
        &self,
        before: Option<Head>,
        version: &'static Version,
        beginning: &Beginning,
    ) -> Result<Head, MatrixError> {
        let sql = self.host.sql();
        let is_new = before.is_none();
        let head = before.unwrap_or_else(|| Head::empty(version));
        let tx = Transaction::new(&self.room_id, sql, &self.cache, head).at(self.host.now());
        sql.transaction(|| {
            if is_new {
                SCHEMA.create_within(sql)?;
                tx.seal()?;
            }
            replace_state(&tx, beginning)?;
            if is_new {
                // What was before the join is news to nobody.
                tx.head_mut().announced = tx.newest();
            }
            append_join(&tx, &beginning.join)?;
            self.follow_servers(&tx)?;
            self.follow_services(&tx)?;
            tx.store().note_entry(tx.newest(), beginning.join.id())?;
            // All that are there have it from the one that let the user in.
            tx.store().servers_know(tx.newest())?;
            tx.store().drop_all_waiting()?;
            Ok::<_, Refused>(tx.seal()?)
        })?;
        Ok(tx.committed())
    }
}

/// Has the present be the state that is told.
fn replace_state<S: Sql>(tx: &Transaction<'_, S>, beginning: &Beginning) -> Result<(), Refused> {
    let fetched = Fetched::default();
    let mut placed = BTreeSet::new();
    for pdu in &beginning.events {
        let key = pdu.key().filter(|_| beginning.state.contains(pdu.id()));
        let key = key.map(|key| -> Key { (pdu.kind().to_string().into(), key.to_owned()) });
        let is_allowed = is_allowed(tx, &fetched, pdu);
        match key {
            Some((kind, _)) if !is_allowed && NEEDED.contains(&kind.to_string().as_str()) => {
                return Err(Refused::Theirs(format!("its {kind} is not genuine, or not allowed")));
            }
            _ if !is_allowed => {}
            Some(key) => {
                place(tx, pdu, &key)?;
                placed.insert(key);
            }
            None => beside(tx, pdu)?,
        }
    }
    if !placed.contains(&(StateEventType::RoomCreate, String::new())) {
        return Err(Refused::Theirs("its create event is missing".to_owned()));
    }
    for key in tx.store().present_ids()?.into_keys().filter(|key| !placed.contains(key)) {
        tx.resolve_to(&key, None)?;
    }
    if tx.extremities_now().1 {
        tx.store().drop_state_group(FORMER)?;
        tx.set_former(false);
    }
    Ok(tx.store().use_all_outliers()?)
}

/// An event is allowed by what it cites, all of which is known and can be read.
pub(super) fn is_allowed<S: Sql>(tx: &Transaction<'_, S>, fetched: &Fetched, pdu: &Pdu) -> bool {
    authorise_outlier(&Graph::new(tx, fetched, pdu), pdu) == Ok(Verdict::Accept)
}

/// Gives an event its place in the state, and in the timeline if it has none.
fn place<S: Sql>(tx: &Transaction<'_, S>, pdu: &Pdu, key: &Key) -> Result<(), Refused> {
    let store = tx.store();
    if store.current_id(key)?.is_some_and(|current| current == *pdu.id()) {
        return Ok(());
    }
    tx.check_state_bytes(pdu)?.map_err(|error| Refused::TooLarge(error.into()))?;
    let gone = store.past_seq(pdu.id().as_str())?;
    if let Some(seq) = gone {
        store.insert_event(&stored(seq, pdu), Millis::default(), None)?;
    }
    if gone.is_some() || store.seq_of(pdu.id().as_str())?.is_some() {
        return Ok(tx.resolve_to(key, Some(&pdu.id().to_owned()))?);
    }
    store.drop_outlier(pdu.id().as_str())?;
    Ok(tx.append_to(&Entry::plain(pdu.clone()), true, vec![pdu.id().to_owned()])?)
}

/// Keeps what others cite.
pub(super) fn beside<S: Sql>(tx: &Transaction<'_, S>, pdu: &Pdu) -> Result<(), SqlError> {
    let (store, id) = (tx.store(), pdu.id().as_str());
    if store.seq_of(id)?.is_some() || store.side_event(id)?.is_some() {
        return Ok(());
    }
    store.store_side_event(pdu, EventStatus::Outlier, None, tx.newest())
}

/// Appends the join to the state as it is told. What others say at the same time stands on the events that the join stands
/// on, so the state after these is kept as well.
fn append_join<S: Sql>(tx: &Transaction<'_, S>, join: &Pdu) -> Result<(), Refused> {
    let refused = |reason: &str| Refused::Theirs(format!("its state does not let the user in: {reason}"));
    match authorise(tx, join) {
        Ok(()) if is_allowed(tx, &Fetched::default(), join) => {}
        Ok(()) => return Err(refused("the join cites other events")),
        Err(AuthError::Forbidden(reason)) => return Err(refused(&reason)),
        Err(AuthError::Unreadable(cause)) => return Err(Refused::Sql(SqlError(cause.0))),
    }
    tx.check_state_bytes(join)?.map_err(|error| Refused::TooLarge(error.into()))?;
    let number = tx.store().add_state_group(tx.newest(), &StateDelta::new())?;
    for previous in join.prev() {
        tx.store().put_state_group(previous.as_str(), number, tx.newest())?;
    }
    Ok(tx.append(&Entry::plain(join.clone()))?)
}

impl<S: Sql> Store<'_, S> {
    /// Where a superseded state event was that is not here any more.
    fn past_seq(self, event_id: &str) -> Result<Option<RoomSeq>, SqlError> {
        let sql = "SELECT seq FROM past WHERE event_id = ? AND NOT EXISTS (SELECT 1 FROM events e WHERE e.event_id = past.event_id)";
        Ok(self.0.query(sql, &[event_id.into()])?.first().and_then(|row| row.int(0)).map(RoomSeq))
    }

    /// All outliers are in auth chains of events that were checked.
    pub(super) fn use_all_outliers(self) -> Result<(), SqlError> {
        self.0.query("UPDATE aside SET used = 1 WHERE verdict = 'cited' AND used = 0", &[])?;
        Ok(())
    }
}
