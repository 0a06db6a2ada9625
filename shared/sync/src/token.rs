//! Tokens of either sync.

use tern_model::StreamPos;

use crate::classic;
use crate::pos::Pos;

/// The position in the user's stream that a token of either sync names: a `next_batch` or a `pos`. `None` for what is no
/// such token. Whose stream it is does not show.
pub fn stream_position(token: &str) -> Option<StreamPos> {
    classic::position(token).or_else(|| Pos::read(token).map(Pos::at))
}
