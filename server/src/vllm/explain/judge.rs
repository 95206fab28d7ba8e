//! From what was found to what is claimed: the verdict over a run, and the cause that its lines prove.

use super::End;
use super::course::Stage;
use super::explainer::Explainer;
use super::finding::{Finding, Mark};
use super::remedies;
use super::rules::Weight;
use super::shape;
use app::model::{Cause, Diagnosis, Evidence, Facts};

/// Lines of evidence at most.
const EVIDENCE: usize = 10;
/// A death that is reported so few lines before the stop is part of it: signals reach all processes of a terminal at once.
const TOGETHER: u64 = 40;
/// From so large a part of the device on, what others hold matters.
const MUCH: f64 = 0.05;

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// What became of a run, as far as its log tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is up.
    Ready,
    /// It did not come up, or went down by itself.
    Failed,
    /// It was asked to end.
    Stopped,
    /// It was on its way.
    Incomplete,
}

/// How a process ended, in the words of what ran it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// The exit code, where it ended by itself.
    pub code: Option<i64>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The line that says so.
    pub evidence: Vec<Evidence>,
}

impl Exit {
    /// 128 + n in the words of a shell, -n in those of Python, are signal n.
    pub fn of(code: i64) -> Self {
        let signal = match code {
            129..=192 => i32::try_from(code - 128).ok(),
            -64..=-1 => i32::try_from(-code).ok(),
            _ => None,
        };
        Self { code: if signal.is_none() { Some(code) } else { None }, signal, evidence: Vec::new() }
    }

    /// A signal that asks: of a terminal, of `kill`, of `docker stop`.
    pub const fn asked(&self) -> bool {
        matches!(self.signal, Some(SIGHUP | SIGINT | SIGTERM))
    }
}

/// The findings that may have ended the run, the best first.
fn candidates(it: &Explainer, ready: bool) -> Vec<&Finding> {
    let mut found: Vec<&Finding> = it
        .findings
        .all
        .iter()
        .filter(|f| if ready { f.fatal || f.serving && !f.request } else { !f.request })
        .collect();
    // What stands before a later stage was probably survived.
    found.sort_by_key(|f| (!ready && !lasting(it, f), std::cmp::Reverse(f.weight), f.order));
    found
}

/// Nothing went on after it.
const fn lasting(it: &Explainer, found: &Finding) -> bool {
    found.last > it.marks.progress || found.fatal
}

fn decisive(it: &Explainer, ready: bool) -> Option<&Finding> {
    candidates(it, ready).into_iter().find(|f| f.weight >= Weight::Medium)
}

fn unknown(it: &Explainer, ready: bool) -> Option<&Finding> {
    let [before, after] = &it.findings.unknown;
    if ready { after.as_ref() } else { before.as_ref().or(after.as_ref()) }
}

/// The verdict. All messages must be closed.
pub fn verdict(it: &Explainer, exit: Option<&Exit>) -> Verdict {
    let marks = &it.marks;
    let ready = it.up();
    let order = |m: &Option<Mark>| m.as_ref().map(|m| m.order);
    let stop = order(&marks.stop).or_else(|| order(&marks.signalled).filter(|_| ready));
    let asked = exit.is_some_and(Exit::asked);
    let fatal =
        candidates(it, ready).into_iter().find(|f| f.fatal && f.weight >= Weight::Medium).map(|f| f.order);
    let failed = if ready {
        // Up: only the death of the engine, or of the whole process, is a failure.
        let proved = candidates(it, true).into_iter().find(|f| f.engine && f.weight == Weight::Strong);
        let unproved = unknown(it, true).filter(|f| f.engine);
        let fault = [proved, unproved].into_iter().flatten().map(|f| f.order).min();
        let death = order(&marks.died).or(fault);
        let first = death.map(|d| d.min(fault.unwrap_or(d)));
        match (first, stop) {
            (Some(death), Some(stop)) if fault.is_none_or(|f| f > stop) && death + TOGETHER >= stop => fatal,
            (Some(death), _) => Some(death.min(fatal.unwrap_or(death))),
            (None, _) => fatal,
        }
    } else {
        let lasting = |f: &&Finding| lasting(it, f);
        let cause = candidates(it, false).into_iter().find(|f| f.weight >= Weight::Medium && lasting(f));
        let exception = unknown(it, false).filter(|f| !f.request && lasting(f));
        let marked = order(&marks.failed).or(order(&marks.died));
        let proved = decisive(it, false).filter(|_| marked.is_some()).map(|f| f.order);
        let own =
            [cause.map(|f| f.order), exception.map(|f| f.order), proved, fatal].into_iter().flatten().min();
        // The engine's "failed to start" around an interrupt is the interrupt's.
        own.or(marked.filter(|_| stop.is_none()))
    };
    match (failed, stop) {
        (Some(failed), Some(stop)) if stop < failed => Verdict::Stopped,
        (Some(_), _) => Verdict::Failed,
        (None, Some(_)) => Verdict::Stopped,
        (None, None) if asked => Verdict::Stopped,
        (None, None) => match exit {
            Some(Exit { signal: Some(_), .. }) => Verdict::Failed,
            Some(Exit { code: Some(code), .. }) if *code != 0 => Verdict::Failed,
            Some(_) => Verdict::Stopped,
            None if marks.shutdown.is_some() => Verdict::Stopped,
            None if ready => Verdict::Ready,
            None => Verdict::Incomplete,
        },
    }
}

