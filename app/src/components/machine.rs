//! The machine around the services: its GPUs, and what else serves models here.

use super::controls::{Adopt, Refusal};
use super::dynamic::{nothing, part};
use super::values::memory;
use crate::api::ApiError;
use crate::live::World;
use crate::model::{Candidate, ForeignProcess, Gpu, GpuProcess, GpuState};
use leptos::prelude::*;

/// The GPUs with the memory in use on each.
#[component]
pub fn Gpus(world: World) -> AnyView {
    let words = world.words;
    let list = part(move || {
        let gpus = world.gpus.get();
        if gpus.is_empty() {
            let said = world.host.with(|host| (words.gpu_status)(&host.gpu));
            return view! { <p class="quiet">{format!("{} {}", said.what, said.now)}</p> }.into_any();
        }
        let rows: Vec<_> = gpus.into_iter().map(|it| gpu(world, it)).collect();
        view! { <ul class="gpus">{rows}</ul> }.into_any()
    });
    view! {
        <section class="panel" aria-labelledby="gpus-title">
            <h2 id="gpus-title">{words.gpus}</h2>
            {list}
        </section>
    }
    .into_any()
}

fn gpu(world: World, it: Gpu) -> AnyView {
    let words = world.words;
    let index = (words.gpu)(it.index);
    let state = match it.state {
        GpuState::Ok => nothing(),
        state => view! { <p class="caution">{(words.gpu_state)(state)}</p> }.into_any(),
    };
    let figures: Vec<String> = [
        it.utilisation_percent.map(words.utilisation),
        it.temperature_c.map(words.temperature),
        it.power_mw.map(|now| (words.power)(now, it.power_limit_mw)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let memory = if it.memory_total_bytes == 0 {
        view! { <span class="quiet">{words.not_reported}</span> }.into_any()
    } else {
        memory(world, index.clone(), it.memory_used_bytes, it.memory_total_bytes)
    };
    view! {
        <li>
            <span class="gpu-name">
                <span class="name">{index}</span>
                <span class="quiet">{it.name}</span>
            </span>
            {state}
            {memory}
            <p class="gpu-figures quiet">{figures.join(" · ")}</p>
            {holders(world, it.processes.unwrap_or_default())}
        </li>
    }
    .into_any()
}

/// Who holds a device's memory: the services by their names, the rest as others.
pub fn holders(world: World, processes: Vec<GpuProcess>) -> AnyView {
    if processes.is_empty() {
        return nothing();
    }
    let words = world.words;
    let rows: Vec<_> = processes
        .into_iter()
        .take(12)
        .map(|it| {
            let whose = it.service.as_ref().map_or_else(|| words.others.to_owned(), |name| world.title(name));
            let held = it.memory_bytes.map_or_else(|| words.not_reported.to_owned(), words.gib);
            view! {
                <li>
                    <span class="name">{whose}</span>
                    <span class="quiet">{(words.gpu_process)(&it)}</span>
                    <span class="held">{held}</span>
                </li>
            }
            .into_any()
        })
        .collect();
    view! { <ul class="holders" aria-label=words.memory_holders>{rows}</ul> }.into_any()
}

/// Containers that can be adopted, and processes that are only shown.
#[component]
pub fn Found(world: World) -> AnyView {
    let words = world.words;
    let refusal = RwSignal::new(None::<ApiError>);
    part(move || {
        let (candidates, foreign) = world.host.with(|host| (host.candidates.clone(), host.foreign.clone()));
        if candidates.is_empty() && foreign.is_empty() {
            return nothing();
        }
        let candidates = candidates.into_iter().map(|it| candidate(world, it, refusal)).collect();
        let foreign = foreign.into_iter().map(|it| process(world, it)).collect();
        view! {
            <section class="panel" aria-labelledby="found-title">
                <h2 id="found-title">{words.found}</h2>
                <Refusal world=world refusal=refusal/>
                {list(words.found_hint, candidates)}
                {list(words.foreign, foreign)}
            </section>
        }
        .into_any()
    })
}

fn list(hint: &'static str, rows: Vec<AnyView>) -> AnyView {
    if rows.is_empty() {
        return nothing();
    }
    view! {
        <p class="quiet">{hint}</p>
        <ul class="found">{rows}</ul>
    }
    .into_any()
}

fn candidate(world: World, it: Candidate, refusal: RwSignal<Option<ApiError>>) -> AnyView {
    let words = world.words;
    let mark = if it.running { words.running_mark } else { words.stopped_mark };
    let port = it.port.map_or_else(|| words.no_port.to_owned(), words.port);
    view! {
        <li>
            <div class="found-what">
                <span class="name">{it.container.clone()}</span>
                <span class="quiet">{format!("{mark}, {port}")}</span>
                <span class="quiet mono">{it.image}</span>
            </div>
            <Adopt world=world container=it.container refusal=refusal/>
        </li>
    }
    .into_any()
}

fn process(world: World, it: ForeignProcess) -> AnyView {
    view! {
        <li>
            <div class="found-what">
                <span class="name">{(world.words.pid)(it.pid)}</span>
                <span class="quiet mono">{it.command}</span>
            </div>
        </li>
    }
    .into_any()
}
