//! Requests to push gateways: one at a time for each pusher, in order. Each looks again at what is unread, so that nothing
//! is sent that was read, redacted or left meanwhile.

use std::{cell::Cell, rc::Rc};

use futures::{StreamExt, stream};
use tern_model::MatrixError;
use tern_object_kit::duties;
use tern_ports::{
    ObjectHost, WaitingPolls,
    outbound::{self, Bounds, HttpAnswer, HttpError, HttpRequest, Url},
};
use tern_push::{
    gateway::{self, PusherData},
    queue::{self, Choice, Next, Outcome, Progress},
};

use super::{Live, UNSURE_AT_ALARM_MS};
use crate::{UserActor, alarm::Duty, store::pushers};

/// Pushers served at a time: as many as an object may have connections.
const AT_A_TIME: usize = 6;
/// How long a request that is under way is waited for before the alarm looks again, in milliseconds: longer than a request.
const LOOK_AGAIN_MS: u64 = 30_000;
/// What a gateway may cost. Some ask others in turn, and again, before they answer.
const BOUNDS: Bounds = Bounds { timeout_ms: 25_000, max_bytes: 16 * 1_024, cut: true, redirects: 0, plain: false };

/// What became of a request, and whether the gateway knows no such device any more.
pub(super) type Judged = (Outcome, bool);

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// The alarm: whether everything was handed over.
    pub(crate) fn look_after_push(self: &Rc<Self>) -> Result<duties::Outcome, MatrixError> {
        if !self.pushes() {
            return Ok(duties::Outcome::Done);
        }
        let now = self.host.now();
        let pushers = self.live_pushers()?;
        let outages = || pushers.iter().filter_map(|live| live.state.progress.get().outage);
        let due = outages().any(|outage| outage.next_at <= now);
        if due || self.hub.get().push_from.0 > 0 {
            self.push.unsure.set(false);
            self.host.spawn(Box::pin(Rc::clone(self).push_all()));
            return Ok(duties::Outcome::Again(now.plus(LOOK_AGAIN_MS)));
        }
        self.settle_row()?;
        let next = outages().map(|outage| outage.next_at).min();
        Ok(next.map_or(duties::Outcome::Done, duties::Outcome::Again))
    }

    /// Everything was handed over, which the row does not say yet. An alarm of something else that comes soon, in another life,
    /// would take it for the row of a hub that died.
    fn settle_row(&self) -> Result<(), MatrixError> {
        let hub = self.hub.get();
        let soon = hub.push_at.plus(UNSURE_AT_ALARM_MS);
        if self.duties.next_after(self.host.now()).is_some_and(|at| at < soon) {
            self.write_hub(self.host.sql(), &hub)?;
        }
        Ok(())
    }

    /// Sends what there is to be sent, to each pusher that is not being served.
    pub(super) async fn push_all(self: Rc<Self>) {
        let standing = self.standing.get();
        let Ok(pushers) = self.live_pushers() else { return };
        if standing.locked || standing.retired {
            return self.handed_over();
        }
        let served = pushers.iter().filter(|live| !live.state.busy.get()).map(|live| self.serve(Rc::clone(live)));
        let served: Vec<_> = stream::iter(served.collect::<Vec<_>>()).buffer_unordered(AT_A_TIME).collect().await;
        // Of those whose gateways failed the table says how far they are.
        let Ok(pushers) = self.live_pushers() else { return };
        if served.iter().all(Result::is_ok) && pushers.iter().all(|live| !live.state.busy.get()) {
            self.handed_over();
        }
    }

    /// Sends to one pusher as long as there is something to be sent.
    async fn serve(&self, mut live: Rc<Live>) -> Result<(), MatrixError> {
        let state = Rc::clone(&live.state);
        // Whatever ends this, the next one may start.
        let _guard = Busy::new(&state.busy);
        loop {
            let (progress, now) = (state.progress.get(), self.host.now());
            let pending = self.pending(progress.from())?;
            match queue::next(&progress, &pending, now) {
                Next::Nothing => return self.finish(&live),
                Next::At(at) => {
                    self.leave(Duty::Push, at).await;
                    return Ok(());
                }
                Next::Send(choice) => {
                    let judged = self.send(&live, &choice).await?;
                    if self.take_judgement(&live, &choice, judged)? {
                        return Ok(());
                    }
                }
            }
            // It may have been deleted or set again.
            match self.live_pusher(&live.row.app_id, &live.row.pushkey)? {
                Some(again) => live = again,
                None => return Ok(()),
            }
        }
    }

    /// Nothing is left to be sent.
    fn finish(&self, live: &Live) -> Result<(), MatrixError> {
        let before = live.state.progress.get();
        let progress = Progress::after_all(self.hub.get().position);
        if before.outage.is_some() {
            self.write_progress(live, progress)?;
        }
        live.state.progress.set(progress);
        Ok(())
    }

    /// True when the pusher has gone.
    fn take_judgement(&self, live: &Live, choice: &Choice, (outcome, gone): Judged) -> Result<bool, MatrixError> {
        if gone {
            self.drop_pusher(&live.row.app_id, &live.row.pushkey)?;
            return Ok(true);
        }
        let mut spread = [0; 2];
        self.host.fill(&mut spread);
        let before = live.state.progress.get();
        let progress = before.after(choice, outcome, self.host.now(), u16::from_le_bytes(spread));
        if before.outage.is_some() || progress.outage.is_some() {
            self.write_progress(live, progress)?;
        }
        live.state.progress.set(progress);
        Ok(false)
    }

    fn write_progress(&self, live: &Live, progress: Progress) -> Result<(), MatrixError> {
        Ok(pushers::write_progress(self.host.sql(), &live.row.app_id, &live.row.pushkey, progress)?)
    }

    /// One request about an event, if there is still something to say of it.
    async fn send(&self, live: &Live, choice: &Choice) -> Result<Judged, MatrixError> {
        let data = PusherData::read(&live.row.data);
        let Some(event) = self.told_of(choice, data.is_brief()).await? else { return Ok((Outcome::Delivered, false)) };
        let unread = self.unread_rooms()?;
        let body = gateway::notification(&live.device(&data), &event.told(&self.user_id), unread);
        let Some(body) = body else { return Ok((Outcome::Refused, false)) };
        let judged = self.ask_gateway(live, &data, body).await;
        if judged.0 == Outcome::Delivered {
            live.state.told.set(Some(unread).filter(|_| !data.no_counts));
        }
        Ok(judged)
    }

    /// Asks a gateway. An address that may not be asked any more is one that fails.
    pub(super) async fn ask_gateway(&self, live: &Live, data: &PusherData, body: Vec<u8>) -> Judged {
        let Ok(url) = Url::parse(&data.url) else { return (Outcome::Failed(None), false) };
        let request = HttpRequest::post(url, "application/json", body);
        match outbound::fetch(&*self.host, request, BOUNDS).await {
            Ok(HttpAnswer { status, headers, body, is_cut, .. }) => {
                let retry_after =
                    headers.iter().find(|(name, _)| name == "retry-after").map(|(_, value)| value.as_str());
                gateway::judge(status, retry_after, (&body, is_cut), &live.row.pushkey)
            }
            Err(HttpError::Late) => (Outcome::Silent, false),
            Err(_) => (Outcome::Failed(None), false),
        }
    }
}

impl Live {
    /// The device as its gateway knows it.
    pub(super) fn device<'a>(&'a self, data: &'a PusherData) -> gateway::Device<'a> {
        gateway::Device { app_id: &self.row.app_id, pushkey: &self.row.pushkey, since: self.row.ts, data }
    }
}

struct Busy<'a>(&'a Cell<bool>);

impl<'a> Busy<'a> {
    fn new(busy: &'a Cell<bool>) -> Self {
        busy.set(true);
        Self(busy)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
