//! What the shim does while its command lives, and after: read both pipes, reap, keep the exit status, end what is left.
//!
//! One thread with one `poll`; a second one only waits for children to end. The shim adopts orphans, so "no children" means
//! that no descendant is left. In: two pipes, a lifeline perhaps. Out: the log, `exit.json`, `remnants.json`.

use super::folder::{ExitFile, Leftover, REMNANTS, RemnantsFile, Reserved, write};
use super::group::{Identity, descendants, name, table};
use super::oom::Kills;
use super::records::{Kind, LONGEST, Writer, now_ns};
use super::shim::{ASK, FORCE};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, getpid, wait, waitid};
use std::fs::File;
use std::io::{ErrorKind, Read, Stdin};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// How long what is left may end by itself before it is named.
const GRACE: Duration = Duration::from_millis(250);
/// How long it is asked before it is forced.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often those who cannot even be forced are looked at again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often children are looked for where nothing rings.
const DEAF: Duration = Duration::from_millis(100);
/// Reads of one pipe before the other one has its turn.
const TURN: usize = 16;
/// The most that is read from each pipe after the last process has ended.
const LAST_BYTES: usize = 64 << 20;
/// How often the end of the log and the exit status are tried on a full disk, once a second.
const LAST_TRIES: u32 = 10;

/// One end that is read.
#[derive(Debug)]
pub(super) struct Pipe {
    /// The pipe, not blocking.
    pub file: File,
    /// Which one.
    pub kind: Kind,
}

/// Where the shim is.
#[derive(Debug)]
enum Stage {
    /// The command runs.
    Serving,
    /// The dashboard is gone and takes the command with it: forced from then on.
    Closing(Instant),
    /// The command has ended; what is left is named then.
    Ended(Instant),
    /// What is left was asked to end; forced from then on.
    Ending(Instant),
}

/// The shim at work.
pub(super) struct Keeper {
    run: PathBuf,
    main: Identity,
    /// Those that still have a writer.
    pipes: Vec<Pipe>,
    writer: Writer,
    reserved: Reserved,
    /// Closes when the dashboard ends; none for a service with a life of its own.
    lifeline: Option<Stdin>,
    stage: Stage,
    kills: Kills,
    /// How the command ended, and whether the disk has it.
    exit: Option<ExitFile>,
    exit_kept: bool,
    remnants: RemnantsFile,
    /// No descendant is left.
    childless: bool,
    buffer: Vec<u8>,
}

impl Keeper {
    pub fn new(
        run: &Path,
        main: Identity,
        pipes: Vec<Pipe>,
        writer: Writer,
        reserved: Reserved,
        lifeline: Option<Stdin>,
    ) -> Self {
        Self {
            run: run.to_owned(),
            main,
            pipes,
            writer,
            reserved,
            lifeline,
            stage: Stage::Serving,
            kills: Kills::begin(),
            exit: None,
            exit_kept: false,
            remnants: RemnantsFile::default(),
            childless: false,
            buffer: vec![0; LONGEST],
        }
    }

    /// Works until nothing is left.
    pub fn keep(mut self) {
        let (reaped, wait_on) = sync_channel(1);
        let bell = bell(wait_on);
        while !self.childless {
            self.sleep(bell.as_deref());
            self.kills.sample();
            self.read_pipes(TURN);
            let mut count = [0; 8];
            if bell.as_ref().is_none_or(|b| rustix::io::read(&**b, &mut count).is_ok()) {
                self.reap(&reaped);
            }
            self.step();
        }
        self.finish();
    }

    /// Until there is something to read, a child ended, the dashboard is gone, or it is time.
    fn sleep(&self, bell: Option<&OwnedFd>) {
        let due = match self.stage {
            Stage::Serving => None,
            Stage::Closing(at) | Stage::Ended(at) | Stage::Ending(at) => Some(at),
        };
        let due = due.map(|at| at.saturating_duration_since(Instant::now()));
        let due = if bell.is_some() { due } else { Some(due.map_or(DEAF, |d| d.min(DEAF))) };
        let limit = due.map(|d| Timespec {
            tv_sec: i64::try_from(d.as_secs()).unwrap_or(1),
            tv_nsec: i64::from(d.subsec_nanos()),
        });
        let mut fds: Vec<PollFd<'_>> = bell.iter().map(|b| PollFd::new(*b, PollFlags::IN)).collect();
        fds.extend(self.pipes.iter().map(|p| PollFd::new(&p.file, PollFlags::IN)));
        fds.extend(self.lifeline.iter().map(|l| PollFd::new(l, PollFlags::IN)));
        match poll(&mut fds, limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => {
                // Out of kernel memory, perhaps: no busy loop.
                eprintln!("shim: poll: {error}");
                std::thread::sleep(AGAIN);
            }
        }
    }

    fn read_pipes(&mut self, turns: usize) {
        let (writer, buffer) = (&mut self.writer, &mut self.buffer);
        self.pipes.retain_mut(|pipe| {
            for _ in 0..turns {
                match pipe.file.read(buffer) {
                    Ok(0) => return false,
                    Ok(n) => writer.append(pipe.kind, &buffer[..n]),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return error.kind() == ErrorKind::WouldBlock,
                }
            }
            true
        });
    }

