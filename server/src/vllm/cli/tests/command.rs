//! Commands that we write.

use super::typed::{fields, rest};
use crate::vllm::cli::{Shown, Typed, Why, docker_run, join, lines, paste, quote, vllm_serve};
use proptest::prelude::*;

fn shown() -> Shown {
    Shown {
        container: "vllm".into(),
        image: "vllm/vllm-openai:latest".into(),
        args: super::list(
            "--model org/m --served-model-name x --gpu-memory-utilization 0.5 --host 0.0.0.0 --port 8000",
        ),
        env_names: vec!["HF_TOKEN".into()],
        gpus: vec!["0".into(), "1".into()],
        host_port: 11434,
        inner_port: 8000,
        binds: vec!["/home/u/.cache/huggingface:/root/.cache/huggingface".into()],
        shm_bytes: 16 << 30,
    }
}

#[test]
fn the_container_is_written_as_it_is_created_and_without_secrets() {
    assert_eq!(
        quote(&docker_run(&shown())),
        "docker run -d --name vllm --gpus '\"device=0,1\"' -p 127.0.0.1:11434:8000 --shm-size 17179869184 \
         -v /home/u/.cache/huggingface:/root/.cache/huggingface -e HF_TOKEN vllm/vllm-openai:latest --model org/m \
         --served-model-name x --gpu-memory-utilization 0.5 --host 0.0.0.0 --port 8000"
    );
}

#[test]
fn the_process_is_written_with_its_gpus() {
    let process = Shown { args: super::list("serve --model org/m --port 9000"), ..shown() };
    assert_eq!(
        quote(&vllm_serve(&process)),
        "env CUDA_VISIBLE_DEVICES=0,1 vllm serve --model org/m --port 9000"
    );
    let all = Shown { gpus: vec!["all".into()], args: super::list("--model m"), ..process };
    assert_eq!(quote(&vllm_serve(&all)), "vllm serve --model m");
}

#[test]
fn our_own_argument_for_a_quiet_log_is_not_taken_for_the_owner_s() {
    let mut quiet = shown();
    quiet.args.extend(super::list("--disable-access-log-for-endpoints /health,/metrics,/ping,/version"));
    let got = paste(&quote(&docker_run(&quiet))).expect("reads");
    assert!(got.rest.is_empty());
    assert!(
        got.left_out.iter().all(|l| matches!(l.why, Why::Handled | Why::SharedMemory | Why::ValueElsewhere))
    );
}

fn gpus() -> impl Strategy<Value = Vec<String>> {
    prop_oneof![
        Just(vec!["all".to_owned()]),
        Just(Vec::new()),
        prop::collection::btree_set(0..16_u8, 1..4).prop_map(|s| s.iter().map(u8::to_string).collect()),
        Just(vec!["GPU-0a-1b".to_owned(), "GPU-2c".to_owned()]),
    ]
}

proptest! {
    #[test]
    fn what_we_write_reads_back(
        (container, image) in ("[a-zA-Z0-9][a-zA-Z0-9_.-]{0,8}", "[a-z0-9]{1,5}/[a-z0-9]{1,5}(:[a-z0-9.]{1,5})?"),
        (model, name) in ("([a-z]{1,4}/)?[a-zA-Z0-9.]{1,8}|/m/[a-z]{1,4}", "[a-z][a-z0-9:]{0,6}"),
        (host_port, inner_port) in (1..=u16::MAX, 1..=u16::MAX),
        share in "0\\.[1-9]",
        (gpus, fields, rest) in (gpus(), fields(), rest()),
        process in any::<bool>(),
        pretty in any::<bool>(),
    ) {
        let port = if process { host_port } else { inner_port }.to_string();
        let mut args: Vec<String> = [
            "--model", &model, "--served-model-name", &name, "--gpu-memory-utilization", &share,
            "--host", if process { "127.0.0.1" } else { "0.0.0.0" }, "--port", &port,
        ].map(str::to_owned).to_vec();
        args.extend(join(&fields, &rest));
        let binds = vec!["/c/.cache/vllm:/root/.cache/vllm".to_owned(), "/m:/m:ro".to_owned()];
        let shown = Shown {
            container: container.clone(), image: image.clone(), args, env_names: vec!["HF_TOKEN".to_owned()],
            gpus: gpus.clone(), host_port, inner_port, binds, shm_bytes: 1 << 30,
        };
        let words = if process { vllm_serve(&shown) } else { docker_run(&shown) };
        let text = if pretty { lines(&words) } else { quote(&words) };
        let got = paste(&text).expect("reads");
        prop_assert_eq!(got.model, Some(model));
        prop_assert_eq!(got.model_name, Some(name));
        prop_assert_eq!(got.host_port, Some(host_port));
        prop_assert_eq!(got.share, Some(share));
        prop_assert_eq!(got.typed, fields);
        prop_assert_eq!(got.rest, rest);
        prop_assert_eq!(got.in_container, !process);
        let all = gpus == ["all"];
        let told = if gpus.is_empty() { "none".to_owned() } else { gpus.join(",") };
        prop_assert_eq!(got.gpus, (!(process && all)).then_some(told));
        if !process {
            prop_assert_eq!(got.image, Some(image));
            prop_assert_eq!(got.container, Some(container));
        }
    }
}

#[test]
fn no_fields_add_nothing() {
    assert_eq!(join(&Typed::default(), &["--seed".to_owned()]), ["--seed"]);
}
