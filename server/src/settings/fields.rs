//! The settings of a vLLM service by name and text: what the form shows and sends, what a start is compared by, what history keeps.
//!
//! Secrets are not among the values: they are written, never read back. The arguments of `vllm serve` that have a field of
//! their own are told apart from the rest; in the file they stay one list.

use super::{Config, ServiceConfig, Sources};
use crate::settings::edit::{self, EditError, Setting};
use crate::vllm::cli;
use app::model::{Origin, PendingChange};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Values by the name of their field. A field that is not set is not among them.
pub type Values = BTreeMap<String, String>;

/// The name of the field for all arguments that have none of their own.
pub const REST: &str = "args";

/// The fields of the form, in its order: the name, and the key in `services.toml` where it is not among the arguments.
pub const FIELDS: [(&str, Option<&str>); 13] = [
    ("VLLM_API_URL", Some("api_url")),
    ("VLLM_MODEL_NAME", Some("model_name")),
    ("CUDA_VISIBLE_DEVICES", Some("cuda_visible_devices")),
    ("GPU_MEMORY_UTILIZATION", Some("gpu_memory_utilization")),
    ("VLLM_MODEL", Some("model")),
    ("--max-model-len", None),
    ("--quantization", None),
    ("--tensor-parallel-size", None),
    ("--dtype", None),
    ("--lora-modules", None),
    (REST, None),
    ("VLLM_IMAGE", Some("image")),
    ("HF_HOME", Some("hf_home")),
];

/// The secrets of the form, and their keys.
pub const SECRETS: [(&str, &str); 2] = [("HF_TOKEN", "hf_token"), ("VLLM_API_KEY", "api_key")];

/// What becomes of a secret.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretChange {
    /// This one, from now on.
    Set(String),
    /// None.
    Remove,
}

/// What a person sends.
#[derive(Clone, Default)]
pub struct Wanted {
    /// All values; a field that is not among them is to be unset.
    pub values: Values,
    /// Secrets that change.
    pub secrets: BTreeMap<String, SecretChange>,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The value is not allowed; the words of its type say what is.
    Value {
        /// The field.
        field: String,
        /// What is allowed.
        allowed: String,
    },
    /// A flag or the environment sets it.
    ReadOnly {
        /// The field.
        field: String,
    },
    /// A folder that no setting lets into containers.
    Folder {
        /// The field.
        field: String,
        /// The folder.
        folder: String,
    },
    /// Neither a repository's name nor an absolute path.
    Source {
        /// The field.
        field: String,
        /// The value.
        value: String,
    },
    /// An argument that is not on the list of those that the page may give to a process.
    Uncontained {
        /// The flag.
        flag: String,
        /// The flag is on the list, its value is of another kind.
        value: bool,
    },
    /// The value of a dangerous flag that stands in the file.
    Standing {
        /// The flag.
        flag: String,
    },
    /// What is loaded may not change while its code would be run.
    Trusted {
        /// The field.
        field: String,
    },
    /// An argument.
    Argument(cli::Wrong),
    /// The list of arguments cannot be read.
    Words {
        /// The field.
        field: String,
        /// Why not.
        why: cli::QuoteError,
    },
    /// The file as a whole is not taken.
    File {
        /// Why not.
        detail: String,
    },
}

/// The settings in force, as texts.
pub fn values(config: &ServiceConfig) -> Values {
    let (typed, rest) = cli::split(&config.args.value);
    let words = |list: &[String]| Some(cli::quote(list)).filter(|t| !t.is_empty());
    let all = [
        ("VLLM_API_URL", Some(config.api_url.value.to_string())),
        ("VLLM_MODEL_NAME", Some(config.model_name.value.clone())),
        ("CUDA_VISIBLE_DEVICES", Some(config.gpus.value.to_string())),
        ("GPU_MEMORY_UTILIZATION", Some(config.gpu_memory_utilization.value.to_string())),
        ("VLLM_MODEL", config.model.value.as_deref().map(crate::redact::hidden)),
        ("--max-model-len", typed.max_model_len),
        ("--quantization", typed.quantization),
        ("--tensor-parallel-size", typed.tensor_parallel_size),
        ("--dtype", typed.dtype),
        ("--lora-modules", words(&crate::redact::redact(&typed.lora_modules))),
        (REST, words(&crate::redact::redact(&rest))),
        ("VLLM_IMAGE", Some(config.image.value.to_string())),
        ("HF_HOME", config.hf_home.value.as_ref().map(|p| p.display().to_string())),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Where a field's value comes from.
pub fn origin<'a>(config: &'a ServiceConfig, field: &str) -> &'a Origin {
    match field {
        "VLLM_API_URL" => &config.api_url.origin,
        "VLLM_MODEL_NAME" => &config.model_name.origin,
        "CUDA_VISIBLE_DEVICES" => &config.gpus.origin,
        "GPU_MEMORY_UTILIZATION" => &config.gpu_memory_utilization.origin,
        "VLLM_MODEL" => &config.model.origin,
        "VLLM_IMAGE" => &config.image.origin,
        "HF_HOME" => &config.hf_home.origin,
        "HF_TOKEN" => &config.hf_token.origin,
        "VLLM_API_KEY" => &config.api_key.origin,
        _ => &config.args.origin,
    }
}

