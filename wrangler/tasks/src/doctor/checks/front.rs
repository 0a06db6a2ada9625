//! Signs of something between clients and the server that changes requests or answers.

use crate::doctor::facts::{Answer, Facts};
use crate::doctor::verdict::{Verdict, unanswered};

const FROM_SCRIPTS: [&str; 5] = ["versions", "well_known_client", "auth_metadata", "login", "unknown"];

pub(crate) fn cors(facts: &Facts) -> Verdict {
    let advice = "Web apps fail. The server itself sends `Access-Control-Allow-Origin: *`, once: \
                  remove rules in front that take it away or add a second line";
    let answers: Vec<_> = FROM_SCRIPTS.iter().filter_map(|probe| facts.answer(probe)).collect();
    if answers.is_empty() {
        return unanswered();
    }
    match answers.iter().find(|answer| answer.header("access-control-allow-origin") != Some("*")) {
        None => Verdict::fine("web apps may read answers and errors"),
        Some(answer) => {
            let found = answer.header("access-control-allow-origin").unwrap_or("no line");
            Verdict::broken(format!("{} has {found}", path(answer)), advice)
        }
    }
}

fn path(answer: &Answer) -> &str {
    answer.url.splitn(4, '/').nth(3).unwrap_or_default()
}

pub(crate) fn preflight(facts: &Facts) -> Verdict {
    let Some(answer) = facts.answer("preflight") else { return unanswered() };
    let advice = "Browsers ask before they send a token: let OPTIONS requests through to the worker unchanged";
    let line = |name| answer.header(name).unwrap_or_default().to_ascii_lowercase();
    let missing = |name, wanted: &[&'static str]| {
        let line: String = line(name);
        wanted.iter().copied().find(|word| !line.contains(word))
    };
    if !(200..300).contains(&answer.status) {
        return Verdict::broken(format!("a browser's question beforehand is answered {}", answer.summary()), advice);
    }
    let headers = missing("access-control-allow-headers", &["authorization", "content-type"]);
    match missing("access-control-allow-methods", &["put", "delete"]).or(headers) {
        Some(word) => Verdict::broken(format!("browsers may not send {word}"), advice),
        None => Verdict::fine("browsers may send tokens"),
    }
}

pub(crate) fn compression(facts: &Facts) -> Verdict {
    let Some(answer) = facts.answer("compressed") else { return unanswered() };
    match answer.header("content-encoding") {
        Some(encoding @ ("br" | "gzip")) => {
            Verdict::fine(format!("{encoding}, {} bytes for {}", answer.bytes, answer.body.len()))
        }
        _ if facts.is_local() => Verdict::not_applicable("a local server does not compress"),
        _ => Verdict::warning(
            "answers are sent uncompressed, about five times as large",
            "Remove the Compression Rule, or what in front does not ask for compressed answers",
        ),
    }
}

pub(crate) fn challenge(facts: &Facts) -> Verdict {
    let challenged =
        |answer: &&Answer| answer.header("cf-mitigated").is_some() || (answer.is_page() && answer.status >= 400);
    let answers = || facts.answers.values().filter(|answer| answer.error.is_none());
    if answers().next().is_none() {
        return unanswered();
    }
    match answers().find(challenged) {
        None => Verdict::fine("no pages in between"),
        Some(answer) => Verdict::broken(
            format!("{} is answered by a page that asks or blocks ({})", path(answer), answer.status),
            "Apps cannot solve it: turn off Bot Fight Mode, Access and Under Attack for this host, or skip them for /_matrix/",
        ),
    }
}

pub(crate) fn errors(facts: &Facts) -> Verdict {
    let Some(answer) = facts.answer("unknown") else { return unanswered() };
    if answer.status == 404 && answer.errcode() == "M_UNRECOGNIZED" {
        return Verdict::fine("arrive as they are sent");
    }
    Verdict::broken(
        format!("what does not exist is answered {}, not 404 M_UNRECOGNIZED", answer.summary()),
        "Clients tell errors by their codes: turn off custom error pages and fallbacks in front",
    )
}

