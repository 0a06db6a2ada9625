//! The whole way: `doctor.mjs` looks at a small server on this machine, with faults that are there on the wire.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use super::gather::{Target, await_answer, gather};
use super::verdict::Outcome;
use super::{Verdicts, examine};
use crate::checkout::Checkout;

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Paths are decoded on the way, as by a proxy that normalises them.
    DecodedPaths,
    NoAuthorization,
    TwoOrigins,
    ErrorPage,
    Redirect,
}

/// Serves until the test ends; returns the address.
fn serve(fault: Fault) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let base = address.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let base = base.clone();
            thread::spawn(move || converse(&stream, fault, &base));
        }
    });
    address
}

/// Requests of one connection, until the other side closes it.
fn converse(stream: &TcpStream, fault: Fault, base: &str) {
    let mut reader = BufReader::new(stream);
    while let Some(head) = read_request(&mut reader) {
        let (status, body) = answer(&head, fault, base);
        let origins = if fault == Fault::TwoOrigins { 2 } else { 1 };
        let cors = "Access-Control-Allow-Origin: *\r\n".repeat(origins);
        let allow = "Access-Control-Allow-Methods: PUT, DELETE\r\nAccess-Control-Allow-Headers: Authorization, Content-Type\r\n";
        let length = body.len();
        let reply = format!("HTTP/1.1 {status} x\r\n{cors}{allow}Content-Length: {length}\r\n\r\n{body}");
        if (&mut &*stream).write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}

/// The head in lower case; the body is read and forgotten.
fn read_request(reader: &mut BufReader<&TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return None;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    reader.read_exact(&mut vec![0; length]).ok()?;
    Some(head)
}

fn known(path: &str, base: &str) -> Option<String> {
    let authority = base.trim_start_matches("http://");
    Some(match path {
        "/_matrix/client/versions" => r#"{"versions":["v1.19"]}"#.to_owned(),
        "/.well-known/matrix/client" => format!(r#"{{"m.homeserver":{{"base_url":"{base}"}}}}"#),
        "/.well-known/matrix/server" => format!(r#"{{"m.server":"{authority}"}}"#),
        "/_matrix/client/v3/login" => r#"{"flows":[{"type":"m.login.password"}]}"#.to_owned(),
        "/_matrix/client/v1/auth_metadata" => {
            format!(r#"{{"issuer":"{base}/","authorization_endpoint":"{base}/a","token_endpoint":"{base}/t"}}"#)
        }
        _ => return None,
    })
}

fn answer(head: &str, fault: Fault, base: &str) -> (u16, String) {
    let error = |status, errcode: &str| (status, format!(r#"{{"errcode":"{errcode}"}}"#));
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if fault == Fault::Redirect {
        return (302, String::new());
    }
    if let Some(body) = known(path, base) {
        return (200, body);
    }
    let has_token = head.contains("authorization: bearer");
    match method {
        "options" => (204, String::new()),
        "post" => error(403, "M_FORBIDDEN"),
        _ if path.contains("whoami") && has_token && fault != Fault::NoAuthorization => error(401, "M_UNKNOWN_TOKEN"),
        _ if path.contains("/rooms/") && fault == Fault::DecodedPaths => error(404, "M_UNRECOGNIZED"),
        _ if path.contains("nothing") && fault == Fault::ErrorPage => (404, "<html>Oops</html>".to_owned()),
        _ if path.contains("nothing") || path.contains("/key/") => error(404, "M_UNRECOGNIZED"),
        _ => error(401, "M_MISSING_TOKEN"),
    }
}

fn look_at(url: String) -> Verdicts {
    let checkout = Checkout::find().expect("a checkout");
    let facts = gather(&checkout, Command::new("node"), &Target { url, server_name: None }).expect("facts");
    examine(&facts)
}

fn broken(verdicts: &Verdicts) -> Vec<&'static str> {
    verdicts.iter().filter(|(_, verdict)| verdict.outcome == Outcome::Broken).map(|(name, _)| *name).collect()
}

#[test]
fn faults_on_the_wire_are_found_by_name() {
    let everything = [
        "reachable",
        "well-known-client",
        "well-known-server",
        "sign-in",
        "login",
        "registration",
        "federation",
        "preflight",
        "errors",
        "token",
        "methods",
        "encoded-path",
    ];
    let table: [(Fault, &[&str]); 6] = [
        (Fault::None, &[]),
        (Fault::DecodedPaths, &["encoded-path"]),
        (Fault::NoAuthorization, &["token"]),
        (Fault::TwoOrigins, &["cors"]),
        (Fault::ErrorPage, &["challenge", "errors"]),
        (Fault::Redirect, &everything),
    ];
    for (fault, wanted) in table {
        assert_eq!(broken(&look_at(serve(fault))), wanted);
    }
}

#[test]
fn plain_http_on_this_machine_is_not_called_unencrypted() {
    let verdicts = look_at(serve(Fault::None));
    let of = |wanted| verdicts.iter().find(|(name, _)| *name == wanted).map(|(_, verdict)| verdict.outcome);
    for check in ["encrypted", "certificate", "post-quantum", "http2", "http3", "compression", "in-front"] {
        assert_eq!(of(check), Some(Outcome::NotApplicable), "{check}");
    }
    assert_eq!(of("latency"), Some(Outcome::Fine));
}

#[test]
fn an_address_where_nobody_listens_is_unreachable() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    assert_eq!(broken(&look_at(format!("http://127.0.0.1:{port}"))), ["reachable"]);
}

#[test]
fn waiting_ends_with_the_first_answer() {
    let checkout = Checkout::find().expect("a checkout");
    let target = Target { url: serve(Fault::None), server_name: None };
    assert!(await_answer(&checkout, Command::new("node"), &target, 60).expect("node"));
}
