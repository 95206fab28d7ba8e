//! English.

mod failures;
#[cfg(feature = "ssr")]
pub(super) mod notify;
#[cfg(feature = "ssr")]
pub(super) mod parts;

use super::{Said, Words, bytes_of, clock, gib_tenths, group, mib, short_id, span, span_us, tenths};
use crate::api::ApiError;
use crate::model::*;

pub(super) static WORDS: Words = Words {
    services: "Services",
    neighbours: "Neighbouring pages",
    language: "Language",
    theme: "Theme",
    theme_system: "As the system",
    theme_light: "Light",
    theme_dark: "Dark",
    log_trouble: |it| {
        let why = match it.kind {
            LogTroubleKind::Full => match it.free {
                Some(free) => format!("too little room, {} GiB free", gib_tenths(free, '.')),
                None => "too little room".to_owned(),
            },
            LogTroubleKind::ReadOnly => "the folder may not be written".to_owned(),
            LogTroubleKind::Locked => "another program has locked it".to_owned(),
            LogTroubleKind::Damaged => "it is damaged".to_owned(),
            LogTroubleKind::Gone => "it was removed or replaced".to_owned(),
            LogTroubleKind::Failed => it.error.clone(),
        };
        if it.store {
            return format!(
                "What Services must remember cannot be written ({why}): {}. Services goes on; until it can be written, nobody new can sign in. `server doctor` says what to do.",
                it.folder
            );
        }
        format!(
            "Logs are not written to disk ({why}): {}. They are kept in memory, and written again as soon as that is possible.",
            it.folder
        )
    },
    new_version: "Services was updated.",
    reload: "Reload",
    not_found: "Nothing lives here",
    not_found_hint: "There is no page and no service at this address.",
    home: "Back to Services",
    no_services: "No service is configured. List one in services.toml, or adopt a container below.",
    gone: "This service is no longer managed here.",

    connection: "Connection",
    connecting: "Connecting…",
    live: "Live",
    reconnecting: "Reconnecting…",
    lost: "Lost",
    without_script: "Reload to refresh",
    as_of: |time| format!("as of {time}"),

    state,
    sentence,
    phase,
    n_of_m: |done, total| format!("{done} of {total}"),
    failure,
    cause: failures::cause,
    advice: failures::advice,
    change: failures::change,
    and_start: |change| format!("{change} and start"),
    ways_out: "What helps",
    explain: "Explain a log",
    explain_hint: "A log of vLLM from anywhere: its phases, how it ended, why, and what to change. It stays on this machine.",
    explain_log: "Paste the log",
    explain_file: "Or choose a file, or drop it here",
    explain_button: "Explain",
    explain_result: "Explanation",
    outcome: |outcome| match outcome {
        Outcome::Ready => "It came up.",
        Outcome::Failed => "It failed.",
        Outcome::Stopped => "It was asked to end.",
        Outcome::Incomplete => "The log ends before anything was decided.",
    },
    phases: "Phases of the start",
    phase_done: "done",
    phase_now: "now",
    phase_broken: "failed here",
    phase_coming: "still to come",
    usually: |span| format!("usually {span}"),
    left: |seconds| match seconds {
        0..5 => "a few seconds left".to_owned(),
        5..90 => format!("about {seconds} s left"),
        _ => format!("about {} min left", (seconds + 30) / 60),
    },
    longer_than_usual: "longer than usual",
    learned_from: |starts| match starts {
        1 => "“Usually” is what the last start took here.".to_owned(),
        _ => format!("“Usually” is the median of the last {starts} starts here."),
    },
    started_in: |span| format!("Started in {span}"),
    silent_for: |duration| {
        format!("It has said nothing for {duration}. Services waits; Stop ends the start. The last it said:")
    },
    span: |ms| span(ms, '.', "s"),
    unreachable,
    holder,
    port_taken: |address, holder| format!("Something else answers at {address}: {holder}."),
    remnants: |left| {
        let names = left_behind(left);
        format!("Left behind by the last run: {names}. Stop ends what is left.")
    },
    auto_remove: "Stopping removes this container (--rm). Services keeps what is needed to create it again.",
    demo: "Demo: a simulated vLLM. It uses no GPU and no model, and ends with Services.",
    evidence: "The lines that show it",
    lasting: |seconds| format!("for {}", duration(seconds)),
    ago: |seconds| match seconds {
        0..60 => "just now".to_owned(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    },
    changed: |title, state| format!("{title}: {state}"),
    model: "Model",
    gpu_memory: "GPU memory",
    uptime: "Uptime",
    none: "–",
    not_reported: "not reported",
    no_gpu: |status| match status {
        GpuStatus::Ok => "not reported".to_owned(),
        GpuStatus::NoDriver | GpuStatus::NoGpu => "no GPU".to_owned(),
        other => gpu_status(other).what,
    },
    gib: |bytes| format!("{} GiB", gib_tenths(bytes, '.')),
    gib_of: |used, total| format!("{} of {} GiB", gib_tenths(used, '.'), gib_tenths(total, '.')),
    duration,

    requests: "Requests",
    running_waiting: |running, waiting| match waiting {
        0 => format!("{} running", number(running.into())),
        _ => format!("{} running, {} waiting", number(running.into()), number(waiting.into())),
    },
    metrics: "Metrics",
    metrics_absent: "No metrics yet.",
    metrics_window: |seconds| {
        format!("Rates and latencies are over the last {seconds} s; charts over 15 min.")
    },
    generated: "Generation",
    prompt_rate: "Prompt",
    rate: |per_10s| format!("{} tokens/s", tenths(per_10s, '.')),
    kv_cache: "KV cache",
    permille: |permille| format!("{}%", tenths(permille, '.')),
    first_token: "Time to first token",
    next_token: "Between tokens",
    quantiles: |p50, p95| {
        format!("{} p50, {} p95", span_us(p50, '.', "ms", "s"), span_us(p95, '.', "ms", "s"))
    },
    prefix_hits: "Prefix cache hits",
    preemptions: "Preemptions",
    ended: "Requests ended",
    ended_by: |reason| match reason {
        "stop" => "finished".to_owned(),
        "length" => "at length".to_owned(),
        "abort" => "aborted".to_owned(),
        "error" => "errors".to_owned(),
        "4xx" => "HTTP 4xx".to_owned(),
        "5xx" => "HTTP 5xx".to_owned(),
        other => other.to_owned(),
    },
    verdict,
    plan_source: |source| match source {
        PlanSource::Folder => "from its files",
        PlanSource::Cache => "from the Hugging Face cache",
        PlanSource::Table => "estimated, it is not on this machine",
    },
    plan_model: "Planned for",
    plan_weights: "Weights",
    plan_overhead: "Working memory",
    plan_budget: "May use",
    plan_free: "Free now",
    plan_per_token: "Per token",
    plan_cache: "Cache holds",
    plan_context: "Longest request",
    plan_hint: "On each GPU. Working memory is an estimate; the rest is computed from the model's files.",
    kib: |bytes| format!("{} KiB", number(bytes >> 10)),
    smoke_test: "Test answer",
    smoke_running: "Asking for a short answer…",
    smoke_passed: |first, tokens, rate| {
        let rate = rate.map(|r| format!(", then {} tokens/s", tenths(r, '.'))).unwrap_or_default();
        format!(
            "It answered: first token after {}{rate} ({tokens} tokens).",
            span_us(first * 1000, '.', "ms", "s")
        )
    },
    smoke_failed: |detail| format!("It did not answer: {detail}"),
    memory_back: |freed| format!("Its GPU memory is back: {} GiB.", gib_tenths(freed, '.')),
    memory_held: |by| format!("GPU memory is still held by {}. Stop ends it.", left_behind(by)),

    start: "Start",
    stop: "Stop",
    restart: "Restart",
    start_anyway: "Start anyway",
    stop_anyway: "Stop anyway",
    restart_anyway: "Restart anyway",
    cancel: "Cancel",
    container_logs: "Container logs",
    auto_start: "Auto-start",
    auto_start_hint: "Start it with Services, and again after a failure",
    auto_start_fixed: "Set in services.toml: change it there",
    on: "on",
    off: "off",
    error: |error| match error {
        ApiError::UnknownService { name } => {
            format!("There is no service named {name} here. Reload the page.")
        }
        ApiError::BadName { detail } => format!("This name cannot be used: {detail}"),
        ApiError::Unreachable => {
            "The engine that runs this service cannot be reached. Try again when it is back.".to_owned()
        }
        ApiError::NotACandidate { container } => {
            format!("The container {container} cannot be adopted, or no longer exists.")
        }
        ApiError::RequestsRunning { requests, verb, .. } => {
            under_way(*requests, if *verb == Verb::Restart { "A restart" } else { "A stop" })
        }
        ApiError::ImageRequestsRunning { requests, .. } => under_way(*requests, "A restart"),
        ApiError::WillNotFit { needed_bytes, available_bytes, held_by_others, .. } => {
            let (needed, has) = (gib_tenths(*needed_bytes, '.'), gib_tenths(*available_bytes, '.'));
            if *held_by_others {
                format!("It needs {needed} GiB of GPU memory and {has} GiB are free: others hold the rest.")
            } else {
                format!("It needs {needed} GiB of GPU memory and may use {has} GiB. The start will fail.")
            }
        }
        ApiError::Stale => "The service has moved on meanwhile. Look at it again.".to_owned(),
        ApiError::ReadOnly { name } => {
            format!("{name} is set by a flag or the environment of Services. Change it there.")
        }
        ApiError::NotOurs { container } => format!(
            "The container {container} was not created by Services. Change its command where it was created."
        ),
        ApiError::File { detail } => format!("services.toml could not be changed: {detail}"),
        ApiError::NoImage => "This service has no image that could be pulled.".to_owned(),
        ApiError::Image { detail } => detail.clone(),
        ApiError::InFile { name } => format!("{name} is set in services.toml. Change it there."),
        ApiError::Refused { detail } => format!("The engine refused: {detail}"),
        ApiError::PortClash { port, with } => {
            format!("Port {port} belongs to {with}, which runs. Stop it, or choose another port.")
        }
        ApiError::SignedOut => "You are signed out. Reload the page to sign in.".to_owned(),
        ApiError::Forbidden { needs } => format!("This takes the role {}.", needs.as_str()),
        ApiError::Busy => {
            "The service is still busy with earlier commands. Wait a moment and try again.".to_owned()
        }
        ApiError::Transport { detail } => format!("The command did not get through: {detail}. Try again."),
    },

    pull_image: "Pull image",
    pull: "Pull",
    cancel_pull: "Cancel pull",
    layers: "Layers",
    layer_stage: |stage| match stage {
        LayerStage::Waiting => "waiting",
        LayerStage::Downloading => "downloading",
        LayerStage::Downloaded => "downloaded",
        LayerStage::Extracting => "unpacking",
        LayerStage::Done => "done",
        LayerStage::Exists => "here already",
    },
    bytes_of: |done, total| bytes_of(done, total, '.', ["MiB", "GiB"], "of"),
    pull_progress: |pull| {
        if pull.layers.is_empty() {
            return "Asking the registry…".to_owned();
        }
        let mut parts = Vec::new();
        let fetched = pull.total_bytes > 0 && pull.done_bytes >= pull.total_bytes && pull.unknown_layers == 0;
        if fetched {
            let done = pull
                .layers
                .iter()
                .filter(|l| matches!(l.stage, LayerStage::Done | LayerStage::Exists))
                .count();
            parts.push(format!("Unpacking, {done} of {} layers", pull.layers.len()));
        }
        parts.push(bytes_of(pull.done_bytes, pull.total_bytes, '.', ["MiB", "GiB"], "of"));
        match pull.unknown_layers {
            0 => {}
            1 => parts.push("1 layer of unknown size to come".to_owned()),
            n => parts.push(format!("{n} layers of unknown size to come")),
        }
        if let Some(speed) = pull.bytes_per_s {
            parts.push(format!("{} MiB/s", mib(speed, '.')));
        }
        if let Some(left) = pull.left_s.filter(|_| !fetched) {
            parts.push(match left {
                0..90 => format!("about {left} s left"),
                _ => format!("about {} min left", (left + 30) / 60),
            });
        }
        parts.join(" · ")
    },
    pull_outcome: |state| match state {
        PullState::Running => said("", ""),
        PullState::Done { changed: true, .. } => said("Pulled: a new image is here.", ""),
        PullState::Done { changed: false, .. } => said("Pulled: it is the image that was here already.", ""),
        PullState::Failed { why, .. } => pull_failure(why),
        PullState::Cancelled { .. } => said("Cancelled. Nothing was changed.", ""),
        PullState::Interrupted => said(
            "The pull was interrupted when Services ended.",
            "Nothing was changed; Pull image begins anew.",
        ),
    },
    pull_failure,
    older_image: "The container runs an older image than the one that was pulled.",
    older_image_adopted: "The container runs an older image than the one that was pulled. Services did not create it: create it anew where it was made.",
    renew: "Restart on the new image",
    newer_exists: "A newer image exists at the registry. Pull image fetches it.",
    newest: |at| format!("The image is the newest (asked {at})."),
    newer_unknown: "Whether a newer image exists could not be found out.",
    kept_image: |id| format!("The image before ({}) is kept.", short_id(id)),
    back_to_image: "Back to the image before",
    remove_image_before: "Remove the image before",
    check_newer: "Check for a newer image",
    checking: "Asking the registry…",

    restarts: |it, in_s| match in_s {
        Some(seconds) => format!(
            "It starts again by itself in {seconds} s (failure {} of {} within {}).",
            it.failures,
            it.budget,
            window(it.window_s)
        ),
        None => format!(
            "It failed {} times within {} and is not started again by itself. Start tries at any time.",
            it.failures,
            window(it.window_s)
        ),
    },
    budget_resets: |at| format!("The budget of failures is whole again at {at}."),
    own_policy: |policy| {
        format!(
            "The engine restarts this container by itself ({policy}): also when its configuration is broken."
        )
    },
    take_policy: "Let Services do it",
    boot_missing: |status| match status {
        BootStatus::NotInstalled => {
            "Services itself is not started with this machine: “server install” writes the unit that does it."
        }
        BootStatus::NotEnabled => {
            "Services itself is not started with this machine: its unit is written, and not enabled."
        }
        BootStatus::Unknown | BootStatus::Installed => "",
    },
    pending: "Saved settings apply at the next start",
    running_now: "Runs with",
    next_start: "Next start",
    unhealthy: |why| format!("Its health check fails: {why}"),

    details: "Details",
    runtime: "Runs in",
    runtime_name: |kind| match kind {
        RuntimeKind::Docker => "a container",
        RuntimeKind::Process => "a process",
        RuntimeKind::Systemd => "systemd",
        RuntimeKind::Demo => "the demo",
    },
    container: "Container",
    container_id: "Container ID",
    adopted: "adopted as it is",
    created_here: "created by Services",
    restart_policy: "Restart policy",
    restart_policy_hint: "The engine restarts it by itself, beside Services",
    image: "Image",
    api_address: "API address",
    served_models: "Served models",
    adapters: "LoRA adapters",
    version: "vLLM version",
    context_length: "Longest context",
    tokens: |count| if count == 1 { "1 token".to_owned() } else { format!("{} tokens", number(count)) },
    run: "Run",
    project: "Compose project",
    configuration: "Configuration",

    gpus: "GPUs",
    gpu_status,
    gpu_state: |state| match state {
        GpuState::Ok => "",
        GpuState::Suspended => "asleep; it is not woken to be read",
        GpuState::Lost => "lost: it fell off the bus or needs a reset",
    },
    utilisation: |percent| format!("{percent}% busy"),
    temperature: |degrees| format!("{degrees} °C"),
    power: |now, limit| match limit {
        Some(limit) => format!("{} of {} W", watts(now), watts(limit)),
        None => format!("{} W", watts(now)),
    },
    gpu_process: |it| match &it.name {
        Some(name) => format!("{name} (PID {})", it.pid),
        None => format!("PID {}", it.pid),
    },
    others: "others",
    memory_holders: "Who holds its memory",
    gpu: |index| format!("GPU {index}"),
    found: "Found on this machine",
    found_hint: "Containers of a vLLM image that Services does not manage yet. Adopting changes nothing in them.",
    adopt: "Adopt",
    running_mark: "Running",
    stopped_mark: "Stopped",
    port: |port| format!("port {port}"),
    no_port: "no port published",
    foreign: "Processes that serve a model, started elsewhere. Services only shows them.",
    pid: |pid| format!("PID {pid}"),

    logs: "Logs",
    levels: "Levels",
    other: "Other",
    search_logs: "Search logs",
    follow: "Follow",
    download: "Download",
    waiting: |count| format!("{} new", number(count)),
    gap: |count| match count {
        Some(1) => "1 line skipped".to_owned(),
        Some(count) => format!("{} lines skipped", number(count)),
        None => "Lines skipped; how many is not known".to_owned(),
    },
    run_started: |run, time| {
        if time.is_empty() { format!("Run {run}") } else { format!("Run {run} started {time}") }
    },
    earlier: |count| {
        if count == 1 { "1 earlier line".to_owned() } else { format!("{} earlier lines", number(count)) }
    },
    load_earlier: "Load earlier lines",
    no_lines: "No lines yet. What the service writes appears here as it happens.",
    no_match: "No line matches the search and the levels.",
    more_text: |count| format!("… {} more characters", number(count)),
    whole_line: |bytes| format!("… whole line ({} bytes)", number(bytes)),
    more_lines: |count| {
        if count == 1 { "1 more line".to_owned() } else { format!("{} more lines", number(count)) }
    },
    matches: |count, at| match (count, at) {
        (_, Some(at)) => format!("{} of {}", number(at), number(count)),
        (0, _) => "No match".to_owned(),
        (1, _) => "1 match".to_owned(),
        (count, _) => format!("{} matches", number(count)),
    },
    hidden: |count| format!("{} hidden", number(count)),
    fetch_missing: "Fetch them",
    missing_lost: "; they cannot be had any more",
    utc: "UTC",
    number,
};

fn window(seconds: u64) -> String {
    if seconds.is_multiple_of(60) { format!("{} min", seconds / 60) } else { format!("{seconds} s") }
}

fn under_way(requests: u32, end: &str) -> String {
    match requests {
        1 => format!("1 request is running. {end} ends it."),
        n => format!("{} requests are running. {end} ends them.", number(n.into())),
    }
}

fn number(number: u64) -> String {
    group(number, ",", 4)
}

/// Processes by name and PID, with the GPU memory that each holds.
fn left_behind(all: &[Remnant]) -> String {
    let names: Vec<_> = all
        .iter()
        .map(|r| {
            let held = r.memory_bytes.map(|b| format!(", {} GiB", gib_tenths(b, '.'))).unwrap_or_default();
            format!("{} (PID {}{held})", r.name, r.pid)
        })
        .collect();
    names.join(", ")
}

fn duration(seconds: u64) -> String {
    match seconds / 86_400 {
        0 => clock(seconds),
        days => format!("{days} d {}", clock(seconds % 86_400)),
    }
}

const fn state(state: &State) -> &'static str {
    match state {
        State::Stopped { .. } => "Stopped",
        State::Starting { .. } => "Starting",
        State::Running { .. } => "Running",
        State::Unresponsive { .. } => "Unresponsive",
        State::Stopping { .. } => "Stopping",
        State::Failed { .. } => "Failed",
        State::Unreachable { .. } => "Unreachable",
    }
}

