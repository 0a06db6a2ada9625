//! Finding where a server is: carries out a plan of `tern_federation::discovery`.

use tern_federation::{
    discovery::{Discovery, Step, Way, read_srv},
    server_name::{Host, ServerName},
    well_known,
};
use tern_ports::{
    ObjectHost, Outbound,
    outbound::{Bounds, HttpError, HttpRequest, Reach, fetch},
};
use url::Url;

use super::DestinationActor;

/// Asked for SRV records unless the operator names another (`application/dns-json`).
const RESOLVER: &str = "https://cloudflare-dns.com/dns-query";

/// What an answer about the way may cost.
const BOUNDS: Bounds =
    Bounds { timeout_ms: 10_000, max_bytes: well_known::LONGEST, cut: false, redirects: 5, plain: false };

impl<H: ObjectHost> DestinationActor<H> {
    /// Where the server is; what is known of that lasts while this object lives, and no longer than its answer says.
    pub(super) async fn way(&self) -> Result<Way, String> {
        let now = self.host.now();
        if let Some((_, way)) = self.way.borrow().as_ref().filter(|(until, _)| now < *until) {
            return Ok(way.clone());
        }
        let way = find(&*self.host, self.config.federation.resolver.as_deref(), &self.server).await?;
        self.way.replace(Some((now.plus(way.lifetime.saturating_mul(1_000)), way.clone())));
        Ok(way)
    }

    /// The server was not there: it is looked for again.
    pub(super) fn forget_way(&self) {
        self.way.replace(None);
    }
}

/// Finds a server, or says why it cannot be asked from here.
pub(super) async fn find(via: &impl Outbound, resolver: Option<&str>, server: &ServerName) -> Result<Way, String> {
    let literals = via.reach() == Reach::Anywhere;
    let mut plan = Discovery::begin(server, literals);
    loop {
        plan = match plan.step() {
            Step::WellKnown(host) => {
                let answer = ask_well_known(via, host).await;
                plan.well_known(answer, literals)
            }
            Step::Srv(name) => {
                let records = match ask_srv(via, resolver.unwrap_or(RESOLVER), name).await {
                    Some(body) => read_srv(&body),
                    None => Vec::new(),
                };
                plan.srv(records)
            }
            Step::Found(way) => return Ok(way.clone()),
            Step::Unreachable(reason) => return Err((*reason).to_owned()),
        };
    }
}

async fn ask_well_known(via: &impl Outbound, host: &Host) -> Option<(ServerName, u64)> {
    let url = Url::parse(&format!("https://{host}/.well-known/matrix/server")).ok()?;
    let answer = fetch(via, HttpRequest::get(url), BOUNDS).await.ok()?;
    let server = well_known::read(answer.status, &answer.body)?;
    Some((server, well_known::lifetime(answer.header("cache-control"))))
}

async fn ask_srv(via: &impl Outbound, resolver: &str, name: &str) -> Option<Vec<u8>> {
    let mut url = Url::parse(resolver).ok()?;
    url.query_pairs_mut().append_pair("name", name).append_pair("type", "SRV");
    let request = HttpRequest::get(url).with_header("accept", "application/dns-json");
    let answer = fetch(via, request, BOUNDS).await.ok()?;
    (answer.status == 200).then_some(answer.body)
}

/// The address of a path there. An address of this machine is asked without TLS, which only tests on one machine do.
pub(super) fn address(way: &Way, path: &str) -> Result<Url, HttpError> {
    let loopback = match &way.host {
        Host::V4(address) => address.is_loopback(),
        Host::V6(address) => address.is_loopback(),
        Host::Dns(_) => false,
    };
    let scheme = if loopback { "http" } else { "https" };
    let url = Url::parse(&format!("{scheme}://{}:{}{path}", way.host, way.port));
    url.map_err(|_| HttpError::Refused("The server's name leads to no address"))
}
