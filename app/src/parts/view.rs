//! What the server hands to the parts: plain values, no words for people.

use crate::api::ApiError;
use crate::components::log::LogView;
use crate::model::{
    Level, LevelCounts, Line, MemoryPlan, Origin, PendingChange, PortHolder, RunInfo, ServiceName, Timestamp,
};

/// The form of one service's settings.
#[derive(Clone, Debug, Default)]
pub struct SettingsView {
    /// The service.
    pub service: String,
    /// The values that the form was made from, as one text: whoever saves says what he saw.
    pub base: String,
    /// The fields, in their order.
    pub fields: Vec<FieldView>,
    /// The secrets.
    pub secrets: Vec<SecretView>,
    /// What happened just now.
    pub news: Option<News>,
    /// What the values come to.
    pub checked: CheckedView,
    /// Earlier settings, the latest first.
    pub history: Vec<HistoryView>,
    /// The container was not created here: the settings are not its own.
    pub adopted: bool,
    /// The devices of this machine.
    pub devices: Vec<DeviceView>,
    /// The text that was pasted, where it could not be read.
    pub pasted: String,
}

/// One field.
#[derive(Clone, Debug)]
pub struct FieldView {
    /// The variable or flag.
    pub name: &'static str,
    /// What is in it.
    pub value: String,
    /// What would be without it; empty for nothing.
    pub default: String,
    /// Where the value in force comes from.
    pub origin: Origin,
    /// A flag or the environment sets it.
    pub read_only: bool,
    /// Values to choose from, where they are known.
    pub choices: Vec<String>,
    /// It is wrong.
    pub wrong: bool,
}

/// A secret: whether there is one.
#[derive(Clone, Debug)]
pub struct SecretView {
    /// The variable.
    pub name: &'static str,
    /// There is one.
    pub set: bool,
    /// A flag or the environment sets it.
    pub read_only: bool,
    /// Where it comes from.
    pub origin: Origin,
}

/// A device to choose.
#[derive(Clone, Debug)]
pub struct DeviceView {
    /// Its index.
    pub index: u32,
    /// Its UUID.
    pub uuid: String,
    /// Its product name.
    pub name: String,
    /// Free memory, in bytes.
    pub free_bytes: u64,
    /// All of it, in bytes.
    pub total_bytes: u64,
}

/// What happened to a form.
#[derive(Clone, Debug)]
pub enum News {
    /// It was saved; whether the service must be started again for it.
    Saved {
        /// It runs with other settings.
        running: bool,
    },
    /// Nothing was different.
    Unchanged,
    /// Somebody else was faster: what he changed.
    Conflict {
        /// From what the form was made from to what is in force.
        changes: Vec<PendingChange>,
    },
    /// It was refused; the reasons are among what was checked.
    Wrong,
    /// It was refused as a whole.
    Refused(ApiError),
    /// It was filled in and not saved: from a model, a command or earlier settings.
    Filled {
        /// What was not taken over, and why.
        left_out: Vec<(String, LeftOut)>,
    },
    /// A pasted text is no command that is understood.
    NotUnderstood(Misread),
}

/// Why something of a pasted command was not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// Services does the same.
    Handled,
    /// A folder of this machine.
    HostMount,
    /// The model's folder is named as on this machine.
    ModelMoved,
    /// What lies in that cache is fetched again.
    OtherCache,
    /// Power over the machine: privileges, devices, the engine's socket, its network.
    Power,
    /// Only Services restarts.
    Restart,
    /// A variable without a field.
    Variable,
    /// The value stands elsewhere.
    ValueElsewhere,
    /// Published on this machine alone.
    LoopbackOnly,
    /// Which GPUs are meant is not clear.
    Gpus,
    /// A later one overrides it.
    Overridden,
    /// There is no field for it.
    NoField,
}

/// Why a pasted text was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misread {
    /// Nothing in it, or no command of vLLM.
    Nothing,
    /// A quote that does not close.
    Unclosed,
    /// Something that only a shell can do.
    Shell(String),
    /// Another program.
    Program(String),
    /// Something is missing.
    Missing(String),
}

