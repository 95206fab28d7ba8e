//! Reads the wire in the browser.
//!
//! The server writes the wire types with serde. Here the same types are read by a reader of our own: serde's generic code
//! for them weighs about as much as the whole page does without it. `tests` hold both together, type by type and variant
//! by variant; a field that the reader forgets does not compile.
//!
//! In: JSON of our own server. Out: wire types, or `None`.

mod model;
mod scan;
#[cfg(test)]
mod tests;
mod tree;

pub use scan::Scan;
pub use tree::{Json, Read};

/// Reads a whole text.
pub fn read<T: Read>(text: &str) -> Option<T> {
    T::read(&Json::parse(text)?)
}
