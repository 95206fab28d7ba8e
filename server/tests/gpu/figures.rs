//! Figures, processes and the words for a driver that cannot be used.

use crate::machine::{MIB, Machine, device, device_with, devices, one, process};
use app::model::{Gpu, GpuProcess, GpuState, GpuStatus, ServiceName};
use serde_json::json;
use server::gpu::{Owner, Reading, assign};
use std::fs;

#[test]
fn every_figure_of_a_device_is_read() {
    let machine = Machine::new(&devices(&[device(0)]));
    machine.put_process(100, "vllm", 1, 1, "0::/");
    let reading = machine.read();
    let expected = Gpu {
        index: 0,
        uuid: "GPU-0".into(),
        name: "NVIDIA H100 80GB HBM3".into(),
        memory_used_bytes: 1024 * MIB,
        memory_total_bytes: 81559 * MIB,
        state: GpuState::Ok,
        utilisation_percent: Some(40),
        temperature_c: Some(51),
        power_mw: Some(310_000),
        power_limit_mw: Some(700_000),
        processes: Some(vec![GpuProcess { name: Some("vllm".into()), ..process(100, Some(600)) }]),
    };
    assert_eq!(reading, Reading { gpus: vec![expected], status: GpuStatus::Ok });
}

#[test]
fn figures_change_while_the_library_stays_open() {
    let machine = Machine::new(&devices(&[device(0)]));
    let mut reader = machine.reader();
    assert_eq!(one(&reader.read()).utilisation_percent, Some(40));
    machine.answer(&devices(&[device_with(0, &json!({"utilisation_percent": 97}))]));
    machine.calls();
    assert_eq!(one(&reader.read()).utilisation_percent, Some(97));
    assert!(!machine.calls().contains(&"nvmlInit_v2".to_owned()));
    reader.close();
    assert_eq!(machine.calls(), ["nvmlShutdown"]);
}

#[test]
fn a_device_that_supports_nothing_is_shown_with_its_name() {
    let nothing = "not-supported";
    let machine = Machine::new(&devices(&[device_with(
        0,
        &json!({
            "memory": nothing, "utilisation_percent": nothing, "temperature_c": nothing, "power_mw": nothing,
            "power_limit_mw": nothing, "compute": nothing, "graphics": nothing, "mps": nothing,
        }),
    )]));
    let reading = machine.read();
    let gpu = one(&reading);
    assert_eq!(
        (gpu.name.as_str(), gpu.state, &reading.status),
        ("NVIDIA H100 80GB HBM3", GpuState::Ok, &GpuStatus::Ok)
    );
    assert_eq!((gpu.memory_used_bytes, gpu.memory_total_bytes), (0, 0));
    assert_eq!(
        (gpu.utilisation_percent, gpu.temperature_c, gpu.power_mw, gpu.power_limit_mw),
        (None, None, None, None)
    );
    assert_eq!(gpu.processes, None);
}

#[test]
fn one_figure_that_fails_hides_no_other() {
    for (field, error) in [
        ("temperature_c", "unknown"),
        ("power_mw", "no-permission"),
        ("compute", "no-permission"),
        ("mps", "no-data"),
    ] {
        let machine = Machine::new(&devices(&[device_with(0, &json!({ field: error }))]));
        let reading = machine.read();
        let gpu = one(&reading);
        assert_eq!((gpu.state, gpu.utilisation_percent), (GpuState::Ok, Some(40)), "{field}");
        assert_eq!(gpu.memory_total_bytes, 81559 * MIB, "{field}");
    }
}

#[test]
fn a_device_that_shares_the_machines_memory_shows_what_its_processes_hold() {
    let shared = json!({
        "memory": "not-supported",
        "compute": [{"pid": 1, "memory_mib": 600}, {"pid": 2, "memory_mib": 40}, {"pid": 3}],
    });
    let machine = Machine::new(&devices(&[device_with(0, &shared)]));
    let reading = machine.read();
    assert_eq!((one(&reading).memory_used_bytes, one(&reading).memory_total_bytes), (640 * MIB, 0));
}

#[test]
fn processes_of_all_lists_are_merged_by_pid_largest_first() {
    let lists = json!({
        "compute": [{"pid": 100, "memory_mib": 600}, {"pid": 101}, {"pid": 102, "memory_mib": 900}],
        "graphics": [{"pid": 100, "memory_mib": 600}, {"pid": 103, "memory_mib": 5}],
        "mps": [{"pid": 101, "memory_mib": 700}, {"pid": 104}],
    });
    let machine = Machine::new(&devices(&[device_with(0, &lists)]));
    let expected = [(102, Some(900)), (101, Some(700)), (100, Some(600)), (103, Some(5)), (104, None)];
    let expected: Vec<GpuProcess> = expected.map(|(pid, mib)| process(pid, mib)).into();
    assert_eq!(one(&machine.read()).processes.as_ref(), Some(&expected));
}

