//! The room as the rules see it, and the events being added to it in one turn.

use std::{
    cell::{Cell, Ref, RefCell, RefMut},
    collections::BTreeMap,
    num::NonZeroUsize,
    rc::Rc,
};

use lru::LruCache;
use ruma::{EventId, OwnedEventId, OwnedUserId, RoomId, ServerName, events::StateEventType};
use tern_model::{Millis, Pdu, RawJson, RoomSeq, StoredEvent, TxnRef};
use tern_ports::{Sql, SqlError, wire::storage::Redaction};
use tern_room::{Extremity, RoomView, Unreadable, Version, auth::membership_of, redact, unsigned};

use crate::{
    graph::{batch::Batch, turn_states::TurnStates},
    timeline::{
        head::{Head, Unmoved},
        store::{Store, damaged},
        tail_bytes::size,
        transactions::{Transactions, TurnTransactions},
    },
};

/// Places of the state kept parsed per room: what deciding for the active members needs again and again.
const CACHED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

type Key = (String, String);

/// A current state event and its position.
type Current = (RoomSeq, Pdu);

/// The committed state, parsed, also where it is known that there is none, and the transaction ids of the tail. They change
/// only after a commit.
pub(crate) struct Cache {
    state: RefCell<LruCache<Key, Option<Current>>>,
    pub(crate) transactions: Transactions,
}

impl Default for Cache {
    fn default() -> Self {
        Self { state: RefCell::new(LruCache::new(CACHED)), transactions: Transactions::default() }
    }
}

/// The room in one turn: its committed state, and on top of it what this turn has added. Dropped without a trace unless
/// the turn's transaction commits.
pub(crate) struct Transaction<'a, S> {
    room_id: &'a RoomId,
    store: Store<'a, S>,
    cache: &'a Cache,
    head: RefCell<Head>,
    /// The head at the turn's beginning, as far as the newest event does not tell it.
    before: Unmoved,
    /// The newest event tells where the room is.
    tells: Cell<bool>,
    /// The head was written.
    sealed: Cell<bool>,
    /// When what is appended came in.
    now: Millis,
    /// The newest event before the turn.
    committed: RoomSeq,
    transactions: TurnTransactions,
    /// State this turn has changed; nothing where it took it away.
    changed: RefCell<BTreeMap<Key, Option<Current>>>,
    /// States beside the present, and what they resolve to.
    pub(crate) states: TurnStates,
    /// What the event that is made here needs and is here no more, with what was found of it.
    pub(crate) lacking: RefCell<Option<Rc<Batch>>>,
}

/// An event decided upon.
pub(crate) struct Entry {
    pub(crate) pdu: Pdu,
    pub(crate) txn: Option<TxnRef>,
    pub(crate) redacts: Option<Redacts>,
}

impl Entry {
    pub(crate) fn plain(pdu: Pdu) -> Self {
        Self { pdu, txn: None, redacts: None }
    }
}

/// What an event does to the one it redacts.
pub(crate) struct Redacts {
    /// The target as it was.
    pub(crate) target: StoredEvent,
    /// Of a state event: the one that took its place, if it is only in the storage worker.
    pub(crate) successor: Option<StoredEvent>,
    /// The target as it will be.
    pub(crate) becomes: Redaction,
}

impl<'a, S: Sql> Transaction<'a, S> {
    pub(crate) fn new(room_id: &'a RoomId, sql: &'a S, cache: &'a Cache, head: Head) -> Self {
        Self {
            room_id,
            store: Store(sql),
            cache,
            before: Unmoved::of(&head),
            committed: head.newest,
            transactions: TurnTransactions::default(),
            head: RefCell::new(head),
            tells: Cell::new(false),
            sealed: Cell::new(false),
            now: Millis(u64::MAX),
            changed: RefCell::default(),
            states: TurnStates::default(),
            lacking: RefCell::default(),
        }
    }

    /// A turn that appends what came in at `now`.
    pub(crate) fn at(self, now: Millis) -> Self {
        Self { now, ..self }
    }

    pub(crate) fn now(&self) -> Millis {
        self.now
    }

