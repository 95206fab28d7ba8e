//! The manager as an object on the bus, `org.freedesktop.systemd1(5)`: the methods that a watcher of services uses, jobs,
//! and the signals that go with them.

use crate::run::{Active, World};
use crate::unit::{Job, Service, Unit, job_path, path};
use rustix::process::Signal;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use zbus::names::ErrorName;
use zbus::zvariant::{OwnedObjectPath, Value};
use zbus::{Connection, DBusError, interface};

/// The manager's object.
pub const PATH: &str = "/org/freedesktop/systemd1";
const INTERFACE: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";

/// What the manager refuses with.
#[derive(Debug)]
pub enum Refusal {
    NoSuchUnit(String),
    NoSuchProcess(String),
    Denied,
    Broken(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.description().unwrap_or_default())
    }
}

impl DBusError for Refusal {
    fn create_reply(&self, message: &zbus::message::Header<'_>) -> zbus::Result<zbus::Message> {
        zbus::Message::error(message, self.name())?.build(&(self.description().unwrap_or_default()))
    }
    fn name(&self) -> ErrorName<'_> {
        ErrorName::from_static_str_unchecked(match self {
            Self::NoSuchUnit(_) => "org.freedesktop.systemd1.NoSuchUnit",
            Self::NoSuchProcess(_) => "org.freedesktop.systemd1.NoSuchProcess",
            Self::Denied => "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
            Self::Broken(_) => "org.freedesktop.DBus.Error.Failed",
        })
    }
    fn description(&self) -> Option<&str> {
        Some(match self {
            Self::NoSuchUnit(text) | Self::NoSuchProcess(text) | Self::Broken(text) => text,
            Self::Denied => "Interactive authentication required.",
        })
    }
}

