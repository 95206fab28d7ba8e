//! A whole log → its causes. Whatever it is, it is explained, and the explanation can be written.

#![no_main]

use fuzz::vllm::explain::explain;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let explanation = explain(data).expect("memory can be read");
    serde_json::to_string(&explanation).expect("an explanation can be written");
});
