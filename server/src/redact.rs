//! Commands without their secrets, for files and for the page.

/// What stands in the place of a secret.
const HIDDEN: &str = "…";
/// Words of a flag's or variable's name that mean: its value is nobody's business.
const WORDS: [&str; 6] = ["key", "token", "secret", "password", "passwd", "credential"];
/// Flags whose names hold such a word and whose values are no secrets: paths of files.
const HARMLESS: [&str; 3] = ["ssl-keyfile", "ssl-key-file", "key-file"];

/// The arguments with the values of secret flags hidden: `--api-key A B`, `--api-key=A`, `HF_TOKEN=A`, `hf_…`.
pub fn redact<S: AsRef<str>>(args: impl IntoIterator<Item = S>) -> Vec<String> {
    let mut hiding = false;
    args.into_iter()
        .map(|arg| {
            let arg = arg.as_ref();
            if let Some(flag) = arg.strip_prefix('-') {
                let (name, value) = flag.split_once('=').map_or((flag, None), |(n, v)| (n, Some(v)));
                // vLLM takes several keys behind one flag, so hiding goes on to the next flag.
                hiding = secret(name);
                return match value {
                    Some(_) if hiding => format!("-{name}={HIDDEN}"),
                    _ => hide_tokens(arg),
                };
            }
            if hiding {
                return HIDDEN.to_owned();
            }
            match arg.split_once('=') {
                Some((name, _)) if is_name(name) && secret(name) => format!("{name}={HIDDEN}"),
                _ => hide_tokens(arg),
            }
        })
        .collect()
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn secret(name: &str) -> bool {
    let name = name.trim_start_matches('-').to_ascii_lowercase().replace('_', "-");
    !HARMLESS.contains(&name.as_str()) && name.split(['-', '.']).any(|word| WORDS.contains(&word))
}

/// Hugging Face tokens wherever they stand.
fn hide_tokens(arg: &str) -> String {
    let mut out = String::with_capacity(arg.len());
    let mut rest = arg;
    while let Some(at) = rest.find("hf_") {
        let (before, from) = rest.split_at(at);
        let end = from[3..].find(|c: char| !c.is_ascii_alphanumeric()).map_or(from.len(), |n| n + 3);
        out.push_str(before);
        out.push_str(if end >= 23 { HIDDEN } else { &from[..end] });
        rest = &from[end..];
    }
    out.push_str(rest);
    out
}

/// One line for people, at most `limit` characters.
pub fn shorten(args: &[String], limit: usize) -> String {
    let line: String =
        args.join(" ").chars().map(|c| if c.is_control() { ' ' } else { c }).take(limit + 1).collect();
    if line.chars().count() > limit { line.chars().take(limit - 1).chain(['…']).collect() } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secret_flags_are_hidden_and_others_stay() {
        let given = [
            "serve",
            "m",
            "--api-key",
            "one",
            "two",
            "--port",
            "8000",
            "--api_key=three",
            "--hf-token",
            "four",
            "--max-num-batched-tokens",
            "2048",
            "--tokenizer",
            "t",
            "--ssl-keyfile",
            "k.pem",
        ];
        let want = [
            "serve",
            "m",
            "--api-key",
            "…",
            "…",
            "--port",
            "8000",
            "--api_key=…",
            "--hf-token",
            "…",
            "--max-num-batched-tokens",
            "2048",
            "--tokenizer",
            "t",
            "--ssl-keyfile",
            "k.pem",
        ];
        assert_eq!(redact(given), want);
    }

    #[test]
    fn variables_and_tokens_in_arguments_are_hidden() {
        assert_eq!(redact(["env", "HF_TOKEN=abc", "A=b"]), ["env", "HF_TOKEN=…", "A=b"]);
        assert_eq!(redact(["--x=hf_abcdefghijklmnopqrstuvwxyz/y", "hf_short"]), ["--x=…/y", "hf_short"]);
    }

    #[test]
    fn a_long_command_is_cut() {
        assert_eq!(shorten(&["ab".into(), "c\nd".into()], 10), "ab c d");
        assert_eq!(shorten(&["abcdefghij".into(), "k".into()], 5), "abcd…");
    }
}
