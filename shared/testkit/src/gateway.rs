//! A push gateway that keeps what it is sent.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::Rc,
};

use serde_json::{Value, json};
use tern_ports::outbound::{HttpAnswer, HttpError, HttpRequest};

/// What a gateway does with a request. Clones are the same gateway.
#[derive(Clone, Default)]
pub struct Gateway(Rc<Inner>);

#[derive(Default)]
struct Inner {
    sent: RefCell<Vec<Value>>,
    status: Cell<Option<u16>>,
    retry_after: Cell<Option<u64>>,
    silent: Cell<bool>,
    rejected: RefCell<BTreeSet<String>>,
}

impl Gateway {
    /// Answers everything with this status from now on; 200 with `None`.
    pub fn answers(&self, status: impl Into<Option<u16>>) {
        self.0.status.set(status.into());
    }

    /// Says when to come back, in seconds.
    pub fn asks_for(&self, seconds: u64) {
        self.0.retry_after.set(Some(seconds));
    }

    /// Gives no answer in time, or does again.
    pub fn is_silent(&self, silent: bool) {
        self.0.silent.set(silent);
    }

    /// No longer knows a device.
    pub fn rejects(&self, pushkey: &str) {
        self.0.rejected.borrow_mut().insert(pushkey.to_owned());
    }

    /// The notifications that came since this was last asked, whatever they were answered.
    pub fn take(&self) -> Vec<Value> {
        self.0.sent.take()
    }

    /// The ids of the events in them; empty for a number alone.
    pub fn take_events(&self) -> Vec<String> {
        let event_id = |sent: &Value| sent.get("event_id").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.take().iter().map(event_id).collect()
    }

    /// Takes a request and answers it.
    ///
    /// # Errors
    /// When it is silent.
    pub fn serve(&self, request: &HttpRequest) -> Result<HttpAnswer, HttpError> {
        let body = request.body.as_deref().unwrap_or_default();
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let notification = body.get("notification").cloned().unwrap_or_default();
        self.0.sent.borrow_mut().push(notification);
        if self.0.silent.get() {
            return Err(HttpError::Late);
        }
        let status = self.0.status.get().unwrap_or(200);
        let retry_after = self.0.retry_after.get().map(|seconds| ("retry-after".to_owned(), seconds.to_string()));
        let body = json!({ "rejected": *self.0.rejected.borrow() }).to_string().into_bytes();
        let headers = retry_after.into_iter().collect();
        Ok(HttpAnswer { url: request.url.clone(), status, headers, body, is_cut: false })
    }
}
