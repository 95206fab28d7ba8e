//! Whose process it is: from a PID to the service that owns it, and to a name for people.
//!
//! Containers are told by the container's id in `/proc/PID/cgroup`, whatever engine and cgroup version wrote it; processes
//! by their session, their group and their ancestors. Source of the fields: `cgroups(7)`, `proc_pid_stat(5)`.

use app::model::{GpuProcess, ServiceName};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// More generations between a process and its shim are nobody's.
const GENERATIONS: usize = 64;
/// A container's id in hexadecimal digits (OCI runtimes name the cgroup by it).
const ID_LENGTH: usize = 64;
/// Characters of a name that are shown.
const NAME_LENGTH: usize = 64;

/// What tells a service's processes from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The service.
    pub service: ServiceName,
    /// The full id of its container; its processes are then known by that alone, since the engine may be one that counts
    /// PIDs elsewhere.
    pub container: Option<String>,
    /// The PIDs of its shim and its main process, for a service without a container.
    pub pids: Vec<u32>,
}

/// Names the owner of each process, and nobody where it belongs to none or cannot be seen under `proc_root`.
pub fn assign(processes: &mut [GpuProcess], owners: &[Owner], proc_root: &Path) {
    let containers: Vec<(&str, &ServiceName)> =
        owners.iter().filter_map(|o| Some((o.container.as_deref()?, &o.service))).collect();
    let roots: Vec<(u32, &ServiceName)> = owners
        .iter()
        .filter(|o| o.container.is_none())
        .flat_map(|o| o.pids.iter().map(|pid| (*pid, &o.service)))
        .collect();
    for process in processes {
        let service = by_container(process.pid, &containers, proc_root)
            .or_else(|| by_ancestry(process.pid, &roots, proc_root));
        process.service = service.cloned();
    }
}

fn by_container<'a>(
    pid: u32,
    containers: &[(&str, &'a ServiceName)],
    proc_root: &Path,
) -> Option<&'a ServiceName> {
    if containers.is_empty() {
        return None;
    }
    let text = fs::read_to_string(proc_root.join(pid.to_string()).join("cgroup")).ok()?;
    // The innermost counts: the dashboard's engine may itself run in a container.
    let of_line = |line: &str| {
        let path = line.splitn(3, ':').nth(2)?;
        path.rsplit('/').filter_map(container_id).find_map(|id| {
            containers.iter().find(|(container, _)| *container == id).map(|(_, service)| *service)
        })
    };
    text.lines().find_map(of_line)
}

/// The id in one part of a cgroup's path: `<id>`, `docker-<id>.scope`, `libpod-<id>.scope`, `cri-containerd-<id>.scope`.
fn container_id(part: &str) -> Option<&str> {
    let part = part.strip_suffix(".scope").unwrap_or(part);
    let id = part.rsplit(['-', ':']).next()?;
    (id.len() == ID_LENGTH && id.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
}

fn by_ancestry<'a>(pid: u32, roots: &[(u32, &'a ServiceName)], proc_root: &Path) -> Option<&'a ServiceName> {
    if roots.is_empty() {
        return None;
    }
    let owner = |number: u32| roots.iter().find(|(root, _)| *root == number).map(|(_, service)| *service);
    let mut next = pid;
    for _ in 0..GENERATIONS {
        let of = stat(next, proc_root)?;
        // A session and a group carry the PID of whoever began them, also after its end.
        if let Some(service) = owner(next).or_else(|| owner(of.session)).or_else(|| owner(of.group)) {
            return Some(service);
        }
        if of.parent <= 1 {
            return None;
        }
        next = of.parent;
    }
    None
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    group: u32,
    session: u32,
}

