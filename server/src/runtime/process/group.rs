//! Who belongs to an instance: processes as `/proc` shows them, and signals that cannot hit a stranger.
//!
//! A PID alone names nobody, because the kernel gives numbers out again. An [`Identity`] is a PID with the process's start
//! time; whoever carries the PID with another start time is a stranger. Source of the fields: `proc_pid_stat(5)`.

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

/// One process for ever: its PID, and when it started in clock ticks since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Identity {
    /// Its PID.
    pub pid: u32,
    /// Its start time (field 22 of its `stat`).
    pub ticks: u64,
}

/// What `/proc/PID/stat` says of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// Who it is.
    pub id: Identity,
    /// Its name, at most 15 bytes.
    pub comm: String,
    /// `Z` and `X` have ended.
    pub state: char,
    /// Its parent.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// Its session.
    pub session: u32,
}

impl Stat {
    /// It still does something; a zombie only waits to be reaped.
    pub fn lives(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Reads one process; `None` when there is none.
pub(super) fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The name stands in parentheses and may itself hold blanks and parentheses: the last one ends it.
fn parse_stat(bytes: &[u8]) -> Option<Stat> {
    let text = String::from_utf8_lossy(bytes);
    let (pid, rest) = text.split_once(" (")?;
    let (comm, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |n: usize| fields.get(n).and_then(|f| f.parse::<u32>().ok());
    Some(Stat {
        id: Identity { pid: pid.trim().parse().ok()?, ticks: fields.get(19)?.parse().ok()? },
        comm: comm.to_owned(),
        state: fields.first()?.chars().next()?,
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
    })
}

/// All processes of this PID namespace.
pub(super) fn table() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(stat).collect()
}

impl Identity {
    /// Who carries this PID now.
    pub fn of(pid: u32) -> Option<Self> {
        stat(pid).map(|s| s.id)
    }

    /// This very process lives.
    pub fn lives(self) -> bool {
        stat(self.pid).is_some_and(|s| s.id == self && s.lives())
    }

    /// Opens a file descriptor that becomes readable when this very process ends. `None` when it has ended.
    ///
    /// # Errors
    /// The kernel's, `ENOSYS` before Linux 5.3 included.
    pub fn open(self) -> io::Result<Option<rustix::fd::OwnedFd>> {
        let Some(pid) = self.raw() else { return Ok(None) };
        match pidfd_open(pid, PidfdFlags::empty()) {
            // The descriptor now holds whoever has the number, so this look decides.
            Ok(fd) => Ok(self.lives().then_some(fd)),
            Err(Errno::SRCH) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a signal to this very process; `false` when it is gone.
    ///
    /// # Errors
    /// The kernel's: not permitted.
    pub fn signal(self, signal: Signal) -> io::Result<bool> {
        let sent = match self.open() {
            Ok(Some(fd)) => pidfd_send_signal(&fd, signal),
            Ok(None) => return Ok(false),
            // An old kernel: look directly before.
            Err(_) => match self.raw() {
                Some(pid) if self.lives() => kill_process(pid, signal),
                _ => return Ok(false),
            },
        };
        match sent {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn raw(self) -> Option<Pid> {
        i32::try_from(self.pid).ok().and_then(Pid::from_raw)
    }
}

/// What is known for certain about the processes of one instance.
#[derive(Clone, Debug)]
pub(super) struct Roots {
    /// The shim: its PID is the number of the session.
    pub shim: Identity,
    /// The main process: its PID is the number of the group.
    pub main: Identity,
    /// The pipes that the main process writes to, by inode.
    pub pipes: [u64; 2],
    /// Others that were seen to belong to it.
    pub known: Vec<Identity>,
}

/// The living processes of an instance, without its shim: its session, its group, and all descendants.
///
/// The numbers of a session and of a group stay taken while a member lives, so one certain member vouches for the others.
/// When shim and main process are both gone, somebody who still holds one of the instance's pipes is such a member.
pub(super) fn members<'a>(table: &'a [Stat], roots: &Roots) -> Vec<&'a Stat> {
    let (session, group) = (roots.shim.pid, roots.main.pid);
    let ours = |s: &Stat| s.session == session || s.group == group;
    let mut sure: HashSet<u32> = table
        .iter()
        .filter(|s| s.id == roots.shim || s.id == roots.main || roots.known.contains(&s.id))
        .map(|s| s.id.pid)
        .collect();
    if sure.is_empty() {
        let reused = table.iter().any(|s| s.id.pid == session || s.id.pid == group);
        if reused {
            return Vec::new();
        }
        let holders = table.iter().filter(|s| ours(s) && s.lives() && holds(s.id.pid, roots.pipes));
        sure.extend(holders.map(|s| s.id.pid));
    }
    loop {
        let of_session = table.iter().any(|s| s.session == session && sure.contains(&s.id.pid));
        let of_group = table.iter().any(|s| s.group == group && sure.contains(&s.id.pid));
        let more: Vec<u32> = table
            .iter()
            .filter(|s| !sure.contains(&s.id.pid))
            .filter(|s| {
                sure.contains(&s.parent)
                    || (of_session && s.session == session)
                    || (of_group && s.group == group)
            })
            .map(|s| s.id.pid)
            .collect();
        if more.is_empty() {
            break;
        }
        sure.extend(more);
    }
    table.iter().filter(|s| s.lives() && s.id != roots.shim && sure.contains(&s.id.pid)).collect()
}

/// All living descendants of a process.
pub(super) fn descendants(table: &[Stat], of: u32) -> Vec<&Stat> {
    let mut found: HashSet<u32> = HashSet::from([of]);
    loop {
        let more: Vec<u32> = table
            .iter()
            .filter(|s| found.contains(&s.parent) && !found.contains(&s.id.pid))
            .map(|s| s.id.pid)
            .collect();
        if more.is_empty() {
            break;
        }
        found.extend(more);
    }
    table.iter().filter(|s| s.lives() && s.id.pid != of && found.contains(&s.id.pid)).collect()
}

/// The process has one of these pipes open. Unreadable counts as no.
fn holds(pid: u32, pipes: [u64; 2]) -> bool {
    let wanted = pipes.map(|inode| format!("pipe:[{inode}]"));
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    entries
        .flatten()
        .filter_map(|e| fs::read_link(e.path()).ok())
        .any(|to| wanted.iter().any(|w| Path::new(w) == to))
}

/// The command line of a process; empty for a zombie or a kernel thread.
pub(super) fn command_line(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut args: Vec<String> =
        bytes.split(|b| *b == 0).map(|a| String::from_utf8_lossy(a).into_owned()).collect();
    while args.last().is_some_and(String::is_empty) {
        args.pop();
    }
    args
}

/// A name for people: the title that the process gave itself (`VLLM::EngineCore`), else its short name.
pub(super) fn name(stat: &Stat) -> String {
    let line = command_line(stat.id.pid);
    let title = line.first().map_or("", |a| a.rsplit('/').next().unwrap_or(a));
    // The kernel cuts `comm` at 15 bytes; the title is the long form where it begins the same.
    let long = if !title.is_empty() && title.starts_with(stat.comm.trim_end()) { title } else { &stat.comm };
    long.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(pid: u32, parent: u32, group: u32, session: u32) -> Stat {
        Stat {
            id: Identity { pid, ticks: u64::from(pid) },
            comm: "x".into(),
            state: 'S',
            parent,
            group,
            session,
        }
    }

    fn roots() -> Roots {
        Roots {
            shim: Identity { pid: 10, ticks: 10 },
            main: Identity { pid: 11, ticks: 11 },
            pipes: [0, 0],
            known: vec![],
        }
    }

    fn pids(found: &[&Stat]) -> Vec<u32> {
        found.iter().map(|s| s.id.pid).collect()
    }

    #[test]
    fn a_name_with_blanks_and_parentheses_is_read() {
        let line = b"42 (a) b (c) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 777 1 1 1";
        let stat = parse_stat(line).expect("a whole line");
        assert_eq!((stat.id, stat.comm.as_str()), (Identity { pid: 42, ticks: 777 }, "a) b (c"));
        assert_eq!((stat.parent, stat.group, stat.session, stat.state), (1, 42, 42, 'S'));
        assert_eq!(parse_stat(b"42 (cut"), None);
    }

    #[test]
    fn members_are_the_session_the_group_and_all_descendants_without_the_shim() {
        let table = [
            at(10, 1, 10, 10),
            at(11, 10, 11, 10),
            at(12, 11, 11, 10),
            at(13, 12, 13, 13),
            at(99, 1, 99, 99),
        ];
        assert_eq!(pids(&members(&table, &roots())), [11, 12, 13]);
    }

    #[test]
    fn a_dead_shim_changes_nothing_while_the_main_process_lives() {
        let table = [at(11, 1, 11, 10), at(12, 1, 11, 10), at(99, 1, 99, 99)];
        assert_eq!(pids(&members(&table, &roots())), [11, 12]);
    }

    #[test]
    fn numbers_that_were_given_out_again_are_strangers() {
        let mut other = at(10, 1, 10, 10);
        other.id.ticks = 5000;
        let table = [other, at(50, 10, 10, 10)];
        assert!(members(&table, &roots()).is_empty());
    }

    #[test]
    fn without_shim_main_or_pipe_nobody_is_sure() {
        let table = [at(50, 1, 11, 10)];
        assert!(members(&table, &roots()).is_empty());
        let mut known = roots();
        known.known.push(Identity { pid: 50, ticks: 50 });
        assert_eq!(pids(&members(&table, &known)), [50]);
    }

    #[test]
    fn the_own_process_is_itself_and_no_other() {
        let me = Identity::of(std::process::id()).expect("runs");
        assert!(me.lives());
        assert!(!Identity { ticks: me.ticks + 1, ..me }.lives());
        assert!(matches!(Identity { ticks: me.ticks + 1, ..me }.signal(Signal::KILL), Ok(false)));
    }
}
