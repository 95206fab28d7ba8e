//! A second, independent reader of a `vllm serve` command line, and a judge of what is dangerous in it. The
//! property test gives it what the settings form built. It knows nothing of the form or of the allow-list
//! under test: the names come from flags.tsv, the way of reading from `vllm/utils/argparse_utils.py` (0.32)
//! and CPython's `argparse` (3.10 to 3.13), the dangers from `vllm serve --help=all`. Where versions differ
//! it reports every reading, so it can see more than one vLLM would, never less.

use std::collections::HashMap;

use serde_json::Value;

/// One flag as some vLLM would read it, with what it is given. The arguments are the words behind `vllm
/// serve`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The long name of the table, `--no-…` for the negation of a toggle. Empty for a stray word (a model, to
    /// vLLM); the word itself, up to its `=`, for a flag that the table lacks.
    pub flag: String,
    /// What follows the first dot of a dotted flag: `pass_config.fuse` in `-cc.pass_config.fuse=1`.
    pub key: Option<String>,
    pub values: Vec<String>,
}

/// Every flag that the words can mean, in the order of the words, repeats included. One word can give
/// several: it may be an ambiguous prefix, or have other values before vLLM moves the dotted flags than
/// after.
pub fn read(args: &[String], table: &str) -> Vec<Seen> {
    readings(args, &Table::new(table)).into_iter().map(|(_, seen)| seen).collect()
}

/// What is dangerous in the words, for a person to read; empty if nothing is. `own` are the long names of the
/// flags that the caller itself adds: the first of each is not looked at, a second one is a danger.
pub fn dangers(args: &[String], table: &str, own: &[&str]) -> Vec<String> {
    let table = Table::new(table);
    let mut found = Findings::default();
    let mut first: HashMap<String, usize> = HashMap::new();
    for (at, seen) in readings(args, &table) {
        if own.contains(&seen.flag.as_str()) {
            if *first.entry(seen.flag.clone()).or_insert(at) != at {
                found.add(&seen.flag, "given a second time");
            } else if seen.key.is_none() {
                continue;
            }
        }
        if seen.flag.is_empty() {
            found.add("", &format!("a stray word {:?}", seen.values));
            continue;
        }
        if !table.names.iter().any(|name| name.flag == seen.flag) {
            found.add(&seen.flag, "not in the table");
        }
        if let Some(why) = danger_of(&seen.flag) {
            found.add(&seen.flag, why);
        }
        // It is a method of speculative decoding; anywhere else it is a word like any other.
        if seen.flag.contains("spec") && seen.values.iter().any(|value| value.contains("custom_class")) {
            found.add(&seen.flag, "loads a class");
        }
        let path: Vec<String> = seen
            .key
            .iter()
            .flat_map(|key| key.split('.'))
            .map(|part| part.trim_end_matches('+').to_owned())
            .collect();
        for key in &path {
            found.key(&seen.flag, key);
        }
        for value in &seen.values {
            found.value(&seen.flag, &path, value);
        }
    }
    found.list
}

// The reader.

/// How many words a flag takes: `nargs` of argparse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arity {
    None,
    One,
    Maybe,
    Many,
}

/// One option string of argparse.
struct Name {
    name: String,
    flag: String,
    arity: Arity,
    now: bool,
}

struct Table {
    names: Vec<Name>,
}

/// What one word can mean as a flag.
struct Meaning {
    flag: String,
    key: Option<String>,
    glued: Option<String>,
    arity: Arity,
    now: bool,
}

/// A word, and its place in the arguments that it comes from.
#[derive(Clone)]
struct Word {
    text: String,
    at: usize,
}

/// How argparse sorts a word: `O`, `A` or `-` in its pattern.
enum Kind {
    /// `--`: what follows is no flag.
    End,
    Flag(Vec<Meaning>),
    /// Also a value: it has a space, and its version knows no such flag.
    OldFlag(Vec<Meaning>),
    Value,
    /// It looks like a flag and the table has none such: an error, or the flag of another version, or a
    /// value.
    Unknown,
}

type Readings = Vec<(usize, Seen)>;

