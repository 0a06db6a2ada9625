//! What one user has not been told.

use std::rc::Rc;

use tern_model::{Receipt, RoomSeq};

/// Receipts that pile up for one user, at most; older ones are lost.
const MOST_RECEIPTS: usize = 200;

/// What one user has not been told.
#[derive(Clone, Default)]
pub(crate) struct Pending {
    /// The first position.
    pub(crate) from: Option<RoomSeq>,
    pub(crate) typing: bool,
    pub(crate) receipts: Vec<Rc<Receipt>>,
}

impl Pending {
    pub(crate) fn merge(&mut self, other: Self) {
        self.from = [self.from, other.from].into_iter().flatten().min();
        self.typing |= other.typing;
        self.receipts.extend(other.receipts);
        let excess = self.receipts.len().saturating_sub(MOST_RECEIPTS);
        self.receipts.drain(..excess);
    }

    /// The same is pending.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let same = |(one, other): (&Rc<Receipt>, &Rc<Receipt>)| Rc::ptr_eq(one, other);
        self.from == other.from
            && self.typing == other.typing
            && self.receipts.len() == other.receipts.len()
            && self.receipts.iter().zip(&other.receipts).all(same)
    }
}
