//! Password hashes: Argon2id as PHC strings, with the parameters OWASP recommends (19 MiB, 2 passes, 1 lane).
//!
//! With a pepper (a secret that is not in the database) the hash says by `keyid` which one it was made with. Hashes from
//! before there was a pepper stay good; those of a pepper that is gone do not.

use argon2::{
    Algorithm, Argon2, KeyId, Params, ParamsBuilder, PasswordHasher, PasswordVerifier, Version,
    password_hash::phc::PasswordHash,
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
    argon2id(accounts.password_pepper.as_deref())
        .and_then(|argon2id| argon2id.hash_password_with_salt(password.as_bytes(), salt).ok())
        .map(|hash: PasswordHash| hash.to_string())
        .ok_or(PasswordError::Failed)
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
    let Some(argon2id) = argon2id(pepper) else { return false };
    // The comparison inside is constant-time. A hash of another pepper is compared too, and differs.
    let same = argon2id.verify_password(password.as_bytes(), &parsed).is_ok();
    same && hash.is_some()
}

fn argon2id(pepper: Option<&[u8]>) -> Option<Argon2<'_>> {
    let Some(pepper) = pepper else {
        return Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT));
    };
    let digest = Sha256::digest(pepper);
    let key_id = KeyId::new(digest.get(..6)?).ok()?;
    let params = ParamsBuilder::new().keyid(key_id).build().ok()?;
    Argon2::new_with_secret(pepper, Algorithm::Argon2id, Version::V0x13, params).ok()
}
