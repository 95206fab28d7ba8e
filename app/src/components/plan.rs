//! What the next start needs of the GPU's memory, before it is pressed.

use super::dynamic::{nothing, part};
use super::machine::holders;
use crate::live::World;
use crate::model::{MemoryPlan, Service, State, Verdict};
use leptos::prelude::*;

/// The plan of a service that does not run.
#[component]
pub fn Plan(world: World, service: ArcRwSignal<Service>) -> AnyView {
    part(move || {
        service.with(|s| match (&s.state, &s.plan) {
            (State::Stopped { .. } | State::Failed { .. }, Some(plan)) => shown(world, plan),
            _ => nothing(),
        })
    })
}

fn shown(world: World, plan: &MemoryPlan) -> AnyView {
    let words = world.words;
    let class = match plan.verdict {
        Verdict::Fits | Verdict::FitsShorter { .. } | Verdict::NoGpu => "plan",
        Verdict::DoesNotFit { .. } | Verdict::HeldByOthers { .. } => "plan short",
    };
    let gib = |bytes: u64| (words.gib)(bytes);
    let mut facts = vec![
        (words.plan_model, format!("{} ({})", plan.model, (words.plan_source)(plan.source))),
        (words.plan_weights, gib(plan.weights_bytes)),
        (words.plan_overhead, gib(plan.overhead_bytes)),
    ];
    if let Some(device) = &plan.device {
        facts.push((
            words.plan_budget,
            format!("{}, {}", gib(device.budget_bytes), (words.gpu)(device.index)),
        ));
        facts.push((words.plan_free, (words.gib_of)(device.free_bytes, device.total_bytes)));
    }
    if let Some(kv) = plan.kv_bytes {
        facts.push((words.kv_cache, gib(kv)));
    }
    facts.push((words.plan_per_token, (words.kib)(plan.kv_bytes_per_token)));
    if let Some(tokens) = plan.cache_tokens {
        facts.push((words.plan_cache, (words.tokens)(tokens)));
    }
    facts.push((words.plan_context, (words.tokens)(plan.context_tokens)));
    let rows: Vec<_> = facts
        .into_iter()
        .map(|(name, value)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> }.into_any())
        .collect();
    let others = plan.device.as_ref().map(|d| d.holders.clone()).unwrap_or_default();
    view! {
        <details class=class>
            <summary>{(words.verdict)(plan)}</summary>
            <dl class="facts">{rows}</dl>
            {holders(world, others)}
            <p class="quiet">{words.plan_hint}</p>
        </details>
    }
    .into_any()
}
