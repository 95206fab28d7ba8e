//! A unit's own auto-start: whether its file is enabled, and switching that.

use super::bus::{Failed, refused};
use super::{RuntimeError, SystemdRuntime};

/// What systemd says of a unit's file: `GetUnitFileState` in `org.freedesktop.systemd1(5)`, the words in `systemctl(1)`
/// under `is-enabled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitFileState {
    /// Starts at boot (or at the user's login).
    Enabled,
    /// The same until the next boot.
    EnabledRuntime,
    /// Does not.
    Disabled,
    /// Has no `[Install]` section: something else starts it, or nothing.
    Static,
    /// Cannot be started at all until it is unmasked.
    Masked,
    /// Its enablement is that of another unit that it names in `Also=`.
    Indirect,
    /// Linked into systemd's folders, but not enabled.
    Linked,
    /// Made by a program at boot: it cannot be enabled.
    Generated,
    /// Made over the bus: it cannot be enabled.
    Transient,
    /// Another name of a unit.
    Alias,
    /// Its file has mistakes.
    Bad,
    /// There is no such file.
    NotFound,
    /// A word that this version does not know.
    Other,
}

impl UnitFileState {
    fn of(word: &str) -> Self {
        match word {
            "enabled" => Self::Enabled,
            "enabled-runtime" => Self::EnabledRuntime,
            "disabled" => Self::Disabled,
            "static" => Self::Static,
            "masked" | "masked-runtime" => Self::Masked,
            "indirect" => Self::Indirect,
            "linked" | "linked-runtime" => Self::Linked,
            "generated" => Self::Generated,
            "transient" => Self::Transient,
            "alias" => Self::Alias,
            "bad" => Self::Bad,
            _ => Self::Other,
        }
    }

    /// Whether it starts by itself; `None` where that is not the unit's to say.
    pub const fn auto_start(self) -> Option<bool> {
        match self {
            Self::Enabled | Self::EnabledRuntime => Some(true),
            Self::Disabled | Self::Linked | Self::Masked => Some(false),
            _ => None,
        }
    }

    /// Whether [`SystemdRuntime::set_enabled`] can change it.
    pub const fn can_change(self) -> bool {
        matches!(self, Self::Enabled | Self::EnabledRuntime | Self::Disabled | Self::Linked | Self::Indirect)
    }
}

/// What was done to links: kind, file, target.
type Links = Vec<(String, String, String)>;

impl SystemdRuntime {
    /// Whether the unit starts by itself.
    ///
    /// # Errors
    /// [`RuntimeError`].
    pub async fn unit_file_state(&self) -> Result<UnitFileState, RuntimeError> {
        match self.bus.manager::<_, String>("GetUnitFileState", &self.unit.as_str()).await {
            Ok(word) => Ok(UnitFileState::of(&word)),
            Err(Failed::Error { name, .. })
                if matches!(
                    name.as_str(),
                    "org.freedesktop.systemd1.NoSuchUnit" | "org.freedesktop.DBus.Error.FileNotFound"
                ) =>
            {
                Ok(UnitFileState::NotFound)
            }
            Err(failed) => Err(failed.into_error("look")),
        }
    }

    /// Enables or disables the unit for good, and has systemd read its files again. What runs is not touched.
    ///
    /// # Errors
    /// [`RuntimeError`]; a unit without an `[Install]` section cannot be enabled.
    pub async fn set_enabled(&self, enabled: bool) -> Result<(), RuntimeError> {
        let action = if enabled { "enable" } else { "disable" };
        let error = |failed: Failed| failed.into_error(action);
        let name = self.unit.as_str();
        let names = std::slice::from_ref(&name);
        if enabled {
            // Not only until the next boot; not over links that somebody made by hand.
            let (installable, _): (bool, Links) =
                self.bus.manager("EnableUnitFiles", &(names, false, false)).await.map_err(error)?;
            if !installable {
                let unit = &self.unit;
                return Err(refused(
                    action,
                    format!(
                        "{unit} has no [Install] section: it does not say at which target it should start"
                    ),
                ));
            }
        } else {
            let _: Links = self.bus.manager("DisableUnitFiles", &(names, false)).await.map_err(error)?;
        }
        self.bus.reload().await.map_err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_systemctl_is_known_and_an_unknown_one_claims_nothing() {
        assert_eq!(UnitFileState::of("enabled").auto_start(), Some(true));
        assert_eq!(UnitFileState::of("disabled").auto_start(), Some(false));
        assert_eq!(UnitFileState::of("masked-runtime"), UnitFileState::Masked);
        for word in ["static", "generated", "transient", "alias", "bad", "new-word"] {
            assert_eq!(UnitFileState::of(word).auto_start(), None, "{word}");
            assert!(!UnitFileState::of(word).can_change(), "{word}");
        }
    }
}
