//! What the page as a whole has to say: a new version, a refusal, changes for those who listen.

use crate::api::ApiError;
use crate::live::{Connection, World};
use leptos::prelude::*;

/// Above everything else.
#[component]
pub fn Notices(
    world: World,
    /// A refusal that a form without JavaScript met.
    refusal: Option<ApiError>,
) -> AnyView {
    let words = world.words;
    let stale = move || {
        matches!(world.connection.get(), Connection::Reconnecting | Connection::Lost).then(|| {
            let time = crate::locales::clock_of_day(
                world.heard.get().millis(),
                world.offset_minutes.get().unwrap_or(0),
            );
            view! { <p class="notice stale">{(words.as_of)(&time)}</p> }
        })
    };
    let outdated = move || {
        world.outdated.get().then(|| {
            view! {
                <div class="notice" role="status">
                    <span>{words.new_version}</span>
                    <button type="button" on:click=|_| reload()>{words.reload}</button>
                </div>
            }
        })
    };
    view! {
        <div class="notices">
            {refusal.map(|error| view! { <p class="notice refusal" role="alert">{(words.error)(&error)}</p> })}
            {outdated}
            {stale}
        </div>
        <div class="hidden" aria-live="polite">{move || world.announced.get()}</div>
    }.into_any()
}

fn reload() {
    #[cfg(feature = "hydrate")]
    drop(window().location().reload());
}
