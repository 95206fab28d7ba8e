//! English of the parts that the server alone writes.

use super::{WORDS, gib_tenths, mib, number, tenths};
use crate::locales::PartWords;
use crate::model::*;
use crate::parts::moment;
use crate::parts::view::{FateView, Fit, LeftOut, Misread, Pace, Remark, Token, Trouble};

pub(crate) static PARTS: PartWords = PartWords {
    configuration: "Configuration",
    save: "Save",
    saved: |running| if running { "Saved. It applies at the next start." } else { "Saved." },
    unchanged: "Nothing was different: nothing was saved.",
    conflict: "Somebody changed the settings since this form was opened. Nothing of yours was saved. What was changed meanwhile:",
    wrong: "Not saved. What is wrong is named below.",
    filled: "Filled in, not saved yet. Look at the changes below, then Save.",
    left_out: "Not taken over:",
    why_left_out: |why| match why {
        LeftOut::Handled => "Services does this itself",
        LeftOut::HostMount => "only caches and folders named in services.toml are seen inside",
        LeftOut::ModelMoved => "VLLM_MODEL names the folder as it is on this machine",
        LeftOut::OtherCache => "another cache than ours: what lies there is fetched again",
        LeftOut::Power => "containers get no power over the machine",
        LeftOut::Restart => "only Services restarts (Auto-start)",
        LeftOut::Variable => "a variable without a field",
        LeftOut::ValueElsewhere => "its value stands in another place: write it into the field",
        LeftOut::LoopbackOnly => "published on this machine alone",
        LeftOut::Gpus => "which GPUs are meant is not clear",
        LeftOut::Overridden => "a later one overrides it",
        LeftOut::NoField => "there is no field for it",
    },
    misread,
    help: |field| match field {
        "VLLM_API_URL" => {
            "Where the API is asked; its port is the one that is published, on this machine alone."
        }
        "VLLM_MODEL_NAME" => "The name it is served under, or the LoRA adapter's.",
        "CUDA_VISIBLE_DEVICES" => "GPUs by index or UUID, several with commas; all or none.",
        "GPU_MEMORY_UTILIZATION" => "The share of each GPU's memory, more than 0, at most 1.",
        "VLLM_MODEL" => "The weights: a Hugging Face id, or a folder that services.toml lets in.",
        "--max-model-len" => {
            "The longest request in tokens, such as 8192 or 8k. Empty: what the model allows."
        }
        "--quantization" => "Empty: as the model's own files say.",
        "--tensor-parallel-size" => "How many GPUs share one copy of the model.",
        "--dtype" => "Empty: as the model's own files say.",
        "--lora-modules" => "NAME=PATH or NAME=ORG/REPOSITORY, separated by spaces.",
        "args" => "Further arguments of vllm serve, as on a command line.",
        "VLLM_IMAGE" => "Image and tag. Pull image fetches it.",
        "HF_HOME" => "The Hugging Face cache on this machine. Empty: the one in the home folder.",
        "HF_TOKEN" => "For models that need a login. Written, never shown.",
        "VLLM_API_KEY" => "The key that clients must send. Written, never shown.",
        _ => "",
    },
    allowed: |field| match field {
        "VLLM_API_URL" => {
            "http://HOST:PORT, such as http://localhost:11434; never a link-local address or a metadata service of a cloud"
        }
        "CUDA_VISIBLE_DEVICES" => "indices such as 0 or 0,1, UUIDs such as GPU-…, all or none",
        "GPU_MEMORY_UTILIZATION" => "a number greater than 0 and at most 1, such as 0.5",
        "VLLM_IMAGE" => "[REGISTRY/]NAME[:TAG], such as vllm/vllm-openai:latest",
        "VLLM_MODEL" | "VLLM_MODEL_NAME" => "1 to 512 characters, not beginning with “-”",
        "--max-model-len" => "a number of tokens, such as 8192 or 8k",
        "--tensor-parallel-size" => "a number of GPUs from 1 to 1024",
        "--quantization" | "--dtype" => "letters, digits, “_”, “-” and “.”",
        "--lora-modules" => "NAME=PATH or NAME=ORG/REPOSITORY, separated by spaces",
        "HF_HOME" => "the absolute path of a folder for data",
        "HF_TOKEN" | "VLLM_API_KEY" => "printable ASCII characters without spaces",
        _ => "",
    },
    trouble,
    remark,
    error: WORDS.error,
    label: |name| match name {
        "args" => "Extra arguments",
        other => other,
    },
    more_settings: "More settings",
    default_is: |default| format!("Default: {default}."),
    set_by: |origin| match origin {
        Origin::Flag => "set by a flag: change it there",
        Origin::Environment => "set by the environment: change it there",
        Origin::File => "services.toml",
        Origin::Adopted => "adopted",
        Origin::Default => "default",
    },
    secret_set: "set, not shown",
    secret_not_set: "not set",
    secret_keep: "unchanged",
    secret_remove: "Remove it",
    changes: "Saving changes:",
    was: "Now",
    will_be: "Then",
    nothing: "–",
    secret_changed: |_| "a new value, not shown".to_owned(),
    command: "The exact command",
    plan: WORDS.verdict,
    paste: "Fill in from a command",
    paste_hint: "Paste a “vllm serve …” or “docker run …” command. Nothing of it is run.",
    fill: "Fill in",
    history: "Earlier settings",
    history_empty: "None yet: what is saved or started here is listed with who and when.",
    back_to_good: "Back to the last that became ready",
    restore: "Restore",
    when: "When",
    who: "Who",
    became_ready: |at| format!("became ready {at}"),
    current: "in force",
    first_seen: "first seen",
    adopted: "This container was adopted as it is. These settings apply once Services creates a container of its own.",
    who_name: |who| match who {
        "local" => "from the page".to_owned(),
        "file" => "in services.toml or the environment".to_owned(),
        other => other.to_owned(),
    },

    models: "Supported models",
    models_for: |title, device, share| {
        format!("Computed for {title} on {device} with a share of {share}. Each figure says what it is.")
    },
    models_no_gpu: "No GPU can be read here: whether a model fits is not known.",
    model: "Model",
    size: "Size",
    vram: "VRAM",
    speed: "Speed",
    fit: "Fits",
    disk: "Disk",
    use_it: "Use",
    in_use: "in use",
    billions: |n| {
        if n >= 1_000_000_000 {
            format!("{}B", tenths(u32::try_from(n / 100_000_000).unwrap_or(u32::MAX), '.'))
        } else {
            format!("{}M", n / 1_000_000)
        }
    },
    estimated: "estimate",
    published: "published",
    published_gb: |gb| format!("~{gb} GB, published"),
    measured: |at| format!("measured here on {at}"),
    pace: |pace| match pace {
        Pace::Fast => "Fast",
        Pace::Medium => "Medium",
        Pace::Slow => "Slow",
    },
    tokens_per_s: |low, high| {
        if low == high {
            format!("{} tokens/s", number(low / 10))
        } else {
            format!("{} to {} tokens/s", number(low / 10), number(high / 10))
        }
    },
    fits: |fit| match fit {
        Fit::Fits => "Fits".to_owned(),
        Fit::Shorter(tokens) => format!("Fits with a shorter context: {} tokens", number(*tokens)),
        Fit::Not(short, share) => {
            let share = share.map(|p| format!("; a share of 0.{p:02} would do")).unwrap_or_default();
            format!("Does not fit: {} GiB missing{share}", gib_tenths(*short, '.'))
        }
        Fit::Held(short) => format!("Would fit; others hold {} GiB too much", gib_tenths(*short, '.')),
        Fit::NoGpu => "no GPU".to_owned(),
        Fit::Unknown => "not known".to_owned(),
    },
    at_context: |tokens| format!("at {} tokens", number(tokens)),
    token: |token| match token {
        Token::NotNeeded => "",
        Token::Needed => "needs HF_TOKEN",
        Token::Unknown => "",
    },
    adapter_of: |base| format!("LoRA adapter of {base}"),
    incomplete: "incomplete",
    free: |bytes| format!("{} GiB free", gib_tenths(bytes, '.')),
    freed: |bytes| format!("Removed: {} GiB are free again.", gib_tenths(bytes, '.')),

    images: "Images",
    images_away: "The Docker engine cannot be asked now.",
    images_none: "No image yet. Pull image fetches one.",
    image: "Image",
    built: "Built",
    used_by: "In use by",
    nobody: "nobody",
    untagged: "no name",
    remove: "Remove",
    prune: |count, bytes| {
        let what = if count == 1 { "1 unused image".to_owned() } else { format!("{count} unused images") };
        format!("Remove {what} (up to {} GiB)", gib_tenths(bytes, '.'))
    },
    ask_remove: |name, bytes| {
        format!(
            "Remove {name}? It frees up to {} GiB and must be downloaded again to be used.",
            gib_tenths(bytes, '.')
        )
    },
    ask_prune: |names, bytes| {
        format!("Remove {}? That frees up to {} GiB.", names.join(", "), gib_tenths(bytes, '.'))
    },
    remove_now: "Remove",
    cancel: "Cancel",
    gib: |bytes| format!("{} GiB", gib_tenths(bytes, '.')),
    refused: |detail| format!("Not removed: {detail}"),

    search: "Search",
    search_all_runs: "All runs…",
    search_everywhere: "Search on the server, in all runs or in one",
    search_download: "Download the found lines",
    download_json: "Download as JSON lines",
    search_title: |service| format!("Search in the logs of {service}"),
    search_back: "Back to the service",
    search_text: "Text",
    search_in: "In",
    search_current: "the current run",
    search_all: "all runs",
    search_run: |run, started| match started {
        Some(started) => format!("run {run} of {}", moment(started)),
        None => format!("run {run}"),
    },
    search_regex: "Regular expression",
    search_levels: "Levels",
    search_other: "without level",
    search_context: "Lines around each hit",
    search_narrow: "Time, stream, source",
    search_pipe: "Stream",
    search_both: "both",
    search_source: "Source",
    search_from: "From",
    search_to: "To",
    search_place: |run, seq| format!("Run {run}, line {}", number(seq)),
    search_previous: "Previous hit",
    search_next: "Next hit",
    search_far: |it| {
        let found = match (it.matches, it.done) {
            (0, true) => "Nothing found".to_owned(),
            (1, _) => "1 line found".to_owned(),
            (n, _) => format!("{} lines found", number(n)),
        };
        let seconds = match it.took_ms {
            ms @ ..1000 => format!("{ms} ms"),
            ms => format!("{} s", tenths(u32::try_from(ms / 100).unwrap_or(u32::MAX), '.')),
        };
        let size = match it.bytes {
            bytes @ ..10_000_000 => format!("{} kB", number(bytes.div_ceil(1000))),
            bytes => format!("{} MB", number(bytes / 1_000_000)),
        };
        if it.done {
            format!("{found}. {} lines, {size} searched in {seconds}.", number(it.lines))
        } else {
            format!("{found} so far. Searching: {} of {} lines.", number(it.lines), number(it.of_lines))
        }
    },
    search_shown: |shown| format!("The latest {} are shown; narrow the search to see others.", number(shown)),
    search_damaged: |blocks| {
        format!("{blocks} blocks of the log could not be read: what is in them is missing here.")
    },
    search_left_out: |runs| format!("{runs} older runs were not searched."),
    search_timeline: "Found lines over time",
    search_timeline_hint: "Found lines over time, per level. Choose a bar to search within it.",
    search_bar: |from, to, lines| {
        let lines = if lines == 1 { "1 line".to_owned() } else { format!("{} lines", number(lines)) };
        format!("{from} to {to}: {lines}")
    },

    runs: "Runs",
    runs_none: "No run yet. Each start is listed here with its time, its length and how it ended.",
    runs_compare: "Compare the two chosen",
    runs_not_two: "Choose exactly two runs to compare.",
    runs_older: "Older",
    runs_newest: "Newest",
    run: "Run",
    run_n: |run| format!("Run {run}"),
    run_open: "Open its log beside the live one",
    run_choose: "Choose",
    run_with_before: "Compare with the one before",
    run_started: "Started",
    run_length: "Length",
    run_outcome: "How it ended",
    run_exit: "Exit code",
    run_ready: "Ready after",
    run_log: "Log",
    run_lines: |lines| if lines == 1 { "1 line".to_owned() } else { format!("{} lines", number(lines)) },
    run_bytes: |bytes| size(bytes),
    run_code: |code| format!("exit code {code}"),
    run_live: "Goes on",
    run_failed: "Failed",
    run_stopped: |note| match note {
        None => "Stopped".to_owned(),
        Some(StoppedNote::EndedWhileAway { code }) => format!("Exited ({code}) while Services was away"),
        Some(StoppedNote::StoppedOutside) => "Stopped from outside".to_owned(),
        Some(StoppedNote::Removed) => "Its container was removed".to_owned(),
        Some(StoppedNote::NeverStarted | StoppedNote::NotCreated) => "Never ran".to_owned(),
    },
    run_unseen: "Nobody saw its end",
    run_beside: |a, b| format!("Run {a} beside run {b}"),
    run_settings_same: "Both were launched with the same settings.",
    run_settings_unknown: "The settings of one of them are not known: it was not launched from here, or by an earlier version.",
    run_phases_unknown: "The phases of their starts are not known.",
    run_whole: "In all",
    run_difference: "Difference",
    run_same: "the same",
    run_close: "Close the comparison",

    requests_hint: "What the log says of single requests, put together by their ids.",
    requests_read: "Read the log",
    requests_again: "Read it again",
    requests_no_run: "The log of this run is not at hand.",
    requests_none: "This log says nothing of requests. vLLM writes about each with --enable-log-requests, and how it ended with --enable-log-outputs, too: then also what is answered.",
    requests_no_ends: "This log does not tell when a request ended. With --enable-log-outputs vLLM writes that, and what is answered.",
    requests_of: |run, shown, all| {
        if shown == all {
            format!("Run {run}: {} requests, the latest first.", number(all))
        } else {
            format!("Run {run}: the latest {} of {} requests.", number(shown), number(all))
        }
    },
    request: "Request",
    request_open: "Show its first line in the log",
    request_at: "Received",
    request_state: "State",
    request_took: "Took",
    request_tokens: "Tokens",
    request_parameters: "Parameters",
    request_in_out: |prompt, output| {
        let count = |n: Option<u64>| n.map_or_else(|| "–".to_owned(), number);
        match (prompt, output) {
            (None, None) => "–".to_owned(),
            _ => format!("{} in, {} out", count(prompt), count(output)),
        }
    },
    request_fate: |fate, live, ends| match fate {
        FateView::Received | FateView::Added if live && ends => "Running".to_owned(),
        FateView::Received | FateView::Added => "Its end is not told".to_owned(),
        FateView::Finished(None) => "Finished".to_owned(),
        FateView::Finished(Some(reason)) => format!("Finished: {reason}"),
        FateView::Aborted => "Aborted".to_owned(),
        FateView::Failed(why) => format!("Not answered: {why}"),
    },

    link_to_line: "Link to this line",
    previous_match: "Previous match",
    next_match: "Next match",
    only_matches: "Only matches",
    lowest_level: "Lowest level",
    all_levels: "All levels",
    and_above: |level| format!("{level} and above"),
    chosen_levels: "Chosen levels",
    pipes: "Pipes",
    probes: "Probes",
    probes_hint: "Access lines of health checks and metrics",
    view: "View",
    wrap_lines: "Wrap long lines",
    compact_rows: "Compact rows",
    fold_lines: "Fold lines of one kind",
    times: "Times",
    time_of_day: "Time of day",
    time_since: "Since the start",
    time_none: "None",
    first_line: "First line",
    last_line: "Last line",
    previous_error: "Previous error",
    next_error: "Next error",
    log_keys: &[
        ("/", "search"),
        ("Enter Shift+Enter", "next, previous match, in the search"),
        ("n N", "next, previous match"),
        ("e E", "next, previous error"),
        ("Home End", "first, last line"),
        ("Shift+↑ Shift+↓", "select lines"),
        ("Ctrl+A Ctrl+C", "select all, copy"),
        ("Enter", "unfold, fold the selected line"),
        ("Esc", "select nothing"),
    ],
    close: "Close",
    pane_started: |at| format!("started {at}"),
    run_missing: "The lines of this run are not kept any more.",
    position: "Position in the run",
    jump_to_time: "Jump to a time",
};

