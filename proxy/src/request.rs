//! A request after routing, and the ways to read it. Every way fails with the spec's `errcode`.

use ruma::{OwnedDeviceId, OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, ServerName};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tern_auth::uia::Parameters;
use tern_model::{Caller, EventRef, MatrixError, RawJson};
use tern_ports::wire::user::SessionRef;
use worker::{Headers, web_sys::ReadableStream};

use crate::identity::Identity;

/// Longest request body that is read, in bytes. Media does not come this way.
pub(crate) const MAX_BODY: usize = 4 << 20;

/// Longest transaction of another server, in bytes: what the largest events and to-device messages of one take together.
pub(crate) const MAX_TRANSACTION: usize = 13 << 20;

/// A routed request.
pub(crate) struct Incoming {
    /// Path parameters by the name in the route's template, percent-decoded.
    pub(crate) params: Vec<(&'static str, String)>,
    /// Query parameters, decoded.
    pub(crate) query: Vec<(String, String)>,
    /// Who asks; present whenever the route's auth class asks for a token.
    pub(crate) identity: Option<Identity>,
    /// The server that asks, in small letters; present whenever the route's auth class asks for its signature.
    pub(crate) origin: Option<OwnedServerName>,
    /// The body as it came; empty when the route's is streamed.
    pub(crate) body: Vec<u8>,
    /// The unread body of a route whose body is streamed; `None` also when the request has none.
    pub(crate) stream: Option<ReadableStream>,
    /// The headers.
    pub(crate) headers: Headers,
    /// Where the request came from.
    pub(crate) ip: Option<String>,
    /// The path with its query, as it came.
    pub(crate) address: String,
}

impl Incoming {
    /// A path parameter; empty when the route has none of this name.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).ok().flatten()
    }

    /// The first query parameter of this name.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A query parameter that is a number.
    pub(crate) fn query_number(&self, name: &str) -> Result<Option<u64>, MatrixError> {
        self.query(name)
            .map(|text| text.parse().map_err(|_| MatrixError::invalid_param(format!("{name} is not a number"))))
            .transpose()
    }

    /// A query parameter that is `true` or `false`.
    pub(crate) fn query_flag(&self, name: &str) -> Result<bool, MatrixError> {
        match self.query(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(MatrixError::invalid_param(format!("{name} is neither true nor false"))),
        }
    }

    /// `dir`: backwards or not, if it is there.
    pub(crate) fn backwards(&self) -> Result<Option<bool>, MatrixError> {
        match self.query("dir") {
            None => Ok(None),
            Some("b") => Ok(Some(true)),
            Some("f") => Ok(Some(false)),
            Some(_) => Err(MatrixError::invalid_param("dir is neither b nor f")),
        }
    }

    /// The body as `T`, which is an object.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, MatrixError> {
        let object: RawJson = parse(&self.body)?;
        if !object.text().starts_with('{') {
            return Err(MatrixError::bad_json("The body must be a JSON object"));
        }
        parse(&self.body)
    }

    /// The body as `T`, an absent body counting as `{}`.
    pub(crate) fn json_or_empty<T: DeserializeOwned>(&self) -> Result<T, MatrixError> {
        if self.is_blank() { parse(b"{}") } else { self.json() }
    }

    /// The body as an untouched JSON object.
    pub(crate) fn object(&self) -> Result<RawJson, MatrixError> {
        let object: RawJson = parse(&self.body)?;
        if object.text().starts_with('{') {
            return Ok(object);
        }
        Err(MatrixError::bad_json("The body must be a JSON object"))
    }

    /// Likewise, an absent body counting as `{}`.
    pub(crate) fn object_or_empty(&self) -> Result<RawJson, MatrixError> {
        if self.is_blank() { parse(b"{}") } else { self.object() }
    }

    /// What is asked for, apart from the proof of interactive authentication.
    pub(crate) fn parameters(&self) -> Parameters {
        Parameters::of(self.params.iter().map(|(_, value)| value.as_str()), &self.body)
    }

    fn is_blank(&self) -> bool {
        self.body.iter().all(u8::is_ascii_whitespace)
    }

    /// Who asks.
    pub(crate) fn identity(&self) -> Result<&Identity, MatrixError> {
        self.identity.as_ref().ok_or_else(MatrixError::missing_token)
    }

    /// The user who asks.
    pub(crate) fn caller(&self) -> Result<&Caller, MatrixError> {
        self.identity().map(|identity| &identity.caller)
    }

    /// The session that asks.
    pub(crate) fn session(&self) -> Result<SessionRef, MatrixError> {
        self.identity().map(Identity::session)
    }

    /// The server that asks.
    pub(crate) fn origin(&self) -> Result<&ServerName, MatrixError> {
        let unsigned = || MatrixError::new(401, "M_UNAUTHORIZED", "The request is not signed");
        self.origin.as_deref().ok_or_else(unsigned)
    }

    /// The path parameter `roomId`.
    pub(crate) fn room_id(&self) -> Result<OwnedRoomId, MatrixError> {
        OwnedRoomId::try_from(self.param("roomId")).map_err(|_| MatrixError::invalid_param("Not a room id"))
    }

    /// The path parameter `eventId`.
    pub(crate) fn event_id(&self) -> Result<OwnedEventId, MatrixError> {
        // ruma bounds those alone that name a server.
        let event_id = Some(self.param("eventId")).filter(|text| text.len() <= EventRef::MOST);
        let event_id = event_id.and_then(|text| OwnedEventId::try_from(text).ok());
        event_id.ok_or_else(|| MatrixError::invalid_param("Not an event id"))
    }

    /// The path parameter `userId`.
    pub(crate) fn user_id(&self) -> Result<OwnedUserId, MatrixError> {
        OwnedUserId::try_from(self.param("userId")).map_err(|_| MatrixError::invalid_param("Not a user id"))
    }

    /// The path parameter `deviceId`.
    pub(crate) fn device_id(&self) -> OwnedDeviceId {
        self.param("deviceId").into()
    }

    /// The path parameter `userId`, which must be the caller's own.
    pub(crate) fn own_user_id(&self) -> Result<OwnedUserId, MatrixError> {
        let user_id = self.user_id()?;
        if user_id == self.caller()?.user_id {
            return Ok(user_id);
        }
        Err(MatrixError::forbidden("Only your own data"))
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, MatrixError> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => MatrixError::bad_json(error.to_string()),
        Category::Io | Category::Syntax | Category::Eof => MatrixError::not_json(),
    })
}
