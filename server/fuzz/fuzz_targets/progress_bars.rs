//! Progress bars, cut into frames anywhere: what comes out must not depend on the cuts.

#![no_main]

use fuzz::logs::{Cleaner, Splitter};
use fuzz::vllm::phases::PhaseTracker;
use libfuzzer_sys::fuzz_target;

/// Lines and the last progress, if the bytes come in frames of this size.
fn lines(data: &[u8], frame: usize) -> (Vec<Vec<u8>>, Option<Vec<u8>>) {
    let mut splitter = Splitter::default();
    let mut phases = PhaseTracker::default();
    let mut cleaner = Cleaner::default();
    let mut lines = Vec::new();
    for bytes in data.chunks(frame.max(1)) {
        splitter.push(0, bytes, |raw| lines.push(raw.bytes.to_vec()));
        if let Some(progress) = splitter.progress() {
            let _ = phases.progress(cleaner.clean(progress).0);
        }
    }
    let last = splitter.progress().map(<[u8]>::to_vec);
    splitter.finish(|raw| lines.push(raw.bytes.to_vec()));
    (lines, last)
}

fuzz_target!(|data: &[u8]| {
    let Some((size, data)) = data.split_first() else { return };
    assert_eq!(lines(data, usize::from(*size)), lines(data, data.len()), "cuts change what is read");
});
