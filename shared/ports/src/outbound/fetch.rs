//! Asking, with every address on the way looked at.

use url::Url;

use super::{Bounds, HttpAnswer, HttpError, HttpMethod, HttpRequest, Outbound, address};

/// How this server calls itself.
const AGENT: &str = "Tern";
/// Headers that go along to another origin. The others may be secrets.
const HARMLESS: [&str; 3] = ["accept", "accept-language", "user-agent"];

/// Asks, and follows redirects as far as `bounds` allow.
///
/// # Errors
/// When an address on the way is not asked, and when there is no answer. An answer of whatever status is one.
pub async fn fetch(via: &impl Outbound, mut request: HttpRequest, bounds: Bounds) -> Result<HttpAnswer, HttpError> {
    if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("user-agent")) {
        request = request.with_header("user-agent", AGENT);
    }
    let mut left = bounds.redirects;
    loop {
        address::check(&request.url, via.reach(), bounds.plain).map_err(HttpError::Refused)?;
        let answer = via.exchange(&request, &bounds).await?;
        let Some(target) = target(&answer) else { return Ok(answer) };
        if left == 0 || request.method != HttpMethod::Get {
            return Err(HttpError::Redirected);
        }
        left -= 1;
        let target = request.url.join(target).map_err(|_| HttpError::Refused("The redirect leads to no address"))?;
        request = onwards(request, target)?;
    }
}

fn target(answer: &HttpAnswer) -> Option<&str> {
    matches!(answer.status, 301 | 302 | 303 | 307 | 308).then(|| answer.header("location")).flatten()
}

fn onwards(mut request: HttpRequest, target: Url) -> Result<HttpRequest, HttpError> {
    if request.url.scheme() == "https" && target.scheme() != "https" {
        return Err(HttpError::Refused("The redirect leads away from https:"));
    }
    if request.url.origin() != target.origin() {
        request.headers.retain(|(name, _)| HARMLESS.iter().any(|harmless| name.eq_ignore_ascii_case(harmless)));
    }
    request.url = target;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::BTreeMap};

    use futures::FutureExt;
    use url::Url;

    use super::{Bounds, HttpAnswer, HttpError, HttpMethod, HttpRequest, Outbound, fetch};
    use crate::outbound::Reach;

    /// Redirects by address, and what was asked.
    struct Web {
        redirects: BTreeMap<&'static str, &'static str>,
        asked: RefCell<Vec<HttpRequest>>,
    }

    impl Outbound for Web {
        fn reach(&self) -> Reach {
            Reach::Public
        }

        async fn exchange(&self, request: &HttpRequest, _: &Bounds) -> Result<HttpAnswer, HttpError> {
            self.asked.borrow_mut().push(request.clone());
            let location = self.redirects.get(request.url.as_str());
            let headers = location.map(|to| ("location".to_owned(), (*to).to_owned())).into_iter().collect();
            let status = if location.is_some() { 302 } else { 200 };
            Ok(HttpAnswer { url: request.url.clone(), status, headers, body: Vec::new(), is_cut: false })
        }
    }

    const BOUNDS: Bounds = Bounds { timeout_ms: 1, max_bytes: 1, cut: false, redirects: 2, plain: true };

    fn ask(
        redirects: &[(&'static str, &'static str)],
        request: HttpRequest,
    ) -> (Result<String, HttpError>, Vec<HttpRequest>) {
        let web = Web { redirects: redirects.iter().copied().collect(), asked: RefCell::default() };
        let answer =
            fetch(&web, request, BOUNDS).now_or_never().map(|answer| answer.map(|answer| answer.url.to_string()));
        (answer.unwrap_or(Err(HttpError::Late)), web.asked.into_inner())
    }

    fn get(url: &str) -> HttpRequest {
        HttpRequest::get(Url::parse(url).unwrap_or_else(|error| unreachable!("{error}")))
    }

    #[test]
    fn redirects_are_followed_as_far_as_allowed() {
        let ways = [("https://a.org/", "/b"), ("https://a.org/b", "https://c.org/"), ("https://c.org/", "//d.org/")];
        assert_eq!(ask(&ways[..2], get("https://a.org/")).0, Ok("https://c.org/".to_owned()));
        assert_eq!(ask(&ways, get("https://a.org/")).0, Err(HttpError::Redirected));
        assert_eq!(ask(&[("https://a.org/", "https://a.org/")], get("https://a.org/")).0, Err(HttpError::Redirected));
    }

    #[test]
    fn a_redirect_leads_nowhere_that_may_not_be_asked() {
        for target in ["https://127.0.0.1/", "http://b.org/", "file:///etc/passwd", "https://[::1]/", "//10.0.0.1"] {
            let ways: &'static str = target;
            let (answer, asked) = ask(&[("https://a.org/", ways)], get("https://a.org/"));
            assert!(matches!(answer, Err(HttpError::Refused(_))), "{target}: {answer:?}");
            assert_eq!(asked.len(), 1, "{target}");
        }
    }

    #[test]
    fn only_a_get_is_repeated_and_secrets_stay_with_their_origin() {
        let ways = [("https://a.org/", "https://b.org/")];
        for method in [HttpMethod::Post, HttpMethod::Put] {
            let request = HttpRequest { method, ..get("https://a.org/") };
            assert_eq!(ask(&ways, request).0, Err(HttpError::Redirected));
        }
        let secret = get("https://a.org/").with_header("Authorization", "Bearer x").with_header("Accept", "*/*");
        let (_, asked) = ask(&ways, secret);
        let names = asked.iter().map(|request| request.headers.iter().map(|(name, _)| name.as_str()).collect());
        let names: Vec<Vec<_>> = names.collect();
        assert_eq!(names, [vec!["Authorization", "Accept", "user-agent"], vec!["Accept", "user-agent"]]);
    }
}
