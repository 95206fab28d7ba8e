//! Whatever serde writes, the reader reads; and what serde refuses, it refuses.

use super::{Json, Read, read};
use crate::api::ApiError;
use crate::boot::{Boot, Route, Theme};
use crate::locales::Lang;
use crate::model::{
    Candidate, ContainerFacts, Failure, FailureKind, ForeignProcess, Gap, Gpu, GpuStatus, Level, LevelCounts,
    Line, LogSummary, Origin, Phase, PhaseProgress, Ping, PortHolder, Progress, Remnant, RunOpened,
    RuntimeKind, ServiceRemoved, Setting, Span, State, StoppedNote, Stream, Timestamp, UnreachableReason,
    Wish,
};
use crate::tests::{boot, service};
use serde::Serialize;
use std::fmt::Debug;

fn survives<T: Serialize + Read + PartialEq + Debug>(value: T) {
    let json = serde_json::to_string(&value).expect("plain data");
    assert_eq!(read::<T>(&json), Some(value), "{json}");
}

const T: Timestamp = Timestamp::from_millis(1_795_348_800_123);

#[test]
fn every_state_and_what_it_carries() {
    let phases = [
        Phase::Pull,
        Phase::Create,
        Phase::Import,
        Phase::Config,
        Phase::Download,
        Phase::Load,
        Phase::Compile,
        Phase::KvCache,
        Phase::Graphs,
        Phase::Api,
        Phase::Ready,
    ];
    for phase in phases {
        survives(State::Starting { phase, since: T, progress: Some(PhaseProgress { done: 3, total: 5 }) });
    }
    survives(State::Starting { phase: Phase::Pull, since: T, progress: None });
    survives(State::Running { since: T });
    survives(State::Unresponsive { since: T });
    survives(State::Stopping { since: T });
    let notes = [
        StoppedNote::EndedWhileAway { code: -7 },
        StoppedNote::StoppedOutside,
        StoppedNote::NeverStarted,
        StoppedNote::NotCreated,
        StoppedNote::Removed,
    ];
    survives(State::Stopped { since: None, note: None });
    for note in notes {
        survives(State::Stopped { since: Some(T), note: Some(note) });
    }
}

#[test]
fn every_failure_and_reason() {
    let holders = [
        PortHolder::Ollama { version: "0.5".into() },
        PortHolder::Vllm { version: String::new() },
        PortHolder::Process { pid: 7, name: "\"quoted\" \\ \n".into() },
        PortHolder::Unknown,
    ];
    let ports = holders.map(|by| FailureKind::PortInUse { port: 65535, by });
    let kinds = [
        FailureKind::Exited { code: 137, was_ready: true },
        FailureKind::Killed { signal: 9 },
        FailureKind::OutOfMemory,
        FailureKind::ImageMissing { image: "a/b:c".into() },
        FailureKind::ModelNotSet,
        FailureKind::CommandMissing { command: "vllm".into() },
        FailureKind::Refused { action: "create".into(), detail: "no".into() },
        FailureKind::WontStop,
    ];
    for kind in kinds.into_iter().chain(ports) {
        survives(State::Failed {
            failure: Failure { kind: kind.clone(), at: T, evidence: vec!["\u{1f980}\t\u{7}".into()] },
        });
        survives(State::Failed { failure: Failure { kind, at: T, evidence: Vec::new() } });
    }
    let address = || "unix:///x".to_owned();
    for reason in [
        UnreachableReason::NoSocket { address: address() },
        UnreachableReason::Refused { address: address() },
        UnreachableReason::Denied { address: address() },
        UnreachableReason::Timeout { address: address(), seconds: 5 },
        UnreachableReason::Garbage { detail: "?".into() },
        UnreachableReason::NotAskedYet,
    ] {
        survives(State::Unreachable { reason });
    }
    for error in [
        ApiError::UnknownService { name: "x".into() },
        ApiError::BadName { detail: "y".into() },
        ApiError::Unreachable,
        ApiError::NotACandidate { container: "z".into() },
        ApiError::Busy,
        ApiError::Transport { detail: String::new() },
    ] {
        survives(error);
    }
}

