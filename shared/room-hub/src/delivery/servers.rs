//! Which other servers are in the room, and from where they are told.
//!
//! Kept as a table, one row for each server, so that nobody has to look through twenty thousand members to find that all
//! of them are local. It follows the membership of users of other servers alone: a room without any pays nothing.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ruma::{OwnedServerName, ServerName, UserId};
use tern_model::{RoomSeq, StoredEvent};
use tern_object_kit::schema::Step;
use tern_ports::{ObjectHost, Sql, SqlError};
use tern_room::Audience;

use crate::{
    RoomActor,
    delivery::server_queue::{Recipient, ServerQueue},
    timeline::{
        store::{Store, damaged},
        view::Transaction,
    },
};

/// `since` is where the first user of a server came in who is still there or has been followed by others. `passed_on` are
/// events of users of other servers that this one tells all others of, since they came through it.
pub(crate) const TABLES: Step = &[
    "CREATE TABLE servers (server TEXT PRIMARY KEY, since INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "INSERT INTO servers SELECT lower(substr(state_key, instr(state_key, ':') + 1)), min(coalesce(since, seq))
         FROM state WHERE membership = 'join' GROUP BY 1",
    "CREATE TABLE passed_on (seq INTEGER PRIMARY KEY) STRICT",
];

/// Servers in the room, and since when.
pub(crate) type Present = BTreeMap<OwnedServerName, RoomSeq>;

/// The servers in the room, as far as they were read.
#[derive(Default)]
pub(crate) struct Servers(RefCell<Option<Rc<Present>>>);

impl<H: ObjectHost> RoomActor<H> {
    /// Other servers with joined members that are met at all.
    pub(crate) fn servers(&self) -> Result<Rc<Present>, SqlError> {
        if let Some(servers) = &*self.servers.0.borrow() {
            return Ok(Rc::clone(servers));
        }
        let mut servers = self.store().servers()?;
        servers.retain(|server, _| self.is_told(server));
        let servers = Rc::new(servers);
        self.servers.0.replace(Some(Rc::clone(&servers)));
        Ok(servers)
    }

    /// Other servers have joined members.
    pub(crate) fn has_other_servers(&self) -> Result<bool, SqlError> {
        Ok(!self.servers()?.is_empty())
    }

    /// The table has changed otherwise than by [`Self::follow_servers`].
    pub(crate) fn servers_changed(&self) {
        self.servers.0.take();
    }

    pub(crate) fn is_told(&self, server: &ServerName) -> bool {
        *server != *self.config.server_name && self.config.federation.meets(server.as_str())
    }

    /// Takes over which users of other servers a turn has brought in or taken out, in its transaction.
    pub(crate) fn follow_servers(&self, tx: &Transaction<'_, H::Sql>) -> Result<(), SqlError> {
        for (user_id, joined) in tx.members_changed().into_iter().filter(|(user_id, _)| !self.is_local(user_id)) {
            let server = in_small_letters(user_id.server_name())?;
            match joined {
                Some(since) => self.store().add_server(&server, since)?,
                None if !self.store().has_joined(user_id.server_name().as_str())? => {
                    self.store().drop_server(&server)?;
                }
                None => {}
            }
            self.servers.0.take();
        }
        Ok(())
    }

