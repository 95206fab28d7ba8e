//! The smoke test: one button, one line.

use super::controls::Post;
use super::dynamic::{nothing, part};
use super::icon::Icon;
use crate::api::{self, ApiError};
use crate::live::World;
use crate::model::{Service, ServiceKind, Smoke};
use leptos::prelude::*;
use server_fn::ServerFn;

/// Asks the engine for a short completion, and shows how it answered.
#[component]
pub fn SmokeTest(
    world: World,
    service: ArcRwSignal<Service>,
    refusal: RwSignal<Option<ApiError>>,
) -> AnyView {
    let words = world.words;
    let name = service.with_untracked(|s| s.name.to_string());
    let pending = RwSignal::new(false);
    let for_idle = service.clone();
    let idle = Signal::derive(move || {
        pending.get() || for_idle.with(|s| matches!(s.smoke, Some(Smoke::Running { .. })))
    });
    let for_part = service.clone();
    let serves = Memo::new(move |_| service.with(|s| s.kind == ServiceKind::Vllm && s.state.serves()));
    part(move || {
        if !serves.get() {
            return nothing();
        }
        let service = for_part.clone();
        let said =
            part(move || service.with(|s| s.smoke.as_ref().map_or_else(nothing, |it| result(world, it))));
        view! {
            <div class="smoke">
                <Post
                    address=api::SmokeTest::url()
                    fields=[("service", name.clone())].into()
                    class="smoke-test"
                    mark=Icon::Play
                    label=words.smoke_test.to_owned()
                    idle=idle
                    pending=pending
                    refusal=refusal
                />
                <div aria-live="polite">{said}</div>
            </div>
        }
        .into_any()
    })
}

fn result(world: World, smoke: &Smoke) -> AnyView {
    let words = world.words;
    match smoke {
        Smoke::Running { .. } => view! { <p class="quiet">{words.smoke_running}</p> }.into_any(),
        Smoke::Passed { first_token_ms, tokens, tokens_per_10s, .. } => {
            view! { <p>{(words.smoke_passed)(*first_token_ms, *tokens, *tokens_per_10s)}</p> }.into_any()
        }
        Smoke::Failed { detail, .. } => {
            view! { <p class="caution">{(words.smoke_failed)(detail)}</p> }.into_any()
        }
    }
}
