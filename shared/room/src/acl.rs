//! Which servers a room lets take part (Client-Server API, "Server Access Control Lists (ACLs) for rooms").

use ruma::{
    ServerName,
    events::{StateEventType, room::server_acl::RoomServerAclEventContent},
};
use serde_json::Value;

use crate::{error::Unreadable, view::RoomView};

/// The room lets the server take part. A room without a list lets everybody. Of a damaged list what is of the right form
/// counts; so one without a usable `allow` lets nobody.
///
/// # Errors
/// When state cannot be read.
pub fn allows(view: &impl RoomView, server: &ServerName) -> Result<bool, Unreadable> {
    let Some(event) = view.state(&StateEventType::RoomServerAcl, "")? else { return Ok(true) };
    let content: Value = serde_json::from_str(event.body().get()).unwrap_or_default();
    let names = |field: &str| {
        let listed = content.get(field).and_then(Value::as_array).into_iter().flatten();
        listed.filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let literals = content.get("allow_ip_literals").and_then(Value::as_bool).unwrap_or(true);
    Ok(RoomServerAclEventContent::new(literals, names("allow"), names("deny")).is_allowed(server))
}
