//! What the dashboard must remember: wishes, runs, adoptions. One SQLite file in the state folder.
//!
//! In and out: small rows, each written at once. A lock file keeps a second dashboard away from the same folder.

mod accounts;
mod audit;
mod runs;
mod trouble;

pub use accounts::{Account, NewSession, SessionRow, TokenRow};
pub use audit::{AUDIT_KEEPS, AuditClass, AuditFilter};
pub use runs::RunEnd;
pub use trouble::StoreTrouble;

use crate::logs::Mark;
use crate::runtime::{FramePosition, InstanceId};
use crate::settings::fields::{Values, shown};
use crate::supervisor::Memory;
use crate::vitals::Counter;
use crate::vllm::models::Measured;
use app::model::{
    KeptImage, Level, LevelCounts, Phase, PhaseTime, ServiceName, State, Timestamp, UsualTime, Verb, Wish,
};
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use rustix::fs::{FlockOperation, flock};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use tokio::sync::watch;

/// The shape of the file; one entry for each version.
const MIGRATIONS: [&str; 7] = [
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
    "
    CREATE TABLE setting (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        service TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        who TEXT NOT NULL,
        before TEXT,
        after TEXT NOT NULL,
        secrets TEXT NOT NULL,
        ready_ms INTEGER
    ) STRICT;
    CREATE INDEX setting_by_service ON setting (service, id);
    CREATE TABLE measured (
        model TEXT NOT NULL,
        gpu TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        tokens_per_10s INTEGER NOT NULL,
        PRIMARY KEY (model, gpu)
    ) STRICT;
",
    // `outcome` is what the service said last with this run behind it, a refused launch included; `ending` is the run's own.
    "
    ALTER TABLE run ADD COLUMN ended_ms INTEGER;
    ALTER TABLE run ADD COLUMN code INTEGER;
    ALTER TABLE run ADD COLUMN ending TEXT;
    ALTER TABLE run ADD COLUMN image TEXT;
    ALTER TABLE run ADD COLUMN configuration TEXT;
    ALTER TABLE run ADD COLUMN phases TEXT;
    CREATE INDEX run_by_service ON run (service, run);
",
    // Of what lets somebody in only the hash is kept. What the audit has stays as it was written; only its oldest rows go.
    "
    CREATE TABLE account (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE COLLATE NOCASE,
        role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
        password TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        changed_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE session (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        hash BLOB NOT NULL UNIQUE,
        account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
        created_ms INTEGER NOT NULL,
        seen_ms INTEGER NOT NULL,
        address TEXT NOT NULL,
        agent TEXT NOT NULL
    ) STRICT;
    CREATE INDEX session_by_account ON session (account);
    CREATE TABLE device (
        hash BLOB PRIMARY KEY,
        account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
        used_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE token (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        hash BLOB NOT NULL UNIQUE,
        account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
        created_ms INTEGER NOT NULL,
        expires_ms INTEGER NOT NULL,
        used_ms INTEGER
    ) STRICT;
    CREATE TABLE audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at_ms INTEGER NOT NULL,
        who TEXT NOT NULL,
        role TEXT NOT NULL,
        address TEXT NOT NULL,
        action TEXT NOT NULL,
        target TEXT NOT NULL,
        result TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT;
    CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is not changed'); END;
    CREATE TRIGGER audit_rotates BEFORE DELETE ON audit
        WHEN OLD.id > (SELECT max(id) FROM audit) - 100000
        BEGIN SELECT RAISE(ABORT, 'the audit is not deleted'); END;
",
    // What was done and what was refused are counted and rotate apart: no number of refusals drives out what was done.
    "
    DROP TRIGGER audit_stays;
    DROP TRIGGER audit_rotates;
    ALTER TABLE audit ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE audit ADD COLUMN nth INTEGER NOT NULL DEFAULT 0;
    UPDATE audit SET refused = result <> 'done', nth = numbered.nth
        FROM (SELECT id, row_number() OVER (PARTITION BY result <> 'done' ORDER BY id) AS nth FROM audit) AS numbered
        WHERE numbered.id = audit.id;
    CREATE UNIQUE INDEX audit_nth ON audit (refused, nth);
    CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is not changed'); END;
    CREATE TRIGGER audit_rotates BEFORE DELETE ON audit
        WHEN OLD.nth > (SELECT max(nth) FROM audit WHERE refused = OLD.refused) - 100000
        BEGIN SELECT RAISE(ABORT, 'the audit is not deleted'); END;
",
    // What viewers and operators did rotates apart, too: they do not drive out what administrators did.
    "
    DROP TRIGGER audit_stays;
    DROP TRIGGER audit_rotates;
    DROP INDEX audit_nth;
    ALTER TABLE audit RENAME COLUMN refused TO class;
    UPDATE audit SET class = 2 WHERE class = 0 AND role IN ('viewer', 'operator');
    UPDATE audit SET nth = numbered.nth
        FROM (SELECT id, row_number() OVER (PARTITION BY class ORDER BY id) AS nth FROM audit) AS numbered
        WHERE numbered.id = audit.id;
    CREATE UNIQUE INDEX audit_nth ON audit (class, nth);
    CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is not changed'); END;
    CREATE TRIGGER audit_rotates BEFORE DELETE ON audit
        WHEN OLD.nth > (SELECT max(nth) FROM audit WHERE class = OLD.class) - 100000
        BEGIN SELECT RAISE(ABORT, 'the audit is not deleted'); END;
",
];

/// Writes a fact.
const SET_FACT: &str =
    "INSERT INTO fact (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";

/// How many earlier settings of a service are kept.
const KEEP_SETTINGS: i64 = 50;

/// How many earlier starts the usual times are taken from.
const LEARN_FROM: i64 = 5;

/// A command that was taken, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What.
    pub verb: Verb,
    /// When.
    pub at: Timestamp,
    /// A restart with the image that the reference means now.
    pub renew: bool,
}

/// The word for it.
const RENEW: &str = "renew";

impl Taken {
    /// Taken now.
    pub fn now(verb: Verb) -> Self {
        Self { verb, at: Timestamp::now(), renew: false }
    }

    fn text(self) -> String {
        let renew = if self.renew { [" ", RENEW].concat() } else { String::new() };
        format!("{} {} {}{renew}", boot_id(), self.at.millis(), self.verb.as_str())
    }
}

/// A command that a dashboard did not live to carry out is meant for so long.
const MEANT_FOR_MS: u64 = 600_000;

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
    /// The file is gone, or empty, though it was there.
    #[error(
        "the store {path} is gone or empty, though Services has kept accounts and runs in it. Nothing is begun anew by itself: put a backup back with `server restore FOLDER`, or delete {marker} to begin without accounts"
    )]
    Lost {
        /// The file.
        path: PathBuf,
        /// What says that it was there.
        marker: PathBuf,
    },
}

