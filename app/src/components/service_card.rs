//! One service: its state in the first second, then what to do, then the values, then everything else on demand.

use super::controls::{Controls, Refusal, send};
use super::details::{Details, Upkeep};
use super::dynamic::{nothing, part, text};
use super::failure::{evidence, remedies};
use super::icon;
use super::image::ServiceImage;
use super::metrics::Metrics;
use super::plan::Plan;
use super::smoke::SmokeTest;
use super::start::{StartProgress, left};
use super::values::{Values, exact};
use crate::api::{self, ApiError};
use crate::at;
use crate::live::{Watched, World};
use crate::locales::{Said, Words};
use crate::model::{Cause, FailureKind, Release, Service, ServiceKind, State, Timestamp};
use leptos::prelude::*;
use server_fn::ServerFn;

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
    /// The form of its settings is on this page.
    settings_here: bool,
    /// The title leads to the service's own page.
    #[prop(optional)]
    linked: bool,
) -> AnyView {
    let words = world.words;
    let Watched { name, service } = watched;
    let refusal = RwSignal::new(None::<ApiError>);
    {
        // What was refused belongs to the state in which it was asked.
        let service = service.clone();
        Effect::new(move |before: Option<std::mem::Discriminant<State>>| {
            let now = service.with(|s| std::mem::discriminant(&s.state));
            if before.is_some_and(|before| before != now) {
                refusal.set(None);
            }
            now
        });
    }
    let service_kind = service.with_untracked(|s| s.kind);
    let heading = format!("service-{name}");
    let title = {
        let service = service.clone();
        text(move || service.with(|s| s.title.clone()))
    };
    let title =
        if linked { view! { <a href=at(format!("/services/{name}"))>{title}</a> }.into_any() } else { title };
    let demo = {
        let service = service.clone();
        part(move || {
            if service.with(|s| s.demo) {
                view! { <p class="demo">{words.demo}</p> }.into_any()
            } else {
                nothing()
            }
        })
    };
    // Only vLLM has settings in the page; other services are as services.toml lists them.
    let configuration = match (service_kind, settings_here) {
        (ServiceKind::Other, _) => nothing(),
        (ServiceKind::Vllm, true) => view! { <a href="#configuration">{words.configuration}</a> }.into_any(),
        (ServiceKind::Vllm, false) => {
            let address = at(format!("/services/{name}#configuration"));
            view! { <a href=address>{words.configuration}</a> }.into_any()
        }
    };
    let container_logs = at(format!("/api/services/{name}/container-logs"));
    view! {
        <article class="card" aria-labelledby=heading>
            <h2 id=heading.clone()>{title}</h2>
            {demo}
            <StateLine world=world service=service.clone()/>
            <Sentence world=world service=service.clone() refusal=refusal/>
            <StartProgress world=world service=service.clone()/>
            <Plan world=world service=service.clone()/>
            <Controls world=world service=service.clone() refusal=refusal/>
            <Refusal world=world refusal=refusal/>
            <ServiceImage world=world service=service.clone() refusal=refusal/>
            <Values world=world service=service.clone()/>
            <SmokeTest world=world service=service.clone() refusal=refusal/>
            <Metrics world=world service=service.clone()/>
            <div class="card-row">
                <AutoStart words=words service=service.clone() refusal=refusal/>
                {configuration}
                <a href=container_logs target="_blank" rel="noopener">
                    {words.container_logs}
                </a>
            </div>
            <Upkeep world=world service=service.clone() refusal=refusal/>
            <Details words=words service=service/>
        </article>
    }
    .into_any()
}

/// The state's word, its mark, and how long it has been so.
#[component]
fn StateLine(world: World, service: ArcRwSignal<Service>) -> AnyView {
    let words = world.words;
    let (for_class, for_mark, for_word) = (service.clone(), service.clone(), service.clone());
    let lasting = part(move || {
        let Some((moment, counted)) = service.with(|s| since(&s.state)) else { return nothing() };
        let seconds = world.now.get().since(moment) / 1000;
        let text = if counted { (words.lasting)(seconds) } else { (words.ago)(seconds) };
        view! { <time datetime=moment.to_string() title=exact(moment)>{text}</time> }.into_any()
    });
    view! {
        <div class=move || for_class.with(|s| class(&s.state))>
            <p class="state-word" role="status" aria-live="off">
                <svg class="icon" viewBox="0 0 16 16" width="20" height="20" aria-hidden="true" focusable="false">
                    <path
                        fill="currentColor"
                        fill-rule="evenodd"
                        d=move || for_mark.with(|s| icon::state_path(&s.state))
                    ></path>
                </svg>
                <span>{text(move || for_word.with(|s| (words.state)(&s.state).to_owned()))}</span>
            </p>
            <p class="lasting">{lasting}</p>
        </div>
    }
    .into_any()
}

/// What the state means, what to do, and what shows it.
#[component]
fn Sentence(world: World, service: ArcRwSignal<Service>, refusal: RwSignal<Option<ApiError>>) -> AnyView {
    part(move || service.with(|s| sentence(world, &service, s, refusal)))
}