/// Set by a flag or the environment, which win over what the page could write.
pub fn is_read_only(config: &ServiceConfig, field: &str) -> bool {
    matches!(origin(config, field), Origin::Flag | Origin::Environment)
}

/// What differs, by name, in the order of the form.
pub fn changes(running: &Values, next: &Values) -> Vec<PendingChange> {
    let names: BTreeSet<&str> = running.keys().chain(next.keys()).map(String::as_str).collect();
    let place = |name: &str| FIELDS.iter().position(|(n, _)| *n == name).unwrap_or(FIELDS.len());
    let mut all: Vec<PendingChange> = names
        .into_iter()
        .filter(|name| running.get(*name) != next.get(*name))
        .map(|name| PendingChange {
            name: name.to_owned(),
            running: running.get(name).cloned(),
            next: next.get(name).cloned(),
        })
        .collect();
    all.sort_by_key(|c| place(&c.name));
    all
}

/// What wanted settings come to: the file with them in it, and the settings as they would be read from that.
pub struct Candidate {
    /// The file's text now.
    pub before: String,
    /// The file's text with them.
    pub after: String,
    /// The service as it would be.
    pub service: ServiceConfig,
    /// All settings as they would be.
    pub config: Config,
}

/// Puts wanted settings beside those in force, without writing anything.
///
/// # Errors
/// All that is wrong, field by field.
pub fn candidate(
    sources: &Sources,
    path: &Path,
    now: &ServiceConfig,
    folders: &[PathBuf],
    contained: bool,
    wanted: &Wanted,
) -> Result<Candidate, Vec<Wrong>> {
    let mut wrong = Vec::new();
    let current = values(now);
    let mut settings = Vec::new();
    let differs = |name: &str| wanted.values.get(name) != current.get(name);
    for (name, key) in FIELDS {
        let Some(key) = key.filter(|_| differs(name)) else { continue };
        if is_read_only(now, name) {
            wrong.push(Wrong::ReadOnly { field: name.to_owned() });
            continue;
        }
        settings.push(Setting::Key(key, wanted.values.get(name).cloned()));
    }
    if FIELDS.iter().any(|(name, key)| key.is_none() && differs(name)) {
        match arguments(&wanted.values, now) {
            Ok(args) => settings.push(Setting::Args(args)),
            Err(all) => wrong.extend(all),
        }
    }
    for (name, key) in SECRETS {
        let Some(change) = wanted.secrets.get(name) else { continue };
        if is_read_only(now, name) {
            wrong.push(Wrong::ReadOnly { field: name.to_owned() });
            continue;
        }
        settings.push(Setting::Key(
            key,
            match change {
                SecretChange::Set(text) => Some(text.clone()),
                SecretChange::Remove => None,
            },
        ));
    }
    let file = |error: EditError| vec![Wrong::File { detail: error.to_string() }];
    let before = edit::text(path).map_err(file)?;
    let after = edit::with(&before, &now.name, settings).map_err(file)?;
    match sources.load_text(&after) {
        Ok(config) => {
            let service = config.services.iter().find(|s| s.name == now.name).cloned();
            if let Some(service) = &service {
                wrong.extend(objections(now, service, folders, contained));
            }
            match service.filter(|_| wrong.is_empty()) {
                Some(service) => Ok(Candidate { before, after, service, config }),
                None if wrong.is_empty() => {
                    let detail = format!("services.toml lists no service named {}", now.name);
                    Err(vec![Wrong::File { detail }])
                }
                None => Err(wrong),
            }
        }
        Err(error) => {
            wrong.extend(error.0.into_iter().map(|line| of_line(&line, &now.name)));
            Err(wrong)
        }
    }
}

