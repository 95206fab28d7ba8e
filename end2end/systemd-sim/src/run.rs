//! What the units do: their processes, their states, their journal. In: starts, stops and kills. Out: states, which
//! `manager` tells the bus of.

use crate::file::{self, UnitFile};
use crate::journal::{Journal, now_us};
use rustix::process::{Pid, Signal};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;

/// The longest piece of a line that becomes one entry, as `LineMax=` in `journald.conf(5)`.
const LINE_LIMIT: usize = 48 * 1024;

/// What a unit does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Active {
    #[default]
    Inactive,
    Running,
    Stopping,
    Failed,
}

/// A unit's state. Times in microseconds since the Unix epoch.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub active: Active,
    pub invocation: Vec<u8>,
    pub main_pid: u32,
    pub main_start_us: u64,
    pub main_exit_us: u64,
    /// `si_code` and status of `waitid(2)`.
    pub main_end: (i32, i32),
    pub begun_us: u64,
    pub changed_us: u64,
    pub result: &'static str,
    pub job: Option<u32>,
    /// Its processes' group.
    group: Option<Pid>,
    /// Somebody asked it to stop.
    asked: bool,
}

/// All units.
pub struct World {
    dir: PathBuf,
    pub journal: Journal,
    states: Mutex<BTreeMap<String, State>>,
    enabled: Mutex<BTreeSet<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub fn new(dir: PathBuf, journal: Journal) -> Self {
        Self { dir, journal, states: Mutex::default(), enabled: Mutex::default() }
    }

    pub fn file(&self, unit: &str) -> Option<UnitFile> {
        file::read(&self.dir, unit)
    }

    pub fn state(&self, unit: &str) -> State {
        let fresh = || State { result: "success", ..State::default() };
        lock(&self.states).get(unit).cloned().unwrap_or_else(fresh)
    }

    pub fn change(&self, unit: &str, change: impl FnOnce(&mut State)) {
        let mut states = lock(&self.states);
        let state =
            states.entry(unit.to_owned()).or_insert_with(|| State { result: "success", ..State::default() });
        change(state);
        state.changed_us = now_us();
    }

    pub fn is_enabled(&self, unit: &str) -> bool {
        lock(&self.enabled).contains(unit)
    }

    pub fn set_enabled(&self, unit: &str, enabled: bool) {
        let mut all = lock(&self.enabled);
        if enabled {
            all.insert(unit.to_owned());
        } else {
            all.remove(unit);
        }
    }

    /// Writes what systemd itself says of a unit's present start.
    pub fn say(&self, unit: &str, text: &str, job: Option<&str>) {
        let id = hex(&self.state(unit).invocation);
        let mut fields: Vec<(&str, &[u8])> = vec![
            ("PRIORITY", b"6"),
            ("_TRANSPORT", b"journal"),
            ("_PID", b"1"),
            ("UNIT", unit.as_bytes()),
            ("INVOCATION_ID", id.as_bytes()),
            ("MESSAGE", text.as_bytes()),
        ];
        if let Some(job) = job {
            fields.push(("JOB_TYPE", job.as_bytes()));
        }
        self.journal.append(&fields);
    }

