//! Bytes of a log → lines → their level, source and phase. A line's text must be a part of the line, and the lines are the same
//! however the bytes are cut.

#![no_main]

use app::model::Stream;
use fuzz::logs::{Cleaner, Continuation, JsonLine, Splitter, Text, classify_common};
use fuzz::vllm::{grammar, phases::PhaseTracker};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut splitter = Splitter::default();
    let mut cleaner = Cleaner::default();
    let mut phases = PhaseTracker::default();
    let (mut ours, mut common) = (Continuation::default(), Continuation::default());
    let mut line = |bytes: &[u8]| {
        let (text, _) = cleaner.clean(bytes);
        let _ = JsonLine::read(text);
        let read = grammar::classify(Stream::Stdout, text, ours);
        ours = read.next;
        if let Text::Part(part) = read.text {
            assert!(text.get(part).is_some(), "a part that the line does not have");
        }
        common = classify_common(Stream::Stderr, text, common).next;
        let _ = phases.line(text, Stream::Stdout);
    };
    let mut whole = Vec::new();
    splitter.push(0, data, |raw| {
        whole.push(raw.bytes.to_vec());
        line(raw.bytes);
    });
    splitter.finish(|raw| {
        whole.push(raw.bytes.to_vec());
        line(raw.bytes);
    });
    // Cut where the bytes themselves say.
    let mut cut = Vec::new();
    let mut rest = data;
    while let Some(first) = rest.first() {
        let (piece, after) = rest.split_at((1 + usize::from(first % 32)).min(rest.len()));
        splitter.push(0, piece, |raw| cut.push(raw.bytes.to_vec()));
        rest = after;
    }
    splitter.finish(|raw| cut.push(raw.bytes.to_vec()));
    assert!(whole == cut, "other lines where the bytes are cut");
});