/// The file's complaint about a field: `[service NAME: ]FIELD (services.toml): "x" is not allowed: allowed is …`.
fn of_line(line: &str, service: &app::model::ServiceName) -> Wrong {
    let rest = line.strip_prefix(&format!("service {service}: ")).unwrap_or(line);
    let named = FIELDS.iter().map(|(name, _)| *name).chain(SECRETS.map(|(name, _)| name));
    let field =
        named.into_iter().find(|name| rest.strip_prefix(name).is_some_and(|r| r.starts_with([' ', ':'])));
    match (field, rest.split_once("is not allowed: ")) {
        (Some(field), Some((_, allowed))) => {
            Wrong::Value { field: field.to_owned(), allowed: allowed.to_owned() }
        }
        _ => Wrong::File { detail: line.to_owned() },
    }
}

/// What a change of settings may not do, whatever it was made by: the form, a pasted command, a remedy. What stands already in
/// `services.toml` is its owner's, and stays as it is.
pub fn objections(
    now: &ServiceConfig,
    next: &ServiceConfig,
    folders: &[PathBuf],
    contained: bool,
) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let (old, new) = (&now.args.value, &next.args.value);
    let trusted = cli::trusts_code(old) && cli::trusts_code(new);
    if next.model.value != now.model.value
        && let Some(model) = &next.model.value
    {
        wrong.extend(not_loadable("VLLM_MODEL", model, folders, contained));
    }
    if next.hf_home.value != now.hf_home.value
        && let Some(home) = next.hf_home.value.as_ref().map(|home| home.display().to_string())
        && !is_let_in(&home, folders)
    {
        wrong.push(Wrong::Folder { field: "HF_HOME".to_owned(), folder: home });
    }
    if trusted {
        let fields = [
            ("VLLM_MODEL", next.model.value != now.model.value),
            ("HF_HOME", next.hf_home.value != now.hf_home.value),
            (REST, cli::code_origins(old) != cli::code_origins(new)),
        ];
        let changed = fields.into_iter().filter(|(_, changed)| *changed);
        wrong.extend(changed.map(|(field, _)| Wrong::Trusted { field: field.to_owned() }));
    }
    if old == new {
        return wrong;
    }
    let standing = cli::split(old).0.lora_modules;
    for module in cli::split(new).0.lora_modules.iter().filter(|module| !standing.contains(module)) {
        match cli::lora_path(module) {
            Some(path) => wrong.extend(not_loadable("--lora-modules", &path, folders, contained)),
            None => wrong.push(Wrong::Value {
                field: "--lora-modules".to_owned(),
                allowed: "NAME=PATH or NAME=ORG/REPOSITORY, separated by spaces".to_owned(),
            }),
        }
    }
    let mut standing = cli::changed_dangers(new, old);
    if !contained {
        standing.extend(cli::lost_guards(new, old));
    }
    wrong.extend(standing.into_iter().map(|flag| Wrong::Standing { flag }));
    if !contained {
        let refused = cli::refused(new, old, &|source, text| may_load(source, text, folders, contained));
        let refused = refused.into_iter().map(|it| Wrong::Uncontained { flag: it.flag, value: it.value });
        let known = wrong.clone();
        // One complaint for each.
        wrong.extend(refused.filter(|it| match it {
            Wrong::Uncontained { flag, .. } => !known.iter().any(|k| match k {
                Wrong::Standing { flag: other } => other == flag,
                Wrong::Folder { field, .. } | Wrong::Source { field, .. } => field == flag,
                _ => false,
            }),
            _ => true,
        }));
    }
    wrong
}

/// Whether something may be loaded from here. vLLM takes whatever is a folder for a folder: to a process, which runs where
/// Services runs, a repository that begins like something there is a relative path.
fn may_load(source: cli::Source, text: &str, folders: &[PathBuf], contained: bool) -> bool {
    match source {
        cli::Source::Folder => is_let_in(text, folders),
        cli::Source::Repository => {
            let first = text.split('/').next().unwrap_or(text);
            contained || !Path::new(first).exists()
        }
    }
}