#[test]
fn the_boot_data_with_everything_in_it() {
    let mut full = service("vllm");
    full.runtime = RuntimeKind::Demo;
    full.wish = Wish::Running;
    full.model = Some("lydia".into());
    full.models = vec!["lydia".into(), "base".into()];
    full.max_model_len = Some(u64::MAX);
    full.uptime_s = Some(0);
    full.started = Some(T);
    full.gpu_memory_bytes = Some(1 << 40);
    full.run = Some(17);
    full.container = Some(ContainerFacts {
        name: "c".into(),
        id: "0123".into(),
        adopted: true,
        auto_remove: true,
        restart_policy: "no".into(),
    });
    full.remnants = vec![Remnant { pid: u32::MAX, name: "EngineCore".into() }];
    full.port_taken = Some(PortHolder::Unknown);
    let mut boot = boot(vec![full, service("second")]);
    boot.snapshot.gpus = vec![Gpu {
        index: 0,
        uuid: "u".into(),
        name: "n".into(),
        memory_used_bytes: 1,
        memory_total_bytes: 2,
    }];
    boot.snapshot.images = vec!["i".into()];
    boot.snapshot.host.candidates =
        vec![Candidate { container: "c".into(), image: "i".into(), running: true, port: Some(1) }];
    boot.snapshot.host.foreign = vec![ForeignProcess { pid: 1, command: "vllm serve".into() }];
    boot.log = Some(LogSummary {
        service: service("vllm").name,
        run: Some(17),
        first: 1,
        last: 9,
        counts: LevelCounts { debug: 1, info: 2, warning: 3, error: 4, other: 5 },
    });
    boot.snapshot.logs = boot.log.clone();
    boot.tail = Level::ALL.map(|level| line(level, "x")).into();
    boot.tail[1].stream = Stream::Stderr;
    boot.tail[2].spans = vec![Span(0, 1, "bold red".into())];
    boot.settings = vec![(
        service("vllm").name,
        [Origin::Flag, Origin::Environment, Origin::File, Origin::Adopted, Origin::Default]
            .map(|origin| Setting {
                name: "N".into(),
                value: Some("v".into()),
                secret: false,
                set: true,
                origin,
            })
            .into(),
    )];
    boot.links = vec![("Chat".into(), "http://localhost:8080".into())];
    boot.refusal = Some(ApiError::Busy);
    for gpu in [GpuStatus::Ok, GpuStatus::NoDriver, GpuStatus::Error { detail: "d".into() }] {
        for (route, lang, theme) in [
            (Route::Services, Lang::En, Theme::System),
            (Route::Service { name: service("vllm").name }, Lang::Ru, Theme::Light),
            (Route::NotFound, Lang::En, Theme::Dark),
        ] {
            let gpu = gpu.clone();
            let mut boot: Boot = boot.clone();
            boot.snapshot.host.gpu = gpu;
            survives(Boot { route, lang, theme, ..boot });
        }
    }
}

#[test]
fn the_small_events() {
    let name = service("vllm").name;
    survives(Ping { now: T });
    survives(ServiceRemoved { name: name.clone() });
    survives(Gap { run: 1, after: 2, count: None });
    survives(Gap { run: 1, after: 2, count: Some(3) });
    survives(Progress { run: 1, stream: Stream::Stderr, text: "\r 5%|█".into() });
    survives(RunOpened { service: name.clone(), run: 2, started: T, previous: Some(1) });
    survives(RunOpened { service: name, run: 2, started: T, previous: None });
}

fn line(level: Level, text: &str) -> Line {
    Line {
        seq: 1,
        time: T,
        stream: Stream::Stdout,
        level,
        source: "s".into(),
        text: text.into(),
        spans: Vec::new(),
    }
}

#[test]
fn any_text_survives() {
    for code in (0..0x3000).chain(0xfff0..0x1_0010).chain([0x1_f980, 0x10_ffff]) {
        if let Some(c) = char::from_u32(code) {
            survives(line(Level::Info, &format!("a{c}\"{c}\\")));
        }
    }
    assert_eq!(
        read::<String>(r#""\u0416\/\b\f\ud83e\udd80\ud83e!""#).as_deref(),
        Some("Ж/\u{8}\u{c}🦀\u{fffd}!")
    );
}

#[test]
fn what_is_not_json_is_refused() {
    for bad in [
        "",
        " ",
        "{",
        "[",
        "\"",
        "\"\\",
        "\"\\u12",
        "\"\\x\"",
        "tru",
        "[1,]x",
        "[1 2]",
        "{\"a\" 1}",
        "{1:2}",
        "1 2",
        "[,1]",
    ] {
        assert_eq!(Json::parse(bad), None, "{bad}");
    }
    assert_eq!(Json::parse(&"[".repeat(10_000)), None, "nesting is bounded");
    for wrong in [
        "null",
        "1",
        "\"x\"",
        "[]",
        "{}",
        r#"{"state":"dancing"}"#,
        r#"{"state":"running"}"#,
        r#"{"state":"running","since":"soon"}"#,
    ] {
        assert_eq!(read::<State>(wrong), None, "{wrong}");
    }
    assert_eq!(read::<u16>("65536"), None);
    assert_eq!(read::<u64>("-1"), None);
    assert_eq!(read::<LevelCounts>(r#"{"info":2}"#), Some(LevelCounts { info: 2, ..LevelCounts::default() }));
    // What is new on the wire is left out.
    assert_eq!(
        read::<Ping>(r#" { "new" : [ { } , -1.5e3 , true ] , "now" : "2026-11-22T12:00:00.123Z" } "#),
        Some(Ping { now: T })
    );
}
