//! Devices that sleep, are lost, or are somebody else's.

use crate::machine::{MIB, Machine, device, device_with, devices, one};
use app::model::{Gpu, GpuState, GpuStatus};
use serde_json::json;
use server::gpu::Reading;
use std::fs;

#[test]
fn a_lost_device_keeps_what_it_showed_last_and_the_others_go_on() {
    for error in ["gpu-is-lost", "reset-required", "gpu-not-found", "not-found"] {
        for place in ["error", "handle", "utilisation_percent", "compute"] {
            let machine = Machine::new(&devices(&[device(0), device(1)]));
            let mut reader = machine.reader();
            let before = reader.read();
            machine.answer(&devices(&[device(0), device_with(1, &json!({ place: error }))]));
            let reading = reader.read();
            assert_eq!(reading.status, GpuStatus::Ok, "{place}: {error}");
            assert_eq!(reading.gpus[0], before.gpus[0], "{place}: {error}");
            let lost = Gpu {
                state: GpuState::Lost,
                utilisation_percent: None,
                temperature_c: None,
                power_mw: None,
                processes: None,
                ..before.gpus[1].clone()
            };
            assert_eq!(reading.gpus[1], lost, "{place}: {error}");
            machine.answer(&devices(&[device(0), device(1)]));
            assert_eq!(reader.read(), before, "{place}: {error}");
        }
    }
}

#[test]
fn a_device_that_is_lost_from_the_beginning_is_listed_as_lost() {
    let machine = Machine::new(&devices(&[device_with(0, &json!({"handle": "gpu-is-lost"})), device(1)]));
    for on_bus in [false, true] {
        if on_bus {
            machine.put_on_bus("0000:01:00.0", "active", "on");
            machine.put_on_bus("0000:02:00.0", "active", "on");
        }
        let states: Vec<GpuState> = machine.read().gpus.iter().map(|gpu| gpu.state).collect();
        assert_eq!(states, [GpuState::Lost, GpuState::Ok]);
    }
}

#[test]
fn a_device_that_leaves_the_bus_is_lost() {
    let machine = Machine::new(&devices(&[device(0), device(1)]));
    machine.put_on_bus("0000:01:00.0", "active", "on");
    machine.put_on_bus("0000:02:00.0", "active", "on");
    let mut reader = machine.reader();
    reader.read();
    fs::remove_file(machine.path("sys/bus/pci/drivers/nvidia/0000:02:00.0")).expect("removed");
    let unbound = reader.read();
    assert_eq!((unbound.gpus.len(), unbound.status), (1, GpuStatus::Ok));
    fs::remove_dir_all(machine.path("sys/bus/pci/devices/0000:02:00.0")).expect("removed");
    let states: Vec<(u32, GpuState)> = reader.read().gpus.iter().map(|gpu| (gpu.index, gpu.state)).collect();
    assert_eq!(states, [(0, GpuState::Ok), (1, GpuState::Lost)]);
}

#[test]
fn a_device_with_trouble_of_its_own_is_named_and_the_others_are_shown() {
    let machine =
        Machine::new(&devices(&[device(0), device_with(1, &json!({"handle": "insufficient-power"}))]));
    let reading = machine.read();
    let GpuStatus::Error { detail } = &reading.status else { panic!("{reading:?}") };
    assert!(detail.starts_with("GPU 1 (gpu-1): ") && detail.contains("power"), "{detail}");
    assert_eq!((reading.gpus[0].state, reading.gpus[1].state), (GpuState::Ok, GpuState::Lost));
}

#[test]
fn devices_that_are_not_ours_are_left_out_and_none_at_all_is_denied() {
    let denied = |number| device_with(number, &json!({"handle": "no-permission"}));
    let machine = Machine::new(&devices(&[denied(0), device(1)]));
    machine.put_on_bus("0000:01:00.0", "active", "on");
    machine.put_on_bus("0000:02:00.0", "active", "on");
    // Another container's: on the bus, unknown to our library.
    machine.put_on_bus("0000:03:00.0", "active", "on");
    let mut reader = machine.reader();
    assert_eq!(one(&reader.read()).index, 1);
    machine.calls();
    reader.read();
    assert_eq!(machine.calls_to(0), Vec::<String>::new());
    let machine = Machine::new(&devices(&[denied(0)]));
    assert_eq!(machine.read(), Reading { gpus: vec![], status: GpuStatus::Denied });
}

