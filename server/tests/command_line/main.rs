//! The settings form against an engine that runs as a process: whatever is typed into its fields, alone or together, what would
//! be started has no argument that could run code, name files, or open the engine to others.
//!
//! `oracle` is a second reader of command lines and knows nothing of the form's own.

#![expect(clippy::expect_used, reason = "a test fails by panicking, in its helpers, too")]

mod oracle;

use oracle::dangers;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use server::settings::fields::{Values, Wanted, Wrong, candidate, values};
use server::settings::{Flags, ServiceConfig, Sources};
use server::vllm::launch::launch;
use std::collections::BTreeMap;
use std::path::PathBuf;

const TABLE: &str = include_str!("../../src/vllm/cli/flags.tsv");
/// What the dashboard adds itself.
const OWN: [&str; 6] = [
    "--model",
    "--served-model-name",
    "--gpu-memory-utilization",
    "--host",
    "--port",
    "--disable-access-log-for-endpoints",
];

struct Place {
    dir: tempfile::TempDir,
    sources: Sources,
    now: ServiceConfig,
}

impl Place {
    fn new(args: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir_all(dir.path().join("let-in/model")).expect("made");
        let file = format!(
            "[[service]]\nname = \"vllm\"\nruntime = \"process\"\nmodel = \"org/model\"\nargs = [{args}]\n"
        );
        std::fs::write(dir.path().join("services.toml"), file).expect("written");
        let state = dir.path().display().to_string();
        let env = BTreeMap::from([("SERVICES_STATE_DIR".to_owned(), state)]);
        let sources = Sources { flags: Flags::default(), env };
        let now = sources.load().expect("settings").services.remove(0);
        Self { dir, sources, now }
    }

    fn let_in(&self) -> String {
        self.dir.path().join("let-in/model").display().to_string()
    }

    fn save(&self, changed: &[(&str, &str)], contained: bool) -> Result<ServiceConfig, Vec<Wrong>> {
        let mut wanted: Values = values(&self.now);
        for (name, text) in changed {
            match *text {
                "" => drop(wanted.remove(*name)),
                text => drop(wanted.insert((*name).to_owned(), text.to_owned())),
            }
        }
        let folders: [PathBuf; 1] = [self.dir.path().join("let-in")];
        let path = self.dir.path().join("services.toml");
        let wanted = Wanted { values: wanted, ..Wanted::default() };
        candidate(&self.sources, &path, &self.now, &folders, contained, &wanted).map(|c| c.service)
    }

    fn is_process(&self, changed: &[(&str, &str)]) -> Result<(), Vec<Wrong>> {
        self.save(changed, false).map(drop)
    }
}

/// What the process would be started with.
fn started(config: &ServiceConfig) -> Vec<String> {
    let launch = launch(config, app::model::RuntimeKind::Process, Some("0.32.0"));
    launch.args.into_iter().chain(launch.extras).skip(1).collect()
}

fn found(config: &ServiceConfig) -> Vec<String> {
    let mut found = dangers(&started(config), TABLE, &OWN);
    // A branch may be named so.
    found.retain(|danger| !(danger.contains("revision: ") && danger.ends_with("is a Python module path")));
    found
}

#[test]
fn no_field_smuggles_a_flag() {
    let place = Place::new("");
    for smuggled in [
        "--host=0.0.0.0",
        "--tool-parser-plugin=../../x.py",
        "--middleware=os.system",
        "--config=/tmp/x.yaml",
        "--worker-cls=a.b.C",
        "--port=22",
        "--api-key=x",
        "--trust-remote-code",
        "--seed=1",
        "-q=awq",
        "--",
    ] {
        for field in [
            "--lora-modules",
            "--quantization",
            "--dtype",
            "--max-model-len",
            "VLLM_MODEL_NAME",
            "VLLM_MODEL",
        ] {
            // A served name is one word, whatever is in it.
            let beside =
                if field == "VLLM_MODEL_NAME" { smuggled.to_owned() } else { format!("a=o/r {smuggled}") };
            for text in
                [smuggled.to_owned(), beside.clone(), beside.replace(smuggled, &format!("'{smuggled}'"))]
            {
                if field == "VLLM_MODEL_NAME" && text.starts_with('\'') {
                    continue;
                }
                assert!(place.is_process(&[(field, &text)]).is_err(), "{field}: {text}");
                assert!(place.save(&[(field, &text)], true).is_err(), "{field}: {text}, of a container");
            }
        }
    }
    assert!(place.is_process(&[("--lora-modules", "a=o/r b=o/s")]).is_ok());
    let module = format!("{{\"name\":\"a\",\"path\":\"{}\"}}", place.let_in());
    assert!(place.is_process(&[("--lora-modules", &format!("'{module}'"))]).is_ok());
}

