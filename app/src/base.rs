//! Where the dashboard lives on its host: at the root, or below a path that a proxy in front keeps for it.
//!
//! One process serves one base, so it is told once: on the server from the settings, in the browser from the page. Every
//! address that leaves us goes through [`at`]; requests lose the base at the door, before anybody looks at their path.

use std::sync::OnceLock;

static BASE: OnceLock<String> = OnceLock::new();

/// Says where everything lives, such as `/llm`; an empty text is the root. The first word counts.
pub fn live_below(base: &str) {
    let _ = BASE.set(base.to_owned());
}

/// The base: empty, or `/…` without a slash at the end.
pub fn base() -> &'static str {
    BASE.get().map_or("", String::as_str)
}

/// An address of ours, which begins with `/`, as others must write it.
pub fn at(path: impl AsRef<str>) -> String {
    [base(), path.as_ref()].concat()
}
