//! One turn over a batch of events from elsewhere: each is checked where it stands, and taken in or kept beside.

use tern_model::Pdu;
use tern_ports::{ObjectHost, Sql, SqlError, wire::receive::PduResult};
use tern_room::{AuthoriseError, RedactError, RoomView as _, Verdict, authorise_outlier, redact};

use crate::{
    RoomActor,
    graph::{admit::Admitted, batch::Batch, fetched::Fetched, known::Graph, side_events::EventStatus},
    timeline::view::{Entry, Redacts, Transaction, redacts},
};

/// What one turn may look at, in events and keys of states, before it leaves the rest of its batches to the next one: a tenth
/// of a second of the room's object.
const MOST_WORK: usize = 20_000;

impl<H: ObjectHost> RoomActor<H> {
    /// One turn over what is left of a batch. What was read stays with the batch, so the next turn gets further.
    pub(crate) fn receive_batch(tx: &Transaction<'_, H::Sql>, batch: &Batch) -> Result<(), SqlError> {
        take_open(tx, batch)?;
        // What the batch itself needs is in use by now.
        if batch.set_aside.get() && !batch.unfinished.get() { tx.store().cap_side_events() } else { Ok(()) }
    }
}

fn take_open<S: Sql>(tx: &Transaction<'_, S>, batch: &Batch) -> Result<(), SqlError> {
    let fetched = batch.fetched.borrow();
    add_outliers(tx, batch, &fetched)?;
    // An outlier may cite an event that is part of the timeline only now.
    while take_each(tx, batch, &fetched)? && !batch.unfinished.get() && add_outliers(tx, batch, &fetched)? {}
    Ok(())
}

/// Checks the open events, as many as the turn has work left for and at least one; true when some became part of the room.
fn take_each<S: Sql>(tx: &Transaction<'_, S>, batch: &Batch, fetched: &Fetched) -> Result<bool, SqlError> {
    let mut accepted = false;
    let mut left = batch.open.take().into_iter();
    let mut waiting = Vec::new();
    for pdu in left.by_ref() {
        tx.states.spend(1);
        let result = receive(tx, &pdu, fetched)?;
        let beside = matches!(result, PduResult::Rejected(_) | PduResult::SoftFailed(_));
        batch.set_aside.set(batch.set_aside.get() || beside);
        if matches!(result, PduResult::Accepted) {
            accepted = true;
            if batch.passed_on.get()
                && let Some(seq) = tx.store().seq_of(pdu.id().as_str())?
            {
                tx.store().pass_on(seq)?;
            }
        }
        let missing = matches!(result, PduResult::Missing(_));
        batch.results.borrow_mut().insert(pdu.id().to_owned(), result);
        if missing {
            waiting.push(pdu);
        }
        if tx.states.work() >= MOST_WORK {
            break;
        }
    }
    batch.unfinished.set(left.len() > 0);
    // The next turn begins with those that had none.
    batch.open.replace(left.chain(waiting).collect());
    Ok(accepted)
}

/// Makes outliers known, those that their own auth events allow; true when there are more of them now. Those whose auth
/// events are not known wait.
fn add_outliers<S: Sql>(tx: &Transaction<'_, S>, batch: &Batch, fetched: &Fetched) -> Result<bool, SqlError> {
    let store = tx.store();
    let mut added = false;
    let mut waiting = Vec::new();
    for pdu in batch.outliers.take() {
        tx.states.spend(1);
        let known = store.seq_of(pdu.id().as_str())?.is_some() || store.side_event(pdu.id().as_str())?.is_some();
        if known || fetched.events.contains_key(pdu.id()) {
            continue;
        }
        match authorise_outlier(&Graph::new(tx, fetched, &pdu), &pdu) {
            Ok(Verdict::Accept) => store.store_side_event(&pdu, EventStatus::Outlier, None, tx.newest())?,
            Ok(Verdict::Reject(reason) | Verdict::SoftFail(reason)) => {
                store.store_side_event(&pdu, EventStatus::Rejected, Some(&reason), tx.newest())?;
            }
            Err(AuthoriseError::Missing(_)) => {
                waiting.push(pdu);
                continue;
            }
            Err(AuthoriseError::Unreadable(cause)) => return Err(SqlError(cause.0)),
        }
        added = true;
    }
    batch.outliers.replace(waiting);
    batch.set_aside.set(batch.set_aside.get() || added);
    Ok(added)
}

/// What becomes of one event now.
fn receive<S: Sql>(tx: &Transaction<'_, S>, pdu: &Pdu, fetched: &Fetched) -> Result<PduResult, SqlError> {
    if let Some(known) = known(tx, pdu.id().as_str())? {
        return Ok(known);
    }
    if fetched.events.contains_key(pdu.id()) {
        return Ok(PduResult::Accepted);
    }
    let entry = Entry { redacts: redaction(tx, pdu, fetched)?, ..Entry::plain(pdu.clone()) };
    Ok(match tx.admit(&entry, fetched)? {
        Admitted::Accepted => PduResult::Accepted,
        Admitted::SideEvent(EventStatus::SoftFailed, reason) => PduResult::SoftFailed(reason),
        Admitted::SideEvent(_, reason) => PduResult::Rejected(reason),
        Admitted::Missing(missing) => PduResult::Missing(missing),
        Admitted::Deferred(reason) => PduResult::Deferred(reason),
    })
}

/// What became of an event that came before. One that was checked by its auth events alone, or the state after which is
/// not known any more, is checked again: others may stand on it.
pub(crate) fn known<S: Sql>(tx: &Transaction<'_, S>, event_id: &str) -> Result<Option<PduResult>, SqlError> {
    let store = tx.store();
    let Some(side_event) = store.side_event(event_id)? else {
        return Ok(store.seq_of(event_id)?.map(|_| PduResult::Accepted));
    };
    let reason = side_event.reason.unwrap_or_default();
    Ok(match side_event.verdict {
        EventStatus::Outlier => None,
        _ if store.state_group(event_id)?.is_none() && store.seq_of(event_id)?.is_none() => None,
        EventStatus::Rejected => Some(PduResult::Rejected(reason)),
        EventStatus::SoftFailed => Some(PduResult::SoftFailed(reason)),
    })
}

/// What a redaction does, if its target is known and its sender may (room version 3, "Handling redactions").
fn redaction<S: Sql>(tx: &Transaction<'_, S>, pdu: &Pdu, fetched: &Fetched) -> Result<Option<Redacts>, SqlError> {
    let Some(target) = redact::target(tx.version(), pdu) else { return Ok(None) };
    let here = tx.store().event(target.as_str())?;
    let Some(target) = here.or_else(|| fetched.events.get(&target).cloned()) else { return Ok(None) };
    match redacts(tx, pdu, (target, None)) {
        Ok(redacts) => Ok(Some(redacts)),
        Err(RedactError::Unreadable(cause)) => Err(SqlError(cause.0)),
        Err(_) => Ok(None),
    }
}
