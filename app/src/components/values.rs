//! The values of a card: what is loaded, how much GPU memory it holds, how long it has run.

use super::dynamic::{part, some_text};
use super::metrics::requests;
use crate::live::World;
use crate::model::{Service, ServiceKind, Timestamp};
use leptos::prelude::*;

/// A moment for people who want it exactly.
pub fn exact(time: Timestamp) -> String {
    let mut text = time.to_string().replace('T', " ");
    text.truncate(19);
    text.push_str(" UTC");
    text
}

/// Numbers in GiB, and a bar under them where the whole is known. (`<meter>` cannot be styled alike in all browsers.)
pub fn memory(world: World, label: String, used: u64, total: u64) -> AnyView {
    const MIB: u64 = 1 << 20;
    let words = world.words;
    if total == 0 {
        return view! { <span>{(words.gib)(used)}</span> }.into_any();
    }
    let numbers = (words.gib_of)(used, total);
    let share = (used.min(total) >> 10) * 1000 / (total >> 10).max(1);
    view! {
        <span>{numbers.clone()}</span>
        <svg
            class="bar"
            viewBox="0 0 1000 1"
            preserveAspectRatio="none"
            role="meter"
            aria-label=label
            aria-valuemin="0"
            aria-valuemax=(total / MIB).to_string()
            aria-valuenow=(used / MIB).to_string()
            aria-valuetext=numbers
        >
            <rect width=share.to_string() height="1"></rect>
        </svg>
    }
    .into_any()
}

/// The list of values.
#[component]
pub fn Values(world: World, service: ArcRwSignal<Service>) -> AnyView {
    let words = world.words;
    let (name, vllm) = service.with_untracked(|s| (s.name.clone(), s.kind == ServiceKind::Vllm));
    let (for_model, for_memory, for_requests) = (service.clone(), service.clone(), service.clone());
    let model = part(move || {
        let model = for_model.with(|s| s.model.clone()).unwrap_or_else(|| words.none.to_owned());
        view! { <span class="model" title=model>{model.clone()}</span> }.into_any()
    });
    let gpu_memory = part(move || match for_memory.with(|s| s.gpu_memory_bytes) {
        Some(used) => {
            let total = world.gpus.with(|all| all.iter().map(|gpu| gpu.memory_total_bytes).sum());
            memory(world, words.gpu_memory.to_owned(), used, total)
        }
        None => {
            let why = world.host.with(|host| (words.no_gpu)(&host.gpu));
            view! { <span class="quiet">{why}</span> }.into_any()
        }
    });
    let uptime = part(move || {
        let (started, seconds) = service.with(|s| (s.started, s.uptime_s));
        match (seconds, started) {
            (Some(_), Some(started)) => {
                let text = (words.duration)(world.now.get().since(started) / 1000);
                view! { <time datetime=started.to_string() title=exact(started)>{text}</time> }.into_any()
            }
            (Some(seconds), None) => (words.duration)(seconds).into_any(),
            (None, _) => words.none.to_owned().into_any(),
        }
    });
    let requests = some_text(move || {
        let serves = for_requests.with(|s| s.state.serves());
        let now = world.metrics.with(|all| {
            all.iter()
                .filter(|_| serves)
                .find(|m| m.service == name)
                .and_then(|m| requests(world, m.latest.as_ref()?))
        });
        Some(now.unwrap_or_else(|| words.none.to_owned()))
    });
    let rows = [
        (words.model, model, true),
        (words.gpu_memory, gpu_memory, false),
        (words.uptime, uptime, false),
        (words.requests, requests, true),
    ]
    .into_iter()
    .filter(|(_, _, of_vllm)| vllm || !of_vllm)
    .map(|(name, value, _)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> }.into_any());
    view! { <dl class="values">{rows.collect::<Vec<_>>()}</dl> }.into_any()
}
