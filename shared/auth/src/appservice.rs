//! Application services: whose token a token is, and what belongs to whom (Application Service API).

use ruma::{OwnedUserId, UserId};
use tern_model::{
    Config, MatrixError,
    appservice::{Appservice, Namespace},
};

use crate::secret::same;

/// The login and registration type.
pub const APPLICATION_SERVICE: &str = "m.login.application_service";

/// Longest id of a registration, in bytes.
const LONGEST_ID: usize = 200;

/// The registration of this id.
pub fn by_id<'a>(config: &'a Config, id: &str) -> Option<&'a Appservice> {
    config.accounts.appservices.iter().find(|service| service.id == id)
}

/// The service that shows this token. Every token is compared, in a time that tells nothing of any.
pub fn by_token<'a>(config: &'a Config, token: &str) -> Option<&'a Appservice> {
    let services = config.accounts.appservices.iter();
    services.fold(None, |found, service| if same(&service.as_token, token) { Some(service) } else { found })
}

/// What is wrong with the registrations.
///
/// # Errors
/// The part that cannot be used.
pub fn check(services: &[Appservice]) -> Result<(), String> {
    for (place, service) in services.iter().enumerate() {
        check_one(service)?;
        // Whoever shows a token must be one service.
        let same = |other: &&Appservice| other.id == service.id || other.as_token == service.as_token;
        if services.iter().take(place).any(|other| same(&other)) {
            return Err(format!("{}: another service has the same id or as_token", service.id));
        }
    }
    Ok(())
}

fn check_one(service: &Appservice) -> Result<(), String> {
    let of = &service.namespaces;
    for namespace in of.users.iter().chain(&of.aliases).chain(&of.rooms) {
        let regex = &namespace.regex;
        regex.check().map_err(|error| format!("{}: {}: {error}", service.id, regex.text()))?;
    }
    // It names rows and an object.
    if service.id.is_empty() || service.id.len() > LONGEST_ID {
        return Err(format!("{}: the id is empty or longer than {LONGEST_ID} bytes", service.id));
    }
    // A token that can be guessed opens everything the service may do.
    if service.as_token.len() < 16 || service.hs_token.len() < 16 {
        return Err(format!("{}: a token is shorter than 16 characters", service.id));
    }
    if UserId::parse(format!("@{}:x", service.sender_localpart)).is_err() || service.sender_localpart.is_empty() {
        return Err(format!("{}: sender_localpart is no localpart", service.id));
    }
    Ok(())
}

/// The user that a service is when it names no other.
pub fn sender(config: &Config, service: &Appservice) -> Option<OwnedUserId> {
    UserId::parse(format!("@{}:{}", service.sender_localpart, config.server_name)).ok()
}

/// Whether a service may be this user.
pub fn owns_user(config: &Config, service: &Appservice, user_id: &UserId) -> bool {
    service.has_user(&config.server_name, user_id.as_str())
}

/// Refuses a user id that only a service may make; `by` is the service that asks, if one does.
///
/// # Errors
/// `M_EXCLUSIVE`.
pub fn check_user(config: &Config, by: Option<&Appservice>, user_id: &UserId) -> Result<(), MatrixError> {
    let taken = |service: &Appservice| {
        exclusive(&service.namespaces.users, user_id.as_str()) || sender(config, service).as_deref() == Some(user_id)
    };
    check_others(config, by, taken)
}

/// Refuses an alias that only a service may make; `by` is the service that asks, if one does.
///
/// # Errors
/// `M_EXCLUSIVE`.
pub fn check_alias(config: &Config, by: Option<&Appservice>, alias: &str) -> Result<(), MatrixError> {
    check_others(config, by, |service| exclusive(&service.namespaces.aliases, alias))
}

fn check_others(
    config: &Config,
    by: Option<&Appservice>,
    taken: impl Fn(&Appservice) -> bool,
) -> Result<(), MatrixError> {
    let mut others = config.accounts.appservices.iter().filter(|service| by.is_none_or(|by| by.id != service.id));
    if others.any(taken) { Err(outside("This name is kept for an application service")) } else { Ok(()) }
}

/// The refusal of what does not belong to somebody.
pub fn outside(message: &'static str) -> MatrixError {
    MatrixError::new(400, "M_EXCLUSIVE", message)
}

fn exclusive(namespaces: &[Namespace], id: &str) -> bool {
    namespaces.iter().any(|namespace| namespace.exclusive && namespace.regex.matches(id))
}
