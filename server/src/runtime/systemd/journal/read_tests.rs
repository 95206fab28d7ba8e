//! Reading with stand-ins for `journalctl`: small scripts that print what it would.

use super::*;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

#[derive(Default)]
struct Kept(Vec<(i64, String)>);

impl FrameSink for Kept {
    fn frame(&mut self, time_ns: i64, _: Stream, bytes: &[u8]) {
        self.0.push((time_ns, String::from_utf8_lossy(bytes).into_owned()));
    }
    fn flush(&mut self) {}
}

/// A program of this text, in a folder of its own.
fn script(text: &str) -> (tempfile::TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("journalctl");
    std::fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    (dir, Journal { program, scope: Scope::System })
}

fn entry(us: u64, text: &str) -> String {
    format!("printf '__REALTIME_TIMESTAMP={us}\\nMESSAGE={text}\\n\\n'")
}

async fn read(
    journal: &Journal,
    mut from: FramePosition,
) -> (Result<PassEnd, RuntimeError>, Kept, FramePosition) {
    let mut kept = Kept::default();
    let end = journal.read("00", &mut from, Pass::Once, &mut kept, std::future::pending()).await;
    (end, kept, from)
}

fn detail(error: RuntimeError) -> String {
    match error {
        RuntimeError::Refused(app::model::FailureKind::Refused { detail, .. }) => detail,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_arguments_name_the_start_and_the_place_and_nothing_else() {
    let journal = Journal { program: "journalctl".into(), scope: Scope::User };
    let at = FramePosition { time_ns: 1_795_377_832_453_214_000, nth: 2 };
    let list = journal.arguments("ab", at, Pass::Follow);
    assert!(list.contains(&"--follow".to_owned()) && list.contains(&"--no-tail".to_owned()));
    assert!(list.contains(&"--since=@1795377832.453214".to_owned()), "{list:?}");
    assert!(list.ends_with(&["_SYSTEMD_INVOCATION_ID=ab", "+", "USER_INVOCATION_ID=ab"].map(str::to_owned)));
}

#[tokio::test]
async fn entries_become_lines_in_order_and_the_place_behind_them_is_known() {
    let (_dir, journal) = script(&[entry(5, "a"), entry(7, "b"), entry(7, "c")].join("\n"));
    let (end, kept, at) = read(&journal, FramePosition::default()).await;
    assert_eq!(end, Ok(PassEnd::Read));
    assert_eq!(kept.0, [(5000, "a\n".into()), (7000, "b\n".into()), (7000, "c\n".into())]);
    assert_eq!(at, FramePosition { time_ns: 7000, nth: 2 });
}

#[tokio::test]
async fn reading_goes_on_behind_the_nth_entry_of_a_moment() {
    let (_dir, journal) =
        script(&[entry(6, "z"), entry(7, "b"), entry(7, "c"), entry(5, "set back")].join("\n"));
    let (_, kept, at) = read(&journal, FramePosition { time_ns: 7000, nth: 1 }).await;
    assert_eq!(kept.0, [(7000, "c\n".into()), (5000, "set back\n".into())]);
    assert_eq!(at, FramePosition { time_ns: 5000, nth: 1 });
    let (_dir, journal) = script(&[entry(7, "b"), entry(7, "c"), entry(7, "d")].join("\n"));
    let (_, kept, at) = read(&journal, FramePosition { time_ns: 7000, nth: 2 }).await;
    assert_eq!(kept.0, [(7000, "d\n".into())]);
    assert_eq!(at, FramePosition { time_ns: 7000, nth: 3 });
}

#[tokio::test]
async fn a_line_that_the_journal_cut_is_put_together_again() {
    let (_dir, journal) = script("printf 'MESSAGE=ab\\n_LINE_BREAK=line-max\\n\\nMESSAGE=cd\\n\\n'");
    let (_, kept, _) = read(&journal, FramePosition::default()).await;
    let text: String = kept.0.into_iter().map(|(_, text)| text).collect();
    assert_eq!(text, "abcd\n");
}

#[tokio::test]
async fn a_program_that_is_missing_or_fails_is_named_with_its_reason() {
    let missing = Journal { program: "/nonexistent/journalctl".into(), scope: Scope::System };
    let (end, ..) = read(&missing, FramePosition::default()).await;
    let said = detail(end.unwrap_err());
    assert!(said.contains("/nonexistent/journalctl: cannot be run"), "{said}");
    let (_dir, denied) =
        script("echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1");
    let (end, ..) = read(&denied, FramePosition::default()).await;
    let said = detail(end.unwrap_err());
    assert!(said.contains("insufficient permissions"), "{said}");
    let (_dir, garbage) = script("head -c 4096 /dev/zero | tr '\\0' 'x'");
    let (end, ..) = read(&garbage, FramePosition::default()).await;
    assert!(detail(end.unwrap_err()).contains("export format"));
}

#[tokio::test]
async fn complaints_are_bounded_and_never_hold_the_program_up() {
    let (_dir, journal) = script(&format!("head -c 400000 /dev/zero | tr '\\0' 'e' >&2\n{}", entry(1, "a")));
    let (end, kept, _) = read(&journal, FramePosition::default()).await;
    assert_eq!((end, kept.0.len()), (Ok(PassEnd::Read), 1));
}

#[tokio::test]
async fn a_program_that_follows_is_ended_when_it_is_told() {
    let (dir, journal) =
        script(&format!("echo $$ > \"$(dirname \"$0\")/pid\"\n{}\nexec sleep 60", entry(1, "a")));
    let begun = Instant::now();
    let (mut kept, mut at) = (Kept::default(), FramePosition::default());
    let until = tokio::time::sleep(Duration::from_millis(500));
    let end = journal.read("00", &mut at, Pass::Follow, &mut kept, until).await;
    assert_eq!((end, kept.0.len()), (Ok(PassEnd::Told), 1));
    assert!(begun.elapsed() < Duration::from_secs(5));
    let pid = std::fs::read_to_string(dir.path().join("pid")).unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{}", pid.trim())).exists(), "it was reaped");
}
