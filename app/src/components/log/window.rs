//! The log window as a whole.

use super::tools::{follow, levels, search};
use super::{Ask, Empty, Log, row};
use crate::components::dynamic::{some_text, text};
use crate::components::icon::{Icon, icon};
use crate::live::World;
use crate::locales::Words;
use crate::model::Line;
use leptos::prelude::*;

/// The log of one service: controls above, lines below.
#[component]
pub fn LogWindow(log: Log, world: World, tail: Vec<Line>) -> AnyView {
    let words = world.words;
    let signals = log.signals;
    let run = signals.run.get_untracked().unwrap_or(0);
    let rows: Vec<_> = tail.into_iter().map(|line| row::row(&line, run, words)).collect();
    let download = format!("/api/services/{}/container-logs", log.service);
    let title = {
        let name = log.service.clone();
        text(move || world.title(&name))
    };
    let run = some_text(move || signals.run.get().map(|run| format!("{} {run}", words.run)));
    let empty = some_text(move || match signals.empty.get() {
        Empty::No => None,
        Empty::NoLines => Some(words.no_lines.to_owned()),
        Empty::NoMatch => Some(words.no_match.to_owned()),
    });
    view! {
        <section class="log-window" aria-labelledby="log-title">
            <header class="log-head">
                <h2 id="log-title">
                    {words.logs} <span class="of">{title}</span>
                </h2>
                <span class="run">{run}</span>
                {levels(&log, words)}
                {search(log.clone(), words)}
                {follow(log.clone(), words)}
                <form class="download" method="get" action=download>
                    <input type="hidden" name="download" value="1"/>
                    <button type="submit">{icon(Icon::Download)} {words.download}</button>
                </form>
                {earlier(log, words)}
            </header>
            <div class="log-frame">
                <div class="log" id="log" role="log" aria-label=words.logs aria-live="off" tabindex="0">
                    <div class="log-size" id="log-size">
                        <div class="log-rows" id="log-rows">
                            {rows}
                        </div>
                    </div>
                </div>
                <p class="log-empty">{empty}</p>
            </div>
        </section>
    }
    .into_any()
}

/// How many lines the server keeps that are not held here, and the button that fetches them.
fn earlier(log: Log, words: &'static Words) -> AnyView {
    let earlier = log.signals.earlier;
    let class = |(count, room)| match (count, room) {
        (0, _) => "log-earlier none",
        (_, true) => "log-earlier",
        (_, false) => "log-earlier full",
    };
    view! {
        <p class=move || class(earlier.get())>
            <span>{text(move || (words.earlier)(earlier.get().0))}</span>
            <button type="button" class="link" on:click=move |_| log.ask(Ask::Earlier)>
                {words.load_earlier}
            </button>
        </p>
    }
    .into_any()
}
