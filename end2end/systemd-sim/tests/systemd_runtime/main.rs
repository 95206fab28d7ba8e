//! The systemd runtime against the stand-in, over a real message bus: `dbus-daemon` from Debian's package of that name.
//! Without it the tests say so and pass; under `CI=true` they fail.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers, too")]

mod setup;

use app::model::{FailureKind, UnreachableReason};
use server::runtime::systemd::UnitFileState;
use server::runtime::{
    Activity, FollowEnd, FramePosition, Hint, Launch, Look, Runtime, RuntimeError, StopSignal,
};
use setup::{Kept, Setup, eventually, present};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

macro_rules! setup {
    () => {
        match Setup::new().await {
            Some(setup) => setup,
            None => return,
        }
    };
}

fn launch() -> Launch {
    Launch::default()
}

fn refused(result: Result<(), RuntimeError>) -> String {
    match result {
        Err(RuntimeError::Refused(FailureKind::Refused { detail, .. })) => detail,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_unit_starts_shows_its_processes_and_stops_when_it_is_asked() {
    let setup = setup!();
    setup.unit("plain", "ExecStart=/bin/sleep 60\n");
    let unit = setup.runtime("plain");
    assert_eq!(present(&unit).await.activity, Activity::Created);
    unit.start(&launch()).await.unwrap();
    let running = present(&unit).await;
    assert_eq!(running.activity, Activity::Running);
    assert_eq!((running.pids.len(), running.id.id.len()), (1, 32));
    assert!(running.id.started_ns > 0);
    // Does nothing when it runs already.
    unit.start(&launch()).await.unwrap();
    assert_eq!(present(&unit).await.id, running.id);
    unit.signal(&running.id, StopSignal::Terminate).await.unwrap();
    let ended = eventually(&unit, |i| matches!(i.activity, Activity::Ended(_))).await;
    assert_eq!(ended.id, running.id);
    assert!(matches!(ended.activity, Activity::Ended(e) if e.code == 143 && e.asked_outside && !e.oom));
    // Gone already is success.
    unit.signal(&running.id, StopSignal::Kill).await.unwrap();
}

#[tokio::test]
async fn a_signal_meant_for_an_earlier_start_does_not_reach_the_present_one() {
    let setup = setup!();
    setup.unit("plain", "ExecStart=/bin/sleep 60\n");
    let unit = setup.runtime("plain");
    unit.start(&launch()).await.unwrap();
    let first = present(&unit).await;
    unit.signal(&first.id, StopSignal::Kill).await.unwrap();
    eventually(&unit, |i| matches!(i.activity, Activity::Ended(_))).await;
    unit.start(&launch()).await.unwrap();
    let second = present(&unit).await;
    assert_ne!(first.id, second.id);
    unit.signal(&first.id, StopSignal::Kill).await.unwrap();
    unit.end_remnants(&first.id).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(present(&unit).await.activity, Activity::Running);
}

#[tokio::test]
async fn a_process_that_is_killed_from_outside_is_seen_by_a_hint_and_was_not_asked_to_stop() {
    let setup = setup!();
    setup.unit("plain", "ExecStart=/bin/sleep 60\n");
    let unit = setup.runtime("plain");
    unit.start(&launch()).await.unwrap();
    let (hints, mut told) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let watcher = tokio::spawn({
        let (unit, stop) = (unit.clone(), stop.clone());
        async move { unit.watch(hints, stop).await }
    });
    assert_eq!(told.recv().await, Some(Hint::LookAgain));
    setup::kill_9(present(&unit).await.pids[0]);
    let hint = tokio::time::timeout(Duration::from_secs(5), told.recv()).await;
    assert_eq!(hint, Ok(Some(Hint::LookAgain)));
    let ended = eventually(&unit, |i| matches!(i.activity, Activity::Ended(_))).await;
    assert!(matches!(ended.activity, Activity::Ended(e) if e.code == 137 && !e.asked_outside));
    stop.cancel();
    watcher.await.unwrap();
}

#[tokio::test]
async fn a_program_that_fails_at_once_keeps_its_exit_code_and_its_last_words() {
    let setup = setup!();
    setup.script("fail.sh", "echo oh no >&2\nexit 3");
    setup.unit("fail", &format!("ExecStart={}\n", setup.path("fail.sh")));
    let unit = setup.runtime("fail");
    unit.start(&launch()).await.unwrap();
    let ended = eventually(&unit, |i| matches!(i.activity, Activity::Ended(_))).await;
    assert!(matches!(ended.activity, Activity::Ended(e) if e.code == 3 && !e.asked_outside));
    let mut kept = Kept::default();
    let end = unit.follow(&ended.id, FramePosition::default(), &mut kept, CancellationToken::new()).await;
    assert_eq!(end, Ok(FollowEnd::Complete));
    assert!(
        kept.text().contains("oh no\n") && kept.text().contains("Failed with result 'exit-code'"),
        "{}",
        kept.text()
    );
}

#[tokio::test]
async fn a_stop_from_outside_is_told_from_an_end_in_order_even_by_who_comes_later() {
    let setup = setup!();
    setup.script("trap.sh", "trap 'exit 0' TERM\nwhile :; do sleep 0.02; done");
    setup.script("done.sh", "sleep 0.1");
    for name in ["trap", "done"] {
        setup.unit(name, &format!("ExecStart={}\n", setup.path(&format!("{name}.sh"))));
        setup.runtime(name).start(&launch()).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    // Somebody else, whose stop these runtimes have not seen.
    setup.busctl_stop("trap.service");
    let asked = |i: &server::runtime::Instance| match &i.activity {
        Activity::Ended(e) => (e.code, e.asked_outside),
        other => panic!("{other:?}"),
    };
    let ended = |i: &server::runtime::Instance| matches!(i.activity, Activity::Ended(_));
    assert_eq!(asked(&eventually(&setup.runtime("trap"), ended).await), (0, true));
    assert_eq!(asked(&eventually(&setup.runtime("done"), ended).await), (0, false));
}

#[tokio::test]
async fn a_start_that_systemd_forgot_is_told_from_the_last_look() {
    let setup = setup!();
    setup.unit("shy", "ExecStart=/bin/sleep 60\nSimForget=yes\n");
    let unit = setup.runtime("shy");
    unit.start(&launch()).await.unwrap();
    let running = present(&unit).await;
    unit.signal(&running.id, StopSignal::Terminate).await.unwrap();
    let ended = eventually(&unit, |i| matches!(i.activity, Activity::Ended(_))).await;
    assert_eq!(ended.id, running.id);
    assert!(matches!(ended.activity, Activity::Ended(e) if e.asked_outside));
    assert_eq!(present(&unit).await.id, running.id, "it stays told");
    assert_eq!(present(&setup.runtime("shy")).await.activity, Activity::Created, "nobody else can know");
}

#[tokio::test]
async fn a_unit_that_is_not_there_is_absent_and_its_start_refused_by_name() {
    let setup = setup!();
    let unit = setup.runtime("nothere");
    assert_eq!(unit.look().await, Ok(Look::Absent));
    assert_eq!(refused(unit.start(&launch()).await), "Unit nothere.service not found.");
    assert_eq!(unit.unit_file_state().await, Ok(UnitFileState::NotFound));
}

#[tokio::test]
async fn a_start_job_that_fails_is_refused_with_systemds_word_and_a_denied_one_says_so() {
    let setup = setup!();
    setup.unit("needs", "ExecStart=/bin/true\nSimResult=dependency\n");
    setup.unit("mine", "ExecStart=/bin/true\nSimDeny=yes\n");
    setup.unit("empty", "ExecStart=/nonexistent/program\n");
    let said = refused(setup.runtime("needs").start(&launch()).await);
    assert!(said.starts_with("dependency: "), "{said}");
    let said = refused(setup.runtime("mine").start(&launch()).await);
    assert!(said.starts_with("access denied: "), "{said}");
    let said = refused(setup.runtime("empty").start(&launch()).await);
    assert!(said.starts_with("failed: ") && said.contains("203"), "{said}");
}

#[tokio::test]
async fn a_units_auto_start_is_its_enablement() {
    let setup = setup!();
    setup.unit("can", "ExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n");
    setup.unit("cannot", "ExecStart=/bin/true\n");
    let can = setup.runtime("can");
    assert_eq!(can.unit_file_state().await, Ok(UnitFileState::Disabled));
    can.set_enabled(true).await.unwrap();
    assert_eq!(can.unit_file_state().await, Ok(UnitFileState::Enabled));
    can.set_enabled(false).await.unwrap();
    assert_eq!(can.unit_file_state().await, Ok(UnitFileState::Disabled));
    let cannot = setup.runtime("cannot");
    assert_eq!(cannot.unit_file_state().await, Ok(UnitFileState::Static));
    assert!(refused(cannot.set_enabled(true).await).contains("[Install]"));
}

#[tokio::test]
async fn a_log_is_followed_to_its_end_and_read_again_from_any_place() {
    let setup = setup!();
    setup.script("talk.sh", "for i in 1 2 3 4 5 6 7 8; do echo line $i; echo again $i; sleep 0.1; done");
    setup.unit("talk", &format!("ExecStart={}\n", setup.path("talk.sh")));
    let unit = setup.runtime("talk");
    unit.start(&launch()).await.unwrap();
    let instance = present(&unit).await;
    let mut whole = Kept::default();
    let follow = unit.follow(&instance.id, FramePosition::default(), &mut whole, CancellationToken::new());
    let end = tokio::time::timeout(Duration::from_secs(20), follow).await;
    assert_eq!(end, Ok(Ok(FollowEnd::Complete)));
    assert!(whole.text().contains("line 1\nagain 1\nline 2\n") && whole.text().contains("again 8\n"));
    assert!(whole.frames.is_sorted_by_key(|(time, _)| *time));
    for place in whole.places() {
        let mut rest = Kept::default();
        let end = unit.follow(&instance.id, place.1, &mut rest, CancellationToken::new()).await;
        assert_eq!(end, Ok(FollowEnd::Complete));
        assert_eq!(rest.frames, whole.frames[place.0..], "behind {:?}", place.1);
    }
}

#[tokio::test]
async fn following_ends_at_once_when_it_is_stopped() {
    let setup = setup!();
    setup.unit("plain", "ExecStart=/bin/sleep 60\n");
    let unit = setup.runtime("plain");
    unit.start(&launch()).await.unwrap();
    let instance = present(&unit).await;
    let stop = CancellationToken::new();
    tokio::spawn({
        let stop = stop.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            stop.cancel();
        }
    });
    let begun = Instant::now();
    let end = unit.follow(&instance.id, FramePosition::default(), &mut Kept::default(), stop).await;
    assert_eq!(end, Ok(FollowEnd::Broken));
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_bus_that_ends_is_away_and_one_that_comes_back_is_used_again() {
    let mut setup = setup!();
    setup.unit("plain", "ExecStart=/bin/sleep 60\n");
    let unit = setup.runtime("plain");
    unit.start(&launch()).await.unwrap();
    let (hints, mut told) = mpsc::channel(8);
    let stop = CancellationToken::new();
    let watcher = tokio::spawn({
        let (unit, stop) = (unit.clone(), stop.clone());
        async move { unit.watch(hints, stop).await }
    });
    assert_eq!(told.recv().await, Some(Hint::LookAgain));
    setup.end_bus();
    let away = async {
        loop {
            if let Some(Hint::Away(reason)) = told.recv().await {
                return reason;
            }
        }
    };
    let reason = tokio::time::timeout(Duration::from_secs(5), away).await.unwrap();
    assert!(
        matches!(reason, UnreachableReason::NoSocket { .. } | UnreachableReason::Refused { .. }),
        "{reason:?}"
    );
    assert!(matches!(unit.look().await, Err(RuntimeError::Away(_))));
    assert!(matches!(unit.start(&launch()).await, Err(RuntimeError::Away(_))));
    setup.begin_bus().await;
    let back = async { while told.recv().await != Some(Hint::LookAgain) {} };
    tokio::time::timeout(Duration::from_secs(10), back).await.unwrap();
    let look = unit.look().await.unwrap();
    assert!(matches!(look, Look::Present(_)), "{look:?}");
    stop.cancel();
    watcher.await.unwrap();
}

#[tokio::test]
async fn a_manager_that_leaves_the_bus_is_away_though_the_bus_is_there() {
    let mut setup = setup!();
    setup.unit("plain", "ExecStart=/bin/sleep 60\n");
    let unit = setup.runtime("plain");
    let (hints, mut told) = mpsc::channel(8);
    let stop = CancellationToken::new();
    let watcher = tokio::spawn({
        let (unit, stop) = (unit.clone(), stop.clone());
        async move { unit.watch(hints, stop).await }
    });
    assert_eq!(told.recv().await, Some(Hint::LookAgain));
    setup.end_manager();
    let away = async { while !matches!(told.recv().await, Some(Hint::Away(_))) {} };
    tokio::time::timeout(Duration::from_secs(5), away).await.unwrap();
    assert!(matches!(unit.look().await, Err(RuntimeError::Away(UnreachableReason::Refused { .. }))));
    stop.cancel();
    watcher.await.unwrap();
}
