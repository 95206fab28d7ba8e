//! The parsers under fuzz: the server's very files, in the same places, without what needs an engine, a page or a runtime.
//!
//! In: nothing. Out: the modules that the targets call. A file that moves in the server moves here.

pub mod logs;
pub mod vllm;
