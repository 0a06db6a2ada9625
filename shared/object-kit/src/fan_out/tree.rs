//! The arithmetic of the tree.
//!
//! A room hands a shard to each of four relays, which leaves two of its six connections to whoever must be told at once
//! and to those who get a notice of their own. A relay splits what is too much for it among at most six others, all of
//! which it can ask at once. So three levels of relays reach 4 · 6 · 6 · 200 = 28,800 listeners, each level takes the
//! time of one request, and the last one that of telling two hundred hubs, six at a time: the time goes with the logarithm
//! of the number. Twenty thousand are 4 + 24 + 120 relays of 167 hubs each.

/// Shards that a room has under way at most.
pub const SHARDS: usize = 4;

/// Relays among which a relay splits its shard, at most: as many as it may have connections.
pub const FAN_OUT: usize = 6;

/// Among how many further relays `users` are split by one that tells `own` hubs itself; none when it tells them.
pub const fn branches(users: usize, own: usize) -> usize {
    let own = if own == 0 { 1 } else { own };
    if users <= own {
        return 0;
    }
    let wanted = users.div_ceil(own);
    if wanted < FAN_OUT { wanted } else { FAN_OUT }
}

/// Splits into at most `branches` shards, as equal as may be.
pub fn split<T>(users: &[T], branches: usize) -> impl Iterator<Item = &[T]> {
    users.chunks(users.len().div_ceil(branches.max(1)).max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{FAN_OUT, SHARDS, branches, split};

    /// Levels of relays, relays, and the most hubs that one of them tells.
    fn shape(users: &[u32], own: usize) -> (u32, usize, usize) {
        match branches(users.len(), own) {
            0 => (1, 1, users.len()),
            branches => split(users, branches)
                .map(|shard| shape(shard, own))
                .fold((1, 1, 0), |all, part| (all.0.max(part.0 + 1), all.1 + part.1, all.2.max(part.2))),
        }
    }

    /// As [`shape`], with the room that hands shards over.
    fn shape_of_room(listeners: usize, own: usize) -> (u32, usize, usize) {
        let users: Vec<u32> = (0..).take(listeners).collect();
        split(&users, SHARDS)
            .map(|shard| shape(shard, own))
            .fold((0, 0, 0), |all, part| (all.0.max(part.0), all.1 + part.1, all.2.max(part.2)))
    }

    #[test]
    fn twenty_thousand_take_three_levels() {
        assert_eq!(shape_of_room(201, 200), (1, 4, 51));
        assert_eq!(shape_of_room(800, 200), (1, 4, 200));
        assert_eq!(shape_of_room(20_000, 200), (3, 4 + 24 + 120, 167));
        assert_eq!(shape_of_room(28_800, 200), (3, 4 + 24 + 144, 200));
        assert_eq!(shape_of_room(28_801, 200).0, 4);
    }

    proptest! {
        #[test]
        fn every_user_is_in_one_share_and_none_is_too_large(count in 0..5_000_usize, own in 0..300_usize) {
            let users: Vec<u32> = (0..).take(count).collect();
            let branches = branches(count, own);
            prop_assert!(branches == 0 || (2..=FAN_OUT).contains(&branches));
            prop_assert_eq!(branches == 0, count <= own.max(1));
            let shards: Vec<&[u32]> = split(&users, branches).collect();
            prop_assert_eq!(shards.concat(), users.clone());
            prop_assert!(shards.len() <= branches.max(1));
            prop_assert!(shards.iter().all(|shard| !shard.is_empty() && (branches == 0 || shard.len() < count)));
        }

        #[test]
        fn depth_goes_with_the_logarithm(count in 1..20_000_usize, own in 1..300_usize) {
            let users: Vec<u32> = (0..).take(count).collect();
            let (levels, relays, most) = shape(&users, own);
            prop_assert!(most <= own);
            // One level more for each time that six times as many are to be told.
            let mut reach = own;
            let mut needed = 1;
            while reach < count {
                reach *= FAN_OUT;
                needed += 1;
            }
            prop_assert!(levels <= needed, "{} levels for {} by {}", levels, count, own);
            prop_assert!(relays <= 1 + 4 * count.div_ceil(own));
        }
    }
}
