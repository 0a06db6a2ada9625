//! The rules of rooms, one file per module of the crate.

#[cfg(test)]
mod acl;
#[cfg(test)]
mod audience;
#[cfg(test)]
mod auth;
#[cfg(test)]
mod build;
#[cfg(test)]
mod client;
#[cfg(test)]
mod create;
#[cfg(test)]
mod forks;
#[cfg(test)]
mod graph;
#[cfg(test)]
mod membership;
#[cfg(test)]
mod order;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod receipt;
#[cfg(test)]
mod redact;
#[cfg(test)]
mod resolve;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod summary;
#[cfg(test)]
mod support;
#[cfg(test)]
mod thread;
#[cfg(test)]
mod upgrade;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod visibility;
