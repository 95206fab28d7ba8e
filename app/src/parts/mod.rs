//! Parts of the page that the server alone writes: forms and tables that the browser shows without code of its own.
//!
//! In: views made by the server from what it knows. Out: HTML, escaped by the renderer. Plain forms: they work without
//! JavaScript, and with it are sent by `components::part`. Their words are in `locales` and never travel as WASM.

mod images;
mod logs;
mod models;
mod settings;
pub mod view;

use crate::locales::Lang;
use leptos::prelude::*;
use view::{CheckedView, ImagesView, LogsView, ModelsView, SettingsView};

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

/// The log windows.
pub fn logs(view: &LogsView, lang: Lang) -> String {
    written(logs::windows(view, lang))
}

fn written(view: AnyView) -> String {
    // Without the marks that hydration looks for: nothing here is hydrated.
    view.to_html().replace("<!>", "")
}
