//! Changes `services.toml` as a person would: one key of one service, comments and order kept, written at once or not at
//! all. What a flag or the environment says is not ours to change.

use super::ServiceConfig;
use app::model::{Change, Origin, ServiceName};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// A flag or the environment sets it.
    #[error("{0} is set by a flag or the environment of Services")]
    ReadOnly(String),
    /// The page cannot change this.
    #[error("{0} cannot be changed from the page")]
    Unknown(String),
    /// The file cannot be read, understood or written.
    #[error("{0}")]
    File(String),
}

/// One setting as the file should hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// A key and its value, or no such key.
    Key(&'static str, Option<String>),
    /// All arguments.
    Args(Vec<String>),
}

/// What a change means for the file.
enum Edit {
    Key(&'static str, String),
    /// Without this flag; then, if there is a second part, with it and its value at the end.
    Args(String, Option<Option<String>>),
}

/// The flag of `vllm serve` that a variable stands for, and its key in the file.
const SHARE: (&str, &str, &str) =
    ("GPU_MEMORY_UTILIZATION", "--gpu-memory-utilization", "gpu_memory_utilization");

/// The file's text with a change in it.
///
/// # Errors
/// [`EditError`].
pub fn changed(before: &str, config: &ServiceConfig, change: &Change) -> Result<String, EditError> {
    let edit = plan(config, change)?;
    edited(before, &config.name, edit).map_err(|detail| EditError::File(format!("services.toml: {detail}")))
}

/// The file as it is; one that is not there is empty.
///
/// # Errors
/// [`EditError::File`].
pub fn text(path: &Path) -> Result<String, EditError> {
    super::file::text(path).map(Option::unwrap_or_default).map_err(EditError::File)
}

/// A file's text with these settings of a service in it.
///
/// # Errors
/// [`EditError::File`].
pub fn with(before: &str, service: &ServiceName, settings: Vec<Setting>) -> Result<String, EditError> {
    let refused = |detail: String| EditError::File(format!("services.toml: {detail}"));
    let mut document = parsed(before).map_err(refused)?;
    let table = table_of(&mut document, service).map_err(refused)?;
    for setting in settings {
        match setting {
            Setting::Key(key, Some(text)) => put_text(table, key, &text),
            Setting::Key(key, None) => drop(table.remove(key)),
            Setting::Args(args) if args.is_empty() => drop(table.remove("args")),
            Setting::Args(args) => {
                put(table, "args", value(args.iter().map(String::as_str).collect::<Array>()));
            }
        }
    }
    Ok(document.to_string())
}

/// Removes what a write that was cut off left beside the file.
pub fn clear_leftovers(path: &Path) {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (Some(folder), Some(name)) = (real.parent(), real.file_name().and_then(|n| n.to_str())) else {
        return;
    };
    let ours = |entry: &std::fs::DirEntry| {
        let Some(rest) = entry.file_name().to_str().and_then(|n| n.strip_prefix(name)).map(str::to_owned)
        else {
            return false;
        };
        let numbers = rest.strip_prefix('.').and_then(|r| r.strip_suffix(".new"));
        numbers.is_some_and(|n| n.split('.').all(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit())))
    };
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten().filter(ours) {
        if let Err(error) = std::fs::remove_file(entry.path()) {
            tracing::warn!(%error, "what a write that was cut off left behind cannot be removed");
        }
    }
}

/// Counts attempts: no two write the same file beside it.
static ATTEMPT: AtomicU64 = AtomicU64::new(0);