/// Beside the store once it was made: one that is gone is not taken for one that never was.
pub(crate) const MARKER: &str = "services.db.made";

/// What to do about a file that cannot be read.
const RESTORE: &str = "Put a backup back with `server restore FOLDER`";

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

/// A run before another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierRun {
    /// Its number.
    pub run: u64,
    /// Whose run it was.
    pub instance: InstanceId,
    /// When it was started.
    pub started: Timestamp,
    /// Where its part of the runtime's log begins.
    pub log_from_ns: i64,
}

/// Settings of a service as they were saved, or first seen at a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// Their number.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// By whom: `local`, or `file` for what was changed outside.
    pub who: String,
    /// What was before; absent for the first.
    pub before: Option<Values>,
    /// What they are.
    pub after: Values,
    /// Secrets that were changed with them, by name.
    pub secrets: Vec<String>,
    /// When the service last became ready with them.
    pub ready: Option<Timestamp>,
}

/// The store.
pub struct Store {
    connection: Mutex<Connection>,
    path: PathBuf,
    /// The file that was opened, whatever has its name later.
    identity: (u64, u64),
    _lock: Option<File>,
    errors: Counter,
    trouble: watch::Sender<Option<StoreTrouble>>,
    waiting: Mutex<trouble::Waiting>,
}