#[test]
fn what_could_run_code_or_name_files_is_refused_of_a_process_and_named() {
    let place = Place::new("");
    for argument in [
        "--log-config-file config.json",
        "--log-config-file=/etc/x",
        "--log_config_file=x",
        "--log-conf x",
        "--logging-config.handlers.x.class os.system",
        "--logging-config '{\"version\":1}'",
        "--kv-transfer-config '{\"kv_connector\":\"x\"}'",
        "--kv-transfer-config.kv_connector_module_path=a.b",
        "--ec-transfer-config '{}'",
        "--model-class-overrides '{}'",
        "--distributed-executor-backend a.b.C",
        "--spec-method custom_class",
        "--speculative-config '{\"method\":\"custom_class\"}'",
        "-sc.method=custom_class",
        "--tokenizer /etc",
        "--tokenizer ../x",
        "--tokenizer=~/x",
        "--chat-template /etc/passwd",
        "--chat-template x.jinja",
        "--hf-config-path ../x",
        "--generation-config /etc",
        "--ssl-keyfile k",
        "--ssl-certfile c",
        "--ssl-ca-certs c",
        "--download-dir /tmp",
        "--mm-encoder-fp8-scale-save-path x",
        "--profiler-config '{\"torch_profiler_dir\":\"/tmp\"}'",
        "--compilation-config '{\"cache_dir\":\"/tmp\"}'",
        "-cc.debug_dump_path=/tmp",
        "--hf-overrides '{\"auto_map\":{}}'",
        "--load-format pt",
        "--tokenizer-mode custom",
        "--uds /tmp/x",
        "--root-path /x",
        "--grpc",
        "--data-parallel-address 10.0.0.1",
        "--otlp-traces-endpoint http://x",
        "--tool-server x",
        "--allowed-local-media-path /",
        "--enable-prompt-embeds",
        "--trust-remote-code",
        "--override-generation-config '{\"a\":\"/etc/passwd\"}'",
        "--default-chat-template-kwargs '{\"a\":[\"x\"]}'",
        "--default-chat-template-kwargs.a.b /x",
        "--served-model-name a ../b",
        "--revision ../../x",
        "--revision -x",
        "--seed 1 --seed /etc",
        "--enforce-eag",
        "--no-such-flag",
    ] {
        let wrong = place.is_process(&[("args", argument)]).expect_err(argument);
        let name = argument.split([' ', '=']).next().unwrap_or_default();
        assert!(format!("{wrong:?}").contains(name.trim_end_matches("-x")), "{argument}: {wrong:?}");
    }
    for argument in [
        "--seed 8 --enforce-eager",
        "--max-num-seqs=16 --enable-prefix-caching --no-enable-chunked-prefill",
        "--enable-auto-tool-choice --tool-call-parser hermes --reasoning-parser qwen3",
        "--limit-mm-per-prompt '{\"image\": 2, \"video\": {\"count\": 1}}'",
        "--limit-mm-per-prompt.image 2",
        "--default-chat-template-kwargs '{\"enable_thinking\": false}'",
        "--tokenizer org/tokenizer --revision v1.0",
        "-tp 2 -O3 --kv-cache-dtype fp8 --swap-space 4",
        "--load-format safetensors --generation-config vllm",
        "--spec-method ngram --spec-tokens 4",
        "--max-num-batched-tokens 8k",
    ] {
        // -tp has a field of its own.
        let argument = argument.replace("-tp 2 ", "");
        let saved =
            place.save(&[("args", &argument)], false).unwrap_or_else(|wrong| panic!("{argument}: {wrong:?}"));
        assert_eq!(found(&saved), [""; 0], "{argument}");
    }
    let tokenizer = format!("--tokenizer {}", place.let_in());
    assert!(place.is_process(&[("args", &tokenizer)]).is_ok());
}

