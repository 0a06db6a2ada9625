//! Who may copy a medium of the server: one at a time, since all want the same. What is copied never comes through here.

use std::{cell::RefCell, collections::BTreeMap};

use tern_model::{MatrixError, Millis};
use tern_ports::{
    ObjectHost,
    outbound::HttpMethod,
    wire::{
        Done,
        destination::{EndMediaLease, LeaseMedia, MediaLease, SendRequest},
    },
};

use super::{DestinationActor, way::address};

/// A lease ends by itself after so long, in milliseconds: whoever had it may be gone.
const LONGEST: u64 = 30_000;
/// What could not be copied is not asked for again for so long, in milliseconds.
const PAUSE: u64 = 60_000;
/// Likewise where the content is still to come.
const SHORT_PAUSE: u64 = 5_000;
/// Leases and failures that are remembered at a time.
const MOST: usize = 1_000;

/// Leases and failures, until when each stands.
#[derive(Default)]
pub(super) struct Leases(RefCell<BTreeMap<String, (Millis, Option<MatrixError>)>>);

impl Leases {
    /// Somebody copies it, or why it cannot be copied.
    fn standing(&self, media_id: &str, now: Millis) -> Option<Result<MediaLease, MatrixError>> {
        let leases = self.0.borrow();
        let (_, failure) = leases.get(media_id).filter(|(until, _)| now < *until)?;
        Some(failure.clone().map_or(Ok(MediaLease::Held), Err))
    }

    fn take(&self, media_id: &str, now: Millis) -> Result<(), MatrixError> {
        let mut leases = self.0.borrow_mut();
        if leases.len() >= MOST {
            leases.retain(|_, (until, _)| now < *until);
        }
        if leases.len() >= MOST {
            return Err(MatrixError::limit_exceeded(1_000));
        }
        leases.insert(media_id.to_owned(), (now.plus(LONGEST), None));
        Ok(())
    }

    fn end(&self, media_id: &str, failure: Option<&MatrixError>, now: Millis) {
        let mut leases = self.0.borrow_mut();
        let pause = match failure.map(|failure| (failure.status, &*failure.errcode)) {
            // Done, or the fault was here.
            None | Some((429 | 500 | 503, _)) => 0,
            Some((504, "M_NOT_YET_UPLOADED")) => SHORT_PAUSE,
            Some(_) => PAUSE,
        };
        if pause == 0 {
            leases.remove(media_id);
        } else if let Some(lease) = leases.get_mut(media_id) {
            *lease = (now.plus(pause), failure.cloned());
        }
    }
}

impl<H: ObjectHost> DestinationActor<H> {
    pub(super) async fn lease_media(&self, ask: &LeaseMedia) -> Result<MediaLease, MatrixError> {
        if !self.config.federation.meets(self.name.as_str()) {
            return Err(MatrixError::forbidden("This server does not federate with the other one"));
        }
        let now = self.host.now();
        if let Some(standing) = self.leases.standing(&ask.media_id, now) {
            return standing;
        }
        // Before the server is looked for, so that nobody else does the same.
        self.leases.take(&ask.media_id, now)?;
        let granted = self.media_request(ask).await;
        if let Err(error) = &granted {
            self.leases.end(&ask.media_id, Some(error), self.host.now());
        }
        granted
    }

    pub(super) fn end_media_lease(&self, ask: &EndMediaLease) -> Done {
        if ask.failure.as_ref().is_some_and(|failure| matches!(failure.status, 502 | 504)) {
            self.forget_way();
        }
        self.leases.end(&ask.media_id, ask.failure.as_ref(), self.host.now());
        Done {}
    }

    /// Where the server is, and its request, signed.
    async fn media_request(&self, ask: &LeaseMedia) -> Result<MediaLease, MatrixError> {
        let way = self.way().await.map_err(|reason| super::request::unreachable(&reason))?;
        let unusable = || MatrixError::invalid_param("The target is no path");
        let url = address(&way, &ask.target).map_err(|_| unusable())?;
        let request = SendRequest {
            method: HttpMethod::Get,
            target: ask.target.clone(),
            body: None,
            timeout_ms: 0,
            max_bytes: 0,
            background: false,
        };
        let signed = self.signed(&request, url)?;
        let authorization = signed.headers.into_iter().find(|(name, _)| name == "authorization");
        let (_, authorization) = authorization.ok_or_else(MatrixError::internal)?;
        Ok(MediaLease::Granted { url: signed.url.into(), authorization })
    }
}
