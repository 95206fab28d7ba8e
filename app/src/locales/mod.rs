//! All words of the page. A word that a language lacks does not compile, and neither does a code of the wire without
//! words: each language matches them exhaustively.
//!
//! In: codes, numbers and names. Out: text for people. No markup, no state.

#[cfg(feature = "ssr")]
mod access;
mod en;
#[cfg(feature = "ssr")]
mod notify;
mod number;
#[cfg(feature = "ssr")]
mod parts;
mod ru;
mod words;

#[cfg(feature = "ssr")]
pub use access::AccessWords;
#[cfg(feature = "ssr")]
pub use notify::NotifyWords;
pub use number::{bytes_of, clock, clock_of_day, gib_tenths, group, mib, short_id, span, span_us, tenths};
#[cfg(feature = "ssr")]
pub use parts::PartWords;
pub use words::{Said, Words};

use serde::{Deserialize, Serialize};

/// The languages of the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Russian.
    Ru,
}

impl Lang {
    /// All languages, in the order of their switch.
    pub const ALL: [Self; 2] = [Self::En, Self::Ru];

    /// The code on `<html lang>` and in the cookie.
    pub const fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ru => "ru",
        }
    }

    /// The label of its switch.
    pub const fn label(self) -> &'static str {
        match self {
            Self::En => "EN",
            Self::Ru => "RU",
        }
    }

    /// The language's name in itself.
    pub const fn own_name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::Ru => "Русский",
        }
    }

    /// Reads the code.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|l| l.code() == text)
    }

    /// The words of the parts that the server alone writes.
    #[cfg(feature = "ssr")]
    pub const fn part_words(self) -> &'static PartWords {
        match self {
            Self::En => &en::parts::PARTS,
            Self::Ru => &ru::parts::PARTS,
        }
    }

    /// The words of notifications.
    #[cfg(feature = "ssr")]
    pub const fn notify_words(self) -> &'static NotifyWords {
        match self {
            Self::En => &en::notify::NOTIFY,
            Self::Ru => &ru::notify::NOTIFY,
        }
    }

    /// The words of this language.
    pub const fn words(self) -> &'static Words {
        match self {
            Self::En => &en::WORDS,
            Self::Ru => &ru::WORDS,
        }
    }
}
