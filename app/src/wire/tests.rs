//! Whatever serde writes, the reader reads; and what serde refuses, it refuses.

use super::{Json, Read, read};
use crate::api::ApiError;
use crate::boot::{Boot, Route, Theme};
use crate::locales::Lang;
use crate::model::*;
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
        survives(State::Starting {
            phase,
            since: T,
            progress: Some(PhaseProgress { done: 3, total: 5, bytes: Some(7) }),
        });
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

fn diagnosis() -> Diagnosis {
    Diagnosis {
        cause: Cause::DoesNotFit,
        evidence: vec![Evidence { line: 7, text: "\u{1f980}\t\u{7}".into() }],
        facts: Facts {
            subject: Some("s".into()),
            value: Some("v".into()),
            allowed: Some("a".into()),
            needed_bytes: Some(1),
            available_bytes: Some(2),
            total_bytes: Some(3),
            asked_tokens: Some(4),
            possible_tokens: Some(5),
            port: Some(6),
            pid: Some(7),
            code: Some(-9),
        },
        remedies: vec![
            Remedy { advice: Advice::LowerMemoryShare, change: None },
            Remedy {
                advice: Advice::CorrectValue,
                change: Some(Change::Set { variable: "A".into(), value: "b".into() }),
            },
            Remedy {
                advice: Advice::ShortenContext,
                change: Some(Change::Argument { flag: "--x".into(), value: None }),
            },
            Remedy {
                advice: Advice::RemoveArgument,
                change: Some(Change::DropArgument { flag: "--x".into() }),
            },
        ],
    }
}

#[test]
fn every_cause_and_every_advice_has_its_word() {
    const CAUSES: [&str; 21] = [
        "does-not-fit",
        "memory-held-by-others",
        "kv-cache-too-small",
        "max-length-too-large",
        "unknown-argument",
        "invalid-value",
        "model-not-found",
        "access-denied",
        "hub-unreachable",
        "weights-corrupt",
        "architecture-unsupported",
        "adapter-missing",
        "port-in-use",
        "no-gpu",
        "driver-too-old",
        "host-out-of-memory",
        "killed",
        "disk-full",
        "image-missing",
        "engine-died",
        "unknown",
    ];
    for word in CAUSES {
        let json = format!("{word:?}");
        let cause: Cause = serde_json::from_str(&json).expect("a cause");
        assert_eq!(cause.id(), word);
        survives(cause);
    }
    const ADVICE: [&str; 22] = [
        "lower-memory-share",
        "raise-memory-share",
        "shorten-context",
        "use-smaller-model",
        "free-memory",
        "remove-argument",
        "correct-argument",
        "correct-value",
        "check-model",
        "give-token",
        "check-network",
        "download-again",
        "update-vllm",
        "check-adapter",
        "change-port",
        "provide-gpu",
        "update-driver",
        "free-host-memory",
        "free-disk",
        "pull-image",
        "start-again",
        "read-lines",
    ];
    for word in ADVICE {
        survives::<Advice>(serde_json::from_str(&format!("{word:?}")).expect("an advice"));
    }
}

