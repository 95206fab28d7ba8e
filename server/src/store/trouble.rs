//! A store that cannot be written, or is not what it was: what is wrong, what waits to be written, and a short patience
//! meanwhile.
//!
//! In: what SQLite said. Out: one sentence for people, and writes that are made up for in order. Accounts, sessions and whatever
//! else is answered at once are never kept for later: there, what could not be written was not done.

use super::Store;
use app::model::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, Error, ErrorCode, params_from_iter};
use std::collections::VecDeque;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

/// How long a statement waits for another program's lock.
const PATIENCE: Duration = Duration::from_secs(2);
/// And once it waited so long in vain: whoever serves a page must not stand in a queue for each statement.
const LITTLE: Duration = Duration::from_millis(10);
/// Writes that wait at most; the oldest go.
const WAITING: usize = 2000;

/// What is wrong with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreTrouble {
    /// Another program holds it.
    Locked,
    /// There is no room.
    Full,
    /// It may not be written.
    ReadOnly,
    /// What it says makes no sense.
    Corrupt,
    /// Its file was removed, or another put in its place.
    Gone,
    /// The disk makes errors, or something else.
    Failed,
}

impl StoreTrouble {
    fn of(error: &Error) -> Option<Self> {
        Some(match error.sqlite_error_code()? {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Locked,
            ErrorCode::DiskFull => Self::Full,
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Self::ReadOnly,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Corrupt,
            // What a statement was refused for says nothing of the file.
            ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch => return None,
            _ => Self::Failed,
        })
    }

    /// Nothing but a restart ends it.
    const fn stays(self) -> bool {
        matches!(self, Self::Corrupt)
    }

    /// What is in it cannot be read either, or not all of it.
    pub const fn hides(self) -> bool {
        matches!(self, Self::Corrupt | Self::Failed)
    }

    /// What is wrong, as words.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Locked => "another program has locked it",
            Self::Full => "the disk is full",
            Self::ReadOnly => "it may not be written",
            Self::Corrupt => "it is damaged",
            Self::Gone => "its file was removed or replaced while it was in use",
            Self::Failed => "the disk fails",
        }
    }

    /// And what to do.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Locked => "End whatever has services.db open (`fuser services.db` names it).",
            Self::Full => "Make room on the disk of the state folder.",
            Self::ReadOnly => {
                "Mount the file system so that it can be written, or give the file to the user that runs Services."
            }
            Self::Corrupt => "Stop Services and put a backup back: `server restore FOLDER`.",
            Self::Gone => {
                "Put the file back, or stop Services and put a backup back: `server restore FOLDER`."
            }
            Self::Failed => "Look at the disk and at the log of Services.",
        }
    }
}

/// A write that may have to wait.
#[derive(Debug)]
pub(super) struct Later {
    /// What it is, for the log.
    pub what: &'static str,
    /// The statement.
    pub sql: &'static str,
    /// Its values.
    pub values: Vec<Value>,
    /// What it is the latest word on: an earlier one need not be written any more.
    pub about: Option<String>,
    /// Where there is no room, it goes before all others.
    pub minor: bool,
}

/// Writes that wait, in order.
#[derive(Debug, Default)]
pub struct Waiting {
    writes: VecDeque<Later>,
    /// How many found no room.
    dropped: u64,
}

