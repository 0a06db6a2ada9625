//! Workers KV as the `Cache` port.

use worker::{Env, console_warn};

const BINDING: &str = "CACHE";

/// What was kept under this key.
pub(crate) async fn recall(env: &Env, key: &str) -> Option<String> {
    let found = env.kv(BINDING).ok()?.get(key).text().await;
    found.unwrap_or_else(|error| {
        console_warn!("{BINDING}: {error}");
        None
    })
}

/// Keeps a text for some seconds.
pub(crate) async fn remember(env: &Env, key: &str, text: String, seconds: u64) {
    let Ok(store) = env.kv(BINDING) else { return };
    let Ok(put) = store.put(key, text) else { return };
    if let Err(error) = put.expiration_ttl(seconds).execute().await {
        console_warn!("{BINDING}: {error}");
    }
}
