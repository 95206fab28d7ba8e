//! Reads `docker run …`. In: the words behind `docker`. Out: image, name, port, GPUs and what is left out, in [`Pasted`].
//!
//! Sources: Docker's reference of `docker container run` (28), Podman's of `podman run` (5); how options are spelled: pflag.

use super::mounts::{self, Mount};
use super::pasted::{PasteError, Pasted, Why};
use super::program::{follow, shown, variable};
use super::shell::Word;
use super::{gpus, shell};

/// Options without a value.
const SWITCHES: [&str; 24] = [
    "--detach",
    "--disable-content-trust",
    "--env-host",
    "--help",
    "--http-proxy",
    "--init",
    "--interactive",
    "--no-healthcheck",
    "--no-hostname",
    "--no-hosts",
    "--oom-kill-disable",
    "--passwd",
    "--privileged",
    "--publish-all",
    "--quiet",
    "--read-only",
    "--read-only-tmpfs",
    "--replace",
    "--rm",
    "--rmi",
    "--rootfs",
    "--sig-proxy",
    "--tls-verify",
    "--tty",
];

/// Options with a value that only lead to a note; the others are told apart in [`take`].
const VALUED: [&str; 47] = [
    "--add-host",
    "--annotation",
    "--arch",
    "--attach",
    "--authfile",
    "--cgroup-parent",
    "--cgroupns",
    "--cgroups",
    "--cidfile",
    "--detach-keys",
    "--device-cgroup-rule",
    "--dns",
    "--dns-option",
    "--dns-search",
    "--domainname",
    "--expose",
    "--group-add",
    "--health-cmd",
    "--health-interval",
    "--health-retries",
    "--health-start-interval",
    "--health-start-period",
    "--health-timeout",
    "--hostname",
    "--ip",
    "--ip6",
    "--isolation",
    "--label",
    "--label-file",
    "--link",
    "--log-driver",
    "--log-opt",
    "--mac-address",
    "--network-alias",
    "--os",
    "--platform",
    "--pod",
    "--stop-signal",
    "--stop-timeout",
    "--storage-opt",
    "--systemd",
    "--tmpfs",
    "--tz",
    "--use-api-socket",
    "--user",
    "--volume-driver",
    "--workdir",
];

/// Letters and their long names.
const LETTERS: [(char, &str); 16] = [
    ('a', "--attach"),
    ('c', "--cpu-shares"),
    ('d', "--detach"),
    ('e', "--env"),
    ('h', "--hostname"),
    ('i', "--interactive"),
    ('l', "--label"),
    ('m', "--memory"),
    ('P', "--publish-all"),
    ('p', "--publish"),
    ('q', "--quiet"),
    ('t', "--tty"),
    ('u', "--user"),
    ('v', "--volume"),
    ('w', "--workdir"),
    ('n', "--net"),
];

/// What is published: the port of this machine and the one inside.
struct Published {
    what: String,
    public: bool,
    host: Option<u16>,
    inner: Option<u16>,
}

#[derive(Default)]
struct Seen {
    ports: Vec<Published>,
    mounts: Vec<Mount>,
    host_network: bool,
    nvidia: bool,
    entry: Option<Word>,
}

/// One option.
struct Opt<'a> {
    name: String,
    value: Option<String>,
    word: &'a Word,
}

/// Reads what stands behind `docker` or its relative.
pub(super) fn read(program: &str, words: &[Word], out: &mut Pasted) -> Result<Option<u16>, PasteError> {
    let at = command_at(words, |w| &w.text);
    let other =
        |word: &Word| PasteError::OtherCommand { program: program.to_owned(), command: shown(&word.text) };
    let behind = match words.get(at) {
        Some(word) if matches!(word.text.as_str(), "run" | "create") => words.get(at + 1..),
        Some(word) if word.text == "container" => match words.get(at + 1) {
            Some(word) if matches!(word.text.as_str(), "run" | "create") => words.get(at + 2..),
            word => return Err(word.map_or(PasteError::Nothing, other)),
        },
        word => return Err(word.map_or(PasteError::Nothing, other)),
    }
    .unwrap_or_default();
    out.in_container = true;
    let mut seen = Seen::default();
    let mut at = 0;
    while let Some(word) = behind.get(at) {
        at += 1;
        if word.text == "--" {
            break;
        }
        if word.text.len() < 2 || !word.text.starts_with('-') {
            at -= 1;
            break;
        }
        let (options, taken) = options(word, behind.get(at));
        at += usize::from(taken);
        for option in options {
            take(option, &mut seen, out)?;
        }
    }
    let Some(image) = behind.get(at) else {
        return Err(PasteError::NoImage { program: program.to_owned() });
    };
    out.image = Some(image.plain()?.to_owned());
    let mut command: Vec<Word> = behind.get(at + 1..).unwrap_or_default().to_vec();
    if let Some(entry) = seen.entry.take() {
        out.leave(format!("--entrypoint {}", entry.text), Why::EntryPoint);
        // An empty one takes the image's away.
        if !entry.text.is_empty() {
            command.insert(0, entry);
        }
    }
    let port = if command.is_empty() { None } else { follow(&command, 6, true, out)? };
    if out.gpus.is_none() {
        // The images of vLLM ask for all GPUs where NVIDIA's runtime is told to run them.
        out.gpus = Some(if seen.nvidia { "all" } else { "none" }.to_owned());
    }
    publish(&seen, port, out);
    mounts::settle(seen.mounts, out);
    Ok(port)
}

