//! Follows the log of one instance into its service's feed, over every broken connection, until it is complete.

use super::task::Mail;
use crate::logs::{Feed, Mark};
use crate::runtime::{FollowEnd, FramePosition, FrameSink, InstanceId, Runtime};
use crate::store::{EarlierRun, RunRow, Store};
use app::model::{LevelCounts, ServiceName, Stream, Timestamp};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How much older than the one before it a frame may be.
const DISORDER_NS: i64 = 2_000_000_000;

/// How often the rest of the run before is asked for, should the runtime not answer.
const REST_TRIES: u32 = 5;

/// How long it takes until a log is asked for again: at first, at most, and at most where what came was no log.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
const GARBLED: Duration = Duration::from_secs(60);

/// How long a follower may take to end. Each of its reads heeds its stop; this is for a disk that hangs.
const LEAVE: Duration = Duration::from_secs(5);

/// Ends the following when it is dropped.
pub struct Follower {
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl Follower {
    /// Ends it and waits until it writes no more; false when it did not end in time.
    async fn leave(self) -> bool {
        let Self { stop, task } = self;
        drop(stop);
        tokio::time::timeout(LEAVE, task).await.is_ok()
    }
}

impl Follower {
    /// Opens the run in the feed and follows it, once `before` has ended and what the runtime still has of the run before was
    /// read. The task ends with the log, or when the follower is dropped.
    #[expect(
        clippy::too_many_arguments,
        reason = "one call, from the service's task, which has them all at hand"
    )]
    pub fn spawn(
        service: ServiceName,
        instance: InstanceId,
        row: &RunRow,
        started: Timestamp,
        runtime: Arc<dyn Runtime>,
        feed: Arc<Feed>,
        store: Arc<Store>,
        mail: mpsc::Sender<Mail>,
        before: Option<Self>,
    ) -> Self {
        let stop = CancellationToken::new();
        let from = FramePosition { time_ns: row.log_from_ns, nth: 0 };
        let mut sink = RunSink {
            feed,
            store,
            service,
            key: instance.key(),
            started,
            run: row.run,
            log_from_ns: row.log_from_ns,
            expected: row.first_frame_ns,
            begun: false,
            known: None,
        };
        let guard = stop.clone().drop_guard();
        let task = tokio::spawn(async move {
            // Two at once would write lines twice.
            let alone = match before {
                Some(before) => before.leave().await,
                None => true,
            };
            // A feed that has this run has all that came before it.
            if alone
                && sink.feed.run_numbers().0 != Some(sink.run)
                && let Some(mut rest) = sink.rest()
            {
                rest.read(runtime.as_ref(), &stop).await;
            }
            if stop.is_cancelled() {
                return;
            }
            sink.feed.open_run(sink.run, sink.started);
            // An instance that was out of sight for a while: its lines are here already, up to the last one.
            sink.begun = sink.feed.first_frame_ns().is_some();
            let (mut wait, mut most) = (FIRST_WAIT, LONGEST_WAIT);
            loop {
                let at = if sink.begun { sink.feed.position() } else { from };
                // The runtime itself leaves out what is before that.
                sink.known = None;
                match runtime.follow(&instance, at, &mut sink, stop.clone()).await {
                    Ok(FollowEnd::Complete) => break,
                    // Only a stream that brought something was sound: garbage must not be asked for in a loop.
                    Ok(FollowEnd::Broken) if sink.begun && sink.feed.position() != at => {
                        (wait, most) = (FIRST_WAIT, LONGEST_WAIT);
                    }
                    Ok(FollowEnd::Broken) => {}
                    // However much of it was understood before.
                    Ok(FollowEnd::Garbled) => most = GARBLED,
                    Err(error) => {
                        tracing::debug!(service = %sink.service, %error, "the log cannot be followed now");
                    }
                }
                tokio::select! {
                    () = tokio::time::sleep(wait) => wait = (wait * 2).min(most),
                    () = stop.cancelled() => return,
                }
            }
            if !stop.is_cancelled() {
                // Only a task that is gone does not take its mail.
                let _ = mail.send(Mail::LogComplete(instance)).await;
            }
        });
        Self { stop: guard, task }
    }
}

