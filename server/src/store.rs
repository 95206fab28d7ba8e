//! What the dashboard must remember: wishes, runs, adoptions. One SQLite file in the state folder.
//!
//! In and out: small rows, each written at once. A lock file keeps a second dashboard away from the same folder.

use app::model::{Phase, PhaseTime, ServiceName, State, Timestamp, UsualTime, Wish};
use rusqlite::{Connection, OptionalExtension, params};
use rustix::fs::{FlockOperation, flock};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The shape of the file; one entry for each version.
const MIGRATIONS: [&str; 2] = [
    "
    CREATE TABLE service (
        name TEXT PRIMARY KEY,
        wish TEXT,
        container TEXT
    ) STRICT;
    CREATE TABLE recipe (
        service TEXT NOT NULL,
        container TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (service, container)
    ) STRICT;
    CREATE TABLE run (
        run INTEGER PRIMARY KEY AUTOINCREMENT,
        service TEXT NOT NULL,
        instance TEXT NOT NULL,
        started_ms INTEGER NOT NULL,
        log_from_ns INTEGER NOT NULL,
        first_frame_ns INTEGER,
        ready_ms INTEGER,
        outcome TEXT
    ) STRICT;
    CREATE INDEX run_by_instance ON run (service, instance);
    CREATE TABLE fact (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
",
    "
    CREATE TABLE start (
        run INTEGER PRIMARY KEY,
        what TEXT NOT NULL,
        phases TEXT NOT NULL
    ) STRICT;
    CREATE INDEX start_by_what ON start (what, run);
",
];

/// How many earlier starts the usual times are taken from.
const LEARN_FROM: i64 = 5;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be made or written.
    #[error("the state folder {path} cannot be used: {source}. Choose another with SERVICES_STATE_DIR")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// Another dashboard uses it.
    #[error(
        "the state folder {path} is in use by another Services (PID {pid}). Stop that one, or choose another folder with SERVICES_STATE_DIR"
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The other's PID, as far as it told.
        pid: String,
    },
    /// The file is broken, or of a newer version.
    #[error("the store {path} cannot be used: {detail}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

/// One run as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// Its number: unique across services, never used again.
    pub run: u64,
    /// Where its part of the runtime's log begins.
    pub log_from_ns: i64,
    /// The first frame of its log.
    pub first_frame_ns: Option<i64>,
    /// When it became ready.
    pub ready_since: Option<Timestamp>,
    /// How it ended, if that was seen.
    pub outcome: Option<State>,
}

/// The store.
pub struct Store {
    connection: Mutex<Connection>,
    _lock: File,
}