fn stat(pid: u32, proc_root: &Path) -> Option<Stat> {
    let bytes = fs::read(proc_root.join(pid.to_string()).join("stat")).ok()?;
    // The name may hold blanks and parentheses: the last one ends it.
    let end = bytes.iter().rposition(|b| *b == b')')?;
    let rest = std::str::from_utf8(bytes.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace().skip(1).map(|field| field.parse().ok());
    Some(Stat { parent: fields.next()??, group: fields.next()??, session: fields.next()?? })
}

/// A name for people: the title that the process gave itself (`VLLM::EngineCore`), else its short name. `None` when it
/// cannot be seen.
pub(super) fn name(pid: u32, proc_root: &Path) -> Option<String> {
    let folder = proc_root.join(pid.to_string());
    let comm = beginning(&folder.join("comm"))?;
    let comm = comm.trim_end_matches('\n');
    let line = beginning(&folder.join("cmdline")).unwrap_or_default();
    let word = line.split(['\0', ' ']).next().unwrap_or_default();
    let title = word.rsplit('/').next().unwrap_or_default();
    // The kernel cuts `comm` at 15 bytes; the title is the long form where it begins the same.
    let long = if !title.is_empty() && title.starts_with(comm.trim_end()) { title } else { comm };
    let clean: String = long.chars().filter(|c| !c.is_control()).take(NAME_LENGTH).collect();
    (!clean.is_empty()).then_some(clean)
}

/// The first bytes of a file: a command line can be as long as its writer likes.
fn beginning(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(512).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    struct Proc(tempfile::TempDir);

    impl Proc {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a folder"))
        }

        fn put(&self, pid: u32, file: &str, text: &str) {
            let folder = self.0.path().join(pid.to_string());
            fs::create_dir_all(&folder).expect("made");
            fs::write(folder.join(file), text).expect("written");
        }

        fn stat(&self, pid: u32, parent: u32, group: u32, session: u32) {
            self.put(pid, "stat", &format!("{pid} (a) b) S {parent} {group} {session} 0 -1 4194560 0 0\n"));
        }

        fn owner_of(&self, pid: u32, owners: &[Owner]) -> Option<String> {
            let mut process = [GpuProcess { pid, name: None, memory_bytes: None, service: None }];
            assign(&mut process, owners, self.0.path());
            process[0].service.as_ref().map(ToString::to_string)
        }
    }

    fn owner(service: &str, container: Option<&str>, pids: &[u32]) -> Owner {
        Owner {
            service: ServiceName::parse(service).expect("a name"),
            container: container.map(str::to_owned),
            pids: pids.to_vec(),
        }
    }

    #[test]
    fn a_container_is_found_in_every_way_that_engines_write_its_cgroup() {
        let paths = [
            format!("0::/system.slice/docker-{ID}.scope"),
            format!("0::/docker/{ID}"),
            format!("12:memory:/docker/{ID}\n11:cpu,cpuacct:/docker/{ID}\n0::/"),
            format!("0::/../../docker-{ID}.scope/init"),
            format!("0::/machine.slice/libpod-{ID}.scope/container"),
            format!("0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope"),
            format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope"),
            format!("0::/kubepods/besteffort/pod1/{ID}"),
            format!("0::/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{ID}"),
        ];
        for path in paths {
            let proc = Proc::new();
            proc.put(7, "cgroup", &path);
            let owners = [owner("other", Some(&"f".repeat(64)), &[]), owner("vllm", Some(ID), &[])];
            assert_eq!(proc.owner_of(7, &owners).as_deref(), Some("vllm"), "{path}");
        }
    }

    #[test]
    fn the_innermost_container_that_is_a_services_owns_the_process() {
        let proc = Proc::new();
        let inner = "e".repeat(64);
        proc.put(7, "cgroup", &format!("0::/docker/{ID}/docker/{inner}"));
        let owners = [owner("outer", Some(ID), &[]), owner("inner", Some(&inner), &[])];
        assert_eq!(proc.owner_of(7, &owners).as_deref(), Some("inner"));
        assert_eq!(proc.owner_of(7, &owners[..1]).as_deref(), Some("outer"));
    }

    #[test]
    fn a_containers_pids_are_not_taken_for_pids_of_this_machine() {
        let proc = Proc::new();
        proc.put(7, "cgroup", "0::/user.slice");
        proc.stat(7, 1, 7, 7);
        assert_eq!(proc.owner_of(7, &[owner("vllm", Some(ID), &[7])]), None);
    }

    #[test]
    fn a_process_is_found_by_itself_its_session_its_group_or_an_ancestor() {
        let proc = Proc::new();
        proc.stat(10, 1, 10, 10);
        proc.stat(11, 10, 11, 10);
        proc.stat(12, 11, 12, 12);
        proc.stat(13, 1, 13, 10);
        proc.stat(14, 1, 11, 99);
        proc.stat(15, 1, 15, 15);
        let owners = [owner("vllm", None, &[10, 11])];
        for pid in [10, 11, 12, 13, 14] {
            assert_eq!(proc.owner_of(pid, &owners).as_deref(), Some("vllm"), "{pid}");
        }
        assert_eq!(proc.owner_of(15, &owners), None);
    }

    #[test]
    fn of_two_services_the_nearer_one_owns_the_process() {
        let proc = Proc::new();
        proc.stat(10, 1, 10, 10);
        proc.stat(20, 10, 20, 20);
        proc.stat(21, 20, 21, 20);
        let owners = [owner("outer", None, &[10]), owner("inner", None, &[20])];
        assert_eq!(proc.owner_of(21, &owners).as_deref(), Some("inner"));
    }

    #[test]
    fn a_circle_of_parents_and_garbage_belong_to_nobody() {
        let proc = Proc::new();
        proc.stat(2, 3, 2, 2);
        proc.stat(3, 2, 3, 3);
        for (pid, text) in [(4, ""), (5, "5 (x"), (6, "6 (x) S"), (7, "7 (x) S a b c"), (8, ")")] {
            proc.put(pid, "stat", text);
            proc.put(pid, "cgroup", "no colon\n::\n0::/docker/short\n");
        }
        let owners = [owner("vllm", None, &[99]), owner("two", Some(ID), &[])];
        for pid in 2..10 {
            assert_eq!(proc.owner_of(pid, &owners), None, "{pid}");
        }
    }

    #[test]
    fn a_name_is_the_title_where_the_kernel_cut_it_and_the_short_name_otherwise() {
        let proc = Proc::new();
        let cases = [
            (1, "VLLM::EngineCor\n", "VLLM::EngineCore\0\0", Some("VLLM::EngineCore")),
            (2, "vllm\n", "/usr/bin/python3\0/usr/bin/vllm\0serve\0", Some("vllm")),
            (3, "python3\n", "/usr/bin/python3.12\0-c\0", Some("python3.12")),
            (4, "Xorg\n", "", Some("Xorg")),
            (5, "\n", "", None),
        ];
        for (pid, comm, cmdline, expected) in cases {
            proc.put(pid, "comm", comm);
            proc.put(pid, "cmdline", cmdline);
            assert_eq!(name(pid, proc.0.path()).as_deref(), expected, "{pid}");
        }
        assert_eq!(name(6, proc.0.path()), None);
    }
}