    /// An event that was appended is sticky until then.
    pub(crate) fn sticks_until(&self, until: Millis) {
        let mut head = self.head.borrow_mut();
        head.sticky = head.sticky.max(until);
    }

    pub(crate) fn store(&self) -> Store<'a, S> {
        self.store
    }

    pub(crate) fn head(&self) -> Ref<'_, Head> {
        self.head.borrow()
    }

    pub(crate) fn head_mut(&self) -> RefMut<'_, Head> {
        self.head.borrow_mut()
    }

    pub(crate) fn newest(&self) -> RoomSeq {
        self.head.borrow().newest
    }

    /// Takes over what the turn has changed, once its transaction has committed.
    pub(crate) fn committed(self) -> Head {
        let mut cache = self.cache.state.borrow_mut();
        for (key, current) in self.changed.into_inner() {
            cache.put(key, current);
        }
        self.cache.transactions.commit(self.transactions);
        self.head.into_inner()
    }

    /// Users whose membership the turn has changed, with the positions of their member events if they are joined now.
    pub(crate) fn members_changed(&self) -> Vec<(OwnedUserId, Option<RoomSeq>)> {
        let changed = self.changed.borrow();
        let members = changed.iter().filter(|((kind, _), _)| kind == "m.room.member");
        let joined = |current: &Option<Current>| {
            let (seq, pdu) = current.as_ref()?;
            membership_of(pdu).is_ok_and(|membership| membership == "join").then_some(*seq)
        };
        members
            .filter_map(|((_, user), current)| Some((OwnedUserId::try_from(&**user).ok()?, joined(current))))
            .collect()
    }

    /// The event that a transaction of a device made.
    pub(crate) fn event_of(&self, sender: &str, txn: &TxnRef, kind: &str) -> Result<Option<OwnedEventId>, SqlError> {
        let span = (self.head.borrow().tail, self.committed);
        self.transactions.find(self.store, &self.cache.transactions, span, (sender, txn, kind))
    }

    /// Writes the head, unless the newest event tells what moved. The last write of a turn that has appended anything.
    pub(crate) fn seal(&self) -> Result<(), SqlError> {
        if self.tells.get() && Unmoved::of(&self.head.borrow()) == self.before {
            return Ok(());
        }
        self.sealed.set(true);
        self.store.write_head(&self.head.borrow())
    }

    /// The head's row is as the head.
    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed.get()
    }

    /// The forward extremities, in the order in which they came, and whether a former state is resolved along with theirs.
    pub(crate) fn extremities_now(&self) -> (Vec<OwnedEventId>, bool) {
        let head = self.head.borrow();
        (head.extremities.clone(), head.former)
    }

    /// The room resolves, or no longer resolves, a former state along with those after its extremities.
    pub(crate) fn set_former(&self, former: bool) {
        self.head.borrow_mut().former = former;
    }

    /// Appends an event that stands on all extremities and in the present state; its writes are part of the turn's
    /// transaction.
    pub(crate) fn append(&self, entry: &Entry) -> Result<(), SqlError> {
        self.append_to(entry, true, vec![entry.pdu.id().to_owned()])
    }

    /// Appends an event, after which the extremities are these. A state event takes its place in the present state only
    /// when it is `current`.
    pub(crate) fn append_to(
        &self,
        entry: &Entry,
        current: bool,
        extremities: Vec<OwnedEventId>,
    ) -> Result<(), SqlError> {
        let Entry { pdu, txn, redacts } = entry;
        let seq = self.newest().next();
        let state_key = pdu.key().filter(|_| current);
        let previous = match state_key {
            Some(state_key) => self.current(&pdu.kind().to_string(), state_key)?,
            None => None,
        };
        let unsigned = previous.as_ref().map(|(_, previous)| unsigned::replacing(previous));
        let stored =
            StoredEvent { unsigned: unsigned.transpose().map_err(damaged)?, txn: txn.clone(), ..stored(seq, pdu) };
        let redaction = redacts.as_ref().map(|redacts| self.redact(redacts)).transpose()?;
        self.store.insert_event(&stored, self.now, redaction.as_ref())?;
        if let Some(txn) = txn {
            self.transactions.note(&stored.sender, txn, &stored.kind, stored.event_id.clone());
        }
        self.keep_sticky(pdu, &stored)?;
        if let Some(state_key) = state_key {
            self.replace_state((&stored.kind, state_key), (seq, pdu), None, previous.as_ref())?;
        }
        let mut head = self.head.borrow_mut();
        head.newest = seq;
        head.tail_bytes = head.tail_bytes.map(|bytes| bytes.saturating_add(size(&stored)));
        // With several extremities, the greatest depth of them.
        head.depth = if extremities.len() == 1 { pdu.depth() } else { head.depth.max(pdu.depth()) };
        self.tells.set(matches!(extremities.as_slice(), [only] if only == pdu.id()));
        head.extremities = extremities;
        Ok(())
    }

    /// Has the present move, with the newest event, to another event of a place, or to none.
    pub(crate) fn resolve_to(
        &self,
        (kind, state_key): &tern_room::Key,
        event_id: Option<&OwnedEventId>,
    ) -> Result<(), SqlError> {
        let kind = kind.to_string();
        let previous = self.current(&kind, state_key)?;
        let here = |event_id: &OwnedEventId| {
            let event = self.store.event(event_id.as_str())?.ok_or_else(|| damaged("current state is not here"))?;
            Ok::<_, SqlError>((event.seq, parsed(&event)?))
        };
        let next = event_id.map(here).transpose()?;
        self.note_resolution((&kind, state_key), previous.as_ref(), next.as_ref())?;
        match next {
            Some((seq, pdu)) => {
                self.replace_state((&kind, state_key), (seq, &pdu), Some(self.newest()), previous.as_ref())
            }
            None => self.remove_state((&kind, state_key), previous.as_ref()),
        }
    }

    /// Notes that the newest event left a place of the present as it was.
    pub(crate) fn stay_at(&self, (kind, state_key): &tern_room::Key) -> Result<(), SqlError> {
        let kind = kind.to_string();
        let current = self.current(&kind, state_key)?;
        self.note_resolution((&kind, state_key), current.as_ref(), current.as_ref())
    }

    fn note_resolution(
        &self,
        key: (&str, &str),
        before: Option<&Current>,
        after: Option<&Current>,
    ) -> Result<(), SqlError> {
        let newest = self.newest();
        self.head.borrow_mut().resolved = newest;
        let (before, after) = (before.map(|(seq, pdu)| (*seq, pdu)), after.map(|(seq, pdu)| (*seq, pdu)));
        self.store.put_resolution(newest, key, before, after)
    }

    fn remove_state(&self, (kind, state_key): (&str, &str), previous: Option<&Current>) -> Result<(), SqlError> {
        self.store.drop_state(kind, state_key)?;
        self.leave_place(kind, previous)?;
        self.move_state_bytes(previous.map(|(_, pdu)| pdu), None);
        self.moved((kind, state_key), previous, None);
        self.changed.borrow_mut().insert((kind.to_owned(), state_key.to_owned()), None);
        Ok(())
    }

    /// An event is not current any more.
    fn leave_place(&self, kind: &str, previous: Option<&Current>) -> Result<(), SqlError> {
        let Some((old, previous)) = previous else { return Ok(()) };
        if *old <= self.head.borrow().tail {
            // It stayed behind the tail only for being current.
            self.store.keep_state_history(old.previous(), *old)?;
            self.store.drop_event(*old)?;
        }
        if kind == "m.room.member" {
            let before = membership_of(previous).ok();
            count(&mut self.head.borrow_mut(), before.as_deref(), |n| n.saturating_sub(1));
        }
        Ok(())
    }

    fn replace_state(
        &self,
        key: (&str, &str),
        new: (RoomSeq, &Pdu),
        since: Option<RoomSeq>,
        previous: Option<&Current>,
    ) -> Result<(), SqlError> {
        let member = key.0 == "m.room.member";
        let after = if member { Some(membership_of(new.1).map_err(damaged)?) } else { None };
        self.store.put_state(key, (new.0, since), after.as_deref())?;
        self.leave_place(key.0, previous)?;
        self.move_state_bytes(previous.map(|(_, pdu)| pdu), Some(new.1));
        if member {
            count(&mut self.head.borrow_mut(), after.as_deref(), |n| n + 1);
        }
        self.moved(key, previous, Some(new.1));
        let key = (key.0.to_owned(), key.1.to_owned());
        self.changed.borrow_mut().insert(key, Some((new.0, new.1.clone())));
        Ok(())
    }

    /// States that are told from the present are told anew.
    fn moved(&self, (kind, state_key): (&str, &str), from: Option<&Current>, to: Option<&Pdu>) {
        self.states.recount(from.map(|(_, pdu)| pdu), to);
        if self.states.is_empty() {
            return;
        }
        self.states.moved(&(kind.into(), state_key.to_owned()), from.map(|(_, pdu)| pdu.id()), to.map(Pdu::id));
    }

    /// Rewrites what a redaction changes here; the answer tells the storage worker the same.
    fn redact(&self, redacts: &Redacts) -> Result<Redaction, SqlError> {
        let Redacts { target, successor, becomes } = redacts;
        self.store.rewrite_event(target.seq, &becomes.pdu, becomes.unsigned.as_ref())?;
        if self.head.borrow().sticky > Millis(0) {
            self.store.drop_sticky(target.seq)?;
        }
        let Some(state_key) = &target.state_key else { return Ok(becomes.clone()) };
        let pdu = Pdu::parse(target.event_id.clone(), becomes.pdu.clone()).map_err(damaged)?;
        let copy = self.redact_copy(target, state_key, successor.as_ref(), &pdu)?;
        let current = self.current(&target.kind, state_key)?;
        if current.is_some_and(|(seq, _)| seq == target.seq) {
            // What is current may have been read after it was rewritten.
            self.move_state_bytes(Some(&parsed(target)?), Some(&pdu));
            let key = (target.kind.clone(), state_key.clone());
            self.changed.borrow_mut().insert(key, Some((target.seq, pdu)));
        }
        Ok(Redaction { also: copy.into_iter().collect(), ..becomes.clone() })
    }

    /// The event that took the place of a redacted state event carries its content as `prev_content`.
    fn redact_copy(
        &self,
        target: &StoredEvent,
        state_key: &str,
        stored: Option<&StoredEvent>,
        remains: &Pdu,
    ) -> Result<Option<Redaction>, SqlError> {
        let carries = |event: &&StoredEvent| event.unsigned.as_ref().is_some_and(|unsigned| replaces(unsigned, target));
        let here = self.store.changes(target.seq, &target.kind, state_key)?;
        let Some(successor) = here.first().filter(carries).or(stored.filter(carries)) else { return Ok(None) };
        let Some(carried) = &successor.unsigned else { return Ok(None) };
        let unsigned = unsigned::predecessor_redacted(carried, remains.body()).map_err(damaged)?;
        self.store.rewrite_event(successor.seq, &successor.pdu, Some(&unsigned))?;
        let (event_id, pdu) = (successor.event_id.clone(), successor.pdu.clone());
        Ok(Some(Redaction { event_id, pdu, unsigned: Some(unsigned), also: Vec::new() }))
    }

    fn current(&self, kind: &str, state_key: &str) -> Result<Option<Current>, SqlError> {
        let key = (kind.to_owned(), state_key.to_owned());
        if let Some(current) = self.changed.borrow().get(&key) {
            return Ok(current.clone());
        }
        if let Some(current) = self.cache.state.borrow_mut().get(&key) {
            return Ok(current.clone());
        }
        let event = self.store.state(kind, state_key)?;
        let current = event.map(|event| Ok::<_, SqlError>((event.seq, parsed(&event)?))).transpose()?;
        // Not changed by this turn, so it is committed.
        self.cache.state.borrow_mut().put(key, current.clone());
        Ok(current)
    }
}