/// The cause of an end that nobody asked for. All messages must be closed.
pub fn diagnose(it: &Explainer, end: &End, exit_line: &[Evidence]) -> Diagnosis {
    let ready = end.was_ready || it.up();
    let best = decisive(it, ready);
    let signal = end.signal.or_else(|| end.code.and_then(|code| Exit::of(code).signal));
    if end.host_oom && best.is_none_or(|f| f.cause != Cause::HostOutOfMemory) {
        let evidence = if exit_line.is_empty() { it.last_lines() } else { exit_line.to_vec() };
        return build(it, Cause::HostOutOfMemory, evidence, Facts { code: Some(9), ..Facts::default() });
    }
    if let Some(found) = best {
        return proved(it, found);
    }
    let exception = unknown(it, ready).filter(|f| !f.request);
    // Some releases end themselves with SIGKILL when a worker is gone.
    if (ready || signal.is_some() && exception.is_none())
        && let Some(died) = &it.marks.died
    {
        let mut evidence = exception.map(|f| f.evidence.clone()).unwrap_or_default();
        evidence.extend(died.evidence.iter().cloned());
        return build(it, Cause::EngineDied, evidence, Facts { code: died.code, ..Facts::default() });
    }
    if let Some(signal) = signal.filter(|_| exception.is_none_or(|f| !lasting(it, f))) {
        let asked = it.marks.stop.as_ref().or(it.marks.signalled.as_ref());
        let outside = matches!(signal, SIGHUP | SIGINT | SIGKILL | SIGTERM | 3);
        let evidence = match (asked, exit_line) {
            (Some(mark), []) => mark.evidence.clone(),
            // What it did when it was killed proves nothing.
            (_, []) if outside => Vec::new(),
            (_, []) => it.last_lines(),
            (_, lines) => lines.to_vec(),
        };
        let cause = if outside { Cause::Killed } else { Cause::EngineDied };
        return build(it, cause, evidence, Facts { code: Some(i64::from(signal)), ..Facts::default() });
    }
    let marked = [&it.marks.died, &it.marks.gave_up, &it.marks.failed]
        .into_iter()
        .flatten()
        .find(|m| m.code.is_some_and(|c| c < 0));
    if let Some(mark) = marked.filter(|_| exception.is_none()) {
        // A process of the engine was ended by a signal while it started.
        return build(
            it,
            Cause::EngineDied,
            mark.evidence.clone(),
            Facts { code: mark.code, ..Facts::default() },
        );
    }
    if exception.is_none()
        && let Some(stop) = it.marks.stop.as_ref().or(it.marks.signalled.as_ref())
    {
        let facts = Facts { code: Some(i64::from(SIGTERM)), ..Facts::default() };
        return build(it, Cause::Killed, stop.evidence.clone(), facts);
    }
    if exception.is_none()
        && !ready
        && let Some(weak) = candidates(it, false).into_iter().find(|f| f.order + 200 > it.count)
    {
        return proved(it, weak);
    }
    // The whole log is there, and no process of the engine said why it ended.
    if let Some(mark) =
        it.marks.gave_up.as_ref().filter(|_| exception.is_none() && !ready && it.known.begun())
    {
        let facts = Facts { code: mark.code, ..Facts::default() };
        return build(it, Cause::EngineDied, mark.evidence.clone(), facts);
    }
    let evidence = match exception {
        Some(f) => f.evidence.clone(),
        None if exit_line.is_empty() => it.last_lines(),
        None => it.last_lines().into_iter().chain(exit_line.iter().cloned()).collect(),
    };
    build(it, Cause::Unknown, evidence, Facts { code: end.code, ..Facts::default() })
}