/// A model or an adapter that is neither a repository nor a folder that is let in.
fn not_loadable(field: &str, value: &str, folders: &[PathBuf], contained: bool) -> Option<Wrong> {
    match cli::source(value) {
        Some(source) if may_load(source, value, folders, contained) => None,
        Some(cli::Source::Folder) => {
            Some(Wrong::Folder { field: field.to_owned(), folder: value.to_owned() })
        }
        Some(cli::Source::Repository) | None => {
            Some(Wrong::Source { field: field.to_owned(), value: value.to_owned() })
        }
    }
}

/// Values as they may be shown: what an earlier version kept may have secrets in it.
pub fn shown(mut values: Values) -> Values {
    for (name, value) in &mut values {
        let words =
            if matches!(name.as_str(), REST | "--lora-modules") { cli::words(value).ok() } else { None };
        *value = match words {
            Some(words) => cli::quote(&crate::redact::redact(words)),
            None => crate::redact::hidden(value),
        };
    }
    values
}

/// The list of arguments that the fields come to.
fn arguments(values: &Values, now: &ServiceConfig) -> Result<Vec<String>, Vec<Wrong>> {
    let mut wrong = Vec::new();
    let get = |name: &str| values.get(name).cloned();
    let mut list = |name: &str| {
        cli::words(values.get(name).map_or("", String::as_str)).unwrap_or_else(|why| {
            wrong.push(Wrong::Words { field: name.to_owned(), why });
            Vec::new()
        })
    };
    let (mut modules, mut rest) = (list("--lora-modules"), list(REST));
    let (typed, standing) = cli::split(&now.args.value);
    for (field, words, known) in
        [(REST, &mut rest, &standing), ("--lora-modules", &mut modules, &typed.lora_modules)]
    {
        if !reveal(words, known) {
            let allowed = "a hidden value can stay where it is, or be written anew".to_owned();
            wrong.push(Wrong::Value { field: field.to_owned(), allowed });
        }
    }
    for name in ["--max-model-len", "--tensor-parallel-size"] {
        let Some(value) = values.get(name) else { continue };
        let number = value.trim_end_matches(['k', 'K', 'm', 'M', 'g', 'G']);
        let fits = match name {
            "--max-model-len" => value == "auto" || number.parse::<f64>().is_ok_and(|n| n > 0.0 && n < 1e12),
            _ => value.parse::<u32>().is_ok_and(|n| (1..=1024).contains(&n)),
        };
        if !fits {
            let allowed = match name {
                "--max-model-len" => "a number of tokens, such as 8192 or 8k",
                _ => "a number of GPUs from 1 to 1024",
            };
            wrong.push(Wrong::Value { field: name.to_owned(), allowed: allowed.to_owned() });
        }
    }
    for name in ["--quantization", "--dtype"] {
        let plain =
            |v: &String| v.len() <= 64 && v.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
        if values.get(name).is_some_and(|v| !plain(v) || v.starts_with('-')) {
            let allowed = "letters, digits, '_', '-' and '.'".to_owned();
            wrong.push(Wrong::Value { field: name.to_owned(), allowed });
        }
    }
    wrong.extend(cli::check_new(&rest, &standing).wrong.into_iter().map(Wrong::Argument));
    let typed = cli::Typed {
        max_model_len: get("--max-model-len"),
        quantization: get("--quantization"),
        tensor_parallel_size: get("--tensor-parallel-size"),
        dtype: get("--dtype"),
        lora_modules: modules,
    };
    let args = cli::join(&typed, &rest);
    // Read as vLLM reads the whole, no word of one field has become a part of another.
    if wrong.is_empty() && cli::split(&args) != (typed, rest) {
        let allowed = "arguments that stay apart from those of the other fields".to_owned();
        wrong.push(Wrong::Value { field: REST.to_owned(), allowed });
    }
    if wrong.is_empty() { Ok(args) } else { Err(wrong) }
}

