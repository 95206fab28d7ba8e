//! The dashboard as those see it who watch it: a real one, over HTTP, its log and its exit.
#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers, too")]
#![expect(clippy::disallowed_methods, reason = "the dashboard itself is started as people start it")]

mod doctor;
mod logging;
mod machine;
mod metrics;
mod notify;
mod ready;
mod shutdown;
mod start;
mod store;
