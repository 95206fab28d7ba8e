//! The Services page, compiled twice: on the server (`ssr`) and to WASM (`hydrate`).
//!
//! `model` are the wire types, `api` the server functions, `boot` what the first view is rendered from, `live` the one
//! stream of a tab, `wire` how the browser reads what comes, `pages` and `components` what is seen, `locales` all the words.

pub mod api;
mod base;
mod boot;
mod components;
#[cfg(feature = "hydrate")]
mod fetch;
mod live;
pub mod locales;
pub mod model;
mod pages;
#[cfg(feature = "ssr")]
pub mod parts;
#[cfg(feature = "ssr")]
mod shell;
#[cfg(test)]
#[cfg(feature = "ssr")]
mod tests;
#[cfg(any(feature = "hydrate", test))]
mod wire;

pub use base::{at, base, live_below};
pub use boot::{Boot, Parts, Route, Theme};
#[cfg(any(feature = "hydrate", feature = "ssr", test))]
pub use components::log::LogView;
pub use pages::App;
#[cfg(feature = "ssr")]
pub use shell::shell;

/// Takes over the page that the server rendered.
#[cfg(feature = "hydrate")]
pub fn hydrate() {
    let script = leptos::prelude::document().get_element_by_id("services-boot");
    live_below(&script.as_ref().and_then(|script| script.get_attribute("data-base")).unwrap_or_default());
    let boot = script.and_then(|script| script.text_content()).and_then(|json| wire::read::<Boot>(&json));
    // Without its boot data the page stays as the server rendered it: its forms work without us.
    if let Some(boot) = boot {
        leptos::mount::hydrate_body(move || leptos::view! { <App boot=boot/> });
    }
}
