//! What the account page is opened for (Client-Server API, "Account management URL actions"; MSC4191).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ruma::DeviceId;
use tern_model::Config;

/// An action, with the names it had before it was stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The profile.
    Profile,
    /// All devices.
    DevicesList,
    /// One device.
    DeviceView,
    /// To sign a device out.
    DeviceDelete,
    /// To end the account.
    AccountDeactivate,
    /// To let an app replace the cross-signing identity (MSC4312).
    CrossSigningReset,
}

const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Action {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Profile,
        Self::DevicesList,
        Self::DeviceView,
        Self::DeviceDelete,
        Self::AccountDeactivate,
        Self::CrossSigningReset,
    ];

    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Profile => "org.matrix.profile",
            Self::DevicesList => "org.matrix.devices_list",
            Self::DeviceView => "org.matrix.device_view",
            Self::DeviceDelete => "org.matrix.device_delete",
            Self::AccountDeactivate => "org.matrix.account_deactivate",
            Self::CrossSigningReset => "org.matrix.cross_signing_reset",
        }
    }

    /// The action of this name, also of an older one.
    pub fn named(name: &str) -> Option<Self> {
        let short = name.strip_prefix("org.matrix.").unwrap_or(name);
        let stable = Self::ALL.into_iter().find(|action| action.name().strip_prefix("org.matrix.") == Some(short));
        stable.or(match short {
            "sessions_list" => Some(Self::DevicesList),
            "session_view" => Some(Self::DeviceView),
            "session_end" => Some(Self::DeviceDelete),
            _ => None,
        })
    }
}

impl Action {
    /// Where the account page does this for a device.
    pub fn address(self, config: &Config, device_id: &DeviceId) -> String {
        let device = utf8_percent_encode(device_id.as_str(), VALUE);
        format!("{}/account?action={}&device_id={device}", config.base_url(), self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Action;

    #[test]
    fn stable_and_older_names_are_understood() {
        for action in Action::ALL {
            assert_eq!(Action::named(action.name()), Some(action));
        }
        for (name, action) in [
            ("profile", Action::Profile),
            ("org.matrix.sessions_list", Action::DevicesList),
            ("session_view", Action::DeviceView),
            ("org.matrix.session_end", Action::DeviceDelete),
        ] {
            assert_eq!(Action::named(name), Some(action));
        }
        assert_eq!(Action::named("org.example.account_erase"), None);
        assert_eq!(Action::named(""), None);
    }
}
