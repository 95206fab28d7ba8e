//! What the command prints, in English: the page's own words, so that both say the same.

use super::report::Outcome;
use app::locales::{Lang, Words};
use app::model::{Diagnosis, Remedy};

fn english() -> &'static Words {
    Lang::En.words()
}

/// The words of an outcome.
pub const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ready => "ready: the server came up",
        Outcome::Failed => "failed: it did not come up, or ended although nobody asked",
        Outcome::Stopped => "stopped: it was asked to end",
        Outcome::Incomplete => "incomplete: the log ends before anything was decided",
    }
}

/// A cause in one sentence, with its numbers.
pub fn cause(it: &Diagnosis) -> String {
    (english().cause)(it)
}

/// A way out, with the change that makes it.
pub fn advice(it: &Diagnosis, remedy: &Remedy) -> String {
    let advice = (english().advice)(remedy.advice, &it.facts);
    match &remedy.change {
        Some(change) => format!("{advice} {}.", (english().change)(change)),
        None => advice,
    }
}
