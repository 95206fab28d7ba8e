//! Start, Stop, Restart, Adopt: plain forms, which the browser sends without leaving the page.

use super::dynamic::{nothing, part};
use super::icon::{Icon, icon};
use super::image::pull_button;
use crate::api::{self, ApiError};
use crate::at;
use crate::live::World;
use crate::model::{FailureKind, ImageVerb, Release, Service, State, Verb, Wish};
use leptos::prelude::*;
use server_fn::ServerFn;

/// Whether a button makes sense now. The supervisor takes every command; this is only for the eye.
pub fn makes_sense(service: &Service, verb: Verb) -> bool {
    match (&service.state, verb) {
        (State::Unreachable { .. }, _) => false,
        // What a run left behind can be ended.
        (State::Stopped { .. }, Verb::Stop) => {
            !service.remnants.is_empty() || matches!(service.release, Some(Release::Held { .. }))
        }
        (State::Stopped { .. }, verb) => verb == Verb::Start,
        (State::Starting { .. } | State::Running { .. } | State::Unresponsive { .. }, verb) => {
            verb != Verb::Start
        }
        // Start now means start afterwards; stop takes that back.
        (State::Stopping { .. }, Verb::Start) => service.wish == Wish::Stopped,
        (State::Stopping { .. }, Verb::Stop) => service.wish == Wish::Running,
        (State::Stopping { .. }, Verb::Restart) => false,
        (State::Failed { .. }, Verb::Start) => true,
        // What would start again by itself can be told not to.
        (State::Failed { .. }, Verb::Stop) if service.restarts.as_ref().is_some_and(|r| r.next.is_some()) => {
            true
        }
        (State::Failed { failure }, Verb::Stop | Verb::Restart) => {
            !service.remnants.is_empty() || failure.kind == FailureKind::WontStop
        }
    }
}

/// The three buttons of a service.
#[component]
pub fn Controls(world: World, service: ArcRwSignal<Service>, refusal: RwSignal<Option<ApiError>>) -> AnyView {
    let words = world.words;
    let pending = RwSignal::new(false);
    let name = service.with_untracked(|s| s.name.clone());
    let pull = pull_button(world, service.clone(), pending, refusal);
    let buttons = [
        (Verb::Start, "start", words.start, Icon::Play),
        (Verb::Stop, "stop", words.stop, Icon::Stop),
        (Verb::Restart, "restart", words.restart, Icon::Restart),
    ];
    let forms = buttons.map(move |(verb, code, label, mark)| {
        let service = service.clone();
        let idle = Signal::derive(move || pending.get() || !service.with(|s| makes_sense(s, verb)));
        view! {
            <Post
                address=api::Command::url()
                fields=[("service", name.to_string()), ("verb", code.to_owned())].into()
                class=code
                mark=mark
                label=label.to_owned()
                idle=idle
                pending=pending
                refusal=refusal
            />
        }
        .into_any()
    });
    view! { <div class="controls">{Vec::from(forms)}{pull}</div> }.into_any()
}

/// Why the last command was refused, if it was; where a confirmation is all that is missing, the button that gives it.
#[component]
pub fn Refusal(world: World, refusal: RwSignal<Option<ApiError>>) -> AnyView {
    let why = part(move || match refusal.get() {
        Some(error) => refused(world, &error, refusal),
        None => nothing(),
    });
    view! { <div class="refusal" role="alert">{why}</div> }.into_any()
}

/// A refusal in words, with its confirmation.
pub fn refused(world: World, error: &ApiError, refusal: RwSignal<Option<ApiError>>) -> AnyView {
    let words = world.words;
    let text = (words.error)(error);
    if let ApiError::ImageRequestsRunning { service, action, .. } = error {
        let (code, label) = match action {
            ImageVerb::Back => ("back", words.back_to_image),
            _ => ("renew", words.renew),
        };
        let fields =
            vec![("service", service.clone()), ("action", code.to_owned()), ("confirmed", "true".to_owned())];
        return confirm(world, text, api::ImageAction::url(), fields, Icon::Restart, label, refusal);
    }
    let (service, verb) = match error {
        ApiError::RequestsRunning { service, verb, .. } => (service.clone(), *verb),
        ApiError::WillNotFit { service, verb, .. } => (service.clone(), *verb),
        _ => return text.into_any(),
    };
    let (code, label, mark) = match verb {
        Verb::Start => ("start", words.start_anyway, Icon::Play),
        Verb::Stop => ("stop", words.stop_anyway, Icon::Stop),
        Verb::Restart => ("restart", words.restart_anyway, Icon::Restart),
    };
    let fields = vec![("service", service), ("verb", code.to_owned()), ("confirmed", "true".to_owned())];
    confirm(world, text, api::Command::url(), fields, mark, label, refusal)
}

