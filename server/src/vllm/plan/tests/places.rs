//! Models as they lie on a disk: folders, the Hugging Face cache, downloads that were not finished, files that lie.

use crate::vllm::plan::{Ask, PlanError, model_facts};
use app::model::PlanSource;
use std::fs;
use std::path::{Path, PathBuf};

const QWEN: &str = "Qwen/Qwen2.5-7B-Instruct";
const CONFIG: &str = r#"{"model_type":"llama","num_hidden_layers":2,"hidden_size":64,"num_attention_heads":4,"vocab_size":100,
    "torch_dtype":"bfloat16"}"#;

/// A safetensors file with so many 16-bit values in one tensor.
fn safetensors(name: &str, values: usize) -> Vec<u8> {
    let json =
        format!(r#"{{"{name}":{{"dtype":"BF16","shape":[{values}],"data_offsets":[0,{}]}}}}"#, 2 * values);
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(json.as_bytes());
    bytes.resize(bytes.len() + 2 * values, 0);
    bytes
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, bytes).expect("a file");
}

fn ask(model: &str, caches: &[PathBuf]) -> Ask {
    Ask { model: model.to_owned(), caches: caches.to_vec(), share: 0.9, ..Ask::default() }
}

/// A cache with one snapshot of a repository, its files as links into `blobs`.
fn cache(hub: &Path, repository: &str, files: &[(&str, Vec<u8>)]) -> PathBuf {
    let root = hub.join(format!("models--{}", repository.replace('/', "--")));
    write(&root.join("refs/main"), "abc123\n");
    let snapshot = root.join("snapshots/abc123");
    fs::create_dir_all(&snapshot).expect("a folder");
    for (name, bytes) in files {
        write(&root.join("blobs").join(name), bytes);
        std::os::unix::fs::symlink(Path::new("../../blobs").join(name), snapshot.join(name)).expect("a link");
    }
    snapshot
}

#[test]
fn a_folder_is_read_by_its_headers() {
    let dir = tempfile::tempdir().expect("a folder");
    write(&dir.path().join("config.json"), CONFIG);
    write(&dir.path().join("model-00001-of-00002.safetensors"), safetensors("model.layers.0.w", 1000));
    write(&dir.path().join("model-00002-of-00002.safetensors"), safetensors("model.layers.1.w", 500));
    write(&dir.path().join("consolidated.safetensors"), safetensors("all", 1500));
    let facts = model_facts(&ask(&dir.path().display().to_string(), &[])).expect("facts");
    assert_eq!(
        (facts.source, facts.weights.floats, facts.weights.estimated),
        (PlanSource::Folder, 1500, false)
    );
}

#[test]
fn a_snapshot_in_the_cache_is_followed_through_its_links() {
    let hub = tempfile::tempdir().expect("a folder");
    let file = safetensors("model.layers.0.w", 700);
    let snapshot =
        cache(hub.path(), "org/model", &[("config.json", CONFIG.into()), ("model.safetensors", file)]);
    let caches = [PathBuf::from("/nowhere"), hub.path().to_path_buf()];
    let facts = model_facts(&ask("org/model", &caches)).expect("facts");
    assert_eq!((facts.source, facts.weights.floats), (PlanSource::Cache, 700));
    let by_commit = Ask { revision: Some("abc123".to_owned()), ..ask("org/model", &caches) };
    assert_eq!(model_facts(&by_commit).expect("facts"), facts);
    let other = Ask { args: vec!["--revision=v2".to_owned()], ..ask("org/model", &caches) };
    assert!(matches!(model_facts(&other), Err(PlanError::NotHere { .. })));
    // Linked, and gone: as after a clean-up of blobs.
    fs::remove_file(hub.path().join("models--org--model/blobs/config.json")).expect("removed");
    assert!(
        snapshot.is_dir()
            && matches!(model_facts(&ask("org/model", &caches)), Err(PlanError::NotHere { .. }))
    );
}

#[test]
fn a_download_that_is_not_finished_is_planned_by_what_is_known() {
    let hub = tempfile::tempdir().expect("a folder");
    let index = r#"{"metadata":{"total_size":3000},"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}}"#;
    cache(
        hub.path(),
        "org/listed",
        &[
            ("config.json", CONFIG.into()),
            ("model.safetensors.index.json", index.into()),
            ("model-1.safetensors", safetensors("a", 10)),
        ],
    );
    let caches = [hub.path().to_path_buf()];
    let listed = model_facts(&ask("org/listed", &caches)).expect("facts");
    assert_eq!((listed.source, listed.weights.floats), (PlanSource::Cache, 1500), "the index knows the sum");

    cache(hub.path(), "org/bare", &[("config.json", CONFIG.into())]);
    let bare = model_facts(&ask("org/bare", &caches)).expect("facts");
    assert_eq!((bare.source, bare.weights.estimated), (PlanSource::Table, true));
    assert_eq!(bare.weights.floats, bare.config.parameters().all());

    let first = ("model-00001-of-00004.safetensors", safetensors("a", 10));
    cache(hub.path(), "org/first", &[("config.json", CONFIG.into()), first]);
    assert!(
        model_facts(&ask("org/first", &caches)).expect("facts").weights.estimated,
        "one of four tells nothing"
    );
}

