//! The rules of notifications, without a network.

use super::gate::Gate;
use super::message::{Detail, Incident, Severity, Topic};
use super::story::{Disk, Story};
use super::target::{Preset, Table, Target, targets};
use super::write::write;
use crate::supervisor::{Event, Happening};
use app::model::{Cause, Diagnosis, Facts, Failure, FailureKind, Origin, Restarts, ServiceName, Timestamp};
use std::collections::BTreeMap;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn name() -> ServiceName {
    ServiceName::parse("vllm").expect("a name")
}

fn event(ms: i64, what: Happening) -> Event {
    Event { service: Some((name(), "vLLM".to_owned())), at: at(ms), what }
}

fn failure(ms: i64) -> Box<Failure> {
    let kind = FailureKind::Exited { code: 1, was_ready: false };
    Box::new(Failure { kind, at: at(ms), diagnosis: None })
}

fn restarts(failures: u32, next: Option<i64>) -> Option<Restarts> {
    Some(Restarts { failures, budget: 3, window_s: 600, next: next.map(at), resets: None })
}

fn failed(ms: i64, restarts: Option<Restarts>) -> Event {
    event(ms, Happening::Failed { failure: failure(ms), restarts })
}

fn diagnosis(cause: Cause) -> Box<Diagnosis> {
    Box::new(Diagnosis { cause, facts: Facts::default(), evidence: Vec::new(), remedies: Vec::new() })
}

fn topics(incidents: &[Incident]) -> Vec<(Topic, Severity)> {
    incidents.iter().map(|incident| (incident.topic, incident.severity)).collect()
}

#[test]
fn a_failure_waits_for_its_cause_and_not_for_ever() {
    let mut story = Story::default();
    assert_eq!(story.take(failed(1_000, None), None).incidents, []);
    assert_eq!(story.due(at(1_500)), []);
    let told = story.take(
        event(1_600, Happening::Diagnosed { at: at(1_000), diagnosis: diagnosis(Cause::DiskFull) }),
        None,
    );
    assert_eq!(topics(&told.incidents), [(Topic::Failed, Severity::Error)]);
    let message = told.incidents[0].message(app::locales::Lang::En, Some("http://box:3000/"), None);
    assert_eq!(message.cause.as_deref(), Some("disk-full"));
    assert_eq!(message.headline, "vLLM failed");
    assert!(message.text.contains("The disk is full"), "{}", message.text);
    assert_eq!(message.link.as_deref(), Some("http://box:3000/services/vllm"));

    assert_eq!(story.take(failed(20_000, None), None).incidents, []);
    assert_eq!(story.next_ms(at(21_000)), Some(2_000));
    assert_eq!(topics(&story.due(at(23_000))), [(Topic::Failed, Severity::Error)], "nobody said why");
    assert_eq!(story.due(at(99_000)), [], "once");
}

#[test]
fn a_failure_that_is_mended_by_itself_is_a_warning_and_one_too_many_is_a_loop() {
    let mut story = Story::default();
    story.take(failed(1_000, restarts(1, Some(3_000))), None);
    let first = story.due(at(5_000));
    assert_eq!(topics(&first), [(Topic::Failed, Severity::Warning)]);
    let text = first[0].message(app::locales::Lang::En, None, None).text;
    assert!(text.contains("started again in 2 s"), "{text}");
    story.take(failed(9_000, restarts(3, None)), None);
    let last = story.due(at(15_000));
    assert_eq!(topics(&last), [(Topic::CrashLoop, Severity::Error)]);
    let text = last[0].message(app::locales::Lang::Ru, None, None).text;
    assert!(text.contains("3 сбоя за 10 мин"), "{text}");
}

#[test]
fn only_what_was_down_recovers() {
    let mut story = Story::default();
    assert_eq!(story.take(event(1, Happening::Running), None).incidents, []);
    story.take(failed(1_000, None), None);
    let told = story.take(event(2_000, Happening::Running), None);
    assert_eq!(
        topics(&told.incidents),
        [(Topic::Failed, Severity::Error)],
        "at once, though the cause was still waited for"
    );
    assert_eq!(story.take(event(3_000, Happening::Running), None).incidents, []);
    assert_eq!((story.next_ms(at(3_000)), story.due(at(4_999))), (Some(2_000), vec![]), "from the first on");
    assert_eq!(topics(&story.due(at(5_000))), [(Topic::Recovered, Severity::Info)]);
    assert_eq!((story.next_ms(at(5_000)), story.due(at(50_000))), (None, vec![]), "once");
    let told = story.take(event(54_000, Happening::Unresponsive { since: at(53_900) }), None);
    assert_eq!(topics(&told.incidents), [(Topic::Unresponsive, Severity::Warning)]);
    story.take(event(55_000, Happening::Running), None);
    assert_eq!(topics(&story.end()), [(Topic::Recovered, Severity::Info)], "at the end all is told");
}

