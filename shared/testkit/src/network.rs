//! Where frames go.

use std::{cell::RefCell, rc::Rc};

use futures::future::{FutureExt, LocalBoxFuture, ready};
use ruma::{RoomId, ServerName, UserId};
use serde::Serialize;
use tern_model::MatrixError;
use tern_ports::{
    Target, Transport, Unreachable,
    platform_limits::check_frame,
    wire::{DestinationCommand, RoomCommand, StorageCommand, UserCommand, frame, policy::Standing},
};

use crate::executor::yield_once;

/// A reply, sooner or later.
pub type Exchange = LocalBoxFuture<'static, Result<Vec<u8>, Unreachable>>;

/// Carries frames between the parts of a test.
pub trait Network {
    /// Delivers `frame` and brings the answer.
    fn exchange(&self, target: Target, frame: Vec<u8>) -> Exchange;
}

/// A network on which nobody can be reached.
pub struct Nowhere;

impl Network for Nowhere {
    fn exchange(&self, _: Target, _: Vec<u8>) -> Exchange {
        ready(Err(Unreachable("nobody is there".to_owned()))).boxed_local()
    }
}

type Answer = Result<Vec<u8>, Unreachable>;
type Slot<F> = RefCell<Option<Rc<F>>>;
type OnRoom = dyn Fn(&RoomId, RoomCommand) -> Answer;
type OnUser = dyn Fn(&UserId, UserCommand) -> Answer;
type OnDestination = dyn Fn(&ServerName, DestinationCommand) -> Answer;
type OnService = dyn Fn(&str, DestinationCommand) -> Answer;

/// A network of closures, one per kind of target, that keeps what was sent. Without a closure the target cannot be
/// reached. Every exchange takes one turn of the loop.
#[derive(Default)]
pub struct Routes {
    storage: Slot<dyn Fn(StorageCommand) -> Answer>,
    rooms: Slot<OnRoom>,
    users: Slot<OnUser>,
    destinations: Slot<OnDestination>,
    services: Slot<OnService>,
    sent: RefCell<Vec<(Target, Vec<u8>)>>,
}

impl Routes {
    /// A network on which nobody can be reached yet.
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// Answers for the storage worker from now on. Build answers with [`reply`] and [`lost`].
    pub fn storage(&self, answer: impl Fn(StorageCommand) -> Answer + 'static) {
        self.storage.replace(Some(Rc::new(answer)));
    }

    /// Answers for all rooms' hubs from now on.
    pub fn rooms(&self, answer: impl Fn(&RoomId, RoomCommand) -> Answer + 'static) {
        self.rooms.replace(Some(Rc::new(answer)));
    }

    /// Answers for all users' hubs from now on.
    pub fn users(&self, answer: impl Fn(&UserId, UserCommand) -> Answer + 'static) {
        self.users.replace(Some(Rc::new(answer)));
    }

    /// Answers for the objects of all other servers from now on.
    pub fn destinations(&self, answer: impl Fn(&ServerName, DestinationCommand) -> Answer + 'static) {
        self.destinations.replace(Some(Rc::new(answer)));
    }

    /// Answers for the objects of all application services from now on.
    pub fn services(&self, answer: impl Fn(&str, DestinationCommand) -> Answer + 'static) {
        self.services.replace(Some(Rc::new(answer)));
    }

    /// What was sent since this was last asked, frames as they were.
    pub fn take_sent(&self) -> Vec<(Target, Vec<u8>)> {
        self.sent.take()
    }

    /// The commands sent to users' hubs since [`Routes::take_sent`] was last called; they stay recorded.
    pub fn sent_to_users(&self) -> Vec<(ruma::OwnedUserId, UserCommand)> {
        let sent = self.sent.borrow();
        let users = sent.iter().filter_map(|(target, bytes)| match target {
            Target::User(user_id) => Some((user_id.clone(), frame::read(bytes).ok()?)),
            _ => None,
        });
        users.collect()
    }

    /// The commands sent to rooms' hubs since [`Routes::take_sent`] was last called; they stay recorded.
    pub fn sent_to_rooms(&self) -> Vec<(ruma::OwnedRoomId, RoomCommand)> {
        let sent = self.sent.borrow();
        let rooms = sent.iter().filter_map(|(target, bytes)| match target {
            Target::Room(room_id) => Some((room_id.clone(), frame::read(bytes).ok()?)),
            _ => None,
        });
        rooms.collect()
    }

    /// The commands sent to the storage worker since [`Routes::take_sent`] was last called; they stay recorded.
    pub fn sent_to_storage(&self) -> Vec<StorageCommand> {
        let sent = self.sent.borrow();
        let storage = sent.iter().filter(|(target, _)| *target == Target::Storage);
        storage.filter_map(|(_, bytes)| frame::read(bytes).ok()).collect()
    }

    fn answer(&self, target: &Target, bytes: &[u8]) -> Answer {
        let nobody = || Unreachable(format!("nobody answers for {target:?}"));
        let unread = |error: frame::FrameError| Unreachable(error.to_string());
        // The closure is cloned out so that it may replace itself.
        match target {
            Target::Storage => {
                let answer = self.storage.borrow().clone().ok_or_else(nobody)?;
                answer(frame::read(bytes).map_err(unread)?)
            }
            Target::Room(room_id) => {
                let answer = self.rooms.borrow().clone().ok_or_else(nobody)?;
                answer(room_id, frame::read(bytes).map_err(unread)?)
            }
            Target::User(user_id) => {
                let answer = self.users.borrow().clone().ok_or_else(nobody)?;
                answer(user_id, frame::read(bytes).map_err(unread)?)
            }
            Target::Destination(name) => {
                let answer = self.destinations.borrow().clone().ok_or_else(nobody)?;
                answer(name, frame::read(bytes).map_err(unread)?)
            }
            Target::Service(id) => {
                let answer = self.services.borrow().clone().ok_or_else(nobody)?;
                answer(id, frame::read(bytes).map_err(unread)?)
            }
            Target::OneTimeStore(_) | Target::DeviceSignIn(_) | Target::Relay(_) => Err(nobody()),
        }
    }
}

impl Network for Routes {
    fn exchange(&self, target: Target, frame: Vec<u8>) -> Exchange {
        let answer = check_frame(&frame).and_then(|()| self.answer(&target, &frame));
        self.sent.borrow_mut().push((target, frame));
        yield_once().map(|()| answer).boxed_local()
    }
}

/// An answer that arrives.
///
/// # Errors
/// Never; the type is that of an exchange.
pub fn reply<T: Serialize>(value: T) -> Result<Vec<u8>, Unreachable> {
    Ok(frame::write_reply::<T>(&Ok(value)))
}

/// A refusal that arrives.
///
/// # Errors
/// Never; the type is that of an exchange.
pub fn error_reply(error: MatrixError) -> Result<Vec<u8>, Unreachable> {
    Ok(frame::write_reply::<()>(&Err(error)))
}

/// An answer that is lost.
///
/// # Errors
/// Always.
pub fn lost() -> Result<Vec<u8>, Unreachable> {
    Err(Unreachable("lost on the way".to_owned()))
}

/// A network as the transport of a cold flow.
#[derive(Clone)]
pub struct Wire(pub Rc<dyn Network>);

impl Transport for Wire {
    async fn exchange(&self, target: &Target, frame: Vec<u8>) -> Result<Vec<u8>, Unreachable> {
        self.0.exchange(target.clone(), frame).await
    }

    fn standing(&self) -> Standing {
        Standing::Nobody
    }
}
