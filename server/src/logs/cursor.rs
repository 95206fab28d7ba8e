//! A viewer's place in a log, and what it gets next.
//!
//! A viewer is a cursor, not a queue: however slow it is, it costs the others nothing, and what it missed it gets in large
//! batches or, when that is gone, as a gap with a count.

use super::ring::{Ring, Slice};
use super::shared::{Chain, Shared};
use app::model::{Gap, LogPosition, Progress, Stream, Timestamp};
use bytes::Bytes;
use std::collections::VecDeque;

/// What a viewer gets, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Batch {
    /// The viewer moved on to this run.
    Run {
        /// The run.
        run: u64,
        /// When the runtime started it.
        started: Timestamp,
        /// The run before.
        previous: Option<u64>,
    },
    /// Lines that follow each other.
    Lines {
        /// Their run.
        run: u64,
        /// The first one's number.
        first: u64,
        /// The last one's number.
        last: u64,
        /// `{"run":…,"lines":[…]}`; all viewers that stand at the same place get the same bytes.
        json: Bytes,
    },
    /// Lines that this viewer does not get.
    Gap(Gap),
    /// A line that is being redrawn.
    Progress(Progress),
}

/// A viewer's place.
#[derive(Clone, Debug)]
pub struct Cursor {
    place: Place,
    /// The last gap note that it was told.
    gap_note: u64,
    /// Per pipe: the version of the progress text that it knows, and whether that showed something.
    progress: [(u64, bool); 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Begins with so many lines of the current run; with all that are kept when `None`.
    Start(Option<u64>),
    /// There was no run to begin with: the next one is news.
    BeforeFirstRun,
    /// Behind this line.
    At(LogPosition),
}

impl Cursor {
    /// Goes on behind this line.
    pub const fn after(position: LogPosition) -> Self {
        Self::new(Place::At(position))
    }

    /// Begins with the first kept line of the current run.
    pub const fn from_start() -> Self {
        Self::new(Place::Start(None))
    }

    /// Begins with the last `lines` lines of the current run.
    pub const fn tail(lines: u64) -> Self {
        Self::new(Place::Start(Some(lines)))
    }

    const fn new(place: Place) -> Self {
        Self { place, gap_note: 0, progress: [(0, false); 2] }
    }

    /// The last line that it got; `None` before its first read and while there is no run.
    pub const fn position(&self) -> Option<LogPosition> {
        match self.place {
            Place::At(position) => Some(position),
            _ => None,
        }
    }
}

/// Lines that the log itself misses behind line `after`.
#[derive(Clone, Copy, Debug)]
pub struct GapNote {
    /// Counts up within the feed.
    pub id: u64,
    /// Behind this line.
    pub after: u64,
    /// How many; `None` where that is not known.
    pub count: Option<u64>,
}

/// Gap notes kept per run; they are rare.
const GAP_NOTES: usize = 256;

/// A progress text and how often any changed before.
#[derive(Debug, Default)]
struct Shown {
    version: u64,
    text: String,
}

/// One run as viewers see it.
#[derive(Debug)]
pub struct Run {
    /// Its number.
    pub number: u64,
    /// When the runtime started it.
    pub started: Timestamp,
    /// Its kept lines.
    pub ring: Ring,
    /// Lines that nobody can bring back.
    pub gaps: VecDeque<GapNote>,
    /// Nothing more is to come, as far as is known.
    pub closed: bool,
    progress: [Shown; 2],
}

/// The runs at hand.
#[derive(Debug, Default)]
pub struct Runs {
    /// The run that is written, or was last.
    pub current: Option<Run>,
    /// The run before.
    pub previous: Option<Run>,
    /// Counts gap notes and changes of progress texts.
    ticks: u64,
}

/// Which lines a viewer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// All that there are.
    Any,
    /// Those that were made into a batch for another viewer.
    Made,
}

/// What [`Runs::next`] found; lines are joined outside of the lock.
#[derive(Debug)]
pub enum Found {
    /// Lines of this run, and whether they are its newest.
    Lines(u64, Slice, bool),
    /// Lines that were joined for another viewer.
    Shared(u64, u64, Shared),
    /// Anything else.
    Ready(Batch),
}

impl Run {
    /// A run without lines.
    pub fn new(number: u64, started: Timestamp, ring: Ring) -> Self {
        Self { number, started, ring, gaps: VecDeque::new(), closed: false, progress: Default::default() }
    }
}

impl Runs {
    /// The run with this number; the current one when none is named.
    pub fn get(&self, run: Option<u64>) -> Option<&Run> {
        match run {
            None => self.current.as_ref(),
            Some(number) => {
                [&self.current, &self.previous].into_iter().flatten().find(|run| run.number == number)
            }
        }
    }

