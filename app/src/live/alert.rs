//! Notifications of this browser: what failed, and what answers again, as the stream tells it.
//!
//! The switch and its words are in a part that the server writes; which of them is to be seen says `data-notify` on `<html>`:
//! `insecure`, `denied`, `off`, `on`. Several tabs give a notification of one event the same tag, so that it is shown once.

use crate::model::{Service, ServiceName, State, Timestamp};

/// Services that are down, and since which failure.
pub type Down = Vec<(ServiceName, Timestamp)>;

/// When what happened that is worth a notification: a failure that was not there before, or the end of one.
pub fn news(down: &mut Down, service: &Service) -> Option<Timestamp> {
    let known = down.iter().position(|(name, _)| *name == service.name);
    match (&service.state, known) {
        (State::Failed { failure }, None) => {
            down.push((service.name.clone(), failure.at));
            Some(failure.at)
        }
        (State::Failed { failure }, Some(known)) => {
            let told = &mut down[known].1;
            (std::mem::replace(told, failure.at) != failure.at).then_some(failure.at)
        }
        (State::Running { since }, Some(known)) => {
            down.swap_remove(known);
            Some(*since)
        }
        _ => None,
    }
}

#[cfg(feature = "hydrate")]
pub use browser::{begin, changed};

#[cfg(feature = "hydrate")]
mod browser {
    use super::{Down, news};
    use crate::live::World;
    use crate::model::Service;
    use js_sys::{Array, Function, Object, Promise, Reflect};
    use leptos::prelude::*;
    use std::cell::RefCell;
    use wasm_bindgen::{JsCast, JsValue};
    use web_sys::{Element, Event};

    /// Where this browser keeps that it was switched on.
    const KEY: &str = "notify";

    thread_local! {
        static DOWN: RefCell<Down> = const { RefCell::new(Vec::new()) };
    }

    fn get(of: &JsValue, name: &str) -> Option<JsValue> {
        Reflect::get(of, &name.into()).ok().filter(|it| !it.is_undefined())
    }

    /// What the switch shows.
    fn state() -> &'static str {
        let window = window();
        let secure = get(&window, "isSecureContext").is_some_and(|it| it.is_truthy());
        let Some(api) = get(&window, "Notification").filter(|_| secure) else { return "insecure" };
        let allowed = get(&api, "permission").and_then(|it| it.as_string());
        let wanted = window.local_storage().ok().flatten().and_then(|kept| kept.get_item(KEY).ok()?);
        match (allowed.as_deref(), wanted) {
            (Some("denied"), _) => "denied",
            (Some("granted"), Some(_)) => "on",
            _ => "off",
        }
    }

    fn show() {
        if let Some(root) = document().document_element() {
            drop(root.set_attribute("data-notify", state()));
        }
    }

    fn keep(on: bool) {
        if let Ok(Some(kept)) = window().local_storage() {
            drop(if on { kept.set_item(KEY, "1") } else { kept.remove_item(KEY) });
        }
        show();
    }

    /// Makes the switch live; what is down already is no news.
    pub fn begin(world: World) {
        DOWN.with_borrow_mut(|down| {
            for watched in world.services.get_untracked() {
                watched.service.with_untracked(|service| news(down, service));
            }
        });
        show();
        drop(window_event_listener_untyped("click", |event: Event| {
            let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
            if target.and_then(|it| it.closest("[data-notify-switch]").ok()?).is_none() {
                return;
            }
            if state() == "on" {
                keep(false);
                return;
            }
            let asked = get(&window(), "Notification").and_then(|api| {
                let ask: Function = get(&api, "requestPermission")?.dyn_into().ok()?;
                ask.call0(&api).ok()?.dyn_into::<Promise>().ok()
            });
            if let Some(asked) = asked {
                leptos::task::spawn_local(async move {
                    drop(wasm_bindgen_futures::JsFuture::from(asked).await);
                    keep(true);
                });
            }
        }));
    }

    /// A service went from one state to another.
    pub fn changed(world: &World, service: &Service) {
        let Some(at) = DOWN.with_borrow_mut(|down| news(down, service)) else { return };
        if state() != "on" {
            return;
        }
        let title = (world.words.changed)(&service.title, (world.words.state)(&service.state));
        let options = Object::new();
        let tag = format!("{} {}", service.name, at.millis());
        for (name, value) in [("tag", tag), ("body", (world.words.sentence)(service).what)] {
            drop(Reflect::set(&options, &name.into(), &value.into()));
        }
        if let Some(api) = get(&window(), "Notification").and_then(|api| api.dyn_into::<Function>().ok()) {
            // Some browsers of phones want a worker for it, and refuse.
            drop(Reflect::construct(&api, &Array::of2(&title.into(), &options)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Failure, FailureKind};
    use crate::tests::service;

    fn failed(at: i64) -> Service {
        let kind = FailureKind::Exited { code: 1, was_ready: true };
        let failure = Failure { kind, at: Timestamp::from_millis(at), diagnosis: None };
        Service { state: State::Failed { failure: Box::new(failure) }, ..service("vllm") }
    }

    fn running(at: i64) -> Service {
        Service { state: State::Running { since: Timestamp::from_millis(at) }, ..service("vllm") }
    }

    #[test]
    fn a_failure_is_news_once_and_so_is_its_end() {
        let mut down = Vec::new();
        let at = |ms| Some(Timestamp::from_millis(ms));
        assert_eq!(news(&mut down, &running(1)), None, "it was not down");
        assert_eq!(news(&mut down, &failed(5)), at(5));
        assert_eq!(news(&mut down, &failed(5)), None, "the engine was away meanwhile");
        assert_eq!(news(&mut down, &service("vllm")), None, "it is started again");
        assert_eq!(news(&mut down, &failed(9)), at(9));
        assert_eq!(news(&mut down, &running(12)), at(12));
        assert_eq!(news(&mut down, &running(13)), None);
    }
}