impl Table {
    fn new(text: &str) -> Self {
        let mut names: Vec<Name> = Vec::new();
        let mut add = |name: &str, flag: &str, arity, now| {
            names.push(Name { name: name.to_owned(), flag: flag.to_owned(), arity, now });
        };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut columns = line.split('\t');
            let (Some(spellings), Some(arity)) = (columns.next(), columns.next()) else { continue };
            let now = columns.nth(1) != Some("old");
            let flag = spellings.split(',').next().unwrap_or_default();
            let takes = match arity {
                "one" => Arity::One,
                "maybe" => Arity::Maybe,
                "many" => Arity::Many,
                _ => Arity::None,
            };
            for name in spellings.split(',') {
                add(name, flag, takes, now);
                if let ("toggle", Some(bare)) = (arity, name.strip_prefix("--")) {
                    add(
                        &format!("--no-{bare}"),
                        &format!("--no-{}", flag.trim_start_matches('-')),
                        Arity::None,
                        now,
                    );
                }
            }
        }
        // `-O` is no option of argparse: FlexibleArgumentParser rewrites it, once to the compilation config,
        // now to the optimization level.
        add("-O", "--optimization-level", Arity::One, true);
        add("-O", "--compilation-config", Arity::One, true);
        Self { names }
    }

    /// The options that a name stands for: itself, or all that it begins. A name that only earlier versions
    /// had can be the prefix of another one now.
    fn named(&self, name: &str) -> Vec<&Name> {
        let exact: Vec<&Name> = self.names.iter().filter(|known| known.name == name).collect();
        if exact.iter().any(|known| known.now) || name.chars().count() < 2 || name == "--" {
            return exact;
        }
        self.names.iter().filter(|known| known.name.starts_with(name)).collect()
    }

    fn meanings(&self, word: &str) -> Vec<Meaning> {
        if !word.starts_with('-') || word == "--" {
            return Vec::new();
        }
        let (left, right) = match word.split_once('=') {
            Some((left, right)) => (dashed(left), Some(right)),
            None => (dashed(word), None),
        };
        let mut found = Vec::new();
        let mut add = |name: &Name, key: Option<&str>, glued: Option<&str>, arity, now| {
            let (key, glued) = (key.map(str::to_owned), glued.map(str::to_owned));
            found.push(Meaning { flag: name.flag.clone(), key, glued, arity, now });
        };
        if let Some((base, key)) = left.split_once('.') {
            for name in self.named(base) {
                add(name, Some(key), right, Arity::One, name.now);
            }
        }
        let names = self.named(&left);
        for name in &names {
            // Python reads `-t=2` for `-tp=2` only of late.
            let now = name.now && (right.is_none() || left.starts_with("--") || name.name == left);
            add(name, None, right, name.arity, now);
        }
        if let (Some(rest), false) = (word.strip_prefix('-'), word.starts_with("--")) {
            // `-qawq`, and `-ep=qawq` for `-ep -qawq`.
            let exact = names.iter().any(|name| name.now && name.name == left);
            let switch = names.iter().any(|name| name.arity == Arity::None);
            let tails = [Some(rest).filter(|_| !exact), right.filter(|_| switch)];
            for mut tail in tails.into_iter().flatten().map(str::chars) {
                let option = tail.next().map(|letter| format!("-{letter}"));
                let glued = Some(tail.as_str()).filter(|glued| !glued.is_empty());
                for name in self.names.iter().filter(|known| Some(&known.name) == option.as_ref()) {
                    add(name, None, glued, name.arity, name.now);
                    if let Some(glued) = glued.and_then(|glued| glued.strip_prefix('=')) {
                        add(name, None, Some(glued), name.arity, name.now);
                    }
                }
            }
        }
        found
    }

    fn kind(&self, word: &str) -> Kind {
        if word == "--" {
            return Kind::End;
        }
        let meanings = self.meanings(word);
        if word.contains(' ') && !meanings.is_empty() && meanings.iter().all(|meaning| !meaning.now) {
            Kind::OldFlag(meanings)
        } else if !meanings.is_empty() {
            Kind::Flag(meanings)
        } else if !word.starts_with('-') || word == "-" || negative_number(word) || word.contains(' ') {
            Kind::Value
        } else {
            Kind::Unknown
        }
    }
}

/// `_` as `-` in a long flag, up to its first dot: what FlexibleArgumentParser does before argparse reads.
fn dashed(left: &str) -> String {
    match (left.starts_with("--"), left.split_once('.')) {
        (false, _) => left.to_owned(),
        (true, Some((base, key))) => format!("{}.{key}", base.replace('_', "-")),
        (true, None) => left.replace('_', "-"),
    }
}

/// argparse's own test for a value that may begin with `-`.
fn negative_number(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.chars().all(char::is_numeric);
    let Some(number) = word.strip_prefix('-') else { return false };
    let number = number.strip_suffix('\n').unwrap_or(number);
    match number.split_once('.') {
        Some((whole, part)) => (whole.is_empty() || digits(whole)) && digits(part),
        None => digits(number),
    }
}

/// The readings of the words as they are, and of the words as vLLM rearranges them first.
fn readings(args: &[String], table: &Table) -> Readings {
    let words: Vec<Word> =
        args.iter().enumerate().map(|(at, text)| Word { text: text.clone(), at }).collect();
    let mut found = Vec::new();
    read_words(&words, table, &mut found);
    let words = rearranged(words, table, &mut found);
    read_words(&words, table, &mut found);
    found.sort_by_key(|(at, _)| *at);
    found
}

