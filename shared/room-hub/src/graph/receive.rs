//! Events from elsewhere: limits, who may send them, and the turns in which they are taken in.

use std::rc::Rc;

use ruma::ServerName;
use tern_model::MatrixError;
use tern_ports::{
    ObjectHost, Sql as _, SqlError,
    wire::receive::{PduResult, Receipted, ReceiveEvents},
};
use tern_room::{Version, acl, order::topological};

use crate::{
    RoomActor, SCHEMA,
    graph::{
        admit::Admitted,
        batch::{Batch, SEARCHES},
        fetched::Fetched,
        genuine::Keys,
    },
    timeline::{
        head::Head,
        send::Job,
        view::{Entry, Transaction},
    },
};

/// Most events of one request, and most events that they cite.
const MOST_EVENTS: usize = 50;
const MAX_OUTLIERS: usize = 500;

/// Most bytes of both: twice what fifty of the largest events take, or the outliers of a usual size.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// Turns that one batch gets. In each at least one event is checked, so this is enough for all, some of them again.
const MOST_TURNS: usize = 100;

impl<H: ObjectHost> RoomActor<H> {
    /// Takes events in. What they need and is not here is looked for in the storage worker; what is not there either is
    /// named in the answer, and the events that need it are kept until it comes.
    pub(crate) async fn receive_events(self: &Rc<Self>, request: ReceiveEvents) -> Result<Vec<Receipted>, MatrixError> {
        check_size(&request)?;
        let version = self.version_of(&request)?;
        self.check_origin(&request)?;
        self.take_share(&request.origin, request.events.len() + request.outliers.len())?;
        let keys = Keys::read(&request.keys, self.host.now())?;
        let genuine = self.genuine(version, &request.events, &keys)?;
        let outliers = topological(self.genuine(version, &request.outliers, &keys)?.events);
        let (mut receipts, events) = (genuine.receipts, genuine.events.clone());
        let batch = Rc::new(Batch::of(topological(genuine.events), outliers));
        if self.head()?.is_none() {
            self.found_elsewhere(version, &batch)?;
        }
        let order = batch.ids();
        self.take_batch(&batch).await?;
        let mut results = batch.results.take();
        self.keep_unfinished(&request.origin, &events, &results).await?;
        receipts.extend(order.into_iter().map(|event_id| {
            let late = || PduResult::Deferred("there is too much to do".to_owned());
            let result = results.remove(&event_id).unwrap_or_else(late);
            Receipted { event_id: Some(event_id), result }
        }));
        Ok(receipts)
    }

    /// Turn after turn, so that others have theirs in between.
    pub(crate) async fn take_batch(self: &Rc<Self>, batch: &Rc<Batch>) -> Result<(), MatrixError> {
        self.fetch_trimmed(batch).await?;
        let mut searches = 0;
        for _ in 0..MOST_TURNS {
            self.submit(Job::Receive(Rc::clone(batch))).await?;
            if batch.unfinished.get() {
                continue;
            }
            searches += 1;
            if searches > SEARCHES || !self.fetch(batch, batch.missing()).await? {
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
        let Some(head) = self.head()? else { return Ok(()) };
        let tx = Transaction::new(&self.room_id, self.host.sql(), &self.cache, Rc::unwrap_or_clone(head));
        if acl::allows(&tx, &request.origin)? {
            Ok(())
        } else {
            Err(MatrixError::forbidden("The room keeps this server out"))
        }
    }

    /// Refuses what a server sends beyond its share.
    pub(crate) fn take_share(&self, origin: &ServerName, events: usize) -> Result<(), MatrixError> {
        self.origins.take(origin, events, self.host.now()).map_err(MatrixError::limit_exceeded)
    }

    /// Makes the room of its first events, if they are its first events.
    fn found_elsewhere(&self, version: &'static Version, batch: &Batch) -> Result<(), MatrixError> {
        let no_beginning = || MatrixError::bad_json("The room's first events are missing");
        let create = batch.first().filter(|pdu| pdu.prev().is_empty()).ok_or_else(no_beginning)?;
        let sql = self.host.sql();
        let now = self.host.now();
        let tx = Transaction::new(&self.room_id, sql, &self.cache, Head::empty(version)).at(now);
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
}

fn check_size(request: &ReceiveEvents) -> Result<(), MatrixError> {
    let all = || request.events.iter().chain(&request.outliers);
    if request.events.len() > MOST_EVENTS || request.outliers.len() > MAX_OUTLIERS {
        return Err(MatrixError::too_large("Too many events at once"));
    }
    if all().map(|event| event.text().len()).sum::<usize>() > MOST_BYTES {
        return Err(MatrixError::too_large("Too many bytes of events at once"));
    }
    Ok(())
}
