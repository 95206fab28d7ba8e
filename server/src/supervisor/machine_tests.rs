//! The rules, one sentence each; then what must hold whatever happens.

use super::machine::{Effect, Keep, Limits, Machine, Memory, Observation, Recalled, Timer};
use crate::runtime::{Activity, Ended, Instance, InstanceId, Look, NOT_ALLOWED, RuntimeError, StopSignal};
use crate::vllm::probe::{Probe, Served};
use app::model::{
    Cause, Diagnosis, Facts, FailureKind, Phase, PortHolder, Release, State, StoppedNote, Timestamp,
    UnreachableReason, Verb, Wish,
};
use proptest::prelude::*;

const T0: i64 = 1_795_348_800_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(T0 + ms)
}

fn instance(start: i64, activity: Activity) -> Box<Instance> {
    Box::new(Instance {
        id: InstanceId { id: "ab".into(), started_ns: (T0 + start) * 1_000_000 },
        activity,
        api_url: None,
        image: None,
        container: None,
        log_from_ns: 0,
        pids: Vec::new(),
        remnants: Vec::new(),
    })
}

/// A service that is not kept running.
fn new(wish: Wish) -> Machine {
    Machine::new(Limits::default(), wish, Keep::default(), Memory::default())
}

fn id(start: i64) -> InstanceId {
    InstanceId { id: "ab".into(), started_ns: (T0 + start) * 1_000_000 }
}

fn diagnosis(cause: Cause) -> Diagnosis {
    Diagnosis { cause, evidence: Vec::new(), facts: Facts::default(), remedies: Vec::new() }
}

fn looked(look: Look) -> Observation {
    Observation::Looked(look, Recalled::default())
}

fn up(start: i64) -> Observation {
    looked(Look::Present(instance(start, Activity::Running)))
}

fn ended(start: i64, code: i64, asked_outside: bool) -> Observation {
    looked(Look::Present(instance(
        start,
        Activity::Ended(Ended { code, oom: false, asked_outside, perhaps_asked: false, at: at(start + 50) }),
    )))
}

fn ready() -> Observation {
    Observation::Probed(Probe::Ready(Some(Served {
        models: vec!["lydia".into()],
        max_model_len: Some(512),
        ..Served::default()
    })))
}

fn word(machine: &Machine) -> &'static str {
    match machine.state() {
        State::Stopped { .. } => "stopped",
        State::Starting { .. } => "starting",
        State::Running { .. } => "running",
        State::Unresponsive { .. } => "unresponsive",
        State::Stopping { .. } => "stopping",
        State::Failed { .. } => "failed",
        State::Unreachable { .. } => "unreachable",
    }
}

fn failure(machine: &Machine) -> FailureKind {
    match machine.state() {
        State::Failed { failure } => failure.kind,
        other => panic!("not failed but {other:?}"),
    }
}

/// A machine that runs and is ready.
fn running() -> Machine {
    let mut m = new(Wish::Stopped);
    m.next(looked(Look::Absent), at(0));
    m.next(Observation::Command(Verb::Start), at(1));
    m.next(Observation::Launched(Ok(())), at(2));
    m.next(up(2), at(3));
    m.next(ready(), at(100));
    assert_eq!(word(&m), "running");
    m
}

#[test]
fn a_start_goes_from_nothing_over_starting_to_running_and_runs_from_the_moment_it_was_ready() {
    let mut m = new(Wish::Stopped);
    assert_eq!(word(&m), "unreachable", "nobody has asked yet");
    m.next(looked(Look::Absent), at(0));
    assert_eq!(m.state(), State::Stopped { since: None, note: Some(StoppedNote::NotCreated) });
    assert_eq!(m.next(Observation::Command(Verb::Start), at(1)), [Effect::Launch]);
    assert!(matches!(m.state(), State::Starting { phase: Phase::Create, .. }));
    assert_eq!(m.next(Observation::Launched(Ok(())), at(2)), [Effect::Look]);
    let effects = m.next(up(2), at(3));
    assert!(
        matches!(effects[..], [Effect::Follow(_), Effect::Probe, Effect::Arm(Timer::Silence, 300_000)]),
        "{effects:?}"
    );
    m.next(Observation::Phase(Phase::Load, None), at(4));
    assert!(matches!(m.state(), State::Starting { phase: Phase::Load, .. }));
    m.next(Observation::Probed(Probe::Silent), at(5));
    assert_eq!(word(&m), "starting", "up is not running");
    m.next(ready(), at(100));
    assert_eq!(m.state(), State::Running { since: at(100) });
    assert_eq!(m.wish(), Wish::Running);
}

