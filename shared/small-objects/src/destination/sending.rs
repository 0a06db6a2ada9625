//! Sending what waits, one transaction after the other.

use std::rc::Rc;

use tern_federation::queue::{Answer, Fate};
use tern_model::{Bounded, BoundedJson, RawJson};
use tern_object_kit::alarm::backed_off;
use tern_ports::{
    ObjectHost, Sql, SqlError, ask_storage,
    outbound::HttpMethod,
    wire::{
        destination::{RemoteAnswer, SendRequest},
        troubles::NoteTrouble,
    },
};

use super::{
    DestinationActor,
    transaction::{Nothing, Prepared},
};

/// So long the server has for a transaction, in milliseconds.
const TIMEOUT_MS: u64 = 20_000;
/// Longest answer to a transaction: an error for each event in it.
const LONGEST: usize = 256 * 1024;
/// Delays after rooms' hubs could not be asked.
const RETRY: (u64, u64) = (2_000, 600_000);
/// After so many failures in a row a server is in trouble.
const NOTED_FROM: u32 = 2;

/// Sends; one at a time. Ends with the future it is in.
struct Running<H: ObjectHost>(Rc<DestinationActor<H>>);

impl<H: ObjectHost> Drop for Running<H> {
    fn drop(&mut self) {
        self.0.queue.running.set(false);
    }
}

impl<H: ObjectHost> Running<H> {
    /// Sends until nothing waits, or something has to wait.
    async fn send_all(self) {
        let actor = &self.0;
        let mut begun = false;
        let at = loop {
            let now = actor.host.now();
            match actor.progress().map(|progress| progress.back_off) {
                Ok(back_off) if back_off.allows(now) => begun = true,
                Ok(back_off) if begun => break back_off.until,
                // The alarm of then stands.
                Ok(_) => return,
                Err(_) => break now.plus(RETRY.0),
            }
            match actor.next_transaction().await {
                Ok(prepared) => {
                    actor.queue.hub_failures.set(0);
                    if actor.send(&prepared).await.is_err() {
                        break now.plus(RETRY.0);
                    }
                }
                Err(Nothing::Done) => return,
                Err(Nothing::Later) => {
                    let failures = actor.queue.hub_failures.get().saturating_add(1);
                    actor.queue.hub_failures.set(failures);
                    break backed_off(now, failures, RETRY);
                }
            }
        };
        actor.alarm.set(&*actor.host, at).await;
    }
}

impl<H: ObjectHost> DestinationActor<H> {
    /// Begins to send, unless somebody is at it.
    pub(super) fn start_sending(self: &Rc<Self>) {
        if !self.queue.running.replace(true) {
            let running = Running(Rc::clone(self));
            self.host.spawn(Box::pin(running.send_all()));
        }
    }

    /// Sends a transaction and keeps the books.
    async fn send(&self, prepared: &Prepared) -> Result<(), SqlError> {
        let empty = prepared.len() == 0 && prepared.fleeting.is_empty() && prepared.ephemeral.is_empty();
        let answer = if empty {
            // The rooms have nothing of it any more that the server would be told.
            Some(Answer { status: 200, is_json: true, retry_after_ms: None })
        } else if self.service.is_some() {
            self.host.synced().await;
            match self.registration() {
                Some(service) => self.send_to_service(service, prepared).await,
                None => None,
            }
        } else {
            let request = self.request_of(prepared)?;
            // Nothing leaves before it is durable under which id.
            if !prepared.is_fleeting() {
                self.host.synced().await;
            }
            let answer = self.send_request(request).await.ok();
            answer.map(|RemoteAnswer { status, body, retry_after_ms }| Answer {
                status,
                is_json: body.is_some(),
                retry_after_ms,
            })
        };
        self.queue.tried.set(Some((self.host.now(), answer.map(|answer| answer.status))));
        self.settle(prepared, answer)
    }

