//! Checks the arguments that have no field of their own. In: words. Out: what is wrong and what is worth knowing, as codes.
//!
//! A value that is not among the known ones is noted, not refused: versions of vLLM differ in that.

use super::flags::{Found, find, nearest};
use super::reading::{Fit, Given, Item, read};
use super::standing::news;

/// A field of the form that an argument belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The weights.
    Model,
    /// The name that the model is served under.
    ModelName,
    /// The address, with the port.
    Address,
    /// The share of the GPU's memory.
    Share,
    /// The API's key.
    ApiKey,
    /// Hugging Face's token.
    HfToken,
    /// `--max-model-len`.
    MaxModelLen,
    /// `--quantization`.
    Quantization,
    /// `--tensor-parallel-size`.
    TensorParallelSize,
    /// `--dtype`.
    Dtype,
    /// `--lora-modules`.
    LoraModules,
}

/// What vLLM, or the dashboard, will not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// No version of vLLM that is known here has this flag.
    Unknown {
        /// As written, without its value.
        flag: String,
        /// What was probably meant.
        nearest: Option<&'static str>,
    },
    /// The beginning of several flags.
    Ambiguous {
        /// As written.
        flag: String,
        /// Which ones, twelve at most.
        could: Vec<&'static str>,
    },
    /// The form has a field for it.
    Owned {
        /// As written.
        flag: String,
        /// Which field.
        field: Field,
    },
    /// It needs a value and has none.
    NoValue {
        /// As written.
        flag: String,
    },
    /// It is a switch and got a value.
    ValueNotTaken {
        /// As written.
        flag: String,
    },
    /// It prints something and ends.
    OnlyPrints {
        /// As written.
        flag: String,
    },
    /// A word that belongs to no flag.
    Stray {
        /// The word.
        word: String,
    },
}

/// What somebody should know who uses a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// Code from elsewhere runs in the engine: the model's own, a plugin, a class by its name.
    LoadsCode,
    /// Whoever may ask the engine can make it read files of this machine.
    OpensFiles,
    /// Whoever may ask the engine can hand it a template or settings of its own.
    TrustsRequests,
    /// Further settings come from a file that is not checked here.
    ReadsSettings,
    /// The API is then not where the dashboard asks: another prefix, a socket, HTTPS, gRPC or no API at all.
    MovesApi,
    /// What is asked or answered is written to the log.
    LogsContents,
    /// Only versions before 0.32 have it.
    Outdated,
    /// Several names: the dashboard asks for the first one.
    SeveralNames,
    /// The value is not among those that vLLM 0.32 knows.
    UnusualValue,
}

/// A note, and the flag that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// As written, without its value.
    pub flag: String,
    /// What to know.
    pub note: Note,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// To be put right.
    pub wrong: Vec<Wrong>,
    /// Worth knowing.
    pub notes: Vec<Noted>,
}

/// Flags for which a neighbour is looked for: that takes a while, and a list may be long.
const SUGGESTIONS: u32 = 32;

/// Checks the arguments that are left when the form has its fields.
pub fn check(rest: &[String]) -> Checked {
    check_new(rest, &[])
}

/// The same, without those that stand already, word for word.
pub fn check_new(rest: &[String], standing: &[String]) -> Checked {
    let mut out = Checked::default();
    let mut suggestions = SUGGESTIONS;
    let items = read(rest);
    let new = news(rest, &items, standing);
    for ((item, _), _) in items.into_iter().zip(new).filter(|(_, new)| *new) {
        match item {
            Item::End => {}
            Item::Stray(word) => out.wrong.push(Wrong::Stray { word: word.to_owned() }),
            Item::Several(flag, could) => {
                out.wrong.push(Wrong::Ambiguous { flag: flag.to_owned(), could });
            }
            Item::Unknown(flag) => out.wrong.push(match flag {
                "-h" | "--help" | "-v" | "--version" => Wrong::OnlyPrints { flag: flag.to_owned() },
                _ => {
                    let nearest = if suggestions > 0 { nearest(flag) } else { None };
                    suggestions = suggestions.saturating_sub(1);
                    Wrong::Unknown { flag: flag.to_owned(), nearest }
                }
            }),
            Item::Given(given) => one(&given, &mut out),
        }
    }
    out
}

fn one(given: &Given<'_>, out: &mut Checked) {
    let flag = given.name.to_owned();
    let mut note = |note| out.notes.push(Noted { flag: given.name.to_owned(), note });
    if given.flag.name == "--served-model-name" && given.values.len() > 1 {
        note(Note::SeveralNames);
        return;
    }
    if let Some(field) = owner(given) {
        out.wrong.push(Wrong::Owned { flag, field });
        return;
    }
    if given.flag.old {
        note(Note::Outdated);
    }
    if !given.negated
        && let Some(about) = worth(given.flag.name)
    {
        note(about);
    }
    let choices = &given.flag.choices;
    if !given.dotted && !choices.is_empty() && given.values.iter().any(|v| !choices.contains(v)) {
        note(Note::UnusualValue);
    }
    match given.fit {
        Fit::Fits => {}
        Fit::NoValue => out.wrong.push(Wrong::NoValue { flag }),
        Fit::ValueNotTaken => out.wrong.push(Wrong::ValueNotTaken { flag }),
    }
}

fn owner(given: &Given<'_>) -> Option<Field> {
    Some(match given.flag.name {
        "--model" => Field::Model,
        "--served-model-name" => Field::ModelName,
        "--host" | "--port" => Field::Address,
        "--gpu-memory-utilization" => Field::Share,
        "--api-key" => Field::ApiKey,
        // Without a value it means: the token of this machine's login.
        "--hf-token" if !given.values.is_empty() => Field::HfToken,
        "--max-model-len" => Field::MaxModelLen,
        "--quantization" => Field::Quantization,
        "--tensor-parallel-size" => Field::TensorParallelSize,
        "--dtype" => Field::Dtype,
        "--lora-modules" => Field::LoraModules,
        _ => return None,
    })
}

/// Source: vLLM's help texts, and docs/usage/security.md.
pub(super) fn worth(flag: &str) -> Option<Note> {
    Some(match flag {
        "--trust-remote-code"
        | "--middleware"
        | "--tool-parser-plugin"
        | "--reasoning-parser-plugin"
        | "--io-processor-plugin"
        | "--logits-processors"
        | "--scheduler-cls"
        | "--worker-cls"
        | "--worker-extension-cls" => Note::LoadsCode,
        "--allowed-local-media-path" => Note::OpensFiles,
        "--trust-request-chat-template" | "--trust-request-mm-kwargs" => Note::TrustsRequests,
        "--config" => Note::ReadsSettings,
        "--root-path" | "--uds" | "--ssl-keyfile" | "--ssl-certfile" | "--grpc" | "--headless" => {
            Note::MovesApi
        }
        "--enable-log-requests" | "--enable-log-outputs" => Note::LogsContents,
        _ => return None,
    })
}

/// The values that vLLM 0.32 knows for a flag; empty where the list is not closed.
pub fn choices(flag: &str) -> &'static [&'static str] {
    match find(flag) {
        Found::Flag(hit) => &hit.flag.choices,
        Found::Several(_) | Found::Nothing => &[],
    }
}
