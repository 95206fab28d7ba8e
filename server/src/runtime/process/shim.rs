//! The shim: the small process between the dashboard and a service's command, so that the service outlives the dashboard.
//!
//! `server shim --dir RUN [--die-with-parent] -- PROGRAM ARGS…`, with the command's environment as its own. Leads a session
//! of its own, adopts whatever the command orphans, keeps its output and its exit status (see `keeper`). It answers on its
//! standard output once, with one line of JSON ([`Answer`]), then lets go of it. With `--die-with-parent` its standard input
//! is a lifeline: when the other end closes, it ends the command and itself. (A parent-death signal would not do: it fires
//! when the *thread* that started the shim ends.)

use super::folder::{InstanceFile, Reserved, SHIM_LOCK, boot_id, open_private, write};
use super::group::Identity;
use super::keeper::{Keeper, Pipe};
use super::records::{Kind, Limits, Writer, now_ns};
use crate::redact::redact;
use rustix::fs::{FlockOperation, OFlags, fcntl_setfl, flock};
use rustix::process::{Signal, getpid, set_child_subreaper, setsid};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode, Stdio};

/// What the shim tells whoever started it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub(super) enum Answer {
    /// The command runs and `instance.json` is there.
    Started,
    /// Another shim of this service lives.
    Busy,
    /// There is no such program.
    Missing,
    /// The system refused.
    Refused {
        /// Its words.
        detail: String,
    },
}

#[derive(Debug, PartialEq, Eq)]
struct Arguments {
    run: PathBuf,
    die_with_parent: bool,
    log_bytes: Option<u64>,
    program: String,
    args: Vec<String>,
}

impl Arguments {
    fn parse(args: Vec<String>) -> Option<Self> {
        let mut args = args.into_iter();
        let (mut run, mut die_with_parent, mut log_bytes) = (None, false, None);
        loop {
            match args.next()?.as_str() {
                "--dir" => run = Some(PathBuf::from(args.next()?)),
                "--die-with-parent" => die_with_parent = true,
                "--log-bytes" => log_bytes = Some(args.next()?.parse().ok()?),
                "--" => break,
                _ => return None,
            }
        }
        Some(Self { run: run?, die_with_parent, log_bytes, program: args.next()?, args: args.collect() })
    }
}

/// The whole life of a shim. `args` are those behind the word `shim`. To be called first thing in `main`: no other thread
/// and no async runtime may exist yet.
///
/// Exit codes: 0 the command ran, 2 wrong arguments, 75 another shim lives, 126 the command could not be started, 127 there
/// is no such command.
pub fn shim_main(args: Vec<String>) -> ExitCode {
    let Some(args) = Arguments::parse(args) else {
        eprintln!(
            "shim: usage: server shim --dir DIR [--die-with-parent] [--log-bytes N] -- PROGRAM [ARGS…]"
        );
        return ExitCode::from(2);
    };
    match begin(&args) {
        Ok((keeper, lock)) => {
            answer(&Answer::Started);
            keeper.keep();
            drop(lock);
            ExitCode::SUCCESS
        }
        Err(Failed { answer: said, code }) => {
            answer(&said);
            ExitCode::from(code)
        }
    }
}

/// Why nothing was started.
struct Failed {
    answer: Answer,
    code: u8,
}

impl Failed {
    fn at(step: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self { answer: Answer::Refused { detail: format!("{step}: {error}") }, code: 126 }
    }
}

fn begin(args: &Arguments) -> Result<(Keeper, File), Failed> {
    // Fails only for a leader of a group, which a plainly started child is not; the session is then its own already.
    if let Err(error) = setsid() {
        eprintln!("shim: setsid: {error}");
    }
    set_child_subreaper(Some(getpid())).map_err(|e| Failed::at("subreaper")(e.into()))?;
    swallow_signals().map_err(Failed::at("signals"))?;
    let lock = lock(&args.run)?;
    let mut writer = Writer::create(&args.run, Limits::of(args.log_bytes)).map_err(Failed::at("log"))?;
    let reserved = Reserved::take(&args.run).map_err(Failed::at("exit.json"))?;
    let started_ns = now_ns();
    let mut child = spawn(args).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failed { answer: Answer::Missing, code: 127 },
        _ => Failed::at("start")(error),
    })?;
    match introduce(args, &mut child, started_ns) {
        Ok((main, pipes)) => {
            let lifeline = args.die_with_parent.then(io::stdin);
            writer.not_before(started_ns);
            Ok((Keeper::new(&args.run, main, pipes, writer, reserved, lifeline), lock))
        }
        Err(error) => {
            // Nobody could ever find it again.
            let _ = child.kill().and_then(|()| child.wait());
            Err(Failed::at("instance.json")(error))
        }
    }
}