#[test]
fn a_second_start_starts_nothing_twice() {
    let mut m = new(Wish::Stopped);
    m.next(looked(Look::Absent), at(0));
    assert_eq!(m.next(Observation::Command(Verb::Start), at(1)), [Effect::Launch]);
    assert_eq!(m.next(Observation::Command(Verb::Start), at(1)), []);
    m.next(Observation::Launched(Ok(())), at(2));
    assert_eq!(m.next(Observation::Command(Verb::Start), at(2)), []);
    m.next(up(2), at(3));
    assert_eq!(m.next(Observation::Command(Verb::Start), at(4)), []);
}

#[test]
fn a_stop_asks_twice_and_then_kills() {
    let mut m = running();
    let effects = m.next(Observation::Command(Verb::Stop), at(200));
    assert!(effects.iter().any(|e| matches!(e, Effect::Signal(_, StopSignal::Terminate))));
    assert!(
        effects.contains(&Effect::Arm(Timer::TermAgain, 3_000))
            && effects.contains(&Effect::Arm(Timer::Kill, 30_000))
    );
    assert_eq!(m.state(), State::Stopping { since: at(200) });
    assert_eq!(m.next(Observation::Command(Verb::Stop), at(201)), [], "a second Stop does not begin anew");
    assert!(matches!(
        m.next(Observation::Timer(Timer::TermAgain), at(3_200))[..],
        [Effect::Signal(_, StopSignal::Terminate)]
    ));
    assert!(matches!(
        m.next(Observation::Timer(Timer::Kill), at(30_200))[..],
        [Effect::Signal(_, StopSignal::Kill), Effect::Arm(Timer::GiveUp, _)]
    ));
    m.next(ended(2, 137, false), at(30_300));
    assert_eq!(word(&m), "stopped", "we asked: whatever the exit code, no alarm");
}

#[test]
fn what_will_not_stop_is_said_and_can_be_stopped_again() {
    let mut m = running();
    m.next(Observation::Command(Verb::Stop), at(200));
    m.next(Observation::Timer(Timer::Kill), at(30_200));
    m.next(Observation::Timer(Timer::GiveUp), at(40_200));
    assert_eq!(failure(&m), FailureKind::WontStop);
    let effects = m.next(Observation::Command(Verb::Stop), at(50_000));
    assert!(effects.iter().any(|e| matches!(e, Effect::Signal(..))), "{effects:?}");
    assert_eq!(word(&m), "stopping");
}

#[test]
fn a_stop_that_is_refused_is_said_at_once_and_can_be_asked_for_again() {
    let mut m = running();
    m.next(Observation::Command(Verb::Stop), at(200));
    let refused = FailureKind::Refused { action: "stop".into(), detail: NOT_ALLOWED.into() };
    m.next(
        Observation::Signalled(StopSignal::Terminate, Err(RuntimeError::Refused(refused.clone()))),
        at(210),
    );
    assert_eq!(failure(&m), refused);
    assert_eq!(m.next(Observation::Timer(Timer::Kill), at(30_200)), [], "nothing is tried behind that");
    assert!(m.next(Observation::Command(Verb::Start), at(40_000)).contains(&Effect::Probe));
    assert_eq!(word(&m), "running", "wanted after all");
    let effects = m.next(Observation::Command(Verb::Stop), at(50_000));
    assert!(effects.iter().any(|e| matches!(e, Effect::Signal(..))), "{effects:?}");
    assert_eq!(word(&m), "stopping");
}

#[test]
fn only_rules_end_a_stop_at_once_and_an_error_may_pass() {
    let table = [
        (NOT_ALLOWED, true),
        ("access denied: this user may not do that, and no polkit rule allows it (no)", true),
        ("tried to kill container, but did not receive an exit event", false),
        ("PID 7: Operation not permitted", false),
        ("", false),
    ];
    for (detail, is_final) in table {
        for verb in [Verb::Stop, Verb::Restart] {
            let mut m = running();
            m.next(Observation::Command(verb), at(200));
            m.next(Observation::Timer(Timer::Kill), at(30_200));
            let kind = FailureKind::Refused { action: "stop".into(), detail: detail.into() };
            m.next(Observation::Signalled(StopSignal::Kill, Err(RuntimeError::Refused(kind))), at(40_000));
            assert_eq!(m.is_stopping(), !is_final, "{detail}");
            assert_eq!(word(&m), if is_final { "failed" } else { "stopping" }, "{detail}");
            if is_final {
                continue;
            }
            // It goes on: it ends moments later, as it was asked to, or is given up.
            let mut given_up = m.clone();
            given_up.next(Observation::Timer(Timer::GiveUp), at(40_200));
            assert_eq!(failure(&given_up), FailureKind::WontStop, "{detail}");
            let effects = m.next(ended(2, 137, true), at(41_000));
            let again = verb == Verb::Restart;
            assert_eq!(effects.contains(&Effect::Launch), again, "{detail}");
            assert_eq!(word(&m), if again { "starting" } else { "stopped" }, "{detail}");
            assert_eq!(m.memory().by_hand, !again, "{detail}");
        }
    }
}

