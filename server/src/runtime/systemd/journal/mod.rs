//! A unit's log: the journal, read by `journalctl`. In: which start, from where. Out: frames, in order, with their times.
//!
//! `export` takes the program's output apart; `read` runs it.
//!
//! Matches: `_SYSTEMD_INVOCATION_ID=ID` is set by the journal itself on all that processes of this very start wrote, and on
//! nothing else; `+` adds what systemd says of this start (`INVOCATION_ID=ID`, or `USER_INVOCATION_ID=ID` from a user's
//! manager), which is where the reason stands when the program could not be run at all. `--unit=` is not used: it would
//! add nothing to an id that no other start has, and it would hold back the first lines of a unit that was renamed.

mod export;
mod read;

pub use export::{Entry, LineBreak, NotExport, Parser, Transport, VALUE_LIMIT};
pub(super) use read::{Journal, Pass, PassEnd};