#[test]
fn what_the_owner_wrote_stays_and_only_as_it_is() {
    let place = Place::new(
        r#""--trust-remote-code", "--hf-overrides", "{\"a\":1}", "--chat-template", "/x.jinja", "--seed", "7", "--middleware=a.b", "--middleware", "c.d", "--host", "0.0.0.0""#,
    );
    let rest = values(&place.now)["args"].clone();
    let with = |change: &dyn Fn(&str) -> String| place.is_process(&[("args", &change(&rest))]);
    assert_eq!(with(&|rest| rest.replace("--seed 7", "--seed 8")), Ok(()));
    assert_eq!(with(&|rest| rest.replace("--chat-template /x.jinja ", "")), Ok(()), "it may go");
    for (what, change) in [
        ("another value", ("/x.jinja", "/y.jinja")),
        ("another value", (r#"'{"a":1}'"#, r#"'{"a":2}'"#)),
        ("another value", ("0.0.0.0", "0.0.0.1")),
        (
            "another order, of which the last counts",
            ("--middleware=a.b --middleware c.d", "--middleware c.d --middleware=a.b"),
        ),
        ("one more", ("--seed 7", "--seed 7 --middleware e.f")),
        ("one more of the same", ("--seed 7", "--seed 7 --chat-template /x.jinja")),
        ("a value for what had none", ("--seed 7", "--seed 7 --hf-overrides")),
    ] {
        assert!(rest.contains(change.0), "{rest}");
        assert!(with(&|rest| rest.replace(change.0, change.1)).is_err(), "{what}: {change:?}");
    }
}

#[test]
fn a_model_whose_code_is_trusted_stays_that_model() {
    let place = Place::new(r#""--trust-remote-code", "--revision", "abc", "--seed", "7""#);
    for contained in [false, true] {
        for changed in [
            &[("VLLM_MODEL", "evil/model")][..],
            &[("args", "--trust-remote-code --seed 7")],
            &[("args", "--trust-remote-code --revision def --seed 7")],
            &[("args", "--trust-remote-code --revision abc --tokenizer evil/x")],
            &[("args", "--trust-remote-code --revision abc --code-revision x")],
            &[("HF_HOME", &place.let_in())],
        ] {
            let wrong = place.save(changed, contained).expect_err("trusted");
            assert!(wrong.iter().any(|w| matches!(w, Wrong::Trusted { .. })), "{changed:?}: {wrong:?}");
        }
        assert!(place.save(&[("args", "--trust-remote-code --revision abc --seed 8")], contained).is_ok());
        let without = [("VLLM_MODEL", "other/model"), ("args", "--revision abc")];
        assert!(place.save(&without, contained).is_ok(), "its code is not run any more");
    }
}

#[test]
fn dangerous_values_that_stand_in_a_containers_settings_are_not_changed_from_the_page() {
    let place = Place::new(r#""--tool-parser-plugin", "/a.py", "--allowed-local-media-path=/m""#);
    for rest in [
        "--tool-parser-plugin /b.py --allowed-local-media-path=/m",
        "--tool-parser-plugin=/a.py --allowed-local-media-path=/",
        "--tool_parser_plugin /a.py2 --allowed-local-media-path=/m",
    ] {
        let wrong = place.save(&[("args", rest)], true).expect_err(rest);
        assert!(wrong.iter().any(|w| matches!(w, Wrong::Standing { .. })), "{rest}: {wrong:?}");
    }
    assert!(place.save(&[("args", "--tool-parser-plugin /a.py")], true).is_ok());
}

#[test]
fn a_model_is_a_repository_or_a_folder_that_is_let_in() {
    let place = Place::new("");
    for contained in [false, true] {
        for text in [
            "../../../../root/x",
            "~/x",
            "./x",
            "x/../y",
            "/etc",
            "a/b/c",
            "s3://b/x",
            "-x",
            "file:/x",
            "a b",
        ] {
            assert!(place.save(&[("VLLM_MODEL", text)], contained).is_err(), "{text}");
            let module = format!("'a={text}'");
            assert!(place.save(&[("--lora-modules", &module)], contained).is_err(), "{module}");
        }
        for text in ["org/model-2", "gpt2", "unsloth/Qwen3-GGUF:Q4_K_M", &place.let_in()] {
            assert!(place.save(&[("VLLM_MODEL", text)], contained).is_ok(), "{text}");
            assert!(place.save(&[("--lora-modules", &format!("a={text}"))], contained).is_ok(), "{text}");
        }
    }
}

/// Pieces of what somebody could type who wants out of a field.
fn piece() -> impl Strategy<Value = String> {
    let names: Vec<String> = TABLE
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| line.split('\t').next().unwrap_or_default().split(',').map(str::to_owned))
        .collect();
    let values = [
        "1",
        "8k",
        "auto",
        "true",
        "/etc/passwd",
        "../x",
        "~/x",
        "a.b.C",
        "org/x",
        "a=org/x",
        "a=../x",
        "x",
        "{}",
        r#"{"a":1}"#,
        r#"{"a":{"b":"/x"}}"#,
        r#"{"method":"custom_class"}"#,
        r#"{"name":"a","path":"/x"}"#,
        "http://h",
        "0.0.0.0",
        "-1",
        "-x",
        "",
        "custom_class",
        "hermes",
        "fp8",
    ];
    let flag = (prop::sample::select(names), 0..12_usize, any::<bool>(), 0..5_u8).prop_map(
        |(name, cut, low, dots)| {
            let name =
                if cut < 8 { name } else { name.chars().take(name.len().saturating_sub(cut - 7)).collect() };
            let name = if low { name.replacen('-', "_", 9).replacen("__", "--", 1) } else { name };
            if dots == 0 { format!("{name}.key.inner") } else { name }
        },
    );
    let value = prop::sample::select(values.to_vec()).prop_map(str::to_owned);
    prop_oneof![
        4 => flag.clone(),
        4 => value.clone(),
        2 => (flag, value).prop_map(|(flag, value)| format!("{flag}={value}")),
        1 => "[ -~]{0,12}",
    ]
}

fn text() -> impl Strategy<Value = String> {
    let quoted = (piece(), 0..4_u8).prop_map(|(piece, how)| match how {
        0 => format!("'{}'", piece.replace('\'', "")),
        1 => format!("\"{}\"", piece.replace(['"', '$', '`', '\\'], "")),
        _ => piece,
    });
    prop::collection::vec(quoted, 1..5).prop_map(|pieces| pieces.join(" "))
}

fn further() -> ProptestConfig {
    let fixed = ProptestConfig { cases: 4000, rng_seed: RngSeed::Fixed(14), ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default() } else { fixed }
}

proptest! {
    // The same cases each time, so that a red run means a change; PROPTEST_CASES and PROPTEST_RNG_SEED look further.
    #![proptest_config(further())]

    #[test]
    fn no_text_in_any_field_alone_or_together_becomes_a_dangerous_command_line(
        texts in prop::collection::vec((0..FIELDS.len(), text()), 1..4)
    ) {
        thread_local! { static PLACE: Place = Place::new(""); }
        PLACE.with(|place| {
            let changed: Vec<(&str, &str)> = texts.iter().map(|(at, text)| (FIELDS[*at], text.as_str())).collect();
            if let Ok(saved) = place.save(&changed, false) {
                prop_assert_eq!(found(&saved), [""; 0], "{:?}", started(&saved));
            }
            Ok(())
        })?;
    }

    #[test]
    fn nothing_dangerous_is_added_to_what_the_owner_wrote(text in text(), keeps in any::<bool>()) {
        thread_local! { static PLACE: Place = Place::new(r#""--middleware", "a.b", "--tokenizer", "/own", "--hf-overrides", "{\"a\":1}""#); }
        PLACE.with(|place| {
            let standing = if keeps { "--middleware a.b --tokenizer /own --hf-overrides '{\"a\":1}' " } else { "" };
            if let Ok(saved) = place.save(&[("args", &format!("{standing}{text}"))], false) {
                let before = found(&place.now);
                let new: Vec<_> = found(&saved).into_iter().filter(|danger| !before.contains(danger)).collect();
                prop_assert_eq!(new, [""; 0], "{:?}", started(&saved));
            }
            Ok(())
        })?;
    }
}

/// The fields whose texts become words of the command line.
const FIELDS: [&str; 10] = [
    "VLLM_MODEL",
    "VLLM_MODEL_NAME",
    "GPU_MEMORY_UTILIZATION",
    "VLLM_API_URL",
    "--max-model-len",
    "--quantization",
    "--tensor-parallel-size",
    "--dtype",
    "--lora-modules",
    "args",
];
