//! The order of results, and how a page of them is followed by the next.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use tern_model::MatrixError;

use super::{
    criteria::Group,
    order::{Order, Place},
};

/// `next_batch`: the place of the last result, how many there were up to there, and the group that is gone through.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Token {
    pub(super) order: Order,
    pub(super) place: Place,
    pub(super) count: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<(Group, String)>,
}

impl Token {
    pub(super) fn write(&self) -> Result<String, MatrixError> {
        let text = serde_json::to_vec(self).map_err(|_| MatrixError::internal())?;
        Ok(URL_SAFE_NO_PAD.encode(text))
    }

    pub(super) fn read(token: &str, order: Order) -> Result<Self, MatrixError> {
        let read = || serde_json::from_slice::<Self>(&URL_SAFE_NO_PAD.decode(token).ok()?).ok();
        read()
            .filter(|token| token.order == order)
            .ok_or_else(|| MatrixError::invalid_param("Not a token of this search"))
    }
}
