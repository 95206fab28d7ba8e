//! A part of the page that the server writes and the browser only shows: forms and tables that need no code of their own there.
//!
//! It works without JavaScript: its forms are plain forms. With it they are sent by `fetch`, and what comes back takes the
//! place of the part that it names. A form with `data-check` is sent there while one types; the answer goes into its
//! `[data-checked]`. The part is loaded anew when `fresh` changes, unless somebody is writing in it.

use leptos::prelude::*;

/// A part by its address under `/parts/`; `html` is what the server wrote into the first view.
#[component]
pub fn Part(id: String, html: String, #[prop(into)] fresh: Signal<u64>) -> AnyView {
    #[cfg(feature = "hydrate")]
    browser::enliven(id.clone(), fresh);
    #[cfg(not(feature = "hydrate"))]
    let _ = fresh;
    view! { <div class="part" data-part=id inner_html=html></div> }.into_any()
}

#[cfg(feature = "hydrate")]
mod browser {
    use leptos::prelude::*;
    use std::time::Duration;
    use wasm_bindgen::JsCast;
    use web_sys::{Element, Event, HtmlFormElement, SubmitEvent};

    /// How long a typist rests before what was typed is checked.
    const REST: Duration = Duration::from_millis(250);

    fn find(id: &str) -> Option<Element> {
        document().query_selector(&format!("[data-part=\"{id}\"]")).ok().flatten()
    }

    /// Makes a part live: from now until it is taken away.
    pub fn enliven(id: String, fresh: Signal<u64>) {
        let dirty = StoredValue::new(false);
        let typed = StoredValue::new(0_u32);
        let submit = window_event_listener_untyped("submit", {
            let id = id.clone();
            move |event: Event| submitted(&id, dirty, &event)
        });
        let input = window_event_listener_untyped("input", {
            let id = id.clone();
            move |event: Event| {
                let Some(form) = form_of(&id, &event) else { return };
                let Some(address) = form.get_attribute("data-check") else { return };
                dirty.set_value(true);
                typed.update_value(|n| *n = n.wrapping_add(1));
                let now = typed.get_value();
                set_timeout(
                    move || {
                        // Only the last key of a word is followed by a rest.
                        if typed.try_get_value() == Some(now) {
                            check(address, form, typed, now);
                        }
                    },
                    REST,
                );
            }
        });
        on_cleanup(move || {
            submit.remove();
            input.remove();
        });
        Effect::new(move |before: Option<u64>| {
            let now = fresh.get();
            let place = find(&id);
            let empty = before.is_none() && place.as_ref().is_some_and(|e| e.inner_html().is_empty());
            let kept =
                dirty.get_value() || place.as_ref().is_some_and(|place| waits(place) || shows(place, now));
            if empty || (before.is_some_and(|b| b != now) && !kept) {
                let id = id.clone();
                leptos::task::spawn_local(async move {
                    let Some(html) = crate::fetch::text(&crate::at(format!("/parts/{id}"))).await else {
                        return;
                    };
                    // A form was sent or answered meanwhile: that is newer.
                    if empty || find(&id).is_some_and(|place| !waits(&place) && !shows(&place, now)) {
                        put(&id, &html);
                    }
                });
            }
            now
        });
    }

    /// Something in it waits for a person, or for its answer.
    fn waits(place: &Element) -> bool {
        place.query_selector("[data-hold], form[aria-busy=true]").ok().flatten().is_some()
    }

    /// It shows this state of things already: the news are its own.
    fn shows(place: &Element, fresh: u64) -> bool {
        place.get_attribute("data-fresh").and_then(|n| n.parse().ok()) == Some(fresh)
    }

    /// The form of this part that an event came from.
    fn form_of(id: &str, event: &Event) -> Option<HtmlFormElement> {
        let target: Element = event.target()?.dyn_into().ok()?;
        let form: HtmlFormElement = target.closest("form").ok()??.dyn_into().ok()?;
        let part = form.closest("[data-part]").ok()??;
        (part.get_attribute("data-part").as_deref() == Some(id)).then_some(form)
    }

    fn submitted(id: &str, dirty: StoredValue<bool>, event: &Event) {
        let Some(form) = form_of(id, event) else { return };
        event.prevent_default();
        // Twice is once.
        if form.get_attribute("aria-busy").as_deref() == Some("true") {
            return;
        }
        drop(form.set_attribute("aria-busy", "true"));
        let submitter = event.dyn_ref::<SubmitEvent>().and_then(SubmitEvent::submitter);
        let address = submitter
            .as_ref()
            .and_then(|button| button.get_attribute("formaction"))
            .or_else(|| form.get_attribute("action"))
            .unwrap_or_default();
        let mut body = fields(&form);
        // Which button it was.
        let name =
            submitter.as_ref().and_then(|b| Some((b.get_attribute("name")?, b.get_attribute("value")?)));
        if let Some((name, value)) = name {
            body.push_str(&format!("&{name}={}", String::from(js_sys::encode_uri_component(&value))));
        }
        let id = id.to_owned();
        leptos::task::spawn_local(async move {
            match crate::fetch::part(&address, &body).await {
                Ok(answer) => {
                    // A form that was not taken still holds what was written.
                    if answer.part == id && !answer.html.contains("data-hold") {
                        dirty.try_set_value(false);
                    }
                    drop(form.remove_attribute("aria-busy"));
                    put(&answer.part, &answer.html);
                    if let Some((place, fresh)) = find(&answer.part).zip(answer.fresh) {
                        drop(place.set_attribute("data-fresh", &fresh.to_string()));
                    }
                }
                Err(detail) => {
                    drop(form.remove_attribute("aria-busy"));
                    if let Some(place) = form.query_selector("[data-checked]").ok().flatten() {
                        place.set_text_content(Some(&detail));
                    }
                }
            }
        });
    }

    fn check(address: String, form: HtmlFormElement, typed: StoredValue<u32>, now: u32) {
        leptos::task::spawn_local(async move {
            let body = fields(&form);
            let Ok(answer) = crate::fetch::part(&address, &body).await else { return };
            // What was typed meanwhile is checked by itself.
            if typed.try_get_value() == Some(now)
                && let Some(place) = form.query_selector("[data-checked]").ok().flatten()
            {
                place.set_inner_html(&answer.html);
            }
        });
    }

    /// The form's fields as a form would send them.
    fn fields(form: &HtmlFormElement) -> String {
        web_sys::FormData::new_with_form(form)
            .ok()
            .and_then(|data| web_sys::UrlSearchParams::new_with_str_sequence_sequence(&data).ok())
            .map(|all| String::from(all.to_string()))
            .unwrap_or_default()
    }

    /// Puts what the server wrote into its place. What it marks gets the focus.
    fn put(id: &str, html: &str) {
        let Some(place) = find(id) else { return };
        let open: Vec<String> = ids_of(&place, "details[open][id]");
        place.set_inner_html(html);
        for id in open {
            if let Some(details) = document().get_element_by_id(&id) {
                drop(details.set_attribute("open", ""));
            }
        }
        if let Some(marked) = place.query_selector("[data-focus]").ok().flatten() {
            marked.scroll_into_view_with_bool(true);
            if let Ok(marked) = marked.dyn_into::<web_sys::HtmlElement>() {
                drop(marked.focus());
            }
        }
    }

    fn ids_of(place: &Element, selector: &str) -> Vec<String> {
        let Ok(list) = place.query_selector_all(selector) else { return Vec::new() };
        (0..list.length()).filter_map(|at| Some(list.item(at)?.dyn_into::<Element>().ok()?.id())).collect()
    }
}