fn note(found: &mut Readings, at: usize, flag: &str, key: Option<&str>, values: Vec<String>) {
    let reading = (at, Seen { flag: flag.to_owned(), key: key.map(str::to_owned), values });
    if !found.contains(&reading) {
        found.push(reading);
    }
}

/// As argparse reads: a flag takes the words behind it up to the next flag, as many as its arity lets it.
/// Flags behind `--` are read too, since FlexibleArgumentParser does not look out for it.
fn read_words(words: &[Word], table: &Table, found: &mut Readings) {
    let kinds: Vec<Kind> = words.iter().map(|word| table.kind(&word.text)).collect();
    let mut taken = 0;
    let mut behind = false;
    for (i, (word, kind)) in words.iter().zip(&kinds).enumerate() {
        let run = run_of_values(words, &kinds, i + 1, false);
        let stray = match kind {
            Kind::Flag(meanings) | Kind::OldFlag(meanings) => {
                let wide = run_of_values(words, &kinds, i + 1, true);
                let mut fewest = usize::MAX;
                for meaning in meanings {
                    fewest = fewest.min(note_meaning(found, word.at, meaning, &run));
                    note_meaning(found, word.at, meaning, &wide);
                }
                taken = i + 1 + fewest;
                behind || matches!(kind, Kind::OldFlag(_))
            }
            Kind::Unknown => {
                let (left, values) = match word.text.split_once('=') {
                    Some((left, glued)) => (dashed(left), vec![glued.to_owned()]),
                    None => (dashed(&word.text), run.clone()),
                };
                note(found, word.at, &left, None, values);
                taken = taken.max(i + 1 + run.len());
                behind
            }
            Kind::End => {
                behind = true;
                true
            }
            Kind::Value => behind || i >= taken,
        };
        if stray {
            note(found, word.at, "", None, vec![word.text.clone()]);
        }
    }
}

/// The words from one place up to the next flag; `wide` goes past what only some versions take for a flag.
fn run_of_values(words: &[Word], kinds: &[Kind], from: usize, wide: bool) -> Vec<String> {
    let value = |kind: &Kind| match kind {
        Kind::Value | Kind::Unknown => true,
        Kind::OldFlag(_) => wide,
        Kind::Flag(_) | Kind::End => false,
    };
    let run = words.iter().zip(kinds).skip(from).take_while(|(_, kind)| value(kind));
    run.map(|(word, _)| word.text.clone()).collect()
}

/// Notes one meaning of a word with what it takes of the words behind, and says how many that is.
fn note_meaning(found: &mut Readings, at: usize, meaning: &Meaning, run: &[String]) -> usize {
    let most = match (&meaning.glued, meaning.arity) {
        (Some(_), _) | (None, Arity::None) => 0,
        (None, Arity::One | Arity::Maybe) => 1,
        (None, Arity::Many) => run.len(),
    };
    let mut values: Vec<String> = run.iter().take(most).cloned().collect();
    let count = values.len();
    values.extend(meaning.glued.clone());
    let mut key = meaning.key.as_deref();
    if let Some(list) = key.and_then(|key| key.strip_suffix('+')) {
        key = Some(list);
        values = values.iter().flat_map(|value| value.split(',')).map(str::to_owned).collect();
    }
    note(found, at, &meaning.flag, key, values);
    count
}

