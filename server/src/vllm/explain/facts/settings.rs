//! Flags and values.

use super::text::{body, clip, quoted};
use crate::vllm::explain::numbers::{after, between, distance, integer_after};
use crate::vllm::explain::rules::Message;
use app::model::Facts;

/// The flags of `vllm serve` 0.32.0, one a line.
const FLAGS: &str = include_str!("../flags.txt");

/// The flag that was probably meant, if one is near.
pub fn nearest_flag(flag: &str) -> Option<&'static str> {
    let asked = flag.split('=').next().unwrap_or(flag).replace('_', "-");
    let limit = (asked.len() / 6).clamp(1, 3);
    FLAGS
        .lines()
        .map(|known| (distance(&asked, known, limit), known))
        .filter(|(edits, known)| *edits <= limit && *known != asked)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, known)| known)
}

/// `error: unrecognized arguments: --no-such-flag 1`, `error: ambiguous option: --max could match --max-model-len, …`.
pub fn unknown_argument(message: &Message<'_>, facts: &mut Facts) {
    if let Some(rest) = after(message.text, "ambiguous option: ") {
        facts.subject = rest.split_whitespace().next().and_then(clip);
        facts.allowed = after(rest, "could match ").and_then(clip);
        return;
    }
    let Some(rest) = after(message.text, "arguments:")
        .or_else(|| after(message.text, "option:"))
        .or_else(|| after(message.text, "flag:"))
    else {
        return;
    };
    let mut words = rest.split_whitespace();
    let flag = rest.split_whitespace().find(|w| w.starts_with('-')).or_else(|| words.next());
    let Some(flag) = flag else { return };
    facts.subject = clip(flag.split('=').next().unwrap_or(flag));
    facts.allowed = nearest_flag(flag).map(str::to_owned);
}

/// `error: argument --port: invalid int value: 'abc'`.
pub fn argparse(message: &Message<'_>, facts: &mut Facts) {
    let Some(rest) = after(message.text, "error: argument ") else { return };
    let (names, what) = rest.split_once(": ").unwrap_or((rest, ""));
    // `--tensor-parallel-size/-tp`: the long name.
    let flag = names.split(['/', ',']).map(str::trim).find(|n| n.starts_with("--")).unwrap_or(names);
    facts.subject = clip(flag);
    facts.value = quoted(what).and_then(clip).or_else(|| {
        let value = after(what, "Value ")?;
        clip(value.get(..value.find(" cannot be")?)?)
    });
    facts.allowed = match between(what, "(choose from ", ")") {
        Some(list) => choices(list),
        None if what.contains("invalid int value") => Some("a whole number".to_owned()),
        None if what.contains("invalid float value") => Some("a number".to_owned()),
        None if what.contains("expected one argument") => Some("one value".to_owned()),
        None => None,
    };
}

/// `error: the following arguments are required: model_tag`.
pub fn missing_argument(message: &Message<'_>, facts: &mut Facts) {
    facts.subject = after(message.text, "are required:").and_then(clip);
}

/// Characters of a list of choices that are shown.
const CHOICES: usize = 160;

/// `'a', 'b'` or `a,b` as `one of a, b`; what is too much of it is left out.
fn choices(list: &str) -> Option<String> {
    let mut out = String::new();
    let names =
        list.split(',').map(|w| w.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\'' | '"')));
    for name in names.filter(|w| !w.is_empty()) {
        out.push_str(if out.is_empty() { "one of " } else { ", " });
        if out.len() + name.len() > CHOICES {
            out.push('\u{2026}');
            break;
        }
        out.push_str(name);
    }
    clip(&out)
}

/// The first sentence of a check, without what surrounds it.
fn sentence(text: &str) -> &str {
    let inner = after(text, "Value error, ").or_else(|| after(text, "Assertion failed, "));
    let text = inner.unwrap_or_else(|| body(text)).trim_start_matches("Error: ");
    let text = text.get(..text.find(" [type=").unwrap_or(text.len())).unwrap_or(text);
    text.split(". ").next().unwrap_or(text).trim_end_matches('.')
}

