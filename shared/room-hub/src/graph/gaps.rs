//! Asking other servers for what events wait for (Server-Server API, "Backfilling and retrieving missing events").
//!
//! Whoever sent an event that waits is asked for what lies between it and the extremities, again and again until nothing is
//! missing or an attempt leads nowhere; then the next server that is in the room, after a growing pause.

use std::{cell::Cell, rc::Rc};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ruma::{OwnedEventId, OwnedServerName};
use serde::Deserialize;
use serde_json::json;
use tern_model::{Bounded, BoundedJson, BoundedVec, MatrixError, Millis, RawJson};
use tern_object_kit::alarm::backed_off;
use tern_ports::{
    ObjectHost, Sql, SqlError, ask_destination,
    outbound::HttpMethod,
    wire::{destination::SendRequest, receive::ReceiveEvents},
};

use crate::{
    RoomActor,
    timeline::store::{Store, damaged},
};

/// What is missing may be on its way: so long nobody is asked, in milliseconds.
const PATIENCE_MS: u64 = 2_000;
/// Pauses after attempts that led nowhere, and the longest when another event comes that waits.
const PAUSES: (u64, u64) = (10_000, 6 * 3_600_000);
const SHORT_PAUSE_MS: u64 = 30_000;
/// An attempt that did not end by then ended with its object.
const WATCH_MS: u64 = 60_000;
/// Questions of one attempt.
const ROUNDS: usize = 10;
/// Events that are named in a question, and wanted in the answer; nobody gives more.
const MOST_NAMED: u64 = 10;
const MOST_WANTED: usize = 20;
/// Of a question: how long the answer may take, and how long it may be.
const TIMEOUT_MS: u64 = 30_000;
const MOST_BYTES: usize = 4 << 20;

/// How the filling of gaps stands.
#[derive(Default)]
pub(crate) struct GapFiller {
    running: Cell<bool>,
    failures: Cell<u32>,
    not_before: Cell<Millis>,
}

/// A gap: events that wait for what does not wait itself, and the server that sent them.
struct Gap {
    origin: OwnedServerName,
    latest: Vec<OwnedEventId>,
}

/// Fills; one at a time. Ends with the future it is in.
struct Filling<H: ObjectHost>(Rc<RoomActor<H>>);

impl<H: ObjectHost> Drop for Filling<H> {
    fn drop(&mut self) {
        self.0.gaps.running.set(false);
    }
}

impl<H: ObjectHost> Filling<H> {
    /// Asks until nothing is missing or an attempt leads nowhere, and asks for the alarm that goes on.
    async fn fill(self) {
        let actor = &self.0;
        // A room that cannot be read now is read again after a pause.
        let filled = actor.fill_gaps().await.unwrap_or(false);
        let failures = if filled { 0 } else { actor.gaps.failures.get().saturating_add(1) };
        actor.gaps.failures.set(failures);
        let pause = backed_off(actor.host.now(), failures, PAUSES);
        let retry = actor.store().next_retry().ok().flatten().filter(|_| filled);
        actor.gaps.not_before.set(retry.map_or(pause, |retry| retry.max(pause)));
        actor.gaps.running.set(false);
        if let Some(at) = actor.gaps_due() {
            actor.request_alarm(at).await;
        }
    }
}

impl<H: ObjectHost> RoomActor<H> {
    /// An event has begun to wait: the alarm that has its gap filled.
    pub(crate) async fn expect_gap(&self) {
        let (now, not_before) = (self.host.now(), self.gaps.not_before.get());
        let at = match self.gaps.failures.get() {
            0 => now.plus(PATIENCE_MS),
            _ => not_before.min(now.plus(SHORT_PAUSE_MS)),
        };
        self.gaps.not_before.set(at);
        self.request_alarm(at).await;
    }

    /// Starts to fill gaps whose time has come, unless somebody is at it.
    pub(crate) fn start_filling(self: &Rc<Self>, now: Millis) -> Result<(), SqlError> {
        if !self.has_waiting()? || now < self.gaps.not_before.get() || self.gaps.running.replace(true) {
            return Ok(());
        }
        self.host.spawn(Box::pin(Filling(Rc::clone(self)).fill()));
        Ok(())
    }

    /// When gaps are to be filled, as far as it is known that some event waits.
    pub(crate) fn gaps_due(&self) -> Option<Millis> {
        if self.waits.get() != Some(true) {
            return None;
        }
        let watch = self.gaps.running.get().then(|| self.host.now().plus(WATCH_MS));
        Some(watch.unwrap_or_else(|| self.gaps.not_before.get()))
    }

    /// True when nothing is missing any more. Events that wait for another time are tried as well.
    async fn fill_gaps(self: &Rc<Self>) -> Result<bool, MatrixError> {
        self.store().drop_waiting(self.host.now())?;
        self.waits.set(None);
        for round in 0..=ROUNDS {
            self.retry_waiting().await?;
            let Some(gap) = self.store().gap()? else { return Ok(true) };
            let server = self.server_for(&gap)?;
            // What has no end is left out.
            let goes_on = round < ROUNDS && self.fill_gap(&server, &gap).await?;
            if !goes_on && !self.bridge(&server).await? {
                return Ok(false);
            }
        }
        self.retry_waiting().await?;
        Ok(self.store().gap()?.is_none())
    }

