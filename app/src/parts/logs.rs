//! The log windows: the live log, and the lines of one run beside it.
//!
//! All that does not change while lines come is written here. In the browser `components::log` takes the rows over, reads
//! the controls by their ids (`log-…`, `past-…`), does what `data-do` says, and writes into the places that have an id.

use super::view::{LogPane, LogsView};
use crate::at;
use crate::components::icon::{Icon, icon};
use crate::components::log::{LogView, Times, row};
use crate::locales::{Lang, PartWords, Words};
use crate::model::{Level, Line, LineKind, whole_bytes};
use leptos::prelude::*;

struct Pane<'a> {
    /// What its ids begin with.
    id: &'static str,
    past: bool,
    it: &'a LogPane,
    view: LogView,
    words: &'static Words,
    more: &'static PartWords,
}

/// The windows.
pub fn windows(view: &LogsView, lang: Lang) -> AnyView {
    let (words, more) = (lang.words(), lang.part_words());
    let live = Pane { id: "log", past: false, it: &view.live, view: view.view, words, more };
    let past = view
        .past
        .as_ref()
        .map(|it| window(&Pane { id: "past", past: true, it, view: view.view, words, more }));
    view! { {past} {window(&live)} }.into_any()
}

fn window(pane: &Pane<'_>) -> AnyView {
    let Pane { id, past, it, view, words, more } = *pane;
    let class = format!("log-window {}", view.words(" "));
    let title_id = format!("{id}-title");
    let heading = if past {
        let run = format!("{} {}", words.run, it.run.unwrap_or_default());
        view! { <h2 id=title_id.clone()>{run}</h2> }.into_any()
    } else {
        view! { <h2 id=title_id.clone()>{words.logs} <span class="of">{it.title.clone()}</span></h2> }
            .into_any()
    };
    let about = if past {
        it.started.map(|at| (more.pane_started)(&super::settings::moment(at))).unwrap_or_default()
    } else {
        it.run.map(|run| format!("{} {run}", words.run)).unwrap_or_default()
    };
    let label =
        if past { format!("{} {}", words.run, it.run.unwrap_or_default()) } else { words.logs.to_owned() };
    let empty = match (past, it.lines.is_empty()) {
        (true, true) => more.run_missing,
        (false, true) => words.no_lines,
        _ => "",
    };
    let rows = rows(pane);
    view! {
        <section
            class=class
            id=format!("{id}-window")
            aria-labelledby=title_id
            data-service=it.service.to_string()
            data-run=it.run
            data-started=it.started.map(|at| at.to_string())
            data-first=it.first
            data-last=it.last
            data-line=it.line
        >
            <header class="log-head">
                {heading}
                <span class="run" id=format!("{id}-run")>{about}</span>
                {search(pane)}
                <a class="log-link" id=format!("{id}-link") href="#" hidden>{more.link_to_line}</a>
                {(!past).then(|| follow(words))}
                {download(pane)}
                {menu(pane)}
                {past.then(|| close(pane))}
                <div class="log-filters">
                    {levels(pane)}
                    {streams(pane)}
                    {(!past).then(|| earlier(pane))}
                </div>
                {past.then(|| whole_run(pane))}
            </header>
            <div class="log-frame">
                <div class="log" id=id role="log" aria-label=label aria-live="off" tabindex="0">
                    <div class="log-size" id=format!("{id}-size")>
                        <div class="log-rows" id=format!("{id}-rows")>{rows}</div>
                    </div>
                </div>
                <p class="log-empty" id=format!("{id}-empty")>{empty}</p>
            </div>
        </section>
    }
    .into_any()
}

fn search(pane: &Pane<'_>) -> AnyView {
    let Pane { id, it, words, more, past, .. } = *pane;
    let everywhere = at(format!("/services/{}/search", it.service));
    view! {
        <form class="log-search" role="search" method="get" action=everywhere>
            <input
                type="search"
                name="q"
                maxlength="1000"
                id=format!("{id}-search")
                class="search"
                autocomplete="off"
                spellcheck="false"
                aria-label=words.search_logs
                aria-keyshortcuts=(!past).then_some("/")
                placeholder=words.search_logs
                value=it.filter.query.clone()
            />
            <span class="matches" id=format!("{id}-matches")></span>
            <button type="button" data-do="previous" aria-label=more.previous_match title=more.previous_match>
                {icon(Icon::Before)}
            </button>
            <button type="button" data-do="next" aria-label=more.next_match title=more.next_match>
                {icon(Icon::Next)}
            </button>
            <button type="button" data-do="only" id=format!("{id}-only") aria-pressed=it.filter.only.to_string()>
                {more.only_matches}
            </button>
            <button type="submit" class="everywhere" name="run" value="all" title=more.search_everywhere>
                {more.search_all_runs}
            </button>
        </form>
    }
    .into_any()
}

