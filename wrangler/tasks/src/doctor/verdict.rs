//! What a check says.

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Fine,
    /// Works, but not as well as it should.
    Warning,
    /// Clients or other servers fail because of it.
    Broken,
    NotApplicable,
    CannotTell,
}

impl Outcome {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Warning => "WARNING",
            Self::Broken => "BROKEN",
            Self::NotApplicable => "-",
            Self::CannotTell => "?",
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    /// What was seen.
    pub(crate) found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) advice: Option<String>,
}

impl Verdict {
    pub(crate) fn fine(found: impl Into<String>) -> Self {
        Self { outcome: Outcome::Fine, found: found.into(), advice: None }
    }

    pub(crate) fn not_applicable(found: impl Into<String>) -> Self {
        Self { outcome: Outcome::NotApplicable, found: found.into(), advice: None }
    }

    pub(crate) fn cannot_tell(found: impl Into<String>) -> Self {
        Self { outcome: Outcome::CannotTell, found: found.into(), advice: None }
    }

    pub(crate) fn warning(found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { outcome: Outcome::Warning, found: found.into(), advice: Some(advice.into()) }
    }

    pub(crate) fn broken(found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { outcome: Outcome::Broken, found: found.into(), advice: Some(advice.into()) }
    }
}

/// The probe got no answer; what is wrong then, the check `reachable` says.
pub(crate) fn unanswered() -> Verdict {
    Verdict::cannot_tell("no answer")
}
