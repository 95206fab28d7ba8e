//! The table of messages, by what they are about. Within one message the first rule that fits counts.
//!
//! Wordings come from vLLM's releases 0.6 to 0.32, PyTorch, transformers, huggingface_hub, safetensors, Ray, uvicorn, Docker,
//! containerd, systemd and the Linux kernel; the tests name the version of each that was seen.

mod machine;
mod memory;
mod model;
mod noise;
mod settings;

use super::rules::Rule;

/// All rules, the most telling first.
pub const ALL: [&[Rule]; 8] = [
    &noise::RULES,
    &machine::DISK,
    &memory::RULES,
    &settings::RULES,
    &model::RULES,
    &model::ARCHITECTURES,
    &machine::RULES,
    &settings::LATE,
];
