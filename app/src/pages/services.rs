//! All services, or one of them: cards at one side, the log window over the rest.

use crate::components::log::{Log, LogWindow};
use crate::components::machine::{Found, Gpus};
use crate::components::service_card::ServiceCard;
use crate::live::World;
use crate::model::{Line, ServiceName, Setting};
use leptos::prelude::*;

/// The page of all services, or `only` of one.
pub fn services(
    world: World,
    log: Option<Log>,
    tail: Vec<Line>,
    settings: Vec<(ServiceName, Vec<Setting>)>,
    only: Option<ServiceName>,
) -> AnyView {
    let words = world.words;
    let back = only.is_some();
    let nothing = if back { words.gone } else { words.no_services };
    // Only a service that comes or goes makes new cards; what changes in one is its own business.
    let names = Memo::new(move |_| {
        let all = world.services.get().into_iter().map(|w| w.name);
        all.filter(|name| only.as_ref().is_none_or(|only| only == name)).collect::<Vec<_>>()
    });
    let cards = move || {
        let shown = names.get();
        let linked = !back && shown.len() > 1;
        if shown.is_empty() {
            return view! { <p class="panel">{nothing}</p> }.into_any();
        }
        let all = world.services.get_untracked();
        let cards = all.into_iter().filter(|w| shown.contains(&w.name)).map(|watched| {
            let settings = settings
                .iter()
                .find(|(name, _)| *name == watched.name)
                .map(|(_, s)| s.clone())
                .unwrap_or_default();
            view! { <ServiceCard world=world watched=watched settings=settings linked=linked/> }
        });
        cards.collect_view().into_any()
    };
    let log = log.map(|log| view! { <LogWindow log=log world=world tail=tail/> });
    view! {
        <main class="services">
            <div class="side">
                {back.then(|| view! { <p class="back"><a href="/">{words.home}</a></p> })}
                {cards}
                <Gpus world=world/>
                <Found world=world/>
            </div>
            {log}
        </main>
    }
    .into_any()
}
