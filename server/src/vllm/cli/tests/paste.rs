//! Commands as people paste them.

use crate::vllm::cli::{PasteError, Pasted, QuoteError, Why, paste};

fn read(text: &str) -> Pasted {
    paste(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn why(pasted: &Pasted, what: &str) -> Option<Why> {
    pasted.left_out.iter().find(|l| l.what.contains(what)).map(|l| l.why)
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn the_command_of_vllm_s_own_pages_is_understood() {
    let got = read(
        "docker run --runtime nvidia --gpus all \\
            -v ~/.cache/huggingface:/root/.cache/huggingface \\
            --env \"HF_TOKEN=$HF_TOKEN\" \\
            -p 8000:8000 \\
            --ipc=host \\
            vllm/vllm-openai:latest \\
            --model Qwen/Qwen3-0.6B",
    );
    assert_eq!(
        (got.image.clone(), got.model.clone()),
        (some("vllm/vllm-openai:latest"), some("Qwen/Qwen3-0.6B"))
    );
    assert_eq!((got.gpus.clone(), got.host_port, got.hf_token.clone()), (some("all"), Some(8000), None));
    assert!(got.rest.is_empty() && got.in_container);
    for (what, reason) in [
        ("--runtime", Why::Handled),
        ("huggingface", Why::Handled),
        ("--ipc", Why::Handled),
        ("HF_TOKEN", Why::ValueElsewhere),
        ("8000:8000", Why::LoopbackOnly),
    ] {
        assert_eq!(why(&got, what), Some(reason), "{what}");
    }
}

#[test]
fn options_of_docker_are_read_in_each_spelling() {
    let got = read(
        "sudo -E docker container run -itd --rm --name=llm -p127.0.0.1:9000:8000 -eHF_TOKEN=hf_x --env VLLM_API_KEY=k \
         --gpus '\"device=0,1\"' --shm-size 10g --privileged --network host --restart=always -v /data:/data:ro \
         -v /var/run/docker.sock:/var/run/docker.sock --ulimit memlock=-1 --entrypoint vllm -e SECRET=s3cret \
         --odd x -w /app registry.example:5000/vllm:v1 serve org/m --host 0.0.0.0 -tp 2 --seed 1",
    );
    assert_eq!(got.image, some("registry.example:5000/vllm:v1"));
    assert_eq!((got.container.clone(), got.host_port), (some("llm"), Some(9000)));
    assert_eq!((got.gpus.clone(), got.model.clone()), (some("0,1"), some("org/m")));
    assert_eq!(got.hf_token.as_ref().map(|h| h.reveal()), Some("hf_x"));
    assert_eq!(got.api_key.as_ref().map(|h| h.reveal()), Some("k"));
    assert_eq!(
        (got.typed.tensor_parallel_size.clone(), got.rest.clone()),
        (some("2"), super::list("--seed 1"))
    );
    for (what, reason) in [
        ("--rm", Why::Handled),
        ("--shm-size", Why::SharedMemory),
        ("--privileged", Why::Privileged),
        ("--network host", Why::Network),
        ("--restart", Why::Restart),
        ("/data", Why::HostMount),
        ("docker.sock", Why::DockerSocket),
        ("--ulimit", Why::Limits),
        ("--entrypoint", Why::EntryPoint),
        ("SECRET", Why::Variable),
        ("--odd", Why::UnknownOption),
        ("--workdir", Why::Option),
        ("--host", Why::Handled),
    ] {
        assert_eq!(why(&got, what), Some(reason), "{what}");
    }
    let shown = format!("{got:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("hf_x"), "{shown}");
}

#[test]
fn gpus_are_read_from_every_place_that_names_them() {
    for (options, gpus) in [
        ("", "none"),
        ("--gpus=all", "all"),
        ("--gpus device=GPU-aa-bb", "GPU-aa-bb"),
        ("--gpus 'device=1'", "1"),
        ("--gpus device=0,2", "0,2"),
        ("--gpus 2", "0,1"),
        ("--gpus 'all,capabilities=utility'", "all"),
        ("--gpus '\"device=0,3\",\"capabilities=gpu\"'", "0,3"),
        ("--runtime=nvidia", "all"),
        ("--runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=1", "1"),
        ("--gpus all -e CUDA_VISIBLE_DEVICES=1", "1"),
        ("--device nvidia.com/gpu=all", "all"),
        ("--device nvidia.com/gpu=0 --device nvidia.com/gpu=1", "0,1"),
    ] {
        let got = read(&format!("podman run {options} vllm/vllm-openai --model m"));
        assert_eq!(got.gpus, some(gpus), "{options}");
    }
    assert_eq!(read("CUDA_VISIBLE_DEVICES=0,1 vllm serve m").gpus, some("0,1"));
    assert_eq!(read("env CUDA_VISIBLE_DEVICES= vllm serve m").gpus, some("none"));
    assert_eq!(read("vllm serve m").gpus, None);
    assert_eq!(why(&read("docker run --gpus x i"), "--gpus x"), Some(Why::GpusUnclear));
}

#[test]
fn processes_are_read_however_they_are_started() {
    for command in [
        "vllm serve org/m --port 9000 --dtype half",
        "$ vllm serve --model org/m --port=9000 --dtype=half",
        "nohup vllm serve org/m --port 9000 --dtype half",
        "uv run --with vllm vllm serve org/m --port 9000 --dtype half",
        "uvx vllm serve org/m --port 9000 --dtype half",
        "python -m vllm.entrypoints.openai.api_server --model org/m --port 9000 --dtype half",
        "/usr/bin/python3.12 -u -m vllm.entrypoints.openai.api_server --dtype half --port 9000 --model=org/m",
        "sudo -u me env A=b vllm serve org/m --port 9000 --dtype half",
        "bash -lc 'vllm serve org/m --port 9000 --dtype half'",
        "conda run -n x vllm serve org/m --port 9000 --dtype half",
        "--model org/m --port 9000 --dtype half",
        "org/m --port 9000 --dtype half",
        "serve org/m ^\r\n --port 9000 ^\r\n --dtype half",
    ] {
        let got = read(command);
        assert_eq!((got.model, got.host_port), (some("org/m"), Some(9000)), "{command}");
        assert_eq!((got.typed.dtype, got.rest.len()), (some("half"), 0), "{command}");
    }
}

#[test]
fn fields_are_filled_and_further_names_stay_arguments() {
    let got = read(
        "HF_TOKEN=hf_1 OTHER=x vllm serve m --served-model-name a b --gpu-memory-utilization 0.8 --api-key k1 k2 \
         --enable-lora --lora-modules l=/p --host 0.0.0.0 --max-num-seqs 4",
    );
    assert_eq!((got.model_name.clone(), got.share.clone()), (some("a"), some("0.8")));
    assert_eq!(got.rest, super::list("--max-num-seqs 4 --served-model-name a b"));
    assert_eq!(got.typed.lora_modules, ["l=/p"]);
    assert_eq!(got.api_key.as_ref().map(|k| k.reveal()), Some("k1"));
    assert_eq!(why(&got, "--served-model-name"), Some(Why::FurtherNames));
    assert_eq!(why(&got, "--api-key"), Some(Why::FurtherKeys));
    assert_eq!(why(&got, "--host"), Some(Why::LoopbackOnly));
    assert_eq!(why(&got, "OTHER"), Some(Why::Variable));
}

#[test]
fn a_folder_under_another_name_inside_is_found_on_this_machine() {
    let got = read("docker run -v /data/models/:/models -v /x:/y vllm/vllm-openai --model /models/llama");
    assert_eq!(got.model, some("/data/models/llama"));
    assert_eq!((why(&got, "/data/models"), why(&got, "/x")), (Some(Why::ModelMoved), Some(Why::HostMount)));
    let same = read("docker run -v /m:/m:ro vllm/vllm-openai --model /m");
    assert_eq!((same.model.clone(), why(&same, "/m:/m")), (some("/m"), Some(Why::Handled)));
    let moved = read("docker run -v /data/hf:/root/.cache/huggingface vllm/vllm-openai --model a/b");
    assert_eq!(why(&moved, "/data/hf"), Some(Why::OtherCache));
}

#[test]
fn the_port_is_the_one_that_leads_to_the_engine() {
    for (command, port) in [
        ("-p 9000:8000 i m", Some(9000)),
        ("-p 1:2 -p [::1]:3:8000/tcp i m", Some(3)),
        ("-p 9001:9000 -p 7:8000 i m --port 9000", Some(9001)),
        ("-p 9002:80 i m", Some(9002)),
        ("-p 8000 i m", None),
        ("-p 8000-8010:8000-8010 i m", None),
        ("--net=host i m --port 5000", Some(5000)),
        ("i m --port 5000", None),
    ] {
        assert_eq!(read(&format!("docker run {command}")).host_port, port, "{command}");
    }
}

#[test]
fn what_is_no_such_command_is_said() {
    let error = |text: &str| paste(text).expect_err(text);
    assert_eq!(error("  \n"), PasteError::Nothing);
    assert_eq!(error("A=b"), PasteError::Nothing);
    assert!(matches!(error("ollama run x"), PasteError::UnknownProgram { program } if program == "ollama"));
    assert!(matches!(error("docker ps"), PasteError::OtherCommand { command, .. } if command == "ps"));
    assert!(matches!(error("vllm bench x"), PasteError::OtherCommand { .. }));
    assert!(matches!(error("python train.py"), PasteError::OtherCommand { .. }));
    assert!(matches!(error("docker run --rm -p 1:2"), PasteError::NoImage { .. }));
    assert!(matches!(error("docker run --name"), PasteError::NoValue { option } if option == "--name"));
    assert!(matches!(error("vllm serve 'x"), PasteError::Quote(QuoteError::Unclosed { .. })));
    assert!(
        matches!(error("vllm serve $MODEL"), PasteError::Quote(QuoteError::Expansion { what }) if what == "$MODEL")
    );
    assert!(
        matches!(error("vllm serve ~/m"), PasteError::Quote(QuoteError::Expansion { what }) if what == "~")
    );
    assert!(matches!(error("vllm serve m > log"), PasteError::Quote(QuoteError::Operator { .. })));
    assert_eq!(error(&"sudo ".repeat(20)), PasteError::Nested);
    assert!(!format!("{:?}", error("hf_abcdefghijklmnopqrstuvwxyz0123")).contains("abcdefghij"));
}

#[test]
fn a_secret_of_the_shell_is_not_taken_for_the_secret() {
    for text in [
        "docker run -e HF_TOKEN=$HF_TOKEN i m",
        "docker run -e HF_TOKEN i m",
        "docker run -e 'HF_TOKEN=<secret>' i m",
        "HF_TOKEN=$(cat f) vllm serve m",
        "vllm serve m --hf-token $T",
    ] {
        let got = read(text);
        assert_eq!(got.hf_token, None, "{text}");
        assert!(got.left_out.iter().any(|l| l.why == Why::ValueElsewhere), "{text}");
    }
}
