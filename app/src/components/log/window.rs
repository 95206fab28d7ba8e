//! The log window as a whole.

use super::tools::{follow, levels, search};
use super::{Ask, Empty, Log, row};
use crate::components::icon::{Icon, icon};
use crate::live::World;
use crate::model::Line;
use leptos::html::Div;
use leptos::prelude::*;

/// The log of one service: controls above, lines below.
#[component]
pub fn LogWindow(log: Log, world: World, tail: Vec<Line>) -> AnyView {
    let words = world.words;
    let signals = log.signals;
    let run = signals.run.get_untracked().unwrap_or(0);
    let rows: Vec<_> = tail.into_iter().map(|line| row::row(&line, run, words)).collect();
    let download = format!("/api/services/{}/container-logs?download=1", log.service);
    let (scroller, size, block) = (NodeRef::<Div>::new(), NodeRef::<Div>::new(), NodeRef::<Div>::new());

    #[cfg(feature = "hydrate")]
    super::attach::attach(log.clone(), (scroller, size, block));

    let title = {
        let name = log.service.clone();
        move || {
            let watched = world.services.get().into_iter().find(|w| w.name == name);
            watched.map(|w| w.service.get().title)
        }
    };
    view! {
        <section class="log-window" aria-labelledby="log-title">
            <header class="log-head">
                <h2 id="log-title">{words.logs}<span class="of">{title}</span></h2>
                <span class="run">{move || signals.run.get().map(|run| format!("{} {run}", words.run))}</span>
                {levels(&log, words)}
                {search(log.clone(), words)}
                {follow(log.clone(), words)}
                <a class="button" role="button" href=download download="">{icon(Icon::Download)}{words.download}</a>
            </header>
            <p class="log-earlier" hidden=move || signals.earlier.get() == 0>
                <span>{move || (words.earlier)(signals.earlier.get())}</span>
                <button type="button" class="link" on:click=move |_| log.ask(Ask::Earlier)>{words.load_earlier}</button>
            </p>
            <div class="log-frame">
                <div class="log" role="log" aria-label=words.logs aria-live="off" tabindex="0" node_ref=scroller>
                    <div class="log-size" node_ref=size>
                        <div class="log-rows" node_ref=block>{rows}</div>
                    </div>
                </div>
                <p class="log-empty">
                    {move || match signals.empty.get() {
                        Empty::No => "",
                        Empty::NoLines => words.no_lines,
                        Empty::NoMatch => words.no_match,
                    }}
                </p>
            </div>
        </section>
    }.into_any()
}
