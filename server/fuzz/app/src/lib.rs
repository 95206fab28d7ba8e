//! The wire types of the real `app`, taken from its very files.

#[path = "../../../../app/src/model/mod.rs"]
pub mod model;
