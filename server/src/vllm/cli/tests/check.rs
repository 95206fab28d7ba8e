//! What is wrong with arguments, and what is only noted.

use super::list;
use crate::vllm::cli::{Field, Note, Wrong, check, choices};

fn wrong(line: &str) -> Vec<Wrong> {
    check(&list(line)).wrong
}

fn notes(line: &str) -> Vec<Note> {
    check(&list(line)).notes.into_iter().map(|n| n.note).collect()
}

#[test]
fn ordinary_arguments_are_fine() {
    for line in [
        "",
        "--enforce-eager --max-num-seqs 16 --no-enable-prefix-caching --max-num-batched 4k",
        "--speculative-config '{\"method\": \"ngram\"}' --speculative-config.tokens 3 -cc.mode=3 -O3 -O 2",
        "--seed -1 --chat-template '- {{ x }}' --kv_cache_dtype fp8 -pp 2 --allowed-media-domains a b",
        "--hf-token --enable-lora --tool-call-parser hermes --enable-auto-tool-choice",
    ] {
        assert_eq!(check(&list(line)), crate::vllm::cli::Checked::default(), "{line}");
    }
}

#[test]
fn an_unknown_flag_comes_with_its_neighbour() {
    let unknown = |flag: &str, nearest| vec![Wrong::Unknown { flag: flag.to_owned(), nearest }];
    assert_eq!(wrong("--max-num-seq-s 16"), unknown("--max-num-seq-s", Some("--max-num-seqs")));
    assert_eq!(wrong("--enforce_eagre"), unknown("--enforce_eagre", Some("--enforce-eager")));
    assert_eq!(wrong("--no-such-thing=1"), unknown("--no-such-thing", None));
    assert_eq!(wrong("--tp 2"), unknown("--tp", Some("--tensor-parallel-size")));
    assert!(
        matches!(wrong("--enable-l").as_slice(), [Wrong::Ambiguous { could, .. }] if could.contains(&"--enable-lora"))
    );
    assert_eq!(wrong("--help"), [Wrong::OnlyPrints { flag: "--help".to_owned() }]);
}

#[test]
fn flags_of_a_field_are_told_with_the_field() {
    for (line, field) in [
        ("--model m", Field::Model),
        ("--served-model-name=x", Field::ModelName),
        ("--host 0.0.0.0", Field::Address),
        ("--port=1", Field::Address),
        ("--gpu_memory_utilization 0.9", Field::Share),
        ("--device-memory-utilization 0.9", Field::Share),
        ("--api-key k", Field::ApiKey),
        ("--hf-token k", Field::HfToken),
        ("--max-model-len 1", Field::MaxModelLen),
        ("-q awq", Field::Quantization),
        ("-tp 2", Field::TensorParallelSize),
        ("--dtype half", Field::Dtype),
        ("--lora-modules a=b", Field::LoraModules),
    ] {
        assert!(matches!(wrong(line).as_slice(), [Wrong::Owned { field: f, .. }] if *f == field), "{line}");
    }
    assert_eq!(notes("--served-model-name a b"), [Note::SeveralNames]);
}

#[test]
fn values_too_many_or_too_few_are_told() {
    assert_eq!(wrong("--seed"), [Wrong::NoValue { flag: "--seed".to_owned() }]);
    assert_eq!(wrong("--seed --enforce-eager"), [Wrong::NoValue { flag: "--seed".to_owned() }]);
    assert_eq!(wrong("--enforce-eager=true"), [Wrong::ValueNotTaken { flag: "--enforce-eager".to_owned() }]);
    assert_eq!(wrong("--enforce-eager true"), [Wrong::Stray { word: "true".to_owned() }]);
    assert_eq!(wrong("m --seed 1 2"), ["m", "2"].map(|w| Wrong::Stray { word: w.to_owned() }));
    assert_eq!(wrong("-- --seed"), [Wrong::Stray { word: "--seed".to_owned() }]);
}

#[test]
fn what_reaches_further_is_noted_and_not_refused() {
    for (line, note) in [
        ("--trust-remote-code", Note::LoadsCode),
        ("--middleware a.b", Note::LoadsCode),
        ("--allowed-local-media-path /x", Note::OpensFiles),
        ("--trust-request-chat-template", Note::TrustsRequests),
        ("--root-path /v", Note::MovesApi),
        ("--config f.yaml", Note::ReadsSettings),
        ("--enable-log-requests", Note::LogsContents),
        ("--swap-space 4", Note::Outdated),
        ("--disable-log-requests", Note::Outdated),
        ("--kv-cache-dtype fp99", Note::UnusualValue),
    ] {
        let checked = check(&list(line));
        assert_eq!((checked.wrong.len(), notes(line)), (0, vec![note]), "{line}");
    }
    assert_eq!(notes("--no-trust-remote-code"), []);
}

#[test]
fn choices_are_those_of_vllm() {
    assert_eq!(choices("--dtype"), ["auto", "bfloat16", "float", "float16", "float32", "half"]);
    assert!(choices("-q").contains(&"awq") && choices("--quantization").contains(&"fp8"));
    assert!(choices("--seed").is_empty() && choices("--nothing").is_empty());
}