/// Replaces the file, at once or not at all, if it is still as it was.
///
/// # Errors
/// [`EditError::File`].
pub fn write(path: &Path, before: &str, after: &str) -> Result<(), EditError> {
    // A link stays one: what it leads to is replaced.
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let path = real.as_path();
    let file =
        |what: &str, error: std::io::Error| EditError::File(format!("{}: {what}: {error}", path.display()));
    let mut mode = std::fs::metadata(path).map_or(0o600, |m| m.permissions().mode() & 0o777);
    if after.contains("api_key") || after.contains("hf_token") {
        // Secrets are for their owner alone, whoever made the file.
        mode &= 0o700;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.{}.new", std::process::id(), ATTEMPT.fetch_add(1, Ordering::Relaxed)));
    let beside = path.with_file_name(name);
    let written =
        std::fs::File::options().write(true).create_new(true).mode(mode).open(&beside).and_then(|mut new| {
            new.set_permissions(std::fs::Permissions::from_mode(mode))?;
            new.write_all(after.as_bytes())?;
            new.sync_all()
        });
    // Somebody with an editor may have been faster: theirs is not overwritten.
    let same = std::fs::read_to_string(path).unwrap_or_default() == before;
    let done = match written {
        Ok(()) if same => std::fs::rename(&beside, path)
            // The new name must outlive a power cut, too.
            .and_then(|()| std::fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all())
            .map_err(|e| file("cannot be replaced", e)),
        Ok(()) => Err(EditError::File(format!("{}: somebody else changed it just now", path.display()))),
        Err(error) => Err(file("cannot be written", error)),
    };
    if done.is_err() {
        // What is left of the attempt helps nobody; that it cannot be removed changes nothing.
        let _ = std::fs::remove_file(&beside);
    }
    done
}

/// Whether the page could make this change.
pub fn possible(config: &ServiceConfig, change: &Change) -> bool {
    plan(config, change).is_ok()
}

fn plan(config: &ServiceConfig, change: &Change) -> Result<Edit, EditError> {
    let writable = |name: &str, origin: &Origin| match origin {
        Origin::Flag | Origin::Environment => Err(EditError::ReadOnly(name.to_owned())),
        _ => Ok(()),
    };
    let args = &config.args.value;
    let given = |flag: &str| args.iter().any(|a| is(a, flag));
    match change {
        Change::Set { variable, value } | Change::Argument { flag: variable, value: Some(value) }
            if [SHARE.0, SHARE.1].contains(&variable.as_str()) && !given(SHARE.1) =>
        {
            writable(SHARE.0, &config.gpu_memory_utilization.origin)?;
            Ok(Edit::Key(SHARE.2, value.clone()))
        }
        Change::Set { variable, value } => {
            let (key, origin) = match variable.as_str() {
                "GPU_MEMORY_UTILIZATION" => {
                    return Ok(Edit::Args(SHARE.1.to_owned(), Some(Some(value.clone()))));
                }
                "VLLM_API_URL" => ("api_url", &config.api_url.origin),
                "VLLM_MODEL" => ("model", &config.model.origin),
                "VLLM_MODEL_NAME" => ("model_name", &config.model_name.origin),
                "VLLM_IMAGE" => ("image", &config.image.origin),
                "CUDA_VISIBLE_DEVICES" => ("cuda_visible_devices", &config.gpus.origin),
                _ => return Err(EditError::Unknown(variable.clone())),
            };
            writable(variable, origin)?;
            Ok(Edit::Key(key, value.clone()))
        }
        Change::Argument { flag, value } => Ok(Edit::Args(flag.clone(), Some(value.clone()))),
        Change::DropArgument { flag } => Ok(Edit::Args(flag.clone(), None)),
    }
}

/// `--a-b`, `--a_b` and `--a-b=1` are one flag.
fn is(argument: &str, flag: &str) -> bool {
    let name = argument.split('=').next().unwrap_or_default();
    name.len() == flag.len()
        && name.bytes().zip(flag.bytes()).all(|(a, b)| a == b || (a == b'_' && b == b'-'))
}

/// Without a flag and its values: what follows up to the next flag. A negative number is a value.
fn without(args: &[String], flag: &str) -> Vec<String> {
    let mut kept = Vec::with_capacity(args.len());
    let mut dropping = false;
    for argument in args {
        let begins =
            argument.starts_with('-') && !argument[1..].starts_with(|c: char| c.is_ascii_digit() || c == '.');
        if begins {
            dropping = is(argument, flag);
        }
        if !dropping {
            kept.push(argument.clone());
        }
        if argument.contains('=') && begins {
            dropping = false;
        }
    }
    kept
}

fn edited(text: &str, service: &ServiceName, edit: Edit) -> Result<String, String> {
    let mut document = parsed(text)?;
    let table = table_of(&mut document, service)?;
    match edit {
        Edit::Key(key, text) => put_text(table, key, &text),
        Edit::Args(flag, new) => {
            // What stands in the file counts, not what was in force when it was read last.
            let standing = table.get("args").and_then(Item::as_array);
            let args: Vec<String> = standing
                .into_iter()
                .flat_map(Array::iter)
                .map(|item| item.as_str().map(str::to_owned).ok_or("args is not a list of texts"))
                .collect::<Result<_, _>>()?;
            let mut args = without(&args, &flag);
            if let Some(new) = new {
                args.push(flag);
                args.extend(new);
            }
            put(table, "args", value(args.iter().map(String::as_str).collect::<Array>()));
        }
    }
    Ok(document.to_string())
}

fn parsed(text: &str) -> Result<DocumentMut, String> {
    text.parse().map_err(|e: toml_edit::TomlError| super::file::place(text, e.span(), e.message()))
}

/// The service's table; that of vLLM is made where the file lists nothing.
fn table_of<'a>(document: &'a mut DocumentMut, service: &ServiceName) -> Result<&'a mut Table, String> {
    let tables = document
        .entry("service")
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()))
        .as_array_of_tables_mut()
        .ok_or("service is not a list of tables ([[service]])")?;
    let at = tables.iter().position(|t| t.get("name").and_then(Item::as_str) == Some(service.as_str()));
    if at.is_none() {
        if service.as_str() != "vllm" || !tables.is_empty() {
            // It lives by adoption alone; a table would make it another thing.
            return Err(format!("it lists no service named {service}"));
        }
        let mut table = Table::new();
        table.insert("name", value(service.as_str()));
        tables.push(table);
    }
    Ok(tables.get_mut(at.unwrap_or(0)).ok_or("the service's table is not there")?)
}