fn proved(it: &Explainer, found: &Finding) -> Diagnosis {
    let mut facts = found.facts.clone();
    let mut cause = found.cause;
    if let Some(shortage) = &found.shortage {
        let others = shortage.others(it.known.pids());
        let held: u64 = others.iter().map(|h| h.bytes).fold(0, u64::saturating_add);
        let (tried, free) = (shortage.tried.unwrap_or(0), shortage.free.unwrap_or(0));
        let much = shortage.total.is_some_and(|total| held as f64 >= MUCH * total as f64);
        if much && tried > free && tried <= free.saturating_add(held) {
            cause = Cause::MemoryHeldByOthers;
            facts.pid = others.iter().max_by_key(|h| h.bytes).map(|h| h.pid);
        }
    }
    match cause {
        Cause::PortInUse if facts.port.is_none() => {
            facts.port = it.known.argument("port").and_then(|p| p.parse().ok());
        }
        Cause::KvCacheTooSmall => {
            facts.available_bytes = facts.available_bytes.or(it.known.cache.map(|c| c.max(0.0) as u64));
        }
        Cause::ModelNotFound | Cause::AccessDenied if facts.subject.is_none() => {
            let model = it.known.argument("model").or_else(|| it.known.argument("model_tag"));
            facts.subject = model.map(str::to_owned);
        }
        Cause::EngineDied if facts.code.is_none() => facts.code = it.marks.died.as_ref().and_then(|m| m.code),
        _ => {}
    }
    let mut evidence = found.evidence.clone();
    if cause == Cause::EngineDied
        && let Some(died) = &it.marks.died
    {
        evidence.extend(died.evidence.iter().cloned());
    }
    build(it, cause, evidence, facts)
}

fn build(it: &Explainer, cause: Cause, mut evidence: Vec<Evidence>, facts: Facts) -> Diagnosis {
    evidence.sort_by_key(|e| e.line);
    evidence.dedup();
    evidence.truncate(EVIDENCE);
    let remedies = remedies::remedies(it, cause, &facts);
    Diagnosis { cause, evidence, facts, remedies }
}

impl Explainer {
    /// The last useful lines, oldest first; the last ones of all where none is.
    pub(super) fn last_lines(&self) -> Vec<Evidence> {
        let mut lines = if self.useful.is_empty() { self.tail.clone() } else { self.useful.clone() };
        lines.retain(|e| !shape::chatter(&e.text));
        lines.sort_by_key(|e| e.line);
        lines
    }

    /// What the lines and the end together prove. Call it only for an end that nobody asked for, or a start that failed.
    pub fn diagnose(&self, end: &End) -> Diagnosis {
        let mut whole = self.clone();
        whole.close_all();
        diagnose(&whole, end, &[])
    }

    /// Whether the log alone proves that it failed: for an end that nobody watched.
    pub fn failed(&self) -> bool {
        let mut whole = self.clone();
        whole.close_all();
        verdict(&whole, None) == Verdict::Failed
    }

    /// It was up in this run: it said so, or it answered.
    pub(super) const fn up(&self) -> bool {
        self.marks.ready.is_some() || self.marks.answers
    }

    /// Whether the engine had its memory laid out, so that a shortage is not that of the weights.
    pub(super) fn beyond_loading(&self) -> bool {
        self.stage > Stage::Loading
    }
}
