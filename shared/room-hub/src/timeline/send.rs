//! Sending: the turn in which a group of requests is decided and committed.

use std::rc::Rc;

use ruma::{OwnedEventId, OwnedRoomId, events::StateEventType};
use tern_model::{MatrixError, Pdu, RawJson, TxnRef};
use tern_ports::{
    ObjectHost, Sql, SqlError, ask_storage,
    wire::{
        receive::PduResult,
        room::{ChangeMembership, Draft, SendEvent, Sent, SetMemberProfile},
        storage::{LoadEvent, LoadedEvent},
    },
};
use tern_room::{
    Relation, RoomView,
    build::{self, propose},
    redact, relations,
};

use crate::{
    RoomActor,
    graph::{
        admit::Admitted,
        batch::{Batch, SEARCHES},
    },
    refusal::not_in_room,
    timeline::view::{Entry, Transaction, redacts},
};

/// A request to change the room, with everything that had to be fetched for it.
pub(crate) enum Job {
    Send {
        request: Box<SendEvent>,
        /// The event to redact, when it is no longer here.
        target: Option<Box<LoadedEvent>>,
    },
    Membership {
        request: ChangeMembership,
        /// Rooms that let their members into this one, and that the caller is in.
        restricted_join: Vec<OwnedRoomId>,
    },
    Profile(SetMemberProfile),
    /// Events from elsewhere.
    Receive(Rc<Batch>),
    /// A scheduled event whose time has come, or that is wanted before.
    Delayed {
        delay_id: String,
        due: bool,
    },
    /// Any of these but `Receive`, with what was found of what its event needs.
    Here(Box<Job>, Rc<Batch>),
}

impl Job {
    /// Somebody may be out of the room by it.
    fn moves_members(&self) -> bool {
        match self {
            Self::Membership { .. } | Self::Receive(_) | Self::Delayed { .. } => true,
            Self::Send { request, .. } => request.draft.kind == "m.room.member",
            Self::Profile(_) => false,
            Self::Here(job, _) => job.moves_members(),
        }
    }
}

/// The event that answers a job; nothing when there was nothing to do.
pub(crate) type Answer = Result<Option<OwnedEventId>, MatrixError>;

/// What a job comes to.
pub(crate) enum Plan {
    /// It is so already.
    Known(OwnedEventId),
    /// There is nothing to do.
    Nothing,
    /// Append this.
    Append(Box<Entry>),
}

impl<H: ObjectHost> RoomActor<H> {
    /// Sends a message or state event, or a redaction.
    pub(crate) async fn send_event(self: &Rc<Self>, request: SendEvent) -> Result<Sent, MatrixError> {
        self.room()?;
        let target = self.fetch_target(&request).await?;
        let (request, target) = (Box::new(request), target.map(Box::new));
        let event_id = self.submit_here(|| Job::Send { request: request.clone(), target: target.clone() }).await?;
        event_id.map(|event_id| Sent { event_id }).ok_or_else(MatrixError::internal)
    }

    /// Has a job decided and committed, and starts what follows.
    pub(crate) async fn submit(self: &Rc<Self>, job: Job) -> Answer {
        let moves_members = job.moves_members();
        let answer = self.group_commit.pass(job, |jobs| self.decide(jobs), || self.settle()).await;
        if moves_members {
            self.stop_typing_of_leavers();
        }
        self.follow_up();
        answer.unwrap_or_else(|| Err(MatrixError::internal()))
    }

    /// Has a job of this server decided. What its event needs and is here no more is looked for, and the job tried again.
    pub(crate) async fn submit_here(self: &Rc<Self>, job: impl Fn() -> Job) -> Answer {
        let lacking = Rc::new(Batch::of(Vec::new(), Vec::new()));
        for _ in 0..SEARCHES {
            let answer = self.submit(Job::Here(Box::new(job()), Rc::clone(&lacking))).await;
            let missing = lacking.missing();
            if answer.is_ok() || missing.is_empty() || !self.fetch(&lacking, missing).await? {
                return answer;
            }
        }
        Err(MatrixError::unavailable())
    }

    /// What has to be before a commit is acknowledged: the alarm that resumes what follows from it, and durability.
    pub(crate) async fn settle(&self) {
        self.arm_for_leftovers().await;
        self.host.synced().await;
    }

    fn decide(&self, jobs: Vec<Job>) -> Vec<Answer> {
        let count = jobs.len();
        self.commit(jobs).unwrap_or_else(|error| vec![Err(error); count])
    }

