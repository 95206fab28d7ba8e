//! The pages, by route. Moving between them is ordinary navigation: the server renders each anew.

mod explain;
mod not_found;
mod services;

use crate::components::header::Header;
use crate::components::notices::Notices;
use crate::live::World;
use crate::{Boot, Route};
use leptos::prelude::*;

/// The page: what lives as long as the tab is made here, and the stream that keeps it true is opened here.
#[component]
pub fn App(boot: Boot) -> AnyView {
    let world = World::new(&boot);

    #[cfg(feature = "hydrate")]
    {
        let feed = crate::components::log::Feed::live(&boot);
        let version = boot.snapshot.server_version.clone();
        Effect::new(move |_| {
            if let Some(feed) = &feed {
                crate::components::log::attach(feed);
            }
            crate::live::begin_alerts(world);
            drop(crate::live::Stream::open(world, feed.clone(), version.clone()));
        });
    }

    let Boot { route, theme, links, refusal, log, parts, explained, .. } = boot;
    let logged = log.as_ref().map(|log| &log.service);
    let page = match route {
        Route::Services => services::services(world, logged, &parts, None),
        Route::Service { name } => services::services(world, logged, &parts, Some(name)),
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