/// What is allowed, as a phrase that can stand in brackets.
fn phrase(sentence: &str) -> Option<String> {
    if sentence.contains("invalid literal for int()") {
        return Some("a whole number".to_owned());
    }
    match (after(sentence, " must be "), after(sentence, " is smaller than ")) {
        (Some(rule), _) => clip(rule),
        (None, Some(least)) => clip(&format!("at least {least}")),
        (None, None) => clip(sentence),
    }
}

/// vLLM's sentences: the setting that they name, and the sentence as what is allowed.
pub fn value_error(message: &Message<'_>, facts: &mut Facts) {
    let text = sentence(message.text);
    let name = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))).find(|w| {
        w.starts_with("--")
            || (w.contains('_') && w.len() > 4 && w.starts_with(|c: char| c.is_ascii_lowercase()))
    });
    facts.subject = name.and_then(|n| clip(&as_flag(n)));
    facts.value = name.and_then(|n| after(text, n)).and_then(|rest| {
        let inside = rest.trim_start().strip_prefix('(')?;
        clip(inside.get(..inside.find(')')?)?)
    });
    facts.allowed = phrase(text);
    if name.is_none() && message.squeezed.contains("gpumemoryutilization") {
        facts.subject = Some("--gpu-memory-utilization".to_owned());
        facts.value = between(message.text, "Got ", " ")
            .or_else(|| after(message.text, "Got "))
            .and_then(|v| clip(v.trim_end_matches('.')));
    } else if text.contains("invalid literal for int()") {
        facts.value = quoted(text).and_then(clip);
    }
}

fn as_flag(name: &str) -> String {
    if name.starts_with("--") { name.to_owned() } else { format!("--{}", name.replace('_', "-")) }
}

/// pydantic's complaints: the field, if it is named, and the complaint up to its end.
fn complaints(text: &str) -> impl Iterator<Item = (Option<&str>, &str)> {
    let mut rest = after(text, "validation error")
        .and_then(|r| after(r, " for "))
        .and_then(|r| r.split_once(char::is_whitespace))
        .map_or("", |(_, rest)| rest);
    std::iter::from_fn(move || {
        let mark = rest.find("[type=")?;
        let end = rest.get(mark..)?.find("input_type=").map_or(mark + 6, |at| mark + at + 11);
        let (part, next) = rest.split_at_checked(end)?;
        rest = next.split_once(']').map_or("", |(_, next)| next);
        // A line about where to read more stands between two of them.
        let own = after(part, "further information visit ")
            .and_then(|r| r.split_once(char::is_whitespace))
            .map_or(part, |(_, own)| own);
        let word = own.split_whitespace().next().unwrap_or_default();
        let name = word.split(['.', '[']).next().unwrap_or_default();
        let named = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        Some((named.then_some(name), own))
    })
    .take(16)
}

/// Where several fields are complained about: the first one that was given, because the others follow from it.
pub fn given_field(text: &str, given: impl Fn(&str) -> bool, facts: &mut Facts) {
    if !text.contains("validation errors for ") {
        return;
    }
    let found = complaints(text).find(|(field, _)| field.is_some_and(&given));
    if let Some((Some(field), part)) = found {
        facts.subject = clip(&as_flag(field));
        facts.value = input_value(part);
        facts.allowed = rule(part);
    }
}

fn input_value(text: &str) -> Option<String> {
    let rest = after(text, "input_value=")?;
    let end = rest.find(", input_type").or_else(|| rest.find(']')).unwrap_or(rest.len());
    clip(rest.get(..end)?.trim_matches('\''))
}

fn rule(text: &str) -> Option<String> {
    if text.contains("Value error, ") || text.contains("Assertion failed, ") {
        return phrase(sentence(text));
    }
    let at = text
        .find("Input should be")
        .or_else(|| text.find("Unexpected keyword"))
        .or_else(|| text.find("Extra inputs"))?;
    let text = text.get(at..)?;
    clip(text.get(..text.find(" [type=").unwrap_or(text.len()))?)
}