    /// Starts the unit's program. The child, whose end [`World::wait`] waits for.
    pub fn spawn(self: &Arc<Self>, unit: &str, file: &UnitFile) -> Result<Child, String> {
        let mut id = vec![0u8; 16];
        std::fs::File::open("/dev/urandom")
            .and_then(|mut f| std::io::Read::read_exact(&mut f, &mut id))
            .map_err(|error| error.to_string())?;
        let begun = now_us();
        self.change(unit, |s| {
            *s = State {
                invocation: id,
                begun_us: begun,
                main_start_us: begun,
                result: "success",
                job: s.job,
                ..State::default()
            };
        });
        let (program, rest) = file.command.split_first().ok_or("no ExecStart=")?;
        #[expect(clippy::disallowed_methods, reason = "running units is what systemd does")]
        let mut command = tokio::process::Command::new(program);
        command
            .args(rest)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let spawned = command.spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => {
                self.say(unit, &format!("{unit}: Failed to locate executable {program}: {error}"), None);
                self.ended(unit, (1, 203));
                return Err(error.to_string());
            }
        };
        let pid = child.id().unwrap_or(0);
        self.change(unit, |s| {
            s.active = Active::Running;
            s.main_pid = pid;
            s.group = i32::try_from(pid).ok().and_then(Pid::from_raw);
        });
        self.say(unit, &format!("Started {unit}."), Some("start"));
        let invocation = hex(&self.state(unit).invocation);
        if let Some(pipe) = child.stdout.take() {
            tokio::spawn(record(self.clone(), unit.to_owned(), invocation.clone(), pipe));
        }
        if let Some(pipe) = child.stderr.take() {
            tokio::spawn(record(self.clone(), unit.to_owned(), invocation, pipe));
        }
        Ok(child)
    }

    /// Takes in how the main process ended. What else is in its group is killed, as systemd would (`KillMode=control-group`).
    pub fn wait(&self, unit: &str, status: ExitStatus) {
        let end = match (status.code(), status.signal()) {
            (Some(code), _) => (1, code),
            (_, Some(signal)) => (2, signal),
            _ => (0, 0),
        };
        self.signal(unit, Signal::KILL);
        self.ended(unit, end);
    }

    fn ended(&self, unit: &str, end: (i32, i32)) {
        // What systemd takes for an end in order: `systemd.service(5)`, `SuccessExitStatus=`.
        let result = match end {
            (1, 0) | (2, 1 | 2 | 13 | 15) => "success",
            (1, _) => "exit-code",
            _ => "signal",
        };
        self.change(unit, |s| {
            let success = result == "success" || (s.asked && end.0 == 2 && end.1 == 15);
            s.active = if success { Active::Inactive } else { Active::Failed };
            s.result = result;
            s.main_end = end;
            s.main_exit_us = now_us();
            s.main_pid = 0;
            s.group = None;
        });
        let text = if result == "success" {
            format!("{unit}: Deactivated successfully.")
        } else {
            format!("{unit}: Failed with result '{result}'.")
        };
        self.say(unit, &text, None);
        if result == "success" && self.file(unit).is_some_and(|file| file.forget) {
            self.change(unit, |s| *s = State { job: s.job, result: "success", ..State::default() });
        }
    }

    /// Asks a running unit to stop. `false` when it does not run.
    pub fn ask_to_stop(&self, unit: &str) -> bool {
        if !matches!(self.state(unit).active, Active::Running | Active::Stopping) {
            return false;
        }
        self.change(unit, |s| {
            s.active = Active::Stopping;
            s.asked = true;
        });
        self.say(unit, &format!("Stopping {unit}..."), Some("stop"));
        self.signal(unit, Signal::TERM);
        true
    }

    /// Sends a signal to all processes of the unit. `false` when there are none.
    pub fn signal(&self, unit: &str, signal: Signal) -> bool {
        let group = lock(&self.states).get(unit).and_then(|s| s.group);
        group.is_some_and(|group| rustix::process::kill_process_group(group, signal).is_ok())
    }

    /// PIDs and command lines of the unit's processes.
    pub fn processes(&self, unit: &str) -> Vec<(u32, String)> {
        let Some(group) = self.state(unit).group else { return Vec::new() };
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| group_of(*pid) == Some(group.as_raw_nonzero().get()))
            .map(|pid| {
                let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                (pid, String::from_utf8_lossy(&line).replace('\0', " ").trim().to_owned())
            })
            .collect()
    }

    /// Kills everything.
    pub fn end_all(&self) {
        let units: Vec<String> = lock(&self.states).keys().cloned().collect();
        for unit in units {
            self.signal(&unit, Signal::KILL);
        }
    }
}

/// The group of a process: the third field behind its name in `/proc/PID/stat`, which may be 0 for another namespace's.
fn group_of(pid: u32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse().ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Writes what comes from a pipe into the journal, line by line.
async fn record(world: Arc<World>, unit: String, invocation: String, pipe: impl AsyncRead + Unpin) {
    let mut reader = BufReader::with_capacity(LINE_LIMIT, pipe);
    let mut line = Vec::new();
    loop {
        let (used, ended) = match reader.fill_buf().await {
            Ok([]) | Err(_) => {
                if !line.is_empty() {
                    append(&world, &unit, &invocation, &line, Some("eof"));
                }
                return;
            }
            Ok(bytes) => {
                let room = LINE_LIMIT - line.len();
                let part = bytes.get(..room.min(bytes.len())).unwrap_or(bytes);
                match part.iter().position(|b| *b == b'\n') {
                    Some(end) => {
                        line.extend(part.iter().take(end));
                        (end + 1, true)
                    }
                    None => {
                        line.extend_from_slice(part);
                        (part.len(), false)
                    }
                }
            }
        };
        reader.consume(used);
        if ended {
            append(&world, &unit, &invocation, &line, None);
            line.clear();
        } else if line.len() >= LINE_LIMIT {
            append(&world, &unit, &invocation, &line, Some("line-max"));
            line.clear();
        }
    }
}

fn append(world: &World, unit: &str, invocation: &str, line: &[u8], line_break: Option<&str>) {
    let mut fields: Vec<(&str, &[u8])> = vec![
        ("PRIORITY", b"6"),
        ("_TRANSPORT", b"stdout"),
        ("_SYSTEMD_UNIT", unit.as_bytes()),
        ("_SYSTEMD_INVOCATION_ID", invocation.as_bytes()),
        ("MESSAGE", line),
    ];
    if let Some(line_break) = line_break {
        fields.push(("_LINE_BREAK", line_break.as_bytes()));
    }
    world.journal.append(&fields);
}
