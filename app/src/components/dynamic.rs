//! What changes on the page. Every closure of a view would otherwise be a type of its own, with its own copy of the
//! renderer's code: behind these two doors there are two.

use leptos::prelude::*;
use std::sync::Arc;

/// Text that is written anew when a signal in it changes.
pub fn text(write: impl Fn() -> String + Send + Sync + 'static) -> AnyView {
    any_text(Arc::new(write))
}

/// Text that may be none: then nothing is there, not even the space that holds the place of an empty text.
pub fn some_text(write: impl Fn() -> Option<String> + Send + Sync + 'static) -> AnyView {
    part(move || write().map_or_else(nothing, IntoAny::into_any))
}

/// A part of the page that is made anew when a signal in it changes.
pub fn part(make: impl Fn() -> AnyView + Send + Sync + 'static) -> AnyView {
    any_part(Arc::new(make))
}

/// Nothing.
pub fn nothing() -> AnyView {
    ().into_any()
}

fn any_text(write: Arc<dyn Fn() -> String + Send + Sync>) -> AnyView {
    (move || write()).into_any()
}

fn any_part(make: Arc<dyn Fn() -> AnyView + Send + Sync>) -> AnyView {
    (move || make()).into_any()
}
