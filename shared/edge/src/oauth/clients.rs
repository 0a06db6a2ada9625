//! Clients: those that register, and those that the operator trusts to introspect.

use serde_json::{Map, Value};
use tern_auth::{
    oauth::{OAuthError, client::Client, ticket::hash},
    secret::base64,
};
use tern_model::MatrixError;
use tern_ports::{
    Clock, Entropy, Transport, ask_storage,
    wire::storage::{LoadClient, SaveClient},
};

use crate::random::random;

/// Registers a client (RFC 7591); answers with what was registered. One storage call.
///
/// # Errors
/// What is wrong with the metadata.
pub async fn register<E: Transport + Clock>(edge: &E, metadata: &Map<String, Value>) -> Result<Value, MatrixError> {
    let client = Client::register(metadata)?;
    let client_id = client.id();
    let mut answer = serde_json::to_value(&client).map_err(|_| MatrixError::internal())?;
    let save =
        SaveClient { client_id: client_id.clone(), metadata: answer.to_string(), secret_hash: None, ts: edge.now() };
    ask_storage(edge, save).await?;
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("client_id".to_owned(), client_id.into());
        answer.insert("client_id_issued_at".to_owned(), (edge.now().0 / 1000).into());
    }
    Ok(answer)
}

/// A registered client. One storage call.
///
/// # Errors
/// `invalid_client`.
pub async fn client<E: Transport>(edge: &E, client_id: &str) -> Result<Client, MatrixError> {
    if client_id.is_empty() || client_id.len() > 64 {
        return Err(OAuthError::InvalidClient.into());
    }
    let row = ask_storage(edge, LoadClient { client_id: client_id.to_owned() }).await?;
    let client = row.and_then(|row| serde_json::from_str(&row.metadata).ok());
    client.ok_or_else(|| OAuthError::InvalidClient.into())
}

/// A client that the operator trusts, by its secret. One storage call.
///
/// # Errors
/// `invalid_client`.
pub async fn trusted<E: Transport>(edge: &E, client_id: &str, secret: &str) -> Result<(), MatrixError> {
    let row = ask_storage(edge, LoadClient { client_id: client_id.chars().take(64).collect() }).await?;
    let expected = row.and_then(|row| row.secret_hash).unwrap_or_default();
    let claimed = base64(&hash(secret));
    let same = tern_auth::secret::same(&expected, &claimed);
    if same && !expected.is_empty() { Ok(()) } else { Err(OAuthError::InvalidClient.into()) }
}

/// Makes a client that may introspect; answers with its id and secret. One storage call.
///
/// # Errors
/// When the storage worker cannot be asked.
pub async fn trust<E: Transport + Clock + Entropy>(edge: &E, name: &str) -> Result<(String, String), MatrixError> {
    let (client_id, secret) = (format!("trusted-{}", base64(&random::<9>(edge))), base64(&random::<32>(edge)));
    let metadata = serde_json::json!({ "client_name": name }).to_string();
    let secret_hash = Some(base64(&hash(&secret)));
    ask_storage(edge, SaveClient { client_id: client_id.clone(), metadata, secret_hash, ts: edge.now() }).await?;
    Ok((client_id, secret))
}
