//! A whole log from anywhere: read, explained, printed.

use super::End;
use super::input::no_log;
use super::judge::{self, Verdict};
use super::run::{Run, Runs};
use super::words;
use super::wrapped::{Part, Unwrapper};
use crate::logs::{Cleaner, LINE_LIMIT, Splitter};
use app::model::{Cause, Change, Diagnosis, Evidence, Facts, Phase, Remedy};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;
use std::io::BufRead;

/// What became of the last run of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It came up.
    Ready,
    /// It did not come up, or ended although nobody asked.
    Failed,
    /// Somebody asked it to end.
    Stopped,
    /// The log ends before anything was decided.
    Incomplete,
}

/// A phase of the start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PhaseAt {
    /// Which.
    pub phase: Phase,
    /// Seconds from the first timed line of the run; absent where the log has no time.
    pub at_s: Option<f64>,
    /// Seconds until the next phase; absent where one of the two has no time, and for the last.
    pub took_s: Option<f64>,
}

/// A way out, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Way {
    /// In English.
    pub text: String,
    /// Its id.
    pub advice: app::model::Advice,
    /// The change of settings that does it.
    pub change: Option<Change>,
}

/// What a log tells.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// What became of the last run.
    pub outcome: Outcome,
    /// Why it failed; absent where it did not.
    pub cause: Option<Cause>,
    /// The cause with its numbers, in English.
    pub message: Option<String>,
    /// The lines that prove it; lines count from 1.
    pub evidence: Vec<Evidence>,
    /// The phases of the run that were seen, in order.
    pub phases: Vec<PhaseAt>,
    /// The best way out.
    pub remedy: Option<Way>,
    /// All ways out, the best first.
    pub remedies: Vec<Way>,
    /// Numbers and names in the evidence.
    pub facts: Facts,
    /// The cause with all that belongs to it.
    #[serde(skip)]
    pub diagnosis: Option<Diagnosis>,
}

/// Reads a log to its end. What is held does not grow with it.
///
/// # Errors
/// When the input cannot be read, or is no log ([`InvalidData`](std::io::ErrorKind::InvalidData)).
pub fn explain(mut input: impl BufRead) -> std::io::Result<Explanation> {
    let mut reader = Reader::default();
    let mut first = true;
    loop {
        let chunk = match input.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if chunk.is_empty() {
            break;
        }
        if std::mem::take(&mut first)
            && let Some(what) = no_log(chunk)
        {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, what));
        }
        let taken = chunk.len();
        reader.push(chunk);
        input.consume(taken);
    }
    Ok(reader.finish())
}

/// Bytes → lines → runs.
struct Reader {
    splitter: Splitter,
    cleaner: Cleaner,
    unwrapper: Unwrapper,
    runs: Runs,
    lines: Lines,
}

/// The lines so far.
#[derive(Default)]
struct Lines {
    count: u64,
    /// The last one was empty.
    blank: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            splitter: Splitter::new(LINE_LIMIT),
            cleaner: Cleaner::default(),
            unwrapper: Unwrapper::default(),
            runs: Runs::default(),
            lines: Lines::default(),
        }
    }
}

impl Reader {
    fn push(&mut self, bytes: &[u8]) {
        let Self { splitter, cleaner, unwrapper, runs, lines } = self;
        splitter.push(0, bytes, |raw| line(raw.bytes, cleaner, unwrapper, runs, lines));
    }

    fn finish(mut self) -> Explanation {
        let Self { splitter, cleaner, unwrapper, runs, lines } = &mut self;
        splitter.finish(|raw| line(raw.bytes, cleaner, unwrapper, runs, lines));
        unwrapper.finish(&mut |parts: &[Part]| runs.line(parts));
        conclude(&mut runs.last)
    }
}

fn line(bytes: &[u8], cleaner: &mut Cleaner, unwrapper: &mut Unwrapper, runs: &mut Runs, lines: &mut Lines) {
    lines.count += 1;
    // One empty line ends what was open; more of them say nothing.
    if std::mem::replace(&mut lines.blank, bytes.is_empty()) && bytes.is_empty() {
        return;
    }
    // A byte order mark belongs to the file, not to its first line.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let (text, _) = cleaner.clean(bytes);
    unwrapper.push(lines.count, &colourless(text), &mut |parts: &[Part]| runs.line(parts));
}