/// Puts secrets that were shown as dots back to where they stood. False where one has lost its place.
fn reveal(rest: &mut [String], standing: &[String]) -> bool {
    let shown = crate::redact::redact(standing);
    let mut whole = true;
    let mut used = Vec::new();
    for at in 0..rest.len() {
        let before = at.checked_sub(1).and_then(|b| rest.get(b)).cloned();
        let Some(word) = rest.get_mut(at).filter(|w| w.contains('…')) else { continue };
        let found = (0..shown.len()).find(|i| {
            let same_before = i.checked_sub(1).map(|b| &standing[b]) == before.as_ref();
            !used.contains(i)
                && shown[*i] == *word
                && standing[*i] != shown[*i]
                && (same_before || word.contains('='))
        });
        match found {
            Some(i) => {
                used.push(i);
                word.clone_from(&standing[i]);
            }
            None => whole = false,
        }
    }
    whole
}

/// Whether a folder lies in one of those that the owner lets into containers. Links are followed first.
pub fn is_let_in(path: &str, folders: &[PathBuf]) -> bool {
    let path = Path::new(path);
    // What is not there may become a link to anywhere.
    let Ok(real) = std::fs::canonicalize(path) else { return false };
    let climbs = path.components().any(|c| c == std::path::Component::ParentDir);
    let inside = |folder: &PathBuf| {
        let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.clone());
        folder.parent().is_some() && real.starts_with(&folder)
    };
    !climbs && path.is_absolute() && folders.iter().any(inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Flags;
    use proptest::prelude::*;

    struct Place {
        dir: tempfile::TempDir,
        sources: Sources,
    }

    impl Place {
        fn new(toml: &str, env: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().expect("a temporary folder");
            std::fs::write(dir.path().join("services.toml"), toml).expect("written");
            let mut env: BTreeMap<String, String> =
                env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            env.insert("SERVICES_STATE_DIR".into(), dir.path().display().to_string());
            Self { sources: Sources { flags: Flags::default(), env }, dir }
        }

        fn now(&self) -> ServiceConfig {
            self.sources.load().expect("valid").services.remove(0)
        }

        fn with(&self, pairs: &[(&str, &str)]) -> Result<ServiceConfig, Vec<Wrong>> {
            let mut wanted = Wanted { values: values(&self.now()), ..Wanted::default() };
            for (name, value) in pairs {
                if value.is_empty() {
                    wanted.values.remove(*name);
                } else {
                    wanted.values.insert((*name).to_owned(), (*value).to_owned());
                }
            }
            let folders = [self.dir.path().join("let-in")];
            let path = self.dir.path().join("services.toml");
            candidate(&self.sources, &path, &self.now(), &folders, true, &wanted).map(|c| c.service)
        }
    }

    const FILE: &str = "# mine\n[[service]]\nname = \"vllm\" # the one\nmodel = \"a/b\"\nargs = [\"--max-model-len\", \"8192\", \"--seed\", \"7\"]\n";

    #[test]
    fn typed_fields_and_the_rest_are_one_list_in_the_file() {
        let place = Place::new(FILE, &[]);
        assert_eq!(values(&place.now())["--max-model-len"], "8192");
        assert_eq!(values(&place.now())[REST], "--seed 7");
        let new =
            place.with(&[("--max-model-len", ""), ("--dtype", "half"), (REST, "--seed 8 --enforce-eager")]);
        let new = new.expect("allowed");
        assert_eq!(new.args.value, ["--dtype", "half", "--seed", "8", "--enforce-eager"]);
        assert_eq!(values(&new)["--dtype"], "half");
    }

    #[test]
    fn what_is_set_back_to_nothing_leaves_the_file() {
        let place = Place::new(FILE, &[]);
        let new = place.with(&[("VLLM_MODEL", ""), ("--max-model-len", ""), (REST, "")]).expect("allowed");
        assert_eq!((new.model.value, new.args.value.len()), (None, 0));
    }

    #[test]
    fn no_value_leaves_its_field() {
        let place = Place::new(FILE, &[]);
        std::fs::create_dir_all(place.dir.path().join("let-in/model")).expect("made");
        std::os::unix::fs::symlink("/etc", place.dir.path().join("let-in/out")).expect("linked");
        let folder = |name: &str| place.dir.path().join("let-in").join(name).display().to_string();
        assert!(place.with(&[("VLLM_MODEL", &folder("model"))]).is_ok());
        for (field, value) in [
            ("VLLM_MODEL", "/etc"),
            ("VLLM_MODEL", "/var/run/docker.sock"),
            ("VLLM_MODEL", &folder("../../..")),
            ("VLLM_MODEL", &folder("out")),
            ("VLLM_MODEL", "--privileged"),
            ("HF_HOME", "/"),
            ("HF_HOME", "/etc"),
            ("HF_HOME", "/a:/b"),
            ("--lora-modules", "x=/etc"),
            ("--lora-modules", "x"),
            ("--lora-modules", "{\"name\":\"x\",\"path\":\"/etc\"}"),
            ("--quantization", "awq --privileged"),
            ("--dtype", "--host=0.0.0.0"),
            ("--max-model-len", "-1; rm"),
            ("--tensor-parallel-size", "0"),
            (REST, "--port 1"),
            (REST, "--host 0.0.0.0"),
            (REST, "--model other"),
            (REST, "--privileged"),
            (REST, "stray"),
            (REST, "--seed $(id)"),
            (REST, "--seed 1; reboot"),
            (REST, "'unclosed"),
            ("VLLM_IMAGE", "x --privileged"),
            ("VLLM_IMAGE", "../../x"),
            ("VLLM_API_URL", "http://user:pass@h"),
            ("VLLM_API_URL", "http://169.254.169.254/latest"),
            ("VLLM_API_URL", "http://[::ffff:169.254.169.254]:80"),
            ("VLLM_API_URL", "http://[fe80::1]:80"),
            ("VLLM_API_URL", "http://metadata.google.internal"),
            ("CUDA_VISIBLE_DEVICES", "0 --privileged"),
            ("GPU_MEMORY_UTILIZATION", "2"),
            ("VLLM_MODEL_NAME", "-x"),
        ] {
            assert!(place.with(&[(field, value)]).is_err(), "{field}={value}");
        }
    }

    #[test]
    fn what_the_environment_says_is_not_ours_to_change() {
        let place = Place::new(FILE, &[("GPU_MEMORY_UTILIZATION", "0.3")]);
        let wrong = place.with(&[("GPU_MEMORY_UTILIZATION", "0.9")]).expect_err("refused");
        assert_eq!(wrong, [Wrong::ReadOnly { field: "GPU_MEMORY_UTILIZATION".into() }]);
        assert!(place.with(&[("--dtype", "half")]).is_ok(), "what it does not say is");
    }

    #[test]
    fn a_secret_among_the_arguments_is_shown_as_dots_and_stays_what_it_is() {
        let file = "[[service]]\nname = \"vllm\"\nargs = [\"--api-key\", \"sk-geheim\", \"--seed\", \"7\"]\n";
        let place = Place::new(file, &[]);
        assert!(!format!("{:?}", values(&place.now())).contains("sk-geheim"));
        let mut rest = vec!["--api-key".to_owned(), "…".to_owned(), "--seed".to_owned(), "8".to_owned()];
        assert!(reveal(&mut rest, &place.now().args.value));
        assert_eq!(rest, ["--api-key", "sk-geheim", "--seed", "8"]);
        let mut moved = vec!["--seed".to_owned(), "…".to_owned()];
        assert!(!reveal(&mut moved, &place.now().args.value), "dots elsewhere mean nothing");
    }

    #[test]
    fn a_wrong_value_is_told_by_its_field() {
        let place = Place::new(FILE, &[]);
        let wrong =
            place.with(&[("GPU_MEMORY_UTILIZATION", "2"), ("VLLM_IMAGE", "A B")]).expect_err("refused");
        for field in ["GPU_MEMORY_UTILIZATION", "VLLM_IMAGE"] {
            assert!(
                wrong.iter().any(|w| matches!(w, Wrong::Value { field: f, .. } if f == field)),
                "{wrong:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_is_typed_either_reads_back_the_same_or_is_refused(
            name in 0..FIELDS.len(),
            text in "[ -~äЖ\\n]{0,40}",
        ) {
            let place = Place::new(FILE, &[]);
            let (name, _) = FIELDS[name];
            let text = text.trim();
            if let Ok(new) = place.with(&[(name, text)]) {
                // Spelled another way, it means the same: read back and sent again nothing changes.
                let again = values(&new);
                let place = Place::new(FILE, &[]);
                let pairs: Vec<(&str, &str)> = FIELDS.iter().map(|(n, _)| (*n, again.get(*n).map_or("", String::as_str))).collect();
                let twice = place.with(&pairs);
                prop_assert!(twice.is_ok_and(|t| values(&t) == again));
            }
        }
    }
}
