//! Names, certificates, protocols and times: what is below the answers.

use crate::doctor::facts::{Facts, Handshake, PostQuantum};
use crate::doctor::verdict::{Verdict, unanswered};

const DAY_MS: f64 = 86_400_000.0;
/// Certificates of Cloudflare are renewed 30 days before their end.
const EXPIRES_SOON: f64 = 14.0 * DAY_MS;
const CLOCK_WARNING_S: f64 = 10.0;
const CLOCK_BROKEN_S: f64 = 120.0;
const SLOW_MS: f64 = 400.0;
const VERY_SLOW_MS: f64 = 3000.0;

pub(crate) fn dns(facts: &Facts) -> Verdict {
    match &facts.dns.error {
        None => Verdict::fine(format!("{} is {}", facts.host, facts.dns.addresses.join(", "))),
        Some(error) => Verdict::broken(
            format!("the name {} has no address ({error})", facts.host),
            "Deploy with a custom domain, which makes the DNS record, and see that the domain uses Cloudflare's name servers",
        ),
    }
}

/// What to say where there is no TLS connection to look at.
fn handshake(facts: &Facts) -> Result<&Handshake, Verdict> {
    match &facts.tls {
        Some(tls) if tls.error.is_none() => Ok(tls),
        Some(_) => Err(unanswered()),
        None if facts.is_https() => Err(unanswered()),
        None => Err(Verdict::not_applicable("plain HTTP")),
    }
}

pub(crate) fn encrypted(facts: &Facts) -> Verdict {
    match &facts.tls {
        Some(Handshake { error: Some(error), .. }) => Verdict::broken(
            format!("no TLS connection ({error})"),
            "A new custom domain gets its certificate within minutes; later, look at SSL/TLS → Edge Certificates",
        ),
        Some(tls) => match tls.protocol.as_deref() {
            Some("TLSv1.3") => Verdict::fine("TLS 1.3"),
            other => Verdict::warning(
                format!("only {}", other.unwrap_or("an old TLS")),
                "Turn on TLS 1.3 under SSL/TLS → Edge Certificates",
            ),
        },
        None if facts.is_https() => unanswered(),
        None if facts.is_local() => Verdict::not_applicable("plain HTTP on this computer"),
        None => Verdict::broken("plain HTTP", "Everybody on the way reads tokens and messages: use https://"),
    }
}

pub(crate) fn certificate(facts: &Facts) -> Verdict {
    let tls = match handshake(facts) {
        Ok(tls) => tls,
        Err(verdict) => return verdict,
    };
    if let Some(reason) = &tls.distrust {
        let advice = "Clients refuse this certificate. Let Cloudflare issue one: SSL/TLS → Edge Certificates";
        return Verdict::broken(format!("not trusted: {reason}"), advice);
    }
    let now = facts.answer("versions").map_or(0.0, |answer| answer.at_ms);
    let left = tls.expires_ms.map_or(f64::INFINITY, |end| end - now);
    let issuer = tls.issuer.as_deref().unwrap_or("an unnamed issuer");
    if left < EXPIRES_SOON {
        let advice = "It should have been renewed by now: look at SSL/TLS → Edge Certificates";
        return Verdict::warning(format!("of {issuer}, ends in {:.0} days", left / DAY_MS), advice);
    }
    Verdict::fine(format!("trusted, of {issuer}"))
}

pub(crate) fn post_quantum(facts: &Facts) -> Verdict {
    if let Err(verdict) = handshake(facts) {
        return verdict;
    }
    match facts.post_quantum {
        Some(PostQuantum::Negotiated) => Verdict::fine("X25519MLKEM768 negotiated"),
        Some(PostQuantum::Refused) => Verdict::broken(
            "X25519MLKEM768 is refused: what is recorded today can be read once there are quantum computers",
            "Something in front of Cloudflare ends TLS, or TLS 1.3 is off: let clients connect to Cloudflare directly",
        ),
        Some(PostQuantum::Unsupported) => {
            Verdict::cannot_tell("this computer's Node.js cannot offer X25519MLKEM768 (22.20 and newer can)")
        }
        Some(PostQuantum::Failed) | None => Verdict::cannot_tell("the connection broke off"),
    }
}

pub(crate) fn plain_http(facts: &Facts) -> Verdict {
    match facts.answer("plain") {
        Some(answer) if answer.status == 200 => Verdict::warning(
            "the server also answers without encryption",
            "Turn on Always Use HTTPS under SSL/TLS → Edge Certificates",
        ),
        Some(answer) => Verdict::fine(format!("http:// answers {}", answer.status)),
        None if facts.answers.contains_key("plain") => Verdict::fine("http:// is closed"),
        None => Verdict::not_applicable("only for https:// on the usual port"),
    }
}

pub(crate) fn http2(facts: &Facts) -> Verdict {
    match handshake(facts).map(|tls| tls.alpn.as_deref()) {
        Err(verdict) => verdict,
        Ok(Some("h2")) => Verdict::fine("offered"),
        Ok(_) => Verdict::warning(
            "only HTTP/1.1, so a browser's waiting sync takes one of six connections",
            "Turn on HTTP/2 under Speed → Settings, or take away what ends TLS in front",
        ),
    }
}

pub(crate) fn http3(facts: &Facts) -> Verdict {
    if let Err(verdict) = handshake(facts) {
        return verdict;
    }
    let Some(answer) = facts.answer("versions") else { return unanswered() };
    match answer.header("alt-svc") {
        Some(line) if line.contains("h3=") => Verdict::fine("advertised (alt-svc)"),
        _ => Verdict::warning(
            "not advertised; phones that change networks reconnect more slowly",
            "Turn on HTTP/3 (with QUIC) under Speed → Settings",
        ),
    }
}

/// `date` is parsed by the check itself, as RFC 9110 section 5.6.7 has one format only for what is sent today.
pub(crate) fn clock(facts: &Facts) -> Verdict {
    let Some(answer) = facts.answer("versions") else { return unanswered() };
    let Some(seconds) = answer.header("date").and_then(super::date::seconds) else {
        return Verdict::cannot_tell("the answer has no date");
    };
    // The header has whole seconds.
    let skew = (seconds + 0.5 - answer.at_ms / 1000.0).abs();
    let found = format!("this computer and the server are {skew:.0} s apart");
    let advice = "One of both clocks is wrong, most likely this computer's (Cloudflare's are right): set it by NTP";
    match skew {
        _ if skew > CLOCK_BROKEN_S => Verdict::broken(found, advice),
        _ if skew > CLOCK_WARNING_S => Verdict::warning(found, advice),
        _ => Verdict::fine("agrees with this computer's"),
    }
}

pub(crate) fn latency(facts: &Facts) -> Verdict {
    let mut times = facts.idle_ms.clone();
    times.sort_by(f64::total_cmp);
    let Some(median) = times.get(times.len() / 2) else { return unanswered() };
    let found = format!("median {median:.0} ms of {} small requests", times.len());
    let advice = "Compare with https://speed.cloudflare.com from here: if that is quick, look at the Worker's CPU time";
    match *median {
        slow if slow > VERY_SLOW_MS => Verdict::broken(found, advice),
        slow if slow > SLOW_MS => Verdict::warning(found, advice),
        _ => Verdict::fine(found),
    }
}