/// Colours whose escape character was lost on the way: `[0;36m(APIServer pid=1)[0;0m`, `^[[31m`.
fn colourless(text: &str) -> Cow<'_, str> {
    if !(text.contains("[0m") || text.contains("[0;0m") || text.contains("[39m")) {
        return Cow::Borrowed(text);
    }
    let carets = text.replace("^[[", "[");
    let mut out = String::with_capacity(carets.len());
    let mut rest = carets.as_str();
    while let Some(at) = rest.find('[') {
        let (before, tail) = rest.split_at(at);
        let inside = tail.get(1..).unwrap_or_default();
        let length = inside.bytes().take_while(|b| b.is_ascii_digit() || *b == b';').count();
        if length > 0 && inside.get(length..).is_some_and(|t| t.starts_with('m')) {
            let lost =
                ["\\x1b", "#033", "\\u001b", "\\033", "\\e"].iter().find_map(|e| before.strip_suffix(e));
            out.push_str(lost.unwrap_or(before));
            rest = inside.get(length + 1..).unwrap_or_default();
        } else {
            out.push_str(before);
            out.push('[');
            rest = inside;
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn conclude(run: &mut Run) -> Explanation {
    run.explainer.close_all();
    let outcome = match judge::verdict(&run.explainer, run.exit.as_ref()) {
        Verdict::Ready => Outcome::Ready,
        Verdict::Failed => Outcome::Failed,
        Verdict::Stopped => Outcome::Stopped,
        Verdict::Incomplete => Outcome::Incomplete,
    };
    let diagnosis = (outcome == Outcome::Failed).then(|| {
        let exit = run.exit.clone().unwrap_or_default();
        let end = End { code: exit.code, signal: exit.signal, host_oom: false, was_ready: false };
        judge::diagnose(&run.explainer, &end, &exit.evidence)
    });
    let ways: Vec<Way> = diagnosis.iter().flat_map(|d| d.remedies.iter().map(|r| way(d, r))).collect();
    Explanation {
        outcome,
        cause: diagnosis.as_ref().map(|d| d.cause),
        message: diagnosis.as_ref().map(words::cause),
        evidence: diagnosis.as_ref().map(|d| d.evidence.clone()).unwrap_or_default(),
        phases: phases(run),
        remedy: ways.first().cloned(),
        remedies: ways,
        facts: diagnosis.as_ref().map(|d| d.facts.clone()).unwrap_or_default(),
        diagnosis,
    }
}

fn way(diagnosis: &Diagnosis, remedy: &Remedy) -> Way {
    Way { text: words::advice(diagnosis, remedy), advice: remedy.advice, change: remedy.change.clone() }
}

fn phases(run: &Run) -> Vec<PhaseAt> {
    let milli = |seconds: f64| (seconds * 1000.0).round() / 1000.0;
    let mut out = Vec::with_capacity(run.phases.len());
    for (i, (phase, time)) in run.phases.iter().enumerate() {
        let next = run.phases.get(i + 1).and_then(|(_, t)| *t);
        out.push(PhaseAt {
            phase: *phase,
            at_s: time.zip(run.start).map(|(t, start)| milli((t - start).max(0.0))),
            took_s: time.zip(next).map(|(t, next)| milli((next - t).max(0.0))),
        });
    }
    out
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Outcome: {}", words::outcome(self.outcome))?;
        if !self.phases.is_empty() {
            writeln!(f, "\nPhases:")?;
        }
        for phase in &self.phases {
            let at = phase.at_s.map_or_else(|| "-".to_owned(), |s| format!("{s:.1} s"));
            let took = phase.took_s.map_or_else(String::new, |s| format!("  took {s:.1} s"));
            writeln!(f, "  {:<10} {at:>10}{took}", phase.phase.id())?;
        }
        if let (Some(cause), Some(message)) = (self.cause, &self.message) {
            writeln!(f, "\nCause: {} ({})", message, cause.id())?;
        }
        if !self.evidence.is_empty() {
            writeln!(f, "\nEvidence:")?;
        }
        for line in &self.evidence {
            writeln!(f, "  {:>6}: {}", line.line, line.text)?;
        }
        if !self.remedies.is_empty() {
            writeln!(f, "\nWhat to do:")?;
        }
        for way in &self.remedies {
            writeln!(f, "  - {}", way.text)?;
        }
        Ok(())
    }
}
