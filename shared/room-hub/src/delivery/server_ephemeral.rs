//! Typing and receipts from other servers, and to them. What users here do is told when it happens, receipts when they are
//! written, so that those that follow each other quickly go as one. Nothing of it is repeated: the next one says more.

use std::rc::Rc;

use futures::{StreamExt, stream};
use ruma::OwnedUserId;
use tern_model::{BoundedVec, EventRef, MatrixError, Name, Receipt};
use tern_ports::{
    ObjectHost, ask_destination,
    wire::{
        Done,
        ephemeral::{MOST, ReadReceipt, ReceiveEphemeral, SendEphemeral, Typist},
        room::ReceiptDraft,
    },
};

use crate::RoomActor;

/// In a room of more servers nobody is told.
const MOST_SERVERS: usize = 100;
/// Objects told at once.
const AT_A_TIME: usize = 3;
/// Whoever types at another server does so for so long, in milliseconds, unless it says so again, which others do every forty
/// seconds.
const TYPING_MS: u64 = 45_000;

impl<H: ObjectHost> RoomActor<H> {
    /// Takes in what another server says of its users.
    pub(crate) async fn receive_ephemeral(self: &Rc<Self>, request: ReceiveEphemeral) -> Result<Done, MatrixError> {
        self.room_for(&request.origin)?;
        for Typist { user_id, typing } in request.typing {
            // Whoever is not in the room does not type there.
            self.note_typing(user_id, if typing { TYPING_MS } else { 0 }).ok();
        }
        for receipt in request.receipts {
            self.take_from_elsewhere(receipt).await.ok();
        }
        Ok(Done {})
    }

    async fn take_from_elsewhere(self: &Rc<Self>, receipt: ReadReceipt) -> Result<(), MatrixError> {
        let ReadReceipt { user_id, event_id, thread_id, ts } = receipt;
        self.check_joined(&user_id)?;
        let draft = ReceiptDraft { kind: Name::cut("m.read"), event_id, thread_id };
        self.take_draft(&user_id, draft, ts.min(self.host.now())).await
    }

    /// Tells the other servers that somebody here types, or has stopped.
    pub(crate) fn tell_servers_of_typing(self: &Rc<Self>, typing: Vec<Typist>) {
        self.tell_servers(typing, Vec::new());
    }

    /// Whether there are other servers that are told. In a room of this server alone nothing is made for them.
    pub(crate) fn meets_servers(&self) -> bool {
        self.servers().is_ok_and(|servers| (1..=MOST_SERVERS).contains(&servers.len()))
    }

    /// Tells the other servers of receipts. Private ones are nobody's business.
    pub(crate) fn tell_servers_of_receipts<'a>(self: &Rc<Self>, receipts: impl Iterator<Item = &'a Receipt>) {
        if !self.meets_servers() {
            return;
        }
        let of_here = receipts.filter(|receipt| receipt.kind == "m.read" && self.is_local(&receipt.user_id));
        let told = of_here.filter_map(|receipt| {
            let event_id = EventRef::new(receipt.event_id.clone()).ok()?;
            let (user_id, thread_id) = (receipt.user_id.clone(), receipt.thread_id.clone());
            Some(ReadReceipt { user_id, event_id, thread_id, ts: receipt.ts })
        });
        let told: Vec<_> = told.collect();
        for receipts in told.chunks(MOST) {
            self.tell_servers(Vec::new(), receipts.to_vec());
        }
    }

    fn tell_servers(self: &Rc<Self>, typing: Vec<Typist>, receipts: Vec<ReadReceipt>) {
        if typing.is_empty() && receipts.is_empty() {
            return;
        }
        let Ok(servers) = self.servers() else { return };
        if !self.meets_servers() {
            return;
        }
        let room_id = self.room_id.clone();
        let news = SendEphemeral { room_id, typing: BoundedVec::cut(typing), receipts: BoundedVec::cut(receipts) };
        let actor = Rc::clone(self);
        self.host.spawn(Box::pin(async move {
            actor.host.yield_now().await;
            let tells = servers.keys().map(|server| ask_destination(&*actor.host, server, news.clone()));
            stream::iter(tells).buffer_unordered(AT_A_TIME).collect::<Vec<_>>().await;
        }));
    }

    /// Users here among some who do not type any more.
    pub(crate) fn stopped(&self, mut users: Vec<OwnedUserId>) -> Vec<Typist> {
        users.retain(|user_id| self.is_local(user_id));
        users.into_iter().map(|user_id| Typist { user_id, typing: false }).collect()
    }
}