impl<S: Sql> RoomView for Transaction<'_, S> {
    fn room_id(&self) -> &RoomId {
        self.room_id
    }

    fn version(&self) -> &'static Version {
        self.head.borrow().version
    }

    fn state(&self, kind: &StateEventType, state_key: &str) -> Result<Option<Pdu>, Unreadable> {
        let current = self.current(&kind.to_string(), state_key).map_err(unreadable)?;
        Ok(current.map(|(_, pdu)| pdu))
    }

    fn extremities(&self) -> Result<Vec<Extremity>, Unreadable> {
        let head = self.head.borrow();
        let extremity = |event_id: &OwnedEventId| Extremity { event_id: event_id.clone(), depth: head.depth };
        Ok(head.extremities.iter().map(extremity).collect())
    }

    fn event(&self, event_id: &EventId) -> Result<Option<Pdu>, Unreadable> {
        let event = self.store.event(event_id.as_str()).map_err(unreadable)?;
        event.as_ref().map(parsed).transpose().map_err(unreadable)
    }

    fn joined(&self, limit: usize) -> Result<Vec<OwnedUserId>, Unreadable> {
        let joined = self.store.joined(Some(limit)).map_err(unreadable)?;
        Ok(joined.into_iter().map(|(user_id, _)| user_id).collect())
    }

    fn has_joined(&self, server: &ServerName) -> Result<bool, Unreadable> {
        self.store.has_joined(server.as_str()).map_err(unreadable)
    }
}

