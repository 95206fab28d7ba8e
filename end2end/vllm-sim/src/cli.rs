//! The command line: vLLM's own flags as argparse would take them, and the simulator's knobs.

mod arguments;
mod flags;
mod knobs;
mod value;

pub use arguments::{Refusal, ServeArgs};
pub use knobs::Knobs;
