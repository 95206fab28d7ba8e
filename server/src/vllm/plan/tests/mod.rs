//! The plan from outside: configs as published, folders and caches as they lie on a disk, and the error against real logs.

mod configs;
mod known_logs;
mod places;
mod verdicts;
