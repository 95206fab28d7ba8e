//! Keeps a service's log: one task, that reads the feed as a viewer does and writes what it finds.

use super::columns::Line;
use super::retention;
use super::writer::RunWriter;
use super::{History, Tally};
use crate::logs::{Decoder, Feed, Mark, Recorded};
use app::model::{LogPosition, ServiceName, Timestamp};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Lines are gathered this long: far less than the memory lasts at any speed.
const GATHER: Duration = Duration::from_millis(50);
/// At most so much is lost when the power goes.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// How often a disk that refused is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(3);
/// How often the room on the disk is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long the last writing may take when the dashboard ends.
const LAST_LIMIT: Duration = Duration::from_secs(3);

/// The task that keeps one service's log.
pub struct Keeper {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Begins to keep what the feed has and gets.
    /// `saved` is told from where the log can be read on when all before that is on disk.
    pub fn spawn(
        history: Arc<History>,
        service: ServiceName,
        feed: Arc<Feed>,
        saved: impl Fn(&Mark) + Send + 'static,
    ) -> Self {
        let stop = CancellationToken::new();
        feed.record(Recorded::NotYet);
        let tally = history.tally(&service);
        let work = Work {
            tally,
            history,
            service,
            feed,
            at: None,
            done: None,
            decoder: Decoder::default(),
            saved: None,
            looked: None,
            failing: false,
            mark: None,
            tell: Box::new(saved),
        };
        let task = tokio::spawn(keep(work, stop.clone()));
        Self { stop, task }
    }

    /// Writes what is left and ends.
    pub async fn finish(self) {
        self.stop.cancel();
        if tokio::time::timeout(LAST_LIMIT, self.task).await.is_err() {
            tracing::warn!("the last lines of a log could not be written in time");
        }
    }
}