    /// One turn: decides all jobs in order, each on top of those before it, in one transaction.
    fn commit(&self, jobs: Vec<Job>) -> Result<Vec<Answer>, MatrixError> {
        let head = self.room()?;
        let before = head.newest;
        let tx = Transaction::new(&self.room_id, self.host.sql(), &self.cache, Rc::unwrap_or_clone(head))
            .at(self.host.now());
        let answers = self.host.sql().transaction(|| {
            let mut answers = Vec::with_capacity(jobs.len());
            for job in jobs {
                answers.push(self.commit_one(&tx, job)?);
            }
            if tx.newest() > before {
                self.follow_servers(&tx)?;
                self.follow_services(&tx)?;
                tx.seal()?;
            }
            Ok::<_, SqlError>(answers)
        })?;
        if tx.is_sealed() {
            self.adopt(tx.committed());
        } else if tx.newest() > before {
            self.adopt_unsaved(tx.committed());
        }
        Ok(answers)
    }

    /// A refusal is the job's own; a failed write undoes the whole turn.
    fn commit_one(&self, tx: &Transaction<'_, H::Sql>, job: Job) -> Result<Answer, SqlError> {
        let plan = match job {
            Job::Receive(batch) => {
                Self::receive_batch(tx, &batch)?;
                return Ok(Ok(None));
            }
            Job::Send { request, target } => {
                let sticky = request.sticky_ms.is_some_and(|duration_ms| duration_ms > 0);
                self.plan_event(tx, *request, target).and_then(|plan| check_sticky(tx, plan, sticky))
            }
            Job::Membership { request, restricted_join } => self.plan_membership(tx, &request, &restricted_join),
            Job::Profile(request) => self.plan_profile(tx, &request),
            Job::Delayed { delay_id, due } => return self.commit_delayed(tx, &delay_id, due),
            Job::Here(job, lacking) => {
                lacking.results.borrow_mut().clear();
                tx.lacking.replace(Some(lacking));
                let answer = self.commit_one(tx, *job);
                tx.lacking.take();
                return answer;
            }
        };
        Self::carry_out(tx, plan)
    }

    /// Does what was planned.
    pub(crate) fn carry_out(tx: &Transaction<'_, H::Sql>, plan: Result<Plan, MatrixError>) -> Result<Answer, SqlError> {
        Ok(match plan {
            Ok(Plan::Append(entry)) => {
                if let Err(error) = append(tx, &entry)? {
                    return Ok(Err(error));
                }
                if let Some(state_key) = entry.pdu.key() {
                    let (kind, sender) = (entry.pdu.kind().to_string(), entry.pdu.from().as_str());
                    tx.store().supersede_delayed(&kind, state_key, sender)?;
                }
                Ok(Some(entry.pdu.id().to_owned()))
            }
            Ok(Plan::Known(event_id)) => Ok(Some(event_id)),
            Ok(Plan::Nothing) => Ok(None),
            Err(error) => Err(error),
        })
    }

    pub(crate) fn plan_event(
        &self,
        tx: &Transaction<'_, H::Sql>,
        request: SendEvent,
        fetched: Option<Box<LoadedEvent>>,
    ) -> Result<Plan, MatrixError> {
        let SendEvent { draft, device_id, txn_id, ts, sticky_ms } = request;
        let draft = rule_draft(draft).sticky(sticky_ms);
        let txn = txn_id.map(|txn_id| TxnRef { device_id, txn_id });
        if let Some(txn) = &txn
            && let Some(known) = tx.event_of(draft.sender.as_str(), txn, &draft.kind)?
        {
            build::check(&draft)?;
            return Ok(Plan::Known(known));
        }
        let pdu = propose(tx, &draft, ts.unwrap_or_else(|| self.host.now()), self.signer()?)?;
        if let Some(same) = unchanged_state(tx, &pdu)? {
            return Ok(Plan::Known(same));
        }
        check_relation(tx, &pdu)?;
        let redacts = match redact::target(tx.version(), &pdu) {
            Some(target) => {
                let here = tx.store().event(target.as_str())?;
                let fetched = fetched.filter(|fetched| fetched.event.event_id == target);
                let target = here
                    .map(|here| (here, None))
                    .or(fetched.map(|fetched| (fetched.event, fetched.successor)))
                    .ok_or_else(|| MatrixError::not_found("There is no event to redact"))?;
                Some(redacts(tx, &pdu, target)?)
            }
            None => None,
        };
        Ok(Plan::Append(Box::new(Entry { pdu, txn, redacts })))
    }

