//! Anything at all: nothing panics, nothing takes long, nothing is told that should not be.

use crate::settings::Gpus;
use crate::vllm::cli::{check, join, lines, paste, quote, split, words};
use proptest::prelude::*;
use std::time::{Duration, Instant};

const FRAGMENTS: [&str; 76] = [
    "docker",
    "podman",
    "run",
    "container",
    "sudo",
    "-E",
    "env",
    "A=b",
    "HF_TOKEN=hf_secretsecretsecretsecret",
    "CUDA_VISIBLE_DEVICES=0,1",
    "vllm",
    "serve",
    "python3",
    "-m",
    "vllm.entrypoints.openai.api_server",
    "uv",
    "bash",
    "-c",
    "'vllm serve m'",
    "-p",
    "8000:8000",
    "-p127.0.0.1:9000:8000",
    "--publish=1:2:3",
    "--gpus",
    "all",
    "'\"device=0,1\"'",
    "device=GPU-1",
    "2",
    "-e",
    "-it",
    "-d",
    "--rm",
    "--name",
    "x",
    "-v",
    "~/a:/b",
    "$HOME/c:/d:ro",
    "/m:/n",
    "--ipc=host",
    "--shm-size",
    "10g",
    "--runtime",
    "nvidia",
    "--entrypoint",
    "--network",
    "host",
    "--privileged",
    "--restart",
    "--mount",
    "type=bind,source=/a,target=/b",
    "vllm/vllm-openai:latest",
    "--model",
    "org/m",
    "/n/m",
    "--served-model-name",
    "--port",
    "65536",
    "--dtype=half",
    "-tp",
    "-q",
    "--max-model-len",
    "-1",
    "--lora-modules",
    "a=b",
    "'{\"name\": \"x\"}'",
    "--enable-lora",
    "--no-enable-lora",
    "--api-key",
    "sk-secretsecretsecret",
    "--speculative-config.x",
    "--",
    "-",
    "--seed",
    "\\\n",
    "--unknown",
    "-eHF_TOKEN=é",
];

fn everything(text: &str) {
    if let Ok(list) = words(text) {
        let (typed, rest) = split(&list);
        let _ = check(&rest);
        let _ = join(&typed, &rest);
        for written in [quote(&list), lines(&list)] {
            assert!(written.len() > 65_536 || words(&written).as_ref() == Ok(&list));
        }
    }
    if let Ok(got) = paste(text) {
        assert!(got.gpus.is_none_or(|g| Gpus::parse(&g).is_ok()));
        assert!(got.left_out.iter().all(|l| l.what.chars().count() <= 120));
    }
}

#[test]
fn long_and_mean_texts_are_read_quickly() {
    for text in [
        "--a ".repeat(16_000),
        "\\ ".repeat(32_000),
        "'' ".repeat(21_000),
        "-e A=b ".repeat(9_000),
        "docker run ".to_owned() + &"-e A=b ".repeat(9_000),
        "docker run ".to_owned() + &"-v /a:/b ".repeat(7_000),
        "vllm serve ".to_owned() + &"--lora-modules a ".repeat(3_800),
        "docker run ".to_owned() + &(0..7_000).map(|i| format!("-e A{i} ")).collect::<String>(),
        "(".repeat(60_000),
        format!("$({}", "(".repeat(60_000)),
        format!("--{}", "a".repeat(60_000)),
        format!("-{}", "d".repeat(60_000)),
        format!("docker run -{} i", "d".repeat(60_000)),
        "-".repeat(65_000),
    ] {
        let begun = Instant::now();
        everything(&text);
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", &text[..20]);
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        everything(&text);
    }

    #[test]
    fn any_line_of_plain_signs_is_read_or_refused(text in "[ -~\n]{0,80}") {
        everything(&text);
    }

    #[test]
    fn any_mixture_of_real_parts_is_read_or_refused(
        parts in prop::collection::vec(0..FRAGMENTS.len(), 0..24),
        noise in prop::collection::vec("[ -~é\n]{0,3}", 0..3),
    ) {
        let mut text: Vec<&str> = parts.iter().map(|i| FRAGMENTS[*i]).collect();
        text.extend(noise.iter().map(String::as_str));
        everything(&text.join(" "));
    }

    #[test]
    fn a_secret_in_its_place_is_told_nowhere_else(
        parts in prop::collection::vec(0..FRAGMENTS.len(), 0..12),
        place in 0..4_usize,
    ) {
        let begin = [
            "docker run -e HF_TOKEN=qwertzuiop --env=VLLM_API_KEY=qwertzuiop -e MY_PASSWORD=qwertzuiop i",
            "HF_TOKEN=qwertzuiop vllm serve m --api-key qwertzuiop",
            "HUGGING_FACE_HUB_TOKEN=qwertzuiop X=qwertzuiop --hf-token=qwertzuiop --api-key=qwertzuiop",
            "docker run --label a=qwertzuiop --env X=qwertzuiop i --hf_token qwertzuiop",
        ][place];
        let text: Vec<&str> = parts.iter().map(|i| FRAGMENTS[*i]).filter(|f| *f != "--").collect();
        let text = format!("{begin} {}", text.join(" "));
        let told = match paste(&text) {
            Ok(got) => format!("{got:?}"),
            Err(error) => format!("{error:?} {error}"),
        };
        prop_assert!(!told.contains("qwertz"), "{}", told);
    }
}