/// A stop signal to the shim must not lose the service's output and exit status: it ends when the command ends. Handlers,
/// unlike ignored signals, are not inherited by the command.
fn swallow_signals() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    // The handlers stay for the life of the process; the runtime is needed only to put them there.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _inside = runtime.enter();
    for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()] {
        drop(signal(kind)?);
    }
    Ok(())
}

/// One shim for each service, whatever goes wrong with those who start them.
fn lock(run: &Path) -> Result<File, Failed> {
    let dir = run.parent().unwrap_or(run);
    let file = open_private(&dir.join(SHIM_LOCK)).map_err(Failed::at(SHIM_LOCK))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Failed { answer: Answer::Busy, code: 75 }),
        Err(error) => Err(Failed::at(SHIM_LOCK)(error.into())),
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where a service's command is started")]
fn spawn(args: &Arguments) -> io::Result<Child> {
    std::process::Command::new(&args.program)
        .args(&args.args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}

/// Writes down who runs, before anybody can see it.
fn introduce(args: &Arguments, child: &mut Child, started_ns: i64) -> io::Result<(Identity, Vec<Pipe>)> {
    let gone = || io::Error::new(ErrorKind::NotFound, "no such process in /proc");
    let main = Identity::of(child.id()).ok_or_else(gone)?;
    let shim = Identity::of(std::process::id()).ok_or_else(gone)?;
    let stdout = child.stdout.take().map(rustix::fd::OwnedFd::from).ok_or_else(gone)?;
    let stderr = child.stderr.take().map(rustix::fd::OwnedFd::from).ok_or_else(gone)?;
    let mut pipes = Vec::new();
    let mut inodes = [0; 2];
    for (n, (fd, kind)) in [(stdout, Kind::Stdout), (stderr, Kind::Stderr)].into_iter().enumerate() {
        fcntl_setfl(&fd, OFlags::NONBLOCK)?;
        // More room, so that a slow disk does not hold up the service; the default is fine, too.
        let _ = rustix::pipe::fcntl_setpipe_size(&fd, 1 << 20);
        let file = File::from(fd);
        inodes[n] = file.metadata()?.ino();
        pipes.push(Pipe { file, kind });
    }
    let command = redact(std::iter::once(&args.program).chain(&args.args));
    let instance = InstanceFile { boot: boot_id(), shim, main, started_ns, pipes: inodes, command };
    write(&args.run, super::folder::INSTANCE, &instance)?;
    Ok((main, pipes))
}

/// Answers, once, and lets go of standard output.
fn answer(answer: &Answer) {
    let line = serde_json::to_string(answer).unwrap_or_default();
    // The asker may be gone: that is no reason to end.
    let _ = writeln!(io::stdout(), "{line}").and_then(|()| io::stdout().flush());
    match OpenOptions::new().write(true).open("/dev/null") {
        Ok(null) => {
            let _ = rustix::stdio::dup2_stdout(&null);
        }
        Err(error) => eprintln!("shim: /dev/null: {error}"),
    }
}

/// The signals by which remnants are ended: asked first, then not.
pub(super) const ASK: Signal = Signal::TERM;
/// See [`ASK`].
pub(super) const FORCE: Signal = Signal::KILL;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Option<Arguments> {
        Arguments::parse(args.iter().map(|a| (*a).to_owned()).collect())
    }

    #[test]
    fn everything_behind_the_two_dashes_is_the_command() {
        let got = parse(&["--dir", "d", "--die-with-parent", "--", "p", "--", "--dir", "x"]).expect("right");
        assert_eq!((got.run, got.die_with_parent, got.program.as_str()), (PathBuf::from("d"), true, "p"));
        assert_eq!(got.args, ["--", "--dir", "x"]);
    }

    #[test]
    fn half_a_command_line_is_refused() {
        for bad in
            [&[][..], &["--dir", "d"], &["--dir", "d", "--"], &["--", "p"], &["--dirt", "d", "--", "p"]]
        {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