/// The words as FlexibleArgumentParser hands them to argparse: the first `--model` has become the positional,
/// `-O3` two words, and the dotted flags, each with the word behind it whatever that is, stand as JSON at the
/// end. The moved ones are noted here where they name a flag.
fn rearranged(mut words: Vec<Word>, table: &Table, found: &mut Readings) -> Vec<Word> {
    let model =
        |word: &Word| word.text == "--model" || word.text.len() > 8 && word.text.starts_with("--model=");
    if let Some(i) = words.iter().position(model) {
        let glued = words.get(i).and_then(|word| word.text.strip_prefix("--model=")).map(str::to_owned);
        let next = words.get(i + 1).map(|word| word.text.clone()).filter(|text| !text.starts_with('-'));
        let count = if glued.is_some() { 1 } else { 2 };
        if let (Some(tag), Some(at)) = (glued.or(next), words.get(i).map(|word| word.at)) {
            note(found, at, "--model", None, vec![tag]);
            words.drain(i..i + count);
        }
    }
    let mut split: Vec<Word> = Vec::new();
    for word in words {
        match word.text.strip_prefix("-O").map(|level| level.strip_prefix('=').unwrap_or(level)) {
            Some(level) if word.text != "-O" => {
                split.push(Word { text: "--optimization-level".to_owned(), at: word.at });
                split.push(Word { text: level.to_owned(), at: word.at });
            }
            _ => {
                let text = match word.text.split_once('=') {
                    Some((left, right)) => format!("{}={right}", dashed(left)),
                    None => dashed(&word.text),
                };
                split.push(Word { text, at: word.at });
            }
        }
    }
    let (mut kept, mut moved): (Vec<Word>, Vec<Word>) = (Vec::new(), Vec::new());
    let mut unknown = false;
    let mut split = split.into_iter();
    while let Some(word) = split.next() {
        let left = dashed(word.text.split('=').next().unwrap_or_default());
        let Some((base, key)) = left.split_once('.').filter(|_| left.starts_with('-')) else {
            kept.push(word);
            continue;
        };
        let value = match word.text.split_once('=') {
            Some((_, value)) => Some(value.to_owned()),
            None => split.next().map(|word| word.text),
        };
        let values: Vec<String> = match (value, key.ends_with('+')) {
            (Some(value), true) => value.split(',').map(str::to_owned).collect(),
            (value, _) => value.into_iter().collect(),
        };
        let key = key.strip_suffix('+').unwrap_or(key);
        let json = serde_json::json!({ key: values.join(",") }).to_string();
        let names = table.named(base);
        for name in &names {
            note(found, word.at, &name.flag, Some(key), values.clone());
            if name.arity == Arity::None {
                // A switch takes no JSON: it is on, and the JSON a stray word.
                note(found, word.at, &name.flag, None, Vec::new());
                note(found, word.at, "", None, vec![json.clone()]);
            }
        }
        unknown |= names.is_empty();
        moved.push(Word { text: base.to_owned(), at: word.at });
        moved.push(Word { text: json, at: word.at });
    }
    // With known flags alone the end holds nothing that is not noted. But `-0.5` makes `-0` and JSON of
    // itself and the next word, which a flag before them can take.
    if unknown {
        kept.extend(moved);
    }
    kept
}

// The dangers.

const CODE: &str = "loads code";
const FILES: &str = "reads or writes files";
const NET: &str = "listens, connects or lets others in";
const KEYS: &str = "a key in the arguments";
const OPEN: &str = "open-ended: hands its keys to code that does more than this reader knows";

/// The flags of which no use is harmless.
const DANGEROUS: &[(&str, &[&str])] = &[
    (
        CODE,
        &[
            "--code-revision",
            "--config",
            "--ec-manager-config",
            "--io-processor-plugin",
            "--logits-processor-pattern",
            "--logits-processors",
            "--middleware",
            "--model-class-overrides",
            "--reasoning-parser-plugin",
            "--scheduler-cls",
            "--tokenizer-pool-type",
            "--tool-parser-plugin",
            "--tool-server",
            "--trust-remote-code",
            "--trust-request-chat-template",
            "--trust-request-mm-kwargs",
            "--worker-cls",
            "--worker-extension-cls",
        ],
    ),
    (
        FILES,
        &[
            "--allowed-local-media-path",
            "--chat-template",
            "--download-dir",
            "--enable-ssl-refresh",
            "--hf-config-path",
            "--log-config-file",
            "--logging-config",
            "--mm-encoder-fp8-scale-path",
            "--mm-encoder-fp8-scale-save-path",
            "--profiler-config",
            "--quantization-param-path",
            "--ssl-ca-certs",
            "--ssl-cert-reqs",
            "--ssl-certfile",
            "--ssl-ciphers",
            "--ssl-keyfile",
        ],
    ),
    (
        NET,
        &[
            "--allowed-media-domains",
            "--data-parallel-address",
            "--data-parallel-external-lb",
            "--data-parallel-hybrid-lb",
            "--data-parallel-multi-port-external-lb",
            "--data-parallel-rank",
            "--data-parallel-rpc-port",
            "--data-parallel-size-local",
            "--data-parallel-start-rank",
            "--data-parallel-supervisor-port",
            "--ec-transfer-config",
            "--engine-use-ray",
            "--grpc",
            "--grpc-port",
            "--headless",
            "--host",
            "--kv-events-config",
            "--kv-transfer-config",
            "--master-addr",
            "--master-port",
            "--nnodes",
            "--node-rank",
            "--otlp-traces-endpoint",
            "--port",
            "--ray-workers-use-nsight",
            "--root-path",
            "--uds",
            "--weight-transfer-config",
            "--worker-use-ray",
        ],
    ),
    (KEYS, &["--api-key", "--hf-token"]),
    (
        OPEN,
        &[
            "--additional-config",
            "--model-loader-extra-config",
            "--override-neuron-config",
            "--tokenizer-pool-extra-config",
        ],
    ),
];

