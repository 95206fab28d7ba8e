//! What should run and what does: one task per service.
//!
//! In: commands, looks at the runtime, probes, phases from the log, timers. Out: effects on the runtime and the public
//! [`Service`](app::model::Service) object. [`machine`] is pure and knows all rules; `task` owns the one machine of a
//! service, carries out its effects and is the only writer of its state; `fleet` owns the tasks and answers the page.

mod counters;
mod fleet;
mod follow;
mod machine;
#[cfg(test)]
mod machine_tests;
mod planner;
mod task;

pub use fleet::{Fleet, FleetControl, Seat, World};
pub use machine::{Effect, Limits, Machine, Observation, Recalled, Timer};
pub use task::{Handle, Mail};
