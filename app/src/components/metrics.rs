//! What a service counts: figures as they are now, and small charts of the last quarter of an hour.

use super::charts::{nice_max, path};
use super::dynamic::{nothing, part};
use crate::live::World;
use crate::model::{Ended, Reading, Service, ServiceMetrics};
use leptos::prelude::*;

/// Points on the axis of a chart: a quarter of an hour in steps of five seconds.
const POINTS: usize = 180;

/// The figures and charts of a service that serves.
#[component]
pub fn Metrics(world: World, service: ArcRwSignal<Service>) -> AnyView {
    let name = service.with_untracked(|s| s.name.clone());
    let serves = Memo::new(move |_| service.with(|s| s.state.serves()));
    part(move || {
        if !serves.get() {
            return nothing();
        }
        world.metrics.with(|all| {
            let found = all.iter().find(|m| m.service == name);
            found.map_or_else(nothing, |metrics| shown(world, metrics))
        })
    })
}

fn shown(world: World, metrics: &ServiceMetrics) -> AnyView {
    let words = world.words;
    let Some(now) = &metrics.latest else {
        return view! { <p class="quiet">{words.metrics_absent}</p> }.into_any();
    };
    let history = metrics.history.clone().unwrap_or_default();
    // Rates need two readings.
    let absent = if now.window_s.is_some() { words.not_reported } else { words.none };
    let rate = |per_10s: Option<u32>| per_10s.map_or_else(|| absent.to_owned(), words.rate);
    let charts = [
        chart(
            words.requests,
            &requests(world, now).unwrap_or_else(|| words.not_reported.to_owned()),
            &[&history.running, &history.waiting],
            None,
        ),
        chart(
            words.generated,
            &rate(now.generation_tokens_per_10s),
            &[&history.generation_tokens_per_10s],
            None,
        ),
        chart(words.prompt_rate, &rate(now.prompt_tokens_per_10s), &[&history.prompt_tokens_per_10s], None),
        chart(
            words.kv_cache,
            &now.kv_cache_permille.map_or_else(|| words.not_reported.to_owned(), words.permille),
            &[&history.kv_cache_permille],
            Some(1000),
        ),
        chart(
            words.first_token,
            &quantiles(world, now.ttft_p50_us, now.ttft_p95_us),
            &[&history.ttft_p95_ms],
            None,
        ),
    ];
    let mut facts = vec![(words.next_token, quantiles(world, now.itl_p50_us, now.itl_p95_us))];
    facts.push((
        words.prefix_hits,
        now.prefix_hits_permille.map_or_else(|| absent.to_owned(), words.permille),
    ));
    facts.push((
        words.preemptions,
        now.preemptions.map_or_else(|| words.not_reported.to_owned(), words.number),
    ));
    facts.push((words.ended, ended(world, &now.ended)));
    let rows: Vec<_> = facts
        .into_iter()
        .map(|(name, value)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> }.into_any())
        .collect();
    view! {
        <section class="metrics" aria-label=words.metrics>
            <div class="charts">{Vec::from(charts)}</div>
            <dl class="facts">{rows}</dl>
            <p class="quiet">{now.window_s.map(words.metrics_window)}</p>
        </section>
    }
    .into_any()
}

/// Requests that run and wait, in words; `None` where the engine does not report them.
pub fn requests(world: World, now: &Reading) -> Option<String> {
    Some((world.words.running_waiting)(now.running?, now.waiting.unwrap_or(0)))
}

fn quantiles(world: World, p50: Option<u64>, p95: Option<u64>) -> String {
    match (p50, p95) {
        (Some(p50), Some(p95)) => (world.words.quantiles)(p50, p95),
        _ => world.words.none.to_owned(),
    }
}

fn ended(world: World, all: &[Ended]) -> String {
    let some: Vec<_> = all
        .iter()
        .filter(|it| it.count > 0)
        .map(|it| format!("{} {}", (world.words.ended_by)(&it.reason), (world.words.number)(it.count)))
        .collect();
    if some.is_empty() { world.words.none.to_owned() } else { some.join(", ") }
}

/// One chart: its name and its value now, and the series under them. All series share one scale.
fn chart(name: &'static str, value: &str, series: &[&[Option<u32>]], top: Option<u32>) -> AnyView {
    let top = top.unwrap_or_else(|| series.iter().map(|s| nice_max(s)).max().unwrap_or(1));
    let drawings: Vec<_> = series
        .iter()
        .enumerate()
        .map(|(at, points)| {
            let mut axis = vec![None; POINTS.saturating_sub(points.len())];
            axis.extend_from_slice(points);
            let (line, area) = path(&axis, top, 360, 48);
            let class = if at == 0 { "first" } else { "second" };
            view! {
                <g class=class>
                    <path class="area" d=area></path>
                    <path class="line" d=line></path>
                </g>
            }
            .into_any()
        })
        .collect();
    view! {
        <figure>
            <figcaption>
                <span class="quiet">{name}</span>
                <span class="figure">{value.to_owned()}</span>
            </figcaption>
            <svg viewBox="0 -1 360 50" preserveAspectRatio="none" role="img" aria-label=format!("{name}: {value}")>
                {drawings}
            </svg>
        </figure>
    }
    .into_any()
}