#[test]
fn an_end_in_order_is_somebody_elses_stop_only_where_it_was_watched() {
    for code in [0, 143] {
        let end = || {
            let end = Ended { code, oom: false, asked_outside: false, perhaps_asked: true, at: at(50) };
            looked(Look::Present(instance(0, Activity::Ended(end))))
        };
        let mut watched = kept(&[], false);
        watched.next(up(0), at(1));
        let effects = watched.next(end(), at(60));
        assert!(!effects.contains(&Effect::Launch), "{effects:?}");
        let note = Some(StoppedNote::StoppedOutside);
        assert_eq!(watched.state(), State::Stopped { since: Some(at(50)), note });
        assert!(watched.memory().by_hand);

        // The machine was restarted, or the engine: nobody saw who asked.
        let mut later = kept(&[], false);
        let mut back = kept(&[], false);
        back.next(up(0), at(1));
        back.next(Observation::Away(UnreachableReason::NotAskedYet), at(40));
        for m in [&mut later, &mut back] {
            let effects = m.next(end(), at(5_000));
            assert!(effects.contains(&Effect::Launch) && !m.memory().by_hand, "code {code}: {effects:?}");
        }
        let mut alone = new(Wish::Stopped);
        alone.next(end(), at(5_000));
        let note = Some(StoppedNote::EndedWhileAway { code });
        assert_eq!(alone.state(), State::Stopped { since: Some(at(50)), note });
    }
}

#[test]
fn who_asked_decides_and_not_the_exit_code() {
    for code in [0, 1, 130, 137, 143] {
        let mut m = running();
        m.next(Observation::Command(Verb::Stop), at(200));
        m.next(ended(2, code, false), at(300));
        assert_eq!(word(&m), "stopped", "asked here, code {code}");

        let mut m = running();
        m.next(ended(2, code, true), at(300));
        assert_eq!(
            m.state(),
            State::Stopped { since: Some(at(52)), note: Some(StoppedNote::StoppedOutside) },
            "asked outside, code {code}"
        );
        assert_eq!(m.wish(), Wish::Stopped);

        let mut m = running();
        m.next(ended(2, code, false), at(300));
        assert_eq!(word(&m), "failed", "nobody asked, code {code}");
    }
    let mut m = running();
    m.next(ended(2, 0, false), at(300));
    assert_eq!(failure(&m), FailureKind::Exited { code: 0, was_ready: true }, "exit code 0 can be a crash");
    let mut m = running();
    m.next(ended(2, 137, false), at(300));
    assert_eq!(failure(&m), FailureKind::Killed { signal: 9 });
}

#[test]
fn memory_is_named_when_the_kernel_took_it() {
    let mut m = running();
    let end = Ended { code: 137, oom: true, asked_outside: false, perhaps_asked: false, at: at(60) };
    m.next(looked(Look::Present(instance(2, Activity::Ended(end)))), at(70));
    assert_eq!(failure(&m), FailureKind::OutOfMemory);
}

#[test]
fn the_last_wish_wins() {
    let mut m = running();
    m.next(Observation::Command(Verb::Stop), at(200));
    assert_eq!(m.next(Observation::Command(Verb::Start), at(201)), [], "start afterwards");
    assert_eq!(word(&m), "stopping");
    assert!(m.next(ended(2, 0, false), at(300)).contains(&Effect::Launch));
    assert_eq!(word(&m), "starting");

    let mut m = running();
    m.next(Observation::Command(Verb::Restart), at(200));
    m.next(Observation::Command(Verb::Stop), at(201));
    assert!(!m.next(ended(2, 0, false), at(300)).contains(&Effect::Launch));
    assert_eq!(word(&m), "stopped");
}

#[test]
fn a_stop_during_the_launch_ends_what_the_launch_brings() {
    let mut m = new(Wish::Stopped);
    m.next(looked(Look::Absent), at(0));
    m.next(Observation::Command(Verb::Start), at(1));
    assert_eq!(m.next(Observation::Command(Verb::Stop), at(2)), []);
    assert_eq!(word(&m), "stopping");
    m.next(Observation::Launched(Ok(())), at(3));
    let effects = m.next(up(3), at(4));
    assert!(effects.iter().any(|e| matches!(e, Effect::Signal(_, StopSignal::Terminate))), "{effects:?}");
    m.next(ended(3, 143, false), at(60));
    assert_eq!(word(&m), "stopped");
}

