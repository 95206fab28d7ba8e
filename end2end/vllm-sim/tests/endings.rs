//! The ways in which a simulator ends: failures, signals, killed processes.

mod sim;

use rustix::process::{Signal, kill_process, kill_process_group};
use sim::{Sim, processes_of_group};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

/// Every failure before or while serving: name, exit code, the line that tells.
const FAILURES: [(&str, i32, &str); 20] = [
    ("bad-flag", 2, "vllm: error: unrecognized arguments: --no-such-flag 1"),
    ("bad-port-value", 2, "vllm serve: error: argument --port: invalid int value: 'abc'"),
    ("bad-port-range", 1, "OverflowError: bind(): port must be 0-65535."),
    (
        "gpu-mem-util",
        1,
        "  Input should be less than or equal to 1 [type=less_than_equal, input_value=1.5, input_type=float]",
    ),
    (
        "bad-model-path",
        1,
        "HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/models/m'.",
    ),
    ("bad-repo-id", 1, "OSError: We couldn't connect to 'https://huggingface.co' to load the files"),
    ("gated-model", 1, "Make sure to have access to it at https://huggingface.co//models/m."),
    ("max-model-len", 1, "is greater than the derived max_model_len (max_position_embeddings=32768.0"),
    ("bad-arch", 1, "are not supported for now. Supported architectures:"),
    ("port-in-use", 1, "OSError: [Errno 98] Address already in use"),
    (
        "corrupt-weights",
        1,
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}",
    ),
    ("kv-cache-too-small", 1, "ValueError: No available memory for the cache blocks."),
    ("kvcache-space-oom", 1, "is less than requested memory for kv (4000.0 GiB)"),
    (
        "lora-path-missing",
        1,
        "ValueError: Loading lora mylora failed: No adapter found for /nonexistent/lora",
    ),
    ("cuda-oom", 1, "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate"),
    (
        "gpu-memory-held",
        1,
        "ValueError: Free memory on device cuda:0 (11.87/79.19 GiB) on startup is less than desired GPU memory utilization (0.92, 72.85 GiB).",
    ),
    ("no-gpu", 1, "RuntimeError: Failed to infer device type"),
    ("driver-too-old", 1, "RuntimeError: The NVIDIA driver on your system is too old (found version 12020)."),
    ("exit0-crash", 0, "EngineDeadError: EngineCore encountered an issue."),
    ("exit0-crash", 0, "INFO:     Finished server process ["),
];

#[test]
fn every_failure_exits_with_its_code_and_says_why() {
    for chunk in FAILURES.chunks(5) {
        let mut sims: Vec<Sim> = chunk
            .iter()
            .map(|(name, ..)| Sim::start(&format!("--sim-speed 0 --sim-fail-after-s 0.2 --sim-fail {name}")))
            .collect();
        for (sim, (name, code, line)) in sims.iter_mut().zip(chunk) {
            assert_eq!(sim.ended().code(), Some(*code), "{name}");
            let text = format!("{}{}", sim.stdout(), sim.stderr());
            assert!(text.contains(line), "{name}: {text}");
            assert!(sim.children().is_empty(), "{name}");
        }
    }
}

#[test]
fn arguments_bring_failures_about_by_themselves() {
    for (args, code, line) in [
        ("/m --port 1 --no-such-flag 1", 2, "vllm: error: unrecognized arguments: --no-such-flag 1"),
        ("/m --port abc", 2, "argument --port: invalid int value: 'abc'"),
        ("/m --port 80000", 1, "OverflowError: bind(): port must be 0-65535."),
        ("/nonexistent/model --port 0", 1, "'/nonexistent/model'. Use `repo_type` argument if needed."),
        ("/m --port 0 --gpu-memory-utilization 1.5", 1, "input_value=1.5, input_type=float]"),
        ("/m --port 0 --max-model-len 100000", 1, "User-specified max_model_len (100000) is greater"),
        ("/m --port 0 --gpu-memory-utilization 0.05", 1, "No available memory for the cache blocks"),
        (
            "/m --port 0 --gpu-memory-utilization 0.13",
            1,
            "with the model's max seq len (32768), 4.5 GiB KV cache is needed",
        ),
    ] {
        let mut sim = Sim::spawn(0, &format!("{args} --sim-speed 0 --sim-children 0"));
        assert_eq!(sim.ended().code(), Some(code), "{args}");
        let text = format!("{}{}", sim.stdout(), sim.stderr());
        assert!(text.contains(line), "{args}: {text}");
    }
    let mut sim = Sim::start("--sim-fail nope");
    assert_eq!(sim.ended().code(), Some(2));
    assert!(sim.stderr().contains("unknown failure 'nope'; one of: bad-flag, "));
}

#[test]
fn sigterm_during_the_import_kills() {
    let mut sim = Sim::start("");
    std::thread::sleep(Duration::from_millis(150));
    sim.signal(Signal::TERM);
    assert_eq!(sim.ended().signal(), Some(15));
    assert_eq!((sim.stdout(), sim.stderr()), (String::new(), String::new()));
}

#[test]
fn one_sigterm_during_the_load_is_ignored_and_the_second_interrupts() {
    let mut sim = Sim::start("--sim-speed 0 --sim-fail hang");
    sim.wait_for("Starting to load model");
    sim.signal(Signal::TERM);
    std::thread::sleep(Duration::from_millis(300));
    assert!(sim.is_running());
    sim.signal(Signal::TERM);
    // Death by SIGINT, which a shell and Docker show as 130.
    assert_eq!(sim.ended().signal(), Some(2));
    assert!(sim.stderr().contains("\nKeyboardInterrupt: terminated\n"));
    assert!(sim.children().is_empty());
}

