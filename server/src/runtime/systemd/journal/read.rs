//! Runs `journalctl` and hands its entries over as frames.

use super::{Entry, LineBreak, Parser};
use crate::runtime::systemd::bus::{Scope, refused};
use crate::runtime::systemd::unit::nanos;
use crate::runtime::{FramePosition, FrameSink, RuntimeError};
use app::model::Stream;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};

/// How much of what the program complains of is kept.
const COMPLAINT_LIMIT: usize = 4096;
/// How much is read at once.
const CHUNK: usize = 64 * 1024;
/// How long the program may take to end once its output has.
const END_LIMIT: Duration = Duration::from_secs(5);
/// How long the search for one entry may take.
const SEARCH_LIMIT: Duration = Duration::from_secs(3);
/// How long a reading that does not follow may stay silent.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// Where the log of one scope's units is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Journal {
    /// The program, `journalctl` where nothing else is said.
    pub(in super::super) program: PathBuf,
    /// Whose units.
    pub(in super::super) scope: Scope,
}

/// How one run of the program goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Pass {
    /// To the end of what is there.
    Once,
    /// On and on.
    Follow,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum PassEnd {
    /// The program ended by itself.
    Read,
    /// It was told to.
    Told,
}

impl Journal {
    /// The program's arguments.
    fn arguments(&self, invocation: &str, from: FramePosition, pass: Pass) -> Vec<String> {
        let mut list: Vec<String> = [
            "--output=export",
            "--output-fields=MESSAGE,PRIORITY,_TRANSPORT,_LINE_BREAK",
            "--no-pager",
            "--all",
        ]
        .map(str::to_owned)
        .into();
        if pass == Pass::Follow {
            list.extend(["--follow".to_owned(), "--no-tail".to_owned()]);
        }
        if from.time_ns > 0 {
            let us = from.time_ns / 1000;
            list.push(format!("--since=@{}.{:06}", us / 1_000_000, us % 1_000_000));
        }
        list.push(format!("_SYSTEMD_INVOCATION_ID={invocation}"));
        list.push("+".to_owned());
        list.extend(self.of_the_manager(invocation));
        list
    }

    /// What matches the manager's own entries about a start.
    fn of_the_manager(&self, invocation: &str) -> Vec<String> {
        match self.scope {
            Scope::System => vec![format!("INVOCATION_ID={invocation}"), "_PID=1".to_owned()],
            Scope::User => vec![format!("USER_INVOCATION_ID={invocation}")],
        }
    }

    fn command(&self, arguments: &[String]) -> tokio::process::Command {
        #[expect(
            clippy::disallowed_methods,
            reason = "the journal has no bus interface: its own program is how it is read"
        )]
        let mut command = tokio::process::Command::new(&self.program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Whether the manager wrote that this start was ended by a stop job. `false` where that cannot be read.
    ///
    /// Field `JOB_TYPE` of the entry "Stopping…", `job_emit_start_message` in systemd's `src/core/job.c`.
    pub(in super::super) async fn knows_of_a_stop(&self, invocation: &str) -> bool {
        let fixed = ["--output=export", "--output-fields=JOB_TYPE", "--no-pager", "--quiet", "--lines=1"];
        let mut list: Vec<String> = fixed.map(str::to_owned).into();
        list.extend(self.of_the_manager(invocation));
        list.push("JOB_TYPE=stop".to_owned());
        let search = async {
            let mut child = self.command(&list).stderr(Stdio::null()).spawn().ok()?;
            let mut found = Vec::new();
            child.stdout.take()?.take(COMPLAINT_LIMIT as u64).read_to_end(&mut found).await.ok()?;
            child.wait().await.ok()?;
            Some(found.windows(13).any(|w| w == b"JOB_TYPE=stop"))
        };
        tokio::time::timeout(SEARCH_LIMIT, search).await.ok().flatten().unwrap_or(false)
    }

    /// Reads from behind `from` and moves it on, until the program ends or `until` is ready.
    ///
    /// # Errors
    /// [`RuntimeError::Refused`] when the program is missing, fails, or says something else than a journal.
    pub(in super::super) async fn read(
        &self,
        invocation: &str,
        from: &mut FramePosition,
        pass: Pass,
        sink: &mut dyn FrameSink,
        until: impl Future<Output = ()> + Send,
    ) -> Result<PassEnd, RuntimeError> {
        let no = |detail: String| refused("logs", format!("{}: {detail}", self.program.display()));
        let mut child =
            self.command(&self.arguments(invocation, *from, pass)).stderr(Stdio::piped()).spawn().map_err(
                |error| no(format!("cannot be run ({error}): the log of this unit cannot be shown")),
            )?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(no("has no output".to_owned()));
        };
        let mut frames = Frames::new(*from);
        let both = async { tokio::join!(frames.take_all(stdout, pass, sink), complaint(stderr)) };
        let reading = tokio::select! {
            both = both => Some(both),
            () = until => None,
        };
        *from = frames.last;
        let Some((read, complaint)) = reading else {
            // Killed and reaped here, so that its successor never reads beside it.
            let _ = tokio::time::timeout(END_LIMIT, child.kill()).await;
            return Ok(PassEnd::Told);
        };
        if let Err(detail) = read {
            let _ = tokio::time::timeout(END_LIMIT, child.kill()).await;
            return Err(no(detail));
        }
        let status = tokio::time::timeout(END_LIMIT, child.wait()).await;
        match status {
            Ok(Ok(status)) if !status.success() => Err(no(ended_badly(status, &complaint))),
            Ok(Ok(_)) => {
                if !complaint.is_empty() {
                    tracing::warn!(complaint, "the journal may not be complete");
                }
                Ok(PassEnd::Read)
            }
            Ok(Err(error)) => Err(no(error.to_string())),
            Err(_) => Err(no("closed its output but does not end".to_owned())),
        }
    }
}