    /// Queues servers for what happened: those in the room, and those whose last users it took out.
    pub(crate) fn queue_servers(
        &self,
        queue: &mut ServerQueue,
        events: &[StoredEvent],
        audience: &Audience,
    ) -> Result<(), SqlError> {
        let here = self.servers()?;
        let moved = audience.changed().filter(|(user_id, _)| !self.is_local(user_id));
        let moved: Result<Vec<_>, _> = moved.map(|(user_id, _)| in_small_letters(user_id.server_name())).collect();
        let gone: BTreeSet<_> =
            moved?.into_iter().filter(|server| !here.contains_key(server) && self.is_told(server)).collect();
        if here.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(()) };
        let passed_on = self.store().passed_on(first.seq.previous(), last.seq)?;
        let ours: Vec<RoomSeq> =
            events.iter().filter(|event| self.is_ours(event, &passed_on)).map(|event| event.seq).collect();
        let gone = gone.iter().map(|server| (server, RoomSeq::default()));
        for (server, since) in here.iter().map(|(server, since)| (server, *since)).chain(gone) {
            // What was before a server came, it has got by coming.
            if let Some(from) = ours.iter().find(|seq| **seq > since) {
                queue.enqueue(&Recipient::Server(server.clone()), *from);
            }
        }
        Ok(())
    }

    /// This server tells the others of the event.
    pub(crate) fn is_ours(&self, event: &StoredEvent, passed_on: &BTreeSet<RoomSeq>) -> bool {
        let is_local = <&UserId>::try_from(event.sender.as_str()).is_ok_and(|sender| self.is_local(sender));
        is_local || passed_on.contains(&event.seq)
    }
}

/// A server's name as its object has it.
pub(crate) fn in_small_letters(server: &ServerName) -> Result<OwnedServerName, SqlError> {
    OwnedServerName::try_from(server.as_str().to_ascii_lowercase()).map_err(damaged)
}

impl<S: Sql> Store<'_, S> {
    fn servers(self) -> Result<Present, SqlError> {
        let rows = self.0.query("SELECT server, since FROM servers", &[])?;
        let server = |row: &tern_ports::Row| {
            let name = OwnedServerName::try_from(row.text(0).unwrap_or_default()).map_err(damaged)?;
            Ok((name, RoomSeq(row.int(1).unwrap_or_default())))
        };
        rows.iter().map(server).collect()
    }

    /// Since when users of a server are in the room, if any are.
    pub(crate) fn server_since(self, server: &ServerName) -> Result<Option<RoomSeq>, SqlError> {
        let rows = self.0.query("SELECT since FROM servers WHERE server = ?", &[server.as_str().into()])?;
        Ok(rows.first().and_then(|row| row.int(0)).map(RoomSeq))
    }

    fn add_server(self, server: &ServerName, since: RoomSeq) -> Result<(), SqlError> {
        let sql = "INSERT INTO servers VALUES (?, ?) ON CONFLICT DO NOTHING";
        self.0.query(sql, &[server.as_str().into(), since.0.into()])?;
        Ok(())
    }

    /// All servers in the room have what is up to here.
    pub(crate) fn servers_know(self, until: RoomSeq) -> Result<(), SqlError> {
        self.0.query("UPDATE servers SET since = ?", &[until.0.into()])?;
        Ok(())
    }

    fn drop_server(self, server: &ServerName) -> Result<(), SqlError> {
        self.0.query("DELETE FROM servers WHERE server = ?", &[server.as_str().into()])?;
        Ok(())
    }

    /// Which events with positions in `(after, until]` came through this server.
    pub(crate) fn passed_on(self, after: RoomSeq, until: RoomSeq) -> Result<BTreeSet<RoomSeq>, SqlError> {
        let sql = "SELECT seq FROM passed_on WHERE seq > ? AND seq <= ?";
        let rows = self.0.query(sql, &[after.0.into(), until.0.into()])?;
        Ok(rows.iter().filter_map(|row| row.int(0)).map(RoomSeq).collect())
    }

    /// The event at `seq` came through this server.
    pub(crate) fn pass_on(self, seq: RoomSeq) -> Result<(), SqlError> {
        self.0.query("INSERT INTO passed_on VALUES (?) ON CONFLICT DO NOTHING", &[seq.0.into()])?;
        Ok(())
    }

    /// Events up to here are not looked at one by one any more.
    pub(crate) fn forget_passed_on(self, until: RoomSeq) -> Result<(), SqlError> {
        self.0.query("DELETE FROM passed_on WHERE seq <= ?", &[until.0.into()])?;
        Ok(())
    }
}