/// Flags with harmless values besides those that name a folder, a plugin, a service or a cluster.
const HARMLESS: &[(&str, &[&str])] = &[
    ("--config-format", &["auto", "hf", "mistral"]),
    ("--data-parallel-backend", &["mp"]),
    ("--distributed-executor-backend", &["mp", "uni"]),
    ("--generation-config", &["auto", "vllm"]),
    ("--kv-offloading-backend", &["native"]),
    (
        "--load-format",
        &[
            "auto",
            "bitsandbytes",
            "dummy",
            "fastsafetensors",
            "gguf",
            "hf",
            "instanttensor",
            "mistral",
            "pt",
            "runai_streamer",
            "safetensors",
        ],
    ),
    (
        "--tokenizer-mode",
        &[
            "auto",
            "cohere",
            "deepseek_v32",
            "deepseek_v4",
            "deepseek_v41",
            "hf",
            "inkling",
            "kimi_k3",
            "mistral",
            "slow",
        ],
    ),
];

/// Flags whose values end up among the words of another program, `numactl`: lists of numbers only.
const NUMBER_LISTS: &[&str] = &["--numa-bind-cpus", "--numa-bind-nodes"];

/// Words in a JSON key that tell of a file, an address or a class.
const KEY_WORDS: &str = "\
    addr address addresses callable class classes cmd command connector credential credentials dir \
    directories directory dirs domain domains endpoint endpoints entrypoint env exec factory file \
    filename filenames files folder folders host hostname hosts import imports ip ips library middleware \
    module password path paths plugin plugins port ports proxies proxy qualname script secret secrets \
    shell socket sockets subfolder uri uris url urls";

/// Whole JSON keys that hand over a token, name remote code, or hold passes and options of the compiler
/// (which name functions and programs).
const KEY_NAMES: &[&str] = &[
    "access_token",
    "api_key",
    "auth_token",
    "auto_map",
    "custom_pipelines",
    "inductor_compile_config",
    "inductor_passes",
    "token",
    "use_auth_token",
    "_target_",
];

/// What may hold a slash.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slash {
    Never,
    /// `org/name` as the whole value.
    Repository,
    /// `name=org/repo` too.
    Named,
    /// A git reference or a glob.
    Free,
}

fn slash_of(flag: &str, path: &[String]) -> Slash {
    match flag {
        "--model"
        | "--tokenizer"
        | "--spec-model"
        | "--speculative-model"
        | "--qlora-adapter-name-or-path" => Slash::Repository,
        "--lora-modules" | "--default-mm-loras" | "--prompt-adapters" => Slash::Named,
        "--speculative-config" if path.last().is_some_and(|key| key == "model" || key == "tokenizer") => {
            Slash::Repository
        }
        "--speculative-config" if path.last().is_some_and(|key| key == "revision") => Slash::Free,
        "--revision" | "--tokenizer-revision" | "--ignore-patterns" => Slash::Free,
        _ => Slash::Never,
    }
}

fn danger_of(flag: &str) -> Option<&'static str> {
    DANGEROUS.iter().find(|(_, flags)| flags.contains(&flag)).map(|(why, _)| *why)
}

fn as_flag(key: &str) -> String {
    format!("--{}", key.replace('_', "-"))
}

#[derive(Default)]
struct Findings {
    list: Vec<String>,
}

impl Findings {
    fn add(&mut self, flag: &str, what: &str) {
        let finding = if flag.is_empty() { what.to_owned() } else { format!("{flag}: {what}") };
        if !self.list.contains(&finding) {
            self.list.push(finding);
        }
    }

    /// A key of JSON, or a part of a dotted flag.
    fn key(&mut self, flag: &str, key: &str) {
        // The names of the LoRA modules and their `path` are judged by their values.
        if matches!(flag, "--lora-modules" | "--default-mm-loras") {
            return;
        }
        let words = key_words(key);
        let listed = words.iter().any(|word| KEY_WORDS.split(' ').any(|listed| listed == word));
        let class = words.last().is_some_and(|word| word == "cls");
        if listed || class || KEY_NAMES.contains(&key) || danger_of(&as_flag(key)).is_some() {
            self.add(flag, &format!("the key {key:?}"));
        }
    }

    /// A value as it stands among the words.
    fn value(&mut self, flag: &str, path: &[String], text: &str) {
        if text.starts_with('-') && !number(text) {
            self.add(flag, &format!("{text:?} begins with a dash"));
        }
        if NUMBER_LISTS.contains(&flag) && !text.chars().all(|c| c.is_ascii_digit() || ",-+!".contains(c)) {
            self.add(flag, &format!("{text:?} is no list of numbers"));
        }
        self.text(flag, path, text);
    }

    /// A value or a text in it: JSON of its own, or plain.
    fn text(&mut self, flag: &str, path: &[String], text: &str) {
        if !text.trim_start().starts_with(['{', '[', '"']) {
            self.plain(flag, path, text);
            return;
        }
        match serde_json::from_str::<Value>(text) {
            Ok(value) => self.json(flag, path, &value),
            Err(_) => self.plain(flag, path, text),
        }
        // Python reads JSON that serde_json refuses, and either drops the first of two equal keys.
        for quoted in quoted(text) {
            for what in shapes(&quoted, Slash::Free) {
                self.add(flag, &format!("{quoted:?} {what}"));
            }
        }
    }

