//! The body of a sliding sync request: the shape in the first byte, then the body.

use ruma::user_id;
use tern_sync::{Request, Shape};

/// What is read once is read the same way again.
pub(crate) fn sync_request(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    let shape = if first % 2 == 0 { Shape::Unstable } else { Shape::Stable };
    let Some(body) = crate::input::json(body) else { return };
    let read = || Request::parse(&body, Some("1"), shape, user_id!("@ada:example.org"));
    let Ok(request) = read() else { return };
    assert!(request.lists.len() <= 100 && request.conn_id.len() <= 255, "bounded");
    assert!(read().is_ok_and(|again| again.interest() == request.interest()), "read twice");
    let _acknowledged = request.to_device_ack();
}
