//! What Python prints without a logger: tracebacks, warnings, and the errors of its argument parser.

use super::level::{Continuation, Traceback};
use app::model::{Level, LineKind};

/// How a traceback begins.
const TRACEBACK: &str = "Traceback (most recent call last):";

/// Lines of an exception's message that are taken for its own though they are not indented.
const MESSAGE_LINES: u8 = 4;

/// The level of a line that does not say one, from its shape and what came before.
pub fn inherit(line: &str, before: Continuation) -> (Level, Continuation) {
    let error = |traceback| (Level::Error, Continuation { traceback, ..Continuation::of(Level::Error) });
    let Some(first) = line.bytes().next() else {
        // An empty line belongs to a traceback around it and else to nobody; it ends no continuation.
        return match before.traceback {
            Traceback::None => (Level::Other, before),
            Traceback::Frames => error(Traceback::Frames),
            Traceback::Message(_) => error(Traceback::Message(0)),
        };
    };
    if line.contains(TRACEBACK) {
        return error(Traceback::Frames);
    }
    if matches!(first, b' ' | b'\t') {
        return (before.level, before);
    }
    match before.traceback {
        Traceback::Frames if exception(line) => return error(Traceback::Message(MESSAGE_LINES)),
        Traceback::Frames | Traceback::Message(_) if leads_on(line) => {
            return error(Traceback::Frames);
        }
        _ => {}
    }
    if warning(line) {
        return (Level::Warning, Continuation::of(Level::Warning));
    }
    if names_an_error(line) {
        return error(Traceback::Message(0));
    }
    match before.traceback {
        Traceback::Message(left @ 1..) => error(Traceback::Message(left - 1)),
        _ => (Level::Other, Continuation::default()),
    }
}

/// What a line without a head is, from its shape, what came before, and what that made of it.
pub fn kind(line: &str, before: Continuation, next: Continuation) -> LineKind {
    let frames = |it: Continuation| it.traceback == Traceback::Frames;
    if frames(next) || (frames(before) && matches!(next.traceback, Traceback::Message(MESSAGE_LINES))) {
        LineKind::Trace
    } else if is_bar(line) {
        LineKind::Bar
    } else {
        LineKind::None
    }
}

/// What a line of a logger is within a traceback that it writes line by line, and whether more of that is to come. `None`
/// for a line that belongs to none.
pub fn logged(message: &str, level: Level, before: Continuation) -> Option<bool> {
    if message.starts_with(TRACEBACK) || leads_on(message) {
        return Some(true);
    }
    if !before.logged || before.level != level {
        return None;
    }
    match message.bytes().next() {
        None | Some(b' ' | b'\t') => Some(true),
        Some(_) => exception(message).then_some(false),
    }
}

/// The sentence between two tracebacks of which one led to the other.
fn leads_on(line: &str) -> bool {
    line.starts_with("The above exception was") || line.starts_with("During handling of the above")
}

/// A step of tqdm's bar: `…| 2/5 [00:01<00:02, 1.50it/s]`.
fn is_bar(line: &str) -> bool {
    let Some(inner) = line.strip_suffix(']') else { return false };
    let Some((head, inside)) = inner.rsplit_once(" [") else { return false };
    let done = head.rsplit([' ', '|']).next().unwrap_or_default();
    let digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    digit(done)
        && done.split_once('/').is_some_and(|(_, total)| digit(total))
        && digit(inside)
        && inside.contains(['<', ','])
        && inside.contains(':')
}

/// `package.module.SomeError: text` or `KeyboardInterrupt`: the last line of a traceback.
fn exception(line: &str) -> bool {
    let name = line.split_once(':').map_or(line, |(name, _)| name);
    dotted(name)
        && name.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_uppercase()))
}

fn dotted(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'(' | b')'))
}

/// `…/file.py:12: FutureWarning: text` or `SomeWarning: text`.
fn warning(line: &str) -> bool {
    line.find("Warning: ").is_some_and(|at| {
        let head = line.get(..at).unwrap_or_default();
        let before_class = head.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
        before_class.is_empty()
            || before_class
                .strip_suffix(": ")
                .is_some_and(|place| place.ends_with(|c: char| c.is_ascii_digit()))
    })
}

/// `SomeError: text`, `prog command: error: text` (argparse), `Process NAME:` (multiprocessing, before a traceback).
fn names_an_error(line: &str) -> bool {
    if let Some((name, _)) = line.split_once(": error: ") {
        return name.len() <= 60 && name.split(' ').count() <= 3;
    }
    if let Some(name) = line.strip_prefix("Process ").and_then(|rest| rest.strip_suffix(':')) {
        return !name.contains([' ', ':']);
    }
    match line.split_once(": ") {
        Some((name, _)) => (name.ends_with("Error") || name.ends_with("Exception")) && exception(name),
        None => false,
    }
}
