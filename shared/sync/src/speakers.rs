//! Whose member events a timeline calls for (MSC4186, "Lazy loaded memberships").

use std::collections::BTreeSet;
use std::rc::Rc;

use tern_model::{NoticeEvent, RawJson, RoomSeq};

use crate::event::member_of;
use crate::view::{RoomView, UserView};
use crate::want::Want;

/// Senders of the timeline, and those whose membership it changes (MSC4186, "Lazy loaded memberships").
pub(crate) fn speakers(timeline: &[&NoticeEvent]) -> BTreeSet<String> {
    let speakers = timeline.iter().flat_map(|event| [Some(event.sender.as_str()), member_of(event)]);
    speakers.flatten().map(str::to_owned).collect()
}

/// Member events that the inbox's events call for: those the hub has, and users to ask for.
pub(crate) fn lazy_members(
    view: &dyn UserView,
    room: &RoomView,
    want: &Want,
    inbox: &[Rc<NoticeEvent>],
    knows: &dyn Fn(&str) -> bool,
) -> (Vec<RawJson>, Vec<String>) {
    let after = if want.expand { RoomSeq(0) } else { want.after.unwrap_or_default() };
    let shown: Vec<&NoticeEvent> = inbox.iter().map(Rc::as_ref).filter(|event| event.seq > after).collect();
    let limited = shown.len() > want.limit as usize || want.after.is_none_or(|after| !room.inbox_covers(after));
    let skipped = shown.len().saturating_sub(want.limit as usize);
    let at_hand: BTreeSet<&str> = inbox
        .iter()
        .filter(|event| event.seq > want.after.unwrap_or_default())
        .filter_map(|event| member_of(event))
        .collect();
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for user in speakers(shown.get(skipped..).unwrap_or_default()) {
        if at_hand.contains(user.as_str()) || (!limited && knows(&user)) {
            continue;
        }
        match <&ruma::UserId>::try_from(user.as_str()).ok().and_then(|id| view.member(&room.room_id, id)) {
            Some(event) => found.push(event),
            None => missing.push(user),
        }
    }
    (found, missing)
}
