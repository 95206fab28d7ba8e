//! How a start goes: its phases with their times, what they usually take, what is left.

use super::dynamic::{nothing, part, some_text, text};
use crate::live::World;
use crate::model::{Phase, PhaseTime, Service, Start, State, Timestamp};
use leptos::prelude::*;

/// What is left of a start, or that it takes longer than usual, or that it has fallen silent: words behind the sentence.
pub fn left(world: World, service: ArcRwSignal<Service>) -> AnyView {
    let words = world.words;
    some_text(move || {
        service.with(|s| {
            let start = s.start.as_ref().filter(|_| matches!(s.state, State::Starting { .. }))?;
            let now = world.now.get();
            if start.is_late(now) {
                return Some(format!(" · {}", words.longer_than_usual));
            }
            start.left_ms(now).map(|ms| format!(" · {}", (words.left)(ms / 1000)))
        })
    })
}

/// The phases: while it starts and after it failed in view, while it runs on demand.
#[component]
pub fn StartProgress(world: World, service: ArcRwSignal<Service>) -> AnyView {
    let words = world.words;
    part(move || {
        service.with(|s| {
            let Some(start) = s.start.as_ref().filter(|start| !start.phases.is_empty()) else {
                return nothing();
            };
            match &s.state {
                State::Starting { since, .. } => view! {
                    {silence(world, start, *since)}
                    {phases(world, start, false)}
                }
                .into_any(),
                State::Failed { .. } => phases(world, start, true),
                State::Running { .. } | State::Unresponsive { .. } => {
                    let took = start.phases.iter().filter_map(|p| p.took_ms).sum::<u64>();
                    view! {
                        <details class="started">
                            <summary>{(words.started_in)(&(words.span)(took))}</summary>
                            {phases(world, start, false)}
                        </details>
                    }
                    .into_any()
                }
                _ => nothing(),
            }
        })
    })
}

/// Nothing was heard for too long: said with the last words, and nothing is done about it.
fn silence(world: World, start: &Start, began: Timestamp) -> AnyView {
    let Some(silence) = start.silence.clone() else { return nothing() };
    let words = world.words;
    let since = silence.since.max(began);
    let last = if silence.last.is_empty() {
        nothing()
    } else {
        view! { <p class="quiet mono">{silence.last}</p> }.into_any()
    };
    view! {
        <div class="caution silent">
            <p>{text(move || (words.silent_for)(&(words.duration)(world.now.get().since(since) / 1000)))}</p>
            {last}
        </div>
    }
    .into_any()
}

fn phases(world: World, start: &Start, failed: bool) -> AnyView {
    let mut rows: Vec<AnyView> = Vec::with_capacity(12);
    for seen in &start.phases {
        let usual = start.usual(seen.phase);
        let broken = failed && Some(seen.phase) == start.phases.last().map(|p| p.phase);
        rows.push(row(world, *seen, usual, broken));
    }
    let last = start.phases.last().map(|p| p.phase);
    if !failed && start.phases.last().is_some_and(|p| p.took_ms.is_none()) {
        for usual in start.usual.iter().filter(|u| Some(u.phase) > last) {
            rows.push(coming(world, usual.phase, usual.took_ms));
        }
    }
    let learned = if start.learned_from > 0 {
        view! { <p class="quiet">{(world.words.learned_from)(start.learned_from)}</p> }.into_any()
    } else {
        nothing()
    };
    view! {
        <div class="phases">
            <ol aria-label=world.words.phases>{rows}</ol>
            {learned}
        </div>
    }
    .into_any()
}

fn row(world: World, seen: PhaseTime, usual: Option<u64>, broken: bool) -> AnyView {
    let words = world.words;
    let (class, mark) = match (broken, seen.took_ms) {
        (true, _) => ("broken", words.phase_broken),
        (false, Some(_)) => ("done", words.phase_done),
        (false, None) => ("now", words.phase_now),
    };
    let took = match seen.took_ms {
        Some(ms) => (words.span)(ms).into_any(),
        None => text(move || (words.span)(world.now.get().since(seen.at) / 1000 * 1000)),
    };
    let current = (class == "now").then_some("step");
    view! {
        <li class=class aria-current=current data-phase=seen.phase.id()>
            <span class="mark" aria-hidden="true"></span>
            <span class="name">{(words.phase)(seen.phase)}<span class="hidden">{format!(", {mark}")}</span></span>
            <span class="took">{took}</span>
            <span class="usual quiet">{usual.filter(|ms| *ms >= 1_000).map(|ms| (words.usually)(&(words.span)(ms)))}</span>
        </li>
    }
    .into_any()
}

fn coming(world: World, phase: Phase, usual_ms: u64) -> AnyView {
    let words = world.words;
    view! {
        <li class="coming" data-phase=phase.id()>
            <span class="mark" aria-hidden="true"></span>
            <span class="name">{(words.phase)(phase)}<span class="hidden">{format!(", {}", words.phase_coming)}</span></span>
            <span class="took"></span>
            <span class="usual quiet">{(words.usually)(&(words.span)(usual_ms))}</span>
        </li>
    }
    .into_any()
}
