//! Small charts: series of whole numbers in, SVG path data out.

mod spark;

pub use spark::{nice_max, path};
