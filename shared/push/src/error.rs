//! Every way in which push rules refuse.

use tern_model::MatrixError;

/// Why a push rule could not be read or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushRuleError {
    /// No such kind of rule.
    #[error("Unknown kind of push rule")]
    UnknownKind,
    /// No such rule.
    #[error("The push rule was not found")]
    UnknownRule,
    /// `before` or `after` names no rule of this kind.
    #[error("before/after rule not found: {0}")]
    UnknownNeighbour(String),
    /// `before` or `after` names a rule that the server made.
    #[error("A rule cannot be placed next to a predefined rule")]
    PredefinedNeighbour,
    /// `before` is more important than `after`.
    #[error("before is more important than after")]
    NeighboursOutOfOrder,
    /// The id is reserved, empty, too long, or has a slash in it.
    #[error("This rule id is not allowed")]
    InvalidRuleId,
    /// Rules that the server made can be switched and re-aimed, not replaced or deleted.
    #[error("Predefined rules cannot be replaced or deleted")]
    Predefined,
    /// The rule, its conditions or its actions have the wrong shape.
    #[error("The rule is malformed: {0}")]
    Malformed(String),
    /// There are too many rules of this kind.
    #[error("Too many push rules")]
    TooMany,
}

impl From<PushRuleError> for MatrixError {
    fn from(error: PushRuleError) -> Self {
        let message = error.to_string();
        match error {
            PushRuleError::UnknownKind | PushRuleError::UnknownRule => Self::not_found(message),
            // The specification names no code of its own for these; its example is this one.
            PushRuleError::UnknownNeighbour(_)
            | PushRuleError::PredefinedNeighbour
            | PushRuleError::NeighboursOutOfOrder
            | PushRuleError::Predefined => Self::new(400, "M_UNKNOWN", message),
            PushRuleError::InvalidRuleId => Self::invalid_param(message),
            PushRuleError::Malformed(_) => Self::bad_json(message),
            PushRuleError::TooMany => Self::new(403, "M_RESOURCE_LIMIT_EXCEEDED", message),
        }
    }
}
