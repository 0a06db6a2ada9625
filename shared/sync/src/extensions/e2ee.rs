//! `e2ee` (MSC3884): device lists and key counts.

use super::Known;
use super::sent::E2eeSentState;
use crate::hash::fingerprint;
use crate::json::Object;
use crate::view::{DeviceListChanges, KeyCounts};

/// The algorithm of one-time keys whose count is told even when it is zero.
pub const ONE_TIME_ALGORITHM: &str = "signed_curve25519";

pub(super) fn write(out: &mut Object<'_>, known: &Known<'_>, before: Option<&E2eeSentState>) -> E2eeSentState {
    let keys = known.view.key_counts();
    let print = fingerprint(&(&keys.one_time, &keys.fallback));
    out.object("e2ee", |out| {
        // Without a position there is no "since": the client has to look all its lists up anyway.
        if let Some(before) = before {
            out.object("device_lists", |out| write_device_lists(out, &known.view.device_lists(before.at)));
        }
        if before.is_none_or(|before| before.keys != print) {
            write_keys(out, &keys);
        }
    });
    E2eeSentState { at: known.at, keys: print }
}

/// Writes the contents of `device_lists`.
pub(crate) fn write_device_lists(out: &mut Object<'_>, lists: &DeviceListChanges) {
    if !lists.changed.is_empty() {
        out.texts("changed", &lists.changed);
    }
    if !lists.left.is_empty() {
        out.texts("left", &lists.left);
    }
}

/// Writes the key counts. Both fields are always there: an absent count reads as zero, and absent types as "this server
/// has no fallback keys".
pub(crate) fn write_keys(out: &mut Object<'_>, keys: &KeyCounts) {
    out.object("device_one_time_keys_count", |out| {
        if !keys.one_time.contains_key(ONE_TIME_ALGORITHM) {
            out.number(ONE_TIME_ALGORITHM, 0);
        }
        for (algorithm, count) in &keys.one_time {
            out.number(algorithm, *count);
        }
    });
    out.texts("device_unused_fallback_key_types", &keys.fallback);
}