#[test]
fn starts_metrics_and_plans() {
    survives(Start {
        phases: vec![
            PhaseTime { phase: Phase::Create, at: T, took_ms: Some(1) },
            PhaseTime { phase: Phase::KvCache, at: T, took_ms: None },
        ],
        usual: vec![UsualTime { phase: Phase::Graphs, took_ms: 2 }],
        learned_from: 3,
        silence: Some(Silence { since: T, last: "x".into() }),
    });
    let service = ServiceName::parse("vllm").expect("a name");
    let reading = Reading {
        at: T,
        window_s: Some(30),
        running: Some(1),
        waiting: Some(2),
        kv_cache_permille: Some(3),
        prompt_tokens_per_10s: Some(4),
        generation_tokens_per_10s: Some(5),
        ttft_p50_us: Some(6),
        ttft_p95_us: None,
        itl_p50_us: Some(7),
        itl_p95_us: Some(8),
        prefix_hits_permille: Some(9),
        preemptions: Some(10),
        ended: vec![Ended { reason: "stop".into(), count: 11 }],
    };
    let history = History {
        step_s: 5,
        running: vec![Some(1), None],
        waiting: Vec::new(),
        kv_cache_permille: vec![None],
        prompt_tokens_per_10s: vec![Some(0)],
        generation_tokens_per_10s: vec![Some(u32::MAX)],
        ttft_p95_ms: vec![Some(3)],
    };
    survives(ServiceMetrics { service: service.clone(), latest: Some(reading), history: Some(history) });
    survives(ServiceMetrics { service, latest: None, history: None });
    for smoke in [
        Smoke::Running { since: T },
        Smoke::Passed { at: T, first_token_ms: 1, tokens: 2, tokens_per_10s: None },
        Smoke::Failed { at: T, detail: "d".into() },
    ] {
        survives(smoke);
    }
    let left = vec![Remnant { pid: 1, name: "x".into(), memory_bytes: None }];
    for outcome in [Outcome::Ready, Outcome::Failed, Outcome::Stopped, Outcome::Incomplete] {
        let phases = vec![ExplainedPhase { phase: Phase::Api, took_ms: None }];
        survives(Explained { outcome, diagnosis: Some(diagnosis()), phases });
    }
    survives(Route::Explain);
    survives(Release::Back { freed_bytes: 1 });
    survives(Release::Held { freed_bytes: 1, by: left });
    for verdict in [
        Verdict::Fits,
        Verdict::FitsShorter { longest_tokens: 9 },
        Verdict::DoesNotFit { short_bytes: 1, share_percent: Some(90) },
        Verdict::HeldByOthers { short_bytes: 2 },
        Verdict::NoGpu,
    ] {
        survives(MemoryPlan {
            model: "m".into(),
            source: PlanSource::Cache,
            weights_bytes: 1,
            overhead_bytes: 2,
            kv_bytes_per_token: 3,
            kv_bytes: None,
            context_tokens: 4,
            cache_tokens: Some(5),
            concurrency_percent: Some(620),
            devices: 2,
            device: Some(PlanDevice {
                index: 0,
                name: "n".into(),
                total_bytes: 1,
                free_bytes: 2,
                budget_bytes: 3,
                holders: Vec::new(),
            }),
            verdict,
        });
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
            failure: Box::new(Failure { kind: kind.clone(), at: T, diagnosis: Some(diagnosis()) }),
        });
        survives(State::Failed { failure: Box::new(Failure { kind, at: T, diagnosis: None }) });
    }
    let address = || "unix:///x".to_owned();
    for reason in [
        UnreachableReason::NoSocket { address: address() },
        UnreachableReason::Refused { address: address() },
        UnreachableReason::Denied { address: address() },
        UnreachableReason::Forbidden { question: "GET /events".into() },
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
        ApiError::RequestsRunning { service: "vllm".into(), verb: Verb::Stop, requests: 3 },
        ApiError::WillNotFit {
            service: "vllm".into(),
            verb: Verb::Restart,
            short_bytes: 1,
            needed_bytes: 2,
            available_bytes: 3,
            held_by_others: true,
        },
        ApiError::Stale,
        ApiError::ReadOnly { name: "X".into() },
        ApiError::NotOurs { container: "c".into() },
        ApiError::File { detail: "d".into() },
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
        image_id: Some("sha256:1".into()),
        model: None,
        project: Some("p".into()),
    });
    full.remnants = vec![Remnant { pid: u32::MAX, name: "EngineCore".into(), memory_bytes: Some(1) }];
    full.port_taken = Some(PortHolder::Unknown);
    full.auto_start_fixed = true;
    full.restarts = Some(Restarts { failures: 1, budget: 3, window_s: 600, next: Some(T), resets: None });
    full.pending = vec![PendingChange { name: "A".into(), running: None, next: Some("b".into()) }];
    full.kept_image = Some(KeptImage { id: "sha256:2".into(), reference: "a/b:c".into(), since: T });
    full.unhealthy = Some("no".into());
    full.settings_revision = 7;
    let mut boot = boot(vec![full, service("second")]);
    boot.snapshot.gpus = vec![Gpu {
        index: 0,
        uuid: "u".into(),
        name: "n".into(),
        memory_used_bytes: 1,
        memory_total_bytes: 2,
        state: GpuState::Suspended,
        utilisation_percent: Some(3),
        temperature_c: Some(4),
        power_mw: Some(5),
        power_limit_mw: None,
        processes: Some(vec![GpuProcess {
            pid: 6,
            name: None,
            memory_bytes: Some(7),
            service: ServiceName::parse("vllm").ok(),
        }]),
    }];
    boot.snapshot.images = vec![Image {
        reference: "a/b:c".into(),
        local: Some(LocalImage { id: "sha256:1".into(), bytes: 1, created: Some(T) }),
        pull: Some(pull(PullState::Running)),
        newer: Some(Newer::Checking),
    }];
    boot.snapshot.host.boot = BootStatus::NotInstalled;
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

fn pull(state: PullState) -> Pull {
    let layer = |stage| Layer { id: "0123".into(), stage, done_bytes: 1, total_bytes: Some(2) };
    let layers = [
        LayerStage::Waiting,
        LayerStage::Downloading,
        LayerStage::Downloaded,
        LayerStage::Extracting,
        LayerStage::Done,
        LayerStage::Exists,
    ];
    Pull {
        started: T,
        state,
        layers: layers.map(layer).into(),
        done_bytes: 1,
        total_bytes: 2,
        unknown_layers: 3,
        bytes_per_s: Some(4),
        left_s: None,
    }
}