/// What values come to.
#[derive(Clone, Debug, Default)]
pub struct CheckedView {
    /// What is wrong.
    pub troubles: Vec<Trouble>,
    /// What is worth knowing.
    pub remarks: Vec<Remark>,
    /// What saving changes.
    pub changes: Vec<PendingChange>,
    /// Secrets that change.
    pub secrets: Vec<String>,
    /// The exact command.
    pub command: Option<String>,
    /// Whether it fits.
    pub plan: Option<MemoryPlan>,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Its value is not allowed.
    Value {
        /// The field.
        field: String,
        /// What is, in the settings' own words.
        allowed: String,
    },
    /// A flag or the environment sets it.
    ReadOnly(String),
    /// A folder that is not let in.
    Folder {
        /// The field.
        field: String,
        /// The folder.
        folder: String,
    },
    /// Neither a repository nor an absolute path.
    Source {
        /// The field.
        field: String,
        /// The value.
        value: String,
    },
    /// A flag that a page may not give to a process.
    Uncontained(String),
    /// A flag that it may give, with a value that it may not.
    UncontainedValue(String),
    /// A dangerous flag that stands in the file, with another value.
    Standing(String),
    /// A field that may not change while `--trust-remote-code` stands.
    Trusted(String),
    /// vLLM knows no such flag.
    UnknownFlag {
        /// The flag.
        flag: String,
        /// What was probably meant.
        nearest: Option<String>,
    },
    /// A flag that has a field.
    Owned {
        /// The flag.
        flag: String,
        /// The field.
        field: &'static str,
    },
    /// A flag without its value.
    NoValue(String),
    /// A switch with a value.
    ValueNotTaken(String),
    /// A flag that only prints something.
    OnlyPrints(String),
    /// A word that belongs to nothing.
    Stray(String),
    /// Words that cannot be read: a quote, a shell's sign.
    Words {
        /// The field.
        field: String,
        /// Why not.
        why: Misread,
    },
    /// The port belongs to another service.
    PortOf {
        /// The port.
        port: u16,
        /// The service.
        service: String,
    },
    /// A device that is not here.
    NoSuchGpu(String),
    /// The file is not taken.
    File(String),
}

impl Trouble {
    /// The field that it is about.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Value { field, .. }
            | Self::Folder { field, .. }
            | Self::Source { field, .. }
            | Self::Words { field, .. }
            | Self::ReadOnly(field)
            | Self::Trusted(field) => Some(field),
            Self::UnknownFlag { .. }
            | Self::Owned { .. }
            | Self::NoValue(_)
            | Self::ValueNotTaken(_)
            | Self::OnlyPrints(_)
            | Self::Uncontained(_)
            | Self::UncontainedValue(_)
            | Self::Standing(_)
            | Self::Stray(_) => Some("args"),
            Self::PortOf { .. } => Some("VLLM_API_URL"),
            Self::NoSuchGpu(_) => Some("CUDA_VISIBLE_DEVICES"),
            Self::File(_) => None,
        }
    }
}

/// What is worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// Code from elsewhere runs in the engine.
    LoadsCode(String),
    /// Whoever may ask the engine can read files.
    OpensFiles(String),
    /// Whoever may ask the engine can hand it templates.
    TrustsRequests(String),
    /// Further settings come from a file.
    ReadsSettings(String),
    /// The API is not where the dashboard asks.
    MovesApi(String),
    /// What is asked is written to the log.
    LogsContents(String),
    /// Only older versions have it.
    Outdated(String),
    /// Several names.
    SeveralNames,
    /// A value that vLLM may not know.
    UnusualValue(String),
    /// Something else listens on the port now.
    PortHeld {
        /// The port.
        port: u16,
        /// Who.
        by: PortHolder,
    },
    /// The chosen devices with their free memory.
    Gpu(ChosenDevice),
    /// Another service that runs uses the same device.
    GpuShared {
        /// The device.
        index: u32,
        /// The service.
        service: String,
        /// Both shares together, in percent.
        percent: u32,
    },
}

/// A chosen device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenDevice {
    /// Its index.
    pub index: u32,
    /// Its product name.
    pub name: String,
    /// Free memory, in bytes.
    pub free_bytes: u64,
    /// All of it, in bytes.
    pub total_bytes: u64,
}

