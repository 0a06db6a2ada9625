//! How clients and servers find this one, and how people sign in.

use crate::doctor::facts::{Answer, Facts};
use crate::doctor::verdict::{Verdict, unanswered};

pub(crate) fn reachable(facts: &Facts) -> Verdict {
    let Some(answer) = facts.answers.get("versions") else { return unanswered() };
    if let Some(error) = &answer.error {
        let advice = "See that the public worker is deployed and that its route or custom domain has this name";
        return Verdict::broken(format!("no answer from {} ({error})", facts.base), advice);
    }
    match answer.status {
        200 => Verdict::fine("answers"),
        300..400 => Verdict::broken(
            format!("redirects to {}", answer.header("location").unwrap_or("nowhere")),
            "Clients do not follow redirects of this interface: take away the redirect, or give clients its target",
        ),
        500.. => Verdict::broken(
            format!("answers {}", answer.summary()),
            "See why: `cargo xtask wrangler tail` with the configuration of the public worker. Often a variable is wrong",
        ),
        _ => Verdict::broken(
            format!("answers {}", answer.summary()),
            "Another site answers at this name: set the route of the public worker",
        ),
    }
}

pub(crate) fn versions(facts: &Facts) -> Verdict {
    let Some(answer) = facts.answer("versions").filter(|answer| answer.status == 200) else { return unanswered() };
    let json = answer.json();
    let list = json.as_ref().and_then(|json| json.get("versions")?.as_array());
    match list.and_then(|list| list.last()?.as_str()) {
        Some(newest) => Verdict::fine(format!("up to {newest}")),
        None => {
            Verdict::broken("/versions is not what a Matrix server says", "Another program answers at this address")
        }
    }
}

fn base_url(answer: &Answer) -> String {
    answer.text("/m.homeserver/base_url").unwrap_or_default().trim_end_matches('/').to_owned()
}

pub(crate) fn well_known_client(facts: &Facts) -> Verdict {
    let Some(answer) = facts.answer("well_known_client") else { return unanswered() };
    match base_url(answer) {
        told if told == facts.base => Verdict::fine(told),
        told if told.is_empty() => Verdict::broken(
            format!("/.well-known/matrix/client answers {}", answer.summary()),
            "Let the public worker answer it: its route must cover the whole host",
        ),
        told => Verdict::broken(
            format!("sends clients to {told}, not to {}", facts.base),
            "Set PUBLIC_URL to the address that clients use, without a slash at the end, and deploy",
        ),
    }
}

pub(crate) fn well_known_server(facts: &Facts) -> Verdict {
    let Some(answer) = facts.answer("well_known_server") else { return unanswered() };
    match answer.text("/m.server") {
        Some(told)
            if told.split(':').next() == facts.base.split("://").nth(1).and_then(|host| host.split(':').next()) =>
        {
            Verdict::fine(told)
        }
        Some(told) => Verdict::broken(
            format!("sends other servers to {told}"),
            "Set PUBLIC_URL to the address of this server, and deploy",
        ),
        None => Verdict::broken(
            format!("/.well-known/matrix/server answers {}", answer.summary()),
            "Let the public worker answer it: its route must cover the whole host",
        ),
    }
}

/// Clients and servers start from the name in user ids, which may be that of another website.
pub(crate) fn server_name(facts: &Facts) -> Verdict {
    let Some(name) = &facts.server_name else {
        return Verdict::not_applicable("say --server-name to check what the domain of user ids tells");
    };
    let copy =
        format!("Let https://{name}/.well-known/matrix/client and …/server answer the same as those of {}", facts.base);
    let Some(client) = facts.answer("name_client") else {
        return Verdict::broken(format!("{name} does not answer"), copy);
    };
    if base_url(client) != facts.base {
        return Verdict::broken(format!("{name} does not lead clients here ({})", client.summary()), copy);
    }
    if client.header("access-control-allow-origin") != Some("*") {
        let advice = format!("Add `Access-Control-Allow-Origin: *` to the answers of {name}/.well-known/matrix/");
        return Verdict::broken(format!("apps in browsers may not read {name}/.well-known/matrix/client"), advice);
    }
    match facts.answer("name_server").and_then(|answer| answer.text("/m.server")) {
        Some(_) => Verdict::fine(format!("{name} leads here")),
        None => Verdict::warning(format!("{name} does not tell other servers where this one is"), copy),
    }
}

