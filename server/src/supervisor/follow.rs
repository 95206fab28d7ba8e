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
        };
        let guard = stop.clone().drop_guard();
        tokio::spawn(async move {
            let mut wait = Duration::from_millis(100);
            loop {
                let at = if sink.begun { sink.feed.position() } else { from };
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
}

impl RunSink {
    fn begin(&mut self, time_ns: i64) {
        self.begun = true;
        match self.expected {
            Some(expected) if expected == time_ns => {}
            Some(_) => {
                // The log does not begin any more where it began: lines were rotated away, so that counting from 1 would
                // give old numbers to other lines. A new run, with a gap.
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

impl FrameSink for RunSink {
    fn frame(&mut self, time_ns: i64, stream: Stream, bytes: &[u8]) {
        if !self.begun {
            self.begin(time_ns);
        }
        self.feed.frame_of(self.run, time_ns, stream, bytes);
    }

    fn flush(&mut self) {
        self.feed.flush();
    }
}