#[test]
fn a_refused_launch_is_a_failure_with_its_reason_and_is_not_repeated() {
    let mut m = new(Wish::Stopped);
    m.next(looked(Look::Absent), at(0));
    m.next(Observation::Command(Verb::Start), at(1));
    let missing = FailureKind::ImageMissing { image: "vllm/vllm-openai:latest".into() };
    let effects = m.next(Observation::Launched(Err(RuntimeError::Refused(missing.clone()))), at(2));
    assert!(!effects.contains(&Effect::Launch));
    m.next(looked(Look::Absent), at(3));
    assert_eq!(failure(&m), missing);
    assert_eq!(m.wish(), Wish::Stopped);
    assert_eq!(
        m.next(Observation::Command(Verb::Start), at(4)),
        [Effect::Launch],
        "Start is always possible by hand"
    );
}

#[test]
fn a_crash_right_at_the_start_is_a_failure_of_that_start() {
    let mut m = new(Wish::Stopped);
    m.next(looked(Look::Absent), at(0));
    m.next(Observation::Command(Verb::Start), at(1));
    m.next(Observation::Launched(Ok(())), at(2));
    let effects = m.next(ended(2, 2, false), at(60));
    assert!(matches!(effects[0], Effect::Follow(_)), "its log is read: {effects:?}");
    assert_eq!(failure(&m), FailureKind::Exited { code: 2, was_ready: false });
    let other = InstanceId { id: "another".into(), started_ns: 1 };
    m.next(Observation::Diagnosed(Some(other), Box::new(diagnosis(Cause::Killed))), at(65));
    assert!(matches!(m.state(), State::Failed { failure } if failure.diagnosis.is_none()), "a late word");
    m.next(Observation::Diagnosed(Some(id(2)), Box::new(diagnosis(Cause::UnknownArgument))), at(70));
    assert!(
        matches!(m.state(), State::Failed { failure } if failure.diagnosis == Some(diagnosis(Cause::UnknownArgument)))
    );
}

#[test]
fn a_stop_is_over_when_the_gpu_memory_is_back() {
    let mut m = running();
    m.next(Observation::GpuMemory(Some(8 << 30)), at(150));
    m.next(Observation::Command(Verb::Stop), at(200));
    let effects = m.next(ended(2, 0, false), at(300));
    assert!(effects.contains(&Effect::AwaitRelease));
    assert_eq!(m.state(), State::Stopping { since: at(200) }, "gone, but its memory is not seen to be back");
    assert!(
        matches!(m.outcome(), Some(State::Stopped { .. })),
        "a dashboard that comes now knows that it was asked"
    );
    m.next(Observation::Command(Verb::Stop), at(310));
    m.next(Observation::GpuMemory(Some(0)), at(320));
    let back = Release::Back { freed_bytes: 8 << 30 };
    assert_eq!(m.next(Observation::Released(Some(back.clone())), at(330)), []);
    assert_eq!(word(&m), "stopped");
    assert_eq!(m.release(), Some(&back));
}

#[test]
fn memory_that_cannot_be_read_is_not_back() {
    let mut m = running();
    m.next(Observation::GpuMemory(Some(8 << 30)), at(150));
    m.next(Observation::Command(Verb::Stop), at(200));
    m.next(ended(2, 0, false), at(300));
    let held = Release::Held { freed_bytes: 0, by: Vec::new() };
    m.next(Observation::Released(Some(held.clone())), at(400));
    m.next(Observation::GpuMemory(None), at(500));
    assert_eq!(m.release(), Some(&held), "the driver is silent");
    m.next(Observation::GpuMemory(Some(0)), at(600));
    assert!(matches!(m.release(), Some(Release::Back { .. })));
}

#[test]
fn a_restart_waits_for_the_memory_of_the_run_before() {
    let mut m = running();
    m.next(Observation::GpuMemory(Some(8 << 30)), at(150));
    m.next(Observation::Command(Verb::Restart), at(200));
    let effects = m.next(ended(2, 0, false), at(300));
    assert!(effects.contains(&Effect::AwaitRelease) && !effects.contains(&Effect::Launch));
    assert_eq!(m.next(Observation::Released(None), at(400)), [Effect::Launch]);
    assert_eq!(word(&m), "starting");
}

#[test]
fn a_crash_does_not_wait_for_memory() {
    let mut m = running();
    m.next(Observation::GpuMemory(Some(8 << 30)), at(150));
    let effects = m.next(ended(2, 1, false), at(300));
    assert!(!effects.contains(&Effect::AwaitRelease));
    assert_eq!(word(&m), "failed");
}

#[test]
fn what_ended_while_nobody_watched_is_judged_by_its_log() {
    let mut m = new(Wish::Running);
    m.next(ended(2, 0, false), at(60));
    assert!(m.is_unjudged());
    m.next(Observation::Diagnosed(Some(id(2)), Box::new(diagnosis(Cause::EngineDied))), at(70));
    assert_eq!(failure(&m), FailureKind::Exited { code: 0, was_ready: false });
    assert!(!m.is_unjudged());
}