async fn keep(mut work: Work, stop: CancellationToken) {
    let mut news = work.feed.subscribe();
    loop {
        news.mark_unchanged();
        let last = stop.is_cancelled();
        let (history, service, feed) = (work.history.clone(), work.service.clone(), work.feed.clone());
        work = match tokio::task::spawn_blocking(move || work.step(last)).await {
            Ok(back) => back,
            Err(error) => {
                // A runtime that ends does not carry it out; anything else is a defect of ours, and told.
                feed.record(Recorded::Nowhere);
                if error.is_panic() {
                    tracing::error!(%service, "its log is written no more: the writer failed");
                    history.note(&service, Some(&io::Error::other("the writer failed")));
                }
                return;
            }
        };
        if last {
            work.feed.record(Recorded::Nowhere);
            history.note(&service, None);
            return;
        }
        if work.failing {
            wait(TRY_AGAIN, &stop).await;
            continue;
        }
        let due = work.saved.map(|saved| SAVE_EVERY.saturating_sub(saved.elapsed()));
        tokio::select! {
            changed = news.changed() => {
                if changed.is_err() {
                    return;
                }
                wait(GATHER, &stop).await;
            }
            // Lines that were taken and not saved.
            () = tokio::time::sleep(due.unwrap_or_default()), if due.is_some() => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn wait(time: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = stop.cancelled() => {}
    }
}

/// The run that is written.
struct At {
    run: u64,
    writer: RunWriter,
    /// The last gap note that was written.
    gap: u64,
    /// When its last line came.
    ms: i64,
}

struct Work {
    history: Arc<History>,
    tally: Arc<Tally>,
    service: ServiceName,
    feed: Arc<Feed>,
    at: Option<At>,
    /// The last run that was finished.
    done: Option<u64>,
    decoder: Decoder,
    /// When it was saved, while there is something to save.
    saved: Option<Instant>,
    looked: Option<Instant>,
    failing: bool,
    /// A place from which the log can be read on, once all before it is on disk.
    mark: Option<Mark>,
    tell: Box<dyn Fn(&Mark) + Send>,
}

impl Work {
    fn step(mut self, last: bool) -> Self {
        let result = self.room().and_then(|()| self.drain()).and_then(|()| self.save(last));
        match &result {
            Ok(()) if self.failing => {
                tracing::info!(service = %self.service, "its log is written to disk again");
                self.history.note(&self.service, None);
            }
            Ok(()) => {}
            Err(error) => self.history.note(&self.service, Some(error)),
        }
        self.failing = result.is_err();
        let place = self.at.as_ref().map(|at| LogPosition { run: at.run, seq: at.writer.last() });
        self.feed.record(match place {
            _ if self.failing => Recorded::Nowhere,
            Some(place) => Recorded::UpTo(place),
            None => Recorded::NotYet,
        });
        self
    }

    /// Leaves the machine some room: a full disk stops more than this log.
    fn room(&mut self) -> io::Result<()> {
        if !self.failing && self.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        match retention::free_bytes(&self.history.root) {
            Some((free, size)) if free < retention::floor(size) => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    fn drain(&mut self) -> io::Result<()> {
        self.mark = self.feed.mark().or(self.mark);
        let (current, previous) = self.feed.run_numbers();
        for run in [previous, current].into_iter().flatten() {
            if self.done == Some(run) {
                continue;
            }
            if self.at.as_ref().is_none_or(|at| at.run != run) {
                self.leave()?;
                let writer = RunWriter::open(&self.history.folder(&self.service, run))?;
                self.at = Some(At { run, writer, gap: 0, ms: Timestamp::now().millis() });
            }
            self.take(run)?;
            let over = Some(run) == previous;
            let Some(at) = &mut self.at else { continue };
            if over || self.feed.is_closed(run) {
                at.writer.end(at.ms)?;
            }
            if over {
                self.at = None;
                self.done = Some(run);
            }
        }
        Ok(())
    }

    /// Closes the run that was written until now: it fell out of the feed before it was seen to be over.
    fn leave(&mut self) -> io::Result<()> {
        let Some(at) = &mut self.at else { return Ok(()) };
        at.writer.save()?;
        self.at = None;
        Ok(())
    }

    fn take(&mut self, run: u64) -> io::Result<()> {
        let Some(at) = &mut self.at else { return Ok(()) };
        let gaps = self.feed.gaps(run, at.gap);
        let mut gaps = gaps.iter().peekable();
        let after = at.writer.last();
        let Some((_, chunks)) = self.feed.chunks(Some(run), after) else { return Ok(()) };
        let lines = chunks.iter().flat_map(|chunk| chunk.lines()).filter(|line| line.seq > after);
        let mut next = after + 1;
        for stored in lines {
            self.tally.dropped.add(stored.seq.saturating_sub(next));
            next = stored.seq + 1;
            while let Some(gap) = gaps.next_if(|gap| gap.after < stored.seq) {
                at.writer.gap(gap.count, at.ms)?;
                at.gap = gap.id;
            }
            let mut written = Ok(());
            self.decoder.read(stored.level, stored.stream, stored.json, |parts| {
                at.ms = parts.ms;
                written = at.writer.push(&Line::of(stored.seq, &parts));
            });
            written?;
            self.tally.stored.count();
            self.saved.get_or_insert_with(Instant::now);
        }
        for gap in gaps {
            at.writer.gap(gap.count, at.ms)?;
            at.gap = gap.id;
        }
        Ok(())
    }

    fn save(&mut self, now: bool) -> io::Result<()> {
        if !now && self.saved.is_none_or(|saved| saved.elapsed() < SAVE_EVERY) {
            return Ok(());
        }
        let Some(at) = &mut self.at else {
            self.saved = None;
            return Ok(());
        };
        if at.writer.is_gone() {
            // Somebody deleted the folder: what the memory has is written anew.
            tracing::warn!(service = %self.service, run = at.run, "the run's folder was deleted; it is begun again");
            self.history.indexes.forget(&self.history.folder(&self.service, at.run));
            self.at = None;
            return Ok(());
        }
        at.writer.save()?;
        self.saved = None;
        if let Some(mark) = self.mark.take_if(|mark| mark.run == at.run && mark.seq <= at.writer.last()) {
            (self.tell)(&mark);
        }
        Ok(())
    }
}