/// The lines of the run before that were written while no dashboard looked: its end, mostly.
struct Rest {
    feed: Arc<Feed>,
    earlier: EarlierRun,
    /// Behind what was had.
    from: FramePosition,
    /// Where the next run's part of the same log begins.
    until_ns: i64,
    /// Where its lines go on, unless the feed still has the run.
    mark: Option<Mark>,
}

impl Rest {
    async fn read(&mut self, runtime: &dyn Runtime, stop: &CancellationToken) {
        let instance = self.earlier.instance.clone();
        let mut wait = Duration::from_millis(100);
        for _ in 0..REST_TRIES {
            let (from, until_ns) = (self.from, self.until_ns);
            match runtime.read(&instance, from, until_ns, self, stop.clone()).await {
                Ok(FollowEnd::Complete) => return,
                Ok(FollowEnd::Broken | FollowEnd::Garbled) => {}
                Err(error) => {
                    tracing::debug!(run = self.earlier.run, %error, "the rest of its log cannot be read now");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => wait *= 2,
                () = stop.cancelled() => return,
            }
        }
        tracing::warn!(run = self.earlier.run, "the rest of this run's log could not be read");
        self.open();
        self.feed.note_gap(None);
    }

    /// The run is opened with its first line: where there is none, it stays as it is.
    fn open(&mut self) {
        if let Some(mark) = self.mark.take() {
            self.feed.open_run(mark.run, self.earlier.started);
            self.feed.go_on(&mark);
        }
    }
}

impl FrameSink for Rest {
    fn frame(&mut self, time_ns: i64, stream: Stream, bytes: &[u8]) {
        if time_ns >= self.until_ns {
            return;
        }
        self.open();
        self.feed.frame_of(self.earlier.run, time_ns, stream, bytes);
        self.from = self.feed.position();
    }

    fn flush(&mut self) {
        self.feed.flush();
    }

    fn room(&mut self) -> BoxFuture<'_, ()> {
        self.feed.room().boxed()
    }
}

/// Puts frames into the feed; sees to it that a run's numbers are never given to other lines.
struct RunSink {
    feed: Arc<Feed>,
    store: Arc<Store>,
    service: ServiceName,
    key: String,
    started: Timestamp,
    run: u64,
    log_from_ns: i64,
    /// The first frame that an earlier dashboard saw of this run.
    expected: Option<i64>,
    begun: bool,
    /// Frames up to this one were had by an earlier dashboard; so many with its time were seen.
    known: Option<(FramePosition, u32)>,
}

impl RunSink {
    fn begin(&mut self, time_ns: i64) {
        self.begun = true;
        let expected = self.expected;
        match expected {
            Some(expected) if expected == time_ns => {}
            // The log does not begin any more where it began: lines were rotated away, so that counting from 1 would give old
            // numbers to other lines.
            Some(_) if self.go_on(time_ns) => {}
            Some(_) => {
                // Nobody knows which lines these are: a new run, with a gap.
                if let Some(run) =
                    self.store.open_run(&self.service, &self.key, self.started, self.log_from_ns)
                {
                    self.run = run;
                    self.feed.open_run(run, self.started);
                    self.feed.note_gap(None);
                    self.store.set_first_frame(run, time_ns);
                } else {
                    // Without a number of their own these lines are not numbered at all.
                    self.run = u64::MAX;
                }
            }
            None => self.store.set_first_frame(self.run, time_ns),
        }
    }
}

