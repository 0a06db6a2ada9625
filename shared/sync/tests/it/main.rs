//! The sync engine against an in-memory hub and rooms.

#![cfg_attr(
    test,
    expect(
        clippy::needless_pass_by_value,
        clippy::too_many_lines,
        reason = "scenarios are told in one place, with literals"
    )
)]

#[cfg(test)]
mod classic;
mod classic_state;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod cost;
#[cfg(test)]
mod extensions;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod property;
#[cfg(test)]
mod property_classic;
#[cfg(test)]
mod rooms;
#[cfg(test)]
mod world;
