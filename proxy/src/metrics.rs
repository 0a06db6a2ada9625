//! What requests cost, added up in this isolate, and what the storage worker makes of that.

use std::{
    cell::{OnceCell, RefCell},
    rc::Rc,
};

use tern_metrics::{
    gather::{Gatherer, Sample},
    series::Counter,
};
use tern_model::MatrixError;
use tern_ports::{
    Clock,
    meter::{Point, Spent},
};
use worker::{Request, Response};

use crate::edge::Edge;

thread_local! {
    static GATHERED: RefCell<Gatherer> = RefCell::default();
    static INTERVAL: OnceCell<u64> = const { OnceCell::new() };
    /// Where this isolate is.
    static REGION: OnceCell<String> = const { OnceCell::new() };
}

/// What the places of Cloudflare are called: three letters, with room for more.
fn is_region(name: &str) -> bool {
    (1..=16).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Reads where the isolate is from any of its requests. The `worker` crate's own accessor panics where nothing is said.
pub(crate) fn locate(request: &Request) {
    REGION.with(|region| {
        region.get_or_init(|| {
            let cf = js_sys::Reflect::get(request.inner(), &"cf".into());
            let colo = cf.and_then(|cf| js_sys::Reflect::get(&cf, &"colo".into()));
            let name = colo.ok().and_then(|colo| colo.as_string()).filter(|name| is_region(name));
            name.unwrap_or_else(|| "unknown".to_owned())
        });
    });
}

/// Notes one request, and hands over what was gathered when it is time. The client does not wait for that.
pub(crate) fn note(edge: &Edge, point: &Point, bytes_in: u64) {
    let interval = INTERVAL.with(|interval| *interval.get_or_init(|| edge.metrics_interval()));
    if interval == 0 {
        return;
    }
    let now = edge.now().0;
    GATHERED.with_borrow_mut(|gathered| gather(gathered, now, point, bytes_in));
    if !GATHERED.with_borrow(|gathered| gathered.is_due(now, interval)) {
        return;
    }
    let region = REGION.with(|region| region.get().cloned()).unwrap_or_default();
    let frame = GATHERED.with_borrow_mut(|gathered| gathered.take(&region));
    let wire = Rc::clone(&edge.wire);
    edge.afterwards(async move {
        let arrived = wire.ask_metrics("record", &frame).await.is_ok_and(|response| response.status_code() == 204);
        if !arrived {
            worker::console_error!("metrics: a frame may be lost");
            GATHERED.with_borrow_mut(Gatherer::lose);
        }
    });
}

fn gather(gathered: &mut Gatherer, now: u64, point: &Point, bytes_in: u64) {
    let Spent { object_ms, storage_ms, hops, storage_calls, rows } = point.spent;
    let costs = [
        (Counter::AuthMs, point.auth_ms),
        (Counter::ObjectMs, object_ms),
        (Counter::StorageMs, storage_ms),
        (Counter::Hops, hops),
        (Counter::StorageCalls, storage_calls),
        (Counter::Rows, rows),
        (Counter::RowSamples, u64::from(point.asked)),
        (Counter::BytesIn, bytes_in),
        (Counter::BytesOut, point.bytes),
    ];
    let Point { route, method, status, total_ms, .. } = point;
    gathered.note(now, &Sample { route, method, status: *status, total_ms: *total_ms, costs: &costs });
}

/// What the storage worker shows: `text`, or `page` with its words.
pub(crate) async fn show(edge: &Edge, question: &str) -> Result<Response, MatrixError> {
    match edge.wire.ask_metrics(question, &[]).await {
        Ok(response) if response.status_code() == 200 => Ok(response),
        _ => Err(MatrixError::unavailable()),
    }
}

/// The body of what is shown.
pub(crate) async fn body(mut response: Response) -> Result<String, MatrixError> {
    response.text().await.map_err(|_| MatrixError::unavailable())
}

#[cfg(test)]
mod tests {
    use super::is_region;

    #[test]
    fn a_region_is_a_short_word() {
        assert!(["FRA", "unknown"].iter().all(|name| is_region(name)));
        assert!(["", "a b", "\u{e4}", "12345678901234567"].iter().all(|name| !is_region(name)));
    }
}
