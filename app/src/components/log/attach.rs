//! What ties a log window to the browser: scrolling, size, clicks, keys, the clipboard.

use super::controls::Controls;
use super::feed::{Feed, html};
use super::moves::What;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{
    ClipboardEvent, Element, Event, EventTarget, HtmlInputElement, KeyboardEvent, MouseEvent, ResizeObserver,
    WheelEvent,
};

/// Lets the painter of a pane take over the rows that the server rendered. To be called once the page is hydrated; the
/// window stays as long as the page.
pub(super) fn pane(feed: &Feed, id: &'static str) -> Option<()> {
    let controls = Controls::find(id)?;
    let (section, scroller) = (controls.section.clone(), html(id)?);
    feed.attach(controls, scroller.clone(), html(&format!("{id}-size"))?, html(&format!("{id}-rows"))?);

    on(&scroller, "scroll", feed, |feed, _| feed.scrolled());
    on(&scroller, "wheel", feed, |feed, event| {
        if event.unchecked_ref::<WheelEvent>().delta_y() < 0.0 {
            feed.wheel_up();
        }
    });
    on(&scroller, "mousedown", feed, |_, event| {
        // Shift selects lines here, not text.
        if target(event).is_some_and(|it| it.matches(".time").unwrap_or(false))
            && event.unchecked_ref::<MouseEvent>().shift_key()
        {
            event.prevent_default();
        }
    });
    on(&section, "click", feed, clicked);
    on(&section, "input", feed, |feed, event| {
        if target(event).is_some_and(|it| it.id().ends_with("-search")) {
            feed.controls_changed();
        }
    });
    on(&section, "change", feed, changed);
    on(&section, "keydown", feed, |feed, event| {
        if key(feed, event.unchecked_ref()).is_some() {
            event.prevent_default();
        }
    });
    on(&document(), "pointerdown", feed, |feed, event| {
        // A menu closes when something else is pressed.
        let section = feed.0.borrow().controls.as_ref().map(|controls| controls.section.clone());
        if let Some(Ok(Some(menu))) = section.map(|section| section.query_selector("details[open]"))
            && target(event).is_some_and(|target| !menu.contains(Some(&target)))
        {
            drop(menu.remove_attribute("open"));
        }
    });
    on(&document(), "copy", feed, |feed, event| {
        let data = event.unchecked_ref::<ClipboardEvent>().clipboard_data();
        if let Some(data) = data.filter(|_| !typing() && nothing_marked())
            && let Some(text) = feed.0.borrow().copied()
            && data.set_data("text/plain", &text).is_ok()
        {
            event.prevent_default();
        }
    });
    if id == "log" {
        on(&window(), "keydown", feed, |_, event| {
            let key: &KeyboardEvent = event.unchecked_ref();
            if key.key() == "/"
                && !key.ctrl_key()
                && !key.meta_key()
                && !key.alt_key()
                && !typing()
                && let Some(search) = html("log-search").map(JsCast::unchecked_into::<HtmlInputElement>)
            {
                event.prevent_default();
                drop(search.focus());
                search.select();
            }
        });
    }
    let resized = Closure::<dyn FnMut()>::new({
        let feed = feed.clone();
        move || feed.resized()
    });
    ResizeObserver::new(resized.into_js_value().unchecked_ref()).ok()?.observe(&scroller);
    Some(())
}

/// The live log's window, and that of a past run where there is one.
pub fn attach(feed: &Feed) {
    if pane(feed, "log").is_none() {
        leptos::logging::warn!("the log window is not there");
    }
    super::past::open(feed);
}

fn on(target: &EventTarget, event: &str, feed: &Feed, heard: fn(&Feed, &Event)) {
    let feed = feed.clone();
    let listener = Closure::<dyn FnMut(Event)>::new(move |event: Event| heard(&feed, &event));
    drop(target.add_event_listener_with_callback(event, listener.into_js_value().unchecked_ref()));
}

fn target(event: &Event) -> Option<Element> {
    event.target()?.dyn_into().ok()
}