#[test]
fn what_fails_at_once_again_has_not_recovered() {
    let mut story = Story::default();
    story.take(failed(1_000, None), None);
    assert_eq!(
        topics(&story.take(event(5_000, Happening::Running), None).incidents),
        [(Topic::Failed, Severity::Error)]
    );
    story.take(failed(5_100, None), None);
    assert_eq!(topics(&story.due(at(9_000))), [(Topic::Failed, Severity::Error)]);
    assert_eq!(story.due(at(60_000)), []);
}

#[test]
fn what_failed_unwatched_is_told_once() {
    let found = || event(5_000, Happening::FoundFailed { failure: failure(4_000) });
    let first = Story::default().take(found(), None);
    assert_eq!(first.incidents, [], "the first dashboard ever finds old things");
    assert_eq!(first.remember, Some((name(), "4000".to_owned())));
    assert_eq!(Story::default().take(found(), Some("4000")).incidents, [], "an earlier one told it");
    let news = Story::default().take(found(), Some("never"));
    assert_eq!(topics(&news.incidents), [(Topic::Failed, Severity::Error)]);
    let text = news.incidents[0].message(app::locales::Lang::En, None, None).text;
    assert!(text.contains("while Services did not run"), "{text}");
    assert_eq!(
        Story::default().take(event(1, Happening::FoundWell), None).remember,
        Some((name(), "never".to_owned()))
    );
}

#[test]
fn the_same_is_told_once_in_a_cool_down_and_then_as_a_sum() {
    let mut gate = Gate::new(600_000);
    let incident = |topic| Incident {
        topic,
        severity: Severity::Error,
        service: Some((name(), "vLLM".to_owned())),
        at: at(0),
        detail: Detail::Plain,
    };
    assert!(gate.pass(&incident(Topic::Failed), at(0)));
    assert!(!gate.pass(&incident(Topic::Failed), at(1_000)));
    assert!(!gate.pass(&incident(Topic::Failed), at(599_999)));
    assert!(gate.pass(&incident(Topic::CrashLoop), at(1_000)), "another kind");
    assert_eq!(gate.next_ms(at(500_000)), Some(100_000));
    assert_eq!(gate.due(at(599_999)), []);
    let due = gate.due(at(600_000));
    assert_eq!(due.iter().map(|(count, _)| *count).collect::<Vec<_>>(), [2]);
    assert!(!gate.pass(&incident(Topic::Failed), at(600_001)), "the sum begins a new cool-down");
    assert_eq!(gate.due(at(1_200_000)).len(), 1);
    assert_eq!(gate.due(at(9_000_000)), [], "nothing more happened");
    assert!(gate.pass(&incident(Topic::Failed), at(9_000_001)));
    assert!(Gate::new(0).pass(&incident(Topic::Failed), at(0)));
    let words = incident(Topic::Unresponsive).message(
        app::locales::Lang::En,
        None,
        Some((2, 10, Some("Running".to_owned()))),
    );
    assert!(
        words.text.ends_with("This happened 2 times more within 10 min. Now: Running."),
        "{}",
        words.text
    );
}

#[test]
fn a_disk_is_told_once_until_it_has_room_again_and_again_when_it_becomes_worse() {
    const GIB: u64 = 1 << 30;
    let mut disk = Disk::default();
    let (size, floor) = (100 * GIB, GIB / 4);
    assert_eq!(disk.look(50 * GIB, size, floor, "/x"), None);
    let told = disk.look(4 * GIB, size, floor, "/x").expect("below 5 %");
    assert_eq!((told.topic, told.severity), (Topic::DiskLow, Severity::Warning));
    let text = told.message(app::locales::Lang::En, None, None).text;
    assert_eq!(text, "4.0 of 100.0 GiB are free at /x.");
    assert_eq!(disk.look(4 * GIB, size, floor, "/x"), None);
    assert_eq!(disk.look(0, size, floor, "/x").map(|told| told.severity), Some(Severity::Error));
    assert_eq!(disk.look(4 * GIB, size, floor, "/x"), None);
    assert_eq!(disk.look(6 * GIB, size, floor, "/x"), None, "hardly above the limit");
    assert_eq!(disk.look(4 * GIB, size, floor, "/x"), None);
    assert_eq!(disk.look(50 * GIB, size, floor, "/x"), None);
    assert!(disk.look(4 * GIB, size, floor, "/x").is_some());
    let large = 100 << 40;
    assert_eq!(disk.look(30 * GIB, large, floor, "/x"), None, "a large disk has room enough");
}

fn target(preset: Preset, url: &str, token: Option<&str>) -> Target {
    let table = Table {
        name: "a".to_owned(),
        url: url.to_owned(),
        preset: Some(preset.as_str().to_owned()),
        token: token.map(str::to_owned),
        ..Table::default()
    };
    let mut wrong = Vec::new();
    let found = targets(vec![table], &BTreeMap::new(), &mut wrong);
    assert_eq!(wrong, Vec::<String>::new());
    found.into_iter().next().expect("read")
}