fn sentence(
    world: World,
    signal: &ArcRwSignal<Service>,
    service: &Service,
    refusal: RwSignal<Option<ApiError>>,
) -> AnyView {
    let words = world.words;
    let mut said = (words.sentence)(service);
    let diagnosis = match &service.state {
        State::Failed { failure } => failure.diagnosis.as_ref(),
        _ => None,
    };
    let by_log = matches!(
        &service.state,
        State::Failed { failure } if matches!(failure.kind, FailureKind::Exited { .. } | FailureKind::Refused { .. })
    );
    if let Some(proved) = diagnosis.filter(|d| by_log && d.cause != Cause::Unknown) {
        // The cause comes first; how it ended is told after it.
        said = Said { what: (words.cause)(proved), now: said.what };
    }
    let left = left(world, signal.clone());
    let mut parts = vec![view! { <p class="what">{said.what}{left}</p> }.into_any()];
    if let State::Starting { progress: Some(at), .. } = &service.state {
        let (done, total) = (at.done.to_string(), at.total.max(1).to_string());
        let label = (words.n_of_m)(at.done, at.total);
        parts.push(view! { <progress max=total value=done aria-label=label></progress> }.into_any());
    }
    if !said.now.is_empty() {
        parts.push(paragraph("now", said.now));
    }
    if let Some(restarts) = service.restarts.clone().filter(|_| matches!(service.state, State::Failed { .. }))
    {
        let resets = restarts.resets.filter(|_| restarts.next.is_none());
        let text = part(move || {
            let left = restarts.next.map(|at| at.since(world.now.get()).div_ceil(1000));
            (words.restarts)(&restarts, left).into_any()
        });
        let resets = resets.map(|at| format!(" {}", (words.budget_resets)(&exact(at))));
        parts.push(view! { <p class="now">{text}{resets}</p> }.into_any());
    }
    if let (Some(why), State::Unresponsive { .. } | State::Starting { .. }) =
        (&service.unhealthy, &service.state)
    {
        parts.push(paragraph("caution", (words.unhealthy)(why)));
    }
    if let Some(diagnosis) = diagnosis {
        parts.push(evidence(words.evidence, &diagnosis.evidence));
        parts.push(remedies(world, diagnosis, Some(service), refusal));
    }
    if let Some(holder) = &service.port_taken {
        let address = service.api_url.as_deref().unwrap_or_default();
        parts.push(paragraph("caution", (words.port_taken)(address, &(words.holder)(holder))));
    }
    if !service.remnants.is_empty() {
        parts.push(paragraph("caution", (words.remnants)(&service.remnants)));
    }
    match &service.release {
        Some(Release::Back { freed_bytes }) if *freed_bytes > 0 => {
            parts.push(paragraph("now", (words.memory_back)(*freed_bytes)));
        }
        Some(Release::Held { by, .. }) if service.remnants.is_empty() => {
            parts.push(paragraph("caution", (words.memory_held)(by)));
        }
        _ => {}
    }
    if service.container.as_ref().is_some_and(|c| c.auto_remove) {
        parts.push(paragraph("caution", words.auto_remove.to_owned()));
    }
    view! { <div class="sentence">{parts}</div> }.into_any()
}

fn paragraph(class: &'static str, text: String) -> AnyView {
    view! { <p class=class>{text}</p> }.into_any()
}

/// Whether the service is started with the dashboard and after a failure: a switch, which is a form.
#[component]
fn AutoStart(
    words: &'static Words,
    service: ArcRwSignal<Service>,
    refusal: RwSignal<Option<ApiError>>,
) -> AnyView {
    let (state, for_value, for_submit, for_fixed) =
        (service.clone(), service.clone(), service.clone(), service.clone());
    let name = service.with_untracked(|s| s.name.to_string());
    let pending = RwSignal::new(false);
    let for_name = name.clone();
    let fixed = Signal::derive(move || for_fixed.with(|s| s.auto_start_fixed));
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if !pending.get_untracked() && !fixed.get_untracked() {
            let on = !for_submit.with_untracked(|s| s.auto_start);
            let fields = [("service", name.clone()), ("on", on.to_string())];
            send(api::AutoStart::url(), &fields, pending, refusal, false);
        }
    };
    view! {
        <form class="switch-row" method="post" action=at(api::AutoStart::url()) on:submit=submit>
            <input type="hidden" name="service" value=for_name/>
            <input
                type="hidden"
                name="on"
                value=move || if for_value.with(|s| s.auto_start) { "false" } else { "true" }
            />
            <button
                type=move || if fixed.get() { "button" } else { "submit" }
                class="switch"
                role="switch"
                aria-checked=move || if service.with(|s| s.auto_start) { "true" } else { "false" }
                aria-disabled=move || if fixed.get() { "true" } else { "false" }
                aria-label=words.auto_start
                title=move || if fixed.get() { words.auto_start_fixed } else { words.auto_start_hint }
            >
                <span class="knob"></span>
            </button>
            <span aria-hidden="true">{words.auto_start}</span>
            <span class="quiet" aria-hidden="true">
                {text(move || if state.with(|s| s.auto_start) { words.on } else { words.off }.to_owned())}
            </span>
        </form>
    }
    .into_any()
}