const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Pull => "Fetching the image",
        Phase::Create => "Creating it",
        Phase::Import => "Loading the program",
        Phase::Config => "Configuring and starting the engine",
        Phase::Download => "Downloading weights",
        Phase::Load => "Loading weights",
        Phase::Compile => "Compiling the model",
        Phase::KvCache => "Laying out the KV cache",
        Phase::Graphs => "Capturing CUDA graphs",
        Phase::Api => "Starting the API server",
        Phase::Ready => "Waiting for the health check",
    }
}

fn said(what: impl Into<String>, now: impl Into<String>) -> Said {
    Said { what: what.into(), now: now.into() }
}

fn sentence(service: &Service) -> Said {
    let address = service.api_url.as_deref();
    match &service.state {
        State::Stopped { note, .. } => stopped(service, note.as_ref()),
        State::Starting { .. } if service.kind == ServiceKind::Other => said("It is coming up.", ""),
        State::Running { .. } if service.kind == ServiceKind::Other => said("It runs.", ""),
        State::Starting { phase: at, progress, .. } => {
            let progress = progress.map(|p| {
                // Shards weigh about the same.
                let bytes = p.bytes.map(|all| {
                    let done = all / u64::from(p.total.max(1)) * u64::from(p.done);
                    format!(" ({} of {} GiB)", gib_tenths(done, '.'), gib_tenths(all, '.'))
                });
                format!(", {} of {}{}", p.done, p.total, bytes.unwrap_or_default())
            });
            let progress = progress.unwrap_or_default();
            said(format!("{}{progress}", phase(*at)), "")
        }
        State::Running { .. } => match address {
            Some(address) => said(format!("Ready to answer at {address}"), ""),
            None => said("Ready to answer", ""),
        },
        State::Unresponsive { .. } => said(
            format!(
                "It runs, but does not answer{}.",
                address.map(|a| format!(" at {a}")).unwrap_or_default()
            ),
            "Look at the log. Restart it if this lasts.",
        ),
        State::Stopping { .. } if service.wish == Wish::Running => {
            said("Asked to end; it starts again afterwards.", "")
        }
        State::Stopping { .. } => said("Asked to end. If it does not in time, it is killed.", ""),
        State::Failed { failure: it } => failure(&it.kind),
        State::Unreachable { reason }
            if service.runtime == RuntimeKind::Systemd && *reason != UnreachableReason::NotAskedYet =>
        {
            said("systemd cannot be asked.", "This page recovers by itself when its bus is back.")
        }
        State::Unreachable { reason } => unreachable(reason),
    }
}

