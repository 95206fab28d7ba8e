//! The header of a safetensors file: as it comes, and with its length put right, so that its JSON is reached.

#![no_main]

use fuzz::vllm::plan::safetensors::header_bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    check(data);
    let mut file = (data.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(data);
    file.resize(file.len() + 4096, 0);
    check(&file);
});

/// What is believed of a file must be within it.
fn check(file: &[u8]) {
    if let Ok(header) = header_bytes(file) {
        let length = file.len() as u64;
        assert!(
            header.data_bytes <= length && header.half * 2 + header.single * 4 + header.other_bytes <= length
        );
    }
}
