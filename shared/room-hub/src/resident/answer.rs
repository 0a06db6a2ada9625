//! What a server is told whose user has come through this one.

use std::collections::BTreeSet;

use ruma::{EventId, OwnedEventId, OwnedServerName};
use tern_model::{Handshake, MatrixError, StoredEvent};
use tern_ports::{ObjectHost, Sql, SqlError, wire::handshake::SentMember};
use tern_room::summary::{HEROES, shown_state};

use crate::{
    RoomActor,
    timeline::{
        head::Head,
        store::{Store, damaged},
        view::parsed,
    },
};

impl<H: ObjectHost> RoomActor<H> {
    /// The answer to an event that is part of the room.
    pub(super) async fn answer_member(
        &self,
        handshake: Handshake,
        event_id: &EventId,
        omit_members: bool,
    ) -> Result<SentMember, MatrixError> {
        let head = self.room()?;
        let event = self.event_for_server(&head, event_id).await?;
        let sent =
            SentMember { event: event.pdu.clone(), state: Vec::new(), auth_chain: Vec::new(), servers: Vec::new() };
        match handshake {
            Handshake::Leave => Ok(sent),
            Handshake::Knock => {
                let shown = shown_state(&self.view(&head), &parsed(&event)?)?;
                Ok(SentMember { state: shown.iter().map(|pdu| pdu.raw().clone()).collect(), ..sent })
            }
            Handshake::Join => self.answer_join(&head, event, sent, omit_members).await,
        }
    }

    async fn answer_join(
        &self,
        head: &Head,
        event: StoredEvent,
        sent: SentMember,
        omit_members: bool,
    ) -> Result<SentMember, MatrixError> {
        let servers = self.store().servers_beside(&event.sender)?;
        if !omit_members {
            let served = self.served_state(head, &event.event_id, true).await?;
            return Ok(SentMember { state: served.events, auth_chain: served.auth_chain, servers, ..sent });
        }
        let heroes = self.store().first_members(["join", "invite"], HEROES)?;
        let heroes: BTreeSet<_> = heroes.into_iter().map(|hero| hero.event_id).collect();
        let mut state: Vec<StoredEvent> = self.state_before(head, &event).await?.into_values().collect();
        state.retain(|event| event.kind != "m.room.member" || heroes.contains(&event.event_id));
        let ids: BTreeSet<OwnedEventId> = state.iter().map(|event| event.event_id.clone()).collect();
        let chain = self.auth_chain(head, ids.iter().cloned().chain([event.event_id]).collect()).await?;
        let auth_chain = self.pdus(head, chain.into_iter().filter(|event_id| !ids.contains(event_id))).await?;
        Ok(SentMember { state: state.into_iter().map(|event| event.pdu).collect(), auth_chain, servers, ..sent })
    }
}

impl<S: Sql> Store<'_, S> {
    /// The servers of joined members, not counting one of them.
    fn servers_beside(self, user_id: &str) -> Result<Vec<OwnedServerName>, SqlError> {
        let rows = self.0.query(
            "SELECT DISTINCT substr(state_key, instr(state_key, ':') + 1) FROM state
             WHERE membership = 'join' AND state_key <> ?",
            &[user_id.into()],
        )?;
        rows.iter().map(|row| OwnedServerName::try_from(row.text(0).unwrap_or_default()).map_err(damaged)).collect()
    }
}