fn stopped(service: &Service, note: Option<&StoppedNote>) -> Said {
    let from = service.image.as_deref().map(|image| format!(" from {image}")).unwrap_or_default();
    match note {
        None => said("Start brings it up.", ""),
        Some(StoppedNote::EndedWhileAway { code }) => {
            said(format!("It exited ({code}) while Services was away."), "")
        }
        Some(StoppedNote::StoppedOutside) => said("Somebody stopped it from outside.", ""),
        Some(StoppedNote::NeverStarted) => said("Created, never started.", ""),
        Some(StoppedNote::NotCreated) => match service.runtime {
            RuntimeKind::Docker if service.kind == ServiceKind::Other => {
                said("There is no such container.", "Services takes it as it is once it exists.")
            }
            RuntimeKind::Docker => said(format!("No container yet. Start creates one{from}."), ""),
            RuntimeKind::Process | RuntimeKind::Demo => said("Never started here. Start runs it.", ""),
            RuntimeKind::Systemd => said("systemd knows no such unit.", "Check its name in services.toml."),
        },
        Some(StoppedNote::Removed) => {
            said(format!("Its container was removed. Start creates it again{from}."), "")
        }
    }
}

fn failure(kind: &FailureKind) -> Said {
    match kind {
        FailureKind::Exited { code, was_ready: true } => said(
            format!("It ended by itself with exit code {code}, after it had been ready."),
            "The log shows its last words. Start brings it back.",
        ),
        FailureKind::Exited { code, was_ready: false } => said(
            format!("It ended with exit code {code} before it was ready."),
            "The log shows why. Start tries again.",
        ),
        FailureKind::Killed { signal } => {
            let name = match signal {
                6 => " (SIGABRT)",
                9 => " (SIGKILL)",
                11 => " (SIGSEGV)",
                15 => " (SIGTERM)",
                _ => "",
            };
            said(
                format!("Killed from outside by signal {signal}{name}."),
                "Services did not ask for that. Start brings it back.",
            )
        }
        FailureKind::OutOfMemory => said(
            "The kernel ended it: the machine ran out of memory.",
            "Free memory or choose a smaller model, then Start.",
        ),
        FailureKind::ImageMissing { image } => {
            said(format!("The image {image} is not on this machine."), "Pull image fetches it; then Start.")
        }
        FailureKind::PortInUse { port, by } => said(
            format!("Port {port} is taken by {}.", holder(by)),
            "Stop that, or choose another port in VLLM_API_URL.",
        ),
        FailureKind::ModelNotSet => {
            said("No model is chosen.", "Set VLLM_MODEL to a Hugging Face id or a folder, then Start.")
        }
        FailureKind::NotThere { name } => said(
            format!("{name} is not there."),
            "Services starts what exists and creates nothing here. Create it, or correct its name in services.toml.",
        ),
        FailureKind::CommandMissing { command } => said(
            format!("The command {command} is not on the PATH."),
            "Install it, or let vLLM run in Docker (VLLM_RUNTIME=docker).",
        ),
        FailureKind::Refused { action, detail } => {
            let asked = match action.as_str() {
                "create" => "create it",
                "start" => "start it",
                "stop" => "stop it",
                "remove" => "remove it",
                other => other,
            };
            said(format!("The engine refused to {asked}: {detail}"), "")
        }
        FailureKind::WontStop => said(
            "It did not end although it was killed.",
            "The machine may wait for a device. Stop tries again.",
        ),
    }
}