/// A number stays a number, a text a text.
fn put_text(table: &mut Table, key: &str, text: &str) {
    let number = text.parse::<f64>().ok().filter(|_| key == SHARE.2);
    put(table, key, number.map_or_else(|| value(text), value));
}

/// Puts a value; what stood around the old one (a comment behind it) stays.
fn put(table: &mut Table, key: &str, mut item: Item) {
    let old = table.get(key).and_then(Item::as_value).map(|v| v.decor().clone());
    if let (Some(decor), Some(new)) = (old, item.as_value_mut()) {
        *new.decor_mut() = decor;
    }
    table.insert(key, item);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Flags, Sources};
    use std::collections::BTreeMap;

    const FILE: &str = "# mine\n[[service]]\nname = \"vllm\" # the one\ngpu_memory_utilization = 0.5 # half\nargs = [\"--max-model-len\", \"8192\", \"--enable-lora\"]\n\n[links]\nChat = \"http://localhost:1\"\n";

    /// One change, as the page makes it.
    fn apply(path: &Path, config: &ServiceConfig, change: &Change) -> Result<(), EditError> {
        let before = text(path)?;
        write(path, &before, &changed(&before, config, change)?)
    }

    struct Place {
        dir: tempfile::TempDir,
        env: BTreeMap<String, String>,
    }

    impl Place {
        fn new(text: Option<&str>, env: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().expect("a temporary folder");
            if let Some(text) = text {
                std::fs::write(dir.path().join("services.toml"), text).expect("written");
            }
            let mut env: BTreeMap<String, String> =
                env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            env.insert("SERVICES_STATE_DIR".into(), dir.path().display().to_string());
            Self { dir, env }
        }

        fn load(&self) -> ServiceConfig {
            let sources = Sources { flags: Flags::default(), env: self.env.clone() };
            sources.load().expect("valid").services.remove(0)
        }

        fn apply(&self, change: &Change) -> Result<ServiceConfig, EditError> {
            apply(&self.dir.path().join("services.toml"), &self.load(), change)?;
            Ok(self.load())
        }

        fn text(&self) -> String {
            std::fs::read_to_string(self.dir.path().join("services.toml")).expect("there")
        }
    }

    fn argument(flag: &str, value: &str) -> Change {
        Change::Argument { flag: flag.into(), value: Some(value.into()) }
    }

    #[test]
    fn one_key_changes_and_every_comment_stays() {
        let place = Place::new(Some(FILE), &[]);
        let share = Change::Set { variable: "GPU_MEMORY_UTILIZATION".into(), value: "0.85".into() };
        let config = place.apply(&share).expect("changed");
        assert_eq!(config.gpu_memory_utilization.value.to_string(), "0.85");
        assert_eq!(place.text(), FILE.replace("0.5 # half", "0.85 # half"));
        assert_eq!(
            std::fs::read_dir(place.dir.path()).expect("a folder").count(),
            1,
            "nothing is left beside it"
        );
    }

    #[test]
    fn a_flag_is_replaced_added_and_left_out_with_its_values() {
        let place = Place::new(Some(FILE), &[]);
        let config = place.apply(&argument("--max-model-len", "2048")).expect("changed");
        assert_eq!(config.args.value, ["--enable-lora", "--max-model-len", "2048"]);
        let config = place.apply(&argument("--dtype", "half")).expect("changed");
        assert_eq!(config.args.value, ["--enable-lora", "--max-model-len", "2048", "--dtype", "half"]);
        let config = place.apply(&Change::DropArgument { flag: "--max-model-len".into() }).expect("changed");
        assert_eq!(config.args.value, ["--enable-lora", "--dtype", "half"]);
        assert!(place.text().starts_with("# mine\n[[service]]\nname = \"vllm\" # the one\n"));
    }

    #[test]
    fn what_was_written_by_hand_meanwhile_stays() {
        let place = Place::new(Some(FILE), &[]);
        let config = place.load();
        let path = place.dir.path().join("services.toml");
        std::fs::write(&path, FILE.replace("\"--enable-lora\"", "\"--enable-lora\", \"--seed\", \"7\""))
            .expect("written");
        apply(&path, &config, &argument("--max-model-len", "16")).expect("changed");
        assert_eq!(place.load().args.value, ["--enable-lora", "--seed", "7", "--max-model-len", "16"]);
    }

    #[test]
    fn a_link_stays_a_link() {
        let place = Place::new(None, &[]);
        let (real, link) = (place.dir.path().join("real.toml"), place.dir.path().join("services.toml"));
        std::fs::write(&real, FILE).expect("written");
        std::os::unix::fs::symlink(&real, &link).expect("linked");
        place.apply(&argument("--dtype", "half")).expect("changed");
        assert!(std::fs::symlink_metadata(&link).expect("there").is_symlink());
        assert!(std::fs::read_to_string(&real).expect("there").contains("half"));
    }

    #[test]
    fn flags_are_found_in_every_way_they_are_written() {
        let args = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let dropped = |list: &[&str], flag| without(&args(list), flag).join(" ");
        assert_eq!(dropped(&["--max_model_len=1", "x"], "--max-model-len"), "x");
        assert_eq!(dropped(&["--lora-modules", "a=b", "c=d", "--seed", "-1"], "--lora-modules"), "--seed -1");
        assert_eq!(dropped(&["--seed", "-1", "--x"], "--seed"), "--x");
        assert_eq!(dropped(&["--max-model-len-x", "1"], "--max-model-len"), "--max-model-len-x 1");
        assert_eq!(dropped(&[], "--x"), "");
    }

    #[test]
    fn without_a_file_one_is_made_for_its_owner_alone() {
        let place = Place::new(None, &[]);
        let config = place.apply(&argument("--max-model-len", "2048")).expect("made");
        assert_eq!(config.args.value, ["--max-model-len", "2048"]);
        let mode =
            std::fs::metadata(place.dir.path().join("services.toml")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_share_among_the_arguments_is_changed_where_it_stands() {
        let place = Place::new(
            Some("[[service]]\nname = \"vllm\"\nargs = [\"--gpu-memory-utilization=0.9\"]\n"),
            &[("GPU_MEMORY_UTILIZATION", "0.3")],
        );
        let share = Change::Set { variable: "GPU_MEMORY_UTILIZATION".into(), value: "0.8".into() };
        assert_eq!(place.apply(&share).expect("changed").args.value, ["--gpu-memory-utilization", "0.8"]);
    }

    #[test]
    fn what_is_set_elsewhere_is_refused_by_name() {
        let place = Place::new(Some(FILE), &[("GPU_MEMORY_UTILIZATION", "0.3")]);
        let share = Change::Set { variable: "GPU_MEMORY_UTILIZATION".into(), value: "0.8".into() };
        assert_eq!(place.apply(&share).err(), Some(EditError::ReadOnly("GPU_MEMORY_UTILIZATION".into())));
        assert_eq!(place.text(), FILE);
        let other = Change::Set { variable: "HOME".into(), value: "/".into() };
        assert_eq!(place.apply(&other).err(), Some(EditError::Unknown("HOME".into())));
    }

    #[test]
    fn a_file_that_cannot_be_understood_is_left_alone() {
        let place = Place::new(Some(FILE), &[]);
        let config = place.load();
        let path = place.dir.path().join("services.toml");
        for broken in ["[[service", "service = 1\n", "[[service]]\nname = \"other\"\n"] {
            std::fs::write(&path, broken).expect("written");
            let error = apply(&path, &config, &argument("--dtype", "half")).expect_err("refused");
            assert!(error.to_string().contains("services.toml"), "{error}");
            assert_eq!(place.text(), broken);
        }
    }
}
