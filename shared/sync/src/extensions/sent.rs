//! What extensions told the client.

use serde::{Deserialize, Serialize};
use tern_model::StreamPos;

use crate::request::Request;
use crate::view::TypingPos;

/// What extensions told the client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExtensionsSentState {
    /// Token of the newest to-device message sent.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub(super) to_device: Option<StreamPos>,
    /// More to-device messages wait than fitted.
    #[serde(rename = "m", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) more: bool,
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub(super) e2ee: Option<E2eeSentState>,
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub(super) account_data: Option<ScopeSentState>,
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub(super) receipts: Option<ScopeSentState>,
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub(super) threads: Option<StreamPos>,
    #[serde(rename = "y", default, skip_serializing_if = "Option::is_none")]
    pub(super) typing: Option<TypingSentState>,
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub(super) sticky: Option<StickySentState>,
}

/// How far an extension that speaks of rooms has been told, in which scope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ScopeSentState {
    #[serde(rename = "a")]
    pub(super) at: StreamPos,
    #[serde(rename = "s")]
    pub(super) scope: u64,
}

impl ExtensionsSentState {
    /// With an unchanged position there is nothing left to say.
    pub(crate) fn is_settled(&self, request: &Request, typing: TypingPos) -> bool {
        let sent = self.typing.as_ref().map_or(TypingPos(0), |sent| sent.at);
        if request.extensions.typing.is_some() && typing > sent {
            return false;
        }
        if let (Some(sticky), Some(sent)) = (&request.extensions.sticky, &self.sticky)
            && (sent.more || sticky.since.unwrap_or_default() < sent.token.unwrap_or_default())
        {
            return false;
        }
        let Some(to_device) = &request.extensions.to_device else { return true };
        // A client that lost its token asks for what it has been sent before.
        !self.more && to_device.since.unwrap_or_default() >= self.to_device.unwrap_or_default()
    }

    /// The client was told of typing up to `at`.
    pub(crate) fn saw_typing(&mut self, at: TypingPos) {
        if let Some(sent) = &mut self.typing {
            sent.at = sent.at.max(at);
        }
    }
}

/// What was told of keys and device lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct E2eeSentState {
    #[serde(rename = "a")]
    pub(super) at: StreamPos,
    /// Fingerprint of the key counts.
    #[serde(rename = "k")]
    pub(super) keys: u64,
}

/// What was told of who types.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TypingSentState {
    #[serde(rename = "a")]
    pub(super) at: TypingPos,
    /// Fingerprint of the rooms it is about.
    #[serde(rename = "s")]
    pub(super) scope: u64,
}

/// What was told of sticky events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StickySentState {
    /// Token of the newest event sent.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<StreamPos>,
    /// More may wait than fitted.
    #[serde(rename = "m", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) more: bool,
    /// Fingerprint of the lists' filters.
    #[serde(rename = "s")]
    pub(super) scope: u64,
}
