//! What is told of an event.

use ruma::{OwnedRoomId, RoomId, UserId};
use serde::Deserialize;
use serde_json::Value;
use tern_model::{MatrixError, NoticeEvent, RawJson, RoomSeq};
use tern_ports::{
    ObjectHost, WaitingPolls, ask_room,
    wire::{room::ReadSlice, sync::SyncAsk},
};
use tern_push::{
    Event,
    gateway::{self, Told},
    queue::Choice,
};

use crate::{
    UserActor,
    counting::{Place, thread},
    member::MEMBER,
    store::{facts::Facts, inbox},
};

/// An event and what is known beside it.
pub(super) struct PushedEvent {
    room_id: OwnedRoomId,
    client: RawJson,
    tweaks: Vec<(String, Value)>,
    sender_name: Option<String>,
    room_name: Option<String>,
}

impl PushedEvent {
    /// As the gateway's request has it.
    pub(super) fn told<'a>(&'a self, user_id: &'a UserId) -> Told<'a> {
        Told {
            user_id,
            room_id: &self.room_id,
            client: &self.client,
            tweaks: self.tweaks.clone(),
            sender_name: self.sender_name.clone(),
            room_name: self.room_name.clone(),
        }
    }
}

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// What is told of an event; its names are looked for unless they are not told. Nothing when there is nothing to be told
    /// any more.
    pub(super) async fn told_of(&self, choice: &Choice, brief: bool) -> Result<Option<PushedEvent>, MatrixError> {
        let (room_id, seq) = (&choice.room_id, choice.place.1);
        let found = inbox::at(self.host.sql(), room_id, seq)?;
        let Some((_, event)) = found.filter(|(_, event)| !gateway::is_over(&event.client, self.host.now())) else {
            return Ok(None);
        };
        let facts = self.facts(room_id)?;
        let tweaks = self.tweaks(room_id, &facts, &event, choice.highlight)?;
        let (mut sender_name, mut room_name) = (None, None);
        if !brief {
            sender_name = self.sender_name(room_id, &facts, &event).await?;
            room_name = room_name_of(&facts, &self.user_id);
        }
        let room_id = room_id.clone();
        Ok(Some(PushedEvent { room_id, client: event.client, tweaks, sender_name, room_name }))
    }

    /// What is told of an invite that is in no inbox, if it notifies.
    pub(super) fn told_of_invite(
        &self,
        room_id: OwnedRoomId,
        event: NoticeEvent,
    ) -> Result<Option<PushedEvent>, MatrixError> {
        let facts = self.facts(&room_id)?;
        let notifies = self.evaluate_event(&Place::of(&room_id, &facts), &event, &Event::read(&event.client), None)?;
        let Some(highlight) = notifies else { return Ok(None) };
        let tweaks = self.tweaks(&room_id, &facts, &event, highlight)?;
        let sender_name = stripped(&facts, MEMBER, event.sender.as_str(), "displayname");
        let room_name = room_name_of(&facts, &self.user_id);
        Ok(Some(PushedEvent { room_id, client: event.client, tweaks, sender_name, room_name }))
    }

    /// The tweaks of the rule that the event met. That it notifies, and whether it highlights, was settled when it came.
    fn tweaks(
        &self,
        room_id: &RoomId,
        facts: &Facts,
        event: &NoticeEvent,
        highlight: bool,
    ) -> Result<Vec<(String, Value)>, MatrixError> {
        let read = Event::read(&event.client);
        let thread = thread(self.host.sql(), room_id, &read)?;
        let place = Place::of(room_id, facts);
        // Whoever's mention of the room highlighted was allowed to mention it.
        let pings = NoticeEvent { pings_room: highlight, ..event.clone() };
        let mut tweaks = self.tweaks_of(&place, &pings, thread.as_deref())?;
        tweaks.retain(|(name, _)| name != "highlight");
        if highlight {
            tweaks.push(("highlight".to_owned(), Value::Bool(true)));
        }
        Ok(tweaks)
    }

    /// The sender's name in the room, by what the hub has, or else by what the room says.
    async fn sender_name(
        &self,
        room_id: &RoomId,
        facts: &Facts,
        event: &NoticeEvent,
    ) -> Result<Option<String>, MatrixError> {
        let sender = event.sender.as_str();
        if let Some(name) = stripped(facts, MEMBER, sender, "displayname") {
            return Ok(Some(name));
        }
        if let Some(member) = inbox::member(self.host.sql(), room_id, &event.sender, RoomSeq(0))? {
            return Ok(named(&member));
        }
        let heroes = facts.summary.iter().flat_map(|summary| &summary.heroes);
        if let Some(hero) = heroes.into_iter().find(|hero| hero.user_id == event.sender) {
            return Ok(hero.name.clone());
        }
        Ok(self.ask_name(room_id, sender).await)
    }

    /// A name is not worth a failure.
    async fn ask_name(&self, room_id: &RoomId, user_id: &str) -> Option<String> {
        let ask = SyncAsk {
            room_id: room_id.to_owned(),
            user_id: self.user_id.clone(),
            after: None,
            until: None,
            limit: 0,
            state: vec![(MEMBER.to_owned(), user_id.to_owned())],
            lazy: false,
            members: Vec::new(),
            replaced: false,
        };
        let slice = ask_room(&*self.host, room_id, ReadSlice { ask }).await.ok()?;
        named(&slice.state.first()?.pdu)
    }
}

/// The name in a member event.
fn named(member: &RawJson) -> Option<String> {
    #[derive(Deserialize)]
    struct Member {
        content: Content,
    }
    #[derive(Deserialize)]
    struct Content {
        displayname: Option<String>,
    }
    member.read::<Member>().ok()?.content.displayname
}

/// The room's name (Client-Server API, "Calculating the display name for a room"), if it is called by more than ids.
fn room_name_of(facts: &Facts, own: &UserId) -> Option<String> {
    let Some(summary) = &facts.summary else {
        let named = stripped(facts, "m.room.name", "", "name");
        return named.or_else(|| stripped(facts, "m.room.canonical_alias", "", "alias"));
    };
    let named = summary.name.clone().filter(|name| !name.is_empty());
    named.or_else(|| summary.canonical_alias.clone()).or_else(|| {
        let others = summary.heroes.iter().filter(|hero| hero.user_id != own);
        let names: Vec<String> =
            others.take(5).map(|hero| hero.name.clone().unwrap_or_else(|| hero.user_id.to_string())).collect();
        Some(names.join(", ")).filter(|names| !names.is_empty())
    })
}

/// A text in the stripped state of an invite.
fn stripped(facts: &Facts, kind: &str, state_key: &str, field: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Stripped {
        r#type: String,
        state_key: String,
        content: Value,
    }
    let events = facts.stripped.iter().filter_map(|event| event.read::<Stripped>().ok());
    let found = events.into_iter().find(|event| event.r#type == kind && event.state_key == state_key)?;
    found.content.get(field).and_then(Value::as_str).map(str::to_owned)
}
