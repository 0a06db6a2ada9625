//! Scopes (Client-Server API, "Scope"; MSC2967 for the names before they were stable; OpenID Connect Core, 5.4).

use ruma::OwnedDeviceId;

use super::OAuthError;

/// Full access to the Client-Server API, stable name first.
const API: [&str; 2] = ["urn:matrix:client:api:*", "urn:matrix:org.matrix.msc2967.client:api:*"];
/// Precedes the device id, stable name first.
const DEVICE: [&str; 2] = ["urn:matrix:client:device:", "urn:matrix:org.matrix.msc2967.client:device:"];
/// Who the user is.
const OPENID: &str = "openid";
/// Longest scope that is looked at, in bytes.
const MAX_LENGTH: usize = 2_048;
/// Longest device id, in bytes.
const MAX_DEVICE_ID: usize = 255;

/// What an access token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// The Client-Server API.
    pub api: bool,
    /// The userinfo endpoint.
    pub openid: bool,
}

impl Rights {
    /// Of tokens from the legacy API.
    pub const LEGACY: Self = Self { api: true, openid: false };

    /// As a number in a token.
    pub(crate) fn bits(self) -> u8 {
        u8::from(self.api) | u8::from(self.openid) << 1
    }

    /// From the number in a token.
    pub(crate) fn from_bits(bits: u8) -> Self {
        Self { api: bits & 1 != 0, openid: bits & 2 != 0 }
    }
}

/// A scope that can be granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The tokens that are known, as they were asked for.
    pub text: String,
    /// The device that the client will be; always there with full access, never without.
    pub device_id: Option<OwnedDeviceId>,
    /// `openid`.
    pub openid: bool,
}

impl Scope {
    /// Reads a scope. Tokens that are not known are not granted (RFC 6749, 3.3).
    ///
    /// # Errors
    /// `invalid_scope` when nothing is left, and when access and exactly one device do not come together.
    pub fn parse(text: &str) -> Result<Self, OAuthError> {
        if text.len() > MAX_LENGTH {
            return Err(OAuthError::InvalidScope("The scope is too long"));
        }
        let mut known = Vec::new();
        let (mut api, mut openid, mut device) = (false, false, None);
        for token in text.split(' ').filter(|token| !token.is_empty()) {
            let named = DEVICE.iter().find_map(|prefix| token.strip_prefix(prefix));
            match (token, named) {
                (_, Some(id)) if device.is_some_and(|other| other != id) => {
                    return Err(OAuthError::InvalidScope("There is more than one device in the scope"));
                }
                (_, Some(id)) => device = Some(id),
                (token, None) if API.contains(&token) => api = true,
                (OPENID, None) => openid = true,
                (_, None) => continue,
            }
            if !known.contains(&token) {
                known.push(token);
            }
        }
        match (api, device) {
            (true, None) => return Err(OAuthError::InvalidScope("There is no device in the scope")),
            (false, Some(_)) => return Err(OAuthError::InvalidScope("A device without access is of no use")),
            (false, None) if !openid => return Err(OAuthError::InvalidScope("There is nothing known in the scope")),
            (_, Some(id)) if !is_device_id(id) => return Err(OAuthError::InvalidScope("This is not a device id")),
            _ => {}
        }
        Ok(Self { text: known.join(" "), device_id: device.map(Into::into), openid })
    }

    /// What tokens of this scope are good for.
    pub fn rights(&self) -> Rights {
        Rights { api: self.device_id.is_some(), openid: self.openid }
    }
}

/// Unreserved characters (RFC 3986, 2.3), as the specification advises, and those of unpadded base64: a device that signs
/// in by a QR code is named by its Curve25519 key (MSC4108).
fn is_device_id(id: &str) -> bool {
    (1..=MAX_DEVICE_ID).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::{OAuthError, Scope};

    #[test]
    fn access_comes_with_exactly_one_device() {
        let stable = Scope::parse("urn:matrix:client:api:* urn:matrix:client:device:ABC urn:other:x openid");
        let stable = stable.unwrap_or_else(|error| unreachable!("{error}"));
        assert_eq!(stable.text, "urn:matrix:client:api:* urn:matrix:client:device:ABC openid");
        assert_eq!((stable.device_id.as_deref().map(ruma::DeviceId::as_str), stable.openid), (Some("ABC"), true));
        let both = "urn:matrix:org.matrix.msc2967.client:api:* urn:matrix:org.matrix.msc2967.client:device:ABC";
        assert_eq!(
            Scope::parse(&format!("{both} urn:matrix:client:device:ABC")).map(|scope| scope.device_id.is_some()),
            Ok(true)
        );
        let key = "wjLpTLRqbqBzLs63aYaEv2Boi6cFEbbM/sSRQ2oAKk4";
        let scanned = Scope::parse(&format!("urn:matrix:client:api:* urn:matrix:client:device:{key}"));
        assert_eq!(scanned.map(|scope| scope.device_id), Ok(Some(key.into())));
        for bad in [
            "",
            "urn:matrix:client:api:*",
            "urn:matrix:client:device:A",
            "urn:synapse:admin:*",
            "email",
            "urn:matrix:client:api:* urn:matrix:client:device:",
            "urn:matrix:client:api:* urn:matrix:client:device:a%b",
            "urn:matrix:client:api:* urn:matrix:client:device:A urn:matrix:client:device:B",
        ] {
            assert!(matches!(Scope::parse(bad), Err(OAuthError::InvalidScope(_))), "{bad}");
        }
    }
}