/// What would happen, the button that does it all the same, and the one that does not.
fn confirm(
    world: World,
    text: String,
    address: &'static str,
    fields: Vec<(&'static str, String)>,
    mark: Icon,
    label: &'static str,
    refusal: RwSignal<Option<ApiError>>,
) -> AnyView {
    let words = world.words;
    let pending = RwSignal::new(false);
    view! {
        <div class="confirm">
            <p>{text}</p>
            <Post
                address=address
                fields=fields
                class="anyway"
                mark=mark
                label=label.to_owned()
                idle=pending.into()
                pending=pending
                refusal=refusal
            />
            <button type="button" on:click=move |_| refusal.set(None)>
                {words.cancel}
            </button>
        </div>
    }
    .into_any()
}

/// Takes a container as a service.
#[component]
pub fn Adopt(world: World, container: String, refusal: RwSignal<Option<ApiError>>) -> AnyView {
    let pending = RwSignal::new(false);
    view! {
        <Post
            address=api::Adopt::url()
            fields=[("container", container)].into()
            class="adopt"
            mark=Icon::Plus
            label=world.words.adopt.to_owned()
            idle=pending.into()
            pending=pending
            refusal=refusal
            reload=true
        />
    }
    .into_any()
}

/// A form of one button. While `idle` the button keeps its focus and does nothing, with and without JavaScript.
#[component]
pub fn Post(
    address: &'static str,
    fields: Vec<(&'static str, String)>,
    class: &'static str,
    mark: Icon,
    label: String,
    idle: Signal<bool>,
    pending: RwSignal<bool>,
    refusal: RwSignal<Option<ApiError>>,
    /// Loads the page again after success: what it shows besides the stream has changed.
    #[prop(optional)]
    reload: bool,
) -> AnyView {
    let inputs: Vec<_> = fields
        .iter()
        .map(|(name, value)| view! { <input type="hidden" name=*name value=value.clone()/> }.into_any())
        .collect();
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if !idle.get_untracked() {
            send(address, &fields, pending, refusal, reload);
        }
    };
    view! {
        <form method="post" action=at(address) on:submit=submit>
            {inputs}
            <button
                type=move || if idle.get() { "button" } else { "submit" }
                class=class
                aria-disabled=move || if idle.get() { "true" } else { "false" }
            >
                {icon(mark)}
                {label}
            </button>
        </form>
    }
    .into_any()
}

/// Sends the form and keeps what was refused.
#[cfg(feature = "hydrate")]
pub fn send(
    address: &'static str,
    fields: &[(&'static str, String)],
    pending: RwSignal<bool>,
    refusal: RwSignal<Option<ApiError>>,
    reload: bool,
) {
    let mut body = String::new();
    for (name, value) in fields {
        let value = String::from(js_sys::encode_uri_component(value));
        body.push_str(&format!("{}{name}={value}", if body.is_empty() { "" } else { "&" }));
    }
    pending.set(true);
    leptos::task::spawn_local(async move {
        let error = match crate::fetch::post(&at(address), &body).await {
            Ok((true, _)) => None,
            Ok((false, body)) => {
                Some(crate::wire::read(&body).unwrap_or(ApiError::Transport { detail: short(&body) }))
            }
            Err(detail) => Some(ApiError::Transport { detail }),
        };
        if reload && error.is_none() {
            drop(window().location().reload());
        }
        refusal.try_set(error);
        pending.try_set(false);
    });
}

/// The beginning of an answer that is not ours (a proxy's page, say).
#[cfg(feature = "hydrate")]
fn short(body: &str) -> String {
    body.chars().take(200).collect()
}

/// Nothing is sent while the server renders.
#[cfg(not(feature = "hydrate"))]
pub fn send(
    _: &'static str,
    _: &[(&'static str, String)],
    _: RwSignal<bool>,
    _: RwSignal<Option<ApiError>>,
    _: bool,
) {
}
