//! Texts without their secrets, for files and for the page: command lines, addresses, JSON. Whatever shows settings goes
//! through here.

/// What stands in the place of a secret.
const HIDDEN: &str = "…";
/// Words of a flag's or variable's name that mean: its value is nobody's business.
const WORDS: [&str; 17] = [
    "key",
    "keys",
    "apikey",
    "token",
    "secret",
    "secrets",
    "password",
    "passwords",
    "passwd",
    "passphrase",
    "pwd",
    "credential",
    "credentials",
    "authorization",
    "bearer",
    "cookie",
    "signature",
];
/// Words that mean so only as the last of a name.
const LAST: [&str; 3] = ["auth", "pass", "sig"];
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
                    _ => hidden(arg),
                };
            }
            if hiding {
                return HIDDEN.to_owned();
            }
            match arg.split_once('=') {
                Some((name, _)) if is_name(name) && secret(name) => format!("{name}={HIDDEN}"),
                _ => hidden(arg),
            }
        })
        .collect()
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// A text without the secrets that stand in it by their form: the user of an address, values in JSON and in addresses whose
/// names say that they are secret, tokens of Hugging Face.
pub fn hidden(text: &str) -> String {
    hide_tokens(&hide_members(&hide_parameters(&hide_users(text))))
}

fn secret(name: &str) -> bool {
    let name = name.trim_start_matches('-');
    let mut words = String::with_capacity(name.len() + 4);
    let letters: Vec<char> = name.chars().collect();
    for (at, c) in letters.iter().enumerate() {
        // `apiKey` is `api-key`, and `DBPassword` is `db-password`.
        let before = at.checked_sub(1).and_then(|before| letters.get(before));
        let small = before.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let ends = before.is_some_and(char::is_ascii_uppercase)
            && letters.get(at + 1).is_some_and(char::is_ascii_lowercase);
        if c.is_ascii_uppercase() && (small || ends) {
            words.push('-');
        }
        words.push(if *c == '_' { '-' } else { c.to_ascii_lowercase() });
    }
    let parts: Vec<&str> =
        words.split(['-', '.']).map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit())).collect();
    // Of a model's tokens the numbers are no secrets: `eos_token_id`.
    let number = matches!(parts.as_slice(), [.., "token", "id" | "ids"]);
    let last = parts.last().is_some_and(|word| LAST.contains(word));
    !number && !HARMLESS.contains(&words.as_str()) && (last || parts.iter().any(|word| WORDS.contains(word)))
}

/// `scheme://user:password@host` without what stands before the `@`.
fn hide_users(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, behind) = rest.split_at(at + 3);
        out.push_str(before);
        let end = behind
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '<' | '>'))
            .unwrap_or(behind.len());
        let (authority, after) = behind.split_at(end);
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                out.push_str(HIDDEN);
                out.push('@');
                out.push_str(host);
            }
            None => out.push_str(authority),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Values of JSON keys (`"api_key": "…"`) whose names say that they are secret, also of JSON within a string (`\"api_key\"`).
fn hide_members(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('"') {
        let (before, from) = rest.split_at(at);
        let escapes = before.len() - before.trim_end_matches('\\').len();
        let quote = format!("{}\"", &before[before.len() - escapes..]);
        out.push_str(before);
        out.push('"');
        rest = &from[1..];
        // Whether it is a key's first quote: a name, the same quote, a colon.
        let key = rest.split_once(&quote).filter(|(name, _)| {
            // A letter may be written as `\u005f`.
            let meant: Option<String> =
                if name.contains("\\u") { serde_json::from_str(&format!("\"{name}\"")).ok() } else { None };
            let name: &str = meant.as_deref().unwrap_or(name);
            is_name(name) && secret(name)
        });
        let Some((_, behind)) = key else {
            continue;
        };
        let Some(value) = behind.trim_start().strip_prefix(':').map(str::trim_start) else { continue };
        if value.is_empty() {
            continue;
        }
        out.push_str(&rest[..rest.len() - value.len()]);
        rest = match value.strip_prefix(&quote) {
            Some(inner) => {
                out.push_str(&format!("{quote}{HIDDEN}{quote}"));
                if escapes == 0 {
                    &value[string_end(value).unwrap_or(value.len())..]
                } else {
                    &inner[escaped_end(inner, escapes)..]
                }
            }
            None => {
                out.push_str(HIDDEN);
                &value[value_end(value)..]
            }
        };
    }
    out.push_str(rest);
    out
}

/// Parameters of addresses, `?name=value&name=value`.
fn hide_parameters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['?', '&']) {
        let (before, behind) = rest.split_at(at + 1);
        out.push_str(before);
        rest = behind;
        let end = behind.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')));
        let (name, value) = behind.split_at(end.unwrap_or(behind.len()));
        let Some(value) = value.strip_prefix('=') else { continue };
        if secret(name) {
            let end = value
                .find(|c: char| c.is_whitespace() || matches!(c, '&' | '#' | '"' | '\'' | '<' | '>'))
                .unwrap_or(value.len());
            out.push_str(name);
            out.push('=');
            out.push_str(HIDDEN);
            rest = &value[end..];
        }
    }
    out.push_str(rest);
    out
}

