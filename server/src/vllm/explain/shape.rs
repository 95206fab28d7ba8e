//! The shape of a line: where its message begins, and what part of a traceback it is.

use app::model::Level;

/// What a line is, by its form alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Nothing.
    Blank,
    /// `Traceback (most recent call last):`
    Traceback,
    /// `  File "…", line 10, in main`
    Frame,
    /// Any other indented line.
    Indented,
    /// `package.SomeError: text`: the line of a traceback that names the exception.
    Exception,
    /// Something else.
    Text,
}

/// The shape of a message. Among frames every class may be an exception, elsewhere its name must say so.
pub fn shape(text: &str, among_frames: bool) -> Shape {
    let Some(first) = text.bytes().next() else { return Shape::Blank };
    if first == b' ' || first == b'\t' {
        let inner = text.trim_start();
        return match inner.as_bytes() {
            [] => Shape::Blank,
            // A group of exceptions draws a bar at the left.
            [b'|', b' ', ..] => shape(inner.get(2..).unwrap_or_default(), among_frames),
            [b'+', ..] if inner.contains("Traceback (most recent") => Shape::Traceback,
            [b'F', b'i', b'l', b'e', b' ', ..] => Shape::Frame,
            _ if inner.starts_with("Traceback (most recent call last)") => Shape::Traceback,
            _ => Shape::Indented,
        };
    }
    if text.get(..text.floor_char_boundary(160)).unwrap_or(text).contains("Traceback (most recent call last)")
    {
        return Shape::Traceback;
    }
    if text.starts_with("File \"") && text.contains(", line ") {
        return Shape::Frame;
    }
    if exception(text, among_frames) { Shape::Exception } else { Shape::Text }
}

fn exception(text: &str, among_frames: bool) -> bool {
    let name = text.split_once(':').map_or(text, |(name, _)| name);
    // Ray: `ray.exceptions.RayTaskError(ValueError)`.
    let name = name.split_once('(').filter(|(_, inner)| inner.ends_with(')')).map_or(name, |(name, _)| name);
    let dotted = !name.is_empty()
        && name.len() <= 160
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'));
    if !dotted {
        return false;
    }
    let class = name.rsplit('.').next().unwrap_or(name);
    let capital = class.starts_with(|c: char| c.is_ascii_uppercase());
    let says_so = ["Error", "Exception", "Interrupt", "Exit", "NotFound", "Warning", "Group"]
        .iter()
        .any(|end| class.ends_with(end));
    capital
        && (says_so && (name.len() < text.len() || class.len() > 5)
            || among_frames && name.len() < text.len())
}

/// `[core.py:133] text`, `[v1/engine/core.py:133] text`, `core.py:133] text`: place and message. The place is empty where
/// there is none.
pub fn place(text: &str) -> (&str, &str) {
    let (place, message) = bare_place(undated(text));
    (place, unranked(message))
}

/// torchrun's `[rank0]: ` in front of a raw line.
fn unranked(text: &str) -> &str {
    let stripped = text.strip_prefix("[rank").and_then(|rest| {
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("]:")?;
        Some(rest.strip_prefix(' ').unwrap_or(rest))
    });
    stripped.unwrap_or(text)
}

fn bare_place(text: &str) -> (&str, &str) {
    let head = text.get(..text.floor_char_boundary(100)).unwrap_or(text);
    let Some(end) = head.find(']') else { return ("", text) };
    let inside = head.get(..end).unwrap_or_default();
    let inside = inside.strip_prefix('[').unwrap_or(inside);
    if inside.contains(' ') || !(inside.contains(".py:") || inside.ends_with(".py")) {
        return ("", text);
    }
    let rest = text.get(end + 1..).unwrap_or_default();
    (inside, rest.strip_prefix(' ').unwrap_or(rest))
}

/// Some print the time of the day without its seconds, which the grammar leaves alone: `02-13 18:05 [core.py:1] text`.
fn undated(text: &str) -> &str {
    let bytes = text.as_bytes();
    let fits = |shape: &[u8]| {
        bytes.len() > shape.len()
            && bytes.iter().zip(shape).all(|(b, s)| if *s == b'0' { b.is_ascii_digit() } else { b == s })
    };
    if fits(b"00-00 00:00 ") { text.get(12..).unwrap_or(text) } else { text }
}