fn pull_failure(why: &PullFailure) -> Said {
    match why {
        PullFailure::NoSuchTag => {
            said("There is no tag of this name at the registry.", "Check VLLM_IMAGE in the configuration.")
        }
        PullFailure::Denied => said(
            "The registry refused: the image needs a login, or does not exist.",
            "“docker login” as the user of Services gives it one.",
        ),
        PullFailure::RateLimit => said(
            "The registry limits how often images may be pulled, and the limit is reached.",
            "Try again later, or log in with “docker login”.",
        ),
        PullFailure::RegistryAway { detail } => {
            said(format!("The registry cannot be reached: {detail}"), "Try again when it is back.")
        }
        PullFailure::NoSpace { needed_bytes, free_bytes } => {
            let gib = |b: u64| format!("{} GiB", gib_tenths(b, '.'));
            let needed = needed_bytes.map(|b| format!(", {} still to download", gib(b))).unwrap_or_default();
            let free = free_bytes.map(|b| format!(", {} free", gib(b))).unwrap_or_default();
            said(
                format!("No space is left on the disk{needed}{free}."),
                "Remove what is not used under Images.",
            )
        }
        PullFailure::EngineAway => {
            said("The pull was interrupted: the Docker engine went away.", "Pull image begins anew.")
        }
        PullFailure::Other { detail } => said(format!("The pull failed: {detail}"), ""),
    }
}

