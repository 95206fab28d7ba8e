//! Fields in and out of arguments.

use super::list;
use crate::vllm::cli::{Typed, join, split};
use proptest::prelude::*;

fn typed(line: &str) -> Typed {
    split(&list(line)).0
}

#[test]
fn all_spellings_of_a_typed_flag_are_taken() {
    for line in [
        "--max-model-len 8192",
        "--max_model_len=8192",
        "--max-model-len=8192",
        "--max_model-len 8192",
        "--max-model 8192",
    ] {
        let (fields, rest) = split(&list(line));
        assert_eq!((fields.max_model_len.as_deref(), rest.len()), (Some("8192"), 0), "{line}");
    }
    for line in ["-tp 2", "-tp=2", "--tensor-parallel-size 2", "--tensor_parallel_size=2", "--tensor-par 2"] {
        assert_eq!(typed(line).tensor_parallel_size.as_deref(), Some("2"), "{line}");
    }
    for line in ["-q awq", "-q=awq", "-qawq", "--quantization=awq"] {
        assert_eq!(typed(line).quantization.as_deref(), Some("awq"), "{line}");
    }
    assert_eq!(typed("--max-model-len -1").max_model_len.as_deref(), Some("-1"));
}

#[test]
fn the_last_of_a_repeated_flag_wins() {
    assert_eq!(typed("--dtype half --dtype=bfloat16").dtype.as_deref(), Some("bfloat16"));
    assert_eq!(typed("--lora-modules a=b --lora-modules c=d e=f").lora_modules, ["c=d", "e=f"]);
}

#[test]
fn modules_come_with_their_switch_and_go_with_it() {
    let (fields, rest) =
        split(&list(r#"--enable-lora --lora-modules a=b '{"name": "c", "path": "d"}' --seed 1"#));
    assert_eq!(fields.lora_modules, ["a=b", r#"{"name": "c", "path": "d"}"#]);
    assert_eq!(rest, ["--seed", "1"]);
    assert_eq!(
        join(&fields, &rest),
        ["--enable-lora", "--lora-modules", "a=b", r#"{"name": "c", "path": "d"}"#, "--seed", "1"]
    );
    assert_eq!(split(&list("--enable-lora --max-loras 2")).1, ["--enable-lora", "--max-loras", "2"]);
    // Switched off in the end: that must stay so.
    let off = list("--lora-modules a=b --no-enable-lora");
    assert_eq!(split(&off).1, ["--no-enable-lora"]);
}

#[test]
fn what_is_no_typed_flag_stays_in_its_order() {
    let line = "x --seed 1 --dtype half --enforce-eager --speculative-config.method --dtype \
                --unknown a b -- --dtype float";
    let (fields, rest) = split(&list(line));
    assert_eq!(fields.dtype.as_deref(), Some("half"));
    assert_eq!(
        rest,
        list("x --seed 1 --enforce-eager --speculative-config.method --dtype --unknown a b -- --dtype float")
    );
    assert_eq!(split(&list("--dtype")).1, ["--dtype"]);
    assert_eq!(split(&list("--dtype --seed 1")).1, ["--dtype", "--seed", "1"]);
}

fn value() -> impl Strategy<Value = Option<String>> {
    prop::option::of(prop_oneof!["[a-z0-9]{0,6}", Just("-1".to_owned()), "-[a-z]{1,3}", "[ -~]{0,6}"])
}

pub fn fields() -> impl Strategy<Value = Typed> {
    let module = prop_oneof!["[a-z]{1,4}=[a-z/]{1,6}", Just(r#"{"name": "a", "path": "b c"}"#.to_owned())];
    (value(), value(), value(), value(), prop::collection::vec(module, 0..3)).prop_map(|(a, b, c, d, e)| {
        Typed { max_model_len: a, quantization: b, tensor_parallel_size: c, dtype: d, lora_modules: e }
    })
}

/// Arguments that have no field.
pub fn rest() -> impl Strategy<Value = Vec<String>> {
    let piece = prop_oneof![
        Just("--enforce-eager"),
        Just("--seed 1"),
        Just("--seed=-1"),
        Just("--no-enable-prefix-caching"),
        Just("--speculative-config '{\"method\": \"ngram\"}'"),
        Just("--speculative-config.method ngram"),
        Just("--allowed-media-domains a b c"),
        Just("--max_num_seqs 16"),
        Just("-O3"),
        Just("-cc.mode=3"),
        Just("--chat-template '- {{ x }}'"),
        Just("--kv-cache-dtype fp8"),
        Just("--swap-space 4"),
        Just("--trust-remote-code"),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.into_iter().flat_map(super::list).collect())
}

fn soup() -> impl Strategy<Value = Vec<String>> {
    let word = prop_oneof![
        Just("--dtype".to_owned()),
        Just("--dtype=half".to_owned()),
        Just("--lora-modules".to_owned()),
        Just("--enable-lora".to_owned()),
        Just("--no-enable-lora".to_owned()),
        Just("-tp".to_owned()),
        Just("--max_model_len".to_owned()),
        Just("--quant".to_owned()),
        Just("-q4".to_owned()),
        Just("--served-model-name".to_owned()),
        Just("--seed".to_owned()),
        Just("--a.b".to_owned()),
        Just("-cc.x".to_owned()),
        Just("--".to_owned()),
        Just("-1".to_owned()),
        Just("a=b".to_owned()),
        "[ -~]{0,5}",
    ];
    prop::collection::vec(word, 0..10)
}

proptest! {
    #[test]
    fn fields_put_in_come_out_again(fields in fields(), rest in rest()) {
        prop_assert_eq!(split(&join(&fields, &rest)), (fields, rest));
    }

    #[test]
    fn taking_out_and_putting_in_again_changes_nothing_more(args in soup()) {
        let (fields, rest) = split(&args);
        prop_assert_eq!(split(&join(&fields, &rest)), (fields, rest));
    }

    #[test]
    fn whole_arguments_keep_their_meaning(a in fields(), r in rest(), b in fields(), s in rest()) {
        // The same flags twice, mixed with others: the last ones count, the others keep their order.
        let args = [join(&a, &r), join(&b, &s)].concat();
        let (got, others) = split(&args);
        prop_assert_eq!(others, [r, s].concat());
        prop_assert_eq!(got.dtype, b.dtype.or(a.dtype));
        prop_assert_eq!(got.max_model_len, b.max_model_len.or(a.max_model_len));
        let modules = if b.lora_modules.is_empty() { a.lora_modules } else { b.lora_modules };
        prop_assert_eq!(got.lora_modules, modules);
    }
}
