//! Waiting polls: questions that wait for news. Whatever changes the hub answers them itself, in the same turn and with
//! the same durable write as the change, so that a poll is one request whether news comes or not.

use std::rc::Rc;

use ruma::OwnedDeviceId;
use tern_ports::{
    Attachment, ObjectHost, WaitingPolls,
    wire::{UserCommand, frame, user::SyncStep},
};

use super::{Handled, UserActor, alarm::Duty, reply, sync::Look};

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// One step of a sync.
    pub(super) async fn sync_step(self: &Rc<Self>, command: UserCommand) -> Handled {
        self.note_poll();
        if self.has_unsubscribed.get()
            && let Some(session) = command.policy().cause.session()
            && self.admit(session).is_ok()
        {
            // What could not be had now is tried again with the next step.
            self.duties.begin(Duty::Subscription as usize);
            let attended = self.subscribe_if_active().await;
            self.end(Duty::Subscription, attended).await;
        }
        let (device_id, look) = match command {
            UserCommand::SlidingSync(command) => (command.session.device_id.clone(), self.sliding_sync(*command).await),
            UserCommand::ClassicSync(command) => (command.session.device_id.clone(), self.classic_sync(*command).await),
            _ => return reply::<()>(&Err(tern_model::MatrixError::internal())),
        };
        let suspended = self.standing.get().suspended;
        reply(&match look {
            // An answer out of the socket would confirm the session, so the poll of a suspended user asks again and again.
            Ok(Look::Hold { kinds, .. }) if suspended => Ok(SyncStep::Wait { kinds }),
            Ok(Look::Hold { kinds, timeout_response }) => return Handled::Hold { device_id, kinds, timeout_response },
            Ok(Look::AskAgain { kinds }) => Ok(SyncStep::Wait { kinds }),
            Ok(Look::Answer(body)) if suspended => Ok(SyncStep::AnswerSuspended(body)),
            Ok(Look::Answer(body)) => Ok(SyncStep::Answer(body)),
            Err(error) => Err(error),
        })
    }

    /// There is news of these kinds, of one device or of all. Waiting polls are looked at when the command is done.
    pub(super) fn announce(&self, device_id: Option<OwnedDeviceId>, kinds: u32) {
        let mut news = self.news.borrow_mut();
        match news.iter_mut().find(|(known, _)| *known == device_id) {
            Some((_, all)) => *all |= kinds,
            None => news.push((device_id, kinds)),
        }
    }

    /// Answers the waiting polls that the news is for.
    pub(super) fn answer_waiting(self: &Rc<Self>) {
        let mut news = self.news.take();
        // News for everybody first: who is answered is not looked at again.
        news.sort_by_key(|(device_id, _)| device_id.is_some());
        for (device_id, kinds) in news {
            for (poll_socket, attachment) in
                self.host.take(device_id.as_ref().map(|device_id| device_id.as_str()), kinds)
            {
                self.host.spawn(Box::pin(Rc::clone(self).answer_one(poll_socket, attachment)));
            }
        }
    }

    async fn answer_one(self: Rc<Self>, poll_socket: H::PollSocket, attachment: Attachment) {
        let question = attachment.question.as_deref().and_then(|question| frame::read::<UserCommand>(question).ok());
        let Some(command) = question else { return self.host.answer(poll_socket, None) };
        match self.sync_step(command).await {
            Handled::Reply(reply) => self.host.answer(poll_socket, Some(reply)),
            // No await between the last look and this: news cannot slip between them.
            Handled::Hold { kinds, .. } => self.host.keep(poll_socket, Attachment { kinds, ..attachment }),
        }
    }
}
