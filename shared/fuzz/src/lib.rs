//! What takes bytes from strangers, and what must hold whatever they are. A target is a function of bytes that panics when
//! it does not hold; none of the domain's own code may panic either.
//!
//! `cargo xtask test` runs every target over `seeds/`, where inputs that once broke one are kept too. To look for more:
//! `cargo +nightly fuzz run TARGET seeds/TARGET` in this folder ([cargo-fuzz](https://rust-fuzz.github.io/book/)).

#![expect(clippy::expect_used, reason = "a target panics when something does not hold")]

mod federation;
mod frame;
mod input;
mod multipart;
mod oauth;
mod page;
mod pdu;
mod push;
mod query;
mod range;
mod sync;

/// What a target is called, and the target.
pub type Target = (&'static str, fn(&[u8]));

/// All targets; each has a folder of seeds and a binary in `fuzz/fuzz_targets` of its name.
pub const TARGETS: [Target; 10] = [
    ("filter", query::filter),
    ("frame", frame::frame),
    ("multipart", multipart::multipart),
    ("oauth", oauth::oauth),
    ("page", page::page),
    ("pdu", pdu::pdu),
    ("push_rule", push::push_rule),
    ("range", range::range),
    ("sync_request", sync::sync_request),
    ("x_matrix", federation::x_matrix),
];

/// Runs the target called `name`.
///
/// # Panics
/// When there is none, and when what must hold does not.
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("the target exists");
    target(data);
}