/// Bytes on the disk.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        1_048_576..1_073_741_824 => format!("{} MiB", mib(bytes, '.')),
        _ => format!("{} GiB", gib_tenths(bytes, '.')),
    }
}

fn misread(why: &Misread) -> String {
    match why {
        Misread::Nothing => "This is no “vllm serve …” and no “docker run …” of a vLLM image.".to_owned(),
        Misread::Unclosed => "A quote does not close.".to_owned(),
        Misread::Shell(what) => {
            format!("“{what}” is for a shell, and there is none here: write the value itself.")
        }
        Misread::Program(name) => format!("“{name}” is another program than vllm, docker or podman."),
        Misread::Missing(what) => format!("Something is missing: {what}."),
    }
}

fn trouble(it: &Trouble) -> String {
    match it {
        Trouble::Value { field, allowed } => {
            let own = (PARTS.allowed)(field);
            format!("{field}: allowed is {}", if own.is_empty() { allowed.as_str() } else { own })
        }
        Trouble::ReadOnly(field) => format!("{field} is set by a flag or the environment: change it there."),
        Trouble::Folder { field, folder } => format!(
            "{field}: {folder} is not in a folder that services.toml lets in ([dashboard] folders = […])."
        ),
        Trouble::Source { field, value } => format!(
            "{field}: {value} is neither a Hugging Face repository (OWNER/NAME) nor an absolute path."
        ),
        Trouble::Uncontained(flag) => format!(
            "{flag} is not among the arguments that this page may give to a process, which runs with all rights of the user that runs Services. Set it in services.toml."
        ),
        Trouble::UncontainedValue(flag) => format!(
            "{flag} cannot have this value from this page: a process runs with all rights of the user that runs Services. Set it in services.toml."
        ),
        Trouble::Standing(flag) => {
            format!("{flag} is set in services.toml; its value can be changed only there.")
        }
        Trouble::Trusted(field) => format!(
            "{field} cannot change here while --trust-remote-code is set: the new model's code would run. Remove that flag first, or edit services.toml."
        ),
        Trouble::UnknownFlag { flag, nearest: Some(nearest) } => {
            format!("vLLM knows no {flag}. {nearest} perhaps?")
        }
        Trouble::UnknownFlag { flag, nearest: None } => format!("vLLM knows no {flag}."),
        Trouble::Owned { flag, field } => format!("{flag} has a field of its own: {field}."),
        Trouble::NoValue(flag) => format!("{flag} needs a value."),
        Trouble::ValueNotTaken(flag) => format!("{flag} is a switch and takes no value."),
        Trouble::OnlyPrints(flag) => format!("{flag} prints something and ends."),
        Trouble::Stray(word) => format!("“{word}” belongs to no argument."),
        Trouble::Words { field, why } => format!("{field}: {}", misread(why)),
        Trouble::PortOf { port, service } => format!("Port {port} belongs to the service {service}."),
        Trouble::NoSuchGpu(gpu) => format!("GPU {gpu} is not here."),
        Trouble::File(detail) => format!("services.toml is not taken: {detail}"),
    }
}

