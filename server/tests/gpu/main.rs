//! The reading of GPUs with a stand-in for NVIDIA's library, and with folders in the place of `/sys` and `/proc`.
//!
//! Each test has a copy of the library for itself: a library that was loaded from another file is another library, with its
//! own answers beside it (`end2end/nvml-sim`).
#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers, too")]

mod amd;
mod figures;
mod machine;
mod trouble;

use app::model::ServiceName;
use machine::{MIB, Machine, device_with, devices, one};
use serde_json::{Value, json};
use server::gpu::{Owner, Paths, Reader};
use std::fs;
use std::time::{Duration, Instant};

#[test]
fn the_stand_in_finds_processes_by_what_proc_shows_of_them() {
    let me = fs::read_to_string("/proc/self/comm").expect("Linux").trim().to_owned();
    let found = json!({
        "memory": {"total_mib": 1000, "base_mib": 100},
        "compute": [{"cmdline": "no such command line anywhere", "memory_mib": 500}, {"comm": me, "memory_mib": 1}],
    });
    let machine = Machine::new(&devices(&[device_with(0, &found)]));
    let reading = machine.read();
    // The caller itself is never one of them.
    let pids: Vec<u32> = one(&reading).processes.iter().flatten().map(|p| p.pid).collect();
    assert!(!pids.contains(&std::process::id()));
    assert_eq!(one(&reading).memory_used_bytes, (100 + pids.len() as u64) * MIB);
}

#[test]
fn one_reading_of_eight_busy_devices_is_cheap() {
    let many: Vec<Value> = (0..8)
        .map(|number| {
            let pids: Vec<Value> = (0..10).map(|n| json!({"pid": 1000 + n, "memory_mib": 100 + n})).collect();
            device_with(number, &json!({ "compute": pids }))
        })
        .collect();
    let machine = Machine::new(&devices(&many));
    fs::remove_file(machine.path("libnvml.calls")).expect("removed");
    let container = "c".repeat(64);
    for number in 0..8 {
        machine.put_on_bus(&format!("0000:{:02x}:00.0", number + 1), "active", "on");
    }
    for pid in 1000..1010 {
        machine.put_process(
            pid,
            "VLLM::Worker",
            1,
            pid,
            &format!("0::/system.slice/docker-{container}.scope"),
        );
    }
    let service = ServiceName::parse("vllm").expect("a name");
    let owners = [Owner { service, container: Some(container), pids: vec![] }];
    let mut reader = machine.reader();
    assert_eq!(reader.read_for(&owners).gpus.len(), 8);
    let rounds = 50;
    let begun = Instant::now();
    for _ in 0..rounds {
        reader.read_for(&owners);
    }
    let each = begun.elapsed() / rounds;
    println!("one reading of 8 devices with 10 processes each: {each:?}");
    // Far above the budget (1% of a core at one reading each 2 s), since this is a debug build on a busy machine.
    assert!(each < Duration::from_millis(200), "{each:?}");
}

#[test]
fn the_machine_that_runs_the_tests_can_be_read() {
    let mut reader = Reader::new(Paths::default());
    let reading = reader.read();
    println!("{reading:?}");
    for gpu in &reading.gpus {
        assert!(gpu.memory_used_bytes <= gpu.memory_total_bytes || gpu.memory_total_bytes == 0, "{gpu:?}");
        assert!(!gpu.uuid.is_empty() && !gpu.name.is_empty(), "{gpu:?}");
    }
}
