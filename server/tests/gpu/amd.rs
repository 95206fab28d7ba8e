//! AMD's cards, by the kernel's files.

use crate::machine::{MIB, Machine, device, devices, one};
use app::model::{Gpu, GpuState, GpuStatus};
use server::gpu::Reading;
use std::fs;

const RADEON: [(&str, &str); 9] = [
    ("mem_info_vram_total", "25753026560"),
    ("mem_info_vram_used", "20000000000"),
    ("gpu_busy_percent", "87"),
    ("product_name", "AMD Instinct MI300X OAM"),
    ("hwmon/hwmon4/temp1_input", "54000"),
    ("hwmon/hwmon4/power1_average", "290000000"),
    ("hwmon/hwmon4/power1_cap", "750000000"),
    ("power/runtime_status", "active"),
    ("power/control", "on"),
];

fn no_nvidia() -> Machine {
    let machine = Machine::new(&devices(&[]));
    fs::remove_file(machine.path("libnvml.so")).expect("removed");
    machine
}

#[test]
fn a_card_of_amd_is_read_from_the_kernels_files() {
    let machine = no_nvidia();
    machine.put_card(0, "0000:c3:00.0", &RADEON);
    machine.write("sys/class/drm/card0-DP-1/status", "connected\n");
    let expected = Gpu {
        index: 0,
        uuid: "0000:c3:00.0".into(),
        name: "AMD Instinct MI300X OAM".into(),
        memory_used_bytes: 20_000_000_000,
        memory_total_bytes: 25_753_026_560,
        state: GpuState::Ok,
        utilisation_percent: Some(87),
        temperature_c: Some(54),
        power_mw: Some(290_000),
        power_limit_mw: Some(750_000),
        processes: None,
    };
    assert_eq!(machine.read(), Reading { gpus: vec![expected], status: GpuStatus::Ok });
}

#[test]
fn cards_of_amd_come_after_nvidias_in_the_order_of_the_bus() {
    let machine = Machine::new(&devices(&[device(0)]));
    machine.put_card(0, "0000:c3:00.0", &[("mem_info_vram_total", "7")]);
    machine.put_card(1, "0000:03:00.0", &[("mem_info_vram_total", "8")]);
    // Another driver's: it tells nothing.
    machine.put_card(2, "0000:04:00.0", &[]);
    let seen: Vec<_> =
        machine.read().gpus.into_iter().map(|g| (g.index, g.name, g.memory_total_bytes)).collect();
    let names = ["NVIDIA H100 80GB HBM3", "AMD GPU 0x744c", "AMD GPU 0x744c"].map(str::to_owned);
    let [a, b, c] = names;
    assert_eq!(seen, [(0, a, 81559 * MIB), (0, b, 8), (1, c, 7)]);
}

#[test]
fn a_sleeping_card_of_amd_is_not_read() {
    let machine = no_nvidia();
    machine.put_card(0, "0000:c3:00.0", &RADEON);
    let mut reader = machine.reader();
    reader.read();
    let folder = "sys/devices/pci0000:00/0000:c3:00.0";
    machine.write(&format!("{folder}/power/runtime_status"), "suspended\n");
    machine.write(&format!("{folder}/mem_info_vram_used"), "5\n");
    let reading = reader.read();
    let gpu = one(&reading);
    assert_eq!((gpu.state, gpu.memory_used_bytes), (GpuState::Suspended, 20_000_000_000));
    assert_eq!((gpu.name.as_str(), gpu.power_mw), ("AMD Instinct MI300X OAM", None));
    assert_eq!(one(&machine.read()).name, "AMD GPU 0x744c", "nothing is known of it yet");
}

#[test]
fn a_card_of_amd_that_does_not_answer_any_more_is_lost() {
    let machine = no_nvidia();
    machine.put_card(0, "0000:c3:00.0", &RADEON);
    let mut reader = machine.reader();
    reader.read();
    fs::remove_file(machine.path("sys/devices/pci0000:00/0000:c3:00.0/mem_info_vram_total"))
        .expect("removed");
    assert_eq!(one(&reader.read()).state, GpuState::Lost);
}

#[test]
fn nvidias_driver_is_missed_beside_a_card_of_amd_only_where_its_hardware_is() {
    let machine = no_nvidia();
    machine.put_card(0, "0000:c3:00.0", &RADEON);
    assert_eq!(machine.read().status, GpuStatus::Ok);
    machine.put_on_bus("0000:01:00.0", "active", "on");
    assert_eq!(machine.read().status, GpuStatus::NoDriver);
}

#[test]
fn garbage_in_the_kernels_files_is_no_figure() {
    let machine = no_nvidia();
    let files = [
        ("mem_info_vram_total", "17179869184"),
        ("mem_info_vram_used", "much"),
        ("gpu_busy_percent", "-1"),
        ("hwmon/hwmon4/temp1_input", "-5000"),
        ("hwmon/hwmon4/power1_input", ""),
    ];
    machine.put_card(0, "0000:c3:00.0", &files);
    let reading = machine.read();
    let gpu = one(&reading);
    assert_eq!((gpu.memory_used_bytes, gpu.memory_total_bytes), (0, 17_179_869_184));
    assert_eq!((gpu.utilisation_percent, gpu.temperature_c, gpu.power_mw), (None, None, None));
}
