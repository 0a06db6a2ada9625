//! Events from elsewhere: checked, authorised where they stand, and taken in or kept as side events.

use std::rc::Rc;

use ruma::{
    serde::{Base64, base64::Standard},
    signatures::PublicKeyMap,
};
use tern_model::{MatrixError, Millis, Pdu, RawJson, ed25519};
use tern_ports::{
    ObjectHost, Sql, SqlError,
    wire::receive::{PduResult, Receipted, ReceiveEvents, ServerKey},
};
use tern_room::{
    AuthoriseError, RedactError, RoomView as _, Unverified, Verdict, Version, acl, authorise_outlier, redact,
};

use crate::{
    RoomActor, SCHEMA,
    graph::{
        admit::Admitted,
        batch::Batch,
        known::{Fetched, Graph},
        side_events::EventStatus,
    },
    timeline::{
        send::Job,
        store::Head,
        view::{Entry, Redacts, Transaction, redacts},
    },
};

/// Most events of one request, and most events that they cite.
const MOST_EVENTS: usize = 50;
const MAX_OUTLIERS: usize = 500;

/// How often what is missing is looked for.
const SEARCHES: usize = 8;

impl<H: ObjectHost> RoomActor<H> {
    /// Takes events in. What they need and is not here is looked for in the storage worker; what is not there either is
    /// named in the answer.
    pub(crate) async fn receive_events(self: &Rc<Self>, request: ReceiveEvents) -> Result<Vec<Receipted>, MatrixError> {
        if request.events.len() > MOST_EVENTS || request.outliers.len() > MAX_OUTLIERS {
            return Err(MatrixError::too_large("Too many events at once"));
        }
        let version = self.version_of(&request)?;
        let keys = Keys::read(&request.keys)?;
        let (events, mut receipts) = self.genuine(version, &request.events, &keys);
        let (outliers, _) = self.genuine(version, &request.outliers, &keys);
        let order = events.iter().map(|pdu| pdu.id().to_owned()).collect::<Vec<_>>();
        let batch = Rc::new(Batch::of(events, outliers));
        if self.head()?.is_none() {
            self.found_elsewhere(version, &batch)?;
        }
        self.check_origin(&request)?;
        self.take_batch(&batch).await?;
        let mut results = batch.results.take();
        receipts.extend(order.into_iter().map(|event_id| {
            let result = results.remove(&event_id).unwrap_or(PduResult::Accepted);
            Receipted { event_id: Some(event_id), result }
        }));
        Ok(receipts)
    }

    async fn take_batch(self: &Rc<Self>, batch: &Rc<Batch>) -> Result<(), MatrixError> {
        self.fetch_targets(batch).await?;
        for _ in 0..SEARCHES {
            self.submit(Job::Receive(Rc::clone(batch))).await?;
            if !self.fetch(batch, batch.missing()).await? {
                break;
            }
        }
        Ok(())
    }