/// Where the command of `docker` stands behind its own options.
fn command_at<W>(words: &[W], text: impl Fn(&W) -> &str) -> usize {
    let mut at = 0;
    while let Some(word) = words.get(at).map(&text).filter(|w| w.starts_with('-')) {
        at += if matches!(word, "-H" | "--host" | "-c" | "--context" | "--config" | "-l" | "--log-level") {
            2
        } else {
            1
        };
    }
    at
}

/// The place of the image in the words of a command that runs a container.
pub(super) fn image_at(words: &[String]) -> Option<usize> {
    let (program, behind) = words.split_first()?;
    if !matches!(program.as_str(), "docker" | "podman" | "nerdctl") {
        return None;
    }
    let command = command_at(behind, |w| w);
    if behind.get(command)? != "run" {
        return None;
    }
    let mut at = command + 1;
    loop {
        let text = behind.get(at)?;
        if text == "--" {
            return Some(at + 2);
        }
        if text.len() < 2 || !text.starts_with('-') {
            return Some(at + 1);
        }
        let word = |text: &String| Word { text: text.clone(), ..Word::default() };
        let next = behind.get(at + 1).map(word);
        at += 1 + usize::from(options(&word(text), next.as_ref()).1);
    }
}

/// Whether an option takes a value; `None` where it is not known.
fn takes_value(name: &str) -> Option<bool> {
    if SWITCHES.contains(&name) {
        return Some(false);
    }
    let taken = matches!(
        name,
        "--publish"
            | "--gpus"
            | "--env"
            | "--env-file"
            | "--name"
            | "--volume"
            | "--mount"
            | "--ipc"
            | "--shm-size"
            | "--shm-size-systemd"
            | "--runtime"
            | "--entrypoint"
            | "--network"
            | "--net"
            | "--restart"
            | "--device"
            | "--pull"
            | "--cap-add"
            | "--cap-drop"
            | "--security-opt"
            | "--pid"
            | "--uts"
            | "--userns"
            | "--ulimit"
            | "--pids-limit"
            | "--volumes-from"
            | "--sysctl"
    ) || limit(name)
        || VALUED.contains(&name);
    taken.then_some(true)
}

fn limit(name: &str) -> bool {
    ["--memory", "--cpu", "--blkio", "--kernel-memory", "--oom-score", "--device-read", "--device-write"]
        .iter()
        .any(|begin| name.starts_with(begin))
}

/// The options in one word, and whether the last one takes the next word.
fn options<'a>(word: &'a Word, next: Option<&'a Word>) -> (Vec<Opt<'a>>, bool) {
    let of = |name: &str, value: Option<&str>, word| Opt {
        name: name.to_owned(),
        value: value.map(str::to_owned),
        word,
    };
    let from_next = |name: &str| match next {
        Some(next) => (of(name, Some(&next.text), next), true),
        None => (of(name, None, word), false),
    };
    if word.text.starts_with("--") {
        if let Some((name, value)) = word.text.split_once('=') {
            return (vec![of(name, Some(value), word)], false);
        }
        let name = word.text.as_str();
        let valued = takes_value(name).unwrap_or_else(|| {
            // Not known: what looks neither like an option nor like an image of vLLM is its value.
            next.is_some_and(|n| !n.text.starts_with('-') && !n.text.contains("vllm"))
        });
        let (option, taken) = if valued { from_next(name) } else { (of(name, None, word), false) };
        return (vec![option], taken);
    }
    let mut out = Vec::new();
    let letters = word.text.get(1..).unwrap_or_default();
    for (at, letter) in letters.char_indices() {
        let long = LETTERS.iter().find(|(l, _)| *l == letter).map(|(_, long)| *long);
        let Some(long) = long else {
            out.push(of(&format!("-{letter}"), None, word));
            continue;
        };
        if takes_value(long) != Some(true) {
            out.push(of(long, None, word));
            continue;
        }
        let value = letters.get(at + letter.len_utf8()..).unwrap_or_default();
        if value.is_empty() {
            let (option, taken) = from_next(long);
            out.push(option);
            return (out, taken);
        }
        out.push(of(long, Some(value.strip_prefix('=').unwrap_or(value)), word));
        break;
    }
    (out, false)
}