    fn json(&mut self, flag: &str, path: &[String], value: &Value) {
        match value {
            Value::Object(entries) => {
                for (key, value) in entries {
                    self.key(flag, key);
                    for what in shapes(key, Slash::Never) {
                        self.add(flag, &format!("{key:?} {what}"));
                    }
                    let path: Vec<String> = path.iter().chain([key]).cloned().collect();
                    self.json(flag, &path, value);
                }
            }
            Value::Array(values) => {
                for value in values {
                    self.json(flag, path, value);
                }
            }
            Value::String(text) => self.text(flag, path, text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn plain(&mut self, flag: &str, path: &[String], text: &str) {
        for what in shapes(text, slash_of(flag, path)) {
            self.add(flag, &format!("{text:?} {what}"));
        }
        let named = path.last().map_or_else(|| flag.to_owned(), |key| as_flag(key));
        let harmless = HARMLESS.iter().find(|(flag, _)| *flag == named).map(|(_, values)| *values);
        // The backend of the compiler is a built-in one, or a function by its name.
        let harmless = match (flag, path.last().map(String::as_str)) {
            ("--compilation-config", Some("backend")) => Some(["", "eager", "inductor"].as_slice()),
            _ => harmless,
        };
        if harmless.is_some_and(|values| !values.contains(&text)) {
            self.add(flag, &format!("{text:?} is not among the harmless values"));
        }
    }
}

/// The words of a key: `debugDumpPath` and `debug_dump_path` are three.
fn key_words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut low = false;
    for c in key.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && low) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_alphanumeric(), words.last_mut()) {
            word.extend(c.to_lowercase());
        }
        low = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

fn number(text: &str) -> bool {
    text.parse::<f64>().is_ok() && text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c))
}

/// Every quoted text in what may be JSON, decoded as far as that goes.
fn quoted(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut chars = text.chars();
    while chars.by_ref().any(|c| c == '"') {
        let mut inside = String::new();
        while let Some(c) = chars.next().filter(|c| *c != '"') {
            match (c, if c == '\\' { chars.next() } else { None }) {
                ('\\', Some('u')) => {
                    let hex: String = chars.by_ref().take(4).collect();
                    let code = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32);
                    inside.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                ('\\', Some('b' | 'f' | 'n' | 'r' | 't')) => inside.push(' '),
                ('\\', Some(plain)) => inside.push(plain),
                (plain, _) => inside.push(plain),
            }
        }
        found.push(inside);
    }
    found
}

/// What a text, or a part of it between `=` and `,`, is that no value should be.
fn shapes(text: &str, slash: Slash) -> Vec<&'static str> {
    let mut found = Vec::new();
    let around = |c: char| c.is_whitespace() || "[]{}()\"'`".contains(c);
    for piece in text.split(['=', ',']).map(|piece| piece.trim_matches(around)) {
        let lower = piece.to_lowercase();
        if piece.starts_with(['/', '\\']) {
            found.push("is an absolute path");
        }
        if piece.starts_with('~') {
            found.push("is a path in a home folder");
        }
        if piece.split(['/', '\\']).any(|part| part == "..") {
            found.push("goes up a folder");
        }
        if lower.contains("://")
            || ["file:", "http:", "https:"].iter().any(|scheme| lower.starts_with(scheme))
        {
            found.push("is a URL");
        }
        if module_path(piece) {
            found.push("is a Python module path");
        }
        let allowed = match slash {
            Slash::Never => false,
            Slash::Repository => piece == text && repository(piece),
            Slash::Named => repository(piece),
            Slash::Free => true,
        };
        if piece.contains('/') && !allowed {
            found.push("is a path, or a repository where none belongs");
        }
    }
    found
}

/// `a.b.C` or `a.b:C`, not `0.5`, `1.2.3` or `Qwen2.5`.
fn module_path(piece: &str) -> bool {
    let identifier = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    let (path, class) = piece.split_once(':').map_or((piece, None), |(path, class)| (path, Some(class)));
    path.contains('.')
        && path.split('.').all(identifier)
        && class.is_none_or(|class| class.split('.').all(identifier))
}

