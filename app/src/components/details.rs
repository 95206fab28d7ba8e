//! What a card shows on demand: the container, the addresses, what keeps it running.

use super::controls::Post;
use super::dynamic::{nothing, part};
use super::icon::Icon;
use crate::api::{self, ApiError};
use crate::live::World;
use crate::locales::Words;
use crate::model::{PendingChange, Service};
use leptos::prelude::*;
use server_fn::ServerFn;

/// What is known of the service beside its values.
#[component]
pub fn Details(words: &'static Words, service: ArcRwSignal<Service>) -> AnyView {
    view! {
        <details>
            <summary>{words.details}</summary>
            {part(move || service.with(|s| facts(words, s)))}
        </details>
    }
    .into_any()
}

fn facts(words: &'static Words, service: &Service) -> AnyView {
    let mut facts: Vec<(&'static str, String)> =
        vec![(words.runtime, (words.runtime_name)(service.runtime).to_owned())];
    if let Some(container) = &service.container {
        let origin = if container.adopted { words.adopted } else { words.created_here };
        facts.push((words.container, format!("{}, {origin}", container.name)));
        facts.push((words.container_id, container.id.clone()));
        let mut policy = container.restart_policy.clone();
        if policy != "no" && !policy.is_empty() {
            policy = format!("{policy}. {}", words.restart_policy_hint);
        }
        facts.push((words.restart_policy, policy));
    }
    if let Some(project) = service.container.as_ref().and_then(|c| c.project.clone()) {
        facts.push((words.project, project));
    }
    if let Some(image) = &service.image {
        facts.push((words.image, image.clone()));
    }
    if let Some(address) = &service.api_url {
        facts.push((words.api_address, address.clone()));
    }
    if service.models.len() > 1 {
        facts.push((words.served_models, service.models.join(", ")));
    }
    if !service.adapters.is_empty() {
        facts.push((words.adapters, service.adapters.join(", ")));
    }
    if let Some(version) = &service.version {
        facts.push((words.version, version.clone()));
    }
    if let Some(tokens) = service.max_model_len {
        facts.push((words.context_length, (words.tokens)(tokens)));
    }
    if let Some(run) = service.run {
        facts.push((words.run, run.to_string()));
    }
    let rows: Vec<_> = facts
        .into_iter()
        .map(|(name, value)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> }.into_any())
        .collect();
    view! { <dl class="facts">{rows}</dl> }.into_any()
}

/// What keeps it running besides its start: who restarts it, whether that outlives a reboot, what the next start changes.
#[component]
pub fn Upkeep(world: World, service: ArcRwSignal<Service>, refusal: RwSignal<Option<ApiError>>) -> AnyView {
    let words = world.words;
    let pending = RwSignal::new(false);
    part(move || {
        let boot = world.host.with(|h| h.boot);
        service.with(|s| {
            let mut parts = Vec::new();
            let missing = (words.boot_missing)(boot);
            if s.auto_start && !s.demo && !missing.is_empty() {
                parts.push(view! { <p class="caution">{missing}</p> }.into_any());
            }
            let policy = s.container.as_ref().map(|c| c.restart_policy.as_str()).unwrap_or_default();
            if !matches!(policy, "no" | "") {
                let fields =
                    [("service", s.name.to_string()), ("on", "true".into()), ("take", "true".into())];
                parts.push(view! { <p class="quiet">{(words.own_policy)(policy)}</p> }.into_any());
                parts.push(
                    view! {
                        <Post
                            address=api::AutoStart::url()
                            fields=fields.into()
                            class="take"
                            mark=Icon::Restart
                            label=words.take_policy.to_owned()
                            idle=pending.into()
                            pending=pending
                            refusal=refusal
                        />
                    }
                    .into_any(),
                );
            }
            if !s.pending.is_empty() {
                parts.push(changes(words, &s.pending));
            }
            if parts.is_empty() { nothing() } else { view! { <div class="upkeep">{parts}</div> }.into_any() }
        })
    })
}

/// Running beside next.
fn changes(words: &'static Words, all: &[PendingChange]) -> AnyView {
    let rows: Vec<_> = all
        .iter()
        .map(|it| {
            view! {
                <tr>
                    <th scope="row" class="mono">{it.name.clone()}</th>
                    <td><del>{it.running.clone().unwrap_or_else(|| words.none.to_owned())}</del></td>
                    <td><ins>{it.next.clone().unwrap_or_else(|| words.none.to_owned())}</ins></td>
                </tr>
            }
            .into_any()
        })
        .collect();
    view! {
        <table class="changes">
            <caption>{words.pending}</caption>
            <thead>
                <tr>
                    <th></th>
                    <th scope="col">{words.running_now}</th>
                    <th scope="col">{words.next_start}</th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}
