//! What the first view is rendered from: made by the server, embedded once in the page, read again by hydration, so that
//! both sides render the same.

use crate::locales::Lang;
use crate::model::{Explained, Line, LogSummary, ServiceName, Snapshot};
use serde::{Deserialize, Serialize};

/// Everything the first render needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Boot {
    /// The state of the world; its `now` is the clock of the first render on both sides.
    pub snapshot: Snapshot,
    /// Which page.
    pub route: Route,
    /// The language of the page.
    pub lang: Lang,
    /// The theme: chosen, or by the system.
    pub theme: Theme,
    /// The service whose log the window shows.
    pub log: Option<LogSummary>,
    /// The last lines of that log.
    pub tail: Vec<Line>,
    /// Neighbouring pages: (name, address).
    #[serde(default)]
    pub links: Vec<(String, String)>,
    /// What the one who looks may; the server hides what they may not, and refuses it.
    #[serde(skip)]
    pub role: Option<crate::api::Role>,
    /// Nobody signs in here.
    #[serde(skip)]
    pub open_house: bool,
    /// Parts that the server writes whole: they are in the page, not in its data.
    #[serde(skip)]
    pub parts: Parts,
    /// What a log that was handed in tells.
    #[serde(default)]
    pub explained: Option<Explained>,
    /// A refusal to show that a form without JavaScript met.
    #[serde(default)]
    pub refusal: Option<crate::api::ApiError>,
}

/// Parts of the page by their address under `/parts/`, as HTML. The browser has none: it finds them in the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts(pub Vec<(String, String)>);

impl Parts {
    /// The HTML of one.
    pub fn html(&self, id: &str) -> String {
        self.0.iter().find(|(of, _)| of == id).map(|(_, html)| html.clone()).unwrap_or_default()
    }
}

/// The pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "page", rename_all = "kebab-case")]
pub enum Route {
    /// `/`: all services.
    Services,
    /// `/services/NAME`.
    Service {
        /// Which.
        name: ServiceName,
    },
    /// `/explain`: a log from anywhere.
    Explain,
    /// Nothing lives at this address.
    NotFound,
}

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Theme {
    /// As the system says.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// The word in the cookie and on `<html data-theme>`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::System, Self::Light, Self::Dark].into_iter().find(|t| t.as_str() == text)
    }
}