fn follow(words: &'static Words) -> AnyView {
    view! {
        <button type="button" class="follow" id="log-follow" data-do="follow" aria-pressed="true">
            {icon(Icon::Down)}
            {words.follow}
            <span class="waiting" id="log-waiting" aria-hidden="true"></span>
        </button>
    }
    .into_any()
}

fn download(pane: &Pane<'_>) -> AnyView {
    let Pane { it, words, more, past, .. } = *pane;
    let lines = at(format!("/api/services/{}/logs", it.service));
    let run = it.run.filter(|_| past).map(|run| view! { <input type="hidden" name="run" value=run/> });
    view! {
        <form class="download" method="get" action=at(format!("/api/services/{}/container-logs", it.service))>
            <input type="hidden" name="download" value="1"/>
            {run}
            <button type="submit">{icon(Icon::Download)} {words.download}</button>
            <button type="submit" formaction=lines name="format" value="jsonl" title=more.download_json>
                "JSON"
            </button>
        </form>
    }
    .into_any()
}

fn close(pane: &Pane<'_>) -> AnyView {
    let address = at(format!("/services/{}", pane.it.service));
    view! { <a class="button" id="past-close" href=address>{pane.more.close}</a> }.into_any()
}

/// A checkbox of the window by its name.
fn check(pane: &Pane<'_>, name: &str, label: impl IntoView + 'static, on: bool) -> AnyView {
    let (id, of) = (format!("{}-{name}", pane.id), format!("{}-{name}", pane.id));
    view! {
        <label for=of>
            <input type="checkbox" id=id checked=on autocomplete="off"/>
            {label}
        </label>
    }
    .into_any()
}

/// The checkboxes of the levels. The counts stand beside the labels, so that a label is only a level's name.
fn levels(pane: &Pane<'_>) -> AnyView {
    let Pane { id, it, words, more, past, .. } = *pane;
    let boxes = Level::ALL.map(|level| {
        let name = level.as_str();
        let shown = it.filter.levels.contains(&level);
        let label = if level == Level::Other { words.other.to_owned() } else { name.to_ascii_uppercase() };
        let count = (!past).then(|| {
            let count = (words.number)(it.counts.of(level));
            view! { <span class="count" id=format!("{id}-count-{name}")>{count}</span> }
        });
        view! { <div class=format!("level-filter {name}")>{check(pane, name, label, shown)} {count}</div> }
    });
    let floors = [Level::Debug, Level::Info, Level::Warning, Level::Error].map(|level| {
        let label = (more.and_above)(&level.as_str().to_ascii_uppercase());
        view! { <option value=level.as_str()>{label}</option> }
    });
    view! {
        <fieldset class="levels" id=format!("{id}-levels")>
            <legend class="hidden">{words.levels}</legend>
            {Vec::from(boxes)}
        </fieldset>
        <select id=format!("{id}-lowest") aria-label=more.lowest_level autocomplete="off">
            <option value="other">{more.all_levels}</option>
            {Vec::from(floors)}
            <option value="" hidden>{more.chosen_levels}</option>
        </select>
    }
    .into_any()
}

fn streams(pane: &Pane<'_>) -> AnyView {
    let Pane { id, it, more, .. } = *pane;
    let [stdout, stderr] = it.filter.streams;
    view! {
        <fieldset class="levels">
            <legend class="hidden">{more.pipes}</legend>
            <div class="level-filter">{check(pane, "stdout", "stdout", stdout)}</div>
            <div class="level-filter">{check(pane, "stderr", "stderr", stderr)}</div>
            <div class="level-filter" title=more.probes_hint>
                {check(pane, "probes", more.probes, false)}
                <span class="count" id=format!("{id}-hidden")></span>
            </div>
        </fieldset>
    }
    .into_any()
}

/// How many lines the server keeps that are not held in the browser, and the button that fetches them.
fn earlier(pane: &Pane<'_>) -> AnyView {
    let Pane { it, words, .. } = *pane;
    let count = it.lines.first().map_or(0, |line| line.seq.saturating_sub(it.first));
    let class = if count == 0 { "log-earlier none" } else { "log-earlier" };
    view! {
        <p class=class id="log-earlier">
            <span id="log-before">{(words.earlier)(count)}</span>
            <button type="button" class="link" data-do="earlier">{words.load_earlier}</button>
        </p>
    }
    .into_any()
}

