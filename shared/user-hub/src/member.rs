//! Member events, as the hub reads them.

use std::rc::Rc;

use ruma::UserId;
use serde::Deserialize;
use tern_model::NoticeEvent;

/// Type of member events.
pub(super) const MEMBER: &str = "m.room.member";

pub(super) fn is_member_event_of(event: &NoticeEvent, user_id: &UserId) -> bool {
    event.kind == MEMBER && event.state_key.as_deref() == Some(user_id.as_str())
}

#[derive(Deserialize)]
struct Content {
    membership: String,
}

#[derive(Deserialize)]
struct Unsigned {
    prev_content: Option<Content>,
}

#[derive(Deserialize)]
struct Member {
    content: Content,
    unsigned: Option<Unsigned>,
}

/// The membership that a member event gives.
pub(super) fn membership_after(event: &NoticeEvent) -> Option<String> {
    event.client.read::<Member>().ok().map(|member| member.content.membership)
}

pub(super) fn display_name(event: &NoticeEvent) -> Option<Rc<str>> {
    #[derive(Deserialize)]
    struct Named {
        content: Name,
    }
    #[derive(Deserialize)]
    struct Name {
        displayname: Option<String>,
    }
    event.client.read::<Named>().ok()?.content.displayname.map(Rc::from)
}

/// The event brings its user into the room; a new profile of somebody in it does not.
pub(super) fn joins(event: &NoticeEvent) -> bool {
    let Ok(member) = event.client.read::<Member>() else { return false };
    let before = member.unsigned.and_then(|unsigned| unsigned.prev_content);
    member.content.membership == "join" && before.is_none_or(|before| before.membership != "join")
}