#[test]
fn every_pull_and_every_reason_for_its_end() {
    let reasons = [
        PullFailure::NoSuchTag,
        PullFailure::Denied,
        PullFailure::RateLimit,
        PullFailure::RegistryAway { detail: "d".into() },
        PullFailure::NoSpace { needed_bytes: Some(1), free_bytes: None },
        PullFailure::EngineAway,
        PullFailure::Other { detail: "d".into() },
    ];
    for why in reasons {
        survives(pull(PullState::Failed { at: T, why: why.clone() }));
        survives(Newer::Unknown { at: T, why });
    }
    survives(pull(PullState::Done { at: T, changed: true }));
    survives(pull(PullState::Cancelled { at: T }));
    survives(pull(PullState::Interrupted));
    survives(Newer::Current { at: T });
    survives(Newer::Available { at: T, digest: "sha256:3".into() });
    for boot in [BootStatus::Unknown, BootStatus::Installed, BootStatus::NotEnabled, BootStatus::NotInstalled]
    {
        survives(boot);
    }
    for verb in [
        ImageVerb::Pull,
        ImageVerb::Cancel,
        ImageVerb::Check,
        ImageVerb::Renew,
        ImageVerb::Back,
        ImageVerb::Forget,
    ] {
        survives(verb);
    }
    survives(FailureKind::NotThere { name: "x".into() });
    for error in [
        ApiError::NoImage,
        ApiError::Image { detail: "d".into() },
        ApiError::InFile { name: "auto_start".into() },
        ApiError::Refused { detail: "d".into() },
        ApiError::PortClash { port: 1, with: "w".into() },
        ApiError::ImageRequestsRunning { service: "s".into(), action: ImageVerb::Renew, requests: 2 },
    ] {
        survives(error);
    }
}

#[test]
fn the_small_events() {
    let name = service("vllm").name;
    survives(Ping { now: T });
    survives(ServiceRemoved { name: name.clone() });
    survives(Gap { run: 1, after: 2, count: None });
    survives(Gap { run: 1, after: 2, count: Some(3) });
    for kind in LineKind::ALL {
        survives(Line { kind, ..line(Level::Info, "a line of any kind") });
    }
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
        kind: LineKind::None,
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

/// What a broken proxy, a cut connection or a newer server may make of an event: bytes of it are lost, doubled or others.
fn broken(json: &str, seed: u64) -> String {
    let mut bytes = json.as_bytes().to_vec();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |end: usize| {
        // xorshift: the same every time.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % end.max(1) as u64).unwrap_or(0)
    };
    for _ in 0..=below(3) {
        let (at, end) = (below(bytes.len()), below(bytes.len()));
        const ODD: &[u8] = b"\"\\[]{},:-0123456789eE.tfnu \n\0\xff\xc3";
        match below(6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at.min(end)..at.max(end))),
            2 => {
                let part = bytes[at.min(end)..at.max(end)].to_vec();
                bytes.splice(at..at, part);
            }
            _ if bytes.is_empty() => {}
            3 => bytes[at] = ODD[below(ODD.len())],
            4 => bytes.insert(at, ODD[below(ODD.len())]),
            // A number that is none, or another one.
            _ => drop(bytes.splice(at..at, *b"99999999999999999999")),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads it as serde does, or not at all: never otherwise, and without an end of the page.
fn read_as_serde_does<T: Read + Debug + PartialEq + serde::de::DeserializeOwned>(json: &str) -> bool {
    let (ours, theirs) = (read::<T>(json), serde_json::from_str::<T>(json).ok());
    if let (Some(ours), Some(theirs)) = (&ours, &theirs) {
        assert_eq!(ours, theirs, "{json}");
    }
    ours.is_some()
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("plain data")
}

#[test]
fn broken_events_are_left_out_and_never_end_the_page() {
    let full = boot(vec![service("vllm"), service("second")]);
    let events = [
        json(&full.snapshot),
        json(&service("vllm")),
        json(&pull(PullState::Running)),
        json(&Gap { run: 1, after: 2, count: Some(3) }),
        json(&Ping { now: T }),
        json(&line(Level::Info, "a \\ \u{1f980} \" b")),
    ];
    let (mut read, mut refused) = (0, 0);
    for seed in 0..6_000 {
        for event in &events {
            let event = broken(event, seed);
            let understood = [
                read_as_serde_does::<Snapshot>(&event),
                read_as_serde_does::<Service>(&event),
                read_as_serde_does::<Pull>(&event),
                read_as_serde_does::<Gap>(&event),
                read_as_serde_does::<Ping>(&event),
                read_as_serde_does::<Line>(&event),
            ];
            if understood.contains(&true) { read += 1 } else { refused += 1 }
        }
    }
    assert!(read > 1_000 && refused > 1_000, "both happen: {read}, {refused}");
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
