//! Follows the log of one instance into its service's feed, over every broken connection, until it is complete.

use super::task::Mail;
use crate::logs::Feed;
use crate::runtime::{FollowEnd, FramePosition, FrameSink, InstanceId, Runtime};
use crate::store::{RunRow, Store};
use app::model::{ServiceName, Stream, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How much older than the one before it a frame may be.
const DISORDER_NS: i64 = 2_000_000_000;

/// Ends the following when it is dropped.
pub struct Follower {
    _stop: DropGuard,
}

impl Follower {
    /// Starts to follow. The task ends with the log, or when the follower is dropped.
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
    ) -> Self {
        let stop = CancellationToken::new();
        let from = FramePosition { time_ns: row.log_from_ns, nth: 0 };
        // An instance that was out of sight for a while: its lines are here already, up to the last one.
        let begun = feed.run_numbers().0 == Some(row.run) && feed.first_frame_ns().is_some();
        let mut sink = RunSink {
            feed,
            store,
            service,
            key: instance.key(),
            started,
            run: row.run,
            log_from_ns: row.log_from_ns,
            expected: row.first_frame_ns,
            begun,
            known: None,
        };
        let guard = stop.clone().drop_guard();
        tokio::spawn(async move {
            let mut wait = Duration::from_millis(100);
            loop {
                let at = if sink.begun { sink.feed.position() } else { from };
                // The runtime itself leaves out what is before that.
                sink.known = None;
                match runtime.follow(&instance, at, &mut sink, stop.clone()).await {
                    Ok(FollowEnd::Complete) => break,
                    // Only a stream that brought something was sound: garbage must not be asked for in a loop.
                    Ok(FollowEnd::Broken) if sink.begun && sink.feed.position() != at => {
                        wait = Duration::from_millis(100);
                    }
                    Ok(FollowEnd::Broken) => {}
                    Err(error) => {
                        tracing::debug!(service = %sink.service, %error, "the log cannot be followed now");
                    }
                }
                tokio::select! {
                    () = tokio::time::sleep(wait) => wait = (wait * 2).min(Duration::from_secs(2)),
                    () = stop.cancelled() => return,
                }
            }
            if !stop.is_cancelled() {
                // Only a task that is gone does not take its mail.
                let _ = mail.send(Mail::LogComplete(instance)).await;
            }
        });
        Self { _stop: guard }
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
}
