//! Reads which GPUs a command asks for. In: values of `--gpus`, of devices and variables. Out: a text as `Gpus::parse` takes it.
//!
//! Sources: Docker's `opts/gpus.go` (fields of a CSV line: a count, `device=`, `capabilities=`, …); the CDI names of the
//! NVIDIA Container Toolkit (`nvidia.com/gpu=0`); CUDA's and the toolkit's variables.

use super::pasted::{Pasted, Why};
use crate::settings::Gpus;

/// More of them than a machine has.
const MOST: usize = 64;

/// `--gpus VALUE`.
pub(super) fn option(value: &str, out: &mut Pasted) {
    let mut devices: Vec<&str> = Vec::new();
    let mut count = None;
    let mut in_devices = false;
    for field in fields(value) {
        match field.split_once('=') {
            Some(("device", list)) => {
                devices.extend(list.split(',').map(str::trim));
                in_devices = true;
            }
            Some(("count", n)) => count = Some(n.trim()),
            Some(_) => in_devices = false,
            // `device=0,1` without its inner quotes: meant as one list.
            None if in_devices => devices.push(field.trim()),
            None => count = Some(field.trim()),
        }
    }
    match (devices.is_empty(), count.unwrap_or("all")) {
        (false, _) => set(&devices.join(","), "--gpus", out),
        (true, "all" | "-1") => out.gpus = Some("all".to_owned()),
        (true, count) => match count.parse::<usize>() {
            Ok(0) => out.gpus = Some("none".to_owned()),
            Ok(n) if n <= MOST => {
                out.leave(format!("--gpus {n}"), Why::GpuCount);
                out.gpus = Some((0..n).map(|i| i.to_string()).collect::<Vec<_>>().join(","));
            }
            _ => out.leave(format!("--gpus {value}"), Why::GpusUnclear),
        },
    }
}

/// The fields of a CSV line; a quoted one may hold commas.
fn fields(line: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut quoted = false;
    for field in line.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    }) {
        out.push(field.trim().trim_matches('"'));
    }
    out.retain(|f| !f.is_empty());
    out
}

/// `--device nvidia.com/gpu=WHICH`.
pub(super) fn device(which: &str, out: &mut Pasted) {
    match out.gpus.as_deref() {
        Some(before) if before != "all" && which != "all" => {
            let list = format!("{before},{which}");
            set(&list, "--device", out);
        }
        _ => set(which, "--device", out),
    }
}

/// A variable that hides GPUs.
pub(super) fn visible(name: &str, value: &str, inside: bool, out: &mut Pasted) {
    match (inside, out.gpus.as_deref()) {
        // Inside, CUDA counts those that the container has.
        (true, Some(given)) if given != "all" => out.leave(name, Why::GpusUnclear),
        _ if value == "void" => out.gpus = Some("none".to_owned()),
        _ => set(value, name, out),
    }
}

fn set(text: &str, what: &str, out: &mut Pasted) {
    match Gpus::parse(text) {
        Ok(gpus) => out.gpus = Some(gpus.to_string()),
        Err(_) => out.leave(format!("{what} {text}"), Why::GpusUnclear),
    }
}
