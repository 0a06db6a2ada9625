//! How a device's queue of to-device messages is shared among those who send to it.
//!
//! Nobody's messages give way to those of somebody who has more of them there: when a queue is too long, whoever has most
//! in it loses their own oldest. Nobody is refused, since that would keep people from sending in a room because one
//! member's device is never switched on. People who share no room with the user have a smaller part for all of them, so that
//! many accounts do not help a stranger. (Somebody whose join a large room has not told of yet is a stranger, too.)

use ruma::UserId;

use crate::store::to_device::Share;

/// Messages kept for a device that does not fetch them, give or take what comes between two looks.
const LONGEST: u64 = 5_000;
/// Of those, messages of all who share no room with the user.
const OF_STRANGERS: u64 = 1_000;
/// Of those, messages of one of them.
const OF_ONE_STRANGER: u64 = 100;
/// Bytes of what one sender has there, somebody known and a stranger.
const BYTES: u64 = 8 << 20;
const BYTES_OF_ONE_STRANGER: u64 = 512 << 10;

/// Who has too many messages in a queue of `owner`, and how many of them stay.
pub(crate) fn too_many(shares: Vec<Share>, owner: &UserId) -> Vec<(Option<String>, u64)> {
    let is_known =
        |share: &Share| share.shared_user || share.sender.as_deref().is_none_or(|sender| sender == owner.as_str());
    let (known, strangers): (Vec<Share>, Vec<Share>) = shares.into_iter().partition(is_known);
    let strangers_level = level(&strangers, OF_STRANGERS).min(OF_ONE_STRANGER);
    let kept: u64 = strangers.iter().map(|share| share.messages.min(strangers_level)).sum();
    let known_level = level(&known, LONGEST.saturating_sub(kept));
    let over = |level: u64, bytes: u64| {
        move |share: Share| {
            let keep = level.min(within(&share, bytes));
            (share.messages > keep).then_some((share.sender, keep))
        }
    };
    known
        .into_iter()
        .filter_map(over(known_level, BYTES))
        .chain(strangers.into_iter().filter_map(over(strangers_level, BYTES_OF_ONE_STRANGER)))
        .collect()
}

/// How many messages of a share have so many bytes, if all are as long as they are on average; one stays in any case.
fn within(share: &Share, bytes: u64) -> u64 {
    if share.bytes <= bytes {
        return u64::MAX;
    }
    (share.messages.saturating_mul(bytes) / share.bytes.max(1)).max(1)
}

/// The most that each may keep so that all together keep at most `room`: who has less keeps everything.
fn level(shares: &[Share], mut room: u64) -> u64 {
    let mut sizes: Vec<u64> = shares.iter().map(|share| share.messages).collect();
    sizes.sort_unstable();
    let mut left = sizes.len() as u64;
    for size in sizes {
        let each = room / left.max(1);
        if size > each {
            return each;
        }
        room = room.saturating_sub(size);
        left = left.saturating_sub(1);
    }
    u64::MAX
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::{Share, too_many};

    fn share(sender: &str, messages: u64, shared_user: bool) -> Share {
        Share { sender: Some(sender.to_owned()), messages, bytes: 0, shared_user }
    }

    fn left(shares: &[Share]) -> Vec<(String, u64)> {
        let cut = too_many(shares.to_vec(), user_id!("@me:example.org"));
        cut.into_iter().map(|(sender, keep)| (sender.unwrap_or_default(), keep)).collect()
    }

    #[test]
    fn who_has_most_loses_and_strangers_have_a_small_part() {
        assert_eq!(left(&[share("a", 5_000, true)]), []);
        assert_eq!(left(&[share("a", 9_000, true), share("b", 12, true)]), [("a".to_owned(), 4_988)]);
        assert_eq!(left(&[share("@me:example.org", 900, false), share("s", 101, false)]), [("s".to_owned(), 100)]);
        let many: Vec<_> = (0..200).map(|one| share(&format!("s{one}"), 50, false)).collect();
        let cut = left(&[many.clone(), vec![share("a", 4_000, true), share("few", 3, false)]].concat());
        assert_eq!(cut.len(), 200, "neither who is known nor a stranger who said little loses anything");
        assert!(cut.iter().all(|(sender, keep)| sender.starts_with('s') && *keep == 4));
    }

    #[test]
    fn long_messages_count_by_their_bytes() {
        let long = |sender, messages, bytes, shared| Share { bytes, ..share(sender, messages, shared) };
        assert_eq!(left(&[long("a", 1_000, 8 << 20, true), long("s", 90, 512 << 10, false)]), []);
        assert_eq!(left(&[long("a", 1_000, 16 << 20, true)]), [("a".to_owned(), 500)]);
        assert_eq!(left(&[long("s", 80, 10 << 20, false)]), [("s".to_owned(), 4)]);
        assert_eq!(left(&[long("a", 1, 1 << 30, true)]), []);
    }

    #[test]
    fn what_an_earlier_build_queued_is_kept_as_somebodys() {
        let old = Share { sender: None, messages: 4_990, bytes: 0, shared_user: false };
        assert_eq!(left(&[old.clone(), share("a", 10, true)]), []);
        assert_eq!(left(&[old, share("a", 20, true)]), [(String::new(), 4_980)]);
    }
}
