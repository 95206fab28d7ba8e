//! The image of a service: a pull to watch and cancel, whether the registry has a newer one, the way to it and back.

use super::controls::Post;
use super::dynamic::{nothing, part};
use super::icon::Icon;
use crate::api::{self, ApiError};
use crate::live::World;
use crate::model::{Image, Newer, Pull, PullState, Service};
use leptos::prelude::*;
use server_fn::ServerFn;

/// The object of the image that this service's Pull fetches.
fn image_of(world: World, service: &ArcRwSignal<Service>) -> Option<Image> {
    let reference = service.with(|s| s.pulls.clone())?;
    world.images.with(|all| all.iter().find(|i| i.reference == reference).cloned())
}

/// A button about the image.
fn button(
    name: &str,
    action: &'static str,
    mark: Icon,
    label: &'static str,
    idle: Signal<bool>,
    pending: RwSignal<bool>,
    refusal: RwSignal<Option<ApiError>>,
) -> AnyView {
    view! {
        <Post
            address=api::ImageAction::url()
            fields=[("service", name.to_owned()), ("action", action.to_owned())].into()
            class=action
            mark=mark
            label=label.to_owned()
            idle=idle
            pending=pending
            refusal=refusal
        />
    }
    .into_any()
}

/// The button that fetches the image; nothing for a service without one.
pub fn pull_button(
    world: World,
    service: ArcRwSignal<Service>,
    pending: RwSignal<bool>,
    refusal: RwSignal<Option<ApiError>>,
) -> AnyView {
    let name = service.with_untracked(|s| s.name.to_string());
    let has = Memo::new({
        let service = service.clone();
        move |_| service.with(|s| s.pulls.is_some())
    });
    part(move || {
        if !has.get() {
            return nothing();
        }
        let service = service.clone();
        let idle = Signal::derive(move || {
            let pulls =
                image_of(world, &service).and_then(|i| i.pull).is_some_and(|p| p.state == PullState::Running);
            pending.get() || pulls
        });
        button(&name, "pull", Icon::Download, world.words.pull_image, idle, pending, refusal)
    })
}

/// Everything about the image beside that button.
#[component]
pub fn ServiceImage(
    world: World,
    service: ArcRwSignal<Service>,
    refusal: RwSignal<Option<ApiError>>,
) -> AnyView {
    let name = service.with_untracked(|s| s.name.to_string());
    let pending = RwSignal::new(false);
    let (for_pull, for_progress, for_rest) = (service.clone(), service.clone(), service);
    let runs = Memo::new(move |_| {
        image_of(world, &for_pull).and_then(|i| i.pull).map(|p| p.state == PullState::Running)
    });
    let for_name = name.clone();
    // The disclosure of the layers must survive each new count: it is made once for each pull.
    let progress = part(move || match runs.get() {
        None => nothing(),
        Some(true) => running(world, &for_name, for_progress.clone(), pending, refusal),
        Some(false) => {
            let over = image_of(world, &for_progress).and_then(|i| i.pull);
            over.map_or_else(nothing, |pull| outcome(world, &pull))
        }
    });
    let rest = part(move || {
        let Some(image) = image_of(world, &for_rest) else { return nothing() };
        for_rest.with(|s| rest(world, &name, s, &image, pending, refusal))
    });
    view! { <div class="image">{progress}{rest}</div> }.into_any()
}

