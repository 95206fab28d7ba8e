//! Rules of what a unit's properties mean, each as a sentence.

use super::*;

fn facts() -> Facts {
    Facts {
        load: Load::There,
        active: Active::Inactive,
        invocation: "4cd0fbc42502 4dec944a478a5cac9a46".replace(' ', ""),
        main_pid: 0,
        main_start_us: 1_000_000,
        main_exit_us: 5_000_000,
        main_end: MainEnd::Exited(0),
        begun_us: 1_000_200,
        changed_us: 5_000_100,
        result: "success".into(),
        restarts_after_success: false,
        job: None,
    }
}

fn ended(facts: &Facts) -> Ended {
    match facts.activity(false) {
        Activity::Ended(ended) => ended,
        other => panic!("{other:?}"),
    }
}

fn map(entries: Vec<(&str, Value<'static>)>) -> Map {
    entries.into_iter().map(|(k, v)| (k.to_owned(), OwnedValue::try_from(v).unwrap())).collect()
}

#[test]
fn properties_are_read_by_their_names() {
    let path = zbus::zvariant::ObjectPath::try_from("/org/freedesktop/systemd1/job/7").unwrap();
    let unit = map(vec![
        ("LoadState", "loaded".into()),
        ("ActiveState", "failed".into()),
        ("SubState", "failed".into()),
        ("InvocationID", Value::from((0u8..16).collect::<Vec<u8>>())),
        ("InactiveExitTimestamp", 11u64.into()),
        ("StateChangeTimestamp", 12u64.into()),
        ("Job", Value::from((7u32, path))),
    ]);
    let service = map(vec![
        ("MainPID", 0u32.into()),
        ("ExecMainStartTimestamp", 13u64.into()),
        ("ExecMainExitTimestamp", 14u64.into()),
        ("ExecMainCode", 2i32.into()),
        ("ExecMainStatus", 9i32.into()),
        ("Result", "oom-kill".into()),
        ("Restart", "always".into()),
    ]);
    let read = Facts::read(&unit, &service);
    assert_eq!(read.invocation, "000102030405060708090a0b0c0d0e0f");
    assert_eq!((read.active, read.main_end), (Active::Failed, MainEnd::Killed(9)));
    assert_eq!(read.job.as_deref(), Some("/org/freedesktop/systemd1/job/7"));
    assert_eq!(
        ended(&read),
        Ended {
            code: 137,
            oom: true,
            asked_outside: false,
            perhaps_asked: false,
            at: Timestamp::from_nanos(14_000)
        }
    );
}

#[test]
fn nothing_known_is_nothing_there_to_be_told() {
    let read = Facts::read(&Map::new(), &Map::new());
    assert_eq!(read.id(), None);
}

#[test]
fn a_unit_that_was_never_started_is_created() {
    let never = Facts { invocation: String::new(), ..facts() };
    assert_eq!(never.activity(false), Activity::Created);
    assert_eq!(never.id(), None);
}

#[test]
fn one_start_has_one_name_before_and_after_its_main_process_runs() {
    let before = Facts { active: Active::Up, main_start_us: 0, ..facts() };
    let after = Facts { active: Active::Up, main_start_us: 1_700_000, ..facts() };
    assert_eq!(before.id(), after.id());
    assert_eq!(before.id().unwrap().started_ns, 1_000_200_000);
}

#[test]
fn exit_codes_count_signals_from_128() {
    assert_eq!(ended(&Facts { main_end: MainEnd::Exited(3), result: "exit-code".into(), ..facts() }).code, 3);
    assert_eq!(ended(&Facts { main_end: MainEnd::Killed(9), result: "signal".into(), ..facts() }).code, 137);
    assert_eq!(ended(&Facts { main_end: MainEnd::None, result: "timeout".into(), ..facts() }).code, -1);
}

#[test]
fn an_end_by_a_stop_signal_that_systemd_calls_success_was_asked_for() {
    assert!(ended(&Facts { main_end: MainEnd::Killed(15), ..facts() }).asked_outside);
    assert!(
        !ended(&Facts { main_end: MainEnd::Killed(9), result: "signal".into(), ..facts() }).asked_outside
    );
}

#[test]
fn an_exit_with_0_was_asked_for_when_a_stop_was_seen_or_it_would_have_been_restarted() {
    assert!(!ended(&facts()).asked_outside);
    assert!(matches!(facts().activity(true), Activity::Ended(e) if e.asked_outside));
    assert!(ended(&Facts { restarts_after_success: true, ..facts() }).asked_outside);
}

#[test]
fn waiting_for_a_restart_is_running_under_the_name_of_the_start_before() {
    let waits = Facts { active: Active::Waits, begun_us: 9_000_000, ..facts() };
    assert_eq!(waits.activity(false), Activity::Running);
    assert_eq!(waits.id().unwrap().started_ns, 1_000_000_000);
}