#[test]
fn a_sleeping_device_is_not_asked_and_shows_what_it_showed_last() {
    let machine = Machine::new(&devices(&[device(0), device(1)]));
    machine.put_on_bus("0000:01:00.0", "active", "auto");
    machine.put_on_bus("0000:02:00.0", "active", "on");
    let mut reader = machine.reader();
    let before = reader.read();
    machine.power("0000:01:00.0", "suspended", "auto");
    machine.calls();
    let reading = reader.read();
    assert_eq!(machine.calls_to(0), Vec::<String>::new());
    let (asleep, awake) = (&reading.gpus[0], &reading.gpus[1]);
    assert_eq!((asleep.state, asleep.memory_used_bytes), (GpuState::Suspended, 1024 * MIB));
    assert_eq!((&asleep.uuid, asleep.processes.as_ref()), (&before.gpus[0].uuid, None));
    assert_eq!((awake, &reading.status), (&before.gpus[1], &GpuStatus::Ok));
    machine.power("0000:01:00.0", "active", "auto");
    assert_eq!(reader.read(), before);
}

#[test]
fn with_all_devices_asleep_the_library_is_not_even_opened() {
    let machine = Machine::new(&devices(&[device(0), device(1)]));
    machine.put_on_bus("0000:02:00.0", "suspended", "auto");
    machine.put_on_bus("0000:01:00.0", "suspended", "auto");
    let reading = machine.read();
    assert_eq!(machine.calls(), Vec::<String>::new());
    assert_eq!(reading.status, GpuStatus::Ok);
    let seen: Vec<_> =
        reading.gpus.iter().map(|g| (g.index, g.uuid.as_str(), g.name.as_str(), g.state)).collect();
    let name = "NVIDIA GPU 0x2330";
    let expected =
        [(0, "0000:01:00.0", name, GpuState::Suspended), (1, "0000:02:00.0", name, GpuState::Suspended)];
    assert_eq!(seen, expected);
}

#[test]
fn a_device_that_sleeps_from_the_beginning_is_not_woken_for_the_sake_of_another() {
    let machine = Machine::new(&devices(&[device(0), device(1)]));
    machine.put_on_bus("0000:01:00.0", "suspended", "auto");
    machine.put_on_bus("0000:02:00.0", "active", "on");
    let reading = machine.read();
    assert_eq!(machine.calls_to(0), Vec::<String>::new());
    let seen: Vec<_> = reading.gpus.iter().map(|g| (g.index, g.uuid.as_str(), g.state)).collect();
    assert_eq!(seen, [(0, "0000:01:00.0", GpuState::Suspended), (1, "GPU-1", GpuState::Ok)]);
}

#[test]
fn an_idle_device_that_could_sleep_is_left_alone_for_a_while() {
    let idle = json!({"compute": [], "utilisation_percent": 0});
    let machine = Machine::new(&devices(&[device_with(0, &idle)]));
    machine.put_on_bus("0000:01:00.0", "active", "auto");
    let mut reader = machine.reader();
    let first = reader.read();
    machine.calls();
    assert_eq!(reader.read(), first);
    assert_eq!(machine.calls(), ["nvmlShutdown"]);
    // One who comes anew sees what is now.
    reader.close();
    machine.answer(&devices(&[device(0)]));
    assert_eq!(one(&reader.read()).utilisation_percent, Some(40));
    machine.calls();
    reader.read();
    assert!(!machine.calls_to(0).is_empty(), "a busy device is read each time");
}

#[test]
fn a_hidden_bus_changes_nothing() {
    let machine = Machine::new(&devices(&[device(0), device(1)]));
    // A driver's folder with the addresses of other machines' devices.
    machine.put_on_bus("0000:f1:00.0", "active", "on");
    let names: Vec<_> = machine.read().gpus.into_iter().map(|gpu| gpu.uuid).collect();
    assert_eq!(names, ["GPU-0", "GPU-1"]);
}
