//! What a card shows on demand: the container, the addresses, the values in force.

use super::dynamic::{nothing, part};
use crate::locales::Words;
use crate::model::{Service, Setting};
use leptos::prelude::*;

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

/// The values in force, each with its origin.
#[component]
pub fn Configuration(words: &'static Words, settings: Vec<Setting>) -> AnyView {
    if settings.is_empty() {
        return nothing();
    }
    let rows: Vec<_> = settings.into_iter().map(|it| setting(words, it)).collect();
    view! {
        <details>
            <summary>{words.configuration}</summary>
            <div class="table-frame" tabindex="0" role="region" aria-label=words.configuration>
                <table class="settings">
                    <caption>{words.configuration_hint}</caption>
                    <thead>
                        <tr>
                            <th scope="col">{words.variable}</th>
                            <th scope="col">{words.value}</th>
                            <th scope="col">{words.origin}</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </details>
    }
    .into_any()
}

fn setting(words: &'static Words, it: Setting) -> AnyView {
    let (text, class) = match it.value {
        Some(value) => (value, "mono"),
        None if it.secret && it.set => (words.secret_set.to_owned(), "quiet"),
        None => (words.not_set.to_owned(), "quiet"),
    };
    view! {
        <tr>
            <th scope="row" class="mono">
                {it.name}
            </th>
            <td class=class>{text}</td>
            <td class="quiet">{(words.origin_name)(&it.origin)}</td>
        </tr>
    }
    .into_any()
}
