//! The values of a card: what is loaded, how much GPU memory it holds, how long it has run.

use crate::live::World;
use crate::model::{GpuStatus, Service};
use leptos::prelude::*;

/// A moment for people who want it exactly.
pub fn exact(time: crate::model::Timestamp) -> String {
    let mut text = time.to_string().replace('T', " ");
    text.truncate(19);
    text.push_str(" UTC");
    text
}

/// A bar with its numbers in GiB.
pub fn memory(world: World, label: String, used: u64, total: Option<u64>) -> AnyView {
    const MIB: u64 = 1 << 20;
    let words = world.words;
    let numbers = total.map_or_else(|| (words.gib)(used), |total| (words.gib_of)(used, total));
    let bar = total.filter(|total| *total > 0).map(|total| {
        view! { <meter min="0" max=(total / MIB).to_string() value=(used / MIB).to_string() aria-label=label>{numbers.clone()}</meter> }
    });
    view! {
        <span class="number">{numbers}</span>
        {bar}
    }
    .into_any()
}

/// The list of values.
#[component]
pub fn Values(world: World, service: ArcRwSignal<Service>) -> AnyView {
    let words = world.words;
    let model = {
        let service = service.clone();
        move || {
            let model = service.with(|s| s.model.clone()).unwrap_or_else(|| words.none.to_owned());
            view! { <dd class="model" title=model>{model.clone()}</dd> }
        }
    };
    let gpu_memory = {
        let service = service.clone();
        move || match service.with(|s| s.gpu_memory_bytes) {
            Some(used) => {
                let total = world.gpus.with(|all| all.iter().map(|gpu| gpu.memory_total_bytes).sum::<u64>());
                memory(world, words.gpu_memory.to_owned(), used, Some(total).filter(|t| *t > 0)).into_any()
            }
            None => {
                let why = world.host.with(|host| match &host.gpu {
                    GpuStatus::Ok => words.not_reported.to_owned(),
                    GpuStatus::NoDriver => words.no_gpu.to_owned(),
                    GpuStatus::Error { detail } => (words.gpu_error)(detail),
                });
                view! { <span class="quiet">{why}</span> }.into_any()
            }
        }
    };
    let uptime = move || {
        let (started, seconds) = service.with(|s| (s.started, s.uptime_s));
        match (seconds, started) {
            (Some(_), Some(started)) => {
                let text = (words.duration)(world.now.get().since(started) / 1000);
                view! { <time datetime=started.to_string() title=exact(started)>{text}</time> }.into_any()
            }
            (Some(seconds), None) => (words.duration)(seconds).into_any(),
            (None, _) => words.none.into_any(),
        }
    };
    view! {
        <dl class="values">
            <div>
                <dt>{words.model}</dt>
                {model}
            </div>
            <div>
                <dt>{words.gpu_memory}</dt>
                <dd>{gpu_memory}</dd>
            </div>
            <div>
                <dt>{words.uptime}</dt>
                <dd class="number">{uptime}</dd>
            </div>
        </dl>
    }
    .into_any()
}
