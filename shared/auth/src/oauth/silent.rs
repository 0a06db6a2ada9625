//! Requests that ask for no interaction (`prompt=none`; OpenID Connect Core, 3.1.2.6).
//!
//! Anybody can register a client, so only one that the user has let in before is answered without a click; everything else
//! would make this server a way to lead people anywhere (RFC 9700, 4.11.2).

use super::{OAuthError, request::AuthorizeRequest, scope::Scope};

/// How such a request of a known client is answered.
///
/// `granted` are the scopes that the user has granted to this client, `age_s` is how long ago they signed in.
///
/// # Errors
/// What the client is told. A client without any grant is a stranger: `None`.
pub fn decide(request: &AuthorizeRequest, granted: &[&str], age_s: u64) -> Option<Result<(), OAuthError>> {
    if granted.is_empty() {
        return None;
    }
    if request.max_age.is_some_and(|most| age_s > most) {
        return Some(Err(OAuthError::LoginRequired));
    }
    // A new device is always asked about, and so is a client that any program on a phone could pretend to be
    // (RFC 8252, 8.6).
    let sure = request.scope.device_id.is_none() && request.reply.redirect_uri.starts_with("https://");
    let covered = granted.iter().any(|scope| covers(scope, &request.scope));
    Some(if sure && covered { Ok(()) } else { Err(OAuthError::ConsentRequired) })
}

fn covers(granted: &str, asked: &Scope) -> bool {
    asked.text.split(' ').all(|token| granted.split(' ').any(|one| one == token))
}

#[cfg(test)]
mod tests {
    use super::{OAuthError, decide};
    use crate::oauth::{
        request::{AuthorizeRequest, Prompt, ReplyTo},
        scope::Scope,
    };

    const DEVICE: &str = "openid urn:matrix:client:api:* urn:matrix:client:device:A";

    fn request(scope: &str, redirect_uri: &str, max_age: Option<u64>) -> AuthorizeRequest {
        let redirect_uri = redirect_uri.to_owned();
        AuthorizeRequest {
            reply: ReplyTo { redirect_uri, in_fragment: false, state: None },
            scope: Scope::parse(scope).unwrap_or_else(|error| unreachable!("{error}")),
            challenge: String::new(),
            nonce: None,
            prompt: Prompt::None,
            max_age,
            login_hint: None,
        }
    }

    #[test]
    fn only_what_was_granted_to_a_sure_client_is_granted_again() {
        let web = "https://client.example/";
        let consent = Some(Err(OAuthError::ConsentRequired));
        for (scope, uri, max_age, granted, answer) in [
            ("openid", web, None, &[][..], None),
            ("openid", web, None, &["openid"][..], Some(Ok(()))),
            ("openid", web, None, &[DEVICE][..], Some(Ok(()))),
            ("openid", web, Some(60), &["openid"][..], Some(Err(OAuthError::LoginRequired))),
            ("openid", "example.client:/", None, &["openid"][..], consent),
            (DEVICE, web, None, &[DEVICE][..], consent),
            ("openid", web, None, &["urn:matrix:client:api:* urn:matrix:client:device:A"][..], consent),
        ] {
            assert_eq!(decide(&request(scope, uri, max_age), granted, 61), answer, "{scope} {uri} {granted:?}");
        }
    }
}