impl From<zbus::Error> for Refusal {
    fn from(error: zbus::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// `org.freedesktop.systemd1.Manager`.
#[derive(Clone)]
pub struct Manager {
    world: Arc<World>,
    jobs: Arc<AtomicU32>,
}

/// The answer of methods that change links: kind, file, target.
type Links = Vec<(String, String, String)>;

impl Manager {
    pub fn new(world: Arc<World>) -> Self {
        Self { world, jobs: Arc::new(AtomicU32::new(1)) }
    }

    /// Puts the unit's object on the bus, where it is not there already.
    async fn load(&self, unit: &str, bus: &Connection) -> Result<OwnedObjectPath, Refusal> {
        let at = path(unit);
        let server = bus.object_server();
        let (name, world) = (unit.to_owned(), self.world.clone());
        server.at(at.as_str(), Unit { name: name.clone(), world: world.clone() }).await?;
        server.at(at.as_str(), Service { name, world }).await?;
        OwnedObjectPath::try_from(at).map_err(|error| Refusal::Broken(error.to_string()))
    }

    /// The unit's file, if it may be touched.
    fn permit(&self, unit: &str) -> Result<crate::file::UnitFile, Refusal> {
        let file = self.world.file(unit);
        let file = file.ok_or_else(|| Refusal::NoSuchUnit(format!("Unit {unit} not found.")))?;
        if file.denied { Err(Refusal::Denied) } else { Ok(file) }
    }

    async fn job_begins(&self, unit: &str, kind: &'static str, bus: &Connection) -> Result<u32, Refusal> {
        let number = self.jobs.fetch_add(1, Ordering::Relaxed);
        bus.object_server().at(job_path(number), Job { kind }).await?;
        self.world.change(unit, |s| s.job = Some(number));
        self.tell(bus, "JobNew", &(number, object(&job_path(number))?, unit)).await?;
        Ok(number)
    }

    async fn job_ends(&self, unit: &str, number: u32, result: &str, bus: &Connection) -> Result<(), Refusal> {
        self.world.change(unit, |s| s.job = s.job.filter(|job| *job != number));
        bus.object_server().remove::<Job, _>(job_path(number)).await?;
        self.tell(bus, "JobRemoved", &(number, object(&job_path(number))?, unit, result)).await?;
        self.changed(unit, bus).await
    }

    async fn tell<B>(&self, bus: &Connection, signal: &str, body: &B) -> Result<(), Refusal>
    where
        B: serde::Serialize + zbus::zvariant::DynamicType,
    {
        Ok(bus.emit_signal(None::<&str>, PATH, INTERFACE, signal, body).await?)
    }

    /// Says that the unit's properties are others now.
    async fn changed(&self, unit: &str, bus: &Connection) -> Result<(), Refusal> {
        for (interface, names) in [
            (UNIT, ["ActiveState", "SubState", "InvocationID", "Job"]),
            (SERVICE, ["MainPID", "Result", "ExecMainCode", "ExecMainStatus"]),
        ] {
            let body = (interface, HashMap::<&str, Value<'_>>::new(), names.as_slice());
            bus.emit_signal(
                None::<&str>,
                path(unit),
                "org.freedesktop.DBus.Properties",
                "PropertiesChanged",
                &body,
            )
            .await?;
        }
        Ok(())
    }
}

fn object(path: &str) -> Result<OwnedObjectPath, Refusal> {
    OwnedObjectPath::try_from(path.to_owned()).map_err(|error| Refusal::Broken(error.to_string()))
}

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    fn subscribe(&self) {}

    fn reload(&self) {}

    fn ref_unit(&self, _name: &str) {}

    async fn load_unit(
        &self,
        name: &str,
        #[zbus(connection)] bus: &Connection,
    ) -> Result<OwnedObjectPath, Refusal> {
        self.load(name, bus).await
    }

    async fn get_unit(
        &self,
        name: &str,
        #[zbus(connection)] bus: &Connection,
    ) -> Result<OwnedObjectPath, Refusal> {
        self.permit(name)?;
        self.load(name, bus).await
    }

    async fn start_unit(
        &self,
        name: &str,
        _mode: &str,
        #[zbus(connection)] bus: &Connection,
    ) -> Result<OwnedObjectPath, Refusal> {
        let file = self.permit(name)?;
        self.load(name, bus).await?;
        let number = self.job_begins(name, "start", bus).await?;
        let (this, unit, bus) = (self.clone(), name.to_owned(), bus.clone());
        tokio::spawn(async move {
            let result = match &file.result {
                _ if this.world.state(&unit).active == Active::Running => Ok(None),
                Some(word) => Err(word.clone()),
                None => this.world.spawn(&unit, &file).map(Some).map_err(|_| "failed".to_owned()),
            };
            let word = result.as_ref().err().cloned().unwrap_or_else(|| "done".to_owned());
            // A bus that is gone ends the whole program.
            let _ = this.changed(&unit, &bus).await;
            let _ = this.job_ends(&unit, number, &word, &bus).await;
            if let Ok(Some(mut child)) = result
                && let Ok(status) = child.wait().await
            {
                this.world.wait(&unit, status);
                let _ = this.changed(&unit, &bus).await;
            }
        });
        object(&job_path(number))
    }

    async fn stop_unit(
        &self,
        name: &str,
        _mode: &str,
        #[zbus(connection)] bus: &Connection,
    ) -> Result<OwnedObjectPath, Refusal> {
        let file = self.permit(name)?;
        let number = self.job_begins(name, "stop", bus).await?;
        self.world.ask_to_stop(name);
        let (this, unit, bus) = (self.clone(), name.to_owned(), bus.clone());
        tokio::spawn(async move {
            let _ = this.changed(&unit, &bus).await;
            let end = tokio::time::Instant::now() + file.stop_limit;
            while this.world.state(&unit).active == Active::Stopping {
                if tokio::time::Instant::now() >= end {
                    this.world.signal(&unit, Signal::KILL);
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            let _ = this.job_ends(&unit, number, "done", &bus).await;
        });
        object(&job_path(number))
    }

    fn kill_unit(&self, name: &str, _whom: &str, signal: i32) -> Result<(), Refusal> {
        self.permit(name)?;
        let signal = Signal::from_named_raw(signal)
            .ok_or_else(|| Refusal::Broken("Signal number out of range.".to_owned()))?;
        if self.world.signal(name, signal) {
            Ok(())
        } else {
            Err(Refusal::NoSuchProcess("No matching processes to kill".to_owned()))
        }
    }

    fn reset_failed_unit(&self, name: &str) -> Result<(), Refusal> {
        self.permit(name)?;
        self.world.change(name, |s| {
            if s.active == Active::Failed {
                s.active = Active::Inactive;
                s.result = "success";
            }
        });
        Ok(())
    }

    fn get_unit_file_state(&self, name: &str) -> Result<String, Refusal> {
        let file = self
            .world
            .file(name)
            .ok_or_else(|| Refusal::NoSuchUnit(format!("Unit file {name} does not exist.")))?;
        Ok(match (self.world.is_enabled(name), file.installable) {
            (true, _) => "enabled",
            (false, true) => "disabled",
            (false, false) => "static",
        }
        .to_owned())
    }

    #[expect(clippy::needless_pass_by_value, reason = "the bus hands the list over")]
    fn enable_unit_files(
        &self,
        files: Vec<String>,
        _runtime: bool,
        _force: bool,
    ) -> Result<(bool, Links), Refusal> {
        let mut all = true;
        for name in &files {
            let installable = self.permit(name)?.installable;
            all &= installable;
            self.world.set_enabled(name, installable);
        }
        Ok((all, Vec::new()))
    }

    #[expect(clippy::needless_pass_by_value, reason = "the bus hands the list over")]
    fn disable_unit_files(&self, files: Vec<String>, _runtime: bool) -> Result<Links, Refusal> {
        for name in &files {
            self.permit(name)?;
            self.world.set_enabled(name, false);
        }
        Ok(Vec::new())
    }
}
