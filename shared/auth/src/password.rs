//! Password hashes: Argon2id as PHC strings, with the parameters OWASP recommends (19 MiB, 2 passes, 1 lane).
//!
//! With a pepper (a secret that is not in the database) the hash says by `keyid` which one it was made with. Hashes from
//! before there was a pepper stay good; those of a pepper that is gone do not.
//!
//! The memory that a hash fills is kept for the next one. Given back, it would soon be in pieces, since what lives long is
//! put into it between two hashes, and WebAssembly never shrinks: each hash could take another 19 MiB of the isolate.

use std::cell::RefCell;

use argon2::{
    ARGON2ID_IDENT, Algorithm, Argon2, Block, KeyId, Params, ParamsBuilder, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use sha2::{Digest, Sha256};
use tern_model::{Accounts, MatrixError};

/// Bytes of a password, at most: hashing longer ones costs the server and protects nobody.
pub const MAX_LENGTH: usize = 512;
/// Bytes of a salt.
pub const SALT: usize = 16;

/// A hash that no password has, to spend the same time on unknown users as on known ones.
pub const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm9iPw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why a password cannot be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It is empty.
    #[error("The password must not be empty")]
    Empty,
    /// It is too long.
    #[error("The password is longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// The hash function failed, for want of memory.
    #[error("hashing failed")]
    Failed,
}

impl From<PasswordError> for MatrixError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Empty => Self::new(400, "M_WEAK_PASSWORD", error.to_string()),
            PasswordError::TooLong => Self::invalid_param(error.to_string()),
            PasswordError::Failed => Self::internal(),
        }
    }
}

/// The PHC string of a password under a random salt, with the pepper if there is one.
///
/// # Errors
/// When the password is empty or too long.
pub fn hash(accounts: &Accounts, password: &str, salt: &[u8; SALT]) -> Result<String, PasswordError> {
    check(password)?;
    let pepper = accounts.password_pepper.as_deref();
    let hash = params(pepper).and_then(|params| {
        Some(PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&params).ok()?,
            salt: Some(Salt::new(salt).ok()?),
            hash: Some(argon2id(pepper, params, password, salt)?),
        })
    });
    hash.map(|hash| hash.to_string()).ok_or(PasswordError::Failed)
}

/// Whether a password can be hashed, before anything is used up for it.
///
/// # Errors
/// When it is empty or too long.
pub const fn check(password: &str) -> Result<(), PasswordError> {
    match password.len() {
        0 => Err(PasswordError::Empty),
        1..=MAX_LENGTH => Ok(()),
        _ => Err(PasswordError::TooLong),
    }
}

/// Whether the password is the one of this hash. Without a hash (no such user, or one without a password) it takes as long
/// and says no.
pub fn matches(accounts: &Accounts, password: &str, hash: Option<&str>) -> bool {
    if password.len() > MAX_LENGTH {
        return false;
    }
    let Ok(parsed) = PasswordHash::new(hash.unwrap_or(NOBODY)) else {
        return false;
    };
    let peppered = parsed.params.get("keyid").is_some();
    let pepper = accounts.password_pepper.as_deref().filter(|_| peppered);
    let again = Params::try_from(&parsed).ok().zip(parsed.salt).and_then(|(params, salt)| {
        let ours = parsed.algorithm == ARGON2ID_IDENT && parsed.version == Some(Version::V0x13.into());
        argon2id(pepper, params, password, &salt).filter(|_| ours)
    });
    // The comparison is constant-time. A hash of another pepper is compared too, and differs.
    let same = again.is_some() && again == parsed.hash;
    same && hash.is_some()
}

/// The parameters of new hashes.
fn params(pepper: Option<&[u8]>) -> Option<Params> {
    let Some(pepper) = pepper else { return Some(Params::DEFAULT) };
    let digest = Sha256::digest(pepper);
    let key_id = KeyId::new(digest.get(..6)?).ok()?;
    ParamsBuilder::new().keyid(key_id).build().ok()
}

thread_local! {
    static BLOCKS: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

/// The hash itself; none when there is no memory for it, or when it would take more than ours do.
fn argon2id(pepper: Option<&[u8]>, params: Params, password: &str, salt: &[u8]) -> Option<Output> {
    let (blocks, length) = (params.block_count(), params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN));
    if blocks > Params::DEFAULT.block_count() {
        return None;
    }
    let argon2id =
        Argon2::new_with_secret(pepper.unwrap_or_default(), Algorithm::Argon2id, Version::V0x13, params).ok()?;
    let mut output = [0; Output::MAX_LENGTH];
    let output = output.get_mut(..length)?;
    BLOCKS.with_borrow_mut(|memory| {
        memory.try_reserve_exact(blocks.saturating_sub(memory.len())).ok()?;
        memory.resize(blocks.max(memory.len()), Block::default());
        argon2id.hash_password_into_with_memory(password.as_bytes(), salt, output, memory).ok()
    })?;
    Output::new(output).ok()
}