impl Store {
    /// Opens the store in this folder, which is made, for its owner alone, when it is missing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let folder = |source| StoreError::Folder { path: dir.to_owned(), source };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(folder)?;
        let lock_path = dir.join("lock");
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(folder)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let pid = std::fs::read_to_string(&lock_path).unwrap_or_default().trim().to_owned();
            return Err(StoreError::InUse {
                path: dir.to_owned(),
                pid: if pid.is_empty() { "unknown".into() } else { pid },
            });
        }
        lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(folder)?;

        let path = dir.join("services.db");
        let broken = |detail: String| StoreError::Database { path: path.clone(), detail };
        // Its own mode, whatever the folder's: recipes hold the environment of containers, and so tokens.
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(folder)?;
        file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(folder)?;
        drop(file);
        let mut connection = Connection::open(&path).map_err(|e| broken(e.to_string()))?;
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 2000; PRAGMA cache_size = -256; PRAGMA foreign_keys = ON;")
            .map_err(|e| broken(e.to_string()))?;
        migrate(&mut connection).map_err(broken)?;
        Ok(Self { connection: Mutex::new(connection), _lock: lock })
    }

    fn with<T>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Option<T> {
        let connection: MutexGuard<'_, Connection> =
            self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        work(&connection).inspect_err(|error| tracing::error!(what, %error, "the store failed")).ok()
    }

    /// The last wish.
    pub fn wish(&self, service: &ServiceName) -> Option<Wish> {
        let text: Option<String> = self.with("wish", |c| {
            c.query_row("SELECT wish FROM service WHERE name = ?1", [service.as_str()], |r| r.get(0))
                .optional()
                .map(Option::flatten)
        })?;
        match text.as_deref() {
            Some("running") => Some(Wish::Running),
            Some("stopped") => Some(Wish::Stopped),
            _ => None,
        }
    }

    /// Remembers a wish.
    pub fn set_wish(&self, service: &ServiceName, wish: Wish) {
        let text = if wish == Wish::Running { "running" } else { "stopped" };
        self.with("set_wish", |c| {
            c.execute(
                "INSERT INTO service (name, wish) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET wish = ?2",
                params![service.as_str(), text],
            )
        });
    }

    /// All adoptions: service and container.
    pub fn adoptions(&self) -> Vec<(String, String)> {
        self.with("adoptions", |c| {
            let mut rows =
                c.prepare("SELECT name, container FROM service WHERE container IS NOT NULL ORDER BY name")?;
            let rows = rows.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?;
            rows.collect()
        })
        .unwrap_or_default()
    }

    /// Remembers an adoption. False when it could not be written.
    pub fn set_adopted(&self, service: &ServiceName, container: &str) -> bool {
        self.with("set_adopted", |c| {
            c.execute("INSERT INTO service (name, container) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET container = ?2", params![service.as_str(), container])
        })
        .is_some()
    }

    /// What is needed to create a service's removed container again, as the runtime wrote it.
    pub fn recipe(&self, service: &ServiceName, container: &str) -> Option<String> {
        self.with("recipe", |c| {
            c.query_row(
                "SELECT body FROM recipe WHERE service = ?1 AND container = ?2",
                [service.as_str(), container],
                |r| r.get(0),
            )
            .optional()
        })?
    }

    /// Remembers such a recipe.
    pub fn set_recipe(&self, service: &ServiceName, container: &str, recipe: &str) {
        self.with("set_recipe", |c| {
            c.execute("INSERT INTO recipe (service, container, body) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET body = ?3", params![service.as_str(), container, recipe])
        });
    }

    /// The run of this very instance, if it is known.
    pub fn run_of(&self, service: &ServiceName, instance: &str) -> Option<RunRow> {
        self.with("run_of", |c| {
            c.query_row(
                "SELECT run, first_frame_ns, ready_ms, outcome, log_from_ns FROM run WHERE service = ?1 AND instance = ?2 ORDER BY run DESC LIMIT 1",
                [service.as_str(), instance],
                |r| {
                    let outcome: Option<String> = r.get(3)?;
                    Ok(RunRow {
                        run: r.get::<_, i64>(0)?.unsigned_abs(),
                        log_from_ns: r.get(4)?,
                        first_frame_ns: r.get(1)?,
                        ready_since: r.get::<_, Option<i64>>(2)?.map(Timestamp::from_millis),
                        outcome: outcome.and_then(|o| serde_json::from_str(&o).ok()),
                    })
                },
            )
            .optional()
        })?
    }

    /// Opens a new run. `None` when it could not be written: the caller goes on without a number.
    pub fn open_run(
        &self,
        service: &ServiceName,
        instance: &str,
        started: Timestamp,
        log_from_ns: i64,
    ) -> Option<u64> {
        self.with("open_run", |c| {
            c.execute(
                "INSERT INTO run (service, instance, started_ms, log_from_ns, ready_ms, outcome) VALUES (?1, ?2, ?3, ?4,
                    (SELECT ready_ms FROM run WHERE service = ?1 AND instance = ?2 ORDER BY run DESC LIMIT 1),
                    (SELECT outcome FROM run WHERE service = ?1 AND instance = ?2 ORDER BY run DESC LIMIT 1))",
                params![service.as_str(), instance, started.millis(), log_from_ns],
            )?;
            Ok(c.last_insert_rowid().unsigned_abs())
        })
    }

    /// Remembers what the phases of a start took that became ready. `what` names all that it depends on: model, image.
    pub fn learn_start(&self, what: &str, run: u64, phases: &[PhaseTime]) {
        let took: Vec<UsualTime> =
            phases.iter().filter_map(|p| Some(UsualTime { phase: p.phase, took_ms: p.took_ms? })).collect();
        let Ok(text) = serde_json::to_string(&took) else { return };
        self.with("learn_start", |c| {
            c.execute(
                "INSERT OR REPLACE INTO start (run, what, phases) VALUES (?1, ?2, ?3)",
                params![run.cast_signed(), what, text],
            )?;
            c.execute(
                "DELETE FROM start WHERE what = ?1 AND run NOT IN (SELECT run FROM start WHERE what = ?1 ORDER BY run DESC LIMIT ?2)",
                params![what, LEARN_FROM],
            )
        });
    }

    /// What each phase usually took, in order: the median of the last starts that had it. And of how many starts.
    pub fn usual_start(&self, what: &str) -> (Vec<UsualTime>, u32) {
        let rows: Vec<String> = self
            .with("usual_start", |c| {
                let mut rows =
                    c.prepare("SELECT phases FROM start WHERE what = ?1 ORDER BY run DESC LIMIT ?2")?;
                let rows = rows.query_map(params![what, LEARN_FROM], |r| r.get(0))?;
                rows.collect()
            })
            .unwrap_or_default();
        let mut by_phase: BTreeMap<Phase, Vec<u64>> = BTreeMap::new();
        let mut starts = 0;
        for times in rows.iter().filter_map(|text| serde_json::from_str::<Vec<UsualTime>>(text).ok()) {
            starts += 1;
            for time in times {
                by_phase.entry(time.phase).or_default().push(time.took_ms);
            }
        }
        let usual = by_phase.into_iter().filter_map(|(phase, mut took)| {
            took.sort_unstable();
            Some(UsualTime { phase, took_ms: *took.get((took.len() - 1) / 2)? })
        });
        (usual.collect(), starts)
    }

    /// Remembers the first frame of a run's log: by it a later dashboard knows that the log still begins there.
    pub fn set_first_frame(&self, run: u64, ns: i64) {
        self.with("set_first_frame", |c| {
            c.execute(
                "UPDATE run SET first_frame_ns = ?2 WHERE run = ?1 AND first_frame_ns IS NULL",
                params![run.cast_signed(), ns],
            )
        });
    }

    /// Remembers when a run became ready.
    pub fn set_ready(&self, run: u64, at: Timestamp) {
        self.with("set_ready", |c| {
            c.execute("UPDATE run SET ready_ms = ?2 WHERE (service, instance) = (SELECT service, instance FROM run WHERE run = ?1)", params![run.cast_signed(), at.millis()])
        });
    }

    /// Remembers how a run ended.
    pub fn set_outcome(&self, run: u64, outcome: &State) {
        let Ok(json) = serde_json::to_string(outcome) else { return };
        self.with("set_outcome", |c| {
            c.execute("UPDATE run SET outcome = ?2 WHERE (service, instance) = (SELECT service, instance FROM run WHERE run = ?1)", params![run.cast_signed(), json])
        });
    }

    /// A remembered fact of the machine.
    pub fn fact(&self, key: &str) -> Option<String> {
        self.with("fact", |c| {
            c.query_row("SELECT value FROM fact WHERE key = ?1", [key], |r| r.get(0)).optional()
        })?
    }

    /// Remembers a fact.
    pub fn set_fact(&self, key: &str, value: &str) {
        self.with("set_fact", |c| {
            c.execute(
                "INSERT INTO fact (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
                [key, value],
            )
        });
    }
}

