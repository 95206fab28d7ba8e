//! The process runtime with real processes under the real shim: the `server` binary of this build.
#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers, too")]

use app::model::{FailureKind, Remnant, ServiceName, Stream};
use rustix::process::{Pid, Signal, kill_process};
use server::runtime::process::{Mode, ProcessRuntime, ProcessSettings, UNKNOWN_EXIT, foreign};
use server::runtime::{
    Activity, Ended, FollowEnd, FramePosition, FrameSink, Hint, Instance, InstanceId, Launch, Look, Runtime,
    RuntimeError, StopSignal,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// No wait in these tests is longer.
const LIMIT: Duration = Duration::from_secs(30);

/// A service's folder; whatever still runs from it is killed when the test ends, however it ends.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("service")
    }

    fn runtime(&self) -> ProcessRuntime {
        self.runtime_of(Mode::Own)
    }

    fn runtime_of(&self, mode: Mode) -> ProcessRuntime {
        let service = ServiceName::parse("test").expect("a name");
        ProcessRuntime::new(ProcessSettings {
            service,
            dir: self.path(),
            exe: env!("CARGO_BIN_EXE_server").into(),
            mode,
            log_bytes: 64 << 20,
        })
    }

    fn runs(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path()) else { return Vec::new() };
        let mut runs: Vec<PathBuf> =
            entries.flatten().map(|e| e.path()).filter(|p| p.join("instance.json").exists()).collect();
        runs.sort();
        runs
    }

    fn json(&self, name: &str) -> serde_json::Value {
        let run = self.runs().pop().expect("a run");
        serde_json::from_slice(&fs::read(run.join(name)).expect("there")).expect("JSON")
    }

    fn shim(&self) -> u32 {
        pid_of(&self.json("instance.json"), "shim")
    }

    fn main(&self) -> u32 {
        pid_of(&self.json("instance.json"), "main")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let sessions: Vec<u32> = self
            .runs()
            .iter()
            .filter_map(|run| serde_json::from_slice(&fs::read(run.join("instance.json")).ok()?).ok())
            .map(|json: serde_json::Value| pid_of(&json, "shim"))
            .collect();
        for (pid, session) in processes() {
            if sessions.contains(&session) {
                kill(pid, Signal::KILL);
            }
        }
    }
}

fn pid_of(json: &serde_json::Value, who: &str) -> u32 {
    u32::try_from(json[who]["pid"].as_u64().expect("a PID")).expect("a PID")
}

fn processes() -> Vec<(u32, u32)> {
    let pids =
        fs::read_dir("/proc").expect("/proc").flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| Some((pid, session(pid)?))).collect()
}

/// The session of a living process.
fn session(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    if fields[0] == "Z" { None } else { fields[3].parse().ok() }
}

fn alive(pid: u32) -> bool {
    session(pid).is_some()
}

fn kill(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a PID")).expect("a PID");
    let _ = kill_process(pid, signal);
}

fn sh(script: &str) -> Launch {
    Launch {
        program: Some("sh".into()),
        args: vec!["-c".into(), script.into()],
        host_port: 8123,
        ..Launch::default()
    }
}

async fn instance(runtime: &ProcessRuntime) -> Instance {
    match runtime.look().await.expect("looked") {
        Look::Present(instance) => *instance,
        other => panic!("nothing is there: {other:?}"),
    }
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "not in time: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn ended(runtime: &ProcessRuntime) -> Ended {
    until("the end", async || match instance(runtime).await.activity {
        Activity::Ended(ended) => Some(ended),
        _ => None,
    })
    .await
}

/// Frames as they came; stops following once so many bytes have come.
#[derive(Default)]
struct Seen {
    frames: Vec<(i64, Stream, Vec<u8>)>,
    enough: usize,
    stop: CancellationToken,
}

impl Seen {
    fn of(&self, stream: Stream) -> String {
        let bytes: Vec<u8> = self.frames.iter().filter(|f| f.1 == stream).flat_map(|f| f.2.clone()).collect();
        String::from_utf8(bytes).expect("text")
    }

