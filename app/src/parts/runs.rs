//! The list Runs: each with its time, length, outcome and cause, and two of them beside each other.

use super::settings::{diff_under, exact};
use super::view::{ComparedView, RunsView};
use crate::at;
use crate::locales::{Lang, PartWords, Words};
use crate::model::{Phase, RunInfo};
use leptos::prelude::*;
use std::collections::BTreeSet;

/// The words of a list: those of the parts, and those of the page.
#[derive(Clone, Copy)]
struct Both {
    part: &'static PartWords,
    page: &'static Words,
}

/// The list, closed until somebody opens it.
pub fn list(view: &RunsView, lang: Lang) -> AnyView {
    let words = Both { part: lang.part_words(), page: lang.words() };
    let content = if view.runs.is_empty() {
        view! { <p class="hint">{words.part.runs_none}</p> }.into_any()
    } else {
        table(view, words)
    };
    let compared = view.compared.as_ref().map(|it| comparison(view, it, words));
    let not_two = view.not_two.then(|| {
        view! { <p class="news bad" tabindex="-1" data-focus="">{words.part.runs_not_two}</p> }
    });
    view! {
        <section class="panel runs" aria-labelledby="runs-title">
            <details id=format!("runs-{}", view.service) open=view.open>
                <summary>
                    <h2 id="runs-title">{words.part.runs}</h2>
                </summary>
                {not_two}
                {compared}
                {content}
            </details>
        </section>
    }
    .into_any()
}

fn table(view: &RunsView, words: Both) -> AnyView {
    let it = words.part;
    let at = crate::at(format!("/parts/runs/{}", view.service));
    let last = view.runs.last().map(|r| r.run);
    // One alone is compared with nothing.
    let several = view.runs.len() > 1 || view.older || view.newer;
    let rows: Vec<_> = view
        .runs
        .iter()
        .map(|run| row(view, run, several, Some(run.run) == last && !view.older, words))
        .collect();
    let compare = several.then(|| view! { <button type="submit">{it.runs_compare}</button> });
    let newest = view.newer.then(|| {
        view! { <button type="submit" formaction=at.clone()>{it.runs_newest}</button> }
    });
    let older = last.filter(|_| view.older).map(|run| {
        view! {
            <button type="submit" formaction=at.clone() name="before" value=run.to_string()>
                {it.runs_older}
            </button>
        }
    });
    view! {
        <form method="post" action=format!("{at}/compare") aria-labelledby="runs-title">
            <div class="table-frame" tabindex="0" role="group" aria-labelledby="runs-title">
                <table role="table" aria-labelledby="runs-title">
                    <thead role="rowgroup">
                        <tr role="row">
                            <th scope="col" role="columnheader">{it.run}</th>
                            <th scope="col" role="columnheader">{it.run_started}</th>
                            <th scope="col" role="columnheader">{it.run_length}</th>
                            <th scope="col" role="columnheader">{it.run_outcome}</th>
                            <th scope="col" role="columnheader">{it.run_ready}</th>
                            <th scope="col" role="columnheader">{it.run_log}</th>
                            <th role="columnheader"></th>
                        </tr>
                    </thead>
                    <tbody role="rowgroup">{rows}</tbody>
                </table>
            </div>
            <div class="run-actions">{compare} {newest} {older}</div>
        </form>
    }
    .into_any()
}

fn row(view: &RunsView, run: &RunInfo, several: bool, first: bool, words: Both) -> AnyView {
    let it = words.part;
    let name = (it.run_n)(run.run);
    let (class, outcome) = outcome(run, words);
    // The words for an exit without a proved cause name its code.
    let code = run.code.filter(|_| !run.live).map(it.run_code).filter(|code| !outcome.contains(code));
    let log = match (run.lines, run.bytes) {
        (None, None) => None,
        (lines, bytes) => {
            let lines = lines.map(it.run_lines);
            Some(lines.into_iter().chain(bytes.map(it.run_bytes)).collect::<Vec<_>>().join(", "))
        }
    };
    let choice = several.then(|| {
        view! {
            <input
                type="checkbox"
                name="run"
                value=run.run.to_string()
                aria-label=format!("{}: {name}", it.run_choose)
            />
        }
    });
    let before = (!first).then(|| {
        view! {
            <button
                type="submit"
                name="with-before"
                value=run.run.to_string()
                aria-label=format!("{name}: {}", it.run_with_before)
            >
                {it.run_with_before}
            </button>
        }
    });
    view! {
        <tr role="row">
            <th scope="row" role="rowheader">
                <span class="tick">
                    {choice}
                    <a href=at(format!("/services/{}?run={}", view.service, run.run)) title=it.run_open>
                        {name}
                    </a>
                </span>
            </th>
            <td role="cell" data-label=it.run_started>
                <time datetime=run.started.to_string()>{exact(run.started)}</time>
            </td>
            <td role="cell" data-label=it.run_length>
                {length(run, words)}
            </td>
            <td role="cell" data-label=it.run_outcome>
                <span class=class>{outcome}</span>
                <span class="hint">{code}</span>
            </td>
            <td role="cell" data-label=it.run_ready>
                {run.ready_ms().map_or_else(|| it.nothing.to_owned(), words.page.span)}
            </td>
            <td role="cell" data-label=it.run_log>
                {log.unwrap_or_else(|| it.nothing.to_owned())}
            </td>
            <td role="cell">{before}</td>
        </tr>
    }
    .into_any()
}

fn length(run: &RunInfo, words: Both) -> String {
    run.length_ms().map_or_else(|| words.part.nothing.to_owned(), words.page.span)
}

