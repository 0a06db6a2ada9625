//! What a thousand active users cost: measured counts, published prices, and an assumed day. `COST.md` is made of it.

use std::{fmt::Write as _, path::PathBuf};

use crate::{Cost, budget::Budgets};

/// Days of a month.
const DAYS: f64 = 30.0;
/// The users that are billed.
const USERS: f64 = 1_000.0;
/// Others who are told of what a user does: the members of their rooms, on average. So many of them have a client that
/// waits for it; the others have a phone that is pushed to.
const OTHERS: f64 = 10.0;
const THERE: f64 = 3.0;
/// Connections of a client that wait at the same time: one for rooms, one for what encryption needs.
const CONNECTIONS: f64 = 2.0;

/// Prices of Cloudflare's paid plan, November 2026: dollars per unit, and units included each month.
struct Price {
    name: &'static str,
    unit: &'static str,
    dollars: f64,
    included: f64,
}

const fn price(name: &'static str, unit: &'static str, dollars: f64, included: f64) -> Price {
    Price { name, unit, dollars, included }
}

/// In the order in which what is used is added up.
const PRICES: [Price; 10] = [
    price("Worker requests", "M", 0.30, 10.0),
    price("Worker CPU", "M ms", 0.02, 30.0),
    price("Object requests, alarms included", "M", 0.15, 1.0),
    price("Object duration", "M GB-s", 12.50, 0.4),
    price("Rows written, by objects and in D1", "M", 1.00, 50.0),
    price("D1 storage, after a year", "GB", 0.75, 5.0),
    price("Object storage", "GB", 0.20, 5.0),
    price("R2 storage, after a year", "GB", 0.015, 10.0),
    price("R2 writes (class A)", "M", 4.50, 1.0),
    price("R2 reads (class B)", "M", 0.36, 10.0),
];

/// Dollars a month that the plan costs anyway.
const BASE: f64 = 5.0;

/// What is not counted but assumed: CPU of a request and of an object request in milliseconds, and for how long an object
/// works on a request, in seconds.
const CPU_MS: f64 = 2.0;
const ACTIVE_S: f64 = 0.05;
/// Memory of an object as it is billed.
const OBJECT_GB: f64 = 0.128;
/// Bytes of an event in D1 with its indexes: 1,460 encrypted, 985 plain, measured on events of real shape.
const EVENT_BYTES: f64 = 1_300.0;
/// Bytes of an upload with its thumbnails.
const UPLOAD_BYTES: f64 = 300_000.0;
/// Bytes of a user's hub with the inboxes of ten rooms, those of a room's hub with its hot tail, and rooms of each user.
const USER_BYTES: f64 = 700_000.0;
const ROOM_BYTES: f64 = 550_000.0;
const ROOMS_PER_USER: f64 = 2.0;
/// Rows of a message when newer ones take its place: its row of the room's hot tail is deleted; in each hub that was told its
/// row is taken over, and with every 25th the room, what is unread and the places are written.
const LATER_ROWS: f64 = 1.0 + (1.0 + OTHERS) * 3.0 / 25.0;

/// What is done in a day, and how often it costs what the workload says.
struct Deed {
    name: &'static str,
    per_day: f64,
    cost: PerDeed,
}

/// One deed on average; rows and requests need not be whole.
#[derive(Clone, Copy, Default)]
struct PerDeed {
    requests: f64,
    hops: f64,
    rows: f64,
    writes: f64,
    reads: f64,
}

impl PerDeed {
    /// A request that costs what a workload does.
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    fn of(cost: Cost) -> Self {
        Self {
            requests: 1.0,
            hops: (cost.hops + cost.later_hops + cost.alarms) as f64,
            rows: (cost.rows + cost.later_rows) as f64,
            writes: cost.bucket_writes as f64,
            reads: cost.bucket_reads as f64,
        }
    }

    /// What one member more makes of it, found from rooms of two sizes.
    fn of_member(small: Self, large: Self, more: f64) -> Self {
        let share = |small: f64, large: f64| (large - small) / more;
        Self { hops: share(small.hops, large.hops), rows: share(small.rows, large.rows), ..Self::default() }
    }

    fn plus(self, other: Self, times: f64) -> Self {
        Self { hops: self.hops + other.hops * times, rows: self.rows + other.rows * times, ..self }
    }

    /// Rows more.
    fn and_rows(self, rows: f64) -> Self {
        Self { rows: self.rows + rows, ..self }
    }

    /// What is more in it than in another, beside the request itself.
    fn beyond(self, other: Self) -> Self {
        Self { hops: self.hops - other.hops, rows: self.rows - other.rows, ..Self::default() }
    }

    const fn plain(requests: f64, hops: f64, rows: f64) -> Self {
        Self { requests, hops, rows, writes: 0.0, reads: 0.0 }
    }
}

/// Where the page is.
pub fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("COST.md")
}

