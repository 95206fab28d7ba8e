//! Names of service units. In: text from settings. Out: a [`UnitName`] that systemd takes as it is, or why not.

use std::fmt;

/// The longest name of a unit, suffix included: `UNIT_NAME_MAX` in systemd's `src/basic/unit-name.h` is 256 with its NUL.
const LONGEST: usize = 255;
const SUFFIX: &str = ".service";

/// The name of a service unit, always with `.service`: letters, digits and `: - _ . \`, and one `@` between a template and
/// its instance. Source of the alphabet: `systemd.unit(5)`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitName(String);

/// Why a unit's name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitNameError {
    /// Not of the alphabet, too long, or without a name before the suffix.
    #[error(
        "{0:?} is not a unit: allowed are at most 255 of A-Z, a-z, 0-9, ':', '-', '_', '.' and '\\', such as ollama.service or worker@1.service"
    )]
    NotAName(String),
    /// Another kind of unit.
    #[error("{0:?} is not a service: only units that end in .service can be managed")]
    OtherKind(String),
    /// `worker@.service`: there is nothing to start before it has an instance.
    #[error("{0:?} is a template: name one instance of it, such as worker@1.service")]
    Template(String),
}

/// What else ends a unit's name: `unit_type_table` in systemd's `src/basic/unit-def.c`.
const OTHER_KINDS: [&str; 11] = [
    ".socket",
    ".device",
    ".mount",
    ".automount",
    ".swap",
    ".target",
    ".path",
    ".timer",
    ".slice",
    ".scope",
    ".snapshot",
];

impl UnitName {
    /// Reads a name by its allow-list; `.service` is added where it is missing.
    ///
    /// # Errors
    /// [`UnitNameError`] names the text and what is allowed.
    pub fn parse(text: &str) -> Result<Self, UnitNameError> {
        let shown = || text.chars().take(80).collect::<String>();
        if OTHER_KINDS.iter().any(|kind| text.ends_with(kind)) {
            return Err(UnitNameError::OtherKind(shown()));
        }
        let stem = text.strip_suffix(SUFFIX).unwrap_or(text);
        let plain = |part: &str| {
            part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '\\'))
        };
        let (template, instance) =
            stem.split_once('@').map_or((stem, None), |(template, instance)| (template, Some(instance)));
        // A name that begins with '-' or '.' would be legal, and is an option or a hidden file elsewhere.
        let fits = !template.is_empty()
            && !template.starts_with(['-', '.'])
            && plain(template)
            && instance.is_none_or(plain)
            && stem.len() + SUFFIX.len() <= LONGEST;
        if !fits {
            return Err(UnitNameError::NotAName(shown()));
        }
        if instance == Some("") {
            return Err(UnitNameError::Template(shown()));
        }
        Ok(Self(format!("{stem}{SUFFIX}")))
    }

    /// The name as text, with its suffix.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_gets_its_suffix_and_keeps_it() {
        for (text, name) in [
            ("ollama", "ollama.service"),
            ("ollama.service", "ollama.service"),
            ("worker@1", "worker@1.service"),
            ("a.b-c_d:e", "a.b-c_d:e.service"),
            ("dev-disk\\x2d1", "dev-disk\\x2d1.service"),
        ] {
            assert_eq!(UnitName::parse(text).map(|n| n.to_string()), Ok(name.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_service_is_refused_with_its_reason() {
        let reason = |text: &str| UnitName::parse(text).unwrap_err();
        for text in ["", ".service", "../x", "a/b", "a b", "a@b@c", "@a", "-rf", "é", "a\nb", "a\0"] {
            assert!(matches!(reason(text), UnitNameError::NotAName(_)), "{text:?}");
        }
        assert!(matches!(reason("docker.socket"), UnitNameError::OtherKind(_)));
        assert!(matches!(reason("worker@.service"), UnitNameError::Template(_)));
        assert!(matches!(reason("worker@"), UnitNameError::Template(_)));
    }

    #[test]
    fn a_name_may_have_255_characters_and_no_more() {
        assert!(UnitName::parse(&"a".repeat(247)).is_ok());
        assert!(UnitName::parse(&"a".repeat(248)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_short_ends_in_service_and_has_no_slash(text in "\\PC{0,300}") {
            if let Ok(name) = UnitName::parse(&text) {
                prop_assert!(name.as_str().len() <= 255);
                prop_assert!(name.as_str().ends_with(".service"));
                prop_assert!(!name.as_str().contains(['/', ' ', '\0']));
                prop_assert_eq!(UnitName::parse(name.as_str()), Ok(name));
            }
        }
    }
}
