//! Who sends a request (Server-Server API, "Request Authentication").

use tern_federation::{
    canonical::CanonicalError,
    request::{SignedRequest, content},
    server_name::ServerName,
    signature::PublicKey,
    x_matrix::{self, XMatrix},
};
use tern_model::{Config, MatrixError};
use tern_ports::{Clock, Transport};

use super::{key_cache::KeyCache, own_keys};

/// A request as it came.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// `GET`, `PUT`, …
    pub method: &'a str,
    /// Path and query, as they came.
    pub target: &'a str,
    /// `Authorization`; several are joined by commas.
    pub authorization: Option<&'a str>,
    /// The body, as it came.
    pub body: &'a [u8],
}

/// The server that has signed a request with a key that is good now. `admit` is asked before anybody is asked for keys.
///
/// # Errors
/// 401 `M_UNAUTHORIZED`, whatever is wrong with the signature; 400 `M_NOT_JSON` or `M_BAD_JSON` for a body that cannot have been
/// signed; 403
/// `M_FORBIDDEN` for a server that the operator keeps out; that of `admit`; 503.
pub async fn verify<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    cache: &KeyCache,
    request: Received<'_>,
    admit: impl Fn() -> Result<(), MatrixError>,
) -> Result<ServerName, MatrixError> {
    let signatures = x_matrix::read(request.authorization.unwrap_or_default());
    let mut signatures = signatures.map_err(|error| unauthorized(error.to_string()))?.into_iter().peekable();
    let content = content(request.body).map_err(refused)?;
    let origin = signatures.peek().map_or_else(|| own_name(config), |first| first.origin.clone());
    if !config.federation.meets(&origin.to_string()) {
        return Err(MatrixError::forbidden("This server does not federate with yours"));
    }
    // Several signatures are those of several keys of one server.
    for signature in signatures.filter(|signature| signature.origin == origin) {
        if !is_for(config, &signature) {
            continue;
        }
        let Some(key) = key_of(edge, config, cache, &signature, &admit).await? else { continue };
        let signed = SignedRequest {
            method: request.method,
            target: request.target,
            origin: &signature.written_origin,
            destination: config.server_name.as_str(),
            content: content.as_deref(),
        };
        if signed.is_signed_by(&key, &signature.signature) {
            return Ok(origin);
        }
    }
    Err(unauthorized("The request is not signed by the server that it says it is from, for this one"))
}

/// Whether it was meant for this server, as far as it says.
fn is_for(config: &Config, signature: &XMatrix) -> bool {
    let destination = signature.destination.as_deref();
    destination.is_none_or(|destination| ServerName::parse(destination) == Some(own_name(config)))
}

async fn key_of<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    cache: &KeyCache,
    signature: &XMatrix,
    admit: &impl Fn() -> Result<(), MatrixError>,
) -> Result<Option<PublicKey>, MatrixError> {
    // This server is not asked over the network what it knows itself.
    if signature.origin == own_name(config) {
        let key = own_keys::key(config).filter(|key| key.id == signature.key_id);
        return Ok(key.map(|key| key.public()));
    }
    cache.request_key(edge, &signature.origin, &signature.key_id, edge.now(), admit).await
}

/// This server's name.
pub fn own_name(config: &Config) -> ServerName {
    let name = ServerName::parse(config.server_name.as_str());
    // It was read as a server name when the server started.
    name.unwrap_or(ServerName { host: tern_federation::server_name::Host::Dns(String::new()), port: None })
}

fn unauthorized(message: impl Into<std::borrow::Cow<'static, str>>) -> MatrixError {
    MatrixError::new(401, "M_UNAUTHORIZED", message)
}

fn refused(error: CanonicalError) -> MatrixError {
    match error {
        CanonicalError::NotJson => MatrixError::not_json(),
        CanonicalError::NotAnObject | CanonicalError::TooDeep => MatrixError::bad_json(error.to_string()),
    }
}
