//! One line about one request, in the wordings of V0 and V1.

use crate::vllm::kind::placed;

/// Longest id and longest word of a failure that is kept.
const ID: usize = 200;
const WHY: usize = 200;

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub enum About<'a> {
    /// It came, or more is said of what came.
    Received {
        id: &'a str,
        details: Details,
    },
    /// The engine took it.
    Added {
        id: &'a str,
    },
    /// Something was answered.
    Generated {
        id: &'a str,
        tokens: Option<u64>,
        end: End<'a>,
    },
    Finished {
        id: &'a str,
    },
    /// One or several, with commas.
    Aborted {
        ids: &'a str,
    },
    Failed {
        id: &'a str,
        why: &'a str,
    },
}

/// Whether an answer is the last.
#[derive(Debug, PartialEq, Eq)]
pub enum End<'a> {
    /// More follows.
    Open,
    /// It is, and why where that is told.
    Reason(Option<&'a str>),
}

/// What is said of a request that came.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Details {
    pub prompt_tokens: Option<u64>,
    pub parameters: Vec<(&'static str, String)>,
    pub adapter: Option<String>,
}

/// Reads a line.
pub fn read(text: &str) -> Option<About<'_>> {
    let (_, message) = placed(text);
    let (verb, rest) = message.split_once(' ')?;
    let (noun, rest) = rest.split_once(' ')?;
    // The id is a word, or all that is left but a full stop.
    let short = |id: &&str| (1..=ID).contains(&id.len());
    let word = rest.get(..rest.find([' ', ':']).unwrap_or(rest.len())).filter(short);
    let dotted = Some(rest.strip_suffix('.').unwrap_or(rest)).filter(short);
    match (verb, noun) {
        ("Received", "request") => {
            let id = word?;
            Some(About::Received { id, details: details(rest.get(id.len()..)?) })
        }
        ("Added", "request") => Some(About::Added { id: dotted? }),
        ("Finished", "request") => Some(About::Finished { id: dotted? }),
        ("Aborted", "request" | "request(s)") => {
            Some(About::Aborted { ids: rest.strip_suffix('.').unwrap_or(rest) })
        }
        ("Generated", "response") => {
            let id = word?;
            let rest = rest.get(id.len()..)?;
            let delta = rest.starts_with(" (streaming delta)");
            let tokens = field(rest, ", output_token_ids: ").and_then(count);
            let reason = field(rest, ", finish_reason: ").map(|r| r.trim_end_matches('.'));
            let told = reason.filter(|r| !matches!(*r, "None" | "streaming_complete" | ""));
            let end = if delta && told.is_none() { End::Open } else { End::Reason(told) };
            Some(About::Generated { id, tokens, end })
        }
        ("Request", id) if id.len() <= ID => {
            if rest.starts_with("aborted") {
                Some(About::Aborted { ids: id })
            } else if rest.starts_with("failed") || rest.starts_with("was rejected") {
                let why = rest.get(..rest.floor_char_boundary(WHY))?.trim_end_matches('.');
                Some(About::Failed { id, why })
            } else {
                let rest = rest.strip_prefix("details")?;
                Some(About::Received { id, details: details(rest) })
            }
        }
        _ => None,
    }
}

/// What follows the last mention of a field: what a prompt says comes before all that vLLM says.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.rfind(name).and_then(|at| text.get(at + name.len()..))
}

/// How many numbers a list at the start has; `None` for no list.
fn count(text: &str) -> Option<u64> {
    let inside = text.strip_prefix('[').or_else(|| text.strip_prefix('('))?;
    let (inside, _) = inside.split_once([']', ')'])?;
    let numbers = inside.split(',').filter(|part| !part.trim().is_empty()).count();
    u64::try_from(numbers).ok()
}

fn details(rest: &str) -> Details {
    let tokens = [", prompt_token_ids: ", ", prompt token ids: "];
    let prompt_tokens = tokens.iter().find_map(|name| field(rest, name)).and_then(count);
    let adapter = field(rest, "lora_request: ")
        .and_then(|text| text.strip_prefix("LoRARequest("))
        .and_then(|text| text.split_once("lora_name='"))
        .and_then(|(_, name)| name.split_once('\''))
        .map(|(name, _)| name.chars().take(ID).collect());
    Details {
        // An empty list is what old versions print where they were given text.
        prompt_tokens: prompt_tokens.filter(|n| *n > 0),
        parameters: field(rest, "SamplingParams(").map(parameters).unwrap_or_default(),
        adapter,
    }
}

/// The parameters that say most of a request.
fn parameters(text: &str) -> Vec<(&'static str, String)> {
    // Before the texts that end an answer, which a client writes; and behind them.
    const BEFORE: [(&str, &[&str]); 5] = [
        ("n", &["1"]),
        ("temperature", &[]),
        ("top_p", &["1.0", "1"]),
        ("top_k", &["0", "-1"]),
        ("seed", &["None"]),
    ];
    const BEHIND: [(&str, &[&str]); 3] =
        [("ignore_eos", &["False"]), ("max_tokens", &["None"]), ("min_tokens", &["0"])];
    let value = |at: Option<usize>| {
        let rest = text.get(at?..)?;
        let value = rest.get(..rest.find([',', ')'])?)?;
        (value.len() <= 30 && !value.is_empty()).then_some(value)
    };
    let after = |at: usize, name: &str| at + name.len() + 3;
    let before = BEFORE.iter().map(|(name, usual)| {
        let first = text.strip_prefix(*name).is_some_and(|rest| rest.starts_with('='));
        let at = if first {
            Some(name.len() + 1)
        } else {
            text.find(&format!(", {name}=")).map(|at| after(at, name))
        };
        (*name, *usual, value(at))
    });
    let behind = BEHIND.iter().map(|(name, usual)| {
        (*name, *usual, value(text.rfind(&format!(", {name}=")).map(|at| after(at, name))))
    });
    before
        .chain(behind)
        .filter_map(|(name, usual, value)| Some((name, value.filter(|v| !usual.contains(v))?.to_owned())))
        .collect()
}

/// An id without the eight hexadecimal digits that newer engines add.
pub fn without_suffix(id: &str) -> Option<&str> {
    let (head, tail) = id.rsplit_once('-')?;
    (tail.len() == 8 && tail.bytes().all(|b| b.is_ascii_hexdigit()) && !head.is_empty()).then_some(head)
}

/// `1_cmpl-…`: the second of several answers to one request.
pub fn without_index(id: &str) -> Option<&str> {
    let (head, tail) = id.split_once('_')?;
    (head.len() <= 4 && !head.is_empty() && head.bytes().all(|b| b.is_ascii_digit())).then_some(tail)
}
