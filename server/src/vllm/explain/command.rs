//! `server explain [--json] [FILE|-]`.

use super::report::{Explanation, explain};
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::process::ExitCode;

const HELP: &str = "\
Explains a log of vLLM: its phases with times, how it ended, why, and what to do.

Usage: server explain [--json] [FILE]

FILE   the log; '-' or nothing reads standard input. Prefixes of docker compose, journald,
       kubectl and docker, colours and JSON logs are understood. Of several runs the last counts.

  --json  print JSON
  --help  print this
";

/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// What the words ask for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Help,
    Explain { json: bool, file: Option<String> },
}

fn parse(words: &[String]) -> Result<Asked, String> {
    let (mut json, mut file, mut only_files) = (false, None, false);
    for word in words {
        match word.as_str() {
            "--help" | "-h" if !only_files => return Ok(Asked::Help),
            "--json" if !only_files => json = true,
            "--" if !only_files => only_files = true,
            flag if flag.starts_with('-') && flag != "-" && !only_files => {
                return Err(format!("{flag}: no such option; see `explain --help`"));
            }
            _ if file.is_some() => return Err(format!("{word}: only one FILE can be explained at a time")),
            name => file = Some(name.to_owned()),
        }
    }
    Ok(Asked::Explain { json, file: file.filter(|f| f != "-" || only_files) })
}

/// Runs the command with the words behind `explain`. Succeeds whenever the log could be read.
pub fn command(words: &[String]) -> ExitCode {
    match parse(words) {
        Ok(Asked::Help) => print(HELP),
        Ok(Asked::Explain { json, file }) => match read(file.as_deref()) {
            Ok(explanation) if json => match serde_json::to_string_pretty(&explanation) {
                Ok(text) => print(&(text + "\n")),
                Err(error) => fail(&format!("the explanation cannot be written as JSON: {error}"), 1),
            },
            Ok(explanation) => print(&explanation.to_string()),
            Err((message, code)) => fail(&message, code),
        },
        Err(message) => fail(&message, 2),
    }
}

/// The explanation, or why there is none with the exit code for it.
fn read(file: Option<&str>) -> Result<Explanation, (String, u8)> {
    let name = file.unwrap_or("standard input");
    let cannot = |e: io::Error| match e.kind() {
        io::ErrorKind::InvalidData => (format!("{name} is not a log: {e}"), 2),
        _ => (format!("{name} cannot be read: {e}"), 1),
    };
    if file.is_none() {
        return explain(io::stdin().lock()).map_err(cannot);
    }
    let opened = File::open(name).map_err(cannot)?;
    if opened.metadata().map_err(cannot)?.is_dir() {
        return Err((format!("{name} is a folder; give the file that holds the log"), 1));
    }
    explain(BufReader::with_capacity(CHUNK, opened)).map_err(cannot)
}

fn print(text: &str) -> ExitCode {
    // A closed pipe is the reader's choice.
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn fail(message: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "explain: {message}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn words_are_understood_or_named() {
        let asked = |json, file: Option<&str>| Ok(Asked::Explain { json, file: file.map(str::to_owned) });
        assert_eq!(parse(&words("")), asked(false, None));
        assert_eq!(parse(&words("-")), asked(false, None));
        assert_eq!(parse(&words("--json a.log")), asked(true, Some("a.log")));
        assert_eq!(parse(&words("a.log --json")), asked(true, Some("a.log")));
        assert_eq!(parse(&words("-- --json")), asked(false, Some("--json")));
        assert_eq!(parse(&words("--help")), Ok(Asked::Help));
        assert!(parse(&words("--jsn")).is_err_and(|e| e.contains("--jsn")));
        assert!(parse(&words("a b")).is_err_and(|e| e.starts_with("b:")));
    }

    #[test]
    fn a_missing_file_and_a_folder_are_named() {
        assert!(read(Some("/no/such.log")).is_err_and(|(e, _)| e.contains("/no/such.log")));
        assert!(read(Some("/")).is_err_and(|(e, _)| e.contains("folder")));
        let dir = tempfile::tempdir().expect("a folder");
        let packed = dir.path().join("a.log.gz");
        std::fs::write(&packed, b"\x1F\x8B\x08").expect("written");
        let told = read(packed.to_str()).expect_err("no log");
        assert!(told.0.ends_with("gzip: unpack it first") && told.1 == 2, "{told:?}");
    }
}
