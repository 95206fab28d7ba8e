//! Bytes of one pipe → lines.
//!
//! `\n` ends a line; a run of `\r` right before it belongs to the line end. Any other `\r` redraws: what was collected is
//! only a progress text, and goes when new text follows. What a pipe writes decides, never how it was cut into frames.

/// Bytes of one line that are kept; the rest up to its end is counted and dropped.
pub const LINE_LIMIT: usize = 1 << 20;

/// Capacity that a splitter keeps between lines.
const IDLE_CAPACITY: usize = 16 << 10;

/// A finished line, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawLine<'a> {
    /// When its first byte came; for an empty line its end.
    pub time_ns: i64,
    /// Its bytes, with a mark at the end where it was cut.
    pub bytes: &'a [u8],
}

/// Collects the lines of one pipe. Holds at most the limit, however long a line is.
#[derive(Debug)]
pub struct Splitter {
    limit: usize,
    /// What came of the unfinished line, as far as the limit allows.
    held: Vec<u8>,
    /// How much of it came beyond the limit.
    cut: u64,
    /// When its first byte came.
    start_ns: i64,
    /// The last byte was `\r`: the next one decides what it meant.
    after_cr: bool,
    /// The unfinished line was begun by a redraw.
    redrawn: bool,
}

impl Default for Splitter {
    fn default() -> Self {
        Self::new(LINE_LIMIT)
    }
}

impl Splitter {
    /// A splitter that keeps `limit` bytes of a line.
    pub const fn new(limit: usize) -> Self {
        Self { limit, held: Vec::new(), cut: 0, start_ns: 0, after_cr: false, redrawn: false }
    }

