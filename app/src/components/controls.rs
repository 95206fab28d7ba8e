//! Start, Stop, Restart, Adopt: plain forms, which the browser sends without leaving the page.

use super::icon::{Icon, icon};
use crate::api::{self, ApiError};
use crate::live::World;
use crate::model::{FailureKind, Service, State, Verb, Wish};
use leptos::prelude::*;
use server_fn::ServerFn;

/// Whether a button makes sense now. The supervisor takes every command; this is only for the eye.
pub fn makes_sense(service: &Service, verb: Verb) -> bool {
    match (&service.state, verb) {
        (State::Unreachable { .. }, _) => false,
        (State::Stopped { .. }, verb) => verb == Verb::Start,
        (State::Starting { .. } | State::Running { .. } | State::Unresponsive { .. }, verb) => {
            verb != Verb::Start
        }
        // Start now means start afterwards; stop takes that back.
        (State::Stopping { .. }, Verb::Start) => service.wish == Wish::Stopped,
        (State::Stopping { .. }, Verb::Stop) => service.wish == Wish::Running,
        (State::Stopping { .. }, Verb::Restart) => false,
        (State::Failed { .. }, Verb::Start) => true,
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
                label=label
                idle=idle
                pending=pending
                refusal=refusal
            />
        }
        .into_any()
    });
    view! { <div class="controls">{Vec::from(forms)}</div> }.into_any()
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
            label=world.words.adopt
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
fn Post(
    address: &'static str,
    fields: Vec<(&'static str, String)>,
    class: &'static str,
    mark: Icon,
    label: &'static str,
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
        <form method="post" action=address on:submit=submit>
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
fn send(
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
        let error = match crate::fetch::post(address, &body).await {
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
fn send(
    _: &'static str,
    _: &[(&'static str, String)],
    _: RwSignal<bool>,
    _: RwSignal<Option<ApiError>>,
    _: bool,
) {
}
