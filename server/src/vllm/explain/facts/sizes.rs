//! Memory and lengths.

use crate::vllm::explain::numbers::{
    after, between, decimal, integer, integer_after, size, size_after, size_pair,
};
use crate::vllm::explain::rules::Message;
use app::model::Facts;

/// A process in PyTorch's message, and what it holds in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number, as the driver sees it: inside a container not the number that it has there.
    pub pid: u32,
    /// What it holds.
    pub bytes: u64,
}

/// What PyTorch's allocator says when memory is short (`c10/cuda/CUDACachingAllocator.cpp`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shortage {
    /// What was tried to allocate.
    pub tried: Option<u64>,
    /// What was free.
    pub free: Option<u64>,
    /// What the device has.
    pub total: Option<u64>,
    /// What the process itself holds, where it could find itself in the driver's list.
    pub own: Option<u64>,
    /// What PyTorch allocated and reserved in the process.
    pub torch: Option<u64>,
    /// The processes of the driver's list that did not bear the process's own number.
    pub listed: Vec<Holder>,
}

/// A context, NCCL and graphs may hold this much beside PyTorch's own allocations.
const BESIDE_TORCH: u64 = 4 << 30;

impl Shortage {
    /// Reads the squeezed message; empty where it is another one.
    pub fn read(text: &str) -> Self {
        let mut found = Self {
            tried: size_after(text, "triedtoallocate"),
            free: size_after(text, "ofwhich").or_else(|| size_before(text, "free;")),
            total: size_after(text, "totalcapacityof").or_else(|| size_after(text, "totalcapactyof")),
            own: size_after(text, "thisprocesshas"),
            torch: None,
            listed: Vec::new(),
        };
        if found.total.is_none() {
            // PyTorch before 2.1: `(GPU 0; 44.56 GiB total capacity; 27.91 GiB already allocated; 565.31 MiB free; …)`.
            found.total = size_before(text, "totalcapacity;");
            found.torch = size_before(text, "reservedintotalbypytorch");
        }
        if let Some(allocated) = size_after(text, "oftheallocatedmemory") {
            let reserved = after(text, "isallocatedbypytorch").and_then(|t| size_after(t, "and"));
            found.torch = Some(allocated + reserved.unwrap_or(0));
        }
        let mut rest = text;
        while let Some(next) = after(rest, "process")
            && found.listed.len() < 32
        {
            rest = next;
            if let Some((pid, tail)) = integer(next)
                && let Some(tail) = tail.strip_prefix("has")
                && let Some((bytes, _)) = size(tail)
                && let Ok(pid) = u32::try_from(pid)
            {
                found.listed.push(Holder { pid, bytes });
            }
        }
        found
    }

    /// The processes that are not this vLLM. `own` are numbers that its log names as its own.
    ///
    /// In a container PyTorch does not find itself in the driver's list, and names itself as if it were another process:
    /// then the one that holds about what PyTorch counts is this one.
    pub fn others(&self, own: &[u32]) -> Vec<Holder> {
        let mut others: Vec<Holder> = self.listed.iter().copied().filter(|h| !own.contains(&h.pid)).collect();
        if self.own.is_none()
            && others.len() == self.listed.len()
            && let Some(torch) = self.torch
        {
            let itself = others
                .iter()
                .enumerate()
                .filter(|(_, h)| {
                    h.bytes + (64 << 20) >= torch && h.bytes <= torch.saturating_add(BESIDE_TORCH)
                })
                .min_by_key(|(_, h)| h.bytes.abs_diff(torch))
                .map(|(at, _)| at);
            if let Some(at) = itself {
                others.remove(at);
            }
        }
        others
    }
}

/// The size that ends where `anchor` begins.
fn size_before(text: &str, anchor: &str) -> Option<u64> {
    let head = text.get(..text.find(anchor)?)?;
    let start = head.rfind([';', '(', '.', ',']).map_or(0, |at| at + 1);
    // A decimal point is no border: look on to the left over digits.
    let start = match head.get(..start) {
        Some(left) if left.ends_with('.') => {
            start - 1 - left.trim_end_matches('.').bytes().rev().take_while(u8::is_ascii_digit).count()
        }
        _ => start,
    };
    size(head.get(start..)?).map(|(n, _)| n)
}

/// PyTorch's shortage: needed, available, total.
pub fn oom(message: &Message<'_>, facts: &mut Facts) {
    let found = Shortage::read(message.squeezed);
    facts.needed_bytes = found.tried;
    facts.available_bytes = found.free;
    facts.total_bytes = found.total;
    if let Some(device) = integer_after(message.squeezed, "gpu").filter(|n| *n < 256) {
        facts.subject = Some(format!("GPU {device}"));
    }
}

/// `Free memory on device cuda:0 (11.87/79.19 GiB) on startup is less than desired GPU memory utilization (0.9, 71.27 GiB)`.
pub fn free_memory(message: &Message<'_>, facts: &mut Facts) {
    let Some(rest) = after(message.squeezed, "freememoryondevice") else { return };
    if let Some(device) =
        rest.find('(').and_then(|at| rest.get(..at)).filter(|d| !d.is_empty() && d.len() < 20)
    {
        facts.subject = Some(device.to_owned());
    }
    let Some((free, total, rest)) = after(rest, "(").and_then(size_pair) else { return };
    facts.available_bytes = Some(free);
    facts.total_bytes = Some(total);
    if let Some((share, rest)) = after(rest, "utilization(").and_then(decimal) {
        facts.value = Some(share.to_string());
        facts.needed_bytes = rest.strip_prefix(',').and_then(size).map(|(n, _)| n);
    } else {
        facts.needed_bytes = after(rest, "budget").and_then(|r| after(r, "(")).and_then(size).map(|(n, _)| n);
    }
}

