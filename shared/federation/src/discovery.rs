//! Where a server is (Server-Server API, "Server Discovery"), as a plan: what is to be asked next, and what follows from the
//! answer. Whoever carries it out knows the network; the plan knows the order.
//!
//! A certificate has to be for the host that is asked, and at Cloudflare's edge a request goes to the host that its address
//! names. So a record of DNS (SRV) that leads to another host than the one whose certificate counts cannot be followed;
//! [`Step::Unreachable`] says so. One that leads to the host itself only names the port.

use serde::Deserialize;

use crate::{
    server_name::{Host, ServerName},
    well_known,
};

/// The port of servers that name none.
const DEFAULT_PORT: u16 = 8448;

/// Where a server is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The host, which is whose certificate counts.
    pub host: Host,
    /// The port.
    pub port: u16,
    /// For how many seconds this is known.
    pub lifetime: u64,
}

/// What is to be asked next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `https://{host}/.well-known/matrix/server`.
    WellKnown(Host),
    /// The records of this name and type SRV.
    Srv(String),
    /// Nothing: it is there.
    Found(Way),
    /// Nothing: it cannot be reached from here.
    Unreachable(&'static str),
}

/// A record of type SRV (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// Those of a lower one come first.
    pub priority: u16,
    /// The port.
    pub port: u16,
    /// The host, in small letters, without a dot at its end.
    pub target: String,
}

/// The services whose records count, the newer one first.
const SERVICES: [&str; 2] = ["_matrix-fed._tcp", "_matrix._tcp"];

const FOREIGN_SRV: &str =
    "The server is delegated by an SRV record to another host, which cannot be followed from here";
const LITERAL: &str = "The server's name is an address, which cannot be asked from here";

/// A search that has got so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    step: Step,
    /// The name whose records are asked, once there is one.
    host: Host,
    lifetime: u64,
    service: usize,
}

impl Discovery {
    /// Begins. Addresses are found only where `literals` can be asked, which is on one machine.
    pub fn begin(name: &ServerName, literals: bool) -> Self {
        let begun = Self { step: Step::WellKnown(name.host.clone()), host: name.host.clone(), lifetime: 0, service: 0 };
        match name.port {
            None if !name.is_literal() => begun,
            _ => Self { lifetime: well_known::lifetime(None), ..begun }.delegated(name, literals),
        }
    }

    /// What is to be done now.
    pub const fn step(&self) -> &Step {
        &self.step
    }

    /// The answer to [`Step::WellKnown`]: what was read out of it, and how long it lasts in seconds.
    #[must_use]
    pub fn well_known(self, answer: Option<(ServerName, u64)>, literals: bool) -> Self {
        match answer {
            Some((name, lifetime)) => Self { lifetime, ..self }.delegated(&name, literals),
            None => Self { lifetime: well_known::AFTER_FAILURE, ..self }.look_up(),
        }
    }

    /// The answer to [`Step::Srv`]; no records also when they could not be had.
    #[must_use]
    pub fn srv(mut self, mut records: Vec<Srv>) -> Self {
        // A service that is decidedly not there.
        records.retain(|record| !record.target.is_empty());
        records.sort_by_key(|record| record.priority);
        let own = self.host.to_string();
        match records.iter().find(|record| record.target == own) {
            Some(record) => self.found(record.port),
            None if !records.is_empty() => Self { step: Step::Unreachable(FOREIGN_SRV), ..self },
            None => {
                self.service += 1;
                self.look_up()
            }
        }
    }

    /// Goes on with a name that is not asked for another.
    fn delegated(self, name: &ServerName, literals: bool) -> Self {
        let found = Self { host: name.host.clone(), ..self };
        match name.port {
            _ if name.is_literal() && !literals => Self { step: Step::Unreachable(LITERAL), ..found },
            Some(port) => found.found(port),
            None if name.is_literal() => found.found(DEFAULT_PORT),
            None => found.look_up(),
        }
    }

    fn look_up(self) -> Self {
        match SERVICES.get(self.service) {
            Some(service) => Self { step: Step::Srv(format!("{service}.{}", self.host)), ..self },
            None => self.found(DEFAULT_PORT),
        }
    }

    fn found(self, port: u16) -> Self {
        let way = Way { host: self.host.clone(), port, lifetime: self.lifetime };
        Self { step: Step::Found(way), ..self }
    }
}

/// Reads an answer of a resolver to a question for SRV records (`application/dns-json`).
pub fn read_srv(body: &[u8]) -> Vec<Srv> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "Answer", default)]
        records: Vec<Record>,
    }
    #[derive(Deserialize)]
    struct Record {
        #[serde(rename = "type")]
        kind: u32,
        data: String,
    }
    const SRV: u32 = 33;
    let records = serde_json::from_slice(body).map(|Answer { records }| records).unwrap_or_default();
    records
        .into_iter()
        .filter(|record| record.kind == SRV)
        .filter_map(|record| parse_srv(&record.data))
        .take(64)
        .collect()
}

/// `priority weight port target`.
fn parse_srv(data: &str) -> Option<Srv> {
    let mut fields = data.split_ascii_whitespace();
    let priority = fields.next()?.parse().ok()?;
    let (_weight, port, target) = (fields.next()?, fields.next()?.parse().ok()?, fields.next()?);
    let target = target.strip_suffix('.').unwrap_or(target).to_ascii_lowercase();
    Some(Srv { priority, port, target })
}
