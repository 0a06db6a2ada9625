//! Every way to a server, as a table.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use tern_federation::{
    discovery::{Discovery, Srv, Step, read_srv},
    server_name::ServerName,
};

/// What the world says: of `/.well-known/matrix/server` by host, and of SRV records by name.
struct World {
    well_known: &'static [(&'static str, &'static str)],
    srv: &'static [(&'static str, &'static str, u16)],
}

/// Carries a plan out; the questions on the way, and where it ends.
fn find(world: &World, name: &str, literals: bool) -> (Vec<String>, String) {
    let name = ServerName::parse(name).unwrap();
    let (mut asked, mut plan) = (Vec::new(), Discovery::begin(&name, literals));
    loop {
        plan = match plan.step().clone() {
            Step::WellKnown(host) => {
                asked.push(host.to_string());
                let answer = world.well_known.iter().find(|(asked, _)| *asked == host.to_string());
                plan.well_known(answer.map(|(_, to)| (ServerName::parse(to).unwrap(), 600)), literals)
            }
            Step::Srv(name) => {
                let of = world.srv.iter().filter(|(asked, ..)| *asked == name);
                let records =
                    of.map(|(_, target, port)| Srv { priority: 1, port: *port, target: (*target).to_owned() });
                let records = records.collect();
                asked.push(name);
                plan.srv(records)
            }
            Step::Found(way) => return (asked, format!("{}:{} {}", way.host, way.port, way.lifetime)),
            Step::Unreachable(reason) => return (asked, reason.to_owned()),
        };
        assert!(asked.len() <= 3, "a plan ends: {asked:?}");
    }
}

const NOTHING: World = World { well_known: &[], srv: &[] };

#[test]
fn names_with_a_port_and_addresses_are_asked_at_once() {
    let (asked, found) = find(&NOTHING, "a.org:1234", false);
    assert_eq!((asked.len(), found.as_str()), (0, "a.org:1234 86400"));
    for (name, found_at) in [("127.0.0.1", "127.0.0.1:8448 86400"), ("[::1]:5", "[::1]:5 86400")] {
        assert_eq!(find(&NOTHING, name, true), (Vec::new(), found_at.to_owned()));
        assert!(find(&NOTHING, name, false).1.contains("address"), "{name}");
    }
}

#[test]
fn without_delegation_a_server_is_at_the_port_of_servers() {
    let asked = ["a.org", "_matrix-fed._tcp.a.org", "_matrix._tcp.a.org"].map(str::to_owned).to_vec();
    assert_eq!(find(&NOTHING, "A.org", false), (asked, "a.org:8448 3600".to_owned()));
}

#[test]
fn a_well_known_answer_delegates_and_leads_to_no_second_one() {
    let to = |to: &'static str| {
        let well_known: &'static [_] = Box::leak(Box::new([("a.org", to), ("b.org", "c.org:1")]));
        find(&World { well_known, srv: &[] }, "a.org", false)
    };
    assert_eq!(to("b.org:443"), (vec!["a.org".to_owned()], "b.org:443 600".to_owned()));
    assert_eq!(to("b.org").1, "b.org:8448 600");
    assert_eq!(to("b.org").0, ["a.org", "_matrix-fed._tcp.b.org", "_matrix._tcp.b.org"]);
    assert!(to("10.0.0.1:443").1.contains("address"));
}

#[test]
fn records_are_followed_to_the_host_itself_alone() {
    let with =
        |srv: &'static [(&'static str, &'static str, u16)]| find(&World { well_known: &[], srv }, "a.org", false);
    assert_eq!(with(&[("_matrix-fed._tcp.a.org", "a.org", 443)]).1, "a.org:443 3600");
    let older = [("_matrix._tcp.a.org", "a.org", 444)];
    assert_eq!(with(Box::leak(Box::new(older))).1, "a.org:444 3600");
    assert!(with(&[("_matrix-fed._tcp.a.org", "b.org", 443)]).1.contains("SRV"));
    // A second record that can be followed is.
    assert_eq!(with(&[("_matrix._tcp.a.org", "b.org", 1), ("_matrix._tcp.a.org", "a.org", 2)]).1, "a.org:2 3600");
    assert_eq!(with(&[("_matrix-fed._tcp.a.org", "", 0)]).1, "a.org:8448 3600", "no such service");
}

#[test]
fn answers_of_resolvers() {
    let body = br#"{"Status":0,"Answer":[{"name":"x","type":5,"TTL":1,"data":"y."},
        {"name":"y","type":33,"TTL":1,"data":"10 5 443 A.org."},{"type":33,"data":"0 0 0 ."},{"type":33,"data":"x"}]}"#;
    let record = |priority, port, target: &str| Srv { priority, port, target: target.to_owned() };
    assert_eq!(read_srv(body), [record(10, 443, "a.org"), record(0, 0, "")]);
    for none in [&b"{\"Status\":3}"[..], b"<html>", b"", b"{\"Answer\":7}"] {
        assert!(read_srv(none).is_empty());
    }
}
