//! Scenarios played by matrix-rust-sdk as published: `tern-rust-sdk-scenarios NAME BASE_URL FOLDER`.
//!
//! Each claim that was shown is a line on stdout. What a scenario cannot do itself (restart the server, use a browser)
//! it asks of whoever started it, see [`stage`]; as `peer` it does what it is told, see [`peer`]. `FOLDER` holds the
//! clients' stores.

mod device;
mod encryption;
mod files;
mod peer;
mod room_list;
mod rooms;
mod sign_in;
mod stage;
mod timeline;
mod verification;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::device::Homeserver;
use crate::stage::Stage;

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().with_context(|| format!("missing argument: {what}"));
    let name = next("scenario")?;
    let homeserver = Homeserver { base: next("base URL")?, folder: PathBuf::from(next("folder")?) };
    let mut stage = Stage::new();
    match name.as_str() {
        "encryption" => encryption::play(&homeserver, &stage).await,
        "verifications" => encryption::play_verifications(&homeserver, &mut stage).await,
        "peer" => peer::play(&homeserver, &mut stage).await,
        "sign-in" => sign_in::play(&homeserver, &mut stage).await,
        "rooms" => rooms::play(&homeserver, &mut stage).await,
        _ => bail!("no scenario named {name}"),
    }
}
