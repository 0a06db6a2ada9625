//! What is sent next: the events of the rooms' hubs, made into a transaction.

use ruma::OwnedRoomId;
use tern_federation::queue::Progress;
use tern_model::{Bounded, MatrixError, RawJson, RoomSeq};
use tern_ports::{
    ObjectHost, SqlError, ask_room,
    wire::server_reads::{OutgoingEvents, ReadOutgoing},
};

use super::{
    DestinationActor,
    device_changes::MOST_CHANGES,
    ephemeral::Fleeting,
    store::{DeviceChange, Lane, Part, QueueRow, Transaction},
};

/// Rooms that are asked for one transaction.
const MOST_ROOMS: u32 = 50;
/// How often a room is asked that has nothing to be sent in so many positions.
const ROUNDS: usize = 10;

/// A transaction with what is in it.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) transaction: Transaction,
    pub(super) pdus: Vec<RawJson>,
    /// What goes along to a service.
    pub(super) ephemeral: Vec<RawJson>,
    pub(super) edus: Vec<RawJson>,
    /// Those of them that tell of changed devices.
    pub(super) edus_of_devices: usize,
    /// What is sent beside it, and forgotten with the object's memory.
    pub(super) fleeting: Fleeting,
    /// What each room has said of itself, in the order of the parts.
    pub(super) rooms: Vec<Known>,
}

impl Prepared {
    /// One of which nothing is stored.
    pub(super) fn unwritten(id: String, fleeting: Fleeting) -> Self {
        let transaction = Transaction { id, parts: Vec::new(), to_device: None, devices: Vec::new() };
        let (pdus, ephemeral, edus, rooms) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { transaction, pdus, ephemeral, edus, edus_of_devices: 0, fleeting, rooms }
    }

    /// Nothing of it has to arrive.
    pub(super) fn is_fleeting(&self) -> bool {
        self.transaction.parts.is_empty() && self.edus.is_empty()
    }

    /// Events, messages, and changes of devices.
    pub(super) fn len(&self) -> usize {
        let messages = self.edus.len().saturating_sub(self.edus_of_devices);
        self.pdus.len() + messages + self.transaction.devices.len()
    }
}

/// What a room's hub said when it was asked for events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    newest: RoomSeq,
    joined: bool,
}

/// Why there is nothing to be sent now.
#[derive(Debug)]
pub(super) enum Nothing {
    /// Nothing waits.
    Done,
    /// A room's hub cannot be asked, or the object's own rows: ours, and to be tried again.
    Later,
}

impl From<SqlError> for Nothing {
    fn from(_: SqlError) -> Self {
        Self::Later
    }
}

impl<H: ObjectHost> DestinationActor<H> {
    /// The transaction in flight, or a new one of what waits.
    pub(super) async fn next_transaction(&self) -> Result<Prepared, Nothing> {
        let row = self.queue_row()?.ok_or(Nothing::Done)?;
        let Some(transaction) = row.txn.clone() else { return self.make_transaction(row).await };
        let kept = self.queue.prepared.borrow().clone();
        if let Some(prepared) = kept.filter(|prepared| prepared.transaction.id == transaction.id) {
            return Ok(prepared);
        }
        let (mut transaction, mut pdus, mut rooms) = (transaction, Vec::new(), Vec::new());
        let mut less = false;
        for part in &mut transaction.parts {
            let ask = self.ask(part.from, Some(part.through), self.peer().most_events());
            let outgoing = ask_room(&*self.host, &part.room_id, ask).await;
            let Some(outgoing) = here(outgoing)? else {
                rooms.push(Known { newest: part.through, joined: false });
                continue;
            };
            pdus.extend(outgoing.events);
            rooms.push(Known { newest: outgoing.newest, joined: outgoing.joined });
            // Not yet sent: it was begun before anybody knew how much it is.
            less |= outgoing.through < part.through;
            part.through = part.through.min(outgoing.through);
        }
        if less {
            self.write_queue(QueueRow { txn: Some(transaction.clone()), ..row })?;
        }
        let mut edus = self.describe_changes(&transaction.devices).await.map_err(|_| Nothing::Later)?;
        let edus_of_devices = edus.len();
        edus.extend(self.messages_of(transaction.to_device)?);
        let ephemeral = self.for_service.take().into();
        Ok(self.keep(Prepared {
            transaction,
            pdus,
            edus,
            edus_of_devices,
            fleeting: Fleeting::default(),
            rooms,
            ephemeral,
        }))
    }

