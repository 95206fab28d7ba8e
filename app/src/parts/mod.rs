//! Parts of the page that the server alone writes: forms and tables that the browser shows without code of its own.
//!
//! In: views made by the server from what it knows. Out: HTML, escaped by the renderer. Plain forms: they work without
//! JavaScript, and with it are sent by `components::part`. Their words are in `locales` and never travel as WASM.

pub mod access;
mod images;
mod logs;
mod models;
mod notify;
mod requests;
mod runs;
mod search;
mod settings;
pub mod view;

use crate::Theme;
use crate::locales::Lang;
use leptos::prelude::*;
pub(crate) use settings::moment;
use view::{
    CheckedView, FarView, HitView, ImagesView, LogsView, ModelsView, NotifyView, RequestsView, RunsView,
    SearchView, SettingsView,
};

/// The form of a service's settings.
pub fn settings(view: &SettingsView, lang: Lang) -> String {
    written(settings::form(view, lang))
}

/// What a form that is being written in comes to.
pub fn checked(view: &CheckedView, lang: Lang) -> String {
    written(settings::checked(view, lang))
}

/// The table of models.
pub fn models(view: &ModelsView, lang: Lang) -> String {
    written(models::table(view, lang))
}

/// The table of images.
pub fn images(view: &ImagesView, lang: Lang) -> String {
    written(images::table(view, lang))
}

/// Who is told when something happens.
pub fn notify(view: &NotifyView, lang: Lang) -> String {
    written(notify::table(view, lang))
}

/// The beginning of the page Search: its head and its form. What is found follows in pieces.
pub fn search_top(view: &SearchView, theme: Theme, lang: Lang) -> String {
    let (language, theme_word) = (lang.code(), theme.as_str());
    let top = written(search::top(view, theme, lang));
    format!(
        "<!DOCTYPE html><html lang=\"{language}\" data-theme=\"{theme_word}\">{top}<main class=\"search-page\">"
    )
}

/// A line that a search found.
pub fn search_hit(view: &HitView, lang: Lang) -> String {
    written(search::hit(view, lang))
}

/// How far a search is.
pub fn search_far(view: &FarView, lang: Lang) -> String {
    written(search::far(view, lang))
}

/// The end of the page Search.
pub const SEARCH_END: &str = "</main></html>";

/// The runs of a service.
pub fn runs(view: &RunsView, lang: Lang) -> String {
    written(runs::list(view, lang))
}

/// The requests of a run.
pub fn requests(view: &RequestsView, lang: Lang) -> String {
    written(requests::table(view, lang))
}

/// The log windows.
pub fn logs(view: &LogsView, lang: Lang) -> String {
    written(logs::windows(view, lang))
}

fn written(view: AnyView) -> String {
    // Without the marks that hydration looks for: nothing here is hydrated.
    view.to_html().replace("<!>", "")
}