pub(crate) fn sign_in(facts: &Facts) -> Verdict {
    let Some(answer) = facts.answer("auth_metadata") else { return unanswered() };
    let issuer = answer.text("/issuer").unwrap_or_default();
    let advice =
        "Set PUBLIC_URL to this address and deploy; nothing in front may answer /_matrix/client/v1/auth_metadata";
    let elsewhere = |pointer: &str| !answer.text(pointer).unwrap_or_default().starts_with(&facts.base);
    if answer.status != 200 || issuer.is_empty() {
        return Verdict::broken(format!("the sign-in metadata answers {}", answer.summary()), advice);
    }
    if issuer.trim_end_matches('/') != facts.base
        || elsewhere("/authorization_endpoint")
        || elsewhere("/token_endpoint")
    {
        return Verdict::broken(format!("sign-in is said to be at {issuer}, not at {}", facts.base), advice);
    }
    Verdict::fine(issuer)
}

pub(crate) fn login(facts: &Facts) -> Verdict {
    let Some(answer) = facts.answer("login") else { return unanswered() };
    let json = answer.json();
    let flows = json.as_ref().and_then(|json| json.get("flows")?.as_array()).into_iter().flatten();
    let names: Vec<_> = flows.filter_map(|flow| flow.get("type")?.as_str()).collect();
    if names.is_empty() {
        let advice = "Older apps cannot sign in: nothing in front may answer /_matrix/client/v3/login";
        return Verdict::broken(format!("/login answers {}", answer.summary()), advice);
    }
    Verdict::fine(names.join(", "))
}

/// A request without an account answers what registration asks for (401) or that it is closed (403).
pub(crate) fn registration(facts: &Facts) -> Verdict {
    let Some(answer) = facts.answer("register") else { return unanswered() };
    let json = answer.json();
    let flows = json.as_ref().and_then(|json| json.get("flows")?.as_array()).into_iter().flatten();
    let open = flows.into_iter().any(|flow| {
        let stages = flow.get("stages").and_then(|stages| stages.as_array());
        stages.is_some_and(|stages| stages.iter().all(|stage| stage == "m.login.dummy"))
    });
    match answer.status {
        401 if open && facts.is_local() => Verdict::fine("open to everybody"),
        401 if open => Verdict::warning(
            "open to everybody: spammers look for such servers",
            "Set OPEN_REGISTRATION to \"false\"; invite by REGISTRATION_TOKENS or mail addresses",
        ),
        401 => Verdict::fine("on conditions"),
        403 => Verdict::fine("closed"),
        429 => Verdict::cannot_tell("this address asked too often"),
        _ => Verdict::broken(
            format!("/register answers {}", answer.summary()),
            "Nothing in front may answer /_matrix/client/v3/register",
        ),
    }
}

pub(crate) fn federation(facts: &Facts) -> Verdict {
    let Some(answer) = facts.answer("keys") else { return unanswered() };
    if answer.errcode() == "M_UNRECOGNIZED" {
        return Verdict::not_applicable("this build does not talk to other servers");
    }
    let json = answer.json().unwrap_or_default();
    let has_keys = json.get("verify_keys").and_then(|keys| keys.as_object()).is_some_and(|keys| !keys.is_empty());
    let name = answer.text("/server_name").unwrap_or_default();
    let until = json.get("valid_until_ts").and_then(serde_json::Value::as_f64).unwrap_or_default();
    if answer.status != 200 || !has_keys {
        let advice = "Other servers cannot verify this one: nothing in front may answer /_matrix/key/v2/server";
        return Verdict::broken(format!("the signing keys answer {}", answer.summary()), advice);
    }
    if facts.server_name.as_ref().is_some_and(|wanted| *wanted != name) {
        let advice =
            "SERVER_NAME of the deployment is another than you think; it cannot be changed once there are users";
        return Verdict::broken(format!("the keys are those of {name}"), advice);
    }
    if until <= answer.at_ms {
        return Verdict::broken("the signing keys are no longer valid", "Deploy again, and set this computer's clock");
    }
    Verdict::fine(format!("keys of {name}"))
}
