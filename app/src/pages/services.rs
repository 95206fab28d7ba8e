//! All services, or one of them: cards at one side, the log window over the rest.

use crate::Parts;
use crate::at;
use crate::components::dynamic::{nothing, part};
use crate::components::machine::{Found, Gpus};
use crate::components::part::Part;
use crate::components::service_card::ServiceCard;
use crate::live::{Watched, World};
use crate::model::{ServiceKind, ServiceName, State};
use leptos::prelude::*;

/// The page of all services, or `only` of one.
pub fn services(
    world: World,
    logged: Option<&ServiceName>,
    parts: &Parts,
    only: Option<ServiceName>,
) -> AnyView {
    let words = world.words;
    let back = only
        .as_ref()
        .map_or_else(nothing, |_| view! { <p class="back"><a href=at("/")>{words.home}</a></p> }.into_any());
    let main = world.services.with_untracked(|all| {
        all.iter().find(|w| w.service.with_untracked(|s| s.kind == ServiceKind::Vllm)).cloned()
    });
    let main_name = main.as_ref().map(|watched| watched.name.clone());
    let settings = main.as_ref().map_or_else(nothing, |watched| {
        let id = format!("settings/{}", watched.name);
        let (html, service) = (parts.html(&id), watched.service.clone());
        let fresh = Memo::new(move |_| service.with(|s| u64::from(s.settings_revision)));
        view! { <div id="configuration"><Part id=id html=html fresh=fresh/></div> }.into_any()
    });
    let models = main.map_or_else(nothing, |watched| {
        let id = format!("models/{}", watched.name);
        let html = parts.html(&id);
        // What fits changes with what runs, what is set, and what others hold.
        let fresh = Memo::new(move |_| {
            let state =
                watched.service.with(|s| u64::from(s.settings_revision) * 2 + u64::from(s.started.is_some()));
            let used: u64 =
                world.gpus.with(|all| all.iter().map(|g| 1000 + (g.memory_used_bytes >> 30)).sum());
            state * 100_000 + used
        });
        view! { <Part id=id html=html fresh=fresh/> }.into_any()
    });
    let images = {
        let html = parts.html("images");
        let fresh = Memo::new(move |_| world.host.with(|host| u64::from(host.images_revision)));
        view! { <Part id="images".to_owned() html=html fresh=fresh/> }.into_any()
    };
    let notify = {
        let html = parts.html("notify");
        view! { <Part id="notify".to_owned() html=html fresh=Signal::stored(0)/> }.into_any()
    };
    let runs = logged.map_or_else(nothing, |logged| {
        let runs_id = format!("runs/{logged}");
        let (html, name) = (parts.html(&runs_id), logged.clone());
        // A run begins, becomes ready, ends, or its cause is found.
        let fresh = Memo::new(move |_| {
            let found = world.services.with(|all| all.iter().find(|w| w.name == name).cloned());
            found.map_or(0, |w| w.service.with(|s| s.run.unwrap_or(0) * 16 + step(&s.state)))
        });
        // Only vLLM's log tells of requests. They are read when somebody asks: nothing makes them old.
        let id = format!("requests/{logged}");
        let asked = parts.html(&id);
        let told = world.services.with_untracked(|all| {
            let of_vllm = |w: &&Watched| w.service.with_untracked(|s| s.kind == ServiceKind::Vllm);
            all.iter().filter(of_vllm).any(|w| w.name == *logged)
        });
        let requests = if told {
            view! { <Part id=id html=asked fresh=Signal::stored(0)/> }.into_any()
        } else {
            nothing()
        };
        view! { <div class="runs-place"><Part id=runs_id html=html fresh=fresh/> {requests}</div> }.into_any()
    });
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
        let cards: Vec<_> = shown
            .into_iter()
            .map(|watched| {
                let here = main_name.as_ref() == Some(&watched.name);
                view! { <ServiceCard world=world watched=watched settings_here=here linked=linked/> }
                    .into_any()
            })
            .collect();
        cards.into_any()
    });
    let logs = if logged.is_some() {
        // The server writes them; what lives in them is brought to life when the page is.
        view! { <div class="logs" inner_html=parts.html("logs")></div> }.into_any()
    } else {
        nothing()
    };
    view! {
        <main class="services">
            <div class="side">
                {back}
                {cards}
                <Gpus world=world/>
                <Found world=world/>
                <p class="explain-link"><a href=at("/explain")>{words.explain}</a></p>
            </div>
            {logs}
            <div class="below">
                {runs}
                {settings}
                <div class="tables">{models} {images} {notify}</div>
            </div>
        </main>
    }
    .into_any()
}

/// How far a run is, as far as the list of runs shows it.
fn step(state: &State) -> u64 {
    match state {
        State::Stopped { .. } => 1,
        State::Running { .. } => 2,
        State::Failed { failure } => 3 + u64::from(failure.diagnosis.is_some()),
        _ => 0,
    }
}
