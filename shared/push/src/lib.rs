//! Push rules (Client-Server API, "Push rules"): which events notify a user, and how.
//!
//! The rules are data: the predefined set, the changes a client may make, and the parts it may read. The account data
//! event `m.push_rules` carries exactly what [`PushRules::to_content`] writes. An [`Evaluator`] made of them says what
//! follows from an event; a [`UnreadCounts`] counts what follows from many.
//!
//! [`queue`] says what a pusher is sent next and when, [`gateway`] in what words.

mod change;
mod condition;
mod error;
mod evaluate;
mod event;
mod folded;
pub mod gateway;
mod glob;
mod json;
mod polls;
pub mod queue;
mod rule;
mod rules;
mod unread_counts;
mod upgrade;
mod view;

pub use change::Change;
pub use error::PushRuleError;
pub use evaluate::{Evaluator, Verdict, tweaks};
pub use event::{Context, Event};
pub use rule::Rule;
pub use rules::{PushRules, RuleKind};
pub use unread_counts::{Counts, Notification, Scope, Slot, UnreadCounts};
pub use view::View;