/// Brings the file to the newest shape, in one transaction.
fn migrate(connection: &mut Connection) -> Result<(), String> {
    let version: i64 =
        connection.query_row("PRAGMA user_version", [], |r| r.get(0)).map_err(|e| e.to_string())?;
    let version = usize::try_from(version).map_err(|_| "its version is negative".to_owned())?;
    if version > MIGRATIONS.len() {
        return Err(format!(
            "it was written by a newer Services (version {version}, this one knows {})",
            MIGRATIONS.len()
        ));
    }
    let transaction = connection.transaction().map_err(|e| e.to_string())?;
    for step in &MIGRATIONS[version..] {
        transaction.execute_batch(step).map_err(|e| e.to_string())?;
    }
    transaction
        .pragma_update(None, "user_version", i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX))
        .map_err(|e| e.to_string())?;
    transaction.commit().map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> ServiceName {
        ServiceName::parse("vllm").expect("a name")
    }

    #[test]
    fn runs_are_numbered_once_and_remembered() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let ended = State::Stopped { since: None, note: None };
        let first = {
            let store = Store::open(dir.path()).expect("opens");
            let first = store.open_run(&name(), "a@1", Timestamp::from_millis(1), 7).expect("written");
            store.set_first_frame(first, 42);
            store.set_first_frame(first, 43);
            store.set_outcome(first, &ended);
            first
        };
        let store = Store::open(dir.path()).expect("opens again");
        let row = store.run_of(&name(), "a@1").expect("known");
        assert_eq!((row.run, row.first_frame_ns, row.outcome), (first, Some(42), Some(ended)));
        assert_eq!(store.run_of(&name(), "b@1"), None);
        assert!(store.open_run(&name(), "b@1", Timestamp::from_millis(2), 0).expect("written") > first);
    }

    #[test]
    fn usual_times_are_the_median_of_the_last_starts_of_the_very_same_thing() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(dir.path()).expect("opens");
        assert_eq!(store.usual_start("a"), (Vec::new(), 0));
        let phase =
            |phase, took_ms| PhaseTime { phase, at: Timestamp::from_millis(0), took_ms: Some(took_ms) };
        for (run, load) in [(1, 90_000), (2, 10), (3, 30), (4, 20), (5, 40), (6, 50)] {
            let mut phases = vec![phase(Phase::Import, 5), phase(Phase::Load, load)];
            if run == 4 {
                phases.push(phase(Phase::Compile, 700));
            }
            store.learn_start("a", run, &phases);
        }
        store.learn_start("b", 7, &[phase(Phase::Load, 1)]);
        let (usual, starts) = store.usual_start("a");
        let usual: Vec<_> = usual.iter().map(|u| (u.phase, u.took_ms)).collect();
        assert_eq!(usual, [(Phase::Import, 5), (Phase::Load, 30), (Phase::Compile, 700)]);
        assert_eq!(starts, 5, "the oldest is forgotten");
    }

    #[test]
    fn two_dashboards_cannot_share_a_folder() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let _first = Store::open(dir.path()).expect("opens");
        let error = Store::open(dir.path()).err().expect("refused");
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    }

    #[test]
    fn a_newer_or_broken_file_is_refused_not_overwritten() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        drop(Store::open(dir.path()).expect("opens"));
        let file = dir.path().join("services.db");
        Connection::open(&file).expect("opens").pragma_update(None, "user_version", 99).expect("written");
        assert!(Store::open(dir.path()).err().expect("refused").to_string().contains("newer"));
        std::fs::write(&file, "this is not a database, but long enough to be looked at as if it were one")
            .expect("written");
        let _ = std::fs::remove_file(dir.path().join("services.db-wal"));
        assert!(Store::open(dir.path()).is_err());
        assert!(std::fs::read_to_string(&file).expect("still there").starts_with("this is not"));
    }

    #[test]
    fn wishes_adoptions_and_recipes_live_beside_each_other() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(dir.path()).expect("opens");
        assert_eq!(store.wish(&name()), None);
        store.set_wish(&name(), Wish::Running);
        assert!(store.set_adopted(&name(), "my-vllm"));
        store.set_recipe(&name(), "my-vllm", "{}");
        assert_eq!(store.wish(&name()), Some(Wish::Running));
        assert_eq!(store.adoptions(), [("vllm".to_owned(), "my-vllm".to_owned())]);
        assert_eq!(store.recipe(&name(), "my-vllm").as_deref(), Some("{}"));
        assert_eq!(store.recipe(&name(), "another"), None);
    }
}
