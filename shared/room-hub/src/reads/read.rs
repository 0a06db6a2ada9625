//! Reading single events, state and members.

use std::rc::Rc;

use ruma::{EventId, OwnedUserId, UserId};
use serde::Deserialize;
use tern_model::{MatrixError, RawJson, RoomSeq, StoredEvent};
use tern_ports::{
    ObjectHost, SqlError, ask_storage,
    wire::{
        room::{JoinedMember, ReadEvent, ReadJoinedMembers, ReadState, ReadStateEvent},
        storage::LoadEvent,
        sync::VisibilityFacts,
    },
};

use crate::{
    RoomActor,
    reads::{
        access::{Reach, joined_facts, visible},
        aggregate::Reading,
    },
    timeline::head::Head,
};

/// State events read at once: at most 4 MiB, without what they replaced.
const PAGE: u32 = 64;

impl<H: ObjectHost> RoomActor<H> {
    /// One event; 404 when there is none or the reader may not see it.
    pub(crate) async fn read_event(&self, request: &ReadEvent) -> Result<RawJson, MatrixError> {
        let reader = &*request.caller.user_id;
        let (head, event, facts) = self.find_visible(reader, &request.event_id).await?;
        let end = self.end_for(&head, reader, event.seq).await?;
        let reading = Reading { head: &head, caller: &request.caller, facts: &facts, end, ignored: &request.ignored };
        self.show(&reading, &[event]).await?.pop().ok_or_else(MatrixError::internal)
    }

    /// An event, wherever it is, with the facts from its position on; 404 when there is none or the reader may not see it.
    pub(crate) async fn find_visible(
        &self,
        reader: &UserId,
        event_id: &EventId,
    ) -> Result<(Rc<Head>, StoredEvent, VisibilityFacts), MatrixError> {
        let not_found = || MatrixError::not_found("There is no such event, or you may not see it");
        let head = self.head()?.ok_or_else(not_found)?;
        if self.store().has_forgotten(reader.as_str())? {
            return Err(not_found());
        }
        let (event, facts) = match self.store().event(event_id.as_str())? {
            Some(event) => {
                let facts = self.facts_at(&head, reader, event.seq).await?;
                (event, facts)
            }
            None if head.tail.0 == 0 => return Err(not_found()),
            None => {
                let (room_id, event_id, user_id) = (self.room_id.clone(), event_id.to_owned(), reader.to_owned());
                let load = LoadEvent { room_id, event_id, user_id };
                let loaded = ask_storage(&*self.host, load).await?.ok_or_else(not_found)?;
                let local = self.local_facts(&head, reader)?;
                (loaded.event, joined_facts(&head, local, Some(loaded.facts)))
            }
        };
        if visible(reader, &facts, &event) { Ok((head, event, facts)) } else { Err(not_found()) }
    }

    /// The last position of somebody who may see the event at `seq`: of those who may read nothing else, that one.
    pub(crate) async fn end_for(&self, head: &Head, reader: &UserId, seq: RoomSeq) -> Result<RoomSeq, MatrixError> {
        match self.reach(reader).await {
            Ok(reach) => Ok(reach.end(head.newest)),
            Err(error) if error.status == 403 => Ok(seq),
            Err(error) => Err(error),
        }
    }

    /// All state the reader may see.
    pub(crate) async fn read_state(&self, request: &ReadState) -> Result<Vec<RawJson>, MatrixError> {
        let head = self.room()?;
        match self.reach(&request.caller).await? {
            Reach::Current => self.current_forms(&head),
            Reach::Left(seq) => {
                let state = self.state_at(&head, seq, "*", "*").await?;
                self.client_forms(&head, &state)
            }
        }
    }

    /// One state event.
    pub(crate) async fn read_state_event(&self, request: &ReadStateEvent) -> Result<RawJson, MatrixError> {
        let head = self.room()?;
        let state = self.state_for(&head, &request.caller, (&request.kind, &request.state_key)).await?;
        let exact = |event: &&StoredEvent| {
            event.kind == request.kind && event.state_key.as_deref() == Some(request.state_key.as_str())
        };
        let event = state.iter().find(exact);
        let event = event.ok_or_else(|| MatrixError::not_found("The room has no state of this type and key"))?;
        Ok(self.client_form(&head, event, None)?)
    }

    /// Who is in the room now; only for those who are.
    pub(crate) fn read_joined_members(&self, request: &ReadJoinedMembers) -> Result<Vec<JoinedMember>, MatrixError> {
        self.check_joined(&request.caller)?;
        let mut joined = Vec::new();
        self.each_current(("m.room.member", "*"), |event| {
            joined.extend(joined_member(&event).filter(|_| membership_of(&event) == "join"));
            Ok(())
        })?;
        Ok(joined)
    }

    /// Current state in client form, in the order in which it became state.
    fn current_forms(&self, head: &Head) -> Result<Vec<RawJson>, MatrixError> {
        let mut forms = Vec::new();
        self.each_current(("*", "*"), |event| {
            forms.push((event.seq, self.client_form(head, &event, None)?));
            Ok(())
        })?;
        forms.sort_by_key(|(became, _)| *became);
        Ok(forms.into_iter().map(|(_, form)| form).collect())
    }

    /// Goes through the current state page by page: all at once it may be more than an object's memory.
    fn each_current(
        &self,
        pattern: (&str, &str),
        mut with: impl FnMut(StoredEvent) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        let mut after = (String::new(), String::new());
        loop {
            let page = self.store().state_page(pattern, (&after.0, &after.1), PAGE)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = (last.kind.clone(), last.state_key.clone().unwrap_or_default());
            page.into_iter().try_for_each(&mut with)?;
        }
    }

    /// One piece of state as far as the reader reaches: the current one, or that at the reader's leaving.
    async fn state_for(
        &self,
        head: &Head,
        reader: &UserId,
        (kind, key): (&str, &str),
    ) -> Result<Vec<StoredEvent>, MatrixError> {
        match self.reach(reader).await? {
            Reach::Current => Ok(self.store().state(kind, key)?.into_iter().collect()),
            Reach::Left(seq) => self.state_at(head, seq, kind, key).await,
        }
    }

    pub(crate) fn client_forms(&self, head: &Head, events: &[StoredEvent]) -> Result<Vec<RawJson>, MatrixError> {
        events.iter().map(|event| Ok(self.client_form(head, event, None)?)).collect()
    }
}

#[derive(Default, Deserialize)]
struct Member {
    #[serde(default)]
    membership: String,
    #[serde(default)]
    displayname: Option<String>,
    #[serde(default)]
    avatar_url: Option<String>,
}

fn member(event: &StoredEvent) -> Member {
    #[derive(Deserialize)]
    struct Pdu {
        content: Member,
    }
    // A profile of a wrong shape is as good as none; the membership is always text.
    event.pdu.read::<Pdu>().map_or_else(|_| Member::default(), |pdu| pdu.content)
}

pub(crate) fn membership_of(event: &StoredEvent) -> String {
    member(event).membership
}

fn joined_member(event: &StoredEvent) -> Option<JoinedMember> {
    let Member { displayname, avatar_url, .. } = member(event);
    Some(JoinedMember {
        user_id: OwnedUserId::try_from(event.state_key.as_deref()?).ok()?,
        display_name: displayname,
        avatar_url,
    })
}
