//! Push rules (Client-Server API, "Push rules"): which events notify a user, and how.
//!
//! The rules are data here: the predefined set, the changes a client may make, and the parts it may read. The account
//! data event `m.push_rules` carries exactly what [`PushRules::to_content`] writes.

mod change;
mod error;
mod rules;
mod view;

pub use change::Change;
pub use error::PushRuleError;
pub use rules::{PushRules, Rule, RuleKind};
pub use view::View;
