//! What the page as a whole has to say: a new version, a refusal, changes for those who listen.

use super::controls::refused;
use super::dynamic::{nothing, part, text};
use crate::api::ApiError;
use crate::live::World;
use leptos::prelude::*;

/// Above everything else.
#[component]
pub fn Notices(
    world: World,
    /// A refusal that a form without JavaScript met.
    refusal: Option<ApiError>,
) -> AnyView {
    let words = world.words;
    let outdated = part(move || {
        if !world.outdated.get() {
            return nothing();
        }
        view! {
            <div class="notice" role="status">
                <span>{words.new_version}</span>
                <button type="button" on:click=|_| reload()>
                    {words.reload}
                </button>
            </div>
        }
        .into_any()
    });
    let logs = part(move || {
        let trouble = world.host.with(|host| host.log_trouble.as_ref().map(|it| (words.log_trouble)(it)));
        trouble.map_or_else(nothing, |it| view! { <div class="notice" role="status">{it}</div> }.into_any())
    });
    let refusal = refusal.map_or_else(nothing, |error| {
        let why = refused(world, &error, RwSignal::new(None));
        view! { <div class="notice refusal" role="alert">{why}</div> }.into_any()
    });
    view! {
        <div class="notices">
            {refusal}
            {outdated}
            {logs}
        </div>
        <div class="hidden" aria-live="polite">{text(move || world.announced.get())}</div>
    }
    .into_any()
}

fn reload() {
    #[cfg(feature = "hydrate")]
    drop(window().location().reload());
}