fn unreachable(reason: &UnreachableReason) -> Said {
    const BACK: &str = "This page recovers by itself when it is back.";
    match reason {
        UnreachableReason::NoSocket { address } => said(
            format!("There is no Docker engine at {address}."),
            "Start Docker or Podman, or set DOCKER_HOST. This page recovers by itself.",
        ),
        UnreachableReason::Refused { address } => {
            said(format!("Nobody answers at {address}. Is the engine running?"), BACK)
        }
        UnreachableReason::Denied { address } => said(
            format!("Services may not open {address}."),
            "Let its user into the group that owns the socket, then restart Services.",
        ),
        UnreachableReason::Forbidden { question } => said(
            format!("The engine's proxy does not allow {question}."),
            "Let it through: docs/LEAST-POWER.md lists what Services asks.",
        ),
        UnreachableReason::Timeout { address, seconds } => {
            said(format!("{address} did not answer within {seconds} s."), BACK)
        }
        UnreachableReason::Garbage { detail } => {
            said(format!("What answers is not understood as a Docker engine: {detail}"), "Check DOCKER_HOST.")
        }
        UnreachableReason::NotAskedYet => {
            said("Services has just started and has not heard from the engine yet.", "")
        }
    }
}

fn verdict(plan: &MemoryPlan) -> String {
    let gib = |bytes| format!("{} GiB", gib_tenths(bytes, '.'));
    let times = |percent: u64| format!("{}.{}", percent / 100, percent % 100 / 10);
    match &plan.verdict {
        Verdict::Fits => {
            let at_once =
                plan.concurrency_percent.map(|c| format!(", {} at once", times(c))).unwrap_or_default();
            format!("It fits: requests of {} tokens{at_once}.", number(plan.context_tokens))
        }
        Verdict::FitsShorter { longest_tokens } => format!(
            "It fits only with requests of at most {} tokens; {} are asked for.",
            number(*longest_tokens),
            number(plan.context_tokens)
        ),
        Verdict::DoesNotFit { short_bytes, share_percent } => {
            let share = share_percent.map(|p| format!(" A share of 0.{p:02} would do.")).unwrap_or_default();
            format!("It does not fit: {} are missing.{share}", gib(*short_bytes))
        }
        Verdict::HeldByOthers { short_bytes } => {
            format!("It would fit, but others hold the GPU's memory: {} are missing.", gib(*short_bytes))
        }
        Verdict::NoGpu => {
            format!(
                "It needs about {} of GPU memory and its cache.",
                gib(plan.weights_bytes + plan.overhead_bytes)
            )
        }
    }
}

const fn watts(milliwatts: u64) -> u64 {
    (milliwatts + 500) / 1000
}

fn gpu_status(status: &GpuStatus) -> Said {
    match status {
        GpuStatus::Ok | GpuStatus::NoDriver => said("No GPU is visible here.", "vLLM on a CPU needs none."),
        GpuStatus::NoGpu => said(
            "The GPU driver is here and sees no device.",
            "Is it switched off in the BIOS, or handed to a virtual machine?",
        ),
        GpuStatus::Mismatch => said(
            "The GPU driver was updated, and the old one is still loaded.",
            "Restart the machine, or reload the driver's kernel module.",
        ),
        GpuStatus::Denied => said("Services may not read the GPUs.", "Give its user access to /dev/nvidia*."),
        GpuStatus::Error { detail } => said(format!("The GPU driver fails: {detail}"), ""),
    }
}

fn holder(holder: &PortHolder) -> String {
    match holder {
        PortHolder::Ollama { version } => format!("Ollama {version}"),
        PortHolder::Vllm { version } => format!("another vLLM {version}"),
        PortHolder::Process { pid, name } => format!("{name} (PID {pid})"),
        PortHolder::Unknown => "something that does not say what it is".to_owned(),
    }
}
