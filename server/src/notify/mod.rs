//! Notifications: what happened, told to whoever wants to know, by webhook.
//!
//! In: the supervisor's events, in a queue with a bound, and a look at the disk each minute. Out: messages to the targets of
//! `services.toml`. `story` makes incidents of events (pure), `gate` decides for one target what is told now, later or as a
//! sum (pure), `message` finds the words, `write` the form of each chat tool, `sign` signs, `send` delivers. One task owns
//! the story; each target has a queue with a bound and a task of its own, so that one that hangs holds up no other. Addresses
//! of targets hold tokens: they are shown as far as the host and never logged.

mod address;
mod board;
mod command;
mod gate;
mod message;
mod owner;
mod send;
mod sign;
mod story;
mod target;
#[cfg(test)]
mod tests;
mod write;

pub use address::{Address, forbidden};
pub use board::{Board, Last};
pub use command::command;
pub use message::{Message, Severity, Topic};
pub use owner::Notifier;
pub use send::Trouble;
pub use sign::{DELIVERY, SIGNATURE, signature};
pub use target::{Preset, Table, Target, targets};
