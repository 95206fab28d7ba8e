//! The log window's controls: filters with their counts, search, follow, download.

use super::{Ask, Log, row};
use crate::components::dynamic::{some_text, text};
use crate::components::icon::{Icon, icon};
use crate::locales::Words;
use crate::model::Level;
use leptos::prelude::*;

/// The checkboxes of the levels. The counts stand beside the labels, so that a label is only a level's name.
pub fn levels(log: &Log, words: &'static Words) -> AnyView {
    let boxes = Level::ALL.map(|level| {
        let counts = log.signals.counts;
        let log = log.clone();
        let id = format!("level-{}", level.as_str());
        view! {
            <div class=format!("level-filter {}", level.as_str())>
                <label for=id>
                    <input
                        type="checkbox"
                        id=id.clone()
                        checked=true
                        autocomplete="off"
                        on:change=move |event| log.ask(Ask::Level(level, event_target_checked(&event)))
                    />
                    {row::label(level, words)}
                </label>
                <span class="count">{text(move || (words.number)(counts.get().of(level)))}</span>
            </div>
        }
        .into_any()
    });
    view! {
        <fieldset class="levels" id="log-levels">
            <legend class="hidden">{words.levels}</legend>
            {Vec::from(boxes)}
        </fieldset>
    }
    .into_any()
}

/// The search box.
pub fn search(log: Log, words: &'static Words) -> AnyView {
    view! {
        <input
            type="search"
            id="log-search"
            class="search"
            autocomplete="off"
            spellcheck="false"
            aria-label=words.search_logs
            aria-keyshortcuts="/"
            placeholder=words.search_logs
            on:input=move |event| log.ask(Ask::Search(event_target_value(&event)))
        />
    }
    .into_any()
}

/// The button that keeps the view at the newest line.
pub fn follow(log: Log, words: &'static Words) -> AnyView {
    let (following, waiting) = (log.signals.following, log.signals.waiting);
    view! {
        <button
            type="button"
            class="follow"
            aria-pressed=move || if following.get() { "true" } else { "false" }
            on:click=move |_| log.ask(Ask::Follow(!following.get_untracked()))
        >
            {icon(Icon::Down)}
            {words.follow}
            <span class="waiting" aria-hidden="true">
                {some_text(move || Some(waiting.get()).filter(|n| *n > 0).map(words.waiting))}
            </span>
        </button>
    }
    .into_any()
}