#[test]
fn a_process_in_two_mig_instances_holds_the_sum() {
    let lists = json!({"compute": [
        {"pid": 100, "memory_mib": 600, "gpu_instance": 1}, {"pid": 100, "memory_mib": 50, "gpu_instance": 2},
    ]});
    let machine = Machine::new(&devices(&[device_with(0, &lists)]));
    assert_eq!(one(&machine.read()).processes, Some(vec![process(100, Some(650))]));
}

#[test]
fn processes_are_mapped_to_services_and_the_rest_to_none() {
    let container = "a".repeat(64);
    let pids = [100, 200, 201, 300, 400].map(|pid| json!({"pid": pid, "memory_mib": 10}));
    let machine = Machine::new(&devices(&[device_with(0, &json!({ "compute": pids }))]));
    machine.put_process(100, "VLLM::Worker", 1, 1, &format!("0::/system.slice/docker-{container}.scope"));
    machine.put_process(200, "vllm", 50, 50, "0::/user.slice");
    machine.put_process(201, "VLLM::EngineCor", 200, 201, "0::/user.slice");
    machine.put_process(300, "Xorg", 1, 300, "0::/user.slice");
    let service = |name: &str| ServiceName::parse(name).expect("a name");
    let owners = [
        Owner { service: service("in-a-container"), container: Some(container), pids: vec![] },
        Owner { service: service("a-process"), container: None, pids: vec![50, 200] },
    ];
    let mut processes = one(&machine.read()).processes.clone().expect("told");
    assign(&mut processes, &owners, &machine.path("proc"));
    let mut found: Vec<(u32, Option<&str>, Option<&str>)> = processes
        .iter()
        .map(|p| (p.pid, p.name.as_deref(), p.service.as_ref().map(ServiceName::as_str)))
        .collect();
    found.sort_unstable();
    let expected = [
        (100, Some("VLLM::Worker"), Some("in-a-container")),
        (200, Some("vllm"), Some("a-process")),
        (201, Some("VLLM::EngineCor"), Some("a-process")),
        (300, Some("Xorg"), None),
        (400, None, None),
    ];
    assert_eq!(found, expected);
    assert_eq!(one(&machine.reader().read_for(&owners)).processes, Some(processes));
}

#[test]
fn a_driver_that_cannot_be_used_is_said_in_words_of_its_own() {
    let cases = [
        ("driver-not-loaded", GpuStatus::NoDriver),
        ("library-not-found", GpuStatus::NoDriver),
        ("lib-rm-version-mismatch", GpuStatus::Mismatch),
        ("no-permission", GpuStatus::Denied),
    ];
    for (error, status) in cases {
        let machine = Machine::new(&json!({ "init": error }));
        assert_eq!(machine.read(), Reading { gpus: vec![], status }, "{error}");
    }
    for answers in [json!({"init": "unknown"}), json!({"count": "irq-issue", "devices": [device(0)]})] {
        let reading = Machine::new(&answers).read();
        assert!(matches!(reading.status, GpuStatus::Error { .. }), "{reading:?}");
    }
}

#[test]
fn no_library_is_no_driver_and_a_driver_without_devices_is_no_gpu() {
    let machine = Machine::new(&devices(&[]));
    assert_eq!(machine.read(), Reading { gpus: vec![], status: GpuStatus::NoGpu });
    fs::remove_file(machine.path("libnvml.so")).expect("removed");
    assert_eq!(machine.read(), Reading { gpus: vec![], status: GpuStatus::NoDriver });
}

#[test]
fn a_file_that_is_no_management_library_is_said_and_harms_nothing() {
    let machine = Machine::new(&devices(&[device(0)]));
    machine.write("libnvml.so", "not a library");
    assert_eq!(machine.read().status, GpuStatus::NoDriver);
}

#[test]
fn what_was_refused_is_not_asked_again_at_once() {
    let machine = Machine::new(&json!({"init": "lib-rm-version-mismatch"}));
    let mut reader = machine.reader();
    let first = reader.read();
    assert_eq!(machine.calls(), ["nvmlInit_v2"]);
    assert_eq!(reader.read(), first);
    assert_eq!(machine.calls(), Vec::<String>::new());
}
