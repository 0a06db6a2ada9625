//! Sync: what a device sees next. One engine with three faces: sliding sync in the shape SDKs call today, in the shape of
//! the merged MSC4186, and classic `GET /sync`.
//!
//! Nothing here waits, reads storage or knows the time. A step goes:
//!
//! 1. [`Request::parse`] reads the body.
//! 2. [`Connection::begin`] finds the connection's state, or the answer given before.
//! 3. [`plan()`] looks at what changed since and tells which rooms need more than the hub's inbox holds.
//! 4. The caller loads those slices, if any, and [`answer()`] writes the body and the connection's new state.
//!
//! If the outcome is quiet and there is time, the caller holds the poll for [`Request::interest`] instead of answering.
//! When nothing changed since the connection's position no room is looked at. Classic sync goes the same way without a
//! connection: [`ClassicRequest::parse`], [`classic_plan`], [`classic_answer`].

pub mod answer;
pub mod classic;
pub mod conn;
mod event;
mod extensions;
mod filter;
mod fold;
mod gather;
mod hash;
mod json;
mod lazy;
mod lines;
mod list;
mod memory;
pub mod plan;
mod pos;
pub mod presence;
pub mod request;
mod room;
mod room_json;
mod room_view;
pub mod sent;
mod sent_answers;
pub mod slice;
mod speakers;
pub mod state;
mod token;
pub mod view;
mod want;

pub use answer::{Outcome, Save, answer};
pub use classic::{ClassicOutcome, ClassicPlan, ClassicRequest, Filter, classic_answer, classic_plan};
pub use conn::{Begin, Connection};
pub use extensions::{ONE_TIME_ALGORITHM, ThreadRange, thread_page};
pub use plan::{Plan, plan};
pub use presence::{Showing, presence_content};
pub use request::{Request, Shape};
pub use sent::Parts;
pub use sent_answers::{BODIES, Body};
pub use slice::{Slice, SliceAsk, Slices};
pub use token::stream_position;
pub use view::{
    AccountData, DeviceListChanges, Forgotten, KeyCounts, Membership, PresencePos, RoomView, Sticky,
    ThreadSubscription, ToDeviceMessage, TypingPos, Unread, UserView, is_bump, relists,
};
