//! The journal: a file to which entries are appended, and the stand-in for `journalctl` that prints them in export format.
//!
//! One entry is one line: its fields as `NAME=VALUE`, between them a unit separator, the values in hexadecimal.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SEPARATOR: char = '\u{1f}';
/// How often a follower looks for more.
const LOOK: Duration = Duration::from_millis(20);

/// Appends entries.
pub struct Journal {
    path: PathBuf,
    /// Held while an entry is appended: entries are whole, and in the order of their times.
    order: Mutex<()>,
}

/// Microseconds since the Unix epoch.
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

impl Journal {
    pub const fn new(path: PathBuf) -> Self {
        Self { path, order: Mutex::new(()) }
    }

    /// Appends an entry with these fields, now.
    pub fn append(&self, fields: &[(&str, &[u8])]) {
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = format!("__REALTIME_TIMESTAMP={}", hex(now_us().to_string().as_bytes()));
        for (name, value) in fields {
            line.push(SEPARATOR);
            line.push_str(&format!("{name}={}", hex(value)));
        }
        line.push('\n');
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&self.path);
        if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
            eprintln!("{}: {error}", self.path.display());
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16)).unwrap_or(0);
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|p| u8::try_from(digit(p.first()) * 16 + digit(p.get(1))).unwrap_or(0)).collect()
}

type Fields = Vec<(String, Vec<u8>)>;

fn fields(line: &str) -> Fields {
    line.split(SEPARATOR)
        .filter_map(|field| field.split_once('='))
        .map(|(name, value)| (name.to_owned(), bytes(value)))
        .collect()
}

/// What was asked for.
#[derive(Debug, Default)]
struct Query {
    file: PathBuf,
    follow: bool,
    since_us: u64,
    lines: Option<usize>,
    only: Option<Vec<String>>,
    /// Groups of which one must match; of a group all must. The real one joins equal names by "or"; none is asked for twice.
    groups: Vec<Vec<(String, Vec<u8>)>>,
}

fn query(arguments: &[String]) -> Result<Query, String> {
    let mut query = Query { groups: vec![Vec::new()], ..Query::default() };
    for argument in arguments {
        match argument.split_once('=') {
            Some(("--sim-journal", file)) => query.file = file.into(),
            Some(("--since", since)) => {
                let seconds: f64 = since.trim_start_matches('@').parse().map_err(|_| argument.clone())?;
                // Six digits behind the point: a float holds today's microseconds exactly enough to round.
                query.since_us = (seconds * 1e6).round() as u64;
            }
            Some(("--lines", lines)) => query.lines = lines.parse().ok(),
            Some(("--output", "export")) => {}
            Some(("--output-fields", list)) => {
                query.only = Some(list.split(',').map(str::to_owned).collect());
            }
            Some((name, value)) if !name.starts_with('-') => {
                if let Some(group) = query.groups.last_mut() {
                    group.push((name.to_owned(), value.as_bytes().to_vec()));
                }
            }
            None if argument == "+" => query.groups.push(Vec::new()),
            None if argument == "--follow" => query.follow = true,
            None if ["--no-tail", "--no-pager", "--quiet", "--all"].contains(&argument.as_str()) => {}
            _ => return Err(format!("unknown argument {argument}")),
        }
    }
    Ok(query)
}

impl Query {
    fn wants(&self, entry: &Fields) -> bool {
        self.groups.iter().any(|group| group.iter().all(|wanted| entry.contains(wanted)))
            && time(entry) >= self.since_us
    }

    fn write(&self, entry: &Fields, out: &mut impl Write) -> std::io::Result<()> {
        for (name, value) in entry {
            let shown = name.starts_with("__") || self.only.as_ref().is_none_or(|only| only.contains(name));
            if !shown {
                continue;
            }
            let text = std::str::from_utf8(value).is_ok_and(|t| !t.contains(|c: char| c < ' ' && c != '\t'));
            if text {
                write!(out, "{name}=")?;
            } else {
                writeln!(out, "{name}")?;
                out.write_all(&(value.len() as u64).to_le_bytes())?;
            }
            out.write_all(value)?;
            writeln!(out)?;
        }
        writeln!(out)
    }
}

fn time(entry: &Fields) -> u64 {
    let value = entry.iter().find(|(name, _)| name == "__REALTIME_TIMESTAMP");
    value.and_then(|(_, v)| std::str::from_utf8(v).ok()?.parse().ok()).unwrap_or(0)
}

/// Prints what is asked for; goes on until its output is closed if it is to follow.
pub fn print(arguments: &[String]) -> Result<(), String> {
    let query = query(arguments)?;
    let mut out = std::io::stdout().lock();
    let mut reader = BufReader::new(open(&query.file, query.follow)?);
    let (mut kept, mut line) = (Vec::new(), String::new());
    loop {
        let read = reader.read_line(&mut line).map_err(|error| error.to_string())?;
        if line.ends_with('\n') {
            let entry = fields(line.trim_end_matches('\n'));
            line.clear();
            if query.wants(&entry) {
                if query.lines.is_some() {
                    kept.push(entry);
                } else {
                    query.write(&entry, &mut out).map_err(|error| error.to_string())?;
                }
            }
        } else if read == 0 {
            // Half a line stays where it is until the rest has come.
            out.flush().map_err(|error| error.to_string())?;
            if !query.follow {
                break;
            }
            std::thread::sleep(LOOK);
        }
    }
    let skip = kept.len().saturating_sub(query.lines.unwrap_or(0));
    for entry in kept.iter().skip(skip) {
        query.write(entry, &mut out).map_err(|error| error.to_string())?;
    }
    out.flush().map_err(|error| error.to_string())
}

fn open(path: &Path, wait: bool) -> Result<std::fs::File, String> {
    loop {
        match std::fs::File::open(path) {
            Ok(file) => return Ok(file),
            Err(error) if wait && error.kind() == std::io::ErrorKind::NotFound => std::thread::sleep(LOOK),
            // A journal without entries is none to be read.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return std::fs::File::open("/dev/null").map_err(|error| error.to_string());
            }
            Err(error) => return Err(format!("{}: {error}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let written = [("MESSAGE", b"a\x1f\n\xff=".as_slice()), ("PRIORITY", b"6")];
        let line: Vec<String> = written.iter().map(|(n, v)| format!("{n}={}", hex(v))).collect();
        let read = fields(&line.join(&SEPARATOR.to_string()));
        assert_eq!(read, written.map(|(n, v)| (n.to_owned(), v.to_vec())));
    }

    #[test]
    fn matches_of_a_group_must_all_hold_and_one_group_is_enough() {
        let list = ["A=1", "+", "B=2", "_PID=1"].map(str::to_owned);
        let query = query(&list).unwrap();
        let entry = |pairs: &[(&str, &str)]| -> Fields {
            pairs.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect()
        };
        assert!(query.wants(&entry(&[("A", "1")])));
        assert!(query.wants(&entry(&[("B", "2"), ("_PID", "1")])));
        assert!(!query.wants(&entry(&[("B", "2")])));
    }
}
