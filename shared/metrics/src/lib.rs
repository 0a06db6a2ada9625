//! What requests cost, summed up: gathered where they are answered, merged where they are kept, shown to whoever asks.
//!
//! 1. [`gather`]: an isolate adds up its requests and hands them over as one frame.
//! 2. [`codec`]: the bytes of a frame, and of what is kept. A frame that is none is refused.
//! 3. [`snapshot`] and [`series`]: sums by route and by region, which merge in any order; quantiles with a bounded error.
//! 4. [`view`]: the time that somebody looks at. [`prometheus`] writes it as text, [`page`] as a page.
//!
//! Everything is bounded: [`snapshot::MOST_ENTRIES`] sums, [`codec::MOST_BYTES`] bytes. Nothing names a room or a person: a
//! route is a template.

mod chart;
pub mod codec;
pub mod gather;
pub mod page;
pub mod prometheus;
pub mod series;
pub mod snapshot;
pub mod view;
mod words;