/// pydantic: the class, the field on a line of its own, the rule, the value.
pub fn pydantic(message: &Message<'_>, facts: &mut Facts) {
    let text = message.text;
    let field = complaints(text).next().and_then(|(field, _)| field);
    facts.subject = field.and_then(|f| clip(&as_flag(f)));
    facts.value = input_value(text);
    facts.allowed = rule(text);
    if facts.subject.is_none() && facts.allowed.is_none() {
        let class = after(text, "validation error").and_then(|r| after(r, " for ")).unwrap_or(text);
        facts.subject = class.split_whitespace().next().and_then(clip);
    }
    if text.contains("Value error, ") {
        // The value is then the whole object.
        let number = text.contains("invalid literal for int()");
        facts.value = if number { quoted(sentence(text)).and_then(clip) } else { None };
    }
}

/// Code of the model's own must be allowed.
pub fn trust(message: &Message<'_>, facts: &mut Facts) {
    facts.subject = Some("--trust-remote-code".to_owned());
    facts.value = between(message.text, "repository for ", " contains").and_then(clip);
}

/// `Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your Tesla T4 GPU has compute capability 7.5.`
pub fn capability(message: &Message<'_>, facts: &mut Facts) {
    facts.subject = Some("--dtype".to_owned());
    if message.squeezed.contains("bfloat16") {
        facts.value = Some("bfloat16".to_owned());
        facts.allowed = Some("half".to_owned());
    }
}

/// The method, and what the model was made for.
pub fn quantisation(message: &Message<'_>, facts: &mut Facts) {
    if message.squeezed.contains("isnotsupportedforquantizationmethod") {
        facts.subject = Some("--dtype".to_owned());
        facts.value = message.text.split_whitespace().find(|w| w.contains("float")).and_then(clip);
        facts.allowed = between(message.text, "Supported dtypes: [", "]").and_then(clip);
        return;
    }
    facts.subject = Some("--quantization".to_owned());
    facts.value = between(message.text, "argument (", ")")
        .or_else(|| between(message.text, "quantization method ", " is not"))
        .or_else(|| {
            after(message.text, "Unknown quantization method: ").and_then(|r| r.split_whitespace().next())
        })
        .or_else(|| after(message.text, "config file for ").and_then(|r| r.split_whitespace().next()))
        .and_then(|v| clip(v.trim_end_matches('.')));
    facts.allowed = between(message.text, "model config (", ")")
        .and_then(clip)
        .or_else(|| between(message.text, "Must be one of [", "]").and_then(choices));
}

/// `Total number of attention heads (14) must be divisible by tensor parallel size (4).`
pub fn heads(message: &Message<'_>, facts: &mut Facts) {
    facts.subject = Some("--tensor-parallel-size".to_owned());
    let text = message.squeezed;
    let asked = integer_after(text, "parallelsize(").or_else(|| integer_after(text, "divisibleby"));
    facts.value = asked.map(|n| n.to_string());
    if let Some(heads) = integer_after(text, "heads(") {
        facts.allowed = Some(format!("a divisor of {heads}"));
    }
}

/// More devices are wanted than there are.
pub fn required_gpus(message: &Message<'_>, facts: &mut Facts) {
    facts.subject = Some("--tensor-parallel-size".to_owned());
    let text = message.squeezed;
    facts.value = integer_after(text, "worldsize(")
        .or_else(|| integer_after(text, "parallelsize("))
        .map(|n| n.to_string());
    facts.allowed = integer_after(text, "availablegpus(")
        .or_else(|| integer_after(text, "localgpucount("))
        .map(|n| format!("at most {n}"));
}

/// `invalid tool call parser: x (chose from { a,b })`.
pub fn parser_choice(message: &Message<'_>, facts: &mut Facts) {
    let tool = message.squeezed.contains("tool");
    facts.subject = Some(if tool { "--tool-call-parser" } else { "--reasoning-parser" }.to_owned());
    facts.value = between(message.text, "parser '", "'")
        .or_else(|| after(message.text, "parser: ").and_then(|r| r.split([' ', '\'', '(']).next()))
        .and_then(clip);
    facts.allowed = between(message.text, "{", "}")
        .or_else(|| after(message.text, "vailable parsers: ").map(|r| r.trim_end_matches(['"', '\''])))
        .and_then(choices);
}

