//! The wire types, field by field and word by word.

use super::{Json, Read};
use crate::api::ApiError;
use crate::boot::{Boot, Route, Theme};
use crate::locales::Lang;
use crate::model::{
    Candidate, ContainerFacts, Failure, FailureKind, ForeignProcess, Gap, Gpu, GpuStatus, Host, Level,
    LevelCounts, Line, LogSummary, Origin, Phase, PhaseProgress, Ping, PortHolder, Progress, Remnant,
    RunOpened, RuntimeKind, Service, ServiceKind, ServiceRemoved, Setting, Snapshot, Span, State,
    StoppedNote, Stream, UnreachableReason, Wish,
};

/// Structs: all fields by their names; those behind the semicolon may be missing.
macro_rules! fields {
    ($($type:ident { $($field:ident),* $(,)? $(; $($lenient:ident),*)? })*) => { $(
        impl Read for $type {
            fn read(json: &Json<'_>) -> Option<Self> {
                Some(Self {
                    $($field: Read::read(json.at(stringify!($field)))?,)*
                    $($($lenient: Read::read(json.at(stringify!($lenient))).unwrap_or_default(),)*)?
                })
            }
        }
    )* };
}

/// Enums without fields: one word each.
macro_rules! words {
    ($($type:ident { $($word:literal $variant:ident),* $(,)? })*) => { $(
        impl Read for $type {
            fn read(json: &Json<'_>) -> Option<Self> {
                match json.text()? {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    )* };
}

/// Enums whose variant is told by a field.
macro_rules! tagged {
    ($($type:ident by $tag:literal { $($word:literal $variant:ident { $($field:ident),* }),* $(,)? })*) => { $(
        impl Read for $type {
            fn read(json: &Json<'_>) -> Option<Self> {
                match json.at($tag).text()? {
                    $($word => Some(Self::$variant { $($field: Read::read(json.at(stringify!($field)))?),* }),)*
                    _ => None,
                }
            }
        }
    )* };
}

words! {
    ServiceKind { "vllm" Vllm }
    RuntimeKind { "docker" Docker, "process" Process, "demo" Demo }
    Wish { "running" Running, "stopped" Stopped }
    Phase {
        "pull" Pull, "create" Create, "import" Import, "config" Config, "download" Download, "load" Load, "compile" Compile,
        "kv-cache" KvCache, "graphs" Graphs, "api" Api, "ready" Ready,
    }
    Level { "debug" Debug, "info" Info, "warning" Warning, "error" Error, "other" Other }
    Stream { "stdout" Stdout, "stderr" Stderr }
    Lang { "en" En, "ru" Ru }
    Theme { "system" System, "light" Light, "dark" Dark }
}

tagged! {
    State by "state" {
        "stopped" Stopped { since, note },
        "starting" Starting { phase, since, progress },
        "running" Running { since },
        "unresponsive" Unresponsive { since },
        "stopping" Stopping { since },
        "failed" Failed { failure },
        "unreachable" Unreachable { reason },
    }
    StoppedNote by "note" {
        "ended-while-away" EndedWhileAway { code },
        "stopped-outside" StoppedOutside {},
        "never-started" NeverStarted {},
        "not-created" NotCreated {},
        "removed" Removed {},
    }
    FailureKind by "kind" {
        "exited" Exited { code, was_ready },
        "killed" Killed { signal },
        "out-of-memory" OutOfMemory {},
        "image-missing" ImageMissing { image },
        "port-in-use" PortInUse { port, by },
        "model-not-set" ModelNotSet {},
        "command-missing" CommandMissing { command },
        "refused" Refused { action, detail },
        "wont-stop" WontStop {},
    }
    PortHolder by "who" {
        "ollama" Ollama { version },
        "vllm" Vllm { version },
        "process" Process { pid, name },
        "unknown" Unknown {},
    }
    UnreachableReason by "why" {
        "no-socket" NoSocket { address },
        "refused" Refused { address },
        "denied" Denied { address },
        "timeout" Timeout { address, seconds },
        "garbage" Garbage { detail },
        "not-asked-yet" NotAskedYet {},
    }
    GpuStatus by "status" { "ok" Ok {}, "no-driver" NoDriver {}, "error" Error { detail } }
    Origin by "origin" { "flag" Flag {}, "environment" Environment {}, "file" File {}, "adopted" Adopted {}, "default" Default {} }
    Route by "page" { "services" Services {}, "service" Service { name }, "not-found" NotFound {} }
    ApiError by "error" {
        "unknown-service" UnknownService { name },
        "bad-name" BadName { detail },
        "unreachable" Unreachable {},
        "not-a-candidate" NotACandidate { container },
        "busy" Busy {},
        "transport" Transport { detail },
    }
}

fields! {
    Service {
        name, title, kind, runtime, demo, state, wish, model, models, max_model_len, uptime_s, started, gpu_memory_bytes, image, auto_start,
        run, api_url, container, remnants, port_taken,
    }
    ContainerFacts { name, id, adopted, auto_remove, restart_policy }
    Remnant { pid, name }
    PhaseProgress { done, total }
    Gpu { index, uuid, name, memory_used_bytes, memory_total_bytes }
    Host { name, gpu, candidates, foreign; state_dir }
    Candidate { container, image, running, port }
    ForeignProcess { pid, command }
    Setting { name, value, set, origin; secret }
    Snapshot { server_version, now, services, gpus, images, host, logs }
    Ping { now }
    ServiceRemoved { name }
    LogSummary { service, run, first, last; counts }
    LevelCounts { ; debug, info, warning, error, other }
    Gap { run, after, count }
    Progress { run, stream, text }
    RunOpened { service, run, started, previous }
    Boot { snapshot, route, lang, theme, log, tail, settings, links, refusal }
}

impl Read for Failure {
    fn read(json: &Json<'_>) -> Option<Self> {
        // The kind's fields lie among the failure's own.
        Some(Self {
            kind: Read::read(json)?,
            at: Read::read(json.at("at"))?,
            evidence: Read::read(json.at("evidence"))?,
        })
    }
}

impl Read for Line {
    fn read(json: &Json<'_>) -> Option<Self> {
        Some(Self {
            seq: Read::read(json.nth(0))?,
            time: Read::read(json.nth(1))?,
            stream: Read::read(json.nth(2))?,
            level: Read::read(json.nth(3))?,
            source: Read::read(json.nth(4))?,
            text: Read::read(json.nth(5))?,
            spans: Read::read(json.nth(6))?,
        })
    }
}

impl Read for Span {
    fn read(json: &Json<'_>) -> Option<Self> {
        Some(Self(Read::read(json.nth(0))?, Read::read(json.nth(1))?, Read::read(json.nth(2))?))
    }
}