    /// Asks for what lies in a gap; true when that led further.
    async fn fill_gap(self: &Rc<Self>, server: &OwnedServerName, gap: &Gap) -> Result<bool, MatrixError> {
        let events = self.ask_missing(server, gap).await?;
        if events.is_empty() {
            return Ok(false);
        }
        let (keys, outliers) = (self.keys_of(&events).await?, Vec::new());
        let origin = server.clone();
        self.receive_events(ReceiveEvents { origin, version: None, events, outliers, keys }).await?;
        Ok(self.store().gap()?.is_none_or(|left| left.latest != gap.latest))
    }

    /// Who is asked: at first whoever sent the event, then another server in the room with each attempt.
    fn server_for(&self, gap: &Gap) -> Result<OwnedServerName, SqlError> {
        let others = self.store().joined_servers()?;
        let others = others.into_iter().filter(|server| *server != gap.origin && *server != self.config.server_name);
        let mut servers: Vec<OwnedServerName> = [gap.origin.clone()].into_iter().chain(others).collect();
        let turn = usize::try_from(self.gaps.failures.get()).unwrap_or_default() % servers.len().max(1);
        Ok(servers.swap_remove(turn))
    }

    async fn ask_missing(&self, server: &OwnedServerName, gap: &Gap) -> Result<Vec<RawJson>, MatrixError> {
        #[derive(Deserialize)]
        struct Answer {
            events: BoundedVec<RawJson, MOST_WANTED>,
        }
        let head = self.room()?;
        let body = json!({
            "latest_events": gap.latest, "earliest_events": head.extremities, "limit": MOST_WANTED, "min_depth": 0,
        });
        let target = format!("/_matrix/federation/v1/get_missing_events/{}", escaped(self.room_id.as_str()));
        let ask = SendRequest {
            method: HttpMethod::Post,
            target: Bounded::new(target)?,
            body: Some(BoundedJson::new(RawJson::from_value(&body).map_err(|_| MatrixError::internal())?)?),
            timeout_ms: TIMEOUT_MS,
            max_bytes: MOST_BYTES,
            background: true,
        };
        let answer = ask_destination(&*self.host, server, ask).await?;
        let events = answer.body.filter(|_| answer.status == 200).and_then(|body| body.read::<Answer>().ok());
        Ok(events.map(|answer| answer.events.into_vec()).unwrap_or_default())
    }
}

impl<S: Sql> Store<'_, S> {
    /// The newest events that wait for what neither waits itself nor is known, all of one server.
    fn gap(self) -> Result<Option<Gap>, SqlError> {
        let rows = self.0.query(
            "SELECT w.event_id, w.origin FROM waiting w WHERE EXISTS
                 (SELECT 1 FROM json_each(w.missing) j
                  WHERE NOT EXISTS (SELECT 1 FROM waiting o WHERE o.event_id = j.value)
                    AND NOT EXISTS (SELECT 1 FROM events e WHERE e.event_id = j.value)
                    AND NOT EXISTS (SELECT 1 FROM aside a WHERE a.event_id = j.value)
                    AND NOT EXISTS (SELECT 1 FROM forks f WHERE f.event_id = j.value))
             ORDER BY w.place DESC LIMIT +?",
            &[MOST_NAMED.into()],
        )?;
        let Some(origin) = rows.first().and_then(|row| row.text(1)) else { return Ok(None) };
        let latest = rows.iter().filter(|row| row.text(1) == Some(origin));
        let latest = latest.map(|row| OwnedEventId::try_from(row.text(0).unwrap_or_default()).map_err(damaged));
        let latest = latest.collect::<Result<_, _>>()?;
        Ok(Some(Gap { origin: OwnedServerName::try_from(origin).map_err(damaged)?, latest }))
    }

    /// When some event that waits may be tried again.
    fn next_retry(self) -> Result<Option<Millis>, SqlError> {
        let rows = self.0.query("SELECT min(retry_at) FROM waiting", &[])?;
        Ok(rows.first().and_then(|row| row.int(0)).map(Millis))
    }

    /// The servers of some joined members, of those of the longest standing.
    pub(crate) fn joined_servers(self) -> Result<Vec<OwnedServerName>, SqlError> {
        let rows = self.0.query(
            "SELECT substr(state_key, instr(state_key, ':') + 1) AS server FROM state WHERE membership = 'join'
             GROUP BY server ORDER BY min(seq) LIMIT 20",
            &[],
        )?;
        rows.iter().map(|row| OwnedServerName::try_from(row.text(0).unwrap_or_default()).map_err(damaged)).collect()
    }
}

/// As part of a path: all but unreserved characters are escaped (RFC 3986, 2.3).
pub(crate) fn escaped(text: &str) -> impl std::fmt::Display + '_ {
    const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, PART)
}