    fn reap(&mut self, reaped: &SyncSender<()>) {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status)))
                    if pid.as_raw_nonzero().get().unsigned_abs() == self.main.pid && self.exit.is_none() =>
                {
                    self.main_ended(status);
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => break,
                Err(_) => {
                    self.childless = true;
                    break;
                }
            }
        }
        // Refused when the waiter has seen the last child end.
        let _ = reaped.try_send(());
    }

    fn main_ended(&mut self, status: WaitStatus) {
        let signal = status.terminating_signal();
        let code =
            signal.map_or_else(|| i64::from(status.exit_status().unwrap_or(-1)), |s| 128 + i64::from(s));
        let oom = signal == Some(Signal::KILL.as_raw()) && self.kills.happened();
        self.exit = Some(ExitFile { code, signal, at_ns: now_ns(), oom });
        self.keep_exit();
        self.stage = Stage::Ended(Instant::now() + GRACE);
    }

    fn keep_exit(&mut self) {
        if let (Some(exit), false) = (&self.exit, self.exit_kept) {
            match self.reserved.fill(exit) {
                Ok(()) => self.exit_kept = true,
                Err(error) => eprintln!("shim: exit.json: {error}"),
            }
        }
    }

    fn step(&mut self) {
        if self.lifeline.as_ref().is_some_and(closed) {
            self.lifeline = None;
            if matches!(self.stage, Stage::Serving) {
                let _ = self.main.signal(ASK);
                self.stage = Stage::Closing(Instant::now() + PATIENCE);
            }
        }
        let now = Instant::now();
        match self.stage {
            Stage::Serving => {}
            Stage::Closing(at) if now >= at => {
                self.signal_rest(FORCE, false);
                self.stage = Stage::Closing(now + AGAIN);
            }
            Stage::Ended(at) if now >= at => {
                self.signal_rest(ASK, true);
                self.stage = Stage::Ending(now + PATIENCE);
            }
            Stage::Ending(at) if now >= at => {
                self.keep_exit();
                self.signal_rest(FORCE, true);
                self.stage = Stage::Ending(now + AGAIN);
            }
            Stage::Closing(_) | Stage::Ended(_) | Stage::Ending(_) => {}
        }
    }

    /// Signals every descendant; with `named`, writes down before whom, and with what.
    fn signal_rest(&mut self, signal: Signal, named: bool) {
        let table = table();
        let own = getpid().as_raw_nonzero().get().unsigned_abs();
        let rest = descendants(&table, own);
        if named {
            let mut news = Vec::new();
            for stat in &rest {
                match self.remnants.found.iter_mut().find(|l| l.id == stat.id) {
                    Some(known) => known.signal = Some(signal.as_raw()),
                    None => {
                        news.push(format!("{} (PID {})", name(stat), stat.id.pid));
                        self.remnants.found.push(Leftover {
                            id: stat.id,
                            name: name(stat),
                            signal: Some(signal.as_raw()),
                        });
                    }
                }
            }
            if !news.is_empty() {
                let note = format!(
                    "[services] the main process left behind, and Services ends: {}\n",
                    news.join(", ")
                );
                self.writer.append(Kind::Note, note.as_bytes());
            }
            self.write_remnants();
        }
        for stat in rest {
            if let Err(error) = stat.id.signal(signal) {
                eprintln!("shim: {}: {error}", stat.id.pid);
            }
        }
    }

    fn write_remnants(&self) {
        if self.remnants.found.is_empty() {
            return;
        }
        if let Err(error) = write(&self.run, REMNANTS, &self.remnants) {
            eprintln!("shim: remnants.json: {error}");
        }
    }

    /// Nobody is left: the rest of the output, then the end.
    fn finish(mut self) {
        self.read_pipes(LAST_BYTES / LONGEST);
        self.remnants.gone = true;
        self.write_remnants();
        let mut ended = self.writer.end();
        for _ in 0..LAST_TRIES {
            self.keep_exit();
            if ended && self.exit_kept {
                break;
            }
            std::thread::sleep(AGAIN);
            ended = ended || self.writer.end();
        }
    }
}

/// The other end is gone. Nothing is ever sent over a lifeline; bytes that come all the same are thrown away.
fn closed(lifeline: &Stdin) -> bool {
    let mut fds = [PollFd::new(lifeline, PollFlags::IN)];
    let ready = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap_or(0) > 0;
    let mut byte = [0; 64];
    ready && rustix::io::read(lifeline, &mut byte).is_ok_and(|n| n == 0)
}

/// What rings when a child has ended. `None` where the system has no room for a thread: then children are looked for.
fn bell(reaped: Receiver<()>) -> Option<Arc<OwnedFd>> {
    let fd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)
        .map_err(|e| eprintln!("shim: eventfd: {e}"))
        .ok()?;
    let bell = Arc::new(fd);
    let rung = Arc::clone(&bell);
    let waiter = std::thread::Builder::new().name("waiter".into()).stack_size(64 * 1024);
    waiter
        .spawn(move || wait_for_children(&rung, &reaped))
        .map_err(|e| eprintln!("shim: thread: {e}"))
        .ok()?;
    Some(bell)
}

/// Rings when a child has ended and leaves the reaping to the other thread, so that a PID stays taken while that one decides.
fn wait_for_children(bell: &OwnedFd, reaped: &Receiver<()>) {
    loop {
        let ended = waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        if ended.as_ref().is_err_and(|e| *e == Errno::INTR) {
            continue;
        }
        let _ = rustix::io::write(bell, &1_u64.to_ne_bytes());
        if ended.is_err() || reaped.recv().is_err() {
            return;
        }
    }
}