#[test]
fn after_one_ignored_sigterm_it_becomes_ready() {
    let sim = Sim::start("--sim-speed 30");
    sim.wait_for("Initializing a V1 LLM engine");
    sim.signal(Signal::TERM);
    sim.wait_ready();
}

#[test]
fn one_sigint_during_the_load_interrupts() {
    let mut sim = Sim::start("--sim-speed 0 --sim-fail hang");
    sim.wait_for("Starting to load model");
    sim.signal(Signal::INT);
    assert_eq!(sim.ended().signal(), Some(2));
    assert!(sim.stderr().contains("\nKeyboardInterrupt\n"));
}

#[test]
fn the_out_of_memory_killer_leaves_no_word() {
    let mut sim = Sim::start("--sim-speed 0 --sim-fail oom-kill");
    assert_eq!(sim.ended().signal(), Some(9));
    assert!(sim.children().is_empty() && !sim.stderr().contains("Traceback"));
}

#[test]
fn children_survive_the_main_process() {
    let mut sim = Sim::start("--sim-speed 0");
    sim.wait_ready();
    let names: Vec<String> = sim.children().into_iter().map(|(_, name)| name).collect();
    assert!(names.iter().any(|name| name == "VLLM::EngineCor"), "{names:?}");
    assert!(names.iter().any(|name| name == "VLLM::Worker"), "{names:?}");
    sim.signal(Signal::KILL);
    assert_eq!(sim.ended().signal(), Some(9));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(processes_of_group(sim.pid()).len(), 2);
    kill_process_group(sim.pid(), Signal::KILL).unwrap();
    sim.until("the end of the group", || processes_of_group(sim.pid()).is_empty());
}

#[test]
fn a_killed_engine_ends_a_ready_server_with_zero() {
    let mut sim = Sim::start("--sim-speed 5");
    sim.wait_ready();
    kill_process(sim.child("VLLM::EngineCor").expect("the child"), Signal::KILL).unwrap();
    sim.until("ill health", || sim.get("/health").0 == 503);
    ended_by_a_crash(&mut sim);
}

#[test]
fn a_killed_worker_ends_a_ready_server_with_zero() {
    let mut sim = Sim::start("--sim-speed 0");
    sim.wait_ready();
    kill_process(sim.child("VLLM::Worker").expect("the child"), Signal::KILL).unwrap();
    ended_by_a_crash(&mut sim);
}

#[test]
fn a_fatal_error_on_command_ends_with_zero() {
    let mut sim = Sim::start("--sim-speed 0 --sim-control --sim-children 0");
    sim.wait_ready();
    assert_eq!(sim.post("/sim/fatal", "").0, 202);
    ended_by_a_crash(&mut sim);
}

fn ended_by_a_crash(sim: &mut Sim) {
    assert_eq!(sim.ended().code(), Some(0));
    assert!(sim.stdout().contains("[shutdown] MPClient: engine core exited unexpectedly; starting cleanup"));
    assert!(sim.stderr().contains("INFO:     Finished server process ["));
    assert!(sim.children().is_empty());
}

#[test]
fn a_killed_child_fails_a_start_with_one() {
    for (name, line) in [
        (
            "VLLM::EngineCor",
            "Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': -9}",
        ),
        ("VLLM::Worker", "Worker proc VllmWorker-0 died unexpectedly (exit code: -9)"),
    ] {
        let mut sim = Sim::start("--sim-speed 0 --sim-fail hang");
        sim.wait_for("Starting to load model");
        sim.until("the child", || sim.child(name).is_some());
        kill_process(sim.child(name).expect("the child"), Signal::KILL).unwrap();
        assert_eq!(sim.ended().code(), Some(1), "{name}");
        assert!(format!("{}{}", sim.stdout(), sim.stderr()).contains(line), "{name}");
    }
}

#[test]
fn requests_in_flight_fail_at_a_stop_unless_it_drains() {
    const LONG: &str = "{\"prompt\":\"x\",\"max_tokens\":40}";
    for (timeout, status) in [("", 500), ("--shutdown-timeout 30", 200)] {
        let mut sim = Sim::start(&format!("--sim-speed 0 --sim-tokens-per-s 40 {timeout}"));
        sim.wait_ready();
        let answer = std::thread::scope(|scope| {
            let request = scope.spawn(|| sim.post("/v1/completions", LONG));
            sim.until("a running request", || sim.metric("vllm:num_requests_running") > 0.5);
            sim.signal(Signal::TERM);
            if status == 200 {
                sim.wait_for("draining in-flight requests count=1 timeout=30s");
                std::thread::sleep(Duration::from_millis(50));
                assert_eq!(sim.get("/health").0, 200);
                let (status, body) = sim.post("/v1/completions", LONG);
                assert!(
                    status == 500 && body.contains("cannot schedule new futures after shutdown"),
                    "{body}"
                );
            }
            request.join().unwrap()
        });
        assert_eq!(answer.0, status, "{}", answer.1);
        assert_eq!(sim.ended().code(), Some(0));
        assert!(sim.stdout().contains("AsyncLLM output_handler failed.\r\n"));
    }
}

#[test]
fn a_closed_stdout_does_no_harm() {
    let mut sim = Sim::start("--sim-speed 0 --sim-control --sim-children 0");
    sim.wait_ready();
    sim.close_stdout();
    assert_eq!(sim.post("/sim/flood?lines=200000&rate=0&bytes=200", "").0, 202);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(sim.get("/health").0, 200);
    sim.signal(Signal::TERM);
    assert_eq!(sim.ended().code(), Some(0));
}
