//! Kinds of news a waiting poll may wait for, as a bit set.

/// Rooms: timeline, state, membership, counts.
pub const ROOMS: u32 = 1;
/// To-device messages.
pub const TO_DEVICE: u32 = 1 << 1;
/// Device lists and key counts.
pub const E2EE: u32 = 1 << 2;
/// Account data.
pub const ACCOUNT_DATA: u32 = 1 << 3;
/// Receipts.
pub const RECEIPTS: u32 = 1 << 4;
/// Typing.
pub const TYPING: u32 = 1 << 5;
/// Presence.
pub const PRESENCE: u32 = 1 << 6;
/// Thread subscriptions.
pub const THREADS: u32 = 1 << 8;
/// Sticky events.
pub const STICKY: u32 = 1 << 9;
/// Key counts alone.
pub const KEY_COUNTS: u32 = 1 << 10;
/// The session ended.
pub const LOGOUT: u32 = 1 << 7;