/// Earlier settings.
#[derive(Clone, Debug)]
pub struct HistoryView {
    /// Their number.
    pub id: i64,
    /// When they were saved, or first seen.
    pub at: Timestamp,
    /// By whom.
    pub who: String,
    /// What they changed.
    pub changes: Vec<PendingChange>,
    /// Secrets that they changed.
    pub secrets: Vec<String>,
    /// When the service last became ready with them.
    pub ready: Option<Timestamp>,
    /// They are in force.
    pub current: bool,
    /// The latest with which it became ready, and not in force.
    pub last_good: bool,
}

/// The table of images.
#[derive(Clone, Debug, Default)]
pub struct ImagesView {
    /// All of them.
    pub rows: Vec<ImageRow>,
    /// How many nothing uses, and what they take at most, in bytes.
    pub unused: (usize, u64),
    /// Free space where the engine keeps them.
    pub free_bytes: Option<u64>,
    /// A removal that waits for its confirmation.
    pub asking: Option<Asking>,
    /// Why something was not done.
    pub refused: Option<String>,
    /// What was freed just now, in bytes.
    pub freed: Option<u64>,
    /// The engine cannot be asked.
    pub away: bool,
    /// Nothing here runs in an engine.
    pub none: bool,
}

/// One image.
#[derive(Clone, Debug)]
pub struct ImageRow {
    /// Its id.
    pub id: String,
    /// Its names.
    pub tags: Vec<String>,
    /// What it takes, in bytes.
    pub bytes: u64,
    /// When it was built.
    pub created: Option<Timestamp>,
    /// Containers and services that use it.
    pub used_by: Vec<String>,
}

/// What is to be confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asking {
    /// One image, or one model.
    Remove {
        /// Which.
        id: String,
        /// Its name for people.
        name: String,
        /// What that frees, at most, in bytes.
        bytes: u64,
    },
    /// All that nothing uses.
    Prune {
        /// Their ids, with commas.
        ids: String,
        /// Their names.
        names: Vec<String>,
        /// What that frees, at most, in bytes.
        bytes: u64,
    },
}

/// The table of models.
#[derive(Clone, Debug, Default)]
pub struct ModelsView {
    /// The service that Use fills in; none where there is none of vLLM.
    pub service: Option<String>,
    /// Its name for people.
    pub title: String,
    /// The rows.
    pub rows: Vec<ModelRow>,
    /// The device that they are computed for.
    pub device: Option<DeviceView>,
    /// The share of its memory, as the settings have it.
    pub share: String,
    /// Free space where models are kept.
    pub free_bytes: Option<u64>,
    /// A deletion that waits for its confirmation.
    pub asking: Option<Asking>,
    /// Why something was not done.
    pub refused: Option<String>,
    /// What was freed just now, in bytes.
    pub freed: Option<u64>,
    /// What could not be read.
    pub troubles: Vec<String>,
}

/// One model.
#[derive(Clone, Debug)]
pub struct ModelRow {
    /// Its place in the table: what Use names.
    pub key: String,
    /// Its name for people.
    pub title: String,
    /// Its identifier or folder.
    pub model: String,
    /// What it is an adapter of.
    pub adapter_of: Option<String>,
    /// Parameters.
    pub parameters: Option<u64>,
    /// How it is quantized.
    pub quantization: Option<String>,
    /// Computed need of memory, in bytes.
    pub vram: Option<u64>,
    /// Published need, in bytes.
    pub published_vram: Option<u64>,
    /// For requests of this length, in tokens.
    pub context: Option<u64>,
    /// How fast.
    pub speed: Option<Speed>,
    /// How fast it is said to be.
    pub published_speed: Option<Pace>,
    /// Whether it fits.
    pub fit: Fit,
    /// Licence and its address.
    pub licence: Option<(String, String)>,
    /// Whether a token is needed.
    pub token: Token,
    /// Bytes on the disk, and whether they are all.
    pub disk: Option<(u64, bool)>,
    /// The service is set to it.
    pub in_use: bool,
    /// Use makes sense.
    pub usable: bool,
    /// It may be deleted.
    pub deletable: bool,
}

