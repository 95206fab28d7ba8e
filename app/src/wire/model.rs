//! The wire types, field by field and word by word.

use super::{Json, Read};
use crate::api::{ApiError, Role};
use crate::boot::{Boot, Parts, Route, Theme};
use crate::locales::Lang;
use crate::model::*;

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
    ServiceKind { "vllm" Vllm, "other" Other }
    RuntimeKind { "docker" Docker, "process" Process, "systemd" Systemd, "demo" Demo }
    BootStatus { "unknown" Unknown, "installed" Installed, "not-enabled" NotEnabled, "not-installed" NotInstalled }
    LayerStage {
        "waiting" Waiting, "downloading" Downloading, "downloaded" Downloaded, "extracting" Extracting, "done" Done,
        "exists" Exists,
    }
    Wish { "running" Running, "stopped" Stopped }
    ImageVerb { "pull" Pull, "cancel" Cancel, "check" Check, "renew" Renew, "back" Back, "forget" Forget }
    Role { "viewer" Viewer, "operator" Operator, "admin" Admin }
    Verb { "start" Start, "stop" Stop, "restart" Restart }
    Phase {
        "pull" Pull, "create" Create, "import" Import, "config" Config, "download" Download, "load" Load, "compile" Compile,
        "kv-cache" KvCache, "graphs" Graphs, "api" Api, "ready" Ready,
    }
    Level { "debug" Debug, "info" Info, "warning" Warning, "error" Error, "other" Other }
    LineKind {
        "none" None, "trace" Trace, "probe" Probe, "banner" Banner, "route" Route, "stats" Stats, "bar" Bar,
        "access" Access, "request" Request, "cut" Cut,
    }
    LogTroubleKind { "full" Full, "read-only" ReadOnly, "locked" Locked, "damaged" Damaged, "gone" Gone, "failed" Failed }
    Stream { "stdout" Stdout, "stderr" Stderr }
    Cause {
        "does-not-fit" DoesNotFit, "memory-held-by-others" MemoryHeldByOthers, "kv-cache-too-small" KvCacheTooSmall,
        "max-length-too-large" MaxLengthTooLarge, "unknown-argument" UnknownArgument, "invalid-value" InvalidValue,
        "model-not-found" ModelNotFound, "access-denied" AccessDenied, "hub-unreachable" HubUnreachable,
        "weights-corrupt" WeightsCorrupt, "architecture-unsupported" ArchitectureUnsupported,
        "adapter-missing" AdapterMissing, "port-in-use" PortInUse, "no-gpu" NoGpu, "driver-too-old" DriverTooOld,
        "host-out-of-memory" HostOutOfMemory, "killed" Killed, "disk-full" DiskFull, "image-missing" ImageMissing,
        "engine-died" EngineDied, "unknown" Unknown,
    }
    Advice {
        "lower-memory-share" LowerMemoryShare, "raise-memory-share" RaiseMemoryShare, "shorten-context" ShortenContext,
        "use-smaller-model" UseSmallerModel, "free-memory" FreeMemory, "remove-argument" RemoveArgument,
        "correct-argument" CorrectArgument, "correct-value" CorrectValue, "check-model" CheckModel,
        "give-token" GiveToken, "check-network" CheckNetwork, "download-again" DownloadAgain,
        "update-vllm" UpdateVllm, "check-adapter" CheckAdapter, "change-port" ChangePort,
        "provide-gpu" ProvideGpu, "update-driver" UpdateDriver, "free-host-memory" FreeHostMemory,
        "free-disk" FreeDisk, "pull-image" PullImage, "start-again" StartAgain, "read-lines" ReadLines,
    }
    Outcome { "ready" Ready, "failed" Failed, "stopped" Stopped, "incomplete" Incomplete }
    GpuState { "ok" Ok, "suspended" Suspended, "lost" Lost }
    PlanSource { "folder" Folder, "cache" Cache, "table" Table }
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
        "not-there" NotThere { name },
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
        "forbidden" Forbidden { question },
        "timeout" Timeout { address, seconds },
        "garbage" Garbage { detail },
        "not-asked-yet" NotAskedYet {},
    }
    GpuStatus by "status" {
        "ok" Ok {},
        "no-driver" NoDriver {},
        "no-gpu" NoGpu {},
        "mismatch" Mismatch {},
        "denied" Denied {},
        "error" Error { detail },
    }
    Change by "change" {
        "set" Set { variable, value },
        "argument" Argument { flag, value },
        "drop-argument" DropArgument { flag },
    }
    Smoke by "smoke" {
        "running" Running { since },
        "passed" Passed { at, first_token_ms, tokens, tokens_per_10s },
        "failed" Failed { at, detail },
    }
    Release by "release" {
        "back" Back { freed_bytes },
        "held" Held { freed_bytes, by },
    }
    Verdict by "verdict" {
        "fits" Fits {},
        "fits-shorter" FitsShorter { longest_tokens },
        "does-not-fit" DoesNotFit { short_bytes, share_percent },
        "held-by-others" HeldByOthers { short_bytes },
        "no-gpu" NoGpu {},
    }
    PullState by "pull" {
        "running" Running {},
        "done" Done { at, changed },
        "failed" Failed { at, why },
        "cancelled" Cancelled { at },
        "interrupted" Interrupted {},
    }
    PullFailure by "why" {
        "no-such-tag" NoSuchTag {},
        "denied" Denied {},
        "rate-limit" RateLimit {},
        "registry-away" RegistryAway { detail },
        "no-space" NoSpace { needed_bytes, free_bytes },
        "engine-away" EngineAway {},
        "other" Other { detail },
    }
    Newer by "newer" {
        "checking" Checking {},
        "current" Current { at },
        "available" Available { at, digest },
        "unknown" Unknown { at, why },
    }
    Route by "page" { "services" Services {}, "service" Service { name }, "explain" Explain {}, "not-found" NotFound {} }
    ApiError by "error" {
        "unknown-service" UnknownService { name },
        "bad-name" BadName { detail },
        "unreachable" Unreachable {},
        "not-a-candidate" NotACandidate { container },
        "requests-running" RequestsRunning { service, verb, requests },
        "image-requests-running" ImageRequestsRunning { service, action, requests },
        "will-not-fit" WillNotFit { service, verb, short_bytes, needed_bytes, available_bytes, held_by_others },
        "stale" Stale {},
        "read-only" ReadOnly { name },
        "not-ours" NotOurs { container },
        "file" File { detail },
        "no-image" NoImage {},
        "image" Image { detail },
        "in-file" InFile { name },
        "refused" Refused { detail },
        "port-clash" PortClash { port, with },
        "busy" Busy {}, "signed-out" SignedOut {}, "forbidden" Forbidden { needs },
        "transport" Transport { detail },
    }
}