fn remark(it: &Remark) -> String {
    match it {
        Remark::LoadsCode(flag) => format!("{flag} lets code from elsewhere run in the engine."),
        Remark::OpensFiles(flag) => {
            format!("{flag} lets whoever asks the engine read files of this machine.")
        }
        Remark::TrustsRequests(flag) => format!("{flag} lets whoever asks the engine hand it templates."),
        Remark::ReadsSettings(flag) => {
            format!("{flag} reads further settings from a file, which is not checked here.")
        }
        Remark::MovesApi(flag) => format!("{flag} moves the API: Services may not find it."),
        Remark::LogsContents(flag) => format!("{flag} writes what is asked and answered into the log."),
        Remark::Outdated(flag) => format!("{flag} is known only to older versions of vLLM."),
        Remark::SeveralNames => "Several served names: Services asks for the first.".to_owned(),
        Remark::UnusualValue(flag) => format!("{flag}: vLLM may not know this value."),
        Remark::PortHeld { port, by } => format!("Port {port} is taken now by {}.", (WORDS.holder)(by)),
        Remark::Gpu(gpu) => format!(
            "GPU {}: {}, {} of {} GiB free",
            gpu.index,
            gpu.name,
            gib_tenths(gpu.free_bytes, '.'),
            gib_tenths(gpu.total_bytes, '.')
        ),
        Remark::GpuShared { index, service, percent } => {
            format!("GPU {index} is used by {service}, too: together they ask for {percent}% of its memory.")
        }
    }
}