    fn position(&self) -> FramePosition {
        let Some(last) = self.frames.last() else { return FramePosition::default() };
        let nth = self.frames.iter().filter(|f| f.0 == last.0).count();
        FramePosition { time_ns: last.0, nth: u32::try_from(nth).expect("few") }
    }
}

impl FrameSink for Seen {
    fn frame(&mut self, time_ns: i64, stream: Stream, bytes: &[u8]) {
        assert!(self.frames.last().is_none_or(|f| f.0 <= time_ns), "times never fall");
        self.frames.push((time_ns, stream, bytes.to_vec()));
    }

    fn flush(&mut self) {
        let bytes: usize = self.frames.iter().map(|f| f.2.len()).sum();
        if self.enough > 0 && bytes >= self.enough {
            self.stop.cancel();
        }
    }
}

async fn follow(runtime: &ProcessRuntime, id: &InstanceId, seen: &mut Seen) -> FollowEnd {
    let (from, stop) = (seen.position(), seen.stop.clone());
    timeout(LIMIT, runtime.follow(id, from, seen, stop)).await.expect("in time").expect("followed")
}

#[tokio::test]
async fn nothing_is_there_before_the_first_start() {
    let place = Place::new();
    assert_eq!(place.runtime().look().await, Ok(Look::Absent));
    assert!(!place.path().exists(), "looking makes no folders");
}

#[tokio::test]
async fn both_pipes_and_the_exit_status_are_kept() {
    let place = Place::new();
    let runtime = place.runtime();
    let mut launch = sh("echo out; echo err >&2; echo \"$X $CUDA_VISIBLE_DEVICES\"; printf 'no end'; exit 7");
    launch.env.insert("X".into(), "given".into());
    launch.gpus = vec!["0".into(), "GPU-1".into()];
    runtime.start(&launch).await.expect("started");
    let ended = ended(&runtime).await;
    assert_eq!((ended.code, ended.oom, ended.asked_outside), (7, false, false));
    let there = instance(&runtime).await;
    assert_eq!(there.api_url.as_deref(), Some("http://127.0.0.1:8123"));
    assert!(there.pids.is_empty() && there.remnants.is_empty());
    assert!(ended.at.millis() * 1_000_000 + 1_000_000 >= there.id.started_ns);
    let mut seen = Seen::default();
    assert_eq!(follow(&runtime, &there.id, &mut seen).await, FollowEnd::Complete);
    assert_eq!(seen.of(Stream::Stdout), "out\ngiven 0,GPU-1\nno end");
    assert_eq!(seen.of(Stream::Stderr), "err\n");
    until("the shim's end", async || (!alive(place.shim())).then_some(())).await;
    let mode = |p: &Path| {
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(p).expect("there").permissions()) & 0o777
    };
    assert_eq!(mode(&place.path()), 0o700);
    assert_eq!(mode(&place.runs()[0].join("log.000001")), 0o600);
}

#[tokio::test]
async fn our_own_variables_do_not_reach_the_service() {
    let place = Place::new();
    let runtime = place.runtime();
    runtime.start(&sh("env")).await.expect("started");
    ended(&runtime).await;
    let mut seen = Seen::default();
    follow(&runtime, &instance(&runtime).await.id, &mut seen).await;
    let env = seen.of(Stream::Stdout);
    assert!(env.lines().any(|l| l.starts_with("PATH=")), "the rest is the dashboard's");
    assert!(!env.lines().any(|l| l.starts_with("SERVICES_") || l.starts_with("LEPTOS_")), "{env}");
}