#[test]
fn each_tool_gets_its_form() {
    let mut message = Incident::test().message(app::locales::Lang::En, Some("https://box"), None);
    message.text = "a <b> & @everyone \"c\"".to_owned();
    let body = |target: &Target| -> serde_json::Value {
        serde_json::from_slice(&write(&message, target).body).expect("JSON")
    };
    let generic = body(&target(Preset::Generic, "https://h/x?y=z", None));
    assert_eq!(generic["kind"], "test");
    assert_eq!(generic["text"], message.text);
    let slack = body(&target(Preset::Slack, "https://h/x", None));
    assert_eq!(slack["text"], "*A test from Services*\na &lt;b&gt; &amp; @everyone \"c\"\n<https://box/>");
    let discord = body(&target(Preset::Discord, "https://h/x", None));
    assert!(discord["content"].as_str().expect("text").contains("@everyone"));
    assert_eq!(discord["allowed_mentions"]["parse"], serde_json::json!([]), "nobody is called");
    let teams = body(&target(Preset::Teams, "https://h/x", None));
    let card = &teams["attachments"][0]["content"];
    assert_eq!(
        (&card["type"], &card["body"][1]["text"]),
        (&"AdaptiveCard".into(), &message.text.clone().into())
    );
    let telegram = target(Preset::Telegram, "https://api.telegram.org/bot1:x/sendMessage?chat_id=-42", None);
    assert_eq!(write(&message, &telegram).path, "/bot1:x/sendMessage");
    assert_eq!(body(&telegram)["chat_id"], "-42");
    let ntfy = target(Preset::Ntfy, "https://ntfy.example.com/base/topic", Some("tk_secret"));
    let written = write(&message, &ntfy);
    assert_eq!(written.path, "/base/");
    assert_eq!(written.headers, [("authorization", "Bearer tk_secret".to_owned())]);
    assert_eq!((&body(&ntfy)["topic"], &body(&ntfy)["priority"]), (&"topic".into(), &3.into()));
    let gotify = target(Preset::Gotify, "https://gotify.example.com/message", Some("A.secret"));
    assert_eq!(write(&message, &gotify).headers, [("x-gotify-key", "A.secret".to_owned())]);
    assert_eq!(body(&gotify)["extras"]["client::notification"]["click"]["url"], "https://box/");
}

#[test]
fn what_is_wrong_with_a_target_is_said_without_its_secrets() {
    let table = |change: fn(&mut Table)| {
        let mut table =
            Table { name: "a".to_owned(), url: "https://h/planted".to_owned(), ..Table::default() };
        change(&mut table);
        let mut wrong = Vec::new();
        let found = targets(vec![table], &BTreeMap::new(), &mut wrong);
        assert_eq!((found.len(), wrong.len()), (0, 1), "{wrong:?}");
        assert!(!wrong[0].contains("planted"), "{wrong:?}");
        wrong.remove(0)
    };
    assert!(table(|t| t.url = "http://example.com/planted".to_owned()).contains("url: allowed is https://"));
    assert!(table(|t| t.preset = Some("pager".to_owned())).contains("allowed are generic, slack"));
    assert!(table(|t| t.floor = Some("fatal".to_owned())).contains("info, warning and error"));
    assert!(table(|t| t.secret = Some("planted-short".to_owned())).contains("at least 16 characters"));
    assert!(table(|t| t.token = Some("planted".to_owned())).contains("ntfy and gotify"));
    assert!(table(|t| t.preset = Some("telegram".to_owned())).contains("chat_id"));
    assert!(table(|t| t.services = Some(vec!["No Name".to_owned()])).contains("is not a name"));
    assert!(table(|t| t.cooldown_s = Some(100_000)).contains("86400"));
    assert!(table(|t| t.language = Some("de".to_owned())).contains("en and ru"));
    assert!(table(|t| t.name = "a\nb".to_owned()).contains("1 to 40"));
    let env = BTreeMap::from([("SERVICES_NOTIFY_SECRET".to_owned(), "planted".to_owned())]);
    let mut wrong = Vec::new();
    assert!(targets(Vec::new(), &env, &mut wrong).is_empty());
    assert!(wrong[0].contains("SERVICES_NOTIFY_URL is not set"), "{wrong:?}");
}

#[test]
fn a_target_hears_what_it_asked_for() {
    let mut it = target(Preset::Generic, "https://h/x", None);
    assert_eq!(it.origin, Origin::File);
    assert!(it.wants(Some(&name()), Severity::Info));
    it.floor = Severity::Error;
    assert!(!it.wants(Some(&name()), Severity::Warning));
    it.services = Some(vec![ServiceName::parse("other").expect("a name")]);
    assert!(!it.wants(Some(&name()), Severity::Error));
    assert!(it.wants(None, Severity::Error), "what belongs to no service concerns everybody");
}