impl Store {
    /// Opens the store in this folder, which is made, for its owner alone, when it is missing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let lock = Self::lock(dir)?;
        Self::open_file(dir, Some(lock))
    }

    /// Makes the folder, for its owner alone, and locks it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn lock(dir: &Path) -> Result<File, StoreError> {
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
        Ok(lock)
    }

    /// Opens the store of a dashboard that may run: for commands that change rows which it reads anew each time. The file must
    /// be of this version already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open_beside(dir: &Path) -> Result<Self, StoreError> {
        match Self::open(dir) {
            Err(StoreError::InUse { .. }) => Self::open_file(dir, None),
            other => other,
        }
    }

    fn open_file(dir: &Path, lock: Option<File>) -> Result<Self, StoreError> {
        let folder = |source| StoreError::Folder { path: dir.to_owned(), source };
        let path = dir.join("services.db");
        let marker = dir.join(MARKER);
        let broken = |detail: String| StoreError::Database { path: path.clone(), detail };
        let empty = !std::fs::metadata(&path).is_ok_and(|file| file.len() > 0);
        if empty && (marker.exists() || lock.is_none()) {
            return Err(StoreError::Lost { path, marker });
        }
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
        let told = |error: rusqlite::Error| broken(explained(&error));
        let mut connection = Connection::open(&path).map_err(told)?;
        connection
            .execute_batch("PRAGMA busy_timeout = 2000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -256; PRAGMA foreign_keys = ON;")
            .map_err(told)?;
        let found = version(&connection).map_err(told)?;
        if found == 0 && marker.exists() {
            return Err(StoreError::Lost { path, marker });
        }
        if lock.is_some() {
            whole(&connection).map_err(&broken)?;
            migrate(&mut connection, found).map_err(&broken)?;
            if !marker.exists() {
                mark(&connection, dir, &marker);
            }
        } else if found != MIGRATIONS.len() {
            return Err(broken("the dashboard that runs is of another version: stop it first".to_owned()));
        }
        let identity =
            trouble::identity(&path).ok_or_else(|| StoreError::Lost { path: path.clone(), marker })?;
        Ok(Self {
            connection: Mutex::new(connection),
            path,
            identity,
            errors: Counter::default(),
            _lock: lock,
            trouble: watch::Sender::new(None),
            waiting: Mutex::default(),
        })
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a copy of the whole store into a new file.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn copy_to(&self, file: &Path) -> Result<(), String> {
        let connection = trouble::lock(&self.connection);
        let copied = connection.execute("VACUUM INTO ?1", [file.display().to_string()]);
        copied.map(drop).map_err(|error| error.to_string())
    }

    fn with<T>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Option<T> {
        let connection = trouble::lock(&self.connection);
        let before = connection.total_changes();
        match work(&connection) {
            Ok(done) => {
                if connection.total_changes() != before {
                    self.wrote(&connection);
                }
                Some(done)
            }
            Err(error) => {
                self.errors.count();
                tracing::error!(what, %error, "the store failed");
                self.met(&connection, &error);
                None
            }
        }
    }

    /// The same for what is answered at once: nothing is written into a file that is not there under its name any more.
    fn with_file<T>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Option<T> {
        self.look_at_file();
        if self.wrong() == Some(StoreTrouble::Gone) { None } else { self.with(what, work) }
    }

    /// How often something could not be read or written.
    pub fn errors(&self) -> u64 {
        self.errors.get()
    }

    /// The last wish.
    pub fn wish(&self, service: &ServiceName) -> Option<Wish> {
        if let Some(Value::Text(text)) = self.waits_about(&format!("wish of {service}")) {
            return wish_of(&text);
        }
        let text: Option<String> = self.with("wish", |c| {
            c.query_row("SELECT wish FROM service WHERE name = ?1", [service.as_str()], |r| r.get(0))
                .optional()
                .map(Option::flatten)
        })?;
        wish_of(&text?)
    }

    /// Remembers a wish.
    pub fn set_wish(&self, service: &ServiceName, wish: Wish) {
        let text = if wish == Wish::Running { "running" } else { "stopped" };
        self.write_or_wait(
            "set_wish",
            "INSERT INTO service (name, wish) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET wish = ?2",
            vec![service.to_string().into(), text.to_owned().into()],
            Some(format!("wish of {service}")),
        );
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
        self.with_file("set_adopted", |c| {
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

    /// The service's last run before this one.
    pub fn run_before(&self, service: &ServiceName, run: u64) -> Option<EarlierRun> {
        let (run, key, started, log_from_ns) = self.with("run_before", |c| {
            c.query_row(
                "SELECT run, instance, started_ms, log_from_ns FROM run WHERE service = ?1 AND run < ?2 ORDER BY run DESC LIMIT 1",
                params![service.as_str(), run.cast_signed()],
                |r| Ok((r.get::<_, i64>(0)?, r.get::<_, String>(1)?, r.get::<_, i64>(2)?, r.get(3)?)),
            )
            .optional()
        })??;
        let started = Timestamp::from_millis(started);
        Some(EarlierRun {
            run: run.unsigned_abs(),
            instance: InstanceId::from_key(&key)?,
            started,
            log_from_ns,
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
        self.write_or_wait(
            "set_first_frame",
            "UPDATE run SET first_frame_ns = ?2 WHERE run = ?1 AND first_frame_ns IS NULL",
            vec![run.cast_signed().into(), ns.into()],
            None,
        );
    }

    /// Remembers when a run became ready.
    pub fn set_ready(&self, run: u64, at: Timestamp) {
        self.write_or_wait(
            "set_ready",
            "UPDATE run SET ready_ms = ?2 WHERE (service, instance) = (SELECT service, instance FROM run WHERE run = ?1)",
            vec![run.cast_signed().into(), at.millis().into()],
            None,
        );
    }

    /// Remembers how a run ended.
    pub fn set_outcome(&self, run: u64, outcome: &State) {
        let Ok(json) = serde_json::to_string(outcome) else { return };
        self.write_or_wait(
            "set_outcome",
            "UPDATE run SET outcome = ?2 WHERE (service, instance) = (SELECT service, instance FROM run WHERE run = ?1)",
            vec![run.cast_signed().into(), json.into()],
            None,
        );
    }

    /// Whether the switch that keeps a service running is on.
    pub fn auto_start(&self, service: &ServiceName) -> bool {
        self.fact(&format!("auto-start/{service}")).as_deref() == Some("on")
    }

    /// Remembers the switch. False when it could not be written.
    pub fn set_auto_start(&self, service: &ServiceName, on: bool) -> bool {
        // Whoever turns it is told at once whether it holds.
        let (key, word) = (format!("auto-start/{service}"), if on { "on" } else { "off" });
        self.with_file("set_auto_start", |c| c.execute(SET_FACT, [key.as_str(), word])).is_some()
    }

    /// What a service's machine must know of earlier dashboards. Failures of an earlier boot do not count.
    pub fn memory(&self, service: &ServiceName) -> Memory {
        let failures = self.fact(&format!("failures/{service}")).unwrap_or_default();
        let mut words = failures.split(' ');
        let same_boot = words.next().is_some_and(|boot| boot == boot_id());
        let (list, unready) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let failures = list.split(',').filter(|_| same_boot).filter_map(|ms| ms.parse().ok());
        Memory {
            failures: failures.map(Timestamp::from_millis).collect(),
            unready: unready.parse().ok().filter(|_| same_boot).unwrap_or(0),
            by_hand: self.fact(&format!("by-hand/{service}")).as_deref() == Some("yes"),
        }
    }

    /// Remembers it.
    pub fn set_memory(&self, service: &ServiceName, memory: &Memory) {
        let list: Vec<String> = memory.failures.iter().map(|at| at.millis().to_string()).collect();
        self.set_fact(
            &format!("failures/{service}"),
            &format!("{} {} {}", boot_id(), list.join(","), memory.unready),
        );
        self.set_fact(&format!("by-hand/{service}"), if memory.by_hand { "yes" } else { "no" });
    }

    /// A command that was taken and not carried out yet, and when: of this boot, and no older than it could still be meant.
    pub fn pending(&self, service: &ServiceName, now: Timestamp) -> Option<Taken> {
        let text = self.fact(&format!("pending/{service}"))?;
        let mut words = text.split(' ');
        let (boot, at, verb) = (words.next()?, words.next()?, words.next()?);
        let at = Timestamp::from_millis(at.parse().ok()?);
        let verb = Verb::ALL.into_iter().find(|known| known.as_str() == verb)?;
        let taken = Taken { verb, at, renew: words.next() == Some(RENEW) };
        (boot == boot_id() && now.apart(at) < MEANT_FOR_MS).then_some(taken)
    }

    /// Remembers such a command.
    pub fn set_pending(&self, service: &ServiceName, taken: Taken) {
        self.set_fact(&format!("pending/{service}"), &taken.text());
    }

    /// Such a command is carried out. One that was taken since then stays.
    pub fn carried_out(&self, service: &ServiceName, taken: Taken) {
        let (key, text) = (format!("pending/{service}"), taken.text());
        let waits = self.waits_about(&key);
        if matches!(&waits, Some(Value::Text(waiting)) if *waiting != text) {
            return;
        }
        if waits.is_some() {
            // It was never written: what stands there is an earlier one, which this one took the place of.
            let forget = "DELETE FROM fact WHERE key = ?1 AND ?2 = ''";
            let values = vec![key.clone().into(), String::new().into()];
            self.write_or_wait("carried_out", forget, values, Some(key));
            return;
        }
        // What is known of it until that is written is that there is none.
        self.write_or_wait(
            "carried_out",
            "DELETE FROM fact WHERE key = ?1 AND value = ?2 AND ?3 = ''",
            vec![key.clone().into(), text.into(), String::new().into()],
            Some(key),
        );
    }

    /// From where the log of a service can be read on: all before that is on disk.
    pub fn log_mark(&self, service: &ServiceName) -> Option<Mark> {
        let text = self.fact(&format!("log-mark/{service}"))?;
        let numbers: Vec<i64> = text.split(' ').map_while(|number| number.parse().ok()).collect();
        let [run, seq, time_ns, nth, levels @ ..] = numbers.as_slice() else { return None };
        let mut counts = LevelCounts::default();
        for (level, count) in Level::ALL.into_iter().zip(levels) {
            counts.add_many(level, count.unsigned_abs());
        }
        let position = FramePosition { time_ns: *time_ns, nth: u32::try_from(*nth).ok()? };
        Some(Mark { run: run.unsigned_abs(), seq: seq.unsigned_abs(), position, counts })
    }

    /// Remembers that place.
    pub fn set_log_mark(&self, service: &ServiceName, mark: &Mark) {
        let Mark { run, seq, position, counts } = mark;
        // A dashboard that reads a log again comes by earlier places.
        if self.log_mark(service).is_some_and(|known| known.run == *run && known.seq > *seq) {
            return;
        }
        let levels = Level::ALL.map(|level| counts.of(level).to_string()).join(" ");
        let text = format!("{run} {seq} {} {} {levels}", position.time_ns, position.nth);
        self.set_fact(&format!("log-mark/{service}"), &text);
    }

    /// The image that was kept when a service was moved to another one.
    pub fn kept_image(&self, service: &ServiceName) -> Option<KeptImage> {
        serde_json::from_str(&self.fact(&format!("kept-image/{service}"))?).ok()
    }

    /// Remembers such an image, or that there is none any more.
    pub fn set_kept_image(&self, service: &ServiceName, kept: Option<&KeptImage>) {
        let text = kept.and_then(|k| serde_json::to_string(k).ok()).unwrap_or_default();
        self.set_fact(&format!("kept-image/{service}"), &text);
    }

    /// The settings that a service was launched with last.
    pub fn launched(&self, service: &ServiceName) -> Option<Values> {
        serde_json::from_str(&self.fact(&format!("launched/{service}"))?).ok().map(shown)
    }

    /// Remembers them. There are no secrets among them.
    pub fn set_launched(&self, service: &ServiceName, values: &Values) {
        if let Ok(text) = serde_json::to_string(values) {
            self.set_fact(&format!("launched/{service}"), &text);
        }
    }

    /// Remembers a change of settings, its author and the names of secrets that changed.
    pub fn note_settings(
        &self,
        service: &ServiceName,
        who: &str,
        before: &Values,
        after: &Values,
        secrets: &[String],
    ) {
        let text = |values: &Values| serde_json::to_string(values).unwrap_or_default();
        self.with("note_settings", |c| {
            c.execute(
                "INSERT INTO setting (service, at_ms, who, before, after, secrets) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![service.as_str(), Timestamp::now().millis(), who, text(before), text(after), secrets.join(",")],
            )?;
            // The last with which it became ready is kept however long ago that was.
            c.execute(
                "DELETE FROM setting WHERE service = ?1
                    AND id NOT IN (SELECT id FROM setting WHERE service = ?1 ORDER BY id DESC LIMIT ?2)
                    AND id NOT IN (SELECT id FROM setting WHERE service = ?1 AND ready_ms IS NOT NULL ORDER BY ready_ms DESC LIMIT 3)",
                params![service.as_str(), KEEP_SETTINGS],
            )
        });
    }

    /// Remembers that a service became ready with these settings; those that nobody saved here were changed outside.
    pub fn settings_ready(&self, service: &ServiceName, values: &Values, at: Timestamp) {
        let Ok(text) = serde_json::to_string(values) else { return };
        self.with("settings_ready", |c| {
            let known = c.execute(
                "UPDATE setting SET ready_ms = ?3 WHERE id = (SELECT id FROM setting WHERE service = ?1 AND after = ?2 ORDER BY id DESC LIMIT 1)",
                params![service.as_str(), text, at.millis()],
            )?;
            if known == 0 {
                c.execute(
                    "INSERT INTO setting (service, at_ms, who, before, after, secrets, ready_ms) VALUES (?1, ?3, 'file',
                        (SELECT after FROM setting WHERE service = ?1 ORDER BY id DESC LIMIT 1), ?2, '', ?3)",
                    params![service.as_str(), text, at.millis()],
                )?;
            }
            Ok(())
        });
    }

    /// Earlier settings of a service, the latest first.
    pub fn earlier_settings(&self, service: &ServiceName) -> Vec<Earlier> {
        self.with("earlier_settings", |c| {
            let mut rows = c.prepare(
                "SELECT id, at_ms, who, before, after, secrets, ready_ms FROM setting WHERE service = ?1 ORDER BY id DESC",
            )?;
            let values = |text: Option<String>| text.and_then(|t| serde_json::from_str::<Values>(&t).ok()).map(shown);
            let rows = rows.query_map([service.as_str()], |r| {
                let secrets: String = r.get(5)?;
                Ok(Earlier {
                    id: r.get(0)?,
                    at: Timestamp::from_millis(r.get(1)?),
                    who: r.get(2)?,
                    before: values(r.get(3)?),
                    after: values(r.get(4)?).unwrap_or_default(),
                    secrets: secrets.split(',').filter(|s| !s.is_empty()).map(str::to_owned).collect(),
                    ready: r.get::<_, Option<i64>>(6)?.map(Timestamp::from_millis),
                })
            })?;
            rows.collect()
        })
        .unwrap_or_default()
    }

    /// Remembers how fast a model answered one request.
    pub fn set_measured(&self, model: &str, gpu: &str, tokens_per_10s: u64) {
        self.with("set_measured", |c| {
            c.execute(
                "INSERT OR REPLACE INTO measured (model, gpu, at_ms, tokens_per_10s) VALUES (?1, ?2, ?3, ?4)",
                params![model, gpu, Timestamp::now().millis(), tokens_per_10s.cast_signed()],
            )
        });
    }

    /// Speeds that were measured here.
    pub fn measured(&self) -> Vec<Measured> {
        self.with("measured", |c| {
            let mut rows = c.prepare("SELECT model, gpu, at_ms, tokens_per_10s FROM measured")?;
            let rows = rows.query_map([], |r| {
                Ok(Measured {
                    model: r.get(0)?,
                    gpu: r.get(1)?,
                    at: Timestamp::from_millis(r.get(2)?),
                    tokens_per_10s: r.get::<_, i64>(3)?.unsigned_abs(),
                })
            })?;
            rows.collect()
        })
        .unwrap_or_default()
    }

    /// Values of the settings that services were launched with last: models that they name may not be deleted.
    pub fn launched_values(&self) -> Vec<String> {
        let texts: Vec<String> = self
            .with("launched_values", |c| {
                let mut rows = c.prepare("SELECT value FROM fact WHERE key LIKE 'launched/%'")?;
                let rows = rows.query_map([], |r| r.get(0))?;
                rows.collect()
            })
            .unwrap_or_default();
        let values = texts.iter().filter_map(|text| serde_json::from_str::<Values>(text).ok());
        values.flat_map(Values::into_values).collect()
    }

    /// When a run was started.
    pub fn started(&self, run: u64) -> Option<Timestamp> {
        let ms = self.with("started", |c| {
            c.query_row("SELECT started_ms FROM run WHERE run = ?1", [run.cast_signed()], |r| r.get(0))
                .optional()
        })?;
        ms.map(Timestamp::from_millis)
    }

    /// A remembered fact of the machine.
    pub fn fact(&self, key: &str) -> Option<String> {
        if let Some(Value::Text(text)) = self.waits_about(key) {
            return Some(text);
        }
        self.with("fact", |c| {
            c.query_row("SELECT value FROM fact WHERE key = ?1", [key], |r| r.get(0)).optional()
        })?
    }

    /// Remembers a fact.
    pub fn set_fact(&self, key: &str, value: &str) {
        let values = vec![key.to_owned().into(), value.to_owned().into()];
        self.write_or_wait("set_fact", SET_FACT, values, Some(key.to_owned()));
    }
}

/// The kernel's name for this boot.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

fn wish_of(text: &str) -> Option<Wish> {
    match text {
        "running" => Some(Wish::Running),
        "stopped" => Some(Wish::Stopped),
        _ => None,
    }
}

/// What SQLite says, and what to do about it.
fn explained(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("{error}. {}", StoreTrouble::Locked.advice())
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => format!("{error}. {RESTORE}"),
        _ => error.to_string(),
    }
}

fn version(connection: &Connection) -> rusqlite::Result<usize> {
    connection.query_row("PRAGMA user_version", [], |r| r.get::<_, i64>(0)).map(|version| {
        // A number that nobody wrote: as one that is not known.
        usize::try_from(version).unwrap_or(usize::MAX)
    })
}

/// Whether the file makes sense: one that is damaged would answer some questions and not others.
fn whole(connection: &Connection) -> Result<(), String> {
    let said: String =
        connection.query_row("PRAGMA quick_check(1)", [], |r| r.get(0)).map_err(|e| explained(&e))?;
    if said == "ok" { Ok(()) } else { Err(format!("it is damaged ({}). {RESTORE}", said.replace('\n', " "))) }
}

/// Says that the store was made: after it is on the disk, so that a power cut leaves both, neither, or the store alone.
fn mark(connection: &Connection, dir: &Path, marker: &Path) {
    const TEXT: &str =
        "services.db was made here. While this file is here, a store that is missing is not begun anew.\n";
    let moved = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get::<_, i64>(0));
    if !matches!(moved, Ok(0)) {
        // Somebody reads it: the next start marks it.
        return;
    }
    let written = File::options().write(true).create(true).truncate(true).mode(0o600).open(marker).and_then(
        |mut file| {
            file.write_all(TEXT.as_bytes())?;
            file.sync_all()?;
            File::open(dir)?.sync_all()
        },
    );
    if let Err(error) = written {
        tracing::warn!(%error, "{} cannot be written", marker.display());
    }
}

/// Brings the file to the newest shape, in one transaction. One that has it is only read: it may be locked.
fn migrate(connection: &mut Connection, version: usize) -> Result<(), String> {
    if version == MIGRATIONS.len() {
        return Ok(());
    }
    if version > MIGRATIONS.len() {
        return Err(format!(
            "it was written by a newer Services (version {version}, this one knows {})",
            MIGRATIONS.len()
        ));
    }
    let transaction = connection.transaction().map_err(|e| explained(&e))?;
    for step in &MIGRATIONS[version..] {
        transaction.execute_batch(step).map_err(|e| explained(&e))?;
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
    fn settings_are_remembered_with_who_and_when_and_whether_they_became_ready() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(dir.path()).expect("opens");
        let values = |share: &str| Values::from([("GPU_MEMORY_UTILIZATION".to_owned(), share.to_owned())]);
        store.note_settings(&name(), "local", &values("0.5"), &values("0.6"), &["HF_TOKEN".to_owned()]);
        store.settings_ready(&name(), &values("0.6"), Timestamp::from_millis(7));
        store.settings_ready(&name(), &values("0.9"), Timestamp::from_millis(8));
        let earlier = store.earlier_settings(&name());
        assert_eq!(earlier.len(), 2);
        assert_eq!((earlier[0].who.as_str(), &earlier[0].after), ("file", &values("0.9")));
        assert_eq!((earlier[1].who.as_str(), earlier[1].ready), ("local", Some(Timestamp::from_millis(7))));
        assert_eq!(
            (&earlier[1].before, &earlier[1].secrets),
            (&Some(values("0.5")), &vec!["HF_TOKEN".to_owned()])
        );
        for n in 0..80 {
            store.note_settings(&name(), "local", &values("0.5"), &values(&format!("0.{n}")), &[]);
        }
        let earlier = store.earlier_settings(&name());
        assert!(earlier.len() <= 53, "bounded");
        assert!(earlier.iter().any(|e| e.ready.is_some()), "what became ready is kept");
    }

    #[test]
    fn the_last_measurement_of_a_model_on_a_device_counts() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(dir.path()).expect("opens");
        store.set_measured("a/b", "L4", 100);
        store.set_measured("a/b", "L4", 200);
        let measured = store.measured();
        assert_eq!(measured.len(), 1);
        assert_eq!((measured[0].model.as_str(), measured[0].tokens_per_10s), ("a/b", 200));
    }

    #[test]
    fn what_counts_against_the_budget_outlives_the_dashboard_and_not_the_boot() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(dir.path()).expect("opens");
        let memory = Memory {
            failures: vec![Timestamp::from_millis(5), Timestamp::from_millis(6)],
            unready: 2,
            by_hand: true,
        };
        store.set_memory(&name(), &memory);
        assert_eq!(store.memory(&name()), memory);
        store.set_fact(&format!("failures/{}", name()), "another-boot 5,6 2");
        assert_eq!(store.memory(&name()), Memory { by_hand: true, ..Memory::default() });
    }

    #[test]
    fn a_command_is_meant_for_a_while_and_within_its_boot() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(dir.path()).expect("opens");
        let at = Timestamp::from_millis;
        assert_eq!(store.pending(&name(), at(5)), None);
        for verb in [Verb::Start, Verb::Stop, Verb::Restart] {
            for renew in [true, false] {
                let taken = Taken { verb, at: at(5), renew };
                store.set_pending(&name(), taken);
                assert_eq!(store.pending(&name(), at(599_000)), Some(taken));
            }
        }
        assert_eq!(store.pending(&name(), at(600_005)), None);
        let last = Taken { verb: Verb::ALL[Verb::ALL.len() - 1], at: at(5), renew: false };
        store.carried_out(&name(), Taken { renew: true, ..last });
        store.carried_out(&name(), Taken { at: at(4), ..last });
        assert!(store.pending(&name(), at(5)).is_some(), "another one stays");
        store.carried_out(&name(), last);
        assert_eq!(store.pending(&name(), at(5)), None);
        store.set_fact("pending/vllm", "another-boot 5 start");
        assert_eq!(store.pending(&name(), at(5)), None);
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
        let refused = Store::open(dir.path()).err().expect("refused").to_string();
        assert!(refused.contains("server restore"), "{refused}");
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