#[tokio::test]
async fn lines_arrive_while_the_service_runs_and_terminate_ends_it() {
    let place = Place::new();
    let runtime = place.runtime();
    runtime
        .start(&sh("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done"))
        .await
        .expect("started");
    let there = instance(&runtime).await;
    assert_eq!(there.activity, Activity::Running);
    assert!(there.pids.contains(&place.main()) && !there.pids.contains(&place.shim()), "{there:?}");
    let mut seen = Seen { enough: 6, ..Seen::default() };
    assert_eq!(follow(&runtime, &there.id, &mut seen).await, FollowEnd::Broken, "stopped by the viewer");
    assert_eq!(seen.of(Stream::Stdout), "ready\n");
    let other = InstanceId { started_ns: 1, ..there.id.clone() };
    runtime.signal(&other, StopSignal::Kill).await.expect("nothing to do");
    assert_eq!(instance(&runtime).await.activity, Activity::Running, "another instance's signal is not ours");
    runtime.signal(&there.id, StopSignal::Terminate).await.expect("sent");
    assert_eq!(ended(&runtime).await.code, 0);
    let mut seen = Seen { frames: seen.frames, ..Seen::default() };
    assert_eq!(follow(&runtime, &there.id, &mut seen).await, FollowEnd::Complete);
    assert_eq!(seen.of(Stream::Stdout), "ready\nbye\n");
    runtime.signal(&there.id, StopSignal::Terminate).await.expect("gone already is success");
}

#[tokio::test]
async fn what_a_killed_main_process_leaves_behind_is_named_and_ended() {
    let place = Place::new();
    let runtime = place.runtime();
    // It says so before it has children: it is killed as soon as they are there.
    let script = "echo ready; sh -c 'trap \"\" TERM; echo stubborn; while :; do sleep 0.1; done' & \
                  setsid sleep 301 & sleep 302 & wait";
    runtime.start(&sh(script)).await.expect("started");
    let there = instance(&runtime).await;
    let pids = until("all children", async || {
        let pids = instance(&runtime).await.pids;
        (pids.len() >= 4).then_some(pids)
    })
    .await;
    kill(place.main(), Signal::KILL);
    let ended = ended(&runtime).await;
    assert_eq!(ended.code, 137);
    let named: Vec<Remnant> = until("remnants", async || {
        let remnants = instance(&runtime).await.remnants;
        (!remnants.is_empty()).then_some(remnants)
    })
    .await;
    assert!(named.iter().all(|r| pids.contains(&r.pid) || r.name == "sleep"), "{named:?} of {pids:?}");
    let again = runtime.start(&sh("echo again")).await;
    assert_eq!(again, Ok(()), "a start waits for the remnants' end");
    assert!(pids.iter().all(|pid| !alive(*pid)), "none is left: {pids:?}");
    let mut seen = Seen::default();
    assert_eq!(follow(&runtime, &there.id, &mut seen).await, FollowEnd::Complete, "the log before is kept");
    assert!(seen.of(Stream::Stdout).contains("ready\n"));
    let record: serde_json::Value =
        serde_json::from_slice(&fs::read(place.runs()[0].join("remnants.json")).expect("kept"))
            .expect("JSON");
    assert_eq!(record["gone"], true);
    let found = record["found"].as_array().expect("a list");
    assert!(
        found.iter().any(|f| f["signal"] == 9 && f["name"] == "sh"),
        "the stubborn one was forced: {record}"
    );
    assert!(found.iter().any(|f| f["signal"] == 15 && f["name"] == "sleep"), "others were asked: {record}");
}

#[tokio::test]
async fn kill_ends_the_whole_group_at_once() {
    let place = Place::new();
    let runtime = place.runtime();
    runtime.start(&sh("trap '' TERM; sleep 303 & setsid sleep 304 & wait; wait")).await.expect("started");
    let pids = until("children", async || {
        let pids = instance(&runtime).await.pids;
        (pids.len() >= 3).then_some(pids)
    })
    .await;
    let id = instance(&runtime).await.id;
    runtime.signal(&id, StopSignal::Kill).await.expect("killed");
    assert!(pids.iter().all(|pid| !alive(*pid)));
    assert_eq!(ended(&runtime).await.code, 137);
    assert!(instance(&runtime).await.remnants.is_empty());
}