fields! {
    Service {
        name, title, kind, runtime, demo, state, wish, model, models, adapters, version, max_model_len, uptime_s, started,
        gpu_memory_bytes, image, auto_start, run, api_url, container, remnants, port_taken, start, plan,
        smoke, release; pulls, auto_start_fixed, restarts, pending, kept_image, unhealthy, settings_revision
    }
    Image { reference, local, pull, newer }
    LocalImage { id, bytes, created }
    Pull { started, state, layers, done_bytes, total_bytes, unknown_layers, bytes_per_s, left_s }
    Layer { id, stage, done_bytes, total_bytes }
    Restarts { failures, budget, window_s, next, resets }
    KeptImage { id, reference, since }
    PendingChange { name, running, next }
    Start { phases, usual, learned_from, silence }
    PhaseTime { phase, at, took_ms }
    UsualTime { phase, took_ms }
    Silence { since, last }
    Diagnosis { cause, evidence, facts, remedies }
    Evidence { line, text }
    Facts {
        subject, value, allowed, needed_bytes, available_bytes, total_bytes, asked_tokens, possible_tokens, port, pid, code,
    }
    Remedy { advice, change }
    ServiceMetrics { service, latest, history }
    Reading {
        at, window_s, running, waiting, kv_cache_permille, prompt_tokens_per_10s, generation_tokens_per_10s,
        ttft_p50_us, ttft_p95_us, itl_p50_us, itl_p95_us, prefix_hits_permille, preemptions, ended,
    }
    Ended { reason, count }
    History {
        step_s, running, waiting, kv_cache_permille, prompt_tokens_per_10s, generation_tokens_per_10s, ttft_p95_ms,
    }
    MemoryPlan {
        model, source, weights_bytes, overhead_bytes, kv_bytes_per_token, kv_bytes, context_tokens, cache_tokens,
        concurrency_percent, devices, device, verdict,
    }
    PlanDevice { index, name, total_bytes, free_bytes, budget_bytes, holders }
    ContainerFacts { name, id, adopted, auto_remove, restart_policy; image_id, model, project }
    Remnant { pid, name, memory_bytes }
    PhaseProgress { done, total, bytes }
    Gpu {
        index, uuid, name, memory_used_bytes, memory_total_bytes; state, utilisation_percent, temperature_c, power_mw,
        power_limit_mw, processes
    }
    GpuProcess { pid, name, memory_bytes, service }
    Host { name, gpu, candidates, foreign; state_dir, boot, images_revision, log_trouble }
    LogTrouble { kind, since, error, folder, free; store }
    Candidate { container, image, running, port }
    ForeignProcess { pid, command }
    Snapshot { server_version, now, services, gpus, images, host, logs; metrics }
    Ping { now }
    ServiceRemoved { name }
    LogSummary { service, run, first, last; counts }
    LevelCounts { ; debug, info, warning, error, other }
    Gap { run, after, count }
    Progress { run, stream, text }
    RunOpened { service, run, started, previous }
    Boot { snapshot, route, lang, theme, log, tail, links, refusal, explained; role, open_house, parts }
    Explained { outcome, diagnosis, phases }
    ExplainedPhase { phase, took_ms }
}

impl Read for Parts {
    fn read(_: &Json<'_>) -> Option<Self> {
        None
    }
}

impl Read for Failure {
    fn read(json: &Json<'_>) -> Option<Self> {
        // The kind's fields lie among the failure's own.
        Some(Self {
            kind: Read::read(json)?,
            at: Read::read(json.at("at"))?,
            diagnosis: Read::read(json.at("diagnosis"))?,
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
            kind: Read::read(json.nth(7)).unwrap_or_default(),
        })
    }
}

impl Read for Span {
    fn read(json: &Json<'_>) -> Option<Self> {
        Some(Self(Read::read(json.nth(0))?, Read::read(json.nth(1))?, Read::read(json.nth(2))?))
    }
}
