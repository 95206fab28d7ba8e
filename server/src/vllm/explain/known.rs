//! What the calm lines of a run tell that helps to judge a failure: arguments, memory, own processes.

use super::facts::free_memory;
use super::numbers::{after, decimal, size, squeeze};
use super::rules::Message;
use app::model::Facts;

/// Bytes of the arguments that are kept.
const ARGUMENTS: usize = 12_000;
/// Processes that are kept.
const PROCESSES: usize = 64;

/// Numbers and settings of the run.
#[derive(Clone, Debug, Default)]
pub struct Known {
    arguments: String,
    pids: Vec<u32>,
    /// Memory of the device in all, in bytes.
    pub total: Option<u64>,
    /// The share of the device's memory that was asked for.
    pub share: Option<f64>,
    /// What was left for the KV cache, in bytes; less than nothing where the weights took more than the share.
    pub cache: Option<f64>,
}

impl Known {
    /// A process of this run.
    pub fn own(&mut self, pid: u32) {
        if !self.pids.contains(&pid) && self.pids.len() < PROCESSES {
            self.pids.push(pid);
        }
    }

    /// The processes of this run.
    pub fn pids(&self) -> &[u32] {
        &self.pids
    }

    /// `Started server process [13642]`.
    pub fn read_process(&mut self, message: &str) {
        let digits = after(message, "[").map(|rest| rest.trim_end_matches(|c: char| !c.is_ascii_digit()));
        if let Some(pid) = digits.and_then(|d| d.parse().ok()) {
            self.own(pid);
        }
    }

    /// `non-default args: {…}` or `args: Namespace(…)`.
    pub fn read_args(&mut self, message: &str) {
        self.arguments.clear();
        self.arguments.push_str(message.get(..message.floor_char_boundary(ARGUMENTS)).unwrap_or_default());
        if let Some(share) = self.argument("gpu_memory_utilization").and_then(|v| v.parse().ok()) {
            self.share = Some(share);
        }
    }

    /// `Available KV cache memory: -1.25 GiB`.
    pub fn read_cache(&mut self, message: &str) {
        let mut squeezed = String::new();
        squeeze(message, &mut squeezed);
        let value = after(&squeezed, "memory:").and_then(|rest| {
            let (value, _) = decimal(rest)?;
            let (bytes, _) = size(rest.trim_start_matches('-'))?;
            Some(if value < 0.0 { -(bytes as f64) } else { bytes as f64 })
        });
        self.cache = value.or(self.cache);
    }

    /// `Free memory on device cuda:0 (77.5/79.2 GiB) on startup. Desired GPU memory utilization is (0.9, 71.3 GiB).`
    pub fn read_free(&mut self, message: &str) {
        let mut squeezed = String::new();
        squeeze(message, &mut squeezed);
        let mut facts = Facts::default();
        free_memory(&Message { text: message, squeezed: &squeezed }, &mut facts);
        self.total = facts.total_bytes.or(self.total);
        self.share = after(&squeezed, "utilizationis(").and_then(decimal).map(|(v, _)| v).or(self.share);
    }

    /// `the current vLLM instance can use total_gpu_memory (79.15GiB) x gpu_memory_utilization (0.90) = 71.24GiB`.
    pub fn read_total(&mut self, message: &str) {
        let mut squeezed = String::new();
        squeeze(message, &mut squeezed);
        self.total = after(&squeezed, "total_gpu_memory(").and_then(size).map(|(n, _)| n).or(self.total);
        self.share = after(&squeezed, "utilization(").and_then(decimal).map(|(v, _)| v).or(self.share);
    }

    /// The arguments were printed: the log has the run's beginning.
    pub fn begun(&self) -> bool {
        !self.arguments.is_empty()
    }

    /// The value of an argument as it was printed, without quotes. `None` for Python's None.
    pub fn argument(&self, name: &str) -> Option<&str> {
        let text = &self.arguments;
        let rest = text.match_indices(name).find_map(|(at, _)| {
            let before = text.get(..at)?.chars().next_back();
            let rest = text.get(at + name.len()..)?;
            match before {
                Some('\'') => rest.strip_prefix("': "),
                Some(' ' | '(') => rest.strip_prefix('='),
                _ => None,
            }
        })?;
        let value = match rest.strip_prefix('\'') {
            Some(quoted) => quoted.get(..quoted.find('\'')?)?,
            None => rest.get(..rest.find([',', '}', ')']).unwrap_or(rest.len()))?.trim(),
        };
        (value != "None").then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_both_forms_are_found() {
        let mut known = Known::default();
        known.read_args("non-default args: {'model_tag': '/m', 'port': 11434, 'gpu_memory_utilization': 0.95, 'lora': None}");
        assert_eq!(known.argument("port"), Some("11434"));
        assert_eq!(known.argument("model_tag"), Some("/m"));
        assert_eq!(known.argument("lora"), None);
        assert_eq!(known.share, Some(0.95));
        known
            .read_args("args: Namespace(host=None, port=8000, model='org/name', gpu_memory_utilization=0.9)");
        assert_eq!(known.argument("port"), Some("8000"));
        assert_eq!(known.argument("model"), Some("org/name"));
        assert_eq!(known.argument("host"), None);
        assert_eq!(known.share, Some(0.9));
    }
}
