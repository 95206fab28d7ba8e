//! `server backup FOLDER` and `server restore FOLDER`: what the dashboard remembers, as a folder of plain files.
//!
//! A backup is taken beside a dashboard that runs: SQLite writes a copy that is whole, whatever is written meanwhile. It is
//! restored while none runs; what was there before is kept beside it.

use crate::settings::{ConfigError, Flags, Sources, file_text};
use crate::store::{MARKER, Store};
use app::model::Timestamp;
use clap::{Parser, Subcommand};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The files of a backup: the store, the settings, and the folder of logs.
const STORE: &str = "services.db";
const SETTINGS: &str = "services.toml";
const LOGS: &str = "logs";

#[derive(Debug, Parser)]
#[command(name = "server", disable_help_subcommand = true)]
struct Arguments {
    /// Folder for what must be remembered [SERVICES_STATE_DIR]
    #[arg(long, value_name = "FOLDER", global = true)]
    state_dir: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Copy accounts, runs, settings and their history into a new folder; it holds secrets
    Backup {
        /// Where to; it must not exist
        folder: PathBuf,
        /// The logs of all runs, too
        #[arg(long)]
        logs: bool,
    },
    /// Put a backup back; Services must be stopped
    Restore {
        /// Where it is
        folder: PathBuf,
    },
}

/// Runs the command. `words` begin with `backup` or `restore`.
pub fn command(words: &[String]) -> ExitCode {
    let arguments = Arguments::parse_from(std::iter::once("server".to_owned()).chain(words.iter().cloned()));
    crate::terminal::end(run(arguments))
}

fn run(arguments: Arguments) -> Result<String, String> {
    let flags = Flags { state_dir: arguments.state_dir, ..Flags::default() };
    let sources = Sources::from_process(flags);
    // Settings that are broken are what a restore may mend: only where the folder is must be known.
    let (state, config) = sources.places();
    match arguments.verb {
        Verb::Backup { folder, logs } => back_up(&state, &config, &folder, logs),
        Verb::Restore { folder } => restore(&state, &config, &folder),
    }
}

fn told(path: &Path) -> impl Fn(io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}

fn back_up(state: &Path, config: &Path, folder: &Path, logs: bool) -> Result<String, String> {
    if !state.join(STORE).is_file() {
        return Err(format!("{}: there is nothing to back up", state.display()));
    }
    let store = Store::open_beside(state).map_err(|error| error.to_string())?;
    fs::DirBuilder::new().mode(0o700).create(folder).map_err(told(folder))?;
    let copy = folder.join(STORE);
    store.copy_to(&copy).map_err(|error| format!("{}: {error}", copy.display()))?;
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).map_err(told(&copy))?;
    if config.is_file() {
        let to = folder.join(SETTINGS);
        fs::copy(config, &to).map_err(told(&to))?;
        // It holds secrets, or will.
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).map_err(told(&to))?;
    }
    if logs && state.join(LOGS).is_dir() {
        copy_all(&state.join(LOGS), &folder.join(LOGS))?;
    }
    Ok(format!("{} has what Services remembers; it holds secrets\n", folder.display()))
}

fn restore(state: &Path, config: &Path, folder: &Path) -> Result<String, String> {
    let store = folder.join(STORE);
    if !store.is_file() {
        return Err(format!("{}: this is no backup: {STORE} is missing", folder.display()));
    }
    // All is read before anything is moved: what is broken, or of a newer version, is not put in place.
    check_settings(&folder.join(SETTINGS))?;
    let aside = state.join(format!("before-restore-{}", Timestamp::now().millis()));
    let trial = state.join(format!("restoring-{}", std::process::id()));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&trial).map_err(told(&trial))?;
    let checked = fs::copy(&store, trial.join(STORE))
        .map_err(told(&store))
        // An empty file is no store: as one that was there, it is not begun anew.
        .and_then(|_| fs::write(trial.join(MARKER), "").map_err(told(&trial)))
        .and_then(|()| Store::open(&trial).map_err(|error| error.to_string()))
        // A session that was ended since the backup was taken must not come back with it.
        .map(|store| store.end_everything());
    if let Err(error) = checked {
        // What is left of the trial is ours alone.
        let _ = fs::remove_dir_all(&trial);
        return Err(error);
    }
    let result = put_in_place(state, config, folder, &trial, &aside);
    let _ = fs::remove_dir_all(&trial);
    result?;
    // Where nothing was there, nothing lies in it.
    let kept = match fs::remove_dir(&aside) {
        Ok(()) => String::new(),
        Err(_) => format!("; what was there is in {}", aside.display()),
    };
    Ok(format!("restored into {}{kept}\n", state.display()))
}