#[tokio::test]
async fn a_new_dashboard_finds_the_service_and_goes_on_with_its_log() {
    let place = Place::new();
    let first = place.runtime();
    let lines = "i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo line $i; sleep 0.01; done; exit 3";
    first.start(&sh(lines)).await.expect("started");
    let before = instance(&first).await;
    let mut seen = Seen { enough: 100, ..Seen::default() };
    follow(&first, &before.id, &mut seen).await;
    drop(first);
    let second = place.runtime();
    let after = instance(&second).await;
    assert_eq!((after.id.clone(), after.activity), (before.id, Activity::Running));
    let mut seen = Seen { frames: seen.frames, ..Seen::default() };
    assert_eq!(follow(&second, &after.id, &mut seen).await, FollowEnd::Complete);
    let want: String = (1..=200).map(|n| format!("line {n}\n")).collect();
    assert_eq!(seen.of(Stream::Stdout), want, "no gap, no double");
    assert_eq!(ended(&second).await.code, 3);
}

#[tokio::test]
async fn a_flood_is_read_exactly_once_across_readers() {
    let place = Place::new();
    let runtime = place.runtime();
    runtime.start(&sh("seq 1 200000")).await.expect("started");
    let id = instance(&runtime).await.id;
    let want: String = (1..=200_000).map(|n| format!("{n}\n")).collect();
    let mut seen = Seen::default();
    for part in 1..=3 {
        seen = Seen { frames: seen.frames, enough: want.len() * part / 4, stop: CancellationToken::new() };
        assert_eq!(follow(&place.runtime(), &id, &mut seen).await, FollowEnd::Broken);
    }
    seen = Seen { frames: seen.frames, ..Seen::default() };
    assert_eq!(follow(&place.runtime(), &id, &mut seen).await, FollowEnd::Complete);
    assert!(seen.of(Stream::Stdout) == want, "every line once, in order");
}

#[tokio::test]
async fn a_killed_shim_leaves_the_service_running_and_its_end_unknown() {
    let place = Place::new();
    let runtime = place.runtime();
    runtime.start(&sh("echo ready; sleep 305 & sleep 306 & wait")).await.expect("started");
    let there = instance(&runtime).await;
    let mut seen = Seen { enough: 6, ..Seen::default() };
    follow(&runtime, &there.id, &mut seen).await;
    until("children", async || (instance(&runtime).await.pids.len() == 3).then_some(())).await;
    kill(place.shim(), Signal::KILL);
    until("the shim's end", async || (!alive(place.shim())).then_some(())).await;
    let now = instance(&runtime).await;
    assert_eq!((&now.id, &now.activity, now.pids.len()), (&there.id, &Activity::Running, 3));
    runtime.start(&sh("echo two")).await.expect("runs already");
    assert_eq!(instance(&runtime).await.id, there.id);
    kill(place.main(), Signal::KILL);
    assert_eq!(ended(&runtime).await.code, UNKNOWN_EXIT);
    let left = instance(&runtime).await;
    assert_eq!(left.remnants.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["sleep", "sleep"]);
    assert_eq!(ended(&runtime).await, ended(&runtime).await, "the moment of the end does not move");
    let mut seen = Seen { frames: seen.frames, ..Seen::default() };
    assert_eq!(follow(&runtime, &there.id, &mut seen).await, FollowEnd::Complete);
    assert_eq!(seen.of(Stream::Stdout), "ready\n");
    runtime.end_remnants(&there.id).await.expect("ended");
    assert!(left.remnants.iter().all(|r| !alive(r.pid)));
    assert!(instance(&runtime).await.remnants.is_empty());
}

#[tokio::test]
async fn a_stop_signal_to_the_shim_loses_nothing() {
    let place = Place::new();
    let runtime = place.runtime();
    runtime.start(&sh("sleep 0.4; echo still kept; exit 5")).await.expect("started");
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        kill(place.shim(), signal);
    }
    assert_eq!(ended(&runtime).await.code, 5);
    let mut seen = Seen::default();
    follow(&runtime, &instance(&runtime).await.id, &mut seen).await;
    assert_eq!(seen.of(Stream::Stdout), "still kept\n");
}