fn clicked(feed: &Feed, event: &Event) {
    let Some(target) = target(event) else { return };
    if let Ok(Some(control)) = target.closest("[data-do]") {
        event.prevent_default();
        act(feed, &control.get_attribute("data-do").unwrap_or_default());
        return;
    }
    let Some(id) = feed.0.borrow().id_of(&target) else { return };
    let is = |class| target.class_list().contains(class);
    if is("time") {
        feed.select(id, event.unchecked_ref::<MouseEvent>().shift_key());
    } else if is("link") {
        feed.fill(id);
    } else if is("fold") || (nothing_marked() && folded(&target)) {
        feed.toggle(Some(id));
    }
}

/// The row of a group that is folded.
fn folded(target: &Element) -> bool {
    let button =
        target.closest(".row").ok().flatten().and_then(|row| row.query_selector(".fold.more").ok().flatten());
    button.is_some_and(|button| button.get_attribute("aria-expanded").as_deref() == Some("false"))
}

fn changed(feed: &Feed, event: &Event) {
    let Some(field) = target(event) else { return };
    let id = field.id();
    let field: &HtmlInputElement = field.unchecked_ref();
    match id.split_once('-').map_or("", |(_, name)| name) {
        "lowest" => {
            if let Some(controls) = &feed.0.borrow().controls {
                controls.choose_lowest();
            }
            feed.controls_changed();
        }
        "position" => feed.jump(field.value().parse().unwrap_or(1), false),
        "time" => feed.jump_to_time(&field.value()),
        _ => feed.controls_changed(),
    }
}

/// Does what a control with `data-do` says.
fn act(feed: &Feed, what: &str) {
    match what {
        "follow" => feed.follow(None),
        "earlier" => feed.load_earlier(),
        "start" => feed.start(),
        "end" => feed.end(),
        "error" => feed.step(true, What::Error),
        "error-before" => feed.step(false, What::Error),
        "next" => feed.step(true, What::Match),
        "previous" => feed.step(false, What::Match),
        "only" => {
            if let Some(controls) = &feed.0.borrow().controls {
                controls.turn("only");
            }
            feed.controls_changed();
        }
        _ => {}
    }
}

/// A key in the window; `None` when it means nothing here.
fn key(feed: &Feed, event: &KeyboardEvent) -> Option<()> {
    let target = target(event)?;
    let (key, shift) = (event.key(), event.shift_key());
    let command = event.ctrl_key() || event.meta_key();
    if key == "F3" || (key == "Enter" && target.id().ends_with("-search")) {
        feed.step(!shift, What::Match);
        return Some(());
    }
    if key == "Escape"
        && let Ok(Some(menu)) = target.closest("details[open]")
    {
        drop(menu.remove_attribute("open"));
        if let Ok(Some(summary)) = menu.query_selector("summary") {
            drop(summary.unchecked_ref::<web_sys::HtmlElement>().focus());
        }
        return Some(());
    }
    target.closest(".log").ok()??;
    match (key.as_str(), command) {
        ("a" | "A", true) => feed.select_all(),
        (_, true) => return None,
        ("End", _) => feed.end(),
        ("Home", _) => feed.start(),
        ("e", _) => feed.step(true, What::Error),
        ("E", _) => feed.step(false, What::Error),
        ("n", _) => feed.step(true, What::Match),
        ("N", _) => feed.step(false, What::Match),
        ("ArrowDown", _) if shift => feed.arrow(true),
        ("ArrowUp", _) if shift => feed.arrow(false),
        ("Escape", _) => feed.clear(),
        // On a button of a row it is the button's.
        ("Enter", _) if !target.matches("button").unwrap_or(false) => return feed.toggle(None).then_some(()),
        _ => return None,
    }
    Some(())
}

fn typing() -> bool {
    let tag = document().active_element().map(|element| element.tag_name());
    tag.is_some_and(|tag| matches!(tag.as_str(), "INPUT" | "TEXTAREA" | "SELECT"))
}

/// No text of the page is marked.
fn nothing_marked() -> bool {
    window().get_selection().ok().flatten().is_none_or(|marked| marked.is_collapsed())
}