    fn version_of(&self, request: &ReceiveEvents) -> Result<&'static Version, MatrixError> {
        if let Some(head) = self.head()? {
            return Ok(head.version);
        }
        let version = request.version.as_deref().ok_or_else(|| MatrixError::not_found("There is no such room"))?;
        let unsupported = || MatrixError::new(400, "M_UNSUPPORTED_ROOM_VERSION", "The room version is not supported");
        Version::known(version).ok_or_else(unsupported)
    }

    /// Refuses what a server sends that the room keeps out (Server-Server API, "Server Access Control Lists").
    fn check_origin(&self, request: &ReceiveEvents) -> Result<(), MatrixError> {
        let head = self.room()?;
        let tx = Transaction::new(&self.room_id, self.host.sql(), &self.cache, Rc::unwrap_or_clone(head));
        if acl::allows(&tx, &request.origin)? {
            Ok(())
        } else {
            Err(MatrixError::forbidden("The room keeps this server out"))
        }
    }

    /// The events that are what their servers made, and what is said of the others.
    fn genuine(&self, version: &'static Version, raw: &[RawJson], keys: &Keys) -> (Vec<Pdu>, Vec<Receipted>) {
        let (mut genuine, mut dropped) = (Vec::new(), Vec::new());
        for raw in raw {
            let read = Unverified::read(version, &self.room_id, raw);
            let event_id = read.as_ref().ok().map(|unverified| unverified.event_id().clone());
            match read.and_then(|unverified| unverified.verify(&keys.good_for(version, raw))) {
                Ok(received) => genuine.push(received.pdu),
                Err(reason) => dropped.push(Receipted { event_id, result: PduResult::Dropped(reason.to_string()) }),
            }
        }
        // Older ones first, so that most find what they stand on.
        genuine.sort_by(|a, b| (a.depth(), a.id()).cmp(&(b.depth(), b.id())));
        genuine.dedup_by(|a, b| a.id() == b.id());
        (genuine, dropped)
    }

    /// Makes the room of its first events, if they are its first events.
    fn found_elsewhere(&self, version: &'static Version, batch: &Batch) -> Result<(), MatrixError> {
        let no_beginning = || MatrixError::bad_json("The room's first events are missing");
        let create = batch.events.first().filter(|pdu| pdu.prev().is_empty()).ok_or_else(no_beginning)?;
        let sql = self.host.sql();
        let tx = Transaction::new(&self.room_id, sql, &self.cache, Head::empty(version));
        sql.transaction(|| {
            SCHEMA.create_within(sql)?;
            tx.seal()?;
            match tx.admit(&Entry::plain(create.clone()), &Fetched::default())? {
                Admitted::Accepted => tx.seal(),
                _ => Err(SqlError("the room cannot begin this way".to_owned())),
            }
        })
        .map_err(|_| no_beginning())?;
        self.adopt(tx.committed());
        Ok(())
    }

    /// One turn over the whole batch, again and again while something new is taken in.
    pub(crate) fn receive_batch(tx: &Transaction<'_, H::Sql>, batch: &Batch) -> Result<(), SqlError> {
        let fetched = batch.fetched.borrow();
        batch.results.borrow_mut().clear();
        Self::add_outliers(tx, batch, &fetched)?;
        let mut open: Vec<&Pdu> = batch.events.iter().collect();
        loop {
            let before = open.len();
            let mut waiting = Vec::new();
            for pdu in open {
                let result = receive(tx, pdu, &fetched)?;
                if matches!(result, PduResult::Missing(_)) {
                    waiting.push(pdu);
                }
                batch.results.borrow_mut().insert(pdu.id().to_owned(), result);
            }
            if waiting.is_empty() || waiting.len() == before {
                return Ok(());
            }
            open = waiting;
        }
    }

    /// Makes outliers known, those that their own auth events allow.
    fn add_outliers(tx: &Transaction<'_, H::Sql>, batch: &Batch, fetched: &Fetched) -> Result<(), SqlError> {
        for pdu in &batch.outliers {
            let store = tx.store();
            let known = store.seq_of(pdu.id().as_str())?.is_some() || store.side_event(pdu.id().as_str())?.is_some();
            if known || fetched.events.contains_key(pdu.id()) {
                continue;
            }
            match authorise_outlier(&Graph::new(tx, fetched, pdu), pdu) {
                Ok(Verdict::Accept) => store.store_side_event(pdu, EventStatus::Outlier, None, tx.newest())?,
                Ok(Verdict::Reject(reason) | Verdict::SoftFail(reason)) => {
                    store.store_side_event(pdu, EventStatus::Rejected, Some(&reason), tx.newest())?;
                }
                Err(AuthoriseError::Missing(_)) => {}
                Err(AuthoriseError::Unreadable(cause)) => return Err(SqlError(cause.0)),
            }
        }
        Ok(())
    }
}

/// What becomes of one event now.
fn receive<S: Sql>(tx: &Transaction<'_, S>, pdu: &Pdu, fetched: &Fetched) -> Result<PduResult, SqlError> {
    let store = tx.store();
    let id = pdu.id().as_str();
    match store.side_event(id)? {
        Some(side_event) if side_event.verdict == EventStatus::Rejected => {
            return Ok(PduResult::Rejected(side_event.reason.unwrap_or_default()));
        }
        Some(side_event) if side_event.verdict == EventStatus::SoftFailed => {
            return Ok(PduResult::SoftFailed(side_event.reason.unwrap_or_default()));
        }
        _ if store.seq_of(id)?.is_some() || fetched.events.contains_key(pdu.id()) => return Ok(PduResult::Accepted),
        _ => {}
    }
    let entry = Entry { redacts: redaction(tx, pdu, fetched)?, ..Entry::plain(pdu.clone()) };
    Ok(match tx.admit(&entry, fetched)? {
        Admitted::Accepted => PduResult::Accepted,
        Admitted::SideEvent(EventStatus::SoftFailed, reason) => PduResult::SoftFailed(reason),
        Admitted::SideEvent(_, reason) => PduResult::Rejected(reason),
        Admitted::Missing(missing) => PduResult::Missing(missing),
        Admitted::InternalError(reason) => PduResult::Dropped(reason),
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

/// Keys of other servers with the times until which they are good.
struct Keys(Vec<(String, String, Base64, Option<Millis>)>);

impl Keys {
    fn read(keys: &[ServerKey]) -> Result<Self, MatrixError> {
        let read = |key: &ServerKey| {
            let bytes = Base64::<Standard>::parse(&key.key).map_err(|_| MatrixError::bad_json("A key is no base64"))?;
            Ok((key.server_name.to_string(), key.key_id.clone(), bytes, key.valid_until))
        };
        keys.iter().map(read).collect::<Result<_, MatrixError>>().map(Self)
    }

    /// The real ones that had not expired when the event was made (room version 5, "Signing key validity period").
    fn good_for(&self, version: &Version, event: &RawJson) -> PublicKeyMap {
        #[derive(serde::Deserialize)]
        struct Made {
            origin_server_ts: u64,
        }
        let made = event.read::<Made>().map_or(u64::MAX, |made| made.origin_server_ts);
        let mut map = PublicKeyMap::new();
        for (server, key_id, key, valid_until) in &self.0 {
            let good = !version.enforces_key_validity() || valid_until.is_none_or(|until| made <= until.0);
            if good && !ed25519::is_weak(key.as_bytes()) {
                map.entry(server.clone()).or_default().insert(key_id.clone(), key.clone());
            }
        }
        map
    }
}
