//! The caches, whole, broken and hostile, in temporary folders of the real layout.

use super::*;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

const COMMIT: &str = "b25037543e9394b818fdfca67ab2a00ecc7dd641";

struct Cache(tempfile::TempDir);

impl Cache {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn paths(&self) -> Vec<PathBuf> {
        vec![self.0.path().to_path_buf()]
    }

    fn folder(&self, repo: &str) -> PathBuf {
        self.0.path().join(format!("models--{}", repo.replace('/', "--")))
    }

    /// A repository as `huggingface_hub` makes it: blobs, relative links to them, a ref.
    fn repo(&self, repo: &str, files: &[(&str, &[u8])]) -> PathBuf {
        let folder = self.folder(repo);
        let snapshot = folder.join("snapshots").join(COMMIT);
        for sub in [folder.join("blobs"), folder.join("refs"), snapshot.clone()] {
            fs::create_dir_all(sub).expect("folders");
        }
        fs::write(folder.join("refs/main"), COMMIT).expect("a ref");
        for (at, (name, bytes)) in files.iter().enumerate() {
            fs::write(folder.join(format!("blobs/b{at}")), bytes).expect("a blob");
            symlink(format!("../../blobs/b{at}"), snapshot.join(name)).expect("a link");
        }
        folder
    }

    fn list(&self) -> Listing {
        list(&self.paths())
    }

    fn only(&self) -> Cached {
        let listing = self.list();
        assert_eq!(listing.models.len(), 1, "{listing:?}");
        listing.models.into_iter().next().expect("one")
    }
}

const CONFIG: &[u8] = br#"{"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"}"#;

fn never(_: &str) -> bool {
    false
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}

#[test]
fn a_whole_model_is_counted_once_however_many_names_its_files_have() {
    let cache = Cache::new();
    let folder = cache.repo("Qwen/Qwen2.5-7B", &[("config.json", CONFIG), ("model.safetensors", &[7; 1000])]);
    // A second snapshot with the same file, and a hard link.
    fs::create_dir(folder.join("snapshots/other")).expect("a snapshot");
    symlink("../../blobs/b1", folder.join("snapshots/other/model.safetensors")).expect("a link");
    fs::hard_link(folder.join("blobs/b1"), folder.join("snapshots/other/copy.bin")).expect("a hard link");
    let model = cache.only();
    let expected = CONFIG.len() as u64 + 1000 + COMMIT.len() as u64;
    assert_eq!((model.repo.as_str(), model.bytes, model.snapshots), ("Qwen/Qwen2.5-7B", expected, 2));
    assert_eq!(model.kind, Kind::Model { architecture: Some("Qwen2ForCausalLM".into()) });
    assert!(model.complete && model.bytes_incomplete == 0 && model.last_used.is_some());
    assert_eq!(cache.list().troubles, []);
}

#[test]
fn an_adapter_names_its_base_and_its_rank() {
    let cache = Cache::new();
    let config = br#"{"base_model_name_or_path": "Qwen/Qwen2.5-7B-Instruct", "r": 16, "peft_type": "LORA"}"#;
    cache.repo("me/lydia", &[("adapter_config.json", config), ("adapter_model.safetensors", &[1; 10])]);
    let kind = Kind::Adapter { base: Some("Qwen/Qwen2.5-7B-Instruct".into()), rank: Some(16) };
    assert_eq!(cache.only().kind, kind);
}