impl RunSink {
    /// What may be left of the run before: of one that the feed has and that is not over, or one of which it is known how far
    /// an earlier dashboard came.
    fn rest(&self) -> Option<Rest> {
        let earlier = self.store.run_before(&self.service, self.run)?;
        let until_ns = if self.log_from_ns > 0 { self.log_from_ns } else { i64::MAX };
        let feed = self.feed.clone();
        // A feed that has not read a line of it does not know where to go on.
        if self.feed.run_numbers().0 == Some(earlier.run) && self.feed.first_frame_ns().is_some() {
            let open = !self.feed.is_closed(earlier.run);
            let from = self.feed.position();
            return open.then_some(Rest { feed, earlier, from, until_ns, mark: None });
        }
        let mark = match self.store.log_mark(&self.service) {
            Some(mark) if mark.run == earlier.run => mark,
            // A run after it was read.
            Some(mark) if mark.run > earlier.run => return None,
            // None of it was.
            _ => Mark {
                run: earlier.run,
                seq: 0,
                position: FramePosition { time_ns: earlier.log_from_ns, nth: 0 },
                counts: LevelCounts::default(),
            },
        };
        Some(Rest { feed, earlier, from: mark.position, until_ns, mark: Some(mark) })
    }

    /// Goes on with the run where an earlier dashboard had come to: all before that is on disk.
    fn go_on(&mut self, time_ns: i64) -> bool {
        let Some(mark) = self.store.log_mark(&self.service).filter(|mark| mark.run == self.run) else {
            return false;
        };
        // Where even what came at the mark is gone, nobody can say which numbers are free: the disk may have more lines.
        if time_ns > mark.position.time_ns {
            return false;
        }
        self.feed.go_on(&mark);
        self.known = Some((mark.position, 0));
        true
    }

    /// Whether this frame is one of those that an earlier dashboard had.
    fn is_known(&mut self, time_ns: i64) -> bool {
        let Some((until, seen)) = &mut self.known else { return false };
        // Two pipes are written side by side: a frame may be a little older than the one before it.
        if time_ns > until.time_ns.saturating_add(DISORDER_NS) {
            self.known = None;
            self.feed.note_gap(None);
            return false;
        }
        *seen += u32::from(time_ns == until.time_ns);
        if time_ns == until.time_ns && *seen >= until.nth {
            self.known = None;
        }
        true
    }
}

impl FrameSink for RunSink {
    fn frame(&mut self, time_ns: i64, stream: Stream, bytes: &[u8]) {
        if !self.begun {
            self.begin(time_ns);
        }
        if self.is_known(time_ns) {
            return;
        }
        self.feed.frame_of(self.run, time_ns, stream, bytes);
    }

    fn flush(&mut self) {
        self.feed.flush();
    }

    fn room(&mut self) -> BoxFuture<'_, ()> {
        self.feed.room().boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{Limits, classify_common};