#[test]
fn a_start_that_says_nothing_is_called_silent_until_it_speaks_and_goes_on_all_the_same() {
    let mut m = Machine::new(
        Limits { silence: 1_000, ..Limits::default() },
        Wish::Stopped,
        Keep::default(),
        Memory::default(),
    );
    m.next(looked(Look::Absent), at(0));
    m.next(Observation::Command(Verb::Start), at(1));
    m.next(Observation::Launched(Ok(())), at(2));
    assert!(m.next(up(2), at(3)).contains(&Effect::Arm(Timer::Silence, 1_000)));
    assert_eq!(m.next(Observation::Timer(Timer::Silence), at(1_003)), [Effect::Listen]);
    let again = m.next(Observation::Heard(id(2), at(600), "half way".into()), at(1_003));
    assert_eq!(again, [Effect::Arm(Timer::Silence, 597)], "it spoke meanwhile");
    assert_eq!(m.silence(), None);
    let effects = m.next(Observation::Heard(id(2), at(600), "half way".into()), at(1_700));
    assert_eq!(effects, [Effect::Arm(Timer::Silence, 2_000)], "nothing is killed");
    assert_eq!(m.silence().map(|s| (s.since, s.last.as_str())), Some((at(600), "half way")));
    assert_eq!(word(&m), "starting");
    m.next(Observation::Heard(id(2), at(3_600), "more".into()), at(3_700));
    assert_eq!(m.silence(), None);
    m.next(ready(), at(4_000));
    assert_eq!(m.next(Observation::Timer(Timer::Silence), at(9_000)), []);
}

#[test]
fn silence_counts_only_after_several_probes_and_ends_with_one_answer() {
    let mut m = running();
    m.next(Observation::Probed(Probe::Silent), at(200));
    m.next(Observation::Probed(Probe::Unwell(503)), at(300));
    assert_eq!(word(&m), "running", "hysteresis");
    m.next(Observation::Probed(Probe::Silent), at(400));
    assert_eq!(m.state(), State::Unresponsive { since: at(200) });
    m.next(ready(), at(500));
    assert_eq!(m.state(), State::Running { since: at(100) }, "still the same run");
}

#[test]
fn an_engine_that_is_away_hides_the_state_and_brings_it_back() {
    let mut m = running();
    let reason = UnreachableReason::NoSocket { address: "unix:///x".into() };
    m.next(Observation::Away(reason.clone()), at(200));
    assert_eq!(m.state(), State::Unreachable { reason });
    assert_eq!(m.next(Observation::Command(Verb::Stop), at(201)), [], "nobody could carry it out");
    let effects = m.next(up(2), at(300));
    assert_eq!(effects, [Effect::Probe], "the same run: its log is still followed");
    assert_eq!(m.state(), State::Running { since: at(100) });
}

#[test]
fn a_stop_goes_on_when_the_engine_comes_back() {
    let mut m = running();
    m.next(Observation::Command(Verb::Stop), at(200));
    m.next(Observation::Away(UnreachableReason::NotAskedYet), at(300));
    m.next(Observation::Timer(Timer::Kill), at(30_200));
    let effects = m.next(up(2), at(60_000));
    assert!(effects.iter().any(|e| matches!(e, Effect::Signal(_, StopSignal::Terminate))), "{effects:?}");
}

#[test]
fn a_failed_question_is_asked_again_until_it_is_answered() {
    let mut m = running();
    let effects = m.next(
        Observation::Away(UnreachableReason::Timeout { address: "unix:///x".into(), seconds: 10 }),
        at(200),
    );
    assert!(effects.contains(&Effect::Arm(Timer::Look, 2_000)));
    assert_eq!(m.next(Observation::Timer(Timer::Look), at(2_200)), [Effect::Look]);
    m.next(up(2), at(2_300));
    assert_eq!(word(&m), "running");
    assert_eq!(m.next(Observation::Timer(Timer::Look), at(2_400)), [], "a late timer is no question");
}

#[test]
fn a_stop_never_gives_up_while_the_engine_is_away() {
    let mut m = running();
    m.next(Observation::Command(Verb::Stop), at(200));
    m.next(Observation::Away(UnreachableReason::NotAskedYet), at(300));
    for timer in [Timer::TermAgain, Timer::Kill, Timer::GiveUp] {
        assert_eq!(m.next(Observation::Timer(timer), at(41_000)), []);
    }
    m.next(ended(2, 137, false), at(60_000));
    assert_eq!(word(&m), "stopped", "it was asked for");
}