/// Behind the quote that has exactly so many backslashes before it: more of them belong to a quote within.
fn escaped_end(text: &str, escapes: usize) -> usize {
    let mut slashes = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'\\' => slashes += 1,
            b'"' if slashes == escapes => return at + 1,
            _ => slashes = 0,
        }
    }
    text.len()
}

/// Behind the closing quote of a JSON string that begins here.
fn string_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Where a JSON value ends that begins here: a string, a list or an object as a whole, anything else up to the next sign.
fn value_end(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'"' => {
                at += text.get(at..).and_then(string_end).unwrap_or(text.len() - at);
                if depth == 0 {
                    return at.min(text.len());
                }
                continue;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth == 0 => return at,
            b']' | b'}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            b',' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    text.len()
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
    fn secrets_in_json_and_in_addresses_are_hidden_and_the_rest_stays() {
        for (given, want) in [
            (r#"{"model":"o/d","api_key":"s3cr3t","n":5}"#, r#"{"model":"o/d","api_key":"…","n":5}"#),
            (r#"{"a": {"accessToken" : "x\"y", "b": [1]}}"#, r#"{"a": {"accessToken" : "…", "b": [1]}}"#),
            (r#"{"secret":["a","b"],"c":1}"#, r#"{"secret":…,"c":1}"#),
            (r#"{"passwords":1,"password":{"x":"y"}}"#, r#"{"passwords":…,"password":…}"#),
            (
                r#"{"api_keys":["a"],"DBPassword":"x","api_key2":"y"}"#,
                r#"{"api_keys":…,"DBPassword":"…","api_key2":"…"}"#,
            ),
            (
                r#"{"secret_id":"x","auth":"y","pass_config":{"a":1}}"#,
                r#"{"secret_id":"…","auth":"…","pass_config":{"a":1}}"#,
            ),
            (r#"{"a":"{\"api_key\":\"x\\\"REST\",\"b\":1}"}"#, r#"{"a":"{\"api_key\":\"…\",\"b\":1}"}"#),
            (r#"{"api\u005fkey":"x"}"#, r#"{"api\u005fkey":"…"}"#),
            ("http://u:pa,ss@h and http://u:pa'ss@h", "http://…@h and http://…@h"),
            ("https://b/x?X-Amz-Signature=abc&sig=d", "https://b/x?X-Amz-Signature=…&sig=…"),
            (
                r#"--kv-transfer-config={"password":12,"port":1}"#,
                r#"--kv-transfer-config={"password":…,"port":1}"#,
            ),
            (
                r#"{"eos_token_id":2,"max_num_batched_tokens":8}"#,
                r#"{"eos_token_id":2,"max_num_batched_tokens":8}"#,
            ),
            (r#"{"api_key":"cut"#, r#"{"api_key":"…""#),
            (r#"{"a":"{\"api_key\":\"x\"}"}"#, r#"{"a":"{\"api_key\":\"…\"}"}"#),
            (r#"{"url":"http://h?token=x&y=1"}"#, r#"{"url":"http://h?token=…&y=1"}"#),
            (r#"a " and {"api_key":"x"}"#, r#"a " and {"api_key":"…"}"#),
            ("tcp://u:P@h:2375", "tcp://…@h:2375"),
            ("http://a@b@h/x and s3://K:S@bucket/y", "http://…@h/x and s3://…@bucket/y"),
            ("https://h/p?x=1&api_key=abc&y=2#z", "https://h/p?x=1&api_key=…&y=2#z"),
            ("http://h/a@b", "http://h/a@b"),
            ("git@host:x", "git@host:x"),
        ] {
            assert_eq!(hidden(given), want);
            assert_eq!(hidden(want), want, "hidden once");
        }
        assert_eq!(redact(["--otlp", "http://u:p@h"]), ["--otlp", "http://…@h"]);
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it_and_no_planted_secret_stays(text in "[ -~é\"{}:,?&=/@]{0,60}") {
            hidden(&text);
            let planted = format!("{{\"a\":\"x\",\"api_key\":\"PLANTED\"}} http://PLANTED:x@h/?token=PLANTED {text}");
            proptest::prop_assert!(!hidden(&planted).contains("PLANTED"));
        }
    }

    #[test]
    fn a_long_command_is_cut() {
        assert_eq!(shorten(&["ab".into(), "c\nd".into()], 10), "ab c d");
        assert_eq!(shorten(&["abcdefghij".into(), "k".into()], 5), "abcd…");
    }
}