/// `Error in memory profiling. Initial free memory a GiB, current free memory b GiB.`
pub fn profiling(message: &Message<'_>, facts: &mut Facts) {
    facts.available_bytes = size_after(message.squeezed, "initialfreememory");
}

/// `Available memory on node 0 (15.04/18.09 GiB) on startup is less than requested memory for kv (4000.0 GiB)`.
pub fn cpu_kv(message: &Message<'_>, facts: &mut Facts) {
    let Some(rest) = after(message.squeezed, "availablememoryonnode") else { return };
    if let Some((node, _)) = integer(rest) {
        facts.subject = Some(format!("node {node}"));
    }
    if let Some((free, total, rest)) = after(rest, "(").and_then(size_pair) {
        facts.available_bytes = Some(free);
        facts.total_bytes = Some(total);
        // `desired CPU memory utilization (0.99, 18.9 GiB)`: the share, then what it is.
        let desired = after(rest, "utilization(");
        facts.value = desired.and_then(decimal).map(|(share, _)| share.to_string());
        facts.needed_bytes = size_after(rest, "forkv(")
            .or_else(|| desired.and_then(|d| size_after(d, ",")))
            .or_else(|| size_after(rest, "("));
    }
}

/// The length that was asked for, the cache that it needs, the cache there is, and the length that fits.
pub fn kv_length(message: &Message<'_>, facts: &mut Facts) {
    let text = message.squeezed;
    facts.asked_tokens = integer_after(text, "maxseqlen(");
    facts.possible_tokens = integer_after(text, "estimatedmaximummodellengthis")
        .or_else(|| integer_after(text, "storedinkvcache("))
        .filter(|n| *n > 0);
    facts.available_bytes = size_after(text, "availablekvcachememory(");
    facts.needed_bytes = after(text, "maxseqlen(")
        .and_then(|rest| {
            let (_, rest) = integer(rest)?;
            let rest = rest.trim_start_matches([')', ',', '(']);
            size(rest)
        })
        .map(|(n, _)| n);
}

/// `User-specified max_model_len (100000) is greater than the derived max_model_len (max_position_embeddings=2048.0 or …)`.
pub fn max_length(message: &Message<'_>, facts: &mut Facts) {
    let text = message.squeezed;
    facts.asked_tokens =
        integer_after(text, "user-specifiedmax_model_len(").or_else(|| integer_after(text, "max_model_len("));
    let Some(derived) = after(text, "derivedmax_model_len(") else { return };
    // The first number inside the bracket: `2048`, `max_position_embeddings=2048.0`, `max_model_len=32768`.
    let inside = derived.get(..derived.find(')').unwrap_or(derived.len())).unwrap_or(derived);
    let digits = inside.find(|c: char| c.is_ascii_digit());
    facts.possible_tokens =
        digits.and_then(|at| inside.get(at..)).and_then(integer).map(|(n, _)| n).filter(|n| *n > 0);
}

/// What a process of the host asked for, or what was left.
pub fn host_memory(message: &Message<'_>, facts: &mut Facts) {
    let text = message.squeezed;
    facts.needed_bytes = size_after(text, "triedtoallocate");
    if let Some((used, total)) = between(text, "memoryusage/total)of", "(").and_then(|t| {
        let (used, rest) = size(t)?;
        let (total, _) = size(rest.strip_prefix('/')?)?;
        Some((used, total))
    }) {
        facts.total_bytes = Some(total);
        facts.available_bytes = Some(total.saturating_sub(used));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vllm::explain::numbers::squeeze;

    fn shortage(text: &str) -> Shortage {
        let mut squeezed = String::new();
        squeeze(text, &mut squeezed);
        Shortage::read(&squeezed)
    }

    const fn gib(n: u64) -> u64 {
        n << 30
    }

    #[test]
    fn pytorch_before_2_1_is_read() {
        let found = shortage(
            "CUDA out of memory. Tried to allocate 1.50 GiB (GPU 0; 44.50 GiB total capacity; 27.50 GiB already allocated; 512.00 MiB free; 28.00 GiB reserved in total by PyTorch)",
        );
        assert_eq!(found.tried, Some(gib(3) / 2));
        assert_eq!(found.total, Some(gib(89) / 2));
        assert_eq!(found.free, Some(gib(1) / 2));
        assert_eq!(found.torch, Some(gib(28)));
    }

    #[test]
    fn in_a_container_the_process_that_holds_what_pytorch_counts_is_this_one() {
        let found = shortage(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 80.00 GiB of which 1.00 GiB is free. Process 111 has 30.00 GiB memory in use. Process 222 has 49.00 GiB memory in use. Of the allocated memory 47.00 GiB is allocated by PyTorch, and 1.00 GiB is reserved by PyTorch but unallocated.",
        );
        assert_eq!(found.others(&[]), [Holder { pid: 111, bytes: gib(30) }]);
        assert_eq!(
            found.others(&[111]),
            [Holder { pid: 222, bytes: gib(49) }],
            "the log names 111 as its own"
        );
    }

    #[test]
    fn where_it_found_itself_all_listed_ones_are_others() {
        let found = shortage(
            "Tried to allocate 2.00 GiB. GPU 1 has a total capacity of 80.00 GiB of which 1.00 GiB is free. Process 7 has 30.00 GiB memory in use. Including non-PyTorch memory, this process has 49.00 GiB memory in use. Of the allocated memory 30.00 GiB is allocated by PyTorch",
        );
        assert_eq!(found.own, Some(gib(49)));
        assert_eq!(found.others(&[]), [Holder { pid: 7, bytes: gib(30) }]);
    }
}