/// `LoRA rank 64 is greater than max_lora_rank 16.`
pub fn lora_rank(message: &Message<'_>, facts: &mut Facts) {
    facts.subject = Some("--max-lora-rank".to_owned());
    facts.value = integer_after(message.squeezed, "max_lora_rank").map(|n| n.to_string());
    facts.allowed = integer_after(message.squeezed, "lorarank").map(|n| format!("at least {n}"));
}

/// ``Load format `x` is not supported``, `Unknown load format: x`.
pub fn load_format(message: &Message<'_>, facts: &mut Facts) {
    facts.subject = Some("--load-format".to_owned());
    let rest = after(message.text, "oad format").unwrap_or_default();
    let word = || rest.trim_start_matches([':', ' ']).split_whitespace().next();
    facts.value = quoted(rest).or_else(word).and_then(|v| clip(v.trim_end_matches('.')));
}

/// Python's logging: `Unknown level: 'X'`.
pub fn log_level(message: &Message<'_>, facts: &mut Facts) {
    facts.subject = Some("VLLM_LOGGING_LEVEL".to_owned());
    facts.value = after(message.text, "evel:").and_then(quoted).and_then(clip);
    facts.allowed = Some("one of DEBUG, INFO, WARNING, ERROR, CRITICAL".to_owned());
}

/// `It looks like the config file at '/m/config.json' is not a valid JSON file.`
pub fn json_file(message: &Message<'_>, facts: &mut Facts) {
    let path = after(message.text, "config file at ").and_then(quoted);
    facts.subject = path.and_then(|p| clip(p.rsplit('/').next().unwrap_or(p)));
    facts.allowed = Some("valid JSON".to_owned());
}

/// `Failed to import Ray: No module named 'ray'.`
pub fn ray(_: &Message<'_>, facts: &mut Facts) {
    facts.subject = Some("--distributed-executor-backend".to_owned());
    facts.value = Some("ray".to_owned());
    facts.allowed = Some("Ray is not installed".to_owned());
}

/// `Not enough allowed NUMA nodes to bind threads of 2 local CPUWorkers. Allowed NUMA nodes are [0].`
pub fn numa_nodes(message: &Message<'_>, facts: &mut Facts) {
    facts.subject = Some("--tensor-parallel-size".to_owned());
    facts.value = integer_after(message.squeezed, "threadsof").map(|n| n.to_string());
    facts.allowed = between(message.squeezed, "nodesare[", "]")
        .map(|nodes| format!("at most {}", nodes.split(',').filter(|n| !n.is_empty()).count().max(1)));
}

/// Whichever kind of parallelism was given makes the workers.
pub fn numa_subject(given: impl Fn(&str) -> bool, facts: &mut Facts) {
    if given("tensor_parallel_size") {
        return;
    }
    let kinds = ["pipeline_parallel_size", "data_parallel_size_local", "data_parallel_size"];
    facts.subject = kinds.into_iter().find(|k| given(k)).map(as_flag);
}

/// A template that is neither a file nor a template.
pub fn chat_template(message: &Message<'_>, facts: &mut Facts) {
    facts.subject = Some("--chat-template".to_owned());
    facts.value = between(message.text, "(", ")").and_then(clip);
}

/// A port or a host that cannot be bound.
pub fn bind_port(message: &Message<'_>, facts: &mut Facts) {
    if message.squeezed.contains("0-65535") {
        facts.subject = Some("--port".to_owned());
        facts.allowed = Some("0 to 65535".to_owned());
    } else {
        facts.subject = Some("--host".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_flag_finds_its_neighbour() {
        assert_eq!(nearest_flag("--max-model-lenght"), Some("--max-model-len"));
        assert_eq!(nearest_flag("--gpu_memory_utilisation"), Some("--gpu-memory-utilization"));
        assert_eq!(nearest_flag("--no-such-flag"), None);
    }
}
