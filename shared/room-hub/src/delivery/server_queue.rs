//! Telling the objects of other servers and application services that there is something for them. As for members' hubs: one worker after
//! the other takes the next one; one that could not be told becomes a row, and is told again.

use std::{collections::BTreeMap, rc::Rc};

use ruma::OwnedServerName;
use tern_model::{Millis, RoomSeq};
use tern_object_kit::alarm::backed_off;
use tern_ports::{ObjectHost, Sql, SqlError, ask_destination, ask_service, wire::destination::EnqueueEvents};

use crate::{RoomActor, timeline::store::Store};

/// Objects told at once, beside the hubs of members.
const WORKERS: usize = 3;
/// Delays between attempts.
const RETRY: (u64, u64) = (5_000, 600_000);

/// Who is told beside members' hubs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Recipient {
    /// Another server.
    Server(OwnedServerName),
    /// An application service, by its id.
    Service(String),
}

/// What stands before a service's id in its row; no name of a server or user begins so.
const SERVICE: &str = "appservice/";

impl Recipient {
    /// As a row names it.
    fn name(&self) -> String {
        match self {
            Self::Server(server) => server.to_string(),
            Self::Service(id) => format!("{SERVICE}{id}"),
        }
    }

    fn named(name: &str) -> Option<Self> {
        match name.strip_prefix(SERVICE) {
            Some(id) => Some(Self::Service(id.to_owned())),
            None => OwnedServerName::try_from(name).ok().map(Self::Server),
        }
    }
}

/// Servers and the first positions they are still to be told of.
#[derive(Default)]
pub(crate) struct ServerQueue {
    pub(crate) pending: BTreeMap<Recipient, RoomSeq>,
    pub(crate) in_flight: BTreeMap<Recipient, RoomSeq>,
    /// Those whose objects could not be told: the rows of them.
    pub(crate) failed: BTreeMap<Recipient, RoomSeq>,
    workers: usize,
    failures: u32,
    retry_at: Option<Millis>,
}

impl ServerQueue {
    pub(crate) fn enqueue(&mut self, server: &Recipient, from: RoomSeq) {
        let from = self.failed.get(server).map_or(from, |failed| from.min(*failed));
        let pending = self.pending.entry(server.clone()).or_insert(from);
        *pending = from.min(*pending);
    }

    /// The next one who is not just being told.
    fn take_next(&mut self) -> Option<(Recipient, RoomSeq)> {
        let (server, from) = self.pending.iter().find(|(server, _)| !self.in_flight.contains_key(*server))?;
        let (server, from) = (server.clone(), *from);
        self.pending.remove(&server);
        self.in_flight.insert(server.clone(), from);
        Some((server, from))
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.in_flight.is_empty()
    }

    /// The first position that somebody is still to be told of.
    pub(crate) fn first(&self) -> Option<RoomSeq> {
        self.pending.values().chain(self.in_flight.values()).min().copied()
    }

    /// Queues those who could not be told, when their time has come.
    pub(crate) fn retry(&mut self, now: Millis) {
        if self.retry_at.is_none_or(|at| at <= now) {
            self.retry_at = None;
            for (server, from) in self.failed.clone() {
                self.enqueue(&server, from);
            }
        }
    }

    /// When those are to be told who could not be; `otherwise` while that is tried.
    pub(crate) fn due(&self, otherwise: Millis) -> Option<Millis> {
        (!self.failed.is_empty()).then(|| self.retry_at.unwrap_or(otherwise))
    }
}

/// Works on the queue. When it is dropped on the way, what it carried goes back.
struct Worker<H: ObjectHost> {
    actor: Rc<RoomActor<H>>,
    load: Option<(Recipient, RoomSeq)>,
}

impl<H: ObjectHost> Drop for Worker<H> {
    fn drop(&mut self) {
        let servers = &mut self.actor.announcer.0.borrow_mut().servers;
        servers.workers = servers.workers.saturating_sub(1);
        if let Some((server, from)) = self.load.take() {
            servers.in_flight.remove(&server);
            servers.enqueue(&server, from);
        }
    }
}

impl<H: ObjectHost> Worker<H> {
    async fn work(mut self) {
        let actor = Rc::clone(&self.actor);
        while let (Ok(()), Ok(Some(head))) = (actor.absorb(), actor.head()) {
            let Some((server, from)) = actor.announcer.0.borrow_mut().servers.take_next() else { break };
            self.load = Some((server.clone(), from));
            let ask = EnqueueEvents { room_id: actor.room_id.clone(), from, until: head.newest };
            let told = match &server {
                Recipient::Server(name) => ask_destination(&*actor.host, name, ask).await.is_ok(),
                Recipient::Service(id) => ask_service(&*actor.host, id, ask).await.is_ok(),
            };
            if actor.finish_server(&server, from, told).is_err() {
                // The failure could not be written down: it goes back to the queue, and the alarm comes back to it.
                break;
            }
            self.load = None;
            actor.move_announced();
        }
    }
}

impl<H: ObjectHost> RoomActor<H> {
    /// Sees to it that somebody works on the queue.
    pub(crate) fn start_server_workers(self: &Rc<Self>) {
        let wanted = {
            let servers = &mut self.announcer.0.borrow_mut().servers;
            let wanted = servers.pending.len().min(WORKERS.saturating_sub(servers.workers));
            servers.workers += wanted;
            wanted
        };
        for _ in 0..wanted {
            let worker = Worker { actor: Rc::clone(self), load: None };
            self.host.spawn(Box::pin(worker.work()));
        }
    }

    /// Keeps the books after an attempt to tell the object of a server.
    fn finish_server(&self, server: &Recipient, from: RoomSeq, told: bool) -> Result<(), SqlError> {
        let queue = &mut self.announcer.0.borrow_mut().servers;
        if told {
            if queue.failed.contains_key(server) {
                self.store().drop_failed_recipient(&server.name())?;
                queue.failed.remove(server);
            }
            queue.failures = 0;
        } else {
            if queue.failed.get(server) != Some(&from) {
                self.store().put_failed_recipient(&server.name(), from)?;
                queue.failed.insert(server.clone(), from);
            }
            queue.failures = queue.failures.saturating_add(1);
            queue.retry_at = Some(queue.retry_at.unwrap_or(backed_off(self.host.now(), queue.failures, RETRY)));
        }
        queue.in_flight.remove(server);
        Ok(())
    }
}

impl<S: Sql> Store<'_, S> {
    /// Servers whose objects could not be told, with the first position they miss.
    pub(crate) fn failed_servers(self) -> Result<BTreeMap<Recipient, RoomSeq>, SqlError> {
        let rows = self.0.query("SELECT user_id, from_seq FROM laggards WHERE user_id NOT LIKE '@%'", &[])?;
        let servers = rows.iter();
        Ok(servers.filter_map(|row| Some((Recipient::named(row.text(0)?)?, RoomSeq(row.int(1)?)))).collect())
    }
}