#[test]
fn the_index_chooses_among_files_and_names_no_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let index =
        r#"{"weight_map":{"a":"x.safetensors","b":"../../etc/passwd","c":"/etc/passwd","d":".hidden"}}"#;
    write(&dir.path().join("config.json"), CONFIG);
    write(&dir.path().join("model.safetensors.index.json"), index);
    write(&dir.path().join("x.safetensors"), safetensors("a", 11));
    write(&dir.path().join("y.safetensors"), safetensors("a", 22));
    let facts = model_facts(&ask(&dir.path().display().to_string(), &[])).expect("facts");
    assert_eq!(facts.weights.floats, 11);
}

#[test]
fn older_formats_count_by_their_size() {
    let dir = tempfile::tempdir().expect("a folder");
    write(&dir.path().join("config.json"), CONFIG);
    write(&dir.path().join("pytorch_model.bin"), vec![0; 2000]);
    write(&dir.path().join("training_args.bin"), vec![0; 99]);
    let facts = model_facts(&ask(&dir.path().display().to_string(), &[])).expect("facts");
    assert_eq!((facts.weights.floats, facts.weights.estimated), (1000, false));

    let file = dir.path().join("model-Q4_K_M.gguf");
    write(&file, vec![0; 777]);
    let facts = model_facts(&ask(&file.display().to_string(), &[])).expect("facts");
    assert_eq!((facts.source, facts.weights.fixed_bytes), (PlanSource::Folder, 777));
}

#[test]
fn what_is_quantized_keeps_its_types_and_a_tied_output_layer_counts_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().display().to_string();
    let json = r#"{"lm_head.weight":{"dtype":"F16","shape":[10],"data_offsets":[0,20]},
        "q":{"dtype":"I32","shape":[5],"data_offsets":[20,40]},"s":{"dtype":"F32","shape":[2],"data_offsets":[40,48]}}"#;
    let mut file = (json.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(json.as_bytes());
    file.resize(file.len() + 48, 0);
    write(&dir.path().join("model.safetensors"), &file);
    let with = |more: &str| {
        write(&dir.path().join("config.json"), CONFIG.replace('}', &format!(",{more}}}")));
        let weights = model_facts(&ask(&folder, &[])).expect(more).weights;
        (weights.floats, weights.fixed_bytes)
    };
    assert_eq!(with(r#""quantization_config":{"quant_method":"gptq"}"#), (10, 28));
    assert_eq!(with(r#""tie_word_embeddings":true"#), (2, 20), "32-bit floats are converted");
}

#[test]
fn a_model_that_is_not_here_is_known_or_says_where_it_was_looked_for() {
    let known = model_facts(&ask(QWEN, &[PathBuf::from("/nowhere")])).expect("facts");
    assert_eq!((known.source, known.weights.estimated), (PlanSource::Table, true));
    let error = model_facts(&ask("org/unheard-of", &[PathBuf::from("/nowhere")])).expect_err("nothing");
    assert!(error.to_string().contains("/nowhere/models--org--unheard-of"), "{error}");
    let by_args = Ask { args: vec!["--model".to_owned(), QWEN.to_owned()], ..ask("org/unheard-of", &[]) };
    assert_eq!(model_facts(&by_args).expect("facts").model, QWEN);
}

#[test]
fn names_do_not_climb_out_of_the_cache() {
    let hub = tempfile::tempdir().expect("a folder");
    cache(hub.path(), "org/model", &[("config.json", CONFIG.into())]);
    let caches = [hub.path().to_path_buf()];
    for name in [
        "",
        "..",
        "org/..",
        "../org/model",
        "a/b/c",
        "org/mo del",
        "org/\u{0}",
        "/",
        "org/",
        ".org/model",
        "s3://x/y",
    ] {
        assert!(
            matches!(model_facts(&ask(name, &caches)), Err(PlanError::NotHere { .. } | PlanError::Io { .. })),
            "{name:?}"
        );
    }
    for revision in ["", "..", "../../x", "/etc", "a//b", "."] {
        let ask = Ask { revision: Some(revision.to_owned()), ..ask("org/model", &caches) };
        assert!(matches!(model_facts(&ask), Err(PlanError::NotHere { .. })), "{revision:?}");
    }
}

#[test]
fn files_that_lie_say_which_file_and_why() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().display().to_string();
    write(&dir.path().join("config.json"), "not json");
    assert!(matches!(model_facts(&ask(&folder, &[])), Err(PlanError::Config { .. })));
    write(&dir.path().join("config.json"), CONFIG);
    let mut short = safetensors("a", 100);
    short.truncate(150);
    write(&dir.path().join("model.safetensors"), short);
    let error = model_facts(&ask(&folder, &[])).expect_err("short").to_string();
    assert!(error.contains("model.safetensors") && error.contains("not complete"), "{error}");
    write(&dir.path().join("model.safetensors.index.json"), "{");
    assert!(matches!(model_facts(&ask(&folder, &[])), Err(PlanError::Index { .. })));
}

#[test]
fn a_pipe_in_place_of_a_file_does_not_hold_us() {
    let dir = tempfile::tempdir().expect("a folder");
    std::os::unix::net::UnixListener::bind(dir.path().join("config.json")).expect("a socket");
    let error = model_facts(&ask(&dir.path().display().to_string(), &[])).expect_err("no file");
    assert!(matches!(error, PlanError::NotHere { .. }), "{error}");
}
