//! The dashboard as those see it who watch it: a real one, over HTTP, its log and its exit.
#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers, too")]

mod doctor;
mod logging;
mod machine;
mod metrics;
mod notify;
mod ready;
mod shutdown;
