//! The page Search: a form, and below it what is found, in pieces, as it is found.
//!
//! The server sends the pieces one behind the other: the page is whole without a script. How far it is is told several
//! times; the style shows the last of them, above the hits.

use super::moment;
use super::view::{FarView, HitView, SearchView};
use crate::Theme;
use crate::at;
use crate::locales::{Lang, PartWords};
use crate::model::{Level, Timestamp};
use leptos::prelude::*;

/// Height of the timeline, in its own units.
const HIGH: u64 = 48;
/// Width of one of its stretches.
const WIDE: usize = 10;

/// The document up to where the hits begin.
pub fn top(view: &SearchView, theme: Theme, lang: Lang) -> AnyView {
    let words = lang.part_words();
    let title = (words.search_title)(&view.title);
    let back = at(format!("/services/{}", view.service));
    view! {
        <head>
            <meta charset="utf-8"/>
            <meta name="viewport" content="width=device-width, initial-scale=1"/>
            <meta name="color-scheme" content="light dark"/>
            <title>{title.clone()}</title>
            <link rel="icon" href=at("/favicon.svg") type="image/svg+xml"/>
            <link rel="stylesheet" href=at("/pkg/services.css")/>
        </head>
        <header class="page-head" data-theme=theme.as_str()>
            <h1><a href=at("/")>{lang.words().services}</a></h1>
        </header>
        <div class="search-page-head">
            <p class="back"><a href=back>{words.search_back}</a></p>
            <h2>{title}</h2>
            {form(view, words)}
        </div>
    }
    .into_any()
}

fn form(view: &SearchView, words: &'static PartWords) -> AnyView {
    let runs: Vec<_> =
        [(String::new(), words.search_current.to_owned()), ("all".into(), words.search_all.to_owned())]
            .into_iter()
            .chain(
                view.runs.iter().map(|(run, started)| (run.to_string(), (words.search_run)(*run, *started))),
            )
            .map(|(value, text)| {
                let selected = value == view.run;
                view! { <option value=value selected=selected>{text}</option> }
            })
            .collect();
    let levels = Level::ALL.map(|level| {
        let on = view.levels.contains(&level);
        view! {
            <label>
                <input type="checkbox" name="level" value=level.as_str() checked=on/>
                {level_word(level, words)}
            </label>
        }
    });
    let pipes = [("", words.search_both), ("stdout", "stdout"), ("stderr", "stderr")].map(|(value, text)| {
        view! { <option value=value selected=value == view.stream>{text}</option> }
    });
    let sources: Vec<_> =
        view.sources.iter().map(|name| view! { <option value=name.clone()></option> }).collect();
    let wrong = view.wrong.as_ref().map(|it| {
        view! { <p class="news bad" role="alert" id="search-wrong">{it.clone()}</p> }
    });
    let described = view.wrong.as_ref().map(|_| "search-wrong");
    let more =
        !view.stream.is_empty() || !view.source.is_empty() || !view.from.is_empty() || !view.to.is_empty();
    view! {
        <form class="search-form" method="get" role="search">
            <div class="search-main">
                <label class="search-field">
                    <span>{words.search_text}</span>
                    <input
                        type="search"
                        name="q"
                        value=view.q.clone()
                        maxlength="1000"
                        autofocus=view.q.is_empty()
                        autocomplete="off"
                        spellcheck="false"
                        aria-invalid=view.wrong.is_some().then_some("true")
                        aria-describedby=described
                    />
                </label>
                <label class="search-field"><span>{words.search_in}</span><select name="run">{runs}</select></label>
                <button type="submit" class="primary">{words.search}</button>
            </div>
            <div class="search-more">
                <label><input type="checkbox" name="regex" value="1" checked=view.regex/>{words.search_regex}</label>
                <fieldset><legend class="hidden">{words.search_levels}</legend>{levels}</fieldset>
                <label>
                    {words.search_context}
                    <input type="number" name="context" min="0" max="20" value=view.context.to_string()/>
                </label>
            </div>
            <details open=more>
                <summary>{words.search_narrow}</summary>
                <div class="search-more">
                    <label>{words.search_pipe}<select name="stream">{pipes}</select></label>
                    <label>
                        {words.search_source}
                        <input name="source" list="search-sources" value=view.source.clone() autocomplete="off"/>
                    </label>
                    <datalist id="search-sources">{sources}</datalist>
                    <label>
                        {words.search_from}
                        <input name="from" value=view.from.clone() placeholder="2026-11-22T12:00:00Z" autocomplete="off"/>
                    </label>
                    <label>
                        {words.search_to}
                        <input name="to" value=view.to.clone() placeholder="2026-11-22T13:00:00Z" autocomplete="off"/>
                    </label>
                </div>
            </details>
            {wrong}
        </form>
    }
    .into_any()
}

fn level_word(level: Level, words: &PartWords) -> String {
    if level == Level::Other { words.search_other.to_owned() } else { level.as_str().to_uppercase() }
}

