//! The sync engine against an in-memory hub and rooms.

mod classic;
mod connections;
mod cost;
mod extensions;
mod lists;
mod property;
mod property_classic;
mod rooms;
mod world;