/// `(VllmWorker rank=1 pid=103080) text`: a process whose name has spaces, which the grammar does not take for one.
pub fn spaced_process(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('(')?;
    let end = inner.bytes().take(120).position(|b| b == b')')?;
    let (name, pid) = inner.get(..end)?.split_once(" pid=")?;
    let named =
        name.starts_with(|c: char| c.is_ascii_alphabetic()) && pid.starts_with(|c: char| c.is_ascii_digit());
    let rest = inner.get(end + 1..)?;
    named.then_some((name, rest.strip_prefix(' ').unwrap_or(rest)))
}

/// Numbers of the program's own processes in the brackets at the start of a line.
pub fn own_pids(line: &str) -> impl Iterator<Item = u32> {
    let head = line.get(..line.floor_char_boundary(120)).unwrap_or(line);
    head.match_indices(" pid=").filter_map(move |(at, mark)| {
        let rest = head.get(at + mark.len()..)?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        (rest.get(digits..)?.starts_with([')', ','])).then(|| rest.get(..digits)?.parse().ok())?
    })
}

/// What every start or stop prints: it helps nobody.
pub fn chatter(text: &str) -> bool {
    text.contains("Triton is installed, but")
        || text.contains("Triton not installed")
        || text.contains("via the `--model` option")
        || text.contains("[shutdown] ")
        || text.contains("received signal=SIG")
        || text.contains("resource_tracker")
        || text.contains("FutureWarning")
        || text.contains("UserWarning")
        || text.contains("warnings.warn")
}

/// Lines that a failure prints and that help nobody.
pub fn useless(text: &str, level: Level) -> bool {
    level == Level::Warning
        || chatter(text)
        || text.contains("Warning")
        || text.contains("%|")
        || text.contains("it/s]")
        || text.contains("For further information visit")
        || text.starts_with("[W")
        || text.starts_with("[rank")
        || text.starts_with("The above exception was")
        || text.starts_with("During handling of")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_traceback_are_told_apart() {
        let cases = [
            ("", Shape::Blank),
            ("   ", Shape::Blank),
            ("Traceback (most recent call last):", Shape::Traceback),
            ("EngineCore hit an exception: Traceback (most recent call last):", Shape::Traceback),
            ("  + Exception Group Traceback (most recent call last):", Shape::Traceback),
            ("  File \"/a.py\", line 1, in f", Shape::Frame),
            ("    raise ValueError(", Shape::Indented),
            ("ValueError: text", Shape::Exception),
            ("    | ValueError: text", Shape::Exception),
            ("ray.exceptions.RayTaskError(ValueError): ray::x() (pid=1)", Shape::Exception),
            ("torch.OutOfMemoryError: CUDA out of memory.", Shape::Exception),
            ("KeyboardInterrupt", Shape::Exception),
            ("OSError: [Errno 98] Address already in use", Shape::Exception),
            ("Process EngineCore:", Shape::Text),
            ("usage: vllm [-h]", Shape::Text),
            ("Killed", Shape::Text),
        ];
        for (text, want) in cases {
            assert_eq!(shape(text, false), want, "{text:?}");
        }
        assert_eq!(shape("zmq.error.Again: x", true), Shape::Exception);
        assert_eq!(shape("zmq.error.Again: x", false), Shape::Text);
    }

    #[test]
    fn places_and_processes_of_all_versions_are_read() {
        assert_eq!(place("[core.py:133] text"), ("core.py:133", "text"));
        assert_eq!(place("llm_engine.py:100] text"), ("llm_engine.py:100", "text"));
        assert_eq!(place("02-13 18:05 [multiproc_executor.py:852] x"), ("multiproc_executor.py:852", "x"));
        assert_eq!(place("[shutdown] API server"), ("", "[shutdown] API server"));
        assert_eq!(place("[rank0]:   File"), ("", "  File"));
        assert_eq!(place("[core.py:1]   File"), ("core.py:1", "  File"));
        assert_eq!(
            spaced_process("(VllmWorker rank=1 pid=10) INFO x"),
            Some(("VllmWorker rank=1", "INFO x"))
        );
        assert_eq!(
            own_pids("(EngineCore_0 pid=9) (RayWorker pid=7, ip=10.0.0.1) x").collect::<Vec<_>>(),
            [9, 7]
        );
    }
}
