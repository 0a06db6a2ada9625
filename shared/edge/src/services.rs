//! What this server asks application services while a client waits (Application Service API, "Querying", "Third-party
//! networks"). A service that does not answer, or not as it should, has nothing.

use futures::future::join_all;
use ruma::UserId;
use serde_json::{Map, Value};
use tern_model::{
    Config, MatrixError,
    appservice::{Appservice, within},
};
use tern_ports::{
    Outbound, Transport,
    outbound::{Bounds, HttpRequest, fetch},
    wire::user::Profile,
};
use url::{Url, form_urlencoded};

use crate::profile;

/// A client waits for it.
const BOUNDS: Bounds = Bounds { timeout_ms: 10_000, max_bytes: 64 << 10, cut: false, redirects: 0, plain: true };

/// Where a network says which parts it has.
const INSTANCES: &str = "instances";

/// What clients ask of third-party networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Rooms.
    Location,
    /// People.
    User,
}

impl Lookup {
    const fn name(self) -> &'static str {
        match self {
            Self::Location => "location",
            Self::User => "user",
        }
    }
}

/// `GET /thirdparty/protocols`: what each network needs to be told, as its services say.
pub async fn protocols<E: Outbound>(edge: &E, config: &Config) -> Map<String, Value> {
    let services = config.accounts.appservices.iter();
    let bridged = services.flat_map(|service| service.protocols.iter().map(move |protocol| (service, protocol)));
    let asked = bridged.map(async |(service, protocol)| (protocol, describe(edge, service, protocol).await));
    let mut protocols = Map::new();
    for (protocol, answer) in join_all(asked).await {
        let Some(mut described) = answer else { continue };
        match protocols.get_mut(protocol).and_then(Value::as_object_mut) {
            // Several services bridge to it: their instances are listed together.
            Some(first) => {
                let mut all = take_instances(first);
                all.append(&mut take_instances(&mut described));
                first.insert(INSTANCES.to_owned(), all.into());
            }
            None => drop(protocols.insert(protocol.clone(), described.into())),
        }
    }
    protocols
}

/// What a service says of a network, its instances with ids by which rooms are listed.
async fn describe<E: Outbound>(edge: &E, service: &Appservice, protocol: &str) -> Option<Map<String, Value>> {
    let path = format!("/_matrix/app/v1/thirdparty/protocol/{}", segment(protocol));
    let Value::Object(mut described) = ask(edge, service, &path).await? else { return None };
    let mut listed = take_instances(&mut described);
    for instance in listed.iter_mut().filter_map(Value::as_object_mut) {
        if let Some(network) = instance.get("network_id").and_then(Value::as_str) {
            let id = format!("{}|{network}", service.id);
            instance.insert("instance_id".to_owned(), id.into());
        }
    }
    described.insert(INSTANCES.to_owned(), listed.into());
    Some(described)
}

fn take_instances(protocol: &mut Map<String, Value>) -> Vec<Value> {
    match protocol.remove(INSTANCES) {
        Some(Value::Array(instances)) => instances,
        _ => Vec::new(),
    }
}

/// `GET /thirdparty/{location,user}[/{protocol}]`: what the services of a network, or all of them, find. Nothing when no
/// service bridges to the network.
pub async fn look_up<E: Outbound>(
    edge: &E,
    config: &Config,
    lookup: Lookup,
    protocol: Option<&str>,
    query: &[(String, String)],
) -> Option<Vec<Value>> {
    let bridges = |service: &&Appservice| match protocol {
        Some(protocol) => service.protocols.iter().any(|one| one == protocol),
        None => !service.protocols.is_empty(),
    };
    let services: Vec<_> = config.accounts.appservices.iter().filter(bridges).collect();
    if services.is_empty() && protocol.is_some() {
        return None;
    }
    let mut path = format!("/_matrix/app/v1/thirdparty/{}", lookup.name());
    if let Some(protocol) = protocol {
        path.push('/');
        path.push_str(&segment(protocol));
    }
    // What a client sends as its token is for this server.
    let fields = query.iter().filter(|(name, _)| name != "access_token");
    let fields = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    if !fields.is_empty() {
        path.push('?');
        path.push_str(&fields);
    }
    let found = join_all(services.into_iter().map(|service| ask(edge, service, &path))).await;
    let found = found.into_iter().flatten();
    Some(found.flat_map(|found| if let Value::Array(found) = found { found } else { Vec::new() }).collect())
}

/// Asks the services of whose namespaces an unknown alias is. One that knows it makes room and alias before it answers.
pub async fn makes_alias<E: Outbound>(edge: &E, config: &Config, alias: &str) -> bool {
    let mut services = config.accounts.appservices.iter().filter(|service| within(&service.namespaces.aliases, alias));
    let path = format!("/_matrix/app/v1/rooms/{}", segment(alias));
    any_says_yes(edge, &mut services, &path).await
}

/// Asks the services of whose namespaces an unknown user is. One that knows them registers them before it answers.
pub async fn makes_user<E: Outbound>(edge: &E, config: &Config, user_id: &UserId) -> bool {
    let of = |service: &&Appservice| service.has_user(&config.server_name, user_id.as_str());
    let mut services = config.accounts.appservices.iter().filter(of);
    let path = format!("/_matrix/app/v1/users/{}", segment(user_id.as_str()));
    any_says_yes(edge, &mut services, &path).await
}

/// `GET /profile/{userId}`: an unknown user of a service's namespaces is one that the service may make.
///
/// # Errors
/// `M_NOT_FOUND` for somebody who is not there.
pub async fn profile<E: Transport + Outbound>(
    edge: &E,
    config: &Config,
    user_id: &UserId,
) -> Result<Profile, MatrixError> {
    match profile::read(edge, config, user_id).await {
        Err(error) if error.status == 404 && makes_user(edge, config, user_id).await => {
            profile::read(edge, config, user_id).await
        }
        read => read,
    }
}

async fn any_says_yes<E: Outbound>(edge: &E, services: &mut dyn Iterator<Item = &Appservice>, path: &str) -> bool {
    for service in services {
        if ask(edge, service, path).await.is_some() {
            return true;
        }
    }
    false
}

/// One question: the answer of status 200.
async fn ask<E: Outbound>(edge: &E, service: &Appservice, path: &str) -> Option<Value> {
    let url = Url::parse(&format!("{}{path}", service.address()?)).ok()?;
    let request = HttpRequest::get(url).with_header("authorization", format!("Bearer {}", service.hs_token));
    let answer = fetch(edge, request, BOUNDS).await.ok().filter(|answer| answer.status == 200)?;
    serde_json::from_slice(&answer.body).ok()
}

/// An identifier as a part of a path.
fn segment(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
