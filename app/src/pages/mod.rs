//! The pages, by route. Moving between them is ordinary navigation: the server renders each anew.

mod explain;
mod not_found;
mod services;

use crate::components::header::Header;
use crate::components::log::Log;
use crate::components::notices::Notices;
use crate::live::World;
use crate::{Boot, Route};
use leptos::prelude::*;

/// The page: what lives as long as the tab is made here, and the stream that keeps it true is opened here.
#[component]
pub fn App(boot: Boot) -> AnyView {
    let world = World::new(&boot);
    let log = Log::new(&boot);

    #[cfg(feature = "hydrate")]
    {
        let log = log.clone();
        let version = boot.snapshot.server_version.clone();
        Effect::new(move |_| {
            if let Some(log) = &log {
                log.attach();
            }
            let feed = log.as_ref().and_then(Log::feed);
            drop(crate::live::Stream::open(world, feed, version.clone()));
        });
    }

    let Boot { route, theme, links, refusal, tail, parts, explained, .. } = boot;
    let page = match route {
        Route::Services => services::services(world, log, tail, &parts, None),
        Route::Service { name } => services::services(world, log, tail, &parts, Some(name)),
        Route::Explain => explain::explain(world, explained),
        Route::NotFound => not_found::not_found(world),
    };
    view! {
        <Header world=world theme=theme links=links/>
        <Notices world=world refusal=refusal/>
        {page}
    }
    .into_any()
}