fn menu(pane: &Pane<'_>) -> AnyView {
    let Pane { id, view, more, past, .. } = *pane;
    let times = [
        (Times::Day, "", more.time_of_day),
        (Times::Relative, "relative", more.time_since),
        (Times::None, "timeless", more.time_none),
    ]
    .map(|(times, value, label)| view! { <option value=value selected=view.times == times>{label}</option> });
    let jumps = [
        ("start", more.first_line),
        ("end", more.last_line),
        ("error-before", more.previous_error),
        ("error", more.next_error),
    ]
    .map(|(what, label)| view! { <button type="button" data-do=what>{label}</button> });
    let keys: Vec<_> = more
        .log_keys
        .iter()
        .map(|(keys, what)| {
            let keys: Vec<_> = keys.split(' ').map(|key| view! { <kbd>{key}</kbd> }).collect();
            view! { <div><dt>{keys}</dt><dd>{*what}</dd></div> }
        })
        .collect();
    view! {
        <details class="log-menu">
            <summary>{more.view}</summary>
            <div class="menu">
                {check(pane, "wrap", more.wrap_lines, view.wrap)}
                {check(pane, "compact", more.compact_rows, view.compact)}
                {check(pane, "fold", more.fold_lines, !view.unfolded)}
                <label for=format!("{id}-times")>
                    {more.times}
                    <select id=format!("{id}-times") autocomplete="off">{Vec::from(times)}</select>
                </label>
                <div class="jumps">{Vec::from(jumps)}</div>
                {(!past).then(|| time(pane))}
                <dl class="keys">{keys}</dl>
            </div>
        </details>
    }
    .into_any()
}

/// Where in the run the window is, and the ways to another place. Links, so that they work without JavaScript.
fn whole_run(pane: &Pane<'_>) -> AnyView {
    let Pane { it, more, words, .. } = *pane;
    let run = it.run.unwrap_or_default();
    let to = |line: u64| at(format!("/services/{}?run={run}&line={line}", it.service));
    let here = it.line.or_else(|| it.lines.first().map(|line| line.seq)).unwrap_or(it.first);
    view! {
        <div class="log-run">
            <a class="button" href=to(it.first) data-do="start">{more.first_line}</a>
            <a class="button" href=to(it.last) data-do="end">{more.last_line}</a>
            <input
                type="range"
                id="past-position"
                min=it.first
                max=it.last
                value=here
                autocomplete="off"
                aria-label=more.position
            />
            <span class="place" id="past-place">{(words.number)(here)} " / " {(words.number)(it.last)}</span>
            {time(pane)}
        </div>
    }
    .into_any()
}

fn time(pane: &Pane<'_>) -> AnyView {
    let Pane { id, more, past, .. } = *pane;
    let (name, of) = (format!("{id}-time"), format!("{id}-time"));
    view! {
        <label for=of>
            <span class=past.then_some("hidden")>{more.jump_to_time}</span>
            <input type="datetime-local" id=name step="1" autocomplete="off" title=more.jump_to_time/>
        </label>
    }
    .into_any()
}

/// The rows as the browser goes on with them: UTC, plain text, probes left out, folded.
fn rows(pane: &Pane<'_>) -> Vec<AnyView> {
    let mut rows: Vec<(&Line, u64)> = Vec::new();
    for line in pane.it.lines.iter().filter(|line| line.kind != LineKind::Probe) {
        match rows.last_mut() {
            Some((last, others))
                // The line that the address names is shown.
                if !pane.view.unfolded
                    && row::folds(line.kind)
                    && last.kind == line.kind
                    && pane.it.line != Some(last.seq) =>
            {
                (*last, *others) = (line, *others + 1);
            }
            _ => rows.push((line, 0)),
        }
    }
    rows.into_iter().map(|(line, others)| one(pane, line, others)).collect()
}

fn one(pane: &Pane<'_>, line: &Line, others: u64) -> AnyView {
    let Pane { it, words, view, .. } = *pane;
    let (end, more) = row::cut(&line.text);
    let mut text = line.text[..end].to_owned();
    let whole = whole_bytes(&line.text).filter(|_| line.kind == LineKind::Cut).map(|bytes| {
        let to = row::whole(it.service.as_str(), it.run.unwrap_or_default(), line.seq);
        view! { <a class="more" href=to target="_blank">{(words.whole_line)(bytes)}</a> }
    });
    if more > 0 && whole.is_none() {
        text.push_str(&(words.more_text)(more));
    }
    let time = match (view.times, it.started) {
        (Times::Relative, Some(start)) => row::since(line.time, start),
        _ => row::time(line.time, 0),
    };
    let mut class = row::class(line.level).to_owned();
    if it.line == Some(line.seq) {
        class.push_str(" chosen");
    }
    let fold = (others > 0).then(|| view! { <span class="fold">{(words.more_lines)(others)}</span> });
    view! {
        <div class=class data-seq=format!("{}.{}", it.run.unwrap_or_default(), line.seq)>
            <span class="time" title=line.time.to_string()>{time}</span>
            <span class="level">{row::level_word(line.level)}</span>
            <span class="source">{format!("{} ", line.source)}</span>
            {fold}
            <span class="text">{text}{whole}</span>
        </div>
    }
    .into_any()
}
