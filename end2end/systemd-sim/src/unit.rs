//! One unit as an object on the bus: the properties and methods that a watcher of services uses.

use crate::run::{Active, World};
use std::sync::Arc;
use zbus::interface;
use zbus::zvariant::{ObjectPath, OwnedObjectPath};

/// `org.freedesktop.systemd1.Unit` of one unit.
pub struct Unit {
    pub name: String,
    pub world: Arc<World>,
}

/// `org.freedesktop.systemd1.Service` of one unit.
pub struct Service {
    pub name: String,
    pub world: Arc<World>,
}

/// `org.freedesktop.systemd1.Job`.
pub struct Job {
    pub kind: &'static str,
}

/// A unit's object: every byte but letters and digits as `_xx` (`bus_label_escape`).
pub fn path(unit: &str) -> String {
    let escaped = unit
        .bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("_{b:02x}") });
    format!("/org/freedesktop/systemd1/unit/{}", escaped.collect::<String>())
}

/// The object of no job.
fn no_job() -> OwnedObjectPath {
    ObjectPath::from_static_str_unchecked("/").into()
}

#[interface(name = "org.freedesktop.systemd1.Unit")]
impl Unit {
    #[zbus(property)]
    fn load_state(&self) -> String {
        if self.world.file(&self.name).is_some() { "loaded" } else { "not-found" }.into()
    }
    #[zbus(property)]
    fn active_state(&self) -> String {
        match self.world.state(&self.name).active {
            Active::Inactive => "inactive",
            Active::Running => "active",
            Active::Stopping => "deactivating",
            Active::Failed => "failed",
        }
        .into()
    }
    #[zbus(property)]
    fn sub_state(&self) -> String {
        match self.world.state(&self.name).active {
            Active::Inactive => "dead",
            Active::Running => "running",
            Active::Stopping => "stop-sigterm",
            Active::Failed => "failed",
        }
        .into()
    }
    #[zbus(property, name = "InvocationID")]
    fn invocation_id(&self) -> Vec<u8> {
        self.world.state(&self.name).invocation
    }
    #[zbus(property)]
    fn inactive_exit_timestamp(&self) -> u64 {
        self.world.state(&self.name).begun_us
    }
    #[zbus(property)]
    fn state_change_timestamp(&self) -> u64 {
        self.world.state(&self.name).changed_us
    }
    #[zbus(property)]
    fn job(&self) -> (u32, OwnedObjectPath) {
        let job = self.world.state(&self.name).job;
        job.and_then(|n| Some((n, OwnedObjectPath::try_from(job_path(n)).ok()?))).unwrap_or((0, no_job()))
    }
}

/// A job's object.
pub fn job_path(number: u32) -> String {
    format!("/org/freedesktop/systemd1/job/{number}")
}

#[interface(name = "org.freedesktop.systemd1.Service")]
impl Service {
    #[zbus(property, name = "MainPID")]
    fn main_pid(&self) -> u32 {
        self.world.state(&self.name).main_pid
    }
    #[zbus(property)]
    fn exec_main_start_timestamp(&self) -> u64 {
        self.world.state(&self.name).main_start_us
    }
    #[zbus(property)]
    fn exec_main_exit_timestamp(&self) -> u64 {
        self.world.state(&self.name).main_exit_us
    }
    #[zbus(property)]
    fn exec_main_code(&self) -> i32 {
        self.world.state(&self.name).main_end.0
    }
    #[zbus(property)]
    fn exec_main_status(&self) -> i32 {
        self.world.state(&self.name).main_end.1
    }
    #[zbus(property)]
    fn result(&self) -> String {
        self.world.state(&self.name).result.to_owned()
    }
    #[zbus(property)]
    fn restart(&self) -> String {
        self.world.file(&self.name).map_or_else(|| "no".to_owned(), |file| file.restart)
    }
    fn get_processes(&self) -> Vec<(String, u32, String)> {
        let group = format!("/system.slice/{}", self.name);
        let listed = self.world.processes(&self.name).into_iter();
        listed.map(|(pid, line)| (group.clone(), pid, line)).collect()
    }
}

#[interface(name = "org.freedesktop.systemd1.Job")]
impl Job {
    #[zbus(property)]
    fn job_type(&self) -> String {
        self.kind.to_owned()
    }
}
