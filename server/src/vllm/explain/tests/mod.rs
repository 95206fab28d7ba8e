//! Logs and what must come of them.

mod envelopes;
mod fragments;
mod live;
mod misleading;
mod recordings;
mod remedies;

use super::{Explanation, Outcome, explain};
use app::model::Cause;

/// Where the recordings are.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings");

fn of(text: &str) -> Explanation {
    explain(text.as_bytes()).expect("memory can be read")
}

fn verdict(found: &Explanation) -> (Outcome, Option<Cause>) {
    (found.outcome, found.cause)
}

/// The id of a cause, as in the files.
fn id(cause: Option<Cause>) -> String {
    cause.map_or_else(|| "-".to_owned(), |c| c.id().to_owned())
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ready => "ready",
        Outcome::Failed => "failed",
        Outcome::Stopped => "stopped",
        Outcome::Incomplete => "incomplete",
    }
}

/// The fragments: what is expected, their title, their text.
fn fragments() -> Vec<(String, String, String)> {
    let file = std::fs::read_to_string(format!("{FOLDER}/fragments.txt")).expect("the file is there");
    file.split("\n### ")
        .skip(1)
        .map(|part| {
            let (head, text) = part.split_once('\n').expect("a text under the heading");
            let (want, title) = head.split_once(" | ").expect("a title");
            (want.to_owned(), title.to_owned(), text.trim_end().to_owned() + "\n")
        })
        .collect()
}
