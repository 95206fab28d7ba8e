//! Python tracebacks, in pieces: a failure's traceback is the common way in and its own end. Those
//! before `no_gpu` are recorded, the rest are composed after vLLM's source.

/// The piece called `name`, without its final newline.
pub fn piece(name: &str) -> &'static str {
    include_str!("../../fixtures/tracebacks.txt")
        .split("=== ")
        .find_map(|section| section.strip_prefix(name)?.strip_prefix('\n'))
        .map(|text| text.trim_end_matches('\n'))
        .unwrap_or_default()
}

/// Several pieces, one after the other.
pub fn joined(names: &[&str]) -> String {
    names.iter().map(|name| piece(name)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_to_the_recorded_traceback() {
        let whole = joined(&["serve", "client", "bad_model_path"]);
        assert!(whole.starts_with("Traceback (most recent call last):\n"));
        assert!(whole.contains("run_server_worker(listen_address"));
        assert!(whole.ends_with("'{model}'. Use `repo_type` argument if needed."));
        assert_eq!(piece("no such piece"), "");
    }
}
