//! Command lines of vLLM: read, so that a pasted one fills the form, and written, so that what we run can be copied.
//!
//! In: text, or lists of arguments. Out: words, fields, complaints as codes. Pure functions: no I/O, no shell, nothing is
//! expanded. May not know the page's words: what is wrong is told in codes, in two languages elsewhere.

mod allowed;
mod check;
mod docker;
mod engine;
mod flags;
mod gpus;
mod mounts;
mod pasted;
mod program;
mod quote;
mod reading;
mod shell;
mod shown;
mod source;
mod standing;
mod typed;

pub use allowed::{Refused, refused};
pub use check::{Checked, Field, Note, Noted, Wrong, check, check_new, choices};
pub use pasted::{Hidden, LeftOut, PasteError, Pasted, Why, paste};
pub use quote::{lines, quote};
pub use shell::{QuoteError, words};
pub use shown::{Shown, docker_run, vllm_serve};
pub use source::{Source, source};
pub use standing::{changed_dangers, code_origins, lost_guards, trusts_code};
pub use typed::{Typed, join, lora_path, split};

#[cfg(test)]
mod tests;