/// A line that was found, with those around it.
pub fn hit(view: &HitView, lang: Lang) -> AnyView {
    let words = lang.part_words();
    let around = |lines: &[String]| {
        lines.iter().map(|text| view! { <div class="around">{text.clone()}</div> }).collect::<Vec<_>>()
    };
    let mut text = Vec::new();
    let mut from = 0;
    for (start, end) in &view.marks {
        let piece = |from: usize, to: usize| view.text.get(from..to).unwrap_or_default().to_owned();
        text.push(piece(from, *start).into_any());
        text.push(view! { <mark>{piece(*start, *end)}</mark> }.into_any());
        from = *end;
    }
    text.push(view.text.get(from..).unwrap_or_default().to_owned().into_any());
    let place = (words.search_place)(view.run, view.seq);
    let id = format!("hit-{}", view.number);
    let step = |number: usize, text: &'static str, sign: &'static str| {
        view! { <a href=format!("#hit-{number}") aria-label=text title=text>{sign}</a> }
    };
    let level = (view.level != Level::Other).then(|| {
        view! { <span class="level">{level_word(view.level, words)}</span> }
    });
    view! {
        <article class=format!("hit row-{}", view.level.as_str()) id=id tabindex="-1" aria-label=place>
            <p class="hit-head">
                <a href=view.link.clone()>{place.clone()}</a>
                <time>{Timestamp::to_string(&view.time)}</time>
                {level}
                {(!view.source.is_empty()).then(|| view! { <span class="source">{view.source.clone()}</span> })}
                <span class="steps">
                    {(view.number > 1).then(|| step(view.number - 1, words.search_previous, "↑"))}
                    {step(view.number + 1, words.search_next, "↓")}
                </span>
            </p>
            <div class="lines">
                {around(&view.before)}<div class="found-line">{text}</div>{around(&view.after)}
            </div>
        </article>
    }
    .into_any()
}

/// How far the search is, and when the found lines came.
pub fn far(view: &FarView, lang: Lang) -> AnyView {
    let words = lang.part_words();
    let status = (words.search_far)(view);
    let shown = (view.matches > view.shown).then(|| (words.search_shown)(view.shown));
    let damaged =
        (view.damaged > 0).then(|| view! { <p class="news bad">{(words.search_damaged)(view.damaged)}</p> });
    let left_out =
        (view.left_out > 0).then(|| view! { <p class="hint">{(words.search_left_out)(view.left_out)}</p> });
    let download = view.download.as_ref().filter(|_| view.done && view.matches > 0).map(|link| {
        let form = |format: &str| format!("{link}&format={format}");
        view! {
            <p class="found-download">
                {words.search_download} ": "
                <a href=form("text") download="">"text"</a>
                " "
                <a href=form("jsonl") download="" title=words.download_json>"JSON"</a>
            </p>
        }
    });
    let role = view.done.then_some("status");
    view! {
        <section class="far" role=role data-done=view.done.then_some("")>
            <p>{status} " " {shown}</p>
            {damaged}
            {left_out}
            {download}
            {timeline(view, words)}
        </section>
    }
    .into_any()
}

fn timeline(view: &FarView, words: &'static PartWords) -> AnyView {
    let most = view.bars.iter().map(|bar| bar.counts.iter().sum::<u64>()).max().unwrap_or_default();
    if most == 0 {
        return ().into_any();
    }
    let bars: Vec<_> = view
        .bars
        .iter()
        .enumerate()
        .filter(|(_, bar)| bar.counts.iter().any(|count| *count > 0))
        .map(|(index, bar)| {
            let total: u64 = bar.counts.iter().sum();
            let mut top = HIGH;
            // From the bottom: what is worst stands lowest, where it is never hidden by what is frequent.
            let parts: Vec<_> = [Level::Error, Level::Warning, Level::Info, Level::Debug, Level::Other]
                .into_iter()
                .filter_map(|level| {
                    let count = bar.counts.get(level as usize).copied().filter(|count| *count > 0)?;
                    let height = (count * HIGH / most).max(1).min(top);
                    top -= height;
                    Some(view! {
                        <rect
                            class=format!("bar-{}", level.as_str())
                            x=(index * WIDE).to_string()
                            y=top.to_string()
                            width=(WIDE - 1).to_string()
                            height=height.to_string()
                        ></rect>
                    })
                })
                .collect();
            let label = (words.search_bar)(&bar.from, &bar.to, total);
            view! {
                <a href=bar.link.clone() aria-label=label>
                    <title>{label.clone()}</title>
                    <rect
                        class="bar-area"
                        x=(index * WIDE).to_string()
                        y="0"
                        width=WIDE.to_string()
                        height=HIGH.to_string()
                    ></rect>
                    {parts}
                </a>
            }
        })
        .collect();
    let size = format!("0 0 {} {HIGH}", view.bars.len() * WIDE);
    let (first, last) = (view.bars.first().map(|bar| bar.from), view.bars.last().map(|bar| bar.to));
    view! {
        <figure class="timeline">
            <svg viewBox=size preserveAspectRatio="none" role="group" aria-label=words.search_timeline>
                {bars}
            </svg>
            <figcaption>
                <span>{first.map(moment)}</span>
                <span>{words.search_timeline_hint}</span>
                <span>{last.map(moment)}</span>
            </figcaption>
        </figure>
    }
    .into_any()
}