/// Tokens per second of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speed {
    /// At least, in ten seconds.
    pub low_per_10s: u64,
    /// At most, in ten seconds.
    pub high_per_10s: u64,
    /// The class.
    pub pace: Pace,
    /// When it was measured here; an estimate otherwise.
    pub measured: Option<Timestamp>,
}

/// A class of speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Much faster than people read.
    Fast,
    /// As fast as people read.
    Medium,
    /// Slower.
    Slow,
}

/// Whether a model fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It does.
    Fits,
    /// With shorter requests, in tokens.
    Shorter(u64),
    /// It does not: bytes that are missing, and the share that would do, in percent.
    Not(u64, Option<u32>),
    /// Others hold so many bytes too many.
    Held(u64),
    /// Nobody can tell: no GPU.
    NoGpu,
    /// Nobody can tell: its figures are not known.
    Unknown,
}

/// Whether a download needs a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// No.
    NotNeeded,
    /// Yes.
    Needed,
    /// It is not known before it is tried.
    Unknown,
}

/// The form of a search.
#[derive(Clone, Debug, Default)]
pub struct SearchView {
    /// The service.
    pub service: String,
    /// Its name for people.
    pub title: String,
    /// What is looked for.
    pub q: String,
    /// That is a regular expression.
    pub regex: bool,
    /// The run's number, `all`, or nothing for the current one.
    pub run: String,
    /// Runs that can be chosen, with the time of their start where it is known.
    pub runs: Vec<(u64, Option<Timestamp>)>,
    /// Chosen levels.
    pub levels: Vec<Level>,
    /// The chosen pipe.
    pub stream: String,
    /// The chosen source.
    pub source: String,
    /// Sources to choose from.
    pub sources: Vec<String>,
    /// From this time.
    pub from: String,
    /// Up to this time.
    pub to: String,
    /// Lines around each hit.
    pub context: usize,
    /// What of it is not allowed.
    pub wrong: Option<String>,
}

/// A found line.
#[derive(Clone, Debug)]
pub struct HitView {
    /// Counts the hits of the page, from 1.
    pub number: usize,
    /// Its run.
    pub run: u64,
    /// Its number.
    pub seq: u64,
    /// When it came.
    pub time: Timestamp,
    /// How serious.
    pub level: Level,
    /// Who wrote it.
    pub source: String,
    /// Its text.
    pub text: String,
    /// Where in the text what was looked for is: bytes.
    pub marks: Vec<(usize, usize)>,
    /// The texts before.
    pub before: Vec<String>,
    /// The texts behind.
    pub after: Vec<String>,
    /// Where it is shown in its log.
    pub link: String,
}

/// How far a search is.
#[derive(Clone, Debug)]
pub struct FarView {
    /// Lines that were looked at.
    pub lines: u64,
    /// Lines that there are.
    pub of_lines: u64,
    /// Bytes that were looked at.
    pub bytes: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Lines that were found.
    pub matches: u64,
    /// So many of them are shown.
    pub shown: u64,
    /// Blocks that could not be read.
    pub damaged: u64,
    /// Runs that were left out.
    pub left_out: usize,
    /// All was looked at.
    pub done: bool,
    /// Where the found lines of one run can be downloaded, without the format.
    pub download: Option<String>,
    /// When the found lines came.
    pub bars: Vec<BarView>,
}

/// One stretch of time.
#[derive(Clone, Debug)]
pub struct BarView {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// Found lines per level.
    pub counts: [u64; 5],
    /// The search within it.
    pub link: String,
}

/// The runs of a service, and two of them beside each other where that was asked for.
#[derive(Clone, Debug, Default)]
pub struct RunsView {
    /// The service.
    pub service: String,
    /// The runs, the newest first.
    pub runs: Vec<RunInfo>,
    /// There are older ones.
    pub older: bool,
    /// These are not the newest.
    pub newer: bool,
    /// The list stands open.
    pub open: bool,
    /// A comparison was asked for, but not of two runs that are known.
    pub not_two: bool,
    /// Two runs beside each other.
    pub compared: Option<ComparedView>,
}

