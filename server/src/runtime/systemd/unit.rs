//! What systemd's properties say of a unit. In: property maps. Out: [`Facts`], and from them the activity and identity that
//! the supervisor knows. Pure: no call is made here.
//!
//! Properties: `org.freedesktop.systemd1(5)`, "Unit Objects" and "Service Unit Objects".

use crate::runtime::{Activity, Ended, InstanceId};
use app::model::Timestamp;
use std::collections::HashMap;
use zbus::zvariant::{OwnedValue, Value};

/// The exit code of what ended without anybody having seen how.
const UNKNOWN_EXIT: i64 = -1;

/// Whether systemd has the unit's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// It has no file.
    NotFound,
    /// It is loaded, masked, or has mistakes: it is there, and systemd says the rest when it is started.
    There,
}

/// What the unit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Active {
    /// `active`, `reloading`, `activating`, `deactivating`, `maintenance`, `refreshing`: something of it runs.
    Up,
    /// `activating` with `auto-restart`: its process has ended, systemd waits before it starts it again.
    Waits,
    /// `inactive`.
    Inactive,
    /// `failed`.
    Failed,
}

/// How the main process ended: `ExecMainCode`, as `si_code` of `waitid(2)` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MainEnd {
    /// It runs, or there was none.
    None,
    /// It exited with this code.
    Exited(i64),
    /// This signal ended it.
    Killed(i64),
}

/// A unit as it is now. Times in microseconds since the Unix epoch, 0 for never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub load: Load,
    pub active: Active,
    /// 32 hexadecimal digits; empty when systemd knows of no start.
    pub invocation: String,
    pub main_pid: u32,
    pub main_start_us: u64,
    pub main_exit_us: u64,
    pub main_end: MainEnd,
    /// When it left `inactive`: the moment at which its start began.
    pub begun_us: u64,
    /// When its state last changed.
    pub changed_us: u64,
    /// `success`, `exit-code`, `signal`, `oom-kill`, `timeout`…
    pub result: String,
    /// Its process would have been started again after an end in order: `Restart=always` or `on-success`.
    pub restarts_after_success: bool,
    /// The job that is queued for it.
    pub job: Option<String>,
}

type Map = HashMap<String, OwnedValue>;

fn text<'a>(map: &'a Map, name: &str) -> &'a str {
    match map.get(name).map(|v| &**v) {
        Some(Value::Str(text)) => text.as_str(),
        _ => "",
    }
}

fn number(map: &Map, name: &str) -> i64 {
    match map.get(name).map(|v| &**v) {
        Some(Value::U64(n)) => i64::try_from(*n).unwrap_or(0),
        Some(Value::U32(n)) => i64::from(*n),
        Some(Value::I32(n)) => i64::from(*n),
        _ => 0,
    }
}

fn micros(map: &Map, name: &str) -> u64 {
    u64::try_from(number(map, name)).unwrap_or(0)
}

fn hex(map: &Map, name: &str) -> String {
    let Some(Value::Array(bytes)) = map.get(name).map(|v| &**v) else { return String::new() };
    let digits =
        bytes.iter().filter_map(|b| if let Value::U8(b) = b { Some(format!("{b:02x}")) } else { None });
    let id: String = digits.take(16).collect();
    if id.len() == 32 { id } else { String::new() }
}

fn job(map: &Map) -> Option<String> {
    let Some(Value::Structure(pair)) = map.get("Job").map(|v| &**v) else { return None };
    match pair.fields() {
        [Value::U32(number), Value::ObjectPath(path)] if *number != 0 => Some(path.as_str().to_owned()),
        _ => None,
    }
}

impl Facts {
    /// Reads the properties of the unit's two interfaces.
    pub(super) fn read(unit: &Map, service: &Map) -> Self {
        let status = number(service, "ExecMainStatus");
        Self {
            load: if text(unit, "LoadState") == "not-found" { Load::NotFound } else { Load::There },
            active: match (text(unit, "ActiveState"), text(unit, "SubState")) {
                ("inactive", _) => Active::Inactive,
                ("failed", _) => Active::Failed,
                ("activating", "auto-restart" | "auto-restart-queued") => Active::Waits,
                _ => Active::Up,
            },
            invocation: hex(unit, "InvocationID"),
            main_pid: u32::try_from(number(service, "MainPID")).unwrap_or(0),
            main_start_us: micros(service, "ExecMainStartTimestamp"),
            main_exit_us: micros(service, "ExecMainExitTimestamp"),
            main_end: match number(service, "ExecMainCode") {
                1 => MainEnd::Exited(status),
                2 | 3 => MainEnd::Killed(status),
                _ => MainEnd::None,
            },
            begun_us: micros(unit, "InactiveExitTimestamp"),
            changed_us: micros(unit, "StateChangeTimestamp"),
            result: text(service, "Result").to_owned(),
            restarts_after_success: matches!(text(service, "Restart"), "always" | "on-success"),
            job: job(unit),
        }
    }

    /// Which start this is; `None` when systemd knows of none.
    ///
    /// `started_ns` is the moment at which the start began. The main process's own start would not do: it is 0 while an
    /// `ExecStartPre=` runs, and one start must not have two names. Only while systemd waits to restart it is that moment
    /// already the next start's.
    pub(super) fn id(&self) -> Option<InstanceId> {
        if self.invocation.is_empty() {
            return None;
        }
        let us = match self.active {
            Active::Waits if self.main_start_us != 0 => self.main_start_us,
            _ if self.begun_us != 0 => self.begun_us,
            _ => self.main_start_us,
        };
        Some(InstanceId { id: self.invocation.clone(), started_ns: nanos(us) })
    }

    /// What it does. `stop_seen`: a stop job was seen for this very start.
    pub(super) fn activity(&self, stop_seen: bool) -> Activity {
        match self.active {
            Active::Up | Active::Waits => Activity::Running,
            Active::Inactive | Active::Failed if self.invocation.is_empty() => Activity::Created,
            Active::Inactive | Active::Failed => Activity::Ended(self.ended(stop_seen)),
        }
    }

    fn ended(&self, stop_seen: bool) -> Ended {
        let success = self.result == "success";
        let code = match self.main_end {
            MainEnd::Exited(code) => code,
            MainEnd::Killed(signal) => 128 + signal,
            // Nothing was run, or nobody knows which process was the main one.
            MainEnd::None if success => 0,
            MainEnd::None => UNKNOWN_EXIT,
        };
        let us = [self.main_exit_us, self.changed_us].into_iter().find(|us| *us != 0);
        Ended {
            code,
            oom: self.result == "oom-kill",
            asked_outside: stop_seen || (success && self.was_asked()),
            perhaps_asked: false,
            at: us.map_or_else(Timestamp::now, |us| Timestamp::from_nanos(nanos(us))),
        }
    }

    /// As far as the properties tell: a stop signal ended it, or it would have been started again had it ended by itself.
    /// A process that exits with 0 looks the same whether it was asked or not.
    fn was_asked(&self) -> bool {
        matches!(self.main_end, MainEnd::Killed(_)) || self.restarts_after_success
    }
}

/// Microseconds as nanoseconds.
pub(super) fn nanos(us: u64) -> i64 {
    i64::try_from(us).unwrap_or(i64::MAX).saturating_mul(1000)
}

#[cfg(test)]
#[path = "unit_tests.rs"]
mod tests;