pub(super) fn lock<T>(mutex: &std::sync::Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// What is wrong with the store, and tells whoever waits for changes of it.
    pub fn trouble(&self) -> tokio::sync::watch::Receiver<Option<StoreTrouble>> {
        self.trouble.subscribe()
    }

    /// What is wrong with it now.
    pub fn wrong(&self) -> Option<StoreTrouble> {
        *self.trouble.borrow()
    }

    /// Writes that wait for the store to be written again.
    pub fn waiting(&self) -> usize {
        lock(&self.waiting).writes.len()
    }

    fn say(&self, now: Option<StoreTrouble>) {
        self.trouble.send_if_modified(|known| {
            let news = *known != now && !known.is_some_and(StoreTrouble::stays);
            if news {
                *known = now;
            }
            news
        });
    }

    /// A statement failed: what that says of the file.
    pub(super) fn met(&self, connection: &Connection, error: &Error) {
        let Some(trouble) = StoreTrouble::of(error) else { return };
        self.say(Some(trouble));
        if trouble == StoreTrouble::Locked {
            // That it cannot be set only means to wait longer.
            let _ = connection.busy_timeout(LITTLE);
        }
    }

    /// Something was written: so can be what waits.
    pub(super) fn wrote(&self, connection: &Connection) {
        if self.wrong().is_none() && self.waiting() == 0 {
            return;
        }
        let _ = connection.busy_timeout(PATIENCE);
        let mut waiting = lock(&self.waiting);
        while let Some(later) = waiting.writes.pop_front() {
            let Err(error) = connection.execute(later.sql, params_from_iter(&later.values)) else { continue };
            tracing::error!(later.what, %error, "the store failed again");
            if StoreTrouble::of(&error).is_some() {
                waiting.writes.push_front(later);
                drop(waiting);
                self.met(connection, &error);
                return;
            }
        }
        let dropped = std::mem::take(&mut waiting.dropped);
        drop(waiting);
        if dropped > 0 {
            tracing::error!(dropped, "what could not be written for long was lost");
        }
        if self.wrong() != Some(StoreTrouble::Gone) {
            self.say(None);
        }
    }

    /// Writes a row now, or as soon as that can be done. `about` names what it is the latest word on.
    pub(super) fn write_or_wait(
        &self,
        what: &'static str,
        sql: &'static str,
        values: Vec<Value>,
        about: Option<String>,
    ) {
        self.write_later(Later { what, sql, values, about, minor: false });
    }

    /// Writes it now, or as soon as that can be done; whether it was now.
    pub(super) fn write_later(&self, later: Later) -> bool {
        // In order: what waits comes first.
        let in_line = {
            let connection = lock(&self.connection);
            let in_line = self.waiting() > 0;
            if !in_line {
                let Err(error) = connection.execute(later.sql, params_from_iter(&later.values)) else {
                    self.wrote(&connection);
                    return true;
                };
                self.errors.count();
                tracing::error!(what = later.what, %error, "the store failed");
                self.met(&connection, &error);
                if StoreTrouble::of(&error).is_none_or(StoreTrouble::stays) {
                    return false;
                }
            }
            // While the connection is held: nobody else writes between what failed and its place in the line.
            self.keep(later);
            in_line
        };
        in_line && self.try_write() && self.waiting() == 0
    }

    fn keep(&self, later: Later) {
        let mut waiting = lock(&self.waiting);
        if later.about.is_some() {
            waiting.writes.retain(|known| known.about != later.about);
        }
        if waiting.writes.len() >= WAITING {
            waiting.dropped += 1;
            match waiting.writes.iter().position(|known| known.minor) {
                Some(at) => drop(waiting.writes.remove(at)),
                None if later.minor => return,
                None => drop(waiting.writes.pop_front()),
            }
        }
        waiting.writes.push_back(later);
    }

    /// What is still to be written about something.
    pub(super) fn waits_about(&self, about: &str) -> Option<Value> {
        let waiting = lock(&self.waiting);
        let found = waiting.writes.iter().find(|later| later.about.as_deref() == Some(about))?;
        found.values.last().cloned()
    }

    /// Whether the file is still there under its name: what is written into another is lost with this dashboard.
    pub fn look_at_file(&self) {
        let here = identity(&self.path) == Some(self.identity);
        match self.wrong() {
            None if !here => self.say(Some(StoreTrouble::Gone)),
            Some(StoreTrouble::Gone) if here => self.say(None),
            _ => {}
        }
    }

    /// Whether something can be written now: it is written.
    pub fn can_write(&self) -> bool {
        let written = self.try_write();
        self.look_at_file();
        written && self.wrong().is_none()
    }

    fn try_write(&self) -> bool {
        let now = Timestamp::now().to_string();
        self.with("can_write", |c| c.execute(super::SET_FACT, ["alive", &now])).is_some()
    }
}