pub(crate) fn token(facts: &Facts) -> Verdict {
    let Some(answer) = facts.answer("token") else { return unanswered() };
    match answer.errcode().as_str() {
        "M_UNKNOWN_TOKEN" => Verdict::fine("tokens arrive"),
        "M_MISSING_TOKEN" => Verdict::broken(
            "the header Authorization does not arrive, so nobody can use an account",
            "Let what is in front pass on `Authorization`",
        ),
        "M_LIMIT_EXCEEDED" => Verdict::cannot_tell("this address asked too often"),
        _ => Verdict::broken(
            format!("a wrong token is answered {}", answer.summary()),
            "Nothing in front may judge the header `Authorization`: it is the server's",
        ),
    }
}

pub(crate) fn methods(facts: &Facts) -> Verdict {
    let (Some(put), Some(delete)) = (facts.answer("put"), facts.answer("delete")) else { return unanswered() };
    match [("PUT", put), ("DELETE", delete)].iter().find(|(_, answer)| answer.errcode() != "M_MISSING_TOKEN") {
        None => Verdict::fine("PUT and DELETE arrive"),
        Some((method, answer)) => Verdict::broken(
            format!("{method} is answered {}", answer.summary()),
            "Let PUT and DELETE through: a firewall rule in front blocks or rewrites them",
        ),
    }
}

/// Room ids and aliases may contain a slash, which is `%2F` in paths.
pub(crate) fn encoded_path(facts: &Facts) -> Verdict {
    let Some(answer) = facts.answer("encoded") else { return unanswered() };
    match answer.errcode().as_str() {
        "M_MISSING_TOKEN" => Verdict::fine("encoded paths arrive as they are"),
        _ => Verdict::broken(
            format!("a path with %2F is answered {}", answer.summary()),
            "Something in front decodes paths: turn off URL normalisation towards the origin (nginx: proxy_pass without a path)",
        ),
    }
}

pub(crate) fn cached(facts: &Facts) -> Verdict {
    let Some(answer) = facts.answer("token") else { return unanswered() };
    let hit = answer.header("cf-cache-status").is_some_and(|status| status == "HIT");
    let aged = answer.header("age").is_some_and(|age| age != "0");
    if hit || aged {
        let advice = "One user may get another's answer: remove the Cache Rule for this host";
        return Verdict::broken("answers that belong to a token come from a cache", advice);
    }
    Verdict::fine("private answers are not cached")
}

pub(crate) fn in_front(facts: &Facts) -> Verdict {
    let Some(answer) = facts.answer("versions") else { return unanswered() };
    if facts.is_local() {
        return Verdict::not_applicable("a server on this computer");
    }
    let cloudflare = answer.header("cf-ray").is_some();
    let signs: Vec<_> = ["via", "x-cache", "x-served-by", "x-powered-by", "set-cookie"]
        .iter()
        .filter(|name| answer.header(name).is_some())
        .copied()
        .collect();
    let advice =
        "Let clients connect to Cloudflare directly; whatever is in front adds delay and can break waiting syncs";
    match (cloudflare, signs.is_empty()) {
        (true, true) => Verdict::fine("Cloudflare, nothing else"),
        (true, false) => Verdict::warning(format!("answers carry {}", signs.join(", ")), advice),
        (false, _) => Verdict::warning("the answer does not come from Cloudflare as it is", advice),
    }
}

pub(crate) fn administration(facts: &Facts) -> Verdict {
    let Some(answer) = facts.answer("admin") else { return unanswered() };
    match answer.status {
        200..300 => Verdict::broken(
            "the administration interface answers without a token",
            "Something in front adds one: take it away at once, and set a new ADMIN_TOKEN",
        ),
        _ => Verdict::fine("closed without its token"),
    }
}