    fn request_of(&self, prepared: &Prepared) -> Result<SendRequest, SqlError> {
        #[derive(serde::Serialize)]
        struct Body<'a> {
            origin: &'a str,
            origin_server_ts: u64,
            pdus: &'a [RawJson],
            #[serde(skip_serializing_if = "Vec::is_empty")]
            edus: Vec<&'a RawJson>,
        }
        let fleeting = &prepared.fleeting;
        let body = Body {
            origin: self.config.server_name.as_str(),
            origin_server_ts: self.host.now().0,
            pdus: &prepared.pdus,
            edus: prepared.edus.iter().chain(&fleeting.receipts).chain(&fleeting.typing).collect(),
        };
        let unsendable = |error: &dyn std::fmt::Display| SqlError(format!("a transaction cannot be sent: {error}"));
        let body = RawJson::from_value(&body).map_err(|error| unsendable(&error))?;
        let target = format!("/_matrix/federation/v1/send/{}", prepared.transaction.id);
        Ok(SendRequest {
            method: HttpMethod::Put,
            target: Bounded::new(target).map_err(|error| unsendable(&error))?,
            body: Some(BoundedJson::new(body).map_err(|error| unsendable(&error))?),
            timeout_ms: TIMEOUT_MS,
            max_bytes: LONGEST,
            background: false,
        })
    }

    /// Notes what became of a transaction, all in one.
    fn settle(&self, prepared: &Prepared, answer: Option<Answer>) -> Result<(), SqlError> {
        let Some(mut row) = self.queue_row()? else { return Ok(()) };
        if prepared.is_fleeting() && !prepared.fleeting.is_empty() {
            // Whether the server is there is known; nothing else is.
            row.progress.back_off = self.back_off.get();
            self.remember_queue(row);
            return Ok(());
        }
        let before = row.progress;
        let (progress, fate) =
            row.progress.after_of(self.peer(), answer, prepared.len(), self.host.now(), self.spread());
        row.progress = progress;
        self.back_off.set(progress.back_off);
        let done = matches!(fate, Fate::Delivered | Fate::GivenUp);
        row.given_up += u64::from(fate == Fate::GivenUp);
        if fate != Fate::Again {
            row.txn = None;
        }
        self.host.sql().transaction(|| {
            if fate == Fate::Split {
                prepared.transaction.parts.iter().try_for_each(|part| self.take_back(part))?;
            }
            // A service's lanes tell that they are beyond it.
            if self.service.is_none() || !done || progress != before || fate == Fate::GivenUp {
                self.store().put_queue(&row)?;
            }
            if done {
                for (part, known) in prepared.transaction.parts.iter().zip(&prepared.rooms) {
                    self.advance(&part.room_id, part.through, *known)?;
                }
                for change in &prepared.transaction.devices {
                    self.store().drop_device_change(change)?;
                }
                if let Some(span) = prepared.transaction.to_device {
                    self.store().drop_messages(span)?;
                }
            }
            Ok::<_, SqlError>(())
        })?;
        self.remember_queue(row);
        self.note_trouble(before.back_off.failures, progress.back_off.failures);
        if fate != Fate::Again {
            self.queue.prepared.take();
        } else if let Some(prepared) = &mut *self.queue.prepared.borrow_mut() {
            // Nobody types for so long.
            prepared.fleeting.typing.clear();
        }
        Ok(())
    }

    /// Has it noted for administrators that the server fails again and again, or is back. It is noted again at every doubling,
    /// in case that it got lost.
    fn note_trouble(&self, before: u32, after: u32) {
        let fails = after > before && after >= NOTED_FROM && after.is_power_of_two();
        let is_back = before >= NOTED_FROM && after == 0;
        // Application services have a list of their own.
        if self.service.is_none() && (fails || is_back) {
            let (host, note) =
                (Rc::clone(&self.host), NoteTrouble { server: self.name.clone(), fails, ts: self.host.now() });
            self.host.spawn(Box::pin(async move { drop(ask_storage(&*host, note).await) }));
        }
    }
}