#[test]
fn what_a_config_says_becomes_no_argument_unless_it_is_a_name() {
    let cache = Cache::new();
    for (repo, base) in
        [("a/flag", "--trust-remote-code"), ("b/path", "/home/them/model"), ("c/up", "../../etc")]
    {
        let config = format!(r#"{{"base_model_name_or_path": "{base}", "r": 8}}"#);
        cache.repo(repo, &[("adapter_config.json", config.as_bytes())]);
    }
    cache.repo("d/odd", &[("config.json", br#"{"architectures": ["<b>x</b>"]}"#)]);
    for model in cache.list().models {
        assert!(
            matches!(model.kind, Kind::Adapter { base: None, .. } | Kind::Model { architecture: None }),
            "{:?}",
            model.kind
        );
    }
}

#[test]
fn a_download_under_way_is_not_complete_and_its_bytes_are_told_apart() {
    let cache = Cache::new();
    let folder = cache.repo("a/b", &[("config.json", CONFIG)]);
    fs::write(folder.join("blobs/deadbeef.1234.incomplete"), [0; 77]).expect("a part");
    let model = cache.only();
    assert_eq!((model.complete, model.bytes_incomplete), (false, 77));
    assert_eq!(model.bytes, CONFIG.len() as u64 + COMMIT.len() as u64);
}

#[test]
fn a_missing_part_of_numbered_weights_is_noticed() {
    let cache = Cache::new();
    cache.repo("a/some", &[("model-00001-of-00002.safetensors", &[1]), ("config.json", CONFIG)]);
    cache.repo(
        "b/all",
        &[("model-00001-of-00002.safetensors", &[1]), ("model-00002-of-00002.safetensors", &[2])],
    );
    // gpt-oss counts from zero, and has one more than it says.
    cache.repo(
        "c/zero",
        &[
            ("model-00000-of-00002.safetensors", &[1]),
            ("model-00001-of-00002.safetensors", &[2]),
            ("model-00002-of-00002.safetensors", &[3]),
        ],
    );
    let whole: Vec<bool> = cache.list().models.iter().map(|m| m.complete).collect();
    assert_eq!(whole, [false, true, true]);
}

#[test]
fn links_that_lead_nowhere_in_circles_or_out_are_not_followed() {
    let cache = Cache::new();
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("secret"), br#"{"architectures": ["Secret"]}"#).expect("a file");
    fs::write(outside.path().join("big"), [0; 5000]).expect("a file");
    let folder = cache.repo("a/b", &[]);
    let snapshot = folder.join("snapshots").join(COMMIT);
    symlink(outside.path().join("secret"), snapshot.join("config.json")).expect("a link out");
    symlink("loop", snapshot.join("loop")).expect("a loop");
    symlink("../../blobs/gone", snapshot.join("gone")).expect("a link to nothing");
    symlink(&folder, snapshot.join("up")).expect("a link upwards");
    symlink(outside.path(), folder.join("blobs/out")).expect("a folder's link");
    let listing = cache.list();
    let model = listing.models.first().expect("one");
    assert_eq!(
        (model.kind.clone(), model.complete, model.bytes),
        (Kind::Unknown, false, COMMIT.len() as u64)
    );
    assert!(
        listing.troubles.iter().any(
            |t| matches!(t, Trouble::Unreadable { kind: io::ErrorKind::InvalidInput, path } if path.ends_with("config.json"))
        ),
        "{:?}",
        listing.troubles
    );
}

#[test]
fn a_pipe_in_place_of_a_config_holds_nobody() {
    let cache = Cache::new();
    let folder = cache.repo("a/b", &[("model.safetensors", &[1])]);
    let pipe = folder.join("snapshots").join(COMMIT).join("config.json");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");
    assert_eq!(cache.only().kind, Kind::Unknown);
    assert_eq!(cache.list().troubles.len(), 1);
}

#[test]
fn what_is_no_model_is_passed_over_and_what_pretends_to_be_one_is_told() {
    let cache = Cache::new();
    let root = cache.0.path();
    for name in ["datasets--a--b", ".locks", "version.txt.d", "spaces--x", ".removing-models--a--b-1-2"] {
        fs::create_dir(root.join(name)).expect("a folder");
    }
    fs::write(root.join("models--a--file"), "no folder").expect("a file");
    symlink("/", root.join("models--a--link")).expect("a link");
    for name in
        ["models--..", "models--a--..--b", "models--", "models--a--b--c", "models--.hidden", "models--a--é"]
    {
        fs::create_dir(root.join(name)).expect("a folder");
    }
    let listing = cache.list();
    assert!(listing.models.is_empty(), "{:?}", listing.models);
    assert_eq!(listing.troubles.len(), 8, "{:?}", listing.troubles);
}

#[test]
fn a_config_that_is_none_is_told_and_the_model_stays_listed() {
    let cache = Cache::new();
    cache.repo("a/b", &[("config.json", b"{\"architectures\": 7")]);
    let listing = cache.list();
    assert_eq!(listing.models.len(), 1);
    assert!(matches!(listing.troubles.as_slice(), [Trouble::Config { .. }]), "{:?}", listing.troubles);
}

#[test]
fn a_cache_that_is_not_there_is_empty_and_one_named_twice_is_listed_once() {
    let cache = Cache::new();
    cache.repo("a/b", &[("config.json", CONFIG)]);
    let other = tempfile::tempdir().expect("a folder");
    let link = other.path().join("hub");
    symlink(cache.0.path(), &link).expect("a link");
    let listing = list(&[link, cache.0.path().to_path_buf(), PathBuf::from("/nowhere/at/all")]);
    assert_eq!((listing.models.len(), listing.troubles.len()), (1, 0));
    let file = other.path().join("file");
    fs::write(&file, "").expect("a file");
    assert_eq!(list(&[file]).troubles.len(), 1);
}

#[test]
fn a_folder_that_may_not_be_read_is_told_and_not_taken_for_whole() {
    if is_root() {
        return;
    }
    let cache = Cache::new();
    let folder = cache.repo("a/b", &[("config.json", CONFIG)]);
    fs::set_permissions(folder.join("blobs"), fs::Permissions::from_mode(0o000)).expect("a mode");
    let listing = cache.list();
    assert!(listing.models.iter().all(|m| !m.complete) && !listing.troubles.is_empty());
    fs::set_permissions(folder.join("blobs"), fs::Permissions::from_mode(0o700)).expect("a mode");
}

#[test]
fn a_deletion_takes_one_model_whole_and_says_what_it_freed() {
    let cache = Cache::new();
    let folder = cache.repo("a/b", &[("config.json", CONFIG), ("model.safetensors", &[7; 1000])]);
    fs::write(folder.join("blobs/x.incomplete"), [0; 50]).expect("a part");
    cache.repo("a/other", &[("config.json", CONFIG)]);
    let freed = delete(&cache.paths(), "a/b", &never).expect("deleted");
    let bytes = CONFIG.len() as u64 + 1000 + 50 + COMMIT.len() as u64;
    assert_eq!(freed, Freed { bytes, files: 4 });
    assert_eq!(cache.only().repo.as_str(), "a/other");
    let entries = fs::read_dir(cache.0.path()).expect("a folder").count();
    assert_eq!(entries, 1, "nothing is left aside");
    assert!(matches!(delete(&cache.paths(), "a/b", &never), Err(DeleteError::NotHere { .. })));
}

#[test]
fn what_is_in_use_is_not_deleted() {
    let cache = Cache::new();
    let folder = cache.repo("a/b", &[("config.json", CONFIG)]);
    let refused = delete(&cache.paths(), "a/b", &|repo| repo == "a/b");
    assert!(matches!(refused, Err(DeleteError::InUse { .. })) && folder.exists());
}

#[test]
fn a_name_that_walks_is_refused_before_anything_is_looked_at() {
    let cache = Cache::new();
    let victim = cache.0.path().join("victim");
    fs::create_dir(&victim).expect("a folder");
    for name in [
        "",
        ".",
        "..",
        "/",
        "a/../victim",
        "../victim",
        "/etc",
        "a//b",
        "a/b/c",
        "a--b",
        "a/.b",
        "a\0b",
        "a b",
        "a/b/",
        "-x",
        "é",
    ] {
        let refused = delete(&cache.paths(), name, &|_| panic!("asked about {name:?}"));
        assert!(matches!(refused, Err(DeleteError::Name(_))), "{name:?}: {refused:?}");
    }
    assert!(victim.exists());
}

#[test]
fn a_link_or_a_file_in_place_of_a_model_is_left_alone() {
    let cache = Cache::new();
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("precious"), "x").expect("a file");
    symlink(outside.path(), cache.folder("a/link")).expect("a link");
    fs::write(cache.folder("a/file"), "x").expect("a file");
    for name in ["a/link", "a/file"] {
        assert!(
            matches!(delete(&cache.paths(), name, &never), Err(DeleteError::NotAFolder { .. })),
            "{name}"
        );
    }
    assert!(outside.path().join("precious").exists() && cache.folder("a/file").exists());
}

#[test]
fn links_in_a_deleted_model_are_removed_and_not_followed() {
    let cache = Cache::new();
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("precious"), [0; 100]).expect("a file");
    let folder = cache.repo("a/b", &[("config.json", CONFIG)]);
    symlink(outside.path(), folder.join("snapshots/out")).expect("a link");
    let freed = delete(&cache.paths(), "a/b", &never).expect("deleted");
    assert_eq!(freed.bytes, CONFIG.len() as u64 + COMMIT.len() as u64);
    assert!(outside.path().join("precious").exists());
}

#[test]
fn an_interrupted_deletion_is_no_model_and_the_next_one_ends_it() {
    let cache = Cache::new();
    let folder = cache.repo("a/b", &[("config.json", CONFIG)]);
    let left = cache.0.path().join(".removing-models--a--b-1-2");
    fs::rename(&folder, &left).expect("aside");
    let other = cache.0.path().join(".removing-something-else");
    fs::create_dir(&other).expect("a folder");
    assert!(cache.list().models.is_empty());
    cache.repo("c/d", &[("config.json", CONFIG)]);
    delete(&cache.paths(), "c/d", &never).expect("deleted");
    assert!(!left.exists() && other.exists());
}

#[test]
fn a_model_in_two_caches_is_deleted_from_both() {
    let (one, two) = (Cache::new(), Cache::new());
    for cache in [&one, &two] {
        cache.repo("a/b", &[("model.safetensors", &[1; 10])]);
    }
    let caches = [one.paths(), two.paths()].concat();
    assert_eq!(list(&caches).models.len(), 2);
    let freed = delete(&caches, "a/b", &never).expect("deleted");
    assert_eq!((freed.files, list(&caches).models.len()), (4, 0));
}

#[test]
fn there_is_room_somewhere_and_none_where_nothing_is() {
    assert!(free_bytes(std::env::temp_dir().as_path()).expect("a file system") > 0);
    assert!(free_bytes(Path::new("/nowhere/at/all")).is_err());
}

proptest::proptest! {
    #[test]
    fn a_name_that_is_allowed_stays_in_its_cache_and_comes_back_from_its_folder(text in "[a-zA-Z0-9._/-]{0,40}|\\PC{0,40}") {
        if let Ok(name) = RepoName::parse(&text) {
            let folder = name.folder();
            proptest::prop_assert!(!folder.contains('/') && !folder.contains("..") && folder.starts_with(PREFIX));
            proptest::prop_assert_eq!(RepoName::of_folder(&folder), Some(name));
        }
    }
}
