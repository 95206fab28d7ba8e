//! Tests of the room: one file for each part, and one that throws anything at all of them.

mod any;
mod check;
mod command;
mod paste;
mod typed;
mod words;

fn list(line: &str) -> Vec<String> {
    super::words(line).expect("words")
}
