//! What the log of one run tells, line by line: the phases of its start with their times, and its last words.
//!
//! In: lines as the log's writer stores them. Out: the phase under way, the times of all. The lines' own times are used, so
//! that a dashboard that comes later and reads the log again tells the same story.

use super::explain::Explainer;
use super::phases::PhaseTracker;
use crate::logs::LineView;
use app::model::{Phase, PhaseProgress, PhaseTime, Timestamp};

/// How much of the last line is kept, in bytes.
const LAST: usize = 300;

/// Listens to one run.
#[derive(Debug)]
pub struct Witness {
    /// The run it listens to; runs have rising numbers.
    run: u64,
    tracker: PhaseTracker,
    /// Closed but for the last.
    phases: Vec<PhaseTime>,
    last: String,
    last_at: Option<Timestamp>,
    explainer: Explainer,
}

impl Witness {
    /// Before the first line of a run that the runtime started at `started`, after it was asked to at `asked`, where that
    /// is known.
    pub fn new(started: Timestamp, asked: Option<Timestamp>) -> Self {
        let mut phases = Vec::with_capacity(4);
        if let Some(asked) = asked.filter(|asked| *asked <= started) {
            phases.push(PhaseTime { phase: Phase::Create, at: asked, took_ms: Some(started.since(asked)) });
        }
        phases.push(PhaseTime { phase: Phase::Import, at: started, took_ms: None });
        Self {
            run: 0,
            tracker: PhaseTracker::new(),
            phases,
            last: String::new(),
            last_at: None,
            explainer: Explainer::new(),
        }
    }

    /// Does not listen to runs before this one from now on.
    pub const fn hear_from(&mut self, run: u64) {
        self.run = run;
    }

    /// Takes a line or a progress text; returns phase and progress when either changed.
    pub fn hear(&mut self, line: &LineView<'_>) -> Option<(Phase, Option<PhaseProgress>)> {
        if line.run < self.run {
            return None;
        }
        let at = Timestamp::from_nanos(line.time_ns);
        if self.tracker.now().0 != Phase::Ready {
            self.last_at = self.last_at.max(Some(at));
            self.last.clear();
            self.last.push_str(&line.text[..line.text.floor_char_boundary(LAST)]);
        }
        if let Some(seq) = line.seq {
            self.explainer.line(seq, line.level, line.source, line.text, line.stream);
        }
        let change = match line.seq {
            Some(_) => self.tracker.line(line.text, line.stream),
            None => self.tracker.progress(line.text),
        }?;
        if self.phases.last().is_none_or(|p| p.phase < change.0) {
            self.close(at);
            let at = self.phases.last().map_or(at, |p| at.max(p.at));
            self.phases.push(PhaseTime { phase: change.0, at, took_ms: None });
        }
        Some(change)
    }

    fn close(&mut self, at: Timestamp) {
        if let Some(open) = self.phases.last_mut().filter(|p| p.took_ms.is_none()) {
            open.took_ms = Some(at.since(open.at));
        }
    }

    /// The phases so far. `over` is when the start was over (ready, or ended), if it is: the last phase ends with it.
    pub fn phases(&self, over: Option<Timestamp>) -> Vec<PhaseTime> {
        let mut phases = self.phases.clone();
        if let (Some(over), Some(open)) = (over, phases.last_mut().filter(|p| p.took_ms.is_none())) {
            open.took_ms = Some(over.since(open.at));
        }
        phases
    }

    /// Names a process of this service: memory that it holds is not held by others.
    pub fn own_process(&mut self, pid: u32) {
        self.explainer.own_process(pid);
    }

    /// What it says about an end.
    pub const fn explainer(&self) -> &Explainer {
        &self.explainer
    }

    /// When the log said something last, and what.
    pub fn last(&self) -> (Option<Timestamp>, &str) {
        (self.last_at, &self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use app::model::{Level, LineKind, Stream};

    fn hear(witness: &mut Witness, ms: i64, text: &str) -> Option<(Phase, Option<PhaseProgress>)> {
        witness.hear(&LineView {
            run: 1,
            seq: Some(1),
            time_ns: ms * 1_000_000,
            stream: Stream::Stdout,
            level: Level::Info,
            source: "",
            text,
            kind: LineKind::None,
        })
    }

    fn told(witness: &Witness, over: Option<i64>) -> Vec<(Phase, i64, Option<u64>)> {
        let over = over.map(Timestamp::from_millis);
        witness.phases(over).iter().map(|p| (p.phase, p.at.millis(), p.took_ms)).collect()
    }

    #[test]
    fn phases_take_their_times_from_the_lines() {
        let mut witness = Witness::new(Timestamp::from_millis(1_000), Some(Timestamp::from_millis(400)));
        assert_eq!(told(&witness, None), [(Phase::Create, 400, Some(600)), (Phase::Import, 1_000, None)]);
        hear(&mut witness, 9_000, "non-default args: {}");
        hear(&mut witness, 12_000, "Starting to load model m...");
        hear(&mut witness, 13_000, "a line that nobody knows");
        hear(&mut witness, 15_000, "Available KV cache memory: 1 GiB");
        let want = [
            (Phase::Create, 400, Some(600)),
            (Phase::Import, 1_000, Some(8_000)),
            (Phase::Config, 9_000, Some(3_000)),
            (Phase::Load, 12_000, Some(3_000)),
            (Phase::KvCache, 15_000, Some(5_000)),
        ];
        assert_eq!(told(&witness, Some(20_000)), want);
        assert_eq!(witness.last().0, Some(Timestamp::from_millis(15_000)));
        assert_eq!(witness.last().1, "Available KV cache memory: 1 GiB");
    }

    #[test]
    fn a_clock_that_goes_back_makes_no_negative_times() {
        let mut witness = Witness::new(Timestamp::from_millis(10_000), None);
        hear(&mut witness, 4_000, "non-default args: {}");
        hear(&mut witness, 3_000, "Starting to load model m...");
        assert_eq!(
            told(&witness, Some(1_000)),
            [
                (Phase::Import, 10_000, Some(0)),
                (Phase::Config, 10_000, Some(0)),
                (Phase::Load, 10_000, Some(0))
            ]
        );
    }
}
