//! What can be served here: models with settings that work, those of the owner, those on the disk; how fast they will be.
//!
//! In: the list of this room, the owner's services, the Hugging Face caches, memory plans and measured speeds. Out: the rows of the page's
//! table as codes and numbers, and the deletion of a cached model. `recipes` is the list, `hub` the caches (the only part that writes:
//! it deletes), `bandwidth` and `speed` the estimate of tokens per second, `table` puts rows together (pure), `row` is what a row
//! is. Where each figure comes from and how far it is off: `docs/MODELS.md`.

mod bandwidth;
pub mod hub;
mod recipes;
mod row;
pub mod speed;
mod table;

pub use bandwidth::bandwidth;
pub use recipes::{Access, Published, Recipe, recipes};
pub use row::{
    Disk, Figure, FigureKind, Fit, Licence, Row, SpeedClass, Token, Tokens, Use, Variable, WhyUnknown,
};
pub use table::{Inputs, Measured, Own, Planned, Wanted, rows};
