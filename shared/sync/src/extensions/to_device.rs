//! `to_device` (MSC3885): messages stay queued until their token comes back as `since`.

use tern_model::{RawJson, StreamPos};

use super::{ExtensionsSentState, Known};
use crate::json::Object;
use crate::request::ToDeviceRequest;

/// Returns the token of the newest message sent, and whether more are waiting.
pub(super) fn write(
    out: &mut Object<'_>,
    known: &Known<'_>,
    request: &ToDeviceRequest,
    before: &ExtensionsSentState,
) -> (Option<StreamPos>, bool) {
    // A token from the future is of another life of this account: everything queued is new to the client.
    let since = request.since.filter(|since| *since <= known.view.position()).unwrap_or_default();
    let messages = known.view.to_device(since, request.limit);
    let Some(newest) = messages.last().map(|message| message.at) else {
        return (before.to_device.filter(|sent| *sent <= since), false);
    };
    out.object("to_device", |out| {
        out.text("next_batch", &newest.0.to_string());
        out.array("events", messages.iter().map(|message| RawJson::text(&message.event)));
    });
    (Some(newest), messages.len() == request.limit)
}
