//! Nothing lives at this address.

use crate::at;
use crate::live::World;
use leptos::prelude::*;

/// The page.
pub fn not_found(world: World) -> AnyView {
    let words = world.words;
    view! {
        <main class="not-found">
            <h2>{words.not_found}</h2>
            <p>{words.not_found_hint}</p>
            <p><a href=at("/")>{words.home}</a></p>
        </main>
    }
    .into_any()
}
