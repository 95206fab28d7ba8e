//! The runs in a file: where one ends and the next begins, with the phases and their times. Only the last one is kept.

use super::envelope::Letter;
use super::explainer::Explainer;
use super::judge::Exit;
use super::record::clip;
use super::stamps;
use super::wrapped::Part;
use super::{envelope, exits, shape};
use crate::logs::{Classified, Continuation, Text};
use crate::vllm::{grammar, phases::PhaseTracker};
use app::model::{Evidence, Level, Phase, Stream};

/// A phase with the time at which it began, on the clock of the log.
pub type Began = (Phase, Option<f64>);

/// Where a line says that a program begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beginning {
    /// vLLM's banner: once per run.
    Banner,
    /// vLLM's arguments: once per run.
    Arguments,
    /// What is printed before the banner, and by other processes later.
    Early,
    /// What runs the program begins: Docker, Compose, systemd.
    Around,
}

/// One run.
#[derive(Debug, Default)]
pub struct Run {
    /// What its lines tell.
    pub explainer: Explainer,
    /// Its phases.
    pub phases: Vec<Began>,
    /// The time of its first timed line.
    pub start: Option<f64>,
    /// How the main process ended, where something says so.
    pub exit: Option<Exit>,
    tracker: PhaseTracker,
    /// Times are those of envelopes, or vLLM's own.
    outer_clock: Option<bool>,
    banner: bool,
    arguments: bool,
    /// The program's own beginning was seen, and when.
    begun: Option<Option<f64>>,
    /// The server in front said that it gives up its start.
    given_up: bool,
    before: Continuation,
}

/// Reads the lines of a file.
#[derive(Debug, Default)]
pub struct Runs {
    /// The last run.
    pub last: Run,
}

impl Runs {
    /// Takes one line, by its parts.
    pub fn line(&mut self, parts: &[Part]) {
        let whole: String;
        let text = match parts {
            [(_, only)] => only.as_str(),
            parts => {
                whole = parts.iter().map(|(_, text)| text.as_str()).collect();
                whole.as_str()
            }
        };
        let letter = envelope::open(text);
        let stream = letter.stream.unwrap_or(Stream::Stdout);
        let (process, rest) = shape::spaced_process(&letter.text).unwrap_or(("", &letter.text));
        let found = grammar::classify(stream, rest, self.last.before);
        let message = match &found.text {
            Text::Part(part) => rest.get(part.clone()).unwrap_or(rest).to_owned(),
            Text::Own(own) => own.clone(),
        };
        if let Some(beginning) = beginning(&message, &found, &letter)
            && self.last.ended_before(beginning)
        {
            self.last = Run::default();
        }
        for pid in shape::own_pids(&letter.text) {
            self.last.explainer.own_process(pid);
        }
        let source = if found.source.is_empty() { process } else { found.source.as_ref() };
        self.last.take(parts, text, &letter, source, &found, &message);
    }
}

impl Run {
    /// Whether a line that begins a program begins another one than this.
    fn ended_before(&mut self, beginning: Beginning) -> bool {
        match beginning {
            Beginning::Banner => self.banner,
            Beginning::Arguments => self.arguments,
            Beginning::Early => self.over(),
            Beginning::Around => self.over() || self.explainer.up() && self.banner,
        }
    }

    /// The main process has ended.
    fn over(&mut self) -> bool {
        self.explainer.close_all();
        let marks = &self.explainer.marks;
        self.exit.is_some()
            || marks.shutdown.is_some()
            || marks.stop.is_some()
            || self.given_up
            || self
                .explainer
                .findings
                .all
                .iter()
                .any(|f| f.fatal || !f.engine && f.weight == super::rules::Weight::Strong)
            || self.explainer.findings.unknown.iter().flatten().any(|f| !f.engine && !f.request)
    }

    fn take(
        &mut self,
        parts: &[Part],
        line: &str,
        letter: &Letter<'_>,
        source: &str,
        found: &Classified<'_>,
        message: &str,
    ) {
        let time = self.time(line, letter);
        self.given_up |= ["Engine core initialization failed", "Engine process failed to start"]
            .iter()
            .any(|w| message.contains(w));
        self.follow(message, found, letter, time);
        self.before = found.next;
        let calm = matches!(found.level, Level::Info | Level::Debug) && !message.starts_with([' ', '\t']);
        if letter.system || !calm && self.exit.is_none() {
            self.ended(message, parts);
        }
        // What the system writes is plain text, whatever level its words suggest.
        let level = if letter.system { Level::Other } else { found.level };
        let source = if letter.system { "system" } else { source };
        let own = matches!(found.text, Text::Own(_));
        // Of a JSON object the message is shown: the object is long, and says it in escapes.
        let shown: Vec<(u64, &str)> = if own || line.len() > super::record::EVIDENCE_CHARS && parts.len() == 1
        {
            parts.first().map(|(n, _)| (*n, message)).into_iter().collect()
        } else {
            parts.iter().map(|(n, text)| (*n, text.as_str())).collect()
        };
        let stream = letter.stream.unwrap_or(Stream::Stdout);
        if asks(message, letter) {
            self.explainer.asked_to_end(&shown);
        }
        self.explainer.feed(level, source, message, stream, &shown);
    }