/// Whether settings would be taken at a start.
fn check_settings(path: &Path) -> Result<(), String> {
    let Some(text) = file_text(path)? else { return Ok(()) };
    let sources = Sources { flags: Flags::default(), env: BTreeMap::new() };
    let broken = |error: ConfigError| format!("{}: nothing was restored: {error}", path.display());
    sources.load_text(&text).map(drop).map_err(broken)
}

/// A file beside another one, where it can take its place in one step.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".restoring-{}", std::process::id()));
    file.with_file_name(name)
}

/// What takes longer and may fail comes first and changes nothing: everything is copied to where it will only have to be renamed.
fn put_in_place(
    state: &Path,
    config: &Path,
    folder: &Path,
    trial: &Path,
    aside: &Path,
) -> Result<(), String> {
    // The lock is held until all is done.
    let running = Store::lock(state).map_err(|error| error.to_string())?;
    let (store, logs) = (trial.join(STORE), trial.join(LOGS));
    fs::set_permissions(&store, fs::Permissions::from_mode(0o600)).map_err(told(&store))?;
    if folder.join(LOGS).is_dir() {
        copy_all(&folder.join(LOGS), &logs)?;
    }
    let settings = folder.join(SETTINGS);
    // It may lie on another disk than the state, and be reached by a link that stays.
    let config = &fs::canonicalize(config).unwrap_or_else(|_| config.to_owned());
    let staged = settings.is_file().then(|| beside(config));
    let result = (|| {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(aside).map_err(told(aside))?;
        // Whose the state folder is must be able to read what is put into it, whoever restores.
        for path in [&store, &logs, &aside.to_owned()] {
            give(path, state)?;
        }
        if let Some(staged) = &staged {
            fs::copy(&settings, staged).map_err(told(staged))?;
            fs::set_permissions(staged, fs::Permissions::from_mode(0o600)).map_err(told(staged))?;
            give(staged, if config.is_file() { config } else { state })?;
            if config.is_file() {
                fs::copy(config, aside.join(SETTINGS)).map_err(told(config))?;
            }
        }
        // First what may be refused: a file that is mounted by itself cannot be replaced.
        if let Some(staged) = &staged {
            fs::rename(staged, config).map_err(told(config))?;
        }
        // The old store's journal must not lie beside another store.
        swap(&state.join("services.db-wal"), &aside.join("services.db-wal"), None)?;
        swap(&state.join("services.db-shm"), &aside.join("services.db-shm"), None)?;
        swap(&state.join(STORE), &aside.join(STORE), Some(&store))?;
        if logs.is_dir() {
            swap(&state.join(LOGS), &aside.join(LOGS), Some(&logs))?;
        }
        Ok(())
    })();
    if let Err(error) = result {
        if let Some(staged) = staged {
            // It is ours alone.
            let _ = fs::remove_file(staged);
        }
        // A copy of what is where it was.
        if config.is_file() && same(config, &aside.join(SETTINGS)) {
            let _ = fs::remove_file(aside.join(SETTINGS));
        }
        // Where nothing was moved, nothing lies in it.
        return Err(match fs::remove_dir(aside) {
            Ok(()) => error,
            Err(_) => format!("{error}; what is not in its place any more is in {}", aside.display()),
        });
    }
    drop(running);
    Ok(())
}

