//! The machine around the services: its GPUs, and what else serves models here.

use super::controls::Adopt;
use super::values::memory;
use crate::api::ApiError;
use crate::live::World;
use crate::model::{Candidate, ForeignProcess, GpuStatus};
use leptos::prelude::*;

/// The GPUs with the memory in use on each.
#[component]
pub fn Gpus(world: World) -> AnyView {
    let words = world.words;
    let list = move || {
        let gpus = world.gpus.get();
        if gpus.is_empty() {
            let hint = world.host.with(|host| match &host.gpu {
                GpuStatus::Error { detail } => (words.gpu_error)(detail),
                GpuStatus::Ok | GpuStatus::NoDriver => words.gpus_hint.to_owned(),
            });
            return view! { <p class="quiet">{hint}</p> }.into_any();
        }
        let rows = gpus.into_iter().map(|gpu| {
            let index = (words.gpu)(gpu.index);
            view! {
                <li>
                    <span class="gpu-name">
                        <b>{index.clone()}</b>
                        <span class="quiet">{gpu.name}</span>
                    </span>
                    {memory(world, index, gpu.memory_used_bytes, Some(gpu.memory_total_bytes))}
                </li>
            }
        });
        view! { <ul class="gpus">{rows.collect_view()}</ul> }.into_any()
    };
    view! {
        <section class="panel" aria-labelledby="gpus-title">
            <h2 id="gpus-title">{words.gpus}</h2>
            {list}
        </section>
    }
    .into_any()
}

/// Containers that can be adopted, and processes that are only shown.
#[component]
pub fn Found(world: World) -> AnyView {
    let words = world.words;
    let refusal = RwSignal::new(None::<ApiError>);
    let found_here =
        Memo::new(move |_| world.host.with(|host| (host.candidates.clone(), host.foreign.clone())));
    let found = move || {
        let (candidates, foreign) = found_here.get();
        (!candidates.is_empty() || !foreign.is_empty()).then(|| {
            let containers = (!candidates.is_empty()).then(|| {
                let rows = candidates.into_iter().map(|it| candidate(world, it, refusal)).collect_view();
                view! {
                    <p class="quiet">{words.found_hint}</p>
                    <ul class="found">{rows}</ul>
                }
            });
            let processes = (!foreign.is_empty()).then(|| {
                let rows = foreign.into_iter().map(|it| process(world, it)).collect_view();
                view! {
                    <p class="quiet">{words.foreign}</p>
                    <ul class="found">{rows}</ul>
                }
            });
            view! {
                <section class="panel" aria-labelledby="found-title">
                    <h2 id="found-title">{words.found}</h2>
                    <div class="refusal" role="alert">{move || refusal.get().map(|error| (words.error)(&error))}</div>
                    {containers}
                    {processes}
                </section>
            }
        })
    };
    found.into_any()
}

fn candidate(world: World, it: Candidate, refusal: RwSignal<Option<ApiError>>) -> AnyView {
    let words = world.words;
    let mark = if it.running { words.running_mark } else { words.stopped_mark };
    let port = it.port.map_or_else(|| words.no_port.to_owned(), words.port);
    view! {
        <li>
            <div class="found-what">
                <b>{it.container.clone()}</b>
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
                <b>{(world.words.pid)(it.pid)}</b>
                <span class="quiet mono">{it.command}</span>
            </div>
        </li>
    }
    .into_any()
}
