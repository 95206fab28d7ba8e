//! Where a model, a tokenizer or an adapter comes from. In: a text. Out: a repository, a folder, or neither.
//!
//! Source: huggingface_hub, `utils/_validators.py` (`validate_repo_id`). vLLM takes whatever is a folder for a folder first,
//! relative to where it runs, and expands `~`: so a text that is neither of the two is nobody's model.

use std::path::{Component, Path};

/// Longest part of a repository's name.
const LONGEST_PART: usize = 96;

/// Where something is loaded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `NAME` or `OWNER/NAME` on the Hugging Face hub, for GGUF with `:TAG` behind it.
    Repository,
    /// An absolute path without `..`.
    Folder,
}

/// What a text names; `None` for a relative path, `~`, an address, an option, or anything else.
pub fn source(text: &str) -> Option<Source> {
    if text.chars().any(char::is_control) {
        return None;
    }
    if text.starts_with('/') {
        let climbs = Path::new(text).components().any(|c| c == Component::ParentDir);
        return (!climbs).then_some(Source::Folder);
    }
    let (name, tag) = text.split_once(':').map_or((text, None), |(name, tag)| (name, Some(tag)));
    let mut parts = name.split('/');
    let whole = parts.by_ref().take(2).all(is_part) && parts.next().is_none();
    (whole && tag.is_none_or(is_part)).then_some(Source::Repository)
}

fn is_part(part: &str) -> bool {
    part.len() <= LONGEST_PART
        && part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && !part.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_and_an_absolute_path_are_sources_and_nothing_else_is() {
        for name in ["gpt2", "Qwen/Qwen2.5-7B-Instruct", "_org/x_y.z", "unsloth/Qwen3-8B-GGUF:Q4_K_M"] {
            assert_eq!(source(name), Some(Source::Repository), "{name}");
        }
        for path in ["/models/x", "/a b/ü"] {
            assert_eq!(source(path), Some(Source::Folder), "{path}");
        }
        let long = "x".repeat(97);
        for neither in [
            "",
            "..",
            "../x",
            "a/..",
            "a/../b",
            "./x",
            "a/./b",
            "~/x",
            "~root/x",
            "a/b/c",
            "a//b",
            "a/",
            "-x",
            "a/-x",
            "--host=0.0.0.0",
            "/a/../b",
            "s3://bucket/x",
            "https://h/x",
            "file:/x",
            "a b",
            "a/b:",
            "a/b:c/d",
            "a/b\n",
            "a\\b",
            &long,
        ] {
            assert_eq!(source(neither), None, "{neither:?}");
        }
    }
}