/// How it went, in words, and their class.
fn outcome(run: &RunInfo, words: Both) -> (&'static str, String) {
    use crate::model::{Cause, State};
    match &run.outcome {
        _ if run.live => ("fit good", words.part.run_live.to_owned()),
        Some(State::Failed { failure }) => {
            let proved = failure.diagnosis.as_ref().filter(|d| d.cause != Cause::Unknown);
            let why = proved.map_or_else(|| (words.page.failure)(&failure.kind).what, words.page.cause);
            ("fit bad", format!("{}: {why}", words.part.run_failed))
        }
        Some(State::Stopped { note, .. }) => ("fit quiet", (words.part.run_stopped)(note.as_ref())),
        _ => ("fit note", words.part.run_unseen.to_owned()),
    }
}

fn comparison(view: &RunsView, it: &ComparedView, words: Both) -> AnyView {
    let (a, b, part) = (&it.a, &it.b, words.part);
    let title = (part.run_beside)(a.run, b.run);
    let nothing = || part.nothing.to_owned();
    let ready = |run: &RunInfo| run.ready_ms().map_or_else(nothing, words.page.span);
    let facts = [
        (part.run_started, exact(a.started), exact(b.started)),
        (part.image, a.image.clone().unwrap_or_else(nothing), b.image.clone().unwrap_or_else(nothing)),
        (part.run_outcome, outcome(a, words).1, outcome(b, words).1),
        (
            part.run_exit,
            a.code.map_or_else(nothing, |c| c.to_string()),
            b.code.map_or_else(nothing, |c| c.to_string()),
        ),
        (part.run_ready, ready(a), ready(b)),
        (part.run_length, length(a, words), length(b, words)),
    ];
    let facts: Vec<_> = facts
        .into_iter()
        .map(|(name, a, b)| {
            let same = (a == b).then_some("same");
            view! { <tr class=same><th scope="row">{name}</th><td>{a}</td><td>{b}</td></tr> }.into_any()
        })
        .collect();
    let names = [(part.run_n)(a.run), (part.run_n)(b.run)];
    let changes = match &it.changes {
        None => view! { <p class="hint">{part.run_settings_unknown}</p> }.into_any(),
        Some(changes) if changes.is_empty() => {
            view! { <p class="hint">{part.run_settings_same}</p> }.into_any()
        }
        Some(changes) => diff_under(changes, [&names[0], &names[1]], part),
    };
    view! {
        <section class="news note comparison" aria-labelledby="runs-comparison" tabindex="-1" data-focus="" data-hold="">
            <h3 id="runs-comparison">{title}</h3>
            <table class="changes" aria-labelledby="runs-comparison">
                <thead>
                    <tr>
                        <th></th>
                        <th scope="col">{names[0].clone()}</th>
                        <th scope="col">{names[1].clone()}</th>
                    </tr>
                </thead>
                <tbody>{facts}</tbody>
            </table>
            {phases(it, &names, words)}
            <h4>{part.configuration}</h4>
            {changes}
            <form method="post" action=at(format!("/parts/runs/{}", view.service))>
                <button type="submit">{part.run_close}</button>
            </form>
        </section>
    }
    .into_any()
}

/// Phase by phase, with what one took longer.
fn phases(it: &ComparedView, names: &[String; 2], words: Both) -> AnyView {
    let part = words.part;
    // Where each phase took that long in all: one that came back is one.
    let took = |run: &RunInfo, phase: Phase| {
        let times = run.phases.iter().filter(|p| p.phase == phase).map(|p| p.took_ms);
        times.reduce(|a, b| Some(a? + b?)).flatten()
    };
    let seen: BTreeSet<Phase> = it.a.phases.iter().chain(&it.b.phases).map(|p| p.phase).collect();
    if seen.is_empty() {
        return view! { <p class="hint">{part.run_phases_unknown}</p> }.into_any();
    }
    let line = |name: String, a: Option<u64>, b: Option<u64>| {
        let shown = |ms: Option<u64>| ms.map_or_else(|| part.nothing.to_owned(), words.page.span);
        let difference = a.zip(b).map(|(a, b)| difference(a, b, words));
        view! {
            <tr>
                <th scope="row">{name}</th>
                <td>{shown(a)}</td>
                <td>{shown(b)}</td>
                <td>{difference}</td>
            </tr>
        }
        .into_any()
    };
    let mut rows: Vec<_> = seen
        .into_iter()
        .filter(|phase| *phase != Phase::Ready)
        .map(|phase| line((words.page.phase)(phase).to_owned(), took(&it.a, phase), took(&it.b, phase)))
        .collect();
    let whole = |run: &RunInfo| {
        let all = run.phases.iter().filter(|p| p.phase != Phase::Ready).filter_map(|p| p.took_ms);
        (!run.phases.is_empty()).then(|| all.sum::<u64>())
    };
    rows.push(line(part.run_whole.to_owned(), whole(&it.a), whole(&it.b)));
    view! {
        <h4 id="runs-phases">{words.page.phases}</h4>
        <table class="changes phases-beside" aria-labelledby="runs-phases">
            <thead>
                <tr>
                    <th></th>
                    <th scope="col">{names[0].clone()}</th>
                    <th scope="col">{names[1].clone()}</th>
                    <th scope="col">{part.run_difference}</th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}

/// What the second took more, or less: of the times as they are shown, which have no tenths above ten seconds.
fn difference(a: u64, b: u64, words: Both) -> String {
    const WITH_TENTHS: u64 = 10_000;
    let unit = if a.max(b) < WITH_TENTHS { 100 } else { 1_000 };
    let (a, b) = (a / unit * unit, b / unit * unit);
    match a.abs_diff(b) {
        0 => words.part.run_same.to_owned(),
        more if b > a => format!("+{}", (words.page.span)(more)),
        less => format!("−{}", (words.page.span)(less)),
    }
}
