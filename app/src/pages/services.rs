//! All services, or one of them: cards at one side, the log window over the rest.

use crate::components::dynamic::{nothing, part};
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
    let back = only
        .as_ref()
        .map_or_else(nothing, |_| view! { <p class="back"><a href="/">{words.home}</a></p> }.into_any());
    let cards = part(move || {
        let mut shown = world.services.get();
        let linked = only.is_none() && shown.len() > 1;
        if let Some(only) = &only {
            shown.retain(|watched| watched.name == *only);
        }
        if shown.is_empty() {
            let why = if only.is_some() { words.gone } else { words.no_services };
            return view! { <p class="panel">{why}</p> }.into_any();
        }
        let settings_of =
            |name: &ServiceName| settings.iter().find(|(of, _)| of == name).map(|(_, all)| all.clone());
        let cards: Vec<_> = shown
            .into_iter()
            .map(|watched| {
                let settings = settings_of(&watched.name).unwrap_or_default();
                view! { <ServiceCard world=world watched=watched settings=settings linked=linked/> }
                    .into_any()
            })
            .collect();
        cards.into_any()
    });
    let log = log.map_or_else(nothing, |log| view! { <LogWindow log=log world=world tail=tail/> }.into_any());
    view! {
        <main class="services">
            <div class="side">
                {back}
                {cards}
                <Gpus world=world/>
                <Found world=world/>
                <p class="explain-link"><a href="/explain">{words.explain}</a></p>
            </div>
            {log}
        </main>
    }
    .into_any()
}
