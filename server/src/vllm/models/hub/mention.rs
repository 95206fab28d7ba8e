//! Whether a text names a model: a word of a command line, a value, JSON. In: the text, a repository's name. Out: yes or no.
//!
//! Asked before something is deleted: rather once too often yes than once no.

/// Whether `text` names `repo` (`NAME` or `OWNER/NAME`), in any case: by itself, behind a `=`, within JSON, as a part of an
/// address or a path, or as the folder of a cache.
pub fn mentions(text: &str, repo: &str) -> bool {
    plainly(text, repo) || strings_of(text).iter().any(|inner| plainly(inner, repo))
}

fn plainly(text: &str, repo: &str) -> bool {
    let wanted: Vec<&str> = repo.split('/').collect();
    let folder = format!("models--{}", wanted.join("--"));
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    text.split(|c| !letter(c)).any(|word| {
        let parts: Vec<&str> = word.split('/').collect();
        let same = |of: &[&str]| of.iter().zip(&wanted).all(|(part, name)| part.eq_ignore_ascii_case(name));
        parts.windows(wanted.len()).any(same) || parts.iter().any(|part| part.eq_ignore_ascii_case(&folder))
    })
}

/// The strings of JSON in a text, as they are meant: a slash may be written `\\/` or `\\u002f`.
fn strings_of(text: &str) -> Vec<String> {
    let begin = text.find(['{', '[', '"']);
    let json = begin.and_then(|at| text.get(at..)).filter(|json| json.contains('\\'));
    let Some(json) = json else { return Vec::new() };
    let mut out = Vec::new();
    let mut rest = json;
    while let Some(at) = rest.find('"') {
        rest = &rest[at..];
        // A string of JSON ends at the first quote that nothing escapes.
        let mut parsed = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        match parsed.next() {
            Some(Ok(inner)) => {
                out.push(inner);
                rest = rest.get(parsed.byte_offset()..).unwrap_or_default();
            }
            _ => rest = rest.get(1..).unwrap_or_default(),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_found_wherever_it_is_named() {
        for text in [
            "org/x",
            "ORG/X",
            "--tokenizer=org/x",
            "org/x:Q4_K_M",
            r#"{"model":"org/x","num_speculative_tokens":3}"#,
            r#"--speculative-config={"method":"eagle","model":"org/x"}"#,
            r#"{"model":"org\/x"}"#,
            r#"{"model":"\u006frg/x"}"#,
            r#"[{"name":"a","path":"org/x"}]"#,
            "adapter=org/x",
            "https://huggingface.co/org/x/resolve/main/config.json",
            "/root/.cache/huggingface/hub/models--org--x/snapshots/abc",
            "a,org/x,b",
        ] {
            assert!(mentions(text, "org/x"), "{text}");
        }
        for text in
            ["", "org/xy", "myorg/x", "org/x-y", "x", "org", "models--org--xy", r#"{"model":"org/y"}"#, "\\"]
        {
            assert!(!mentions(text, "org/x"), "{text}");
        }
        assert!(mentions("--model=gpt2", "gpt2") && !mentions("gpt2-xl", "gpt2"));
    }
}
