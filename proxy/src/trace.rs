//! What one request cost on its way through the worker: a point for the dashboards, and `Server-Timing` for whoever asks.

use tern_model::Millis;
use tern_ports::{
    Clock,
    meter::{Meter, Point},
};
use worker::{Method, Request};

use crate::{edge::Edge, metrics};

/// A request with this header, whatever its value, gets `Server-Timing`.
const HEADER: &str = "x-tern-timing";

/// A request under way.
pub(crate) struct Watch {
    began: Millis,
    method: String,
    asked: bool,
    /// Of the body, as far as that is announced.
    bytes_in: u64,
}

impl Watch {
    /// Begins to watch `request`.
    pub(crate) fn begin(edge: &Edge, request: &Request) -> Self {
        let asked = request.headers().has(HEADER).unwrap_or(false);
        if asked {
            edge.wire.ask_cost();
        }
        metrics::locate(request);
        let length = match request.method() {
            Method::Get | Method::Head | Method::Options => None,
            _ => request.headers().get("content-length").ok().flatten(),
        };
        let bytes_in = length.and_then(|length| length.parse().ok()).unwrap_or_default();
        Self { began: edge.now(), method: request.method().to_string(), asked, bytes_in }
    }

    /// Notes the request as answered. Gives the value of `Server-Timing` if it was asked for.
    pub(crate) fn end(self, edge: &Edge, status: u16, bytes: u64) -> Option<String> {
        let point = Point {
            route: edge.trace.route.get(),
            method: self.method,
            status,
            total_ms: edge.now().since(self.began),
            auth_ms: edge.trace.auth_ms.get(),
            spent: edge.wire.spent(),
            bytes,
            asked: self.asked,
        };
        edge.dataset.record(&point);
        metrics::note(edge, &point, self.bytes_in);
        self.asked.then(|| point.server_timing())
    }
}
