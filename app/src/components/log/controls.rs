//! A window's controls: read as they stand, and the places beside them that are written.

use super::narrow::{Filter, Levels, Query};
use super::view::LogView;
use crate::model::Level;
use leptos::prelude::document;
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, HtmlInputElement};

/// The controls of one window.
#[derive(Clone)]
pub struct Controls {
    pane: &'static str,
    /// The whole window.
    pub section: HtmlElement,
}

impl Controls {
    /// Those of a pane, if it is on the page.
    pub fn find(pane: &'static str) -> Option<Self> {
        let section = document().get_element_by_id(&format!("{pane}-window"))?.dyn_into().ok()?;
        Some(Self { pane, section })
    }

    /// An element by its name.
    pub fn element(&self, name: &str) -> Option<HtmlElement> {
        document().get_element_by_id(&format!("{}-{name}", self.pane))?.dyn_into().ok()
    }

    /// What a field holds; select boxes are asked as inputs are.
    pub fn field(&self, name: &str) -> Option<HtmlInputElement> {
        self.element(name).map(JsCast::unchecked_into)
    }

    fn value(&self, name: &str) -> String {
        self.field(name).map(|field| field.value()).unwrap_or_default()
    }

    fn checked(&self, name: &str) -> bool {
        self.field(name).is_none_or(|field| field.checked())
    }

    /// What the server wrote on the window.
    pub fn said<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.section.get_attribute(&format!("data-{name}"))?.parse().ok()
    }

    /// Writes into a place.
    pub fn put(&self, name: &str, text: &str) {
        if let Some(place) = self.element(name) {
            place.set_text_content(Some(text));
        }
    }

    /// Presses a button, or lets go of it.
    pub fn press(&self, name: &str, pressed: bool) {
        if let Some(button) = self.element(name) {
            drop(button.set_attribute("aria-pressed", if pressed { "true" } else { "false" }));
        }
    }

    /// Turns a button over.
    pub fn turn(&self, name: &str) {
        self.press(name, !self.pressed(name));
    }

    fn pressed(&self, name: &str) -> bool {
        self.element(name).and_then(|b| b.get_attribute("aria-pressed")).as_deref() == Some("true")
    }

    /// The levels from the lowest one on that was chosen; all for `other`.
    pub fn choose_lowest(&self) {
        let Ok(lowest) = self.value("lowest").parse::<Level>() else { return };
        for level in Level::ALL {
            if let Some(field) = self.field(level.as_str()) {
                field.set_checked(above(lowest, level));
            }
        }
    }

    /// What is shown, as it is chosen now.
    pub fn filter(&self) -> Filter {
        let mut levels = Levels::ALL;
        for level in Level::ALL {
            levels = levels.with(level, self.checked(level.as_str()));
        }
        if let Some(field) = self.field("lowest") {
            let lowest = Level::ALL.into_iter().find(|lowest| {
                Level::ALL.into_iter().all(|level| levels.has(level) == above(*lowest, level))
            });
            field.set_value(lowest.map_or("", Level::as_str));
        }
        Filter {
            levels,
            streams: ["stdout", "stderr"].map(|name| self.checked(name)),
            probes: self.checked("probes"),
            only: self.pressed("only"),
            query: Query::new(&self.query()),
        }
    }

    /// What is searched for.
    pub fn query(&self) -> String {
        self.value("search")
    }

    /// How lines are shown, as it is chosen now.
    pub fn view(&self) -> LogView {
        let times = LogView::parse(&self.value("times")).times;
        let view = LogView {
            wrap: self.checked("wrap"),
            times,
            compact: self.checked("compact"),
            unfolded: !self.checked("fold"),
        };
        let class = format!("log-window {}", view.words(" "));
        if self.section.class_name() != class {
            self.section.set_class_name(&class);
        }
        view
    }
}

/// Whether a level is shown from the lowest one on; a line without a level only among all.
fn above(lowest: Level, level: Level) -> bool {
    lowest == Level::Other || (level >= lowest && level != Level::Other)
}