    /// Takes the next bytes and hands over each line that they finish. A line that lies whole in `bytes` is not copied.
    pub fn push(&mut self, time_ns: i64, mut bytes: &[u8], mut line: impl FnMut(RawLine<'_>)) {
        while let Some(at) = find_break(bytes) {
            let (text, rest) = bytes.split_at(at);
            if !text.is_empty() {
                self.settle_cr();
            }
            let run = rest.iter().take_while(|b| **b == b'\r').count();
            match rest.get(run) {
                Some(b'\n') => {
                    self.end_line(time_ns, text, &mut line);
                    bytes = rest.get(run + 1..).unwrap_or_default();
                }
                Some(_) => {
                    self.discard();
                    self.redrawn = true;
                    bytes = rest.get(run..).unwrap_or_default();
                }
                None => {
                    self.hold(time_ns, text);
                    self.after_cr = true;
                    return;
                }
            }
        }
        if !bytes.is_empty() {
            self.settle_cr();
            self.hold(time_ns, bytes);
        }
    }

    /// The run is over: what was left without an end is a line.
    pub fn finish(&mut self, mut line: impl FnMut(RawLine<'_>)) {
        if !self.held.is_empty() || self.cut > 0 {
            self.end_line(self.start_ns, &[], &mut line);
        }
        *self = Self::new(self.limit);
    }

    /// Nothing of a line that has begun is held.
    pub const fn is_idle(&self) -> bool {
        self.held.is_empty() && self.cut == 0
    }

    /// The text of a line that is being redrawn.
    pub fn progress(&self) -> Option<&[u8]> {
        ((self.after_cr || self.redrawn) && !self.held.is_empty()).then_some(self.held.as_slice())
    }

    /// Text follows: a `\r` before it was a redraw.
    fn settle_cr(&mut self) {
        if self.after_cr {
            self.discard();
            self.redrawn = true;
        }
    }

    fn discard(&mut self) {
        self.held.clear();
        self.cut = 0;
        self.after_cr = false;
    }

    fn hold(&mut self, time_ns: i64, text: &[u8]) {
        if self.held.is_empty() && self.cut == 0 && !text.is_empty() {
            self.start_ns = time_ns;
        }
        if self.cut > 0 {
            self.cut += text.len() as u64;
            return;
        }
        let room = self.limit.saturating_sub(self.held.len());
        let (kept, rest) = text.split_at(room.min(text.len()));
        self.held.extend_from_slice(kept);
        let Some(next) = rest.first() else { return };
        self.cut = rest.len() as u64;
        if is_continuation(*next) {
            // Not in the middle of a character: its lead byte is at most three back.
            let tail = self.held.iter().rev().take(3).take_while(|b| is_continuation(**b)).count();
            let lead = self.held.len().wrapping_sub(tail + 1);
            if self.held.get(lead).is_some_and(|b| *b >= 0xC0) {
                self.cut += (tail + 1) as u64;
                self.held.truncate(lead);
            }
        }
    }

    fn end_line(&mut self, time_ns: i64, text: &[u8], line: &mut impl FnMut(RawLine<'_>)) {
        if self.held.is_empty() && self.cut == 0 && text.len() <= self.limit {
            line(RawLine { time_ns, bytes: text });
        } else {
            self.hold(time_ns, text);
            if self.cut > 0 {
                self.held.extend_from_slice(format!(" … [cut: {} bytes more]", grouped(self.cut)).as_bytes());
            }
            line(RawLine { time_ns: self.start_ns, bytes: &self.held });
            self.held.clear();
            self.held.shrink_to(IDLE_CAPACITY);
        }
        self.discard();
        self.redrawn = false;
    }
}

const fn is_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

/// Where the first `\n` or `\r` is. Whole blocks at a time, which the compiler turns into vector code.
fn find_break(bytes: &[u8]) -> Option<usize> {
    let is_break = |b: &u8| *b == b'\n' || *b == b'\r';
    let mut at = 0;
    for block in bytes.chunks_exact(32) {
        if block.iter().fold(false, |hit, b| hit | is_break(b)) {
            break;
        }
        at += 32;
    }
    bytes.get(at..)?.iter().position(is_break).map(|found| at + found)
}

/// `9437184` as `9,437,184`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the rules say, over all bytes at once. Each byte carries its time.
    fn reference(limit: usize, bytes: &[(i64, u8)]) -> Vec<(i64, Vec<u8>)> {
        let mut lines = Vec::new();
        let mut parts: Vec<&[(i64, u8)]> = bytes.split(|(_, b)| *b == b'\n').collect();
        let last = parts.pop().unwrap_or_default();
        let mut ends = bytes.iter().filter(|(_, b)| *b == b'\n').map(|(t, _)| *t);
        let text_of = |part: &[(i64, u8)]| {
            let trimmed = part.iter().rposition(|(_, b)| *b != b'\r').map_or(0, |at| at + 1);
            let start = part[..trimmed].iter().rposition(|(_, b)| *b == b'\r').map_or(0, |at| at + 1);
            part[start..trimmed].to_vec()
        };
        let mut add = |text: Vec<(i64, u8)>, end: i64| {
            let time = text.first().map_or(end, |(t, _)| *t);
            let mut kept: Vec<u8> = text.iter().map(|(_, b)| *b).collect();
            if kept.len() > limit {
                let mut at = limit;
                while at > 0 && limit - at < 4 && is_continuation(kept[at]) {
                    at -= 1;
                }
                if kept[at] < 0xC0 {
                    at = limit;
                }
                let cut = (kept.len() - at) as u64;
                kept.truncate(at);
                kept.extend_from_slice(format!(" … [cut: {} bytes more]", grouped(cut)).as_bytes());
            }
            lines.push((time, kept));
        };
        for part in parts {
            add(text_of(part), ends.next().expect("one end per part"));
        }
        let rest = text_of(last);
        if !rest.is_empty() {
            add(rest, 0);
        }
        lines
    }

    fn split(limit: usize, frames: &[(i64, &[u8])]) -> Vec<(i64, Vec<u8>)> {
        let mut splitter = Splitter::new(limit);
        let mut lines = Vec::new();
        for (time, frame) in frames {
            splitter.push(*time, frame, |l| lines.push((l.time_ns, l.bytes.to_vec())));
            assert!(splitter.held.len() <= limit, "held no more than the limit");
        }
        splitter.finish(|l| lines.push((l.time_ns, l.bytes.to_vec())));
        lines
    }

    fn texts(frames: &[&str]) -> Vec<String> {
        let frames: Vec<(i64, &[u8])> = frames.iter().map(|f| (0, f.as_bytes())).collect();
        split(LINE_LIMIT, &frames).into_iter().map(|(_, b)| String::from_utf8(b).expect("text")).collect()
    }

    #[test]
    fn line_ends_of_every_kind_end_one_line() {
        assert_eq!(texts(&["a\nb\r\nc\r\r\n\nd"]), ["a", "b", "c", "", "d"]);
        assert_eq!(texts(&["a\r", "\nb"]), ["a", "b"]);
        assert_eq!(texts(&["a\r", "\r", "\n"]), ["a"]);
        assert_eq!(texts(&["\r"]), [""; 0]);
    }

    #[test]
    fn a_bar_that_starts_with_a_carriage_return_and_ends_in_a_newline_is_a_line() {
        assert_eq!(
            texts(&["\rLoading: 0% | 0/1 [", "?]\n\rLoading: 100% | 1/1 []\n\n"]),
            ["Loading: 0% | 0/1 [?]", "Loading: 100% | 1/1 []", ""]
        );
    }

    #[test]
    fn a_redraw_is_progress_until_its_newline() {
        let mut splitter = Splitter::default();
        let mut lines = Vec::new();
        let mut seen = Vec::new();
        for frame in [
            "\rgraphs 1/3",
            "\rgraphs 2/3",
            "\rgraphs 3/3",
            "\nplain",
            " text",
            "\n",
            "50%\r",
            "100%\r",
            "\n",
        ] {
            splitter.push(7, frame.as_bytes(), |l| lines.push(String::from_utf8_lossy(l.bytes).into_owned()));
            seen.push(splitter.progress().map(|p| String::from_utf8_lossy(p).into_owned()));
        }
        assert_eq!(lines, ["graphs 3/3", "plain text", "100%"]);
        let seen: Vec<&str> = seen.iter().map(|s| s.as_deref().unwrap_or("-")).collect();
        assert_eq!(seen, ["graphs 1/3", "graphs 2/3", "graphs 3/3", "-", "-", "-", "50%", "100%", "-"]);
    }

    #[test]
    fn a_line_over_the_limit_is_cut_between_characters_and_says_how_much() {
        let long = "é".repeat(600) + "\nnext\n";
        for step in [1, 7, 4096] {
            let frames: Vec<(i64, &[u8])> = long.as_bytes().chunks(step).map(|c| (0, c)).collect();
            let lines = split(101, &frames);
            assert_eq!(lines[0].1, format!("{} … [cut: 1,100 bytes more]", "é".repeat(50)).into_bytes());
            assert_eq!(lines[1].1, b"next");
        }
    }

    #[test]
    fn a_lines_time_is_that_of_its_first_byte() {
        let lines =
            split(100, &[(1, b"a"), (2, b"b"), (3, b"\n"), (4, b"\nold\rne"), (5, b"w\n"), (6, b"x")]);
        assert_eq!(lines, [(1, b"ab".to_vec()), (4, Vec::new()), (4, b"new".to_vec()), (6, b"x".to_vec())]);
    }

    proptest! {
        #[test]
        fn frame_boundaries_change_nothing(
            bytes in prop::collection::vec(
                prop_oneof![4 => Just(b'\r'), 4 => Just(b'\n'), 6 => prop::sample::select("aé…😀".as_bytes()), 1 => any::<u8>()], 0..400),
            cuts in prop::collection::vec(1_usize..40, 1..80),
            limit in 1_usize..40,
        ) {
            let mut frames: Vec<(i64, &[u8])> = Vec::new();
            let mut rest = bytes.as_slice();
            for (time, cut) in cuts.iter().cycle().enumerate() {
                if rest.is_empty() { break; }
                let (frame, tail) = rest.split_at((*cut).min(rest.len()));
                frames.push((time as i64, frame));
                rest = tail;
            }
            let timed: Vec<(i64, u8)> = frames.iter().flat_map(|(t, f)| f.iter().map(|b| (*t, *b))).collect();
            prop_assert_eq!(split(limit, &frames), reference(limit, &timed));
        }
    }
}