#[test]
fn an_end_while_the_engine_was_away_is_told_as_such() {
    let mut m = running();
    m.next(Observation::Away(UnreachableReason::NotAskedYet), at(200));
    m.next(ended(2, 0, false), at(300));
    assert_eq!(
        m.state(),
        State::Stopped { since: Some(at(52)), note: Some(StoppedNote::EndedWhileAway { code: 0 }) }
    );
    // The engine was away when the dashboard came: what was recorded counts.
    let mut m = new(Wish::Stopped);
    m.next(Observation::Away(UnreachableReason::NotAskedYet), at(0));
    m.next(ended(2, 143, false), at(300));
    assert_eq!(word(&m), "stopped");
}

#[test]
fn a_launch_that_brought_nothing_does_not_start_for_ever() {
    let mut m = new(Wish::Stopped);
    m.next(looked(Look::Absent), at(0));
    m.next(Observation::Command(Verb::Start), at(1));
    m.next(looked(Look::Absent), at(2));
    assert_eq!(word(&m), "starting", "the launch is still out");
    m.next(Observation::Launched(Ok(())), at(3));
    m.next(looked(Look::Absent), at(4));
    assert_eq!(word(&m), "failed");
}

#[test]
fn a_stop_goes_on_under_a_new_dashboard() {
    let mut m = new(Wish::Stopped);
    let look = Look::Present(instance(2, Activity::Running));
    let effects =
        m.next(Observation::Looked(look, Recalled { stopping: true, ..Recalled::default() }), at(500));
    assert!(effects.iter().any(|e| matches!(e, Effect::Signal(_, StopSignal::Terminate))), "{effects:?}");
    assert_eq!((word(&m), m.wish()), ("stopping", Wish::Stopped));
}

#[test]
fn a_new_dashboard_finds_a_running_service_as_it_was() {
    let mut m = new(Wish::Running);
    let look = Look::Present(instance(2, Activity::Running));
    m.next(
        Observation::Looked(look, Recalled { ready_since: Some(at(100)), ..Recalled::default() }),
        at(5_000),
    );
    assert_eq!(m.state(), State::Running { since: at(100) });
}

#[test]
fn a_new_dashboard_tells_an_end_that_nobody_watched() {
    let mut m = new(Wish::Running);
    m.next(ended(2, 0, false), at(5_000));
    assert_eq!(
        m.state(),
        State::Stopped { since: Some(at(52)), note: Some(StoppedNote::EndedWhileAway { code: 0 }) }
    );
    let mut m = new(Wish::Running);
    m.next(ended(2, 1, false), at(5_000));
    assert_eq!(failure(&m), FailureKind::Exited { code: 1, was_ready: false });
    // What an earlier dashboard saw itself is not judged again.
    let mut m = new(Wish::Stopped);
    let look = Look::Present(instance(
        2,
        Activity::Ended(Ended {
            code: 1,
            oom: false,
            asked_outside: false,
            perhaps_asked: false,
            at: at(52),
        }),
    ));
    m.next(
        Observation::Looked(
            look,
            Recalled { known: Some(State::Stopped { since: None, note: None }), ..Recalled::default() },
        ),
        at(5_000),
    );
    assert_eq!(word(&m), "stopped");
}

#[test]
fn a_removed_container_is_stopped_not_failed() {
    let mut m = running();
    m.next(looked(Look::Absent), at(300));
    assert_eq!(m.state(), State::Stopped { since: Some(at(300)), note: Some(StoppedNote::Removed) });
}

#[test]
fn a_start_from_outside_is_a_wish_too() {
    let mut m = running();
    m.next(ended(2, 0, true), at(300));
    m.next(up(400), at(401));
    assert_eq!((word(&m), m.wish()), ("starting", Wish::Running));
}

#[test]
fn somebody_else_on_the_port_is_named_while_we_wait() {
    let mut m = new(Wish::Stopped);
    m.next(up(0), at(1));
    let ollama = PortHolder::Ollama { version: "0.12.3".into() };
    m.next(Observation::Probed(Probe::Other(ollama.clone())), at(2));
    assert_eq!((word(&m), m.port_taken()), ("starting", Some(&ollama)));
    m.next(ready(), at(3));
    assert_eq!(m.port_taken(), None);
}

/// A service that is kept running, and has just ended its first run in 100 ms.
fn kept(failures: &[i64], by_hand: bool) -> Machine {
    let keep = Keep { on: true, ..Keep::default() };
    let memory = Memory { failures: failures.iter().map(|ms| at(*ms)).collect(), unready: 0, by_hand };
    Machine::new(Limits::default(), Wish::Running, keep, memory)
}

fn armed(effects: &[Effect]) -> Option<u64> {
    effects.iter().find_map(|e| match e {
        Effect::Arm(Timer::Retry, ms) => Some(*ms),
        _ => None,
    })
}

