//! Event `lines`, read straight into the store: no line becomes an object of its own.

use super::ansi::Style;
use super::store::{Head, Store};
use crate::model::{Level, LevelCounts, LineKind, Stream, Timestamp};
use crate::wire::Scan;

/// Where the counts of a run stand: what the server counted, and up to which line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// The run.
    pub run: u64,
    /// Lines up to this one are in the counts.
    pub upto: u64,
    /// Lines per level.
    pub counts: LevelCounts,
}

impl Counted {
    fn line(&mut self, run: u64, seq: u64, level: Level) {
        if run > self.run {
            *self = Self { run, ..Self::default() };
        }
        if run == self.run && seq > self.upto {
            self.upto = seq;
            self.counts.add(level);
        }
    }
}

/// Reads `{"run":…,"lines":[[…],…]}` into the store and the counts. `None` when it is something else; the lines before the
/// broken one are kept.
pub fn lines(json: &str, store: &mut Store, counted: &mut Counted) -> Option<()> {
    let mut scan = Scan::new(json);
    let (mut run, mut first) = (None, true);
    scan.expect(b'{')?;
    while scan.more(&mut first, b'}')? {
        let key = scan.string()?;
        scan.expect(b':')?;
        match key.as_ref() {
            "run" => run = Some(scan.whole()?),
            "lines" => {
                let run = run?;
                let mut first = true;
                scan.expect(b'[')?;
                while scan.more(&mut first, b']')? {
                    one(&mut scan, run, store, counted)?;
                }
            }
            _ => scan.skip()?,
        }
    }
    scan.at_end().then_some(())
}

/// Reads one line, `[…]`, of the run.
pub fn line(json: &str, run: u64, store: &mut Store) -> Option<()> {
    one(&mut Scan::new(json), run, store, &mut Counted::default())
}

/// `[seq, time, stream, level, source, text]`, spans and the kind behind it where there are any. Nothing is held before the
/// line is whole.
fn one(scan: &mut Scan<'_>, run: u64, store: &mut Store, counted: &mut Counted) -> Option<()> {
    scan.expect(b'[')?;
    let seq = scan.whole()?;
    scan.expect(b',')?;
    let time = Timestamp::parse(&scan.string()?)?;
    scan.expect(b',')?;
    let stream = if scan.string()? == "stderr" { Stream::Stderr } else { Stream::Stdout };
    scan.expect(b',')?;
    let level: Level = scan.string()?.parse().ok()?;
    scan.expect(b',')?;
    let mut mark = None;
    let mut kind = LineKind::None;
    if store.wants(run, seq) {
        let mark = mark.insert(store.mark());
        scan.string_into(store.text_to_write())?;
        store.end_source(mark);
        scan.expect(b',')?;
        scan.string_into(store.text_to_write())?;
        if scan.take(b',') {
            spans(scan, store)?;
            if scan.take(b',') {
                // A word of a newer server is no kind of ours.
                kind = scan.string()?.parse().unwrap_or_default();
            }
        }
    } else {
        scan.skip()?;
    }
    while scan.take(b',') {
        scan.skip()?;
    }
    scan.expect(b']')?;
    if let Some(mark) = mark {
        store.commit(mark, Head { run, seq, time, stream, level, kind });
    }
    counted.line(run, seq, level);
    Some(())
}

fn spans(scan: &mut Scan<'_>, store: &mut Store) -> Option<()> {
    let mut first = true;
    scan.expect(b'[')?;
    while scan.more(&mut first, b']')? {
        scan.expect(b'[')?;
        let from = scan.whole()?;
        scan.expect(b',')?;
        let to = scan.whole()?;
        scan.expect(b',')?;
        let style = Style::parse(&scan.string()?);
        scan.expect(b']')?;
        store.span(u32::try_from(from).ok()?, u32::try_from(to).ok()?, style);
    }
    Some(())
}
