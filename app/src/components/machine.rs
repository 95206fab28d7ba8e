//! The machine around the services: its GPUs, and what else serves models here.

use super::controls::Adopt;
use super::dynamic::{nothing, part};
use super::service_card::refused;
use super::values::memory;
use crate::api::ApiError;
use crate::live::World;
use crate::model::{Candidate, ForeignProcess, Gpu, GpuStatus};
use leptos::prelude::*;

/// The GPUs with the memory in use on each.
#[component]
pub fn Gpus(world: World) -> AnyView {
    let words = world.words;
    let list = part(move || {
        let gpus = world.gpus.get();
        if gpus.is_empty() {
            let hint = world.host.with(|host| match &host.gpu {
                GpuStatus::Error { detail } => (words.gpu_error)(detail),
                GpuStatus::Ok | GpuStatus::NoDriver => words.gpus_hint.to_owned(),
            });
            return view! { <p class="quiet">{hint}</p> }.into_any();
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
    let index = (world.words.gpu)(it.index);
    view! {
        <li>
            <span class="gpu-name">
                <span class="name">{index.clone()}</span>
                <span class="quiet">{it.name}</span>
            </span>
            {memory(world, index, it.memory_used_bytes, it.memory_total_bytes)}
        </li>
    }
    .into_any()
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
                {refused(words, refusal)}
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