/// The page, from the counts in `budgets`.
///
/// # Panics
/// When a workload that it rests on is not measured any more.
pub fn page(budgets: &Budgets) -> String {
    let day = day(budgets);
    let usage = usage(&day);
    let mut text = String::from(HEAD);
    for Deed { name, per_day, cost } in &day {
        let _ = writeln!(text, "| {name} | {per_day} | {:.2} | {:.2} |", cost.hops, cost.rows);
    }
    text.push_str(BILL);
    let (mut gross, mut due) = (0.0, BASE);
    for (price, used) in PRICES.iter().zip(usage) {
        let all = used * price.dollars;
        let beyond = (used - price.included).max(0.0) * price.dollars;
        (gross, due) = (gross + all, due + beyond);
        let _ = writeln!(
            text,
            "| {} | {used:.2} {} | {:.2} | {} | {all:.2} | {beyond:.2} |",
            price.name, price.unit, price.dollars, price.included
        );
    }
    let _ = writeln!(text, "| **Together** | | | | **{gross:.2}** | **{due:.2}** with the plan's {BASE:.2} |");
    let _ = writeln!(text, "\nFor each user that is ${:.3} a month.", due / USERS);
    let held = 1.5 * 3_600.0 * DAYS * USERS * OBJECT_GB / 1e6 * 12.5;
    let _ = write!(text, "{TAIL_A}{held:.0}{TAIL_B}");
    text
}

/// An active user's day.
fn day(budgets: &Budgets) -> Vec<Deed> {
    let cost = |name: &str| PerDeed::of(budgets.get(name).expect("the workload is measured"));
    let told = |small: &str, large: &str| {
        let share = PerDeed::of_member(cost(small), cost(large), 198.0);
        // One other is in the small workload already.
        cost(small).plus(share, OTHERS - 1.0)
    };
    let deed = |name, per_day, cost| Deed { name, per_day, cost };
    vec![
        deed("first sync of a device", 2.0, cost("sync_initial_10_timeline_20")),
        deed("poll that ends without news", 150.0 * CONNECTIONS, cost("sync_idle_waited_10")),
        deed("poll that is answered", 300.0, cost("sync_live_10")),
        deed("first answer after an absence", 12.0, cost("sync_live_cold_10")),
        deed("message, told to ten others", 40.0, told("send_2", "send_200").and_rows(LATER_ROWS)),
        deed("push to somebody who is away", 40.0 * (OTHERS - THERE), cost("push_2").beyond(cost("send_2"))),
        deed("typing, told to ten others, and its end", 80.0, told("typing_2", "typing_200")),
        deed("receipt, told to ten others", 100.0, told("receipt_2", "receipt_200")),
        deed("keys claimed", 5.0, cost("keys_claim")),
        deed("upload", 1.0, cost("media_upload")),
        deed("download", 5.0, cost("media_download")),
        deed("thumbnail", 20.0, cost("media_thumbnail_kept")),
        deed("presence: coming or going, told to twenty (assumed)", 4.0, PerDeed::plain(0.0, 20.0, 2.0)),
        deed("presence: a look whether the user is still there (assumed)", 18.0, PerDeed::plain(0.0, 1.0, 2.0)),
        deed("other requests (assumed)", 100.0, PerDeed::plain(1.0, 1.0, 0.0)),
    ]
}

/// Usage of all users in a month, in the units of [`PRICES`].
fn usage(day: &[Deed]) -> [f64; 10] {
    let month = |of: fn(&PerDeed) -> f64| -> f64 {
        day.iter().map(|deed| of(&deed.cost) * deed.per_day).sum::<f64>() * DAYS * USERS
    };
    let (requests, hops) = (month(|cost| cost.requests), month(|cost| cost.hops));
    let times = |name: &str| {
        let named = day.iter().filter(|deed| deed.name.starts_with(name));
        named.map(|deed| deed.per_day).sum::<f64>() * DAYS * USERS
    };
    [
        requests / 1e6,
        (requests + hops) * CPU_MS / 1e6,
        hops / 1e6,
        hops * ACTIVE_S * OBJECT_GB / 1e6,
        month(|cost| cost.rows) / 1e6,
        times("message") * 12.0 * EVENT_BYTES / 1e9,
        USERS * (USER_BYTES + ROOMS_PER_USER * ROOM_BYTES) / 1e9,
        times("upload") * 12.0 * UPLOAD_BYTES / 1e9,
        month(|cost| cost.writes) / 1e6,
        month(|cost| cost.reads) / 1e6,
    ]
}

const HEAD: &str = "\
# What a thousand active users cost

Made by `cargo test -p tern-benches --test bill` from the counts in [budgets.toml](budgets.toml) and the prices of
Cloudflare's paid plan of November 2026; the test fails when this page is out of date, and `TERN_BILL=write` writes it anew.
The counts are measured and exact; rows are counted as they are billed, with the entries of indexes. The day is assumed, and
so is what stands in `src/bill.rs` as such: 2 ms of CPU for each request and each object request, 50 ms for which an object
works on a request, 1.3 kB for each stored event and 300 kB for each upload; two connections of each client; of ten others who
are told, three who are there and seven whose phones are pushed to; the sizes of hubs. Not in it: rows read ($0.001 a
million), logs, and other servers.

## A user's day

Ninety minutes in the foreground. Rows are written by objects and in D1 together; what is told to others is counted here, at
its cause, and so are alarms, and what is written when newer events take the place of these.

| what | times | object requests | rows written |
|---|---|---|---|
";

const BILL: &str = "
## The bill of a month

| meter | used | $ a unit | included | $ without what is included | $ due |
|---|---|---|---|---|---|
";

const TAIL_A: &str = "
## Why waiting is not in it

The proxy holds the client's request, where wall time is free, and parks a hibernatable socket on the user's hub; the hub leaves
memory while it waits. `wrangler/e2e/hibernate.spec.ts` shows it on workerd: the hub's constructor runs again while a poll is
parked, and the poll is answered all the same. `tests/budgets.rs` insists that a poll is one object request and no storage
call, that one without news writes nothing, and that an answered one writes one row. Were the polls of these users held
inside objects, the duration alone would cost $";

const TAIL_B: &str = " a month more.
";
