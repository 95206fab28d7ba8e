//! Reads a pasted command. In: text. Out: what the form's fields take from it, and what was left out and why.

use super::program;
use super::shell::{QuoteError, lex};
use super::typed::Typed;
use std::fmt;

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    /// Hides it.
    pub(super) const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for whom it is meant.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}

/// Why something of a command was not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The dashboard does the same, or what stands for it.
    Handled,
    /// A folder or a file of this machine; only caches and the model's own folder are seen inside.
    HostMount,
    /// It only gave the model's folder another name inside: the model's field has the one on this machine.
    ModelMoved,
    /// A cache in another place than ours: what lies there will be fetched again.
    OtherCache,
    /// The engine of all containers inside one of them.
    DockerSocket,
    /// Containers get a network of their own and one published port.
    Network,
    /// Containers get no power over the machine.
    Privileged,
    /// Only the dashboard restarts.
    Restart,
    /// Shared memory has a size of its own here (16 GiB at most).
    SharedMemory,
    /// A variable that has no field.
    Variable,
    /// Its value stands in another place: a variable of the shell, a file, a placeholder.
    ValueElsewhere,
    /// The image's own entry point is used.
    EntryPoint,
    /// Published on this machine alone, not for others.
    LoopbackOnly,
    /// A number of GPUs: taken for the first ones.
    GpuCount,
    /// Which GPUs are meant is not clear.
    GpusUnclear,
    /// Further names stay among the arguments.
    FurtherNames,
    /// Only one key has a field.
    FurtherKeys,
    /// Only the port of the API is published.
    FurtherPorts,
    /// No port that could be taken: 0, a range, no number.
    PortUnclear,
    /// A later one of the same flag overrides it.
    Overridden,
    /// Limits of memory, processors and processes have no field.
    Limits,
    /// A device of the machine.
    Device,
    /// Another option of the container engine.
    Option,
    /// An option that is not known here.
    UnknownOption,
    /// A program that only starts the other one.
    Wrapper,
}

/// Something that was not taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// As written, 120 characters at most; a secret's value is never in it.
    pub what: String,
    /// Why.
    pub why: Why,
}

/// What was read out of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pasted {
    /// It ran a container.
    pub in_container: bool,
    /// The image.
    pub image: Option<String>,
    /// The container's name.
    pub container: Option<String>,
    /// The weights.
    pub model: Option<String>,
    /// The first served name.
    pub model_name: Option<String>,
    /// The port of this machine.
    pub host_port: Option<u16>,
    /// As `Gpus::parse` takes it; `none` for a container that asks for no GPU.
    pub gpus: Option<String>,
    /// The share of the GPU's memory, as written.
    pub share: Option<String>,
    /// The form's typed fields.
    pub typed: Typed,
    /// The other arguments.
    pub rest: Vec<String>,
    /// Hugging Face's token.
    pub hf_token: Option<Hidden>,
    /// The API's key.
    pub api_key: Option<Hidden>,
    /// What was not taken over.
    pub left_out: Vec<LeftOut>,
}

impl Pasted {
    /// Notes what is not taken over.
    pub(super) fn leave(&mut self, what: impl AsRef<str>, why: Why) {
        let what: String = what.as_ref().chars().take(120).collect();
        let left = LeftOut { what, why };
        if !self.left_out.contains(&left) {
            self.left_out.push(left);
        }
    }
}

/// Why a text is no command that is understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasteError {
    /// A shell would not take it, or would do more with it than read it.
    #[error(transparent)]
    Quote(#[from] QuoteError),
    /// No command in it.
    #[error("there is no command: paste `docker run …`, `vllm serve …` or a list of flags")]
    Nothing,
    /// Another program than those that start vLLM.
    #[error("{program} is not known here: paste `docker run …`, `vllm serve …` or a list of flags")]
    UnknownProgram {
        /// Its name, 60 characters at most.
        program: String,
    },
    /// The program does something else.
    #[error("`{program} {command}` starts no server: paste `{program} run …` or `vllm serve …`")]
    OtherCommand {
        /// The program.
        program: String,
        /// What it was told to do, 60 characters at most.
        command: String,
    },
    /// A container without an image.
    #[error("no image is named: put it behind the options of `{program} run`")]
    NoImage {
        /// `docker`, or its relative.
        program: String,
    },
    /// An option's value is missing.
    #[error("{option} needs a value: write it behind the option")]
    NoValue {
        /// The option.
        option: String,
    },
    /// Commands within commands.
    #[error("commands are nested too deeply: paste the inner one alone")]
    Nested,
}

/// Reads a command that starts vLLM: `docker run …`, `vllm serve …`, `python -m vllm…`, or flags alone.
///
/// # Errors
/// [`PasteError`]: what to do is in its message.
pub fn paste(text: &str) -> Result<Pasted, PasteError> {
    let words = lex(text)?;
    let mut out = Pasted::default();
    program::read(&words, &mut out)?;
    Ok(out)
}