#[test]
fn what_is_kept_running_is_started_again_later_each_time_until_the_budget_is_spent() {
    let mut m = kept(&[], false);
    m.next(up(0), at(1));
    let mut waits = Vec::new();
    for n in 0..3 {
        let start = n * 20_000;
        let effects = m.next(ended(start, 1, false), at(start + 60));
        assert_eq!(word(&m), "failed");
        waits.push(armed(&effects));
        if armed(&effects).is_some() {
            let restarts = m.restarts(at(start + 60)).expect("counted");
            assert_eq!((restarts.failures, restarts.budget), (u32::try_from(n).expect("small") + 1, 3));
            assert!(restarts.next.is_some() && m.wish() == Wish::Running);
            let effects = m.next(Observation::Timer(Timer::Retry), at(start + 10_000));
            assert!(effects.contains(&Effect::Launch));
            m.next(Observation::Launched(Ok(())), at(start + 10_001));
            m.next(up(start + 20_000), at(start + 20_001));
        }
    }
    assert_eq!(waits, [Some(2_000), Some(4_000), None]);
    let over = m.restarts(at(50_000)).expect("counted");
    assert_eq!((over.failures, over.next, over.resets), (3, None, Some(at(600_060))));
    assert_eq!(m.wish(), Wish::Stopped);
    // By hand it starts at any time, and begins to count anew.
    let effects = m.next(Observation::Command(Verb::Start), at(60_000));
    assert!(effects.contains(&Effect::Launch) && m.restarts(at(60_000)).is_none());
}

#[test]
fn starts_that_take_longer_than_the_window_to_fail_do_not_loop_for_ever() {
    let mut m = kept(&[], false);
    let mut tries = 0;
    for n in 0..10 {
        let start = n * 2_000_000;
        m.next(up(start), at(start + 1));
        let effects = m.next(ended(start, 1, false), at(start + 900_000));
        tries += 1;
        if armed(&effects).is_none() {
            break;
        }
        m.next(Observation::Timer(Timer::Retry), at(start + 910_000));
        m.next(Observation::Launched(Ok(())), at(start + 910_001));
    }
    assert_eq!(tries, 3);
    assert_eq!(m.restarts(at(5_000_000)).map(|r| (r.failures, r.next)), Some((3, None)));
}

#[test]
fn a_launch_that_the_runtime_did_not_live_to_see_is_made_when_it_is_back() {
    let mut m = new(Wish::Stopped);
    m.next(looked(Look::Absent), at(0));
    m.next(Observation::Command(Verb::Start), at(1));
    let away = || Err(RuntimeError::Away(UnreachableReason::NotAskedYet));
    m.next(Observation::Launched(away()), at(2));
    assert_eq!(word(&m), "unreachable");
    m.next(looked(Look::Absent), at(3_000));
    let effects = m.next(Observation::Timer(Timer::Retry), at(3_001));
    assert!(effects.contains(&Effect::Launch), "{effects:?}");
}

#[test]
fn what_is_not_kept_running_stays_as_it_fell() {
    let mut m = running();
    let effects = m.next(ended(2, 1, false), at(300));
    assert_eq!((armed(&effects), word(&m), m.restarts(at(300))), (None, "failed", None));
}

#[test]
fn a_stop_takes_back_the_next_try() {
    let mut m = kept(&[], false);
    m.next(up(0), at(1));
    assert!(armed(&m.next(ended(0, 1, false), at(60))).is_some());
    let effects = m.next(Observation::Command(Verb::Stop), at(70));
    assert!(effects.contains(&Effect::Disarm(Timer::Retry)));
    assert_eq!((word(&m), m.wish(), m.memory().by_hand), ("stopped", Wish::Stopped, true));
    assert_eq!(m.next(Observation::Timer(Timer::Retry), at(2_100)), []);
}

#[test]
fn a_new_dashboard_starts_what_is_kept_running_unless_it_was_stopped_by_hand() {
    for (asked_outside, by_hand, starts) in [(false, false, true), (true, false, false), (false, true, false)]
    {
        let mut m = kept(&[], by_hand);
        let effects = m.next(ended(0, 0, asked_outside), at(5_000));
        assert_eq!(effects.contains(&Effect::Launch), starts, "{asked_outside} {by_hand}");
        let mut m = kept(&[], by_hand);
        let effects = m.next(looked(Look::Absent), at(5_000));
        assert_eq!(effects.contains(&Effect::Launch), !by_hand);
    }
}

#[test]
fn a_new_dashboard_does_not_give_a_new_budget() {
    let mut m = kept(&[-300, -200, -100], false);
    assert!(!m.next(ended(-400, 1, false), at(0)).contains(&Effect::Launch));
    // When the window has gone by, it is tried again.
    let mut m = kept(&[-700_000, -650_000, -610_000], false);
    assert!(m.next(ended(-700_000, 0, false), at(0)).contains(&Effect::Launch));
}

