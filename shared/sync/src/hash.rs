//! Fingerprints that are the same on every platform and in every build.

use std::hash::{Hash, Hasher};

/// FNV-1a over 64 bits.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn write_usize(&mut self, number: usize) {
        // The width of `usize` differs between platforms.
        self.write_u64(number as u64);
    }
}

/// A fingerprint below 2^53, so that it survives every JSON parser.
pub(crate) fn fingerprint<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    value.hash(&mut hasher);
    let full = hasher.finish();
    (full ^ (full >> 53)) & ((1 << 53) - 1)
}