/// The rules' word for a failed statement.
pub(crate) fn unreadable(error: SqlError) -> Unreadable {
    Unreadable(error.0)
}

/// An event as it is stored, before anything is known of it but the PDU.
pub(crate) fn stored(seq: RoomSeq, pdu: &Pdu) -> StoredEvent {
    StoredEvent {
        seq,
        event_id: pdu.id().to_owned(),
        kind: pdu.kind().to_string(),
        sender: pdu.from().to_string(),
        state_key: pdu.key().map(str::to_owned),
        ts: pdu.ts(),
        pdu: pdu.raw().clone(),
        unsigned: None,
        txn: None,
    }
}

/// A stored event, parsed.
pub(crate) fn parsed(event: &StoredEvent) -> Result<Pdu, SqlError> {
    Pdu::parse(event.event_id.clone(), event.pdu.clone()).map_err(damaged)
}

/// What an authorised redaction does to `target`.
pub(crate) fn redacts(
    view: &impl RoomView,
    redaction: &Pdu,
    (target, successor): (StoredEvent, Option<StoredEvent>),
) -> Result<Redacts, tern_room::RedactError> {
    let damaged = |error: &dyn std::fmt::Display| tern_room::RedactError::Damaged(error.to_string());
    let before = parsed(&target).map_err(|error| damaged(&error))?;
    redact::may_redact(view, redaction, &before)?;
    let form = tern_room::Form::default();
    let because = tern_room::client_event(view.version(), &stored(RoomSeq::default(), redaction), form);
    let because = because.map_err(|error| damaged(&error))?;
    let unsigned = unsigned::redacted(target.unsigned.as_ref(), &because).map_err(|error| damaged(&error))?;
    let unsigned = match redact::target(view.version(), &before) {
        Some(own) if !view.version().redacts_in_content() => unsigned::keeping_target(&unsigned, &own),
        _ => Ok(unsigned),
    };
    let unsigned = unsigned.map_err(|error| damaged(&error))?;
    let becomes = Redaction {
        event_id: target.event_id.clone(),
        pdu: redact::redact(view.version(), &target.pdu)?,
        unsigned: Some(unsigned),
        also: Vec::new(),
    };
    Ok(Redacts { target, successor, becomes })
}

fn replaces(unsigned: &RawJson, target: &StoredEvent) -> bool {
    #[derive(serde::Deserialize)]
    struct Unsigned {
        replaces_state: Option<OwnedEventId>,
    }
    unsigned.read::<Unsigned>().is_ok_and(|unsigned| unsigned.replaces_state.as_ref() == Some(&target.event_id))
}

fn count(head: &mut Head, membership: Option<&str>, change: impl Fn(u64) -> u64) {
    match membership {
        Some("join") => head.joined = change(head.joined),
        Some("invite") => head.invited = change(head.invited),
        _ => {}
    }
}
