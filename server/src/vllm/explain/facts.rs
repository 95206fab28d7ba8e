//! The numbers and names in messages that prove a cause.

mod names;
mod settings;
mod sizes;
mod text;

pub use names::*;
pub use settings::*;
pub use sizes::*;