    /// The event to redact, from the storage worker when it was trimmed here. Fetched before the turn, which cannot wait.
    async fn fetch_target(&self, request: &SendEvent) -> Result<Option<LoadedEvent>, MatrixError> {
        let Some(event_id) = target_of(&request.draft) else {
            return Ok(None);
        };
        if self.room()?.tail.0 == 0 || self.store().seq_of(event_id.as_str())?.is_some() {
            return Ok(None);
        }
        let load = LoadEvent { room_id: self.room_id.clone(), event_id, user_id: request.draft.sender.clone() };
        ask_storage(&*self.host, load).await
    }
}

/// Refuses one more sticky event where there are too many: it would have to reach everybody.
fn check_sticky<S: Sql>(tx: &Transaction<'_, S>, plan: Plan, sticky: bool) -> Result<Plan, MatrixError> {
    if let (Plan::Append(entry), true) = (&plan, sticky) {
        tx.check_room_for_sticky(entry.pdu.from().as_str(), tx.now())?;
    }
    Ok(plan)
}

/// Appends an event made here. It stands on all extremities and in the present, unless some were given up: then it is
/// checked like one from elsewhere.
fn append<S: Sql>(tx: &Transaction<'_, S>, entry: &Entry) -> Result<Result<(), MatrixError>, SqlError> {
    if let Err(error) = tx.check_state_bytes(&entry.pdu)? {
        return Ok(Err(error.into()));
    }
    let (extremities, former) = tx.extremities_now();
    if entry.pdu.prev().len() >= extremities.len() && !former {
        return tx.append(entry).map(Ok);
    }
    let lacking = tx.lacking.borrow().clone().unwrap_or_else(|| Rc::new(Batch::of(Vec::new(), Vec::new())));
    let admitted = tx.admit(entry, &lacking.fetched.borrow())?;
    Ok(match admitted {
        Admitted::Accepted => Ok(()),
        Admitted::SideEvent(_, reason) => Err(MatrixError::forbidden(reason)),
        Admitted::Deferred(_) => Err(MatrixError::unavailable()),
        Admitted::Missing(missing) => {
            lacking.open.replace(vec![entry.pdu.clone()]);
            lacking.results.borrow_mut().insert(entry.pdu.id().to_owned(), PduResult::Missing(missing));
            Err(MatrixError::unavailable())
        }
    })
}

/// Refuses relations that clients are told not to state, as far as the tail knows: of older events a repeated reaction
/// would cost a question to the storage worker, and does no harm.
fn check_relation<S: Sql>(tx: &Transaction<'_, S>, pdu: &Pdu) -> Result<(), MatrixError> {
    let Some(relation) = Relation::of_content(&RawJson(pdu.body().to_owned())) else { return Ok(()) };
    let Some(target) = tx.store().event(relation.event_id.as_str())? else { return Ok(()) };
    let kind = pdu.kind().to_string();
    let annotated = relation.rel_type == "m.annotation"
        && tx.store().has_annotated(&relation.event_id, relation.key.as_deref(), (pdu.from().as_str(), &kind))?;
    relations::check(&relation, &target, annotated).map_err(MatrixError::from)
}

/// The event a draft redacts, wherever it names it.
fn target_of(draft: &Draft) -> Option<OwnedEventId> {
    #[derive(serde::Deserialize)]
    struct Content {
        redacts: Option<OwnedEventId>,
    }
    if draft.kind != "m.room.redaction" {
        return None;
    }
    let named = || draft.content.read::<Content>().ok()?.redacts;
    draft.redacts.clone().or_else(named)
}

/// The current event of the same type and state key, when it says the same and was said by the same: sending it again
/// changes nothing.
fn unchanged_state(tx: &impl RoomView, pdu: &Pdu) -> Result<Option<OwnedEventId>, MatrixError> {
    let Some(state_key) = pdu.key() else { return Ok(None) };
    let kind = StateEventType::from(pdu.kind().to_string());
    let current = tx.state(&kind, state_key)?;
    let value = |pdu: &Pdu| serde_json::from_str::<serde_json::Value>(pdu.body().get()).ok();
    let same = current.filter(|current| current.from() == pdu.from() && value(current) == value(pdu));
    Ok(same.map(|same| same.id().to_owned()))
}

/// A draft from the wire as the rules take it.
pub(crate) fn rule_draft(draft: Draft) -> tern_room::Draft {
    let Draft { sender, kind, state_key, content, redacts } = draft;
    tern_room::Draft::new(sender, kind, state_key, content, redacts)
}

/// 404 for joining or knocking at a room that does not exist, 403 for everything else.
pub(crate) fn unknown_room(joining: bool) -> MatrixError {
    if joining { MatrixError::not_found("There is no such room") } else { not_in_room() }
}