/// Two runs beside each other.
#[derive(Clone, Debug)]
pub struct ComparedView {
    /// The earlier one.
    pub a: RunInfo,
    /// The later one.
    pub b: RunInfo,
    /// What differs in the settings; `None` where those of one are not known.
    pub changes: Option<Vec<PendingChange>>,
}

/// The requests of a run, as far as its log tells of them.
#[derive(Clone, Debug, Default)]
pub struct RequestsView {
    /// The service.
    pub service: String,
    /// The runs to choose from, the newest first, with when they began.
    pub runs: Vec<(u64, Timestamp)>,
    /// The run that was read; `None` where that is not at hand. Meaningless before it was read.
    pub run: Option<u64>,
    /// Its log was read: before, only the offer to do so is shown.
    pub read: bool,
    /// The run goes on.
    pub live: bool,
    /// The latest requests, the latest first.
    pub rows: Vec<RequestRow>,
    /// How many there are in all, those that are not shown included.
    pub all: u64,
    /// The end of one at least is told.
    pub ends: bool,
}

/// One request.
#[derive(Clone, Debug)]
pub struct RequestRow {
    /// Its id.
    pub id: String,
    /// The number of the first line about it.
    pub line: u64,
    /// When that was written.
    pub at: Timestamp,
    /// From then to its end, in milliseconds.
    pub took_ms: Option<u64>,
    /// What became of it.
    pub fate: FateView,
    /// Tokens of the prompt.
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer.
    pub output_tokens: Option<u64>,
    /// Parameters, by name.
    pub parameters: Vec<(&'static str, String)>,
    /// The LoRA adapter.
    pub adapter: Option<String>,
}

/// What became of a request, as far as the log tells.
#[derive(Clone, Debug)]
pub enum FateView {
    /// It came.
    Received,
    /// The engine took it.
    Added,
    /// Answered, and why it stopped there.
    Finished(Option<String>),
    /// Ended before it was answered.
    Aborted,
    /// Not answered, and vLLM's words for it.
    Failed(String),
}

/// The log windows of a page.
#[derive(Clone, Debug)]
pub struct LogsView {
    /// How lines are shown.
    pub view: LogView,
    /// The live log.
    pub live: LogPane,
    /// One run beside it.
    pub past: Option<LogPane>,
}

/// One log window.
#[derive(Clone, Debug)]
pub struct LogPane {
    /// Whose log.
    pub service: ServiceName,
    /// Its title.
    pub title: String,
    /// The run.
    pub run: Option<u64>,
    /// When it was started.
    pub started: Option<Timestamp>,
    /// Lines per level.
    pub counts: LevelCounts,
    /// The first line that can be had.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// The lines that are shown first.
    pub lines: Vec<Line>,
    /// The line that the address names.
    pub line: Option<u64>,
    /// What the address wants to be shown.
    pub filter: LogFilter,
}

/// What a log's window shows, as an address says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter {
    /// What is searched for.
    pub query: String,
    /// Only lines in which it is found.
    pub only: bool,
    /// Which levels.
    pub levels: Vec<Level>,
    /// From standard output, from standard error.
    pub streams: [bool; 2],
}

impl Default for LogFilter {
    fn default() -> Self {
        Self { query: String::new(), only: false, levels: Level::ALL.to_vec(), streams: [true; 2] }
    }
}

/// Who is told when something happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotifyView {
    /// The targets.
    pub rows: Vec<NotifyRow>,
    /// A test that was just sent.
    pub tested: Option<Tested>,
    /// Who looks may send one.
    pub may_test: bool,
}

/// One target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyRow {
    /// Its name.
    pub name: String,
    /// Where it is, as far as that may be seen.
    pub place: String,
    /// For whom messages are written.
    pub preset: &'static str,
    /// The least severe that is told.
    pub floor: &'static str,
    /// Messages carry a signature.
    pub signed: bool,
    /// The last delivery, and what went wrong.
    pub last: Option<(Timestamp, Option<String>)>,
    /// Messages that wait.
    pub waiting: u64,
}

/// What came of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tested {
    /// The target.
    pub name: String,
    /// What went wrong.
    pub trouble: Option<String>,
}
