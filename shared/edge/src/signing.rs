//! The keys that sign id tokens, run in the proxy: made when first needed, kept sealed by the storage worker, remembered
//! by each isolate for a minute.

use std::{cell::RefCell, rc::Rc};

use tern_auth::{
    oauth::{
        id_token::{self, Subject},
        keyring::{Fresh, Keyring, RotationError, SealedKey, sealing_key, thumbprint},
    },
    secret::{base64, from_base64},
};
use tern_model::{Algorithm, Config, MatrixError, Millis};
use tern_ports::{
    Clock, Crypto, Transport, ask_storage,
    wire::storage::{LoadKeyring, SaveKeyring, StoredKeyring},
};

/// How long an isolate goes by what it has read, in milliseconds. Much less than a rotation of the keys takes, so a key
/// that signs is always a published one.
const FRESH_FOR: u64 = 60 * 1000;

/// What an isolate remembers of the keys.
#[derive(Default)]
pub struct Keyrings(RefCell<Option<(Millis, Rc<Keyring>)>>);

impl Keyrings {
    /// The keys, made if there are none. One storage call, none within a minute.
    ///
    /// # Errors
    /// 503; 500 when keys cannot be made.
    pub async fn get<E: Transport + Clock + Crypto>(
        &self,
        edge: &E,
        config: &Config,
    ) -> Result<Rc<Keyring>, MatrixError> {
        let now = edge.now();
        let known = self.0.borrow().clone().filter(|(read, _)| now.since(*read) < FRESH_FOR);
        if let Some((_, keyring)) = known {
            return Ok(keyring);
        }
        let keyring = Rc::new(load_or_begin(edge, config).await?);
        self.0.replace(Some((now, Rc::clone(&keyring))));
        Ok(keyring)
    }

    /// Rotates the keys: the next one signs from now on. With `anew` all keys are replaced at once, and nobody
    /// accepts what the old ones signed: for keys that have become known, or that cannot be opened any more.
    ///
    /// # Errors
    /// 409 when they were rotated a moment ago; 503.
    pub async fn rotate<E: Transport + Clock + Crypto>(
        &self,
        edge: &E,
        config: &Config,
        anew: bool,
    ) -> Result<Rc<Keyring>, MatrixError> {
        let stored = ask_storage(edge, LoadKeyring {}).await?;
        let rotated = match &stored {
            Some(stored) if !anew => {
                let fresh = make(edge, config, 1).await?;
                read(stored)?.rotate(fresh, edge.now()).map_err(refused)?
            }
            _ => begin(edge, config).await?,
        };
        if !save(edge, stored.as_ref(), &rotated).await? {
            return Err(refused(RotationError::TooSoon));
        }
        let rotated = Rc::new(rotated);
        self.0.replace(Some((edge.now(), Rc::clone(&rotated))));
        Ok(rotated)
    }
}

/// Signs an id token with the current key.
///
/// # Errors
/// 503; 500 when the key cannot be opened, because `TOKEN_KEY` is another one than when it was made.
pub async fn id_token<E: Transport + Clock + Crypto>(
    edge: &E,
    config: &Config,
    keyrings: &Keyrings,
    algorithm: Algorithm,
    subject: Subject<'_>,
) -> Result<String, MatrixError> {
    let keyring = keyrings.get(edge, config).await?;
    let key = keyring.current(algorithm).ok_or_else(MatrixError::internal)?;
    let id = key.id();
    let sealed = from_base64(&key.private).ok_or_else(MatrixError::internal)?;
    let private = edge.open(&sealing_key(config), id.as_bytes(), &sealed).await?;
    let input = id_token::signing_input(config, algorithm, &id, subject, edge.now());
    let signature = edge.sign(algorithm, &private, input.as_bytes()).await?;
    Ok(id_token::assemble(&input, &signature))
}

async fn load_or_begin<E: Transport + Clock + Crypto>(edge: &E, config: &Config) -> Result<Keyring, MatrixError> {
    if let Some(stored) = ask_storage(edge, LoadKeyring {}).await? {
        return read(&stored);
    }
    let made = begin(edge, config).await?;
    if save(edge, None, &made).await? {
        return Ok(made);
    }
    // Another isolate was first; its keys are everybody's.
    let stored = ask_storage(edge, LoadKeyring {}).await?;
    read(&stored.ok_or_else(MatrixError::unavailable)?)
}

async fn begin<E: Clock + Crypto>(edge: &E, config: &Config) -> Result<Keyring, MatrixError> {
    Keyring::begin(make(edge, config, 2).await?, edge.now()).map_err(refused)
}

/// Makes `count` sealed keys for every algorithm.
async fn make(edge: &impl Crypto, config: &Config, count: usize) -> Result<Fresh, MatrixError> {
    let sealing = sealing_key(config);
    let mut fresh = Fresh::new();
    for algorithm in Algorithm::ALL {
        for _ in 0..count {
            let pair = edge.generate(algorithm).await?;
            let sealed = edge.seal(&sealing, thumbprint(&pair.public).as_bytes(), &pair.private).await?;
            fresh.entry(algorithm).or_default().push(SealedKey { public: pair.public, private: base64(&sealed) });
        }
    }
    Ok(fresh)
}

async fn save(edge: &impl Transport, replaces: Option<&StoredKeyring>, keyring: &Keyring) -> Result<bool, MatrixError> {
    let replaces = replaces.map_or(0, |stored| stored.version);
    let keyring = serde_json::to_string(keyring).map_err(|_| MatrixError::internal())?;
    ask_storage(edge, SaveKeyring { replaces, keyring }).await
}

fn read(stored: &StoredKeyring) -> Result<Keyring, MatrixError> {
    serde_json::from_str(&stored.keyring).map_err(|_| MatrixError::internal())
}

fn refused(error: RotationError) -> MatrixError {
    match error {
        RotationError::TooSoon => MatrixError::new(409, "M_LIMIT_EXCEEDED", error.to_string()),
        RotationError::Missing => MatrixError::internal(),
    }
}
