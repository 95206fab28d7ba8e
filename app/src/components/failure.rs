//! A failure that explains itself: the lines that prove the cause, and each way out with the button that takes it.

use super::controls::Post;
use super::dynamic::nothing;
use super::icon::Icon;
use crate::api::{self, ApiError};
use crate::live::World;
use crate::model::{Diagnosis, Evidence, Remedy, Service};
use leptos::prelude::*;
use server_fn::ServerFn;

/// The lines that prove a cause, with their numbers, which lead to them.
pub fn evidence(label: &'static str, lines: &[Evidence]) -> AnyView {
    if lines.is_empty() {
        return nothing();
    }
    let rows: Vec<_> = lines
        .iter()
        .map(|it| {
            view! {
                <li>
                    <span class="line-number">{it.line.to_string()}</span>
                    <code>{it.text.clone()}</code>
                </li>
            }
            .into_any()
        })
        .collect();
    view! {
        <div class="evidence mono" role="group" aria-label=label tabindex="0">
            <ol>{rows}</ol>
        </div>
    }
    .into_any()
}

/// What to do, the best first. A remedy that settings can make has a button; `service` is absent for a log from elsewhere.
pub fn remedies(
    world: World,
    it: &Diagnosis,
    service: Option<&Service>,
    refusal: RwSignal<Option<ApiError>>,
) -> AnyView {
    if it.remedies.is_empty() {
        return nothing();
    }
    let words = world.words;
    let pending = RwSignal::new(false);
    let rows: Vec<_> = it
        .remedies
        .iter()
        .enumerate()
        .map(|(at, remedy)| {
            let button = match (&remedy.change, service) {
                (Some(change), Some(service)) => view! {
                    <Post
                        address=api::ApplyRemedy::url()
                        fields=[
                            ("service", service.name.to_string()),
                            ("cause", it.cause.id().to_owned()),
                            ("remedy", at.to_string()),
                            ("value", change.value().unwrap_or_default().to_owned()),
                        ]
                            .into()
                        class="remedy"
                        mark=Icon::Play
                        label=(words.and_start)(&(words.change)(change))
                        idle=pending.into()
                        pending=pending
                        refusal=refusal
                    />
                }
                .into_any(),
                (Some(change), None) => {
                    view! { <code class="mono">{(words.change)(change)}</code> }.into_any()
                }
                (None, _) => nothing(),
            };
            let Remedy { advice, .. } = remedy;
            view! { <li><span>{(words.advice)(*advice, &it.facts)}</span>{button}</li> }.into_any()
        })
        .collect();
    view! {
        <div class="remedies">
            <h3>{words.ways_out}</h3>
            <ul>{rows}</ul>
        </div>
    }
    .into_any()
}
