//! An end that was asked for: in order, within its bound, with everything on disk.

use crate::machine::{LIMIT, Machine, until};
use app::model::ServiceName;
use server::history::{Anchor, Bounds, Filter, History, Selection, write_text};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What docs/OPERATING.md promises.
const BOUND: Duration = Duration::from_secs(18);

const FLOOD: &str = "
[[service]]
name = \"flood\"
kind = \"process\"
command = [\"sh\", \"-c\", \"n=0; while :; do n=$((n+1)); echo flood line $n; done\"]
";

/// The last number of a line that this text has whole.
fn last_seen(text: &str) -> Option<u64> {
    let whole = text.rsplit_once('"')?.0;
    let number = whole.rsplit("flood line ").next()?;
    number.split('"').next()?.parse().ok()
}

#[test]
fn under_a_flood_with_viewers_it_ends_in_time_and_what_was_seen_is_on_disk() {
    let mut machine = Machine::start(FLOOD, &[]);
    assert_eq!(machine.post("/api/services/flood/start", "").status, 202);
    let seen = Arc::new(AtomicU64::new(0));
    let viewers: Vec<_> = (0..8)
        .map(|_| {
            let mut peer = machine.open("GET", "/api/stream?logs=flood", &[], "");
            let seen = seen.clone();
            std::thread::spawn(move || {
                let (mut text, mut bytes) = (String::new(), vec![0; 64 << 10]);
                // The server hangs up at its end.
                while let Ok(read) = peer.read(&mut bytes) {
                    if read == 0 {
                        break;
                    }
                    text.push_str(&String::from_utf8_lossy(&bytes[..read]));
                    if let Some(last) = last_seen(&text) {
                        seen.fetch_max(last, Ordering::Relaxed);
                    }
                    let keep = text.len().saturating_sub(4096);
                    let keep = (keep..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                    text.drain(..keep);
                }
                text.contains("event: bye")
            })
        })
        .collect();
    // Some that never read.
    let idle: Vec<_> = (0..8).map(|_| machine.open("GET", "/api/stream?logs=flood", &[], "")).collect();
    until("the flood", || (seen.load(Ordering::Relaxed) > 5_000).then_some(()));

    let (status, took) = machine.terminate();
    assert_eq!(status.code(), Some(0), "{}", machine.log());
    assert!(took < BOUND, "{took:?}");
    let greeted =
        viewers.into_iter().map(|viewer| viewer.join().expect("no panic")).filter(|bye| *bye).count();
    assert!(greeted > 0, "viewers that read are told that the server goes");
    drop(idle);

    let bounds = Bounds { total: None, service: None, days: 0 };
    let history = History::new(machine.dir.path().join("state/logs"), bounds);
    let service = ServiceName::parse("flood").expect("a name");
    let run = history.kept("flood").pop().expect("a run").run;
    let view = history.view(&service, Some(run), None).expect("read").expect("there");
    let (first, last) = (view.first(), view.last());
    assert_eq!(first, 1);
    assert!(last >= seen.load(Ordering::Relaxed), "on disk {last}, seen {}", seen.load(Ordering::Relaxed));
    // Each line is there once, with its own number: the numbers of lines and those in them agree at both ends.
    for at in [1, last / 2, last] {
        let wanted = Selection { at: Anchor::Around(at), before: None, filter: Filter::default(), limit: 1 };
        let text = view.select(&wanted, write_text);
        assert!(text.contains(&format!("flood line {at}")), "line {at}: {text:?}");
    }
    assert!(LIMIT > BOUND);
}

#[test]
fn a_dashboard_that_nobody_looks_at_ends_at_once() {
    let mut machine = Machine::start("", &[("VLLM_RUNTIME", "demo")]);
    until("ready", || (machine.get("/readyz").status == 200).then_some(()));
    let (status, took) = machine.terminate();
    assert_eq!(status.code(), Some(0), "{}", machine.log());
    assert!(took < BOUND, "{took:?}");
}