fn take(option: Opt<'_>, seen: &mut Seen, out: &mut Pasted) -> Result<(), PasteError> {
    let Opt { name, value, word } = option;
    let what = value.as_ref().map_or_else(|| name.clone(), |v| format!("{name} {v}"));
    if SWITCHES.contains(&name.as_str()) {
        let off = value.as_deref() == Some("false");
        let why = match name.as_str() {
            _ if off => Why::Handled,
            "--detach" | "--interactive" | "--tty" | "--rm" | "--init" | "--replace" | "--quiet" => {
                Why::Handled
            }
            "--privileged" => Why::Privileged,
            "--publish-all" => Why::FurtherPorts,
            "--env-host" => Why::Variable,
            "--oom-kill-disable" => Why::Limits,
            _ => Why::Option,
        };
        out.leave(what, why);
        return Ok(());
    }
    let Some(value) = value else {
        if takes_value(&name) == Some(true) {
            return Err(PasteError::NoValue { option: name });
        }
        out.leave(shown(&name), Why::UnknownOption);
        return Ok(());
    };
    match name.as_str() {
        "--env" => {
            let (name, value) = value.split_once('=').map_or((value.as_str(), None), |(n, v)| (n, Some(v)));
            variable(name, value.filter(|_| word.expansions.is_empty()), true, out);
        }
        "--env-file" => out.leave(what, Why::ValueElsewhere),
        "--volume" => seen.mounts.extend(mounts::volume(word, &value, out)),
        "--mount" => seen.mounts.extend(mounts::described(word, &value, out)),
        "--volumes-from" => out.leave(what, Why::HostMount),
        "--label" | "--annotation" | "--health-cmd" | "--add-host" | "--log-opt" | "--sysctl" => {
            // Its value may be anything, a secret, too.
            out.leave(name, Why::Option);
        }
        _ => {
            word.plain().map_err(filled)?;
            valued(&name, &value, what, seen, out);
            if name == "--entrypoint" {
                seen.entry = Some(Word { text: value, ..Word::default() });
            }
        }
    }
    Ok(())
}

const fn filled(error: shell::QuoteError) -> PasteError {
    PasteError::Quote(error)
}

/// An option whose value no shell fills in.
fn valued(name: &str, value: &str, what: String, seen: &mut Seen, out: &mut Pasted) {
    let why = match name {
        "--name" => {
            out.container = Some(value.to_owned());
            return;
        }
        "--entrypoint" => return,
        "--publish" => {
            if let Some(port) = published(value, what) {
                seen.ports.push(port);
            }
            return;
        }
        "--gpus" => return gpus::option(value, out),
        "--device" => match value.strip_prefix("nvidia.com/gpu=") {
            Some(which) => return gpus::device(which, out),
            None => Why::Device,
        },
        "--runtime" if value == "nvidia" => {
            seen.nvidia = true;
            Why::Handled
        }
        "--ipc" | "--pull" => Why::Handled,
        "--shm-size" | "--shm-size-systemd" => Why::SharedMemory,
        "--network" | "--net" => {
            seen.host_network = value == "host";
            if matches!(value, "bridge" | "default") { Why::Handled } else { Why::Network }
        }
        "--restart" if value == "no" => Why::Handled,
        "--restart" => Why::Restart,
        "--cap-add" | "--cap-drop" | "--security-opt" | "--pid" | "--uts" | "--userns" => Why::Privileged,
        "--ulimit" | "--pids-limit" => Why::Limits,
        _ if limit(name) => Why::Limits,
        _ if takes_value(name).is_some() => Why::Option,
        _ => {
            out.leave(shown(name), Why::UnknownOption);
            return;
        }
    };
    out.leave(what, why);
}

/// `[[ADDRESS:]PORT:]PORT[/tcp]`; nothing for other protocols.
fn published(value: &str, what: String) -> Option<Published> {
    let (ports, protocol) = value.split_once('/').unwrap_or((value, "tcp"));
    if protocol != "tcp" {
        return None;
    }
    let mut parts = ports.rsplitn(3, ':');
    let port = |text: &str| text.parse::<u16>().ok().filter(|p| *p > 0);
    let inner = parts.next().and_then(port);
    let host = parts.next().and_then(port);
    let public = !matches!(parts.next(), Some("127.0.0.1" | "localhost" | "[::1]"));
    Some(Published { what, public, host, inner })
}

/// Finds the API's port among the published ones.
fn publish(seen: &Seen, port: Option<u16>, out: &mut Pasted) {
    let inner = port.unwrap_or(8000);
    if seen.host_network {
        out.host_port = Some(inner);
    }
    let mut chosen = seen.ports.iter().position(|p| p.inner == Some(inner));
    if chosen.is_none() && seen.ports.len() == 1 {
        chosen = Some(0);
    }
    for (at, published) in seen.ports.iter().enumerate() {
        let why = match published.host {
            _ if chosen != Some(at) => Why::FurtherPorts,
            None => Why::PortUnclear,
            Some(host) => {
                out.host_port = Some(host);
                if !published.public {
                    continue;
                }
                Why::LoopbackOnly
            }
        };
        out.leave(&published.what, why);
    }
}