#[tokio::test]
async fn many_starts_start_one_thing() {
    let place = Place::new();
    let (one, two) = (place.runtime(), place.runtime());
    let launch = sh("sleep 307");
    let (a, b, c, d) =
        tokio::join!(one.start(&launch), one.start(&launch), two.start(&launch), two.start(&launch));
    assert_eq!([a, b, c, d], [Ok(()), Ok(()), Ok(()), Ok(())]);
    assert_eq!(place.runs().len(), 1);
    let there = instance(&one).await;
    one.start(&launch).await.expect("runs already");
    assert_eq!(instance(&two).await, there);
    one.signal(&there.id, StopSignal::Kill).await.expect("killed");
}

#[tokio::test]
async fn a_missing_command_is_said_and_leaves_no_run() {
    let place = Place::new();
    let runtime = place.runtime();
    let launch = Launch { program: Some("no-such-program-here".into()), ..Launch::default() };
    let command = "no-such-program-here".to_owned();
    assert_eq!(
        runtime.start(&launch).await,
        Err(RuntimeError::Refused(FailureKind::CommandMissing { command }))
    );
    assert_eq!(runtime.look().await, Ok(Look::Absent));
    let folder = Launch { program: Some(place.path().display().to_string()), ..Launch::default() };
    let refused = runtime.start(&folder).await;
    assert!(
        matches!(&refused, Err(RuntimeError::Refused(FailureKind::Refused { action, .. })) if action == "start"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn only_the_run_before_is_kept() {
    let place = Place::new();
    let runtime = place.runtime();
    let mut ids = Vec::new();
    for n in 1..=3 {
        runtime.start(&sh(&format!("echo run {n}"))).await.expect("started");
        ended(&runtime).await;
        ids.push(instance(&runtime).await.id);
    }
    assert_eq!(place.runs().len(), 2);
    let mut seen = Seen::default();
    assert_eq!(follow(&runtime, &ids[1], &mut seen).await, FollowEnd::Complete);
    assert_eq!(seen.of(Stream::Stdout), "run 2\n");
    let mut none = Seen::default();
    assert_eq!(follow(&runtime, &ids[0], &mut none).await, FollowEnd::Complete);
    assert!(none.frames.is_empty());
}

#[tokio::test]
async fn a_pid_with_another_start_time_or_of_another_boot_is_not_ours() {
    let (place, victim) = (Place::new(), Place::new());
    let (runtime, other) = (place.runtime(), victim.runtime());
    other.start(&sh("sleep 308")).await.expect("started");
    runtime.start(&sh("true")).await.expect("started");
    ended(&runtime).await;
    until("the shim's end", async || (!alive(place.shim())).then_some(())).await;
    let run = place.runs().pop().expect("a run");
    fs::remove_file(run.join("exit.json")).expect("forged");
    let true_one = victim.json("instance.json");
    let mut later = true_one.clone();
    for who in ["shim", "main"] {
        later[who]["ticks"] = (later[who]["ticks"].as_u64().expect("ticks") + 1).into();
    }
    let mut other_boot = true_one;
    other_boot["boot"] = "another".into();
    for forged in [later, other_boot] {
        fs::write(run.join("instance.json"), forged.to_string()).expect("forged");
        let there = instance(&runtime).await;
        assert!(matches!(&there.activity, Activity::Ended(e) if e.code == UNKNOWN_EXIT), "{there:?}");
        assert!(there.pids.is_empty() && there.remnants.is_empty());
        for signal in [StopSignal::Terminate, StopSignal::Kill] {
            runtime.signal(&there.id, signal).await.expect("nobody there");
        }
        runtime.end_remnants(&there.id).await.expect("nobody there");
        assert!(alive(victim.main()) && alive(victim.shim()), "the stranger lives");
    }
    fs::remove_dir_all(run).expect("forgotten");
    other.signal(&instance(&other).await.id, StopSignal::Kill).await.expect("killed");
}

#[tokio::test]
async fn secrets_stay_out_of_the_folder() {
    let place = Place::new();
    let runtime = place.runtime();
    let mut launch = sh("true");
    launch.args.extend(
        ["x", "--api-key", "sesame-1", "sesame-2", "--hf-token=sesame-3", "--port", "1"].map(str::to_owned),
    );
    launch.env.insert("HF_TOKEN".into(), "sesame-4".into());
    runtime.start(&launch).await.expect("started");
    ended(&runtime).await;
    for entry in fs::read_dir(place.runs().pop().expect("a run")).expect("readable").flatten() {
        let text = String::from_utf8_lossy(&fs::read(entry.path()).expect("readable")).into_owned();
        assert!(!text.contains("sesame"), "{}: {text}", entry.path().display());
    }
    assert_eq!(place.json("instance.json")["command"][4], "--api-key");
}

#[tokio::test]
async fn a_watcher_is_told_of_start_and_end() {
    let place = Place::new();
    let runtime = place.runtime();
    let (send, mut hints) = tokio::sync::mpsc::channel(4);
    let stop = CancellationToken::new();
    let watched = async {
        assert_eq!(timeout(LIMIT, hints.recv()).await, Ok(Some(Hint::LookAgain)), "the first look");
        runtime.start(&sh("sleep 0.5; exit 1")).await.expect("started");
        let start = Instant::now();
        let mut told = 0;
        while !matches!(instance(&runtime).await.activity, Activity::Ended(_)) {
            assert_eq!(timeout(LIMIT, hints.recv()).await, Ok(Some(Hint::LookAgain)));
            told += 1;
        }
        assert!(told >= 1 && start.elapsed() < Duration::from_secs(3), "told, not found by chance");
        stop.cancel();
    };
    let (_, ()) = tokio::join!(timeout(LIMIT, runtime.watch(send, stop.clone())), watched);
}

#[tokio::test]
async fn a_demo_ends_with_the_dashboard() {
    let place = Place::new();
    let runtime = place.runtime_of(Mode::Demo);
    let launch = sh("trap 'echo bye; exit 0' TERM; sleep 309 & while :; do sleep 0.05; done");
    runtime.start(&launch).await.expect("started");
    let pids = instance(&runtime).await.pids;
    timeout(LIMIT, runtime.shutdown()).await.expect("in time");
    assert!(!alive(place.shim()) && pids.iter().all(|pid| !alive(*pid)));
    assert_eq!(ended(&runtime).await.code, 0, "it was asked");

    runtime.start(&launch).await.expect("started");
    let (shim, main) = (place.shim(), place.main());
    drop(runtime);
    until("the demo's end", async || (!alive(shim) && !alive(main)).then_some(())).await;
}

#[tokio::test]
async fn a_services_own_processes_are_not_foreign() {
    let place = Place::new();
    let runtime = place.runtime();
    let fake = place.dir.path().join("vllm");
    fs::write(&fake, "#!/bin/sh\nsleep 310\n").expect("written");
    fs::set_permissions(&fake, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("made executable");
    let launch = Launch {
        program: Some(fake.display().to_string()),
        args: ["serve", "m", "--api-key", "sesame"].map(str::to_owned).to_vec(),
        ..Launch::default()
    };
    runtime.start(&launch).await.expect("started");
    let there = instance(&runtime).await;
    assert!(foreign().iter().all(|f| !there.pids.contains(&f.pid)));
    // Without its shim it is nobody's.
    kill(place.shim(), Signal::KILL);
    until("the shim's end", async || (!alive(place.shim())).then_some(())).await;
    let main = place.main();
    let seen = foreign().into_iter().find(|f| f.pid == main).expect("listed");
    assert!(seen.command.ends_with("vllm serve m --api-key …"), "{}", seen.command);
    runtime.signal(&there.id, StopSignal::Kill).await.expect("killed");
}
