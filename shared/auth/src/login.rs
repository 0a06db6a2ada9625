//! Login types and user identifiers (Client-Server API, "Legacy login" and "Identifier types").

use ruma::OwnedDeviceId;
use serde::Deserialize;
use tern_model::MatrixError;

/// The login type with a password.
pub const PASSWORD: &str = "m.login.password";
/// The login type with a token that another device, or single sign-on, has got.
pub const TOKEN: &str = "m.login.token";

/// The body of `POST /login`.
#[derive(Clone, Debug, Deserialize)]
pub struct LoginBody {
    /// `type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who, and with which password.
    #[serde(flatten)]
    pub credentials: Credentials,
    /// The login token.
    pub token: Option<String>,
    /// The device that is signed in.
    #[serde(flatten)]
    pub device: NewDevice,
}

/// The device that is to be signed in, in the bodies of `POST /login` and `POST /register`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct NewDevice {
    /// The device the client wants to be.
    pub device_id: Option<OwnedDeviceId>,
    /// The name of a new device.
    pub initial_device_display_name: Option<String>,
    /// The client can refresh.
    #[serde(default)]
    pub refresh_token: bool,
}

/// Who somebody says to be, and the proof. Also part of the password stage of user-interactive authentication.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Credentials {
    /// The identifier.
    pub identifier: Option<Identifier>,
    /// Deprecated form of an `m.id.user` identifier.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
}

/// A user identifier.
#[derive(Clone, Debug, Deserialize)]
pub struct Identifier {
    /// `type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Localpart or whole id, of `m.id.user`.
    pub user: Option<String>,
    /// Of `m.id.thirdparty`.
    pub medium: Option<String>,
    /// Of `m.id.thirdparty`.
    pub address: Option<String>,
}

/// What somebody shows to sign in.
#[derive(Clone, Copy, Debug)]
pub enum Proof<'a> {
    /// A password.
    Password(&'a Credentials),
    /// A login token.
    Token(&'a str),
}

impl LoginBody {
    /// The proof, by the login type.
    ///
    /// # Errors
    /// `M_UNKNOWN` for a type that is not known, `M_MISSING_PARAM` for a token that is not there.
    pub fn proof(&self) -> Result<Proof<'_>, MatrixError> {
        match self.kind.as_str() {
            PASSWORD => Ok(Proof::Password(&self.credentials)),
            TOKEN => {
                let missing = || MatrixError::missing_param("The token is missing");
                self.token.as_deref().map(Proof::Token).ok_or_else(missing)
            }
            _ => Err(unknown("Unknown login type")),
        }
    }
}

impl Credentials {
    /// The mail address given in place of a name.
    pub fn mail(&self) -> Option<&str> {
        let identifier = self.identifier.as_ref().filter(|identifier| identifier.kind == "m.id.thirdparty")?;
        identifier.address.as_deref().filter(|_| identifier.medium.as_deref() == Some("email"))
    }

    /// The name given, as localpart or whole id.
    ///
    /// # Errors
    /// When there is none, or it is of a type that nobody here has.
    pub fn user(&self) -> Result<&str, MatrixError> {
        let missing = || MatrixError::missing_param("The user is missing");
        let Some(identifier) = &self.identifier else {
            return self.user.as_deref().ok_or_else(missing);
        };
        match identifier.kind.as_str() {
            "m.id.user" => identifier.user.as_deref().ok_or_else(missing),
            "m.id.thirdparty" | "m.id.phone" => Err(refused()),
            _ => Err(unknown("Unknown identifier type")),
        }
    }

    /// The password given.
    ///
    /// # Errors
    /// When there is none.
    pub fn password(&self) -> Result<&str, MatrixError> {
        self.password.as_deref().ok_or_else(|| MatrixError::missing_param("The password is missing"))
    }
}

/// The refusal that does not tell whether the user exists.
pub fn refused() -> MatrixError {
    MatrixError::forbidden("Invalid user name or password")
}

fn unknown(message: &'static str) -> MatrixError {
    MatrixError::new(400, "M_UNKNOWN", message)
}
