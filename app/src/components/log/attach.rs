//! What ties the log window to the browser: scrolling, size, keys.

use super::{Ask, Log};
use crate::model::Level;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{HtmlElement, HtmlInputElement, KeyboardEvent, ResizeObserver, WheelEvent};

/// Lets the painter take over the rows that the server rendered. To be called once the page is hydrated.
pub fn attach(log: &Log) -> Option<()> {
    let (feed, scroller) = (log.feed()?, html("log")?);
    feed.attach(scroller.clone(), html("log-size")?, html("log-rows")?);
    restore(log);

    let on_scroll = Closure::<dyn FnMut()>::new({
        let feed = feed.clone();
        move || feed.scrolled()
    });
    scroller.set_onscroll(Some(on_scroll.as_ref().unchecked_ref()));
    let on_wheel = Closure::<dyn FnMut(WheelEvent)>::new({
        let feed = feed.clone();
        move |event: WheelEvent| {
            if event.delta_y() < 0.0 {
                feed.wheel_up();
            }
        }
    });
    scroller.set_onwheel(Some(on_wheel.as_ref().unchecked_ref()));
    let on_key = Closure::<dyn FnMut(KeyboardEvent)>::new({
        let log = log.clone();
        move |event: KeyboardEvent| {
            if event.key() == "End" {
                event.prevent_default();
                log.ask(Ask::Follow(true));
            }
        }
    });
    scroller.set_onkeydown(Some(on_key.as_ref().unchecked_ref()));
    let on_resize = Closure::<dyn FnMut()>::new({
        let feed = feed.clone();
        move || feed.resized()
    });
    let observer = ResizeObserver::new(on_resize.as_ref().unchecked_ref()).ok();
    if let Some(observer) = &observer {
        observer.observe(&scroller);
    }
    let slash = window_event_listener(leptos::ev::keydown, |event| {
        if event.key() == "/"
            && !event.ctrl_key()
            && !event.meta_key()
            && !event.alt_key()
            && !typing()
            && let Some(search) = element("log-search")
        {
            event.prevent_default();
            drop(search.focus());
            search.select();
        }
    });

    let held =
        StoredValue::new_local(Some((feed, scroller, observer, on_scroll, on_wheel, on_key, on_resize)));
    on_cleanup(move || {
        slash.remove();
        if let Some((feed, scroller, observer, ..)) = held.try_update_value(Option::take).flatten() {
            feed.detach();
            scroller.set_onscroll(None);
            scroller.set_onwheel(None);
            scroller.set_onkeydown(None);
            if let Some(observer) = observer {
                observer.disconnect();
            }
        }
    });
    Some(())
}

/// Filters that were touched before the page came alive hold from now on.
fn restore(log: &Log) {
    for level in Level::ALL {
        if element(&format!("level-{}", level.as_str())).is_some_and(|input| !input.checked()) {
            log.ask(Ask::Level(level, false));
        }
    }
    if let Some(text) = element("log-search").map(|input| input.value()).filter(|text| !text.is_empty()) {
        log.ask(Ask::Search(text));
    }
}

fn html(id: &str) -> Option<HtmlElement> {
    document().get_element_by_id(id)?.dyn_into().ok()
}

fn element(id: &str) -> Option<HtmlInputElement> {
    html(id)?.dyn_into().ok()
}

fn typing() -> bool {
    let tag = document().active_element().map(|element| element.tag_name());
    tag.is_some_and(|tag| matches!(tag.as_str(), "INPUT" | "TEXTAREA" | "SELECT"))
}