fn ended_badly(status: ExitStatus, complaint: &str) -> String {
    let why = complaint.lines().next().unwrap_or("it does not say why");
    format!("ended with {status}: {why}")
}

/// The first bytes of what the program complains of; the rest is read and dropped.
async fn complaint(mut stderr: impl AsyncRead + Unpin) -> String {
    let (mut kept, mut piece) = (Vec::new(), [0u8; 1024]);
    while let Ok(count @ 1..) = stderr.read(&mut piece).await {
        let room = COMPLAINT_LIMIT.saturating_sub(kept.len());
        kept.extend_from_slice(piece.get(..count.min(room)).unwrap_or_default());
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

/// Makes frames of entries and knows where in the log it is.
struct Frames {
    /// Skip what is not behind this.
    from: FramePosition,
    /// How many entries with exactly `from.time_ns` have come.
    equal: u32,
    /// An entry that is behind `from` has come. Times may go back after that: somebody set the clock.
    begun: bool,
    /// Behind the last frame.
    last: FramePosition,
}

impl Frames {
    const fn new(from: FramePosition) -> Self {
        Self { from, equal: 0, begun: false, last: from }
    }

    async fn take_all(
        &mut self,
        mut stdout: impl AsyncRead + Unpin,
        pass: Pass,
        sink: &mut dyn FrameSink,
    ) -> Result<(), String> {
        let (mut parser, mut chunk) = (Parser::default(), vec![0u8; CHUNK]);
        loop {
            let read = stdout.read(&mut chunk);
            let count = match pass {
                Pass::Follow => read.await,
                Pass::Once => tokio::time::timeout(SILENCE_LIMIT, read)
                    .await
                    .map_err(|_| format!("was silent for {} s", SILENCE_LIMIT.as_secs()))?,
            }
            .map_err(|error| error.to_string())?;
            let bytes = chunk.get(..count).unwrap_or_default();
            if bytes.is_empty() {
                return Ok(());
            }
            parser.take(bytes, |entry| self.take(entry, sink)).map_err(|error| error.to_string())?;
            sink.flush();
        }
    }

    fn take(&mut self, entry: Entry, sink: &mut dyn FrameSink) {
        let Some(mut text) = entry.message else { return };
        let time_ns = nanos(entry.realtime_us);
        if !self.begun {
            if time_ns < self.from.time_ns {
                return;
            }
            if time_ns == self.from.time_ns && self.equal < self.from.nth {
                self.equal += 1;
                return;
            }
            self.begun = true;
        }
        let nth = if time_ns == self.last.time_ns { self.last.nth.saturating_add(1) } else { 1 };
        self.last = FramePosition { time_ns, nth };
        if entry.cut > 0 {
            text.extend_from_slice(format!("… ({} bytes more)", entry.cut).as_bytes());
        }
        if entry.line_break != LineBreak::TooLong {
            text.push(b'\n');
        }
        // The journal does not keep which of its two pipes a program wrote to.
        sink.frame(time_ns, Stream::Stdout, &text);
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