#[test]
fn a_clock_that_was_set_back_does_not_hold_failures_against_it_until_their_time_comes() {
    const HOUR: i64 = 3_600_000;
    let mut m = kept(&[3 * HOUR, 3 * HOUR + 1, 3 * HOUR + 2], false);
    assert!(m.restarts(at(0)).is_none());
    assert!(m.next(ended(-400, 1, false), at(0)).contains(&Effect::Launch));
    // And one that ran while the clock was ahead has run for no time, not for less.
    m.next(up(2 * HOUR), at(1));
    assert_eq!(word(&m), "starting");
    let effects = m.next(ended(2 * HOUR, 1, false), at(2));
    assert_eq!(armed(&effects), Some(4_000), "only what failed now counts");
}

#[test]
fn an_engine_that_goes_and_comes_back_without_it_is_no_reason_to_stay_down() {
    let mut m = kept(&[], false);
    m.next(up(0), at(1));
    m.next(ready(), at(2));
    m.next(Observation::Away(UnreachableReason::NotAskedYet), at(100));
    let effects = m.next(ended(0, 0, false), at(5_000));
    assert!(effects.contains(&Effect::Launch), "{effects:?}");
}

#[test]
fn two_do_not_restart_one_container() {
    let mut m = kept(&[], false);
    let with_policy = |activity| {
        let container = app::model::ContainerFacts {
            name: "v".into(),
            id: "ab".into(),
            adopted: true,
            auto_remove: false,
            restart_policy: "always".into(),
            image_id: None,
            model: None,
            project: None,
        };
        let mut instance = instance(0, activity);
        instance.container = Some(container);
        looked(Look::Present(instance))
    };
    m.next(with_policy(Activity::Running), at(1));
    let end = Ended { code: 1, oom: false, asked_outside: false, perhaps_asked: false, at: at(50) };
    let effects = m.next(with_policy(Activity::Ended(end)), at(60));
    assert_eq!((armed(&effects), m.restarts(at(60))), (None, None));
}

fn any_observation() -> impl Strategy<Value = Observation> {
    let code = prop_oneof![Just(0_i64), Just(1), Just(137), Just(143)];
    let start = 0_i64..4;
    prop_oneof![
        prop_oneof![Just(Verb::Start), Just(Verb::Stop), Just(Verb::Restart)].prop_map(Observation::Command),
        start.clone().prop_map(up),
        (start, code, any::<bool>()).prop_map(|(s, c, asked)| ended(s, c, asked)),
        Just(looked(Look::Absent)),
        Just(looked(Look::Present(Box::new(Instance {
            id: InstanceId { id: "ab".into(), started_ns: 0 },
            ..*instance(0, Activity::Created)
        })))),
        Just(Observation::Away(UnreachableReason::NotAskedYet)),
        Just(Observation::Launched(Ok(()))),
        Just(Observation::Launched(Err(RuntimeError::Refused(FailureKind::ModelNotSet)))),
        Just(ready()),
        Just(Observation::Probed(Probe::Silent)),
        prop_oneof![
            Just(Timer::TermAgain),
            Just(Timer::Kill),
            Just(Timer::GiveUp),
            Just(Timer::Probe),
            Just(Timer::Retry)
        ]
        .prop_map(Observation::Timer),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_state_says_no_more_than_was_seen(keep in any::<bool>(), steps in prop::collection::vec(any_observation(), 0..60)) {
        let keep = Keep { on: keep, ..Keep::default() };
        let mut m = Machine::new(Limits::default(), Wish::Stopped, keep, Memory::default());
        let mut launching = 0_i32;
        for (n, step) in steps.into_iter().enumerate() {
            if matches!(step, Observation::Launched(_)) {
                // A launch ends only if one began.
                if launching == 0 { continue; }
                launching -= 1;
            }
            let away = matches!(step, Observation::Away(_));
            let effects = m.next(step, at(i64::try_from(n).expect("small") * 10));
            launching += i32::try_from(effects.iter().filter(|e| **e == Effect::Launch).count()).expect("small");
            prop_assert!(launching <= 1, "two launches at once");
            let state = m.state();
            match &state {
                State::Running { .. } | State::Unresponsive { .. } => prop_assert!(m.is_up() && m.ready_since().is_some()),
                State::Unreachable { .. } => prop_assert!(m.is_away()),
                State::Stopped { .. } => prop_assert!(!m.is_up()),
                _ => {}
            }
            if away { prop_assert_eq!(word(&m), "unreachable"); }
            for effect in &effects {
                if let Effect::Signal(id, _) = effect {
                    prop_assert_eq!(Some(id), m.instance().map(|i| &i.id), "only what is there is signalled");
                }
            }
        }
    }
}