/// What tells a file from another of the same name.
pub fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    use super::super::{MIGRATIONS, StoreError, migrate, version};
    use super::*;
    use app::api::{AuditRow, Role};
    use app::model::{ServiceName, State, Wish};
    use rusqlite::Batch;
    use rusqlite::fallible_iterator::FallibleIterator;
    use std::time::Instant;

    fn name() -> ServiceName {
        ServiceName::parse("vllm").expect("a name")
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn row(what: &str) -> AuditRow {
        AuditRow {
            at: at(7),
            who: "root".into(),
            action: what.into(),
            result: "done".into(),
            ..AuditRow::default()
        }
    }

    #[test]
    fn what_cannot_be_written_is_known_meanwhile_and_written_in_order_when_it_can_be() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path()).expect("opens");
        let run = store.open_run(&name(), "a@1", at(1), 0).expect("written");
        let stopped = State::Stopped { since: None, note: None };
        store.set_fact("a", "before");
        let other = Connection::open(dir.path().join("services.db")).expect("opens");
        other.execute_batch("BEGIN IMMEDIATE").expect("locked");

        store.set_fact("a", "1");
        assert_eq!(store.wrong(), Some(StoreTrouble::Locked));
        let began = Instant::now();
        for n in 2..=40 {
            store.set_fact("a", &n.to_string());
        }
        store.set_wish(&name(), Wish::Running);
        store.set_wish(&name(), Wish::Stopped);
        store.set_outcome(run, &stopped);
        store.set_ready(run, at(3));
        store.note(&row("first"));
        store.note(&row("second"));
        assert!(began.elapsed() < Duration::from_secs(30), "nobody waits two seconds for each");
        assert_eq!((store.fact("a").as_deref(), store.wish(&name())), (Some("40"), Some(Wish::Stopped)));
        assert_eq!(store.waiting(), 6, "one for each thing, of facts and wishes the last word");
        assert!(!store.set_auto_start(&name(), true), "whoever turns a switch is told");
        assert_eq!(
            store.add_account("root", Role::Admin, "h", at(1), true),
            None,
            "an account is made or not"
        );
        assert!(store.open_run(&name(), "b@1", at(2), 0).is_none());

        other.execute_batch("ROLLBACK").expect("free");
        assert!(store.can_write());
        assert_eq!((store.waiting(), store.wrong()), (0, None));
        drop(store);
        let store = Store::open(dir.path()).expect("opens");
        assert_eq!((store.fact("a").as_deref(), store.wish(&name())), (Some("40"), Some(Wish::Stopped)));
        let known = store.run_of(&name(), "a@1").expect("known");
        assert_eq!((known.outcome, known.ready_since), (Some(stopped), Some(at(3))));
        let audit = store.audit(&super::super::AuditFilter::default(), 10);
        let words: Vec<&str> = audit.iter().map(|row| row.action.as_str()).collect();
        assert_eq!(words, ["second", "first"]);
        assert_eq!((store.account_count(), store.auto_start(&name())), (Some(0), false));
    }

    #[test]
    fn a_later_word_is_not_overwritten_by_one_that_waited() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path()).expect("opens");
        let run = store.open_run(&name(), "a@1", at(1), 0).expect("written");
        let other = Connection::open(dir.path().join("services.db")).expect("opens");
        other.execute_batch("BEGIN IMMEDIATE").expect("locked");
        store.set_fact("a", "old");
        store.set_ready(run, at(3));
        other.execute_batch("ROLLBACK").expect("free");
        store.set_ready(run, at(4));
        store.set_fact("a", "new");
        assert_eq!(store.waiting(), 0);
        assert_eq!(store.fact("a").as_deref(), Some("new"));
        assert_eq!(store.run_of(&name(), "a@1").expect("known").ready_since, Some(at(4)));
    }

    #[test]
    fn what_waits_has_a_bound() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path()).expect("opens");
        let other = Connection::open(dir.path().join("services.db")).expect("opens");
        other.execute_batch("BEGIN IMMEDIATE").expect("locked");
        store.set_fact("a", "1");
        let later = |n: usize, minor| Later {
            what: "test",
            sql: super::super::SET_FACT,
            values: vec![n.to_string().into(), String::new().into()],
            about: None,
            minor,
        };
        store.keep(later(0, false));
        for n in 1..2 * WAITING {
            store.keep(later(n, true));
        }
        store.keep(later(1, false));
        assert_eq!(store.waiting(), WAITING);
        let firm = lock(&store.waiting).writes.iter().filter(|later| !later.minor).count();
        assert_eq!(firm, 3, "refusals give way, and nothing else");
    }

    #[test]
    fn a_command_that_was_overtaken_while_the_store_was_held_is_not_done_later() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path()).expect("opens");
        let taken = |verb| super::super::Taken::now(verb);
        let (restart, stop) = (taken(app::model::Verb::Restart), taken(app::model::Verb::Stop));
        store.set_pending(&name(), restart);
        let other = Connection::open(dir.path().join("services.db")).expect("opens");
        other.execute_batch("BEGIN IMMEDIATE").expect("locked");
        store.set_pending(&name(), stop);
        assert_eq!(store.pending(&name(), Timestamp::now()), Some(stop));
        store.carried_out(&name(), stop);
        assert_eq!(store.pending(&name(), Timestamp::now()), None);
        other.execute_batch("ROLLBACK").expect("free");
        assert!(store.can_write());
        assert_eq!(store.pending(&name(), Timestamp::now()), None, "neither of them");
    }

    #[test]
    fn nothing_is_promised_of_a_file_that_is_gone() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path()).expect("opens");
        assert_eq!(store.add_account("root", Role::Admin, "h", at(1), true), Some(true));
        std::fs::remove_file(dir.path().join("services.db")).expect("removed");
        assert_eq!(store.add_account("late", Role::Admin, "h", at(2), false), None);
        assert_eq!(store.end_session(1, None), None);
        assert_eq!(store.wrong(), Some(StoreTrouble::Gone));
    }

    #[test]
    fn a_file_that_is_removed_or_replaced_is_noticed() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path()).expect("opens");
        let (file, aside) = (dir.path().join("services.db"), dir.path().join("aside"));
        assert!(store.can_write());
        std::fs::rename(&file, &aside).expect("moved");
        assert!(!store.can_write());
        assert_eq!(store.wrong(), Some(StoreTrouble::Gone));
        std::fs::write(&file, "another").expect("written");
        assert!(!store.can_write());
        std::fs::rename(&aside, &file).expect("put back");
        assert!(store.can_write());
    }

    #[test]
    fn a_store_that_was_there_is_never_begun_anew() {
        for how in ["removed", "emptied", "another database"] {
            let dir = tempfile::tempdir().expect("a folder");
            let store = Store::open(dir.path()).expect("opens");
            store.add_account("root", Role::Admin, "h", at(1), true).expect("made");
            drop(store);
            let file = dir.path().join("services.db");
            for left in ["services.db-wal", "services.db-shm"] {
                let _ = std::fs::remove_file(dir.path().join(left));
            }
            std::fs::remove_file(&file).expect("removed");
            match how {
                "emptied" => std::fs::write(&file, "").expect("written"),
                "another database" => {
                    Connection::open(&file)
                        .and_then(|c| c.execute_batch("CREATE TABLE x (y)"))
                        .expect("made");
                }
                _ => {}
            }
            for beside in [false, true] {
                let opened = if beside { Store::open_beside(dir.path()) } else { Store::open(dir.path()) };
                let refused = opened.err();
                assert!(matches!(refused, Some(StoreError::Lost { .. })), "{how}: {refused:?}");
            }
            assert_eq!(file.exists(), how != "removed", "nothing is made either");
        }
    }

    #[test]
    fn a_file_that_is_damaged_inside_is_refused_and_one_that_is_locked_is_opened() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path()).expect("opens");
        for n in 0..500 {
            store.set_fact(&format!("a long name of a fact {n}"), &"x".repeat(200));
        }
        let other = Connection::open(dir.path().join("services.db")).expect("opens");
        drop(store);
        other.execute_batch("BEGIN IMMEDIATE").expect("locked");
        drop(Store::open(dir.path()).expect("what is up to date is only read"));
        drop(other);
        let file = dir.path().join("services.db");
        let mut bytes = std::fs::read(&file).expect("read");
        let half = bytes.len() / 2;
        bytes[half..half + 8192].fill(0xa5);
        std::fs::write(&file, &bytes).expect("written");
        let refused = Store::open(dir.path()).err().expect("refused").to_string();
        assert!(refused.contains("damaged") || refused.contains("malformed"), "{refused}");
        assert!(refused.contains("server restore"), "{refused}");
        assert_eq!(std::fs::read(&file).expect("read"), bytes, "and left as it is");
    }

    /// Takes what a process leaves on the disk that is killed now.
    fn killed_here(from: &Path) -> tempfile::TempDir {
        let copy = tempfile::tempdir().expect("a folder");
        for name in ["services.db", "services.db-wal", "services.db-journal"] {
            if from.join(name).exists() {
                std::fs::copy(from.join(name), copy.path().join(name)).expect("copied");
            }
        }
        copy
    }

    #[test]
    fn a_migration_that_is_killed_behind_any_of_its_statements_is_made_by_the_next_start() {
        for from in 0..MIGRATIONS.len() {
            let dir = tempfile::tempdir().expect("a folder");
            let mut connection = Connection::open(dir.path().join("services.db")).expect("opens");
            // Nothing stays in memory: what was done so far is on the disk, and not committed.
            connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA cache_size = 1;").expect("set");
            for step in &MIGRATIONS[..from] {
                connection.execute_batch(step).expect("a step");
            }
            connection
                .pragma_update(None, "user_version", i64::try_from(from).expect("small"))
                .expect("written");
            if from > 0 {
                let row = "INSERT INTO fact (key, value) VALUES ('kept', 'yes')";
                connection.execute(row, []).expect("written");
            }
            let mut killed = vec![killed_here(dir.path())];
            let transaction = connection.transaction().expect("begun");
            for step in &MIGRATIONS[from..] {
                let mut batch = Batch::new(&transaction, step);
                while let Some(mut statement) = batch.next().expect("a statement") {
                    statement.raw_execute().expect("done");
                    killed.push(killed_here(dir.path()));
                }
            }
            drop(transaction);
            migrate(&mut connection, from).expect("migrated");
            killed.push(killed_here(dir.path()));
            assert_eq!(version(&connection), Ok(MIGRATIONS.len()));
            assert!(killed.len() > MIGRATIONS.len() - from, "several statements");
            for (nth, left) in killed.iter().enumerate() {
                let store = Store::open(left.path());
                let store = store.unwrap_or_else(|error| panic!("from {from}, killed at {nth}: {error}"));
                let kept = store.fact("kept");
                assert_eq!(kept.is_some(), from > 0, "from {from}, killed at {nth}");
                store.add_account("root", Role::Admin, "h", at(1), true).expect("of the newest shape");
            }
        }
    }
}