/// `org/name`, or `org/name:Q4_K_M` for one file of it.
fn repository(piece: &str) -> bool {
    let plain = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let (repository, quantization) = piece.split_once(':').unwrap_or((piece, "none"));
    repository.split_once('/').is_some_and(|(org, name)| plain(org) && plain(name)) && plain(quantization)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of flags.tsv.
    const TABLE: &str = "\
# names\tarity\tchoices\tversion
--allowed-media-domains\tmany\t-\tnow
--compilation-config,-cc\tone\t-\tnow
--cudagraph-capture-sizes\tmany\t-\tnow
--data-parallel-size,-dp\tone\t-\tnow
--device-ids\tone\t-\tnow
--enable-expert-parallel,-ep\ttoggle\t-\tnow
--enable-lora\ttoggle\t-\tnow
--gpu-memory-utilization,--device-memory-utilization\tone\t-\tnow
--hf-overrides\tone\t-\tnow
--hf-token\tmaybe\t-\tnow
--lora-modules\tmany\t-\tnow
--lora-target-modules\tmany\t-\tnow
--middleware\tone\t-\tnow
--model\tone\t-\tnow
--model-impl\tone\tauto|vllm\tnow
--nnodes,-n\tone\t-\tnow
--numa-bind-cpus\tmany\t-\tnow
--optimization-level\tone\t-\tnow
--port\tone\t-\tnow
--quantization,-q\tone\tawq|fp8\tnow
--served-model-name\tmany\t-\tnow
--speculative-config,-sc\tone\t-\tnow
--tensor-parallel-size,-tp\tone\t-\tnow
--tokenizer\tone\t-\tnow
--trust-remote-code\ttoggle\t-\tnow
--watermark\tone\t-\tnow
--device\tone\t-\told
--speculative-model\tone\t-\told
--tokenizer-pool-type\tone\t-\told
";

    /// The readings of the words, which stand between bars, as `flag.key=value,value`.
    fn seen(line: &str) -> Vec<String> {
        let args: Vec<String> = line.split('|').map(str::to_owned).collect();
        let short = |seen: Seen| {
            let key = seen.key.map(|key| format!(".{key}")).unwrap_or_default();
            let values =
                if seen.values.is_empty() { String::new() } else { format!("={}", seen.values.join(",")) };
            format!("{}{key}{values}", seen.flag.trim_start_matches("--"))
        };
        read(&args, TABLE).into_iter().map(short).collect()
    }

    fn found(line: &str) -> Vec<String> {
        let args: Vec<String> = line.split('|').map(str::to_owned).collect();
        dangers(&args, TABLE, &["--model", "--served-model-name", "--port"])
    }

    // Each line was held against argparse 3.10 to 3.13 behind a copy of FlexibleArgumentParser's rewriting.

    #[test]
    fn reads_each_spelling() {
        for (line, expected) in [
            ("--tensor_parallel_size|2", &["tensor-parallel-size=2"][..]),
            ("--tensor-par=2", &["tensor-parallel-size=2"]),
            ("--device_memory_utilization=0.5", &["gpu-memory-utilization=0.5"]),
            ("-tp|2", &["tensor-parallel-size=2"]),
            ("-tp=2", &["tensor-parallel-size=2"]),
            ("-t|2", &["tensor-parallel-size=2"]),
            ("-qawq", &["quantization=awq"]),
            ("-q=awq", &["quantization=awq"]),
            ("-n2", &["nnodes=2"]),
            ("--enable-lora|--no_enable_lora", &["enable-lora", "no-enable-lora"]),
            ("--trust", &["trust-remote-code"]),
            ("--no-tr", &["no-trust-remote-code"]),
            // `-ep=qawq` is `-ep -qawq` to argparse before 3.13.
            ("-ep=qawq", &["enable-expert-parallel=qawq", "quantization=awq"]),
            ("-O3", &["optimization-level=3", "compilation-config=3"]),
            ("-O|2", &["optimization-level=2", "compilation-config=2"]),
            ("-dp|2|-dp|4", &["data-parallel-size=2", "data-parallel-size=4"]),
        ] {
            let seen = seen(line);
            assert!(expected.iter().all(|one| seen.iter().any(|seen| seen == one)), "{line}: {seen:?}");
            assert!(seen.iter().all(|seen| !seen.starts_with('=')), "{line}: {seen:?}");
        }
    }

    #[test]
    fn reads_dotted_flags() {
        assert_eq!(seen("-cc.mode=3"), ["compilation-config.mode=3"]);
        assert_eq!(seen("-sc.model|x"), ["speculative-config.model=x"]);
        assert_eq!(seen("--speculative-conf.model=x"), ["speculative-config.model=x"]);
        assert_eq!(seen("--speculative_config.a_b.c=1"), ["speculative-config.a_b.c=1"]);
        assert_eq!(seen("-cc.sizes+=1,2"), ["compilation-config.sizes=1,2"]);
        // A dotted flag swallows the next word, even a flag, and leaves the words around it as neighbours.
        let swallowed = seen("-cc.mode|--trust-remote-code");
        assert!(
            swallowed.contains(&"compilation-config.mode=--trust-remote-code".to_owned()),
            "{swallowed:?}"
        );
        assert!(swallowed.contains(&"trust-remote-code".to_owned()), "{swallowed:?}");
        assert!(seen("--tokenizer|-cc.mode=3|org/x").contains(&"tokenizer=org/x".to_owned()));
        assert!(seen("--watermark|-0.5|--port|80").contains(&"watermark=80".to_owned()));
        assert!(seen("-O-sc.model=x|3").contains(&"speculative-config.model=x".to_owned()));
        assert!(seen("--trust.x=1").contains(&"trust-remote-code".to_owned()));
        assert!(seen("-qfp8.a=1").contains(&"quantization=fp8".to_owned()));
    }

    #[test]
    fn reads_as_many_words_as_a_flag_takes() {
        assert_eq!(
            seen("--cudagraph-capture-sizes|1|-2|-|-x y|--hf-token|--port|80"),
            ["cudagraph-capture-sizes=1,-2,-,-x y", "hf-token", "port=80"]
        );
        assert!(seen("-ep=q|fp8").contains(&"quantization=fp8".to_owned()));
        assert_eq!(seen("--hf-token|t|m"), ["hf-token=t", "=m"]);
        assert_eq!(seen("--port=80|m"), ["port=80", "=m"]);
        assert_eq!(seen("m|--lora-modules=a|b"), ["=m", "lora-modules=a", "=b"]);
        // The first `--model` becomes the positional, wherever it stands: behind `--` too.
        assert!(seen("--lora-modules|a|--model|m|b").contains(&"lora-modules=a,b".to_owned()));
        assert_eq!(seen("--|--model|m"), ["=--", "model=m", "=--model", "=m"]);
        assert_eq!(
            seen("--unknown=1|--x_y|2"),
            ["--unknown=1", "--x-y=2"].map(|one| one.trim_start_matches("--"))
        );
    }

    #[test]
    fn reads_what_other_versions_would() {
        assert_eq!(seen("--lora|x"), ["lora-modules=x", "lora-target-modules=x"]);
        assert_eq!(seen("--model|m"), ["model=m"]);
        let device = seen("--device|cpu");
        assert_eq!(device, ["device-ids=cpu", "gpu-memory-utilization=cpu", "device=cpu"]);
        // Argparse takes an unknown flag with a space for a value, and 0.32 does not know this one.
        let old = seen("--lora-modules|a|--tokenizer-pool-type=x y");
        assert!(old.contains(&"lora-modules=a,--tokenizer-pool-type=x y".to_owned()), "{old:?}");
        assert!(old.contains(&"lora-modules=a".to_owned()), "{old:?}");
        assert!(old.contains(&"tokenizer-pool-type=x y".to_owned()), "{old:?}");
    }

    #[test]
    fn finds_dangers() {
        for line in [
            "--trust",
            "--no-trust|--middlew=x",
            "--port|80|--port|81",
            "--model|a|--mode=b",
            "m",
            "--",
            "--tokenizer|/etc",
            "--tokenizer|~/x",
            "--tokenizer|a/../b",
            "--tokenizer|a/b/c",
            "--tokenizer|https://x",
            "--tokenizer|-x y",
            "--quantization|org/x",
            "--quantization=a.b.C",
            "--lora-modules|a=/x",
            "--lora-modules|{\"name\":\"a\",\"path\":\"/x\"}",
            "--hf-overrides|{\"a\":[{\"b\":\"file:x\"}]}",
            "--hf-overrides|{\"a\":[{\"os.path\":1}]}",
            "--hf-overrides|{\"a\":\"\\u002fetc\",\"b\":NaN}",
            "--hf-overrides|{\"trust_remote_code\":true}",
            "--hf-overrides.cache_dir|x",
            "--hf-overrides|{\"auto_map\":{}}",
            "-sc.method=custom_class",
            "-sc|{\"quantization\":\"org/x\"}",
            "-cc.backend=other",
            "-cc|{\"inductor_passes\":{}}",
            "--numa-bind-cpus|0 sh",
            "--unknown",
        ] {
            assert!(!found(line).is_empty(), "{line}");
        }
    }

    #[test]
    fn lets_the_harmless_pass() {
        for line in [
            "--model|/models/a|--served-model-name|a|b.c|--port|80|-tp|2|-O3",
            "--tokenizer|org/x|--watermark=0.5|--quantization|1.2.3|--no-trust-remote-code",
            "--lora-modules|a=org/x|{\"name\":\"b\",\"path\":\"org/y\"}|--enable-lora",
            "-sc|{\"method\":\"eagle\",\"model\":\"org/x\",\"num_speculative_tokens\":3}|-sc.model=org/x",
            "--hf-overrides={\"rope_scaling\": {\"factor\": -2.5, \"image_token_id\": 7}}",
            "-cc.mode=3|-cc|{\"backend\":\"inductor\",\"cudagraph_capture_sizes\":[1,2]}",
            "--numa-bind-cpus|0-3|4-7|--speculative-model|org/x",
        ] {
            assert_eq!(found(line), Vec::<String>::new(), "{line}");
        }
    }
}