    async fn make_transaction(&self, row: QueueRow) -> Result<Prepared, Nothing> {
        // What messages are decrypted with goes before them.
        let (devices, described) = self.next_changes(row.progress).await?;
        let (edus_of_devices, mut later) = (described.as_ref().map_or(0, Vec::len), described.is_none());
        let mut edus = described.unwrap_or_default();
        let changes = u32::try_from(devices.len()).unwrap_or(u32::MAX);
        let (to_device, messages) = self.next_messages(row.progress.most_edus().saturating_sub(changes))?;
        let most = row.progress.most_pdus(changes.saturating_add(u32::try_from(messages.len()).unwrap_or(u32::MAX)));
        edus.extend(messages);
        let (mut parts, mut pdus, mut rooms) = (Vec::new(), Vec::new(), Vec::new());
        let most_bytes = self.peer().most_bytes();
        for lane in self.waiting_rooms()? {
            let bytes: usize = edus.iter().chain(&pdus).map(|item: &RawJson| item.text().len()).sum();
            let left = most.saturating_sub(u32::try_from(pdus.len()).unwrap_or(u32::MAX));
            if left == 0 || bytes >= most_bytes {
                break;
            }
            let room_id = lane.room_id.clone();
            match self.read_lane(lane, left, most_bytes - bytes).await {
                // What does not fit beside others is the first of the next.
                Ok(Some((_, outgoing))) if bytes > 0 && size(&outgoing) > most_bytes - bytes => break,
                Ok(Some((from, outgoing))) => {
                    parts.push(Part { room_id, from, through: outgoing.through });
                    rooms.push(Known { newest: outgoing.newest, joined: outgoing.joined });
                    pdus.extend(outgoing.events);
                }
                Ok(None) => {}
                // Others need not wait for it.
                Err(_) => later = true,
            }
        }
        // Rooms that this one had no place for come first in the next.
        self.queue.turn.replace(parts.last().map(|part: &Part| part.room_id.clone()));
        if parts.is_empty()
            && let Some(prepared) = self.ephemeral_transaction(row.birth)
        {
            return Ok(prepared);
        }
        let fleeting = self.ephemeral.take();
        if parts.is_empty() && edus.is_empty() && !fleeting.is_empty() {
            return Ok(self.fleeting_alone(&row, fleeting));
        }
        if parts.is_empty() && edus.is_empty() {
            return Err(if later { Nothing::Later } else { Nothing::Done });
        }
        let transaction = self.begin_transaction(Transaction { id: String::new(), parts, to_device, devices })?;
        let ephemeral = self.for_service.take().into();
        Ok(self.keep(Prepared { transaction, pdus, ephemeral, edus, edus_of_devices, fleeting, rooms }))
    }

    /// Rooms of which something waits, those first that the last transaction had no place for.
    fn waiting_rooms(&self) -> Result<Vec<Lane>, SqlError> {
        match &*self.queue.turn.borrow() {
            Some(last) => self.store().pending_after(last, MOST_ROOMS),
            None => self.store().pending(MOST_ROOMS),
        }
    }

    /// A transaction of which nothing is written: what is in it is lost with the object's memory, and its id is never used
    /// again.
    fn fleeting_alone(&self, row: &QueueRow, fleeting: Fleeting) -> Prepared {
        let id = format!("{}-e{}-{}", row.birth.0, self.host.now().0, self.spread());
        Prepared::unwritten(id, fleeting)
    }

    /// The changes of the next transaction, and what is told of them; nothing while the keys cannot be read.
    async fn next_changes(&self, progress: Progress) -> Result<(Vec<DeviceChange>, Option<Vec<RawJson>>), SqlError> {
        let changes = self.store().device_changes(progress.most_edus().min(MOST_CHANGES))?;
        match self.describe_changes(&changes).await {
            Ok(edus) => Ok((changes, Some(edus))),
            // Others need not wait for it.
            Err(_) => Ok((Vec::new(), None)),
        }
    }

    /// What of a room is to be sent, and from where; nothing when nothing is.
    async fn read_lane(
        &self,
        mut lane: Lane,
        limit: u32,
        max_bytes: usize,
    ) -> Result<Option<(RoomSeq, OutgoingEvents)>, Nothing> {
        for _ in 0..ROUNDS {
            let ask = ReadOutgoing { max_bytes, ..self.ask(lane.next, None, limit) };
            let Some(outgoing) = here(ask_room(&*self.host, &lane.room_id, ask).await)? else {
                self.store().drop_lane(&lane.room_id)?;
                return Ok(None);
            };
            if !outgoing.events.is_empty() {
                return Ok(Some((lane.next, outgoing)));
            }
            let known = Known { newest: outgoing.newest, joined: outgoing.joined };
            let Some(rest) = self.advance(&lane.room_id, outgoing.through, known)? else { return Ok(None) };
            lane = rest;
        }
        // It is a long way: the others first.
        Ok(None)
    }

    /// The server has all of a room up to here. What is left of it, if anything is.
    pub(super) fn advance(
        &self,
        room_id: &OwnedRoomId,
        through: RoomSeq,
        known: Known,
    ) -> Result<Option<Lane>, SqlError> {
        let told = self.queue.told(room_id);
        // Positions beyond the newest that the hub knew have been told after it was asked, so in this life.
        let last = known.newest.max(told);
        if through < last {
            let lane = Lane { room_id: room_id.clone(), next: through.next(), last };
            self.store().put_lane(&lane)?;
            return Ok(Some(lane));
        }
        if known.joined {
            self.store().put_lane(&Lane { room_id: room_id.clone(), next: through.next(), last: through })?;
        } else {
            self.store().drop_lane(room_id)?;
        }
        Ok(None)
    }

    fn ask(&self, from: RoomSeq, until: Option<RoomSeq>, limit: u32) -> ReadOutgoing {
        let service = self.service.as_ref().map(Bounded::cut);
        ReadOutgoing { server: self.name.clone(), service, from, until, limit, max_bytes: self.peer().most_bytes() }
    }

    fn keep(&self, prepared: Prepared) -> Prepared {
        self.queue.prepared.replace(Some(prepared.clone()));
        prepared
    }
}

/// What a hub has said; nothing when there is no such room any more.
fn here(outgoing: Result<OutgoingEvents, MatrixError>) -> Result<Option<OutgoingEvents>, Nothing> {
    match outgoing {
        Ok(outgoing) => Ok(Some(outgoing)),
        Err(error) if error.status == 404 => Ok(None),
        Err(_) => Err(Nothing::Later),
    }
}

fn size(outgoing: &OutgoingEvents) -> usize {
    outgoing.events.iter().map(|event| event.text().len()).sum()
}
