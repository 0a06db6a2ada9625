//! The registration of a client, a line break, and the form of an authorization request.

use serde_json::{Map, Value};
use tern_auth::oauth::{
    client::Client,
    request::{AuthorizeRequest, Fault, source},
};
use url::Url;

/// An answer goes only to where the client registered, and never becomes part of a content security policy.
pub(crate) fn oauth(data: &[u8]) {
    let Some((metadata, form)) = crate::input::halves(data) else { return };
    let Ok(metadata) = serde_json::from_slice::<Map<String, Value>>(metadata) else { return };
    let Ok(client) = Client::register(&metadata) else { return };
    let params: Vec<(String, String)> = form_urlencoded::parse(form).into_owned().collect();
    let reply = match AuthorizeRequest::read(&params, &client) {
        Ok(request) => request.reply,
        Err(Fault::Told(reply, _)) => reply,
        Err(Fault::Shown(_)) => return,
    };
    let place =
        |uri: &str| Url::parse(uri).ok().map(|url| (url.scheme().to_owned(), url.host_str().map(str::to_owned)));
    let registered = client.redirect_uris.iter().any(|known| place(known) == place(&reply.redirect_uri));
    assert!(registered, "answered elsewhere: {}", reply.redirect_uri);
    let source = source(&reply.redirect_uri);
    assert!(!source.contains([';', ',', ' ', '\'']), "more than a source: {source}");
}
