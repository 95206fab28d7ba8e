//! Takes the arguments of the engine apart. In: the words behind `vllm serve`. Out: fields and the rest, in [`Pasted`].

use super::pasted::{Hidden, PasteError, Pasted, Why};
use super::reading::{Fit, Given, Item, read as items, together};
use super::shell::Word;
use super::typed;

/// What the dashboard adds by itself (`vllm::launch`), so that its own questions stay out of the log.
const QUIET: (&str, &str) = ("--disable-access-log-for-endpoints", "/health,/metrics,/ping,/version");

/// Reads the arguments; gives the port that they name.
pub(super) fn read(words: &[Word], inside: bool, out: &mut Pasted) -> Result<Option<u16>, PasteError> {
    let args = list(words);
    let mut rest = Vec::new();
    let mut port = None;
    let mut model = None;
    let mut tagged = false;
    let mut names = None;
    let items = items(&args);
    for (item, range) in &items {
        let its_words = words.get(range.clone()).unwrap_or_default();
        let filled = its_words.iter().any(|w| w.plain().is_err());
        match item {
            Item::Given(given) if given.fit == Fit::Fits && !given.dotted => {
                if filled && matches!(given.flag.name, "--api-key" | "--hf-token") {
                    out.leave(given.name, Why::ValueElsewhere);
                    continue;
                }
                plain(its_words)?;
                match given.flag.name {
                    "--model" if !tagged => model = value(given),
                    // `vllm serve MODEL` wins over `--model`.
                    "--model" => out.leave("--model", Why::Overridden),
                    "--served-model-name" => {
                        let before = names.replace((item, list(its_words), given.values.len(), value(given)));
                        if before.is_some() {
                            out.leave(given.name, Why::Overridden);
                        }
                    }
                    "--port" => match given.values.first().and_then(|v| v.parse::<u16>().ok()) {
                        Some(number) if number > 0 => port = Some(number),
                        _ => out.leave(text(its_words), Why::PortUnclear),
                    },
                    _ if !field(given, its_words, inside, out) => {
                        rest.push((item, list(its_words)));
                    }
                    _ => {}
                }
            }
            Item::Stray(word) if !tagged && !word.is_empty() => {
                plain(its_words)?;
                tagged = true;
                if model.replace((*word).to_owned()).is_some() {
                    out.leave("--model", Why::Overridden);
                }
            }
            _ => {
                plain(its_words)?;
                rest.push((item, list(its_words)));
            }
        }
    }
    if let Some((item, words, count, first)) = names {
        out.model_name = first;
        if count > 1 {
            out.leave(words.join(" "), Why::FurtherNames);
            // At the end, and so the last flag: nothing behind it is taken for a name.
            let at = rest.iter().position(|(i, _)| matches!(i, Item::End)).unwrap_or(rest.len());
            rest.insert(at, (item, words));
        }
    }
    if model.is_some() {
        out.model = model;
    }
    let (typed, rest, overridden) = typed::take(&together(&rest));
    out.typed = typed;
    out.rest = rest;
    for flag in overridden {
        out.leave(flag, Why::Overridden);
    }
    Ok(port)
}

/// A flag that a field takes, or that the dashboard sees to; false for any other.
fn field(given: &Given<'_>, words: &[Word], inside: bool, out: &mut Pasted) -> bool {
    match given.flag.name {
        "--gpu-memory-utilization" => out.share = value(given),
        "--host" => {
            let here = matches!(given.values.first(), Some(&("127.0.0.1" | "localhost" | "::1")));
            out.leave(text(words), if here || inside { Why::Handled } else { Why::LoopbackOnly });
        }
        "--api-key" => {
            out.api_key = value(given).filter(|v| !v.is_empty()).map(Hidden::new);
            if given.values.len() > 1 {
                out.leave(given.name, Why::FurtherKeys);
            }
        }
        "--hf-token" if !given.values.is_empty() => {
            out.hf_token = value(given).filter(|v| !v.is_empty()).map(Hidden::new);
        }
        name if name == QUIET.0 && given.values == [QUIET.1] => out.leave(QUIET.0, Why::Handled),
        _ => return false,
    }
    true
}

fn value(given: &Given<'_>) -> Option<String> {
    given.values.first().map(|v| (*v).to_owned())
}

fn list(words: &[Word]) -> Vec<String> {
    words.iter().map(|w| w.text.clone()).collect()
}

fn text(words: &[Word]) -> String {
    list(words).join(" ")
}

/// No shell fills in anything here, so nothing may be left for it to fill in.
fn plain(words: &[Word]) -> Result<(), PasteError> {
    for word in words {
        word.plain()?;
    }
    Ok(())
}