/// Root gives what it has written to whom something else belongs.
fn give(path: &Path, like: &Path) -> Result<(), String> {
    if !rustix::process::geteuid().is_root() || !path.exists() {
        return Ok(());
    }
    let owner = fs::metadata(like).map_err(told(like))?;
    chown(path, Some(owner.uid()), Some(owner.gid())).map_err(told(path))?;
    if path.is_dir() {
        for entry in fs::read_dir(path).map_err(told(path))? {
            give(&entry.map_err(told(path))?.path(), like)?;
        }
    }
    Ok(())
}

fn same(one: &Path, other: &Path) -> bool {
    fs::read(one).ok().zip(fs::read(other).ok()).is_some_and(|(one, other)| one == other)
}

/// Moves what is there out of the way, and something else into its place.
fn swap(place: &Path, aside: &Path, new: Option<&Path>) -> Result<(), String> {
    if place.exists() {
        fs::rename(place, aside).map_err(told(place))?;
    }
    new.map_or(Ok(()), |new| fs::rename(new, place).map_err(told(place)))
}

/// Plain files and folders; whatever else lies there is none of ours. Files may go meanwhile: old logs are deleted.
fn copy_all(from: &Path, to: &Path) -> Result<(), String> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(to).map_err(told(to))?;
    for entry in fs::read_dir(from).map_err(told(from))? {
        let entry = entry.map_err(told(from))?;
        let kind = entry.file_type().map_err(told(&entry.path()))?;
        let target = to.join(entry.file_name());
        if kind.is_dir() {
            copy_all(&entry.path(), &target)?;
        } else if kind.is_file() {
            match fs::copy(entry.path(), &target) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => drop(other.map_err(told(&entry.path()))?),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use app::api::Role;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    #[test]
    fn what_was_backed_up_comes_back_and_what_was_there_is_kept() {
        let dir = tempfile::tempdir().expect("a folder");
        let (state, folder) = (dir.path().join("state"), dir.path().join("backup"));
        let config = state.join(SETTINGS);
        let running = Store::open(&state).expect("a store");
        running.add_account("root", Role::Admin, "h", Timestamp::from_millis(1), true).expect("written");
        write(&config, "# mine\n");
        write(&state.join("logs/vllm/1/tail"), "a log");
        back_up(&state, &config, &folder, true).expect("backed up beside a dashboard that runs");
        assert_eq!(fs::metadata(folder.join(STORE)).expect("there").permissions().mode() & 0o777, 0o600);
        assert!(back_up(&state, &config, &folder, true).is_err(), "nothing is overwritten");
        assert!(restore(&state, &config, &folder).expect_err("it runs").contains("in use"));

        running.add_account("late", Role::Admin, "h", Timestamp::from_millis(2), false).expect("written");
        drop(running);
        write(&config, "# another\n");
        let said = restore(&state, &config, &folder).expect("restored");
        let back = Store::open(&state).expect("opens");
        assert!(back.account_named("root").is_some() && back.account_named("late").is_none());
        drop(back);
        assert_eq!(fs::read_to_string(&config).expect("there"), "# mine\n");
        assert_eq!(fs::read_to_string(state.join("logs/vllm/1/tail")).expect("there"), "a log");
        let aside = said.trim().rsplit(' ').next().expect("a folder");
        assert_eq!(fs::read_to_string(Path::new(aside).join(SETTINGS)).expect("kept"), "# another\n");
        let before = Store::open(Path::new(aside)).expect("kept whole");
        assert!(before.account_named("late").is_some());
    }

    #[test]
    fn settings_on_another_disk_come_back_and_what_fails_leaves_all_as_it_was() {
        let dir = tempfile::tempdir().expect("a folder");
        let (state, folder) = (dir.path().join("state"), dir.path().join("backup"));
        // Another file system than the state's, where there is one.
        let elsewhere = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
        let config = elsewhere.path().join("mine.toml");
        let names = || fs::read_dir(elsewhere.path()).expect("there").count();
        drop(Store::open(&state).expect("a store"));
        write(&config, "# mine\n");
        back_up(&state, &config, &folder, false).expect("backed up");
        write(&config, "# another\n");
        fs::set_permissions(&config, fs::Permissions::from_mode(0o640)).expect("set");
        restore(&state, &config, &folder).expect("restored");
        assert_eq!(fs::read_to_string(&config).expect("there"), "# mine\n");
        assert_eq!(fs::metadata(&config).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(names(), 1, "nothing else is left there");

        // A place where no file can be put: nothing of the store is moved.
        let running = Store::open(&state).expect("opens");
        running.add_account("late", Role::Admin, "h", Timestamp::from_millis(2), false).expect("written");
        drop(running);
        let nowhere = elsewhere.path().join("no/such/folder.toml");
        let error = restore(&state, &nowhere, &folder).expect_err("there is no such folder");
        assert!(error.contains("folder.toml"), "{error}");
        assert!(Store::open(&state).expect("opens").account_named("late").is_some(), "as it was");
        // And one that cannot be replaced: a file that is mounted by itself refuses as this folder does.
        let taken = elsewhere.path().join("taken.toml");
        fs::create_dir(&taken).expect("made");
        restore(&state, &taken, &folder).expect_err("it is a folder");
        assert!(Store::open(&state).expect("opens").account_named("late").is_some(), "as it was");
        let left = fs::read_dir(&state).expect("there").flatten().map(|e| e.file_name());
        let left: Vec<_> = left.filter(|name| name.to_string_lossy().contains("restor")).collect();
        assert_eq!(left.len(), 1, "what the restore that was done put aside, and no more: {left:?}");
    }

    #[test]
    fn settings_are_for_their_owner_alone_and_broken_ones_are_not_put_back() {
        let dir = tempfile::tempdir().expect("a folder");
        let (state, folder) = (dir.path().join("state"), dir.path().join("backup"));
        let config = state.join(SETTINGS);
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        drop(Store::open(&state).expect("a store"));
        write(&config, "# mine\n");
        fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).expect("set");
        back_up(&state, &config, &folder, false).expect("backed up");
        assert_eq!(mode(&folder.join(SETTINGS)), 0o600);
        fs::set_permissions(folder.join(SETTINGS), fs::Permissions::from_mode(0o644)).expect("set");
        restore(&state, &config, &folder).expect("restored");
        assert_eq!(mode(&config), 0o600);
        let before = fs::read_dir(&state).expect("there").count();
        for broken in
            ["[[service", "[[service]]\nname = \"vllm\"\ngpu_memory_utilization = 7\n", "no_such_key = 1\n"]
        {
            write(&folder.join(SETTINGS), broken);
            let told = restore(&state, &config, &folder).expect_err("broken");
            assert!(told.contains("services.toml"), "{told}");
            assert_eq!(fs::read_to_string(&config).expect("there"), "# mine\n");
            assert_eq!(fs::read_dir(&state).expect("there").count(), before, "nothing was changed");
        }
    }

    #[test]
    fn what_is_no_backup_changes_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let (state, folder) = (dir.path().join("state"), dir.path().join("backup"));
        let config = state.join(SETTINGS);
        assert!(
            back_up(&state, &config, &folder, false)
                .expect_err("nothing there")
                .contains("nothing to back up")
        );
        assert!(restore(&state, &config, &folder).expect_err("no folder").contains("no backup"));
        drop(Store::open(&state).expect("a store"));
        write(&folder.join(STORE), "this is no database");
        assert!(restore(&state, &config, &folder).is_err());
        write(&folder.join(STORE), "");
        assert!(restore(&state, &config, &folder).expect_err("nothing in it").contains("gone or empty"));
        let names: Vec<_> = fs::read_dir(&state).expect("there").flatten().map(|e| e.file_name()).collect();
        assert!(!names.iter().any(|name| name.to_string_lossy().contains("restor")), "{names:?}");
        Store::open(&state).expect("as it was");
    }
}