    /// A log whose beginning was rotated away goes on in the same run, behind what an earlier dashboard had, and a log of
    /// which nobody knows what was had becomes a new run.
    #[test]
    fn a_log_without_its_beginning_is_gone_on_with() {
        let dir = tempfile::tempdir().expect("a folder");
        let service = ServiceName::parse("vllm").expect("a name");
        let started = Timestamp::from_millis(1);
        let store = Arc::new(Store::open(dir.path()).expect("opens"));
        let run = store.open_run(&service, "a@1", started, 0).expect("written");
        store.set_first_frame(run, 10);
        let sink = |run| {
            let feed = Arc::new(Feed::new(classify_common, Limits::default()));
            feed.open_run(run, started);
            RunSink {
                feed,
                store: store.clone(),
                service: service.clone(),
                key: "a@1".into(),
                started,
                run,
                log_from_ns: 0,
                expected: Some(10),
                begun: false,
                known: None,
            }
        };
        let write = |sink: &mut RunSink, frames: &[(i64, &str)]| {
            for (time, text) in frames {
                sink.frame(*time, Stream::Stdout, text.as_bytes());
            }
            sink.flush();
            sink.feed.tail(99).iter().map(|line| (line.seq, line.text.clone())).collect::<Vec<_>>()
        };
        let lines = |all: &[(u64, &str)]| {
            all.iter().map(|(seq, text)| (*seq, (*text).to_owned())).collect::<Vec<_>>()
        };
        let mut first = sink(run);
        let had = write(&mut first, &[(10, "one\n"), (20, "two\n"), (20, "three\n"), (20, "half of ")]);
        assert_eq!(had, lines(&[(1, "one"), (2, "two"), (3, "three")]));
        assert_eq!(first.feed.mark(), None, "a line has begun");
        write(&mut first, &[(30, "four\n")]);
        let mark = first.feed.mark().expect("between two lines");
        assert_eq!((mark.seq, mark.position.time_ns, mark.counts.other), (4, 30, 4));

        // Nothing is known of what was had: other lines must not get old numbers.
        let mut other = sink(run);
        write(&mut other, &[(20, "three\n")]);
        assert_ne!(other.feed.run_numbers().0, Some(run));

        store.set_log_mark(&service, &mark);
        assert_eq!(store.log_mark(&service), Some(mark));
        let mut again = sink(run);
        let kept = [(20, "three\n"), (20, "half of "), (30, "four\n"), (30, "five\n"), (40, "six\n")];
        assert_eq!(write(&mut again, &kept), lines(&[(5, "five"), (6, "six")]));
        assert_eq!(again.feed.run_numbers().0, Some(run));
        assert_eq!(again.feed.mark().expect("a mark").counts.other, 6);

        // An earlier place is not taken for the last one.
        store.set_log_mark(&service, &crate::logs::Mark { seq: 2, ..mark });
        assert_eq!(store.log_mark(&service), Some(mark));

        // The pipes overtook each other: what came before the mark is known whatever its time.
        let mut mixed = sink(run);
        let kept = [(20, "three\n"), (31, "x\n"), (30, "four\n"), (29, "five\n")];
        assert_eq!(write(&mut mixed, &kept), lines(&[(5, "five")]));

        // All that was had is gone, and perhaps more.
        let mut late = sink(run);
        assert_eq!(write(&mut late, &[(50, "nine\n")]), lines(&[(1, "nine")]));
        assert_ne!(late.feed.run_numbers().0, Some(run));
    }

    /// What is left of a run is looked for where an earlier dashboard came to, also when the feed has opened that run and read
    /// nothing of it yet.
    #[test]
    fn a_run_that_was_opened_and_not_read_is_gone_on_with_where_it_was() {
        let dir = tempfile::tempdir().expect("a folder");
        let service = ServiceName::parse("vllm").expect("a name");
        let started = Timestamp::from_millis(1);
        let store = Arc::new(Store::open(dir.path()).expect("opens"));
        let earlier = store.open_run(&service, "a@1", started, 100).expect("written");
        let run = store.open_run(&service, "a@2", started, 900).expect("written");
        let feed = Arc::new(Feed::new(classify_common, Limits::default()));
        let sink = RunSink {
            feed: feed.clone(),
            store: store.clone(),
            service: service.clone(),
            key: "a@2".into(),
            started,
            run,
            log_from_ns: 900,
            expected: None,
            begun: false,
            known: None,
        };
        let from =
            || sink.rest().map(|rest| (rest.from.time_ns, rest.mark.map(|mark| mark.seq), rest.until_ns));
        feed.open_run(earlier, started);
        assert_eq!(
            from(),
            Some((100, Some(0), 900)),
            "nothing is known: from where its part of the log begins"
        );
        let position = FramePosition { time_ns: 300, nth: 2 };
        let mark = Mark { run: earlier, seq: 7, position, counts: LevelCounts::default() };
        store.set_log_mark(&service, &mark);
        assert_eq!(from(), Some((300, Some(7), 900)));
        feed.frame_of(earlier, 400, Stream::Stdout, b"read\n");
        assert_eq!(from(), Some((400, None, 900)), "the feed knows better");
        feed.close_run();
        assert_eq!(from(), None, "it was read to its end");
    }
}