fn running(
    world: World,
    name: &str,
    service: ArcRwSignal<Service>,
    pending: RwSignal<bool>,
    refusal: RwSignal<Option<ApiError>>,
) -> AnyView {
    let words = world.words;
    let (for_bar, for_layers) = (service.clone(), service);
    let pull = move |service: &ArcRwSignal<Service>| image_of(world, service).and_then(|i| i.pull);
    let bar = part(move || {
        let Some(pull) = pull(&for_bar) else { return nothing() };
        let text = (words.pull_progress)(&pull);
        let known = pull.total_bytes > 0 && pull.unknown_layers == 0;
        let bar = if known {
            let (total, done) = (pull.total_bytes.to_string(), pull.done_bytes.to_string());
            view! { <progress aria-label=words.pull max=total value=done></progress> }.into_any()
        } else {
            view! { <progress aria-label=words.pull></progress> }.into_any()
        };
        view! {
            {bar}
            <p class="pull-line">{text}</p>
        }
        .into_any()
    });
    let layers = part(move || {
        let rows: Vec<_> = pull(&for_layers)
            .map(|p| p.layers)
            .unwrap_or_default()
            .iter()
            .map(|layer| {
                let bytes = layer.total_bytes.map(|total| (words.bytes_of)(layer.done_bytes, total));
                view! {
                    <li>
                        <span class="mono">{layer.id.clone()}</span>
                        <span>{(words.layer_stage)(layer.stage)}</span>
                        <span class="quiet">{bytes}</span>
                    </li>
                }
                .into_any()
            })
            .collect();
        view! { <ul class="layers">{rows}</ul> }.into_any()
    });
    view! {
        <div class="pull">
            {bar}
            <details>
                <summary>{words.layers}</summary>
                {layers}
            </details>
            {button(name, "cancel", Icon::Stop, words.cancel_pull, pending.into(), pending, refusal)}
        </div>
    }
    .into_any()
}

fn outcome(world: World, pull: &Pull) -> AnyView {
    let words = world.words;
    let said = (words.pull_outcome)(&pull.state);
    let class = match pull.state {
        PullState::Done { .. } | PullState::Cancelled { .. } | PullState::Running => "quiet",
        PullState::Failed { .. } | PullState::Interrupted => "caution",
    };
    let at = match pull.state {
        PullState::Done { at, .. } | PullState::Failed { at, .. } | PullState::Cancelled { at } => at,
        PullState::Running | PullState::Interrupted => pull.started,
    };
    let ago = part(move || (words.ago)(world.now.get().since(at) / 1000).into_any());
    view! {
        <p class=class>
            {said.what} " " {said.now} " "
            <time class="quiet" datetime=at.to_string() title=super::values::exact(at)>
                {ago}
            </time>
        </p>
    }
    .into_any()
}

fn rest(
    world: World,
    name: &str,
    service: &Service,
    image: &Image,
    pending: RwSignal<bool>,
    refusal: RwSignal<Option<ApiError>>,
) -> AnyView {
    let words = world.words;
    let act = |action, mark, label| button(name, action, mark, label, pending.into(), pending, refusal);
    let mut parts = Vec::new();
    let container = service.container.as_ref();
    let runs_id = container.and_then(|c| c.image_id.as_ref());
    let older = image.local.as_ref().zip(runs_id).is_some_and(|(local, runs)| local.id != *runs);
    if older {
        let ours = container.is_some_and(|c| !c.adopted);
        let text = if ours { words.older_image } else { words.older_image_adopted };
        parts.push(view! { <p class="now">{text}</p> }.into_any());
        if ours {
            parts.push(act("renew", Icon::Restart, words.renew));
        }
    }
    match &image.newer {
        Some(Newer::Available { .. }) => {
            parts.push(view! { <p class="now">{words.newer_exists}</p> }.into_any());
        }
        Some(Newer::Current { at }) => {
            let text = (words.newest)(&super::values::exact(*at));
            parts.push(view! { <p class="quiet">{text}</p> }.into_any());
        }
        Some(Newer::Unknown { why, .. }) => {
            let said = (words.pull_failure)(why);
            let text = format!("{} {}", words.newer_unknown, said.what);
            parts.push(view! { <p class="quiet">{text}</p> }.into_any());
        }
        Some(Newer::Checking) | None => {}
    }
    if let Some(kept) = service.kept_image.as_ref().filter(|kept| runs_id != Some(&kept.id)) {
        parts.push(view! { <p class="quiet">{(words.kept_image)(&kept.id)}</p> }.into_any());
        parts.push(act("back", Icon::Restart, words.back_to_image));
        if service.state.serves() {
            parts.push(act("forget", Icon::Stop, words.remove_image_before));
        }
    }
    if image.local.is_some() {
        let label = if image.newer == Some(Newer::Checking) { words.checking } else { words.check_newer };
        parts.push(act("check", Icon::Restart, label));
    }
    parts.into_any()
}
