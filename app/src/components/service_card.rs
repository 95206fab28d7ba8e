//! One service: its state in the first second, then what to do, then the values, then everything else on demand.

use super::controls::Controls;
use super::details::{Configuration, Details};
use super::icon;
use super::values::{Values, exact};
use crate::api::ApiError;
use crate::live::{Watched, World};
use crate::model::{Service, Setting, State, Timestamp};
use leptos::prelude::*;

/// The class of a state, for its colour.
const fn class(state: &State) -> &'static str {
    match state {
        State::Running { .. } => "state running",
        State::Stopped { .. } => "state stopped",
        State::Starting { .. } => "state starting",
        State::Stopping { .. } => "state stopping",
        State::Failed { .. } => "state failed",
        State::Unresponsive { .. } => "state attention",
        State::Unreachable { .. } => "state attention unreachable",
    }
}

/// Since when a state has been so, and whether it goes on by itself (and is therefore counted by the second).
const fn since(state: &State) -> Option<(Timestamp, bool)> {
    match state {
        State::Running { since }
        | State::Starting { since, .. }
        | State::Stopping { since }
        | State::Unresponsive { since } => Some((*since, true)),
        State::Stopped { since: Some(since), .. } => Some((*since, false)),
        State::Failed { failure } => Some((failure.at, false)),
        State::Stopped { since: None, .. } | State::Unreachable { .. } => None,
    }
}

/// The card.
#[component]
pub fn ServiceCard(
    world: World,
    watched: Watched,
    settings: Vec<Setting>,
    /// The title leads to the service's own page.
    #[prop(optional)]
    linked: bool,
) -> AnyView {
    let words = world.words;
    let Watched { name, service } = watched;
    let refusal = RwSignal::new(None::<ApiError>);
    let heading = format!("service-{name}");
    let title = {
        let (service, href) = (service.clone(), format!("/services/{name}"));
        move || {
            let title = service.with(|s| s.title.clone());
            if linked { view! { <a href=href.clone()>{title}</a> }.into_any() } else { title.into_any() }
        }
    };
    let flags = {
        let service = service.clone();
        Memo::new(move |_| service.with(|s| (s.demo, s.auto_start)))
    };
    let container_logs = format!("/api/services/{name}/container-logs");
    view! {
        <article class="card" aria-labelledby=heading>
            <h2 id=heading.clone()>{title}</h2>
            {move || flags.get().0.then(|| view! { <p class="demo">{words.demo}</p> })}
            <StateLine world=world service=service.clone()/>
            <Sentence world=world service=service.clone()/>
            <Controls world=world service=service.clone() refusal=refusal/>
            <div class="refusal" role="alert">{move || refusal.get().map(|error| (words.error)(&error))}</div>
            <Values world=world service=service.clone()/>
            <div class="card-row">
                <span class="switch-row">
                    <button
                        type="button"
                        class="switch"
                        role="switch"
                        aria-checked=move || if flags.get().1 { "true" } else { "false" }
                        aria-disabled="true"
                        aria-label=words.auto_start
                        title=words.auto_start_hint
                    >
                        <span class="knob"></span>
                    </button>
                    <span aria-hidden="true">{words.auto_start}</span>
                    <span class="quiet" aria-hidden="true">{move || if flags.get().1 { words.on } else { words.off }}</span>
                </span>
                <a href=container_logs target="_blank" rel="noopener">{words.container_logs}</a>
            </div>
            <Details world=world service=service/>
            <Configuration words=words settings=settings/>
        </article>
    }.into_any()
}

/// The state's word, its mark, and how long it has been so.
#[component]
fn StateLine(world: World, service: ArcRwSignal<Service>) -> AnyView {
    let words = world.words;
    let state = Memo::new(move |_| service.with(|s| s.state.clone()));
    let lasting = move || {
        state.with(since).map(|(moment, counted)| {
            let seconds = world.now.get().since(moment) / 1000;
            let text = if counted { (words.lasting)(seconds) } else { (words.ago)(seconds) };
            view! { <time datetime=moment.to_string() title=exact(moment)>{text}</time> }
        })
    };
    view! {
        <div class=move || state.with(class)>
            <p class="state-word" role="status" aria-live="off">
                <svg class="icon" viewBox="0 0 16 16" width="20" height="20" aria-hidden="true" focusable="false">
                    <path fill="currentColor" fill-rule="evenodd" d=move || state.with(icon::state_path)></path>
                </svg>
                <span>{move || state.with(words.state)}</span>
            </p>
            <p class="lasting">{lasting}</p>
        </div>
    }.into_any()
}

/// What the state means, what to do, and what shows it.
#[component]
fn Sentence(world: World, service: ArcRwSignal<Service>) -> AnyView {
    let words = world.words;
    let sentence = move || {
        service.with(|s| {
            let said = (words.sentence)(s);
            let bar = match &s.state {
                State::Starting { progress: Some(at), .. } if at.total > 0 => Some(
                    view! { <progress max=at.total.to_string() value=at.done.to_string() aria-label=(words.n_of_m)(at.done, at.total)></progress> },
                ),
                _ => None,
            };
            let evidence = match &s.state {
                State::Failed { failure } if !failure.evidence.is_empty() => Some(
                    view! { <pre class="evidence" aria-label=words.evidence tabindex="0">{failure.evidence.join("\n")}</pre> },
                ),
                _ => None,
            };
            let mut warnings = Vec::new();
            if let Some(holder) = &s.port_taken {
                let address = s.api_url.as_deref().unwrap_or_default();
                warnings.push((words.port_taken)(address, &(words.holder)(holder)));
            }
            if !s.remnants.is_empty() {
                warnings.push((words.remnants)(&s.remnants));
            }
            if s.container.as_ref().is_some_and(|c| c.auto_remove) {
                warnings.push(words.auto_remove.to_owned());
            }
            view! {
                <div class="sentence">
                    <p>{said.what}</p>
                    {bar}
                    {(!said.now.is_empty()).then(|| view! { <p class="now">{said.now.clone()}</p> })}
                    {evidence}
                    {warnings.into_iter().map(|text| view! { <p class="caution">{text}</p> }).collect_view()}
                </div>
            }
        })
    };
    sentence.into_any()
}
