//! What should run and what does: one task per service.
//!
//! In: commands, looks at the runtime, probes, phases from the log, timers. Out: effects on the runtime and the public
//! [`Service`](app::model::Service) object. [`machine`] is pure and knows all rules; `task` owns the one machine of a
//! service, carries out its effects and is the only writer of its state; `fleet` owns the tasks and answers the page.

mod configure;
mod control;
mod counters;
mod events;
mod fleet;
mod follow;
mod images;
mod machine;
#[cfg(test)]
mod machine_tests;
mod planner;
mod task;
mod upkeep;
mod world;

pub use configure::{NotSaved, Outlook};
pub use control::FleetControl;
pub use events::{Event, Events, Happening, Tally};
pub use fleet::Fleet;
pub use images::Images;
pub use machine::{Effect, Keep, Limits, Machine, Memory, Observation, Recalled, Timer};
pub use planner::hub_caches_of;
pub use task::{Handle, Mail};
pub use world::{Seat, World};
