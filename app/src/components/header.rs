//! The page's head: its name, the neighbouring pages, the connection, language and theme.

use super::dynamic::{nothing, some_text, text};
use super::icon::{Icon, icon};
use crate::at;
use crate::boot::Theme;
use crate::live::{Connection, World};
use crate::locales::{Lang, clock_of_day};
use leptos::prelude::*;

/// The head of every page.
#[component]
pub fn Header(world: World, theme: Theme, links: Vec<(String, String)>) -> AnyView {
    let words = world.words;
    let links: Vec<_> = links
        .into_iter()
        .map(|(name, address)| view! { <li><a href=address>{name}</a></li> }.into_any())
        .collect();
    let neighbours = if links.is_empty() {
        nothing()
    } else {
        view! { <nav aria-label=words.neighbours><ul>{links}</ul></nav> }.into_any()
    };
    view! {
        <header class="page-head">
            <h1><a href=at("/")>{words.services}</a></h1>
            {neighbours}
            <ConnectionMark world=world/>
            <div class="preferences">
                <LanguageSwitch world=world/>
                <ThemeSwitch world=world theme=theme/>
            </div>
        </header>
    }
    .into_any()
}

/// The state of this tab's connection: a word and a mark whose shape differs.
#[component]
fn ConnectionMark(world: World) -> AnyView {
    let words = world.words;
    let connection = world.connection;
    let parts = move || match connection.get() {
        Connection::Connecting => (
            "connection connecting",
            words.connecting,
            "M8 3a5 5 0 1 0 0 10A5 5 0 1 0 8 3zM8 5a3 3 0 1 1 0 6A3 3 0 1 1 8 5z",
        ),
        Connection::Live => ("connection live", words.live, "M8 3a5 5 0 1 0 0 10A5 5 0 1 0 8 3z"),
        Connection::Reconnecting => {
            ("connection reconnecting", words.reconnecting, "M8 2v2.5a3.5 3.5 0 1 1-3.5 3.5H2A6 6 0 1 0 8 2z")
        }
        Connection::Lost => {
            ("connection lost", words.lost, "M4 2.5l4 4 4-4L13.5 4l-4 4 4 4-1.5 1.5-4-4-4 4L2.5 12l4-4-4-4z")
        }
    };
    // What is shown while nothing is heard is as old as the last thing heard.
    let as_of = some_text(move || match connection.get() {
        Connection::Connecting | Connection::Live => None,
        Connection::Reconnecting | Connection::Lost => {
            Some((words.as_of)(&clock_of_day(world.heard.get().millis(), world.offset_minutes.get())))
        }
    });
    view! {
        <p class=move || parts().0>
            <span class="hidden">{format!("{}: ", words.connection)}</span>
            <svg class="icon" viewBox="0 0 16 16" width="12" height="12" aria-hidden="true" focusable="false">
                <path fill="currentColor" fill-rule="evenodd" d=move || parts().2></path>
            </svg>
            <span class="with-script">{text(move || parts().1.to_owned())}</span>
            <span class="as-of">{as_of}</span>
            <span class="without-script">{words.without_script}</span>
        </p>
    }
    .into_any()
}

/// The language, by a plain form: the server renders the page anew.
#[component]
fn LanguageSwitch(world: World) -> AnyView {
    let buttons = Lang::ALL.map(|lang| {
        let current = if lang == world.lang { "true" } else { "false" };
        view! {
            <button type="submit" name="lang" value=lang.code() lang=lang.code() title=lang.own_name() aria-pressed=current>
                {lang.label()}
            </button>
        }
        .into_any()
    });
    view! {
        <form method="post" action=at("/preferences") class="choice" aria-label=world.words.language>
            {Vec::from(buttons)}
        </form>
    }
    .into_any()
}

/// The theme: a plain form, which in the browser takes effect at once.
#[component]
fn ThemeSwitch(world: World, theme: Theme) -> AnyView {
    let words = world.words;
    let chosen = RwSignal::new(theme);
    let themes = [
        (Theme::System, words.theme_system, Icon::System),
        (Theme::Light, words.theme_light, Icon::Sun),
        (Theme::Dark, words.theme_dark, Icon::Moon),
    ];
    let buttons = themes.map(|(theme, label, mark)| {
        view! {
            <button
                type="submit"
                name="theme"
                value=theme.as_str()
                title=label
                aria-label=label
                aria-pressed=move || if chosen.get() == theme { "true" } else { "false" }
                on:click=move |event| {
                    event.prevent_default();
                    chosen.set(theme);
                    apply(theme);
                }
            >
                {icon(mark)}
            </button>
        }
        .into_any()
    });
    view! {
        <form method="post" action=at("/preferences") class="choice" aria-label=words.theme>
            {Vec::from(buttons)}
        </form>
    }
    .into_any()
}

fn apply(theme: Theme) {
    #[cfg(feature = "hydrate")]
    {
        if let Some(root) = document().document_element() {
            drop(root.set_attribute("data-theme", theme.as_str()));
        }
        leptos::task::spawn_local(async move {
            if let Err(error) =
                crate::fetch::post(&at("/preferences"), &format!("theme={}", theme.as_str())).await
            {
                leptos::logging::warn!("the theme holds for this page only: {error}");
            }
        });
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = theme;
}