    /// Notes that lines are missing behind the last one.
    pub fn note_gap(&mut self, count: Option<u64>) {
        self.ticks += 1;
        let Some(run) = &mut self.current else { return };
        let first = run.ring.first();
        run.gaps.retain(|gap| gap.after + 1 >= first);
        if run.gaps.len() == GAP_NOTES {
            run.gaps.pop_front();
        }
        run.gaps.push_back(GapNote { id: self.ticks, after: run.ring.last(), count });
    }

    /// Shows a progress text; an empty one ends it.
    pub fn show(&mut self, stream: Stream, text: &str) {
        self.ticks += 1;
        if let Some(run) = &mut self.current {
            let shown = &mut run.progress[stream as usize];
            shown.version = self.ticks;
            text.clone_into(&mut shown.text);
        }
    }

    /// Makes a cursor that has not begun begin now.
    pub fn place(&self, cursor: &mut Cursor) {
        if let Place::Start(lines) = cursor.place {
            cursor.place = match &self.current {
                None => Place::BeforeFirstRun,
                Some(run) => {
                    let kept = run.ring.last() + 1 - run.ring.first();
                    let seq = run.ring.last() - lines.map_or(kept, |n| n.min(kept));
                    Place::At(LogPosition { run: run.number, seq })
                }
            };
        }
    }

    /// What the cursor gets next, of the chain where it can be; `None` when there is nothing for it.
    pub fn next(&self, cursor: &mut Cursor, chain: &Chain, max_bytes: usize, take: Take) -> Option<Found> {
        self.place(cursor);
        let current = self.current.as_ref()?;
        let Place::At(at) = cursor.place else {
            return Some(Found::Ready(Self::enter(cursor, current, self.previous.as_ref())));
        };
        let Some(run) = self.get(Some(at.run)) else {
            // Dropped, or never known here.
            let gap = Gap { run: at.run, after: at.seq, count: None };
            cursor.place = Place::BeforeFirstRun;
            return Some(Found::Ready(Batch::Gap(gap)));
        };
        if let Some(found) = run.next(cursor, at.seq, chain, max_bytes, take) {
            return Some(found);
        }
        // Lines that it does not take now are not left behind.
        (run.number != current.number && at.seq >= run.ring.last())
            .then(|| Found::Ready(Self::enter(cursor, current, self.previous.as_ref())))
    }

    fn enter(cursor: &mut Cursor, run: &Run, previous: Option<&Run>) -> Batch {
        cursor.place = Place::At(LogPosition { run: run.number, seq: 0 });
        cursor.progress = [(0, false); 2];
        Batch::Run { run: run.number, started: run.started, previous: previous.map(|run| run.number) }
    }
}

impl Run {
    fn next(
        &self,
        cursor: &mut Cursor,
        after: u64,
        chain: &Chain,
        max_bytes: usize,
        take: Take,
    ) -> Option<Found> {
        let at = |seq| Place::At(LogPosition { run: self.number, seq });
        let gap = |after, count| Some(Found::Ready(Batch::Gap(Gap { run: self.number, after, count })));
        let first = self.ring.first();
        if after.saturating_add(1) < first && self.ring.last() > 0 {
            cursor.place = at(first - 1);
            return gap(after, Some(first - 1 - after));
        }
        let due = self.gaps.iter().find(|note| note.after >= after && note.id > cursor.gap_note);
        if let Some(note) = due.filter(|note| note.after == after) {
            cursor.gap_note = note.id;
            return gap(after, note.count);
        }
        let until = due.map_or(u64::MAX, |note| note.after);
        let shared = chain.behind(self.number, after);
        if let Some(shared) = shared.filter(|made| made.json.len() <= max_bytes && made.last <= until) {
            cursor.place = at(shared.last);
            return Some(Found::Shared(self.number, after + 1, shared.clone()));
        }
        if take == Take::Made && self.ring.last() > after {
            return None;
        }
        let end = chain.next_end(self.number, after).unwrap_or(u64::MAX);
        if let Some(slice) = self.ring.slice(after, until.min(end), max_bytes) {
            cursor.place = at(slice.last);
            let newest = slice.last == self.ring.last();
            return Some(Found::Lines(self.number, slice, newest));
        }
        for stream in [Stream::Stdout, Stream::Stderr] {
            let (shown, known) = (&self.progress[stream as usize], &mut cursor.progress[stream as usize]);
            if shown.version != known.0 {
                let news = known.1 || !shown.text.is_empty();
                *known = (shown.version, !shown.text.is_empty());
                if news {
                    let progress = Progress { run: self.number, stream, text: shown.text.clone() };
                    return Some(Found::Ready(Batch::Progress(progress)));
                }
            }
        }
        None
    }
}