    fn ended(&mut self, message: &str, parts: &[Part]) {
        let (_, bare) = shape::place(message);
        if let Some(mut exit) = exits::ends_process(bare) {
            let better = self.exit.as_ref().is_none_or(|old| old.signal.is_none() && exit.signal.is_some());
            if better {
                exit.evidence =
                    parts.iter().map(|(n, text)| Evidence { line: *n, text: clip(text) }).collect();
                self.exit = Some(exit);
            }
        }
    }

    /// The line's time on the clock of this run: that of its first timed line.
    fn time(&mut self, line: &str, letter: &Letter<'_>) -> Option<f64> {
        let own = || {
            stamps::own(&letter.text)
                .or_else(|| letter.text.starts_with('{').then(|| stamps::json(&letter.text))?)
        };
        let time = match self.outer_clock {
            Some(true) => letter.time,
            Some(false) => own(),
            None => letter.time.or_else(own),
        }
        .or_else(|| if self.outer_clock == Some(true) { None } else { stamps::iso(line).map(|(t, _)| t) })?;
        if self.outer_clock.is_none() {
            self.outer_clock = Some(letter.time.is_some());
        }
        let start = *self.start.get_or_insert(time);
        // A clock without a year starts again at the turn of the year.
        Some(if time + 200.0 * 86_400.0 < start { time + 366.0 * 86_400.0 } else { time })
    }

    fn follow(&mut self, message: &str, found: &Classified<'_>, letter: &Letter<'_>, time: Option<f64>) {
        let beginning = beginning(message, found, letter);
        match beginning {
            Some(Beginning::Banner) => self.banner = true,
            Some(Beginning::Arguments) => self.arguments = true,
            _ => {}
        }
        if let Some(phase) = around(message, found.level) {
            let last = self.phases.last().map(|(p, _)| *p);
            if self.begun.is_none() && last.is_none_or(|last| last < phase) {
                self.phases.push((phase, time));
            }
            return;
        }
        if self.begun.is_none()
            && matches!(beginning, Some(Beginning::Banner | Beginning::Arguments | Beginning::Early))
        {
            self.begun = Some(time);
            // What was printed before belongs to it, too.
            self.phases
                .push((Phase::Import, if self.phases.is_empty() { self.start.or(time) } else { time }));
        }
        if let Some((phase, _)) = self.tracker.line(message, letter.stream.unwrap_or(Stream::Stdout))
            && self.phases.last().is_none_or(|(last, _)| *last < phase)
        {
            self.phases.push((phase, time));
        }
    }
}

fn beginning(message: &str, found: &Classified<'_>, letter: &Letter<'_>) -> Option<Beginning> {
    let (_, text) = shape::place(message);
    let starts = |words: &[&str]| words.iter().any(|w| text.starts_with(w));
    let has = |words: &[&str]| words.iter().any(|w| text.contains(w));
    if letter.system {
        let unit = text.ends_with(".service.") || has(&["vllm", "vLLM"]);
        return (starts(&["Started ", "Starting "]) && unit).then_some(Beginning::Around);
    }
    match found.level {
        Level::Info | Level::Debug => {
            if starts(&["vLLM API server version", "vLLM server version"])
                || text.contains('█') && text.contains("version ")
            {
                return Some(Beginning::Banner);
            }
            if starts(&["non-default args: ", "args: Namespace("]) {
                return Some(Beginning::Arguments);
            }
            // The first lines of the banner, of 0.20 and later, and what is printed before it.
            let early = starts(&[
                "Automatically detected platform",
                "No platform detected",
                "Available plugins for group",
                "Platform plugin ",
            ]) || text.trim_start().starts_with('█')
                || text.is_empty() && message.contains("utils.py:");
            early.then_some(Beginning::Early)
        }
        _ if starts(&["Attaching to ", "Unable to find image '"])
            || text.trim_start().starts_with("Container ") && text.contains("Creat") =>
        {
            Some(Beginning::Around)
        }
        _ if starts(&[
            "usage: vllm",
            "usage: api_server.py",
            "usage: __main__.py",
            "Triton is installed",
            "Triton not installed",
        ]) =>
        {
            // Printed to standard error, which may stand behind the whole of standard output.
            Some(Beginning::Early).filter(|_| !starts(&["Triton"]))
        }
        _ => None,
    }
}

/// A terminal's, Compose's or systemd's word that somebody asked for the end.
fn asks(message: &str, letter: &Letter<'_>) -> bool {
    if letter.system {
        return message.starts_with("Stopping ") || message.ends_with(": Deactivated successfully.");
    }
    let text = message.trim_start();
    letter.interrupted
        || text.starts_with("Gracefully stopping...")
        || text.starts_with("Container ") && text.contains("Stopping")
}

/// The phases before the program: lines of Docker.
fn around(message: &str, level: Level) -> Option<Phase> {
    if level != Level::Other {
        return None;
    }
    let text = message.trim_start();
    let starts = |words: &[&str]| words.iter().any(|w| text.starts_with(w));
    if starts(&["Unable to find image '", "Pulling from "])
        || text.contains(": Pulling from ")
        || text.contains(": Pulling fs layer")
    {
        return Some(Phase::Pull);
    }
    let container = text.starts_with("Container ")
        && ["Creating", "Created", "Starting", "Started", "Recreate"].iter().any(|w| text.contains(w));
    (container || starts(&["Attaching to "])).then_some(Phase::Create)
}
