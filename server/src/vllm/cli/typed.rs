//! The form's typed fields over a list of arguments. In: arguments of `vllm serve`. Out: the fields and the rest; and back.

use super::reading::{Fit, Item, is_value, read, together};

/// Arguments that the form has fields for, each as it was written. `None`: not given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Typed {
    /// `--max-model-len`: tokens, with a suffix such as `k` perhaps, `auto` or -1.
    pub max_model_len: Option<String>,
    /// `--quantization`, `-q`.
    pub quantization: Option<String>,
    /// `--tensor-parallel-size`, `-tp`: how many GPUs share one copy of the model.
    pub tensor_parallel_size: Option<String>,
    /// `--dtype`.
    pub dtype: Option<String>,
    /// `--lora-modules`: each `name=path` or a JSON object.
    pub lora_modules: Vec<String>,
}

/// Takes the typed fields out of a list of arguments; the rest stays in its order.
///
/// The last of a repeated flag is taken, for LoRA modules, too: so does vLLM (`LoRAParserAction`). A typed flag without a
/// value stays in the rest. `--enable-lora` goes with the modules and comes back with them.
pub fn split(args: &[String]) -> (Typed, Vec<String>) {
    let (typed, rest, _) = take(args);
    (typed, rest)
}

/// The same, with the flags that a later one overrides.
pub(super) fn take(args: &[String]) -> (Typed, Vec<String>, Vec<&'static str>) {
    let items = read(args);
    let mut typed = Typed::default();
    let mut overridden = Vec::new();
    let mut seen: Vec<&'static str> = Vec::new();
    let mut last_switch = None;
    let mut keep = vec![true; items.len()];
    for (at, (item, _)) in items.iter().enumerate() {
        let Item::Given(given) = item else { continue };
        if given.fit != Fit::Fits || given.dotted {
            continue;
        }
        let name = given.flag.name;
        let value = given.values.first().map(|v| (*v).to_owned());
        match name {
            "--max-model-len" => typed.max_model_len = value,
            "--quantization" => typed.quantization = value,
            "--tensor-parallel-size" => typed.tensor_parallel_size = value,
            "--dtype" => typed.dtype = value,
            "--lora-modules" => {
                let modules = given.values.iter().filter(|m| !m.is_empty());
                typed.lora_modules = modules.map(|m| (*m).to_owned()).collect();
            }
            "--enable-lora" => {
                last_switch = Some((at, given.negated));
                continue;
            }
            _ => continue,
        }
        if let Some(kept) = keep.get_mut(at) {
            *kept = false;
        }
        if seen.contains(&name) {
            overridden.push(name);
        } else {
            seen.push(name);
        }
    }
    let lora = !typed.lora_modules.is_empty();
    let mut kept = Vec::new();
    for (at, ((item, words), keep)) in items.iter().zip(keep).enumerate() {
        let switch = matches!(item, Item::Given(g)
            if g.flag.name == "--enable-lora" && g.fit == Fit::Fits && !g.dotted);
        // Only a last `--no-enable-lora` says more than the modules do.
        let goes = switch && lora && last_switch != Some((at, true));
        if keep && !goes {
            kept.push((item, args.get(words.clone()).unwrap_or_default().to_vec()));
        }
    }
    (typed, together(&kept), overridden)
}

/// Where an adapter lies: the path or repository of `name=path`, or of a JSON object with `path`. `None` where it is neither.
pub fn lora_path(module: &str) -> Option<String> {
    if module.starts_with('{') {
        let object: serde_json::Value = serde_json::from_str(module).ok()?;
        object.get("name")?.as_str().filter(|n| !n.is_empty())?;
        return object.get("path")?.as_str().filter(|p| !p.is_empty()).map(str::to_owned);
    }
    let (name, path) = module.split_once('=')?;
    (!name.is_empty() && !path.is_empty()).then(|| path.to_owned())
}

/// Puts the typed fields before the rest. `split` of the result gives both again, where the rest holds no typed flag.
pub fn join(typed: &Typed, rest: &[String]) -> Vec<String> {
    let mut out = Vec::new();
    let single = [
        ("--max-model-len", &typed.max_model_len),
        ("--quantization", &typed.quantization),
        ("--tensor-parallel-size", &typed.tensor_parallel_size),
        ("--dtype", &typed.dtype),
    ];
    for (flag, value) in single {
        match value {
            Some(value) if is_value(value) => out.extend([flag.to_owned(), value.clone()]),
            // Alone it would be read as a flag.
            Some(value) => out.push(format!("{flag}={value}")),
            None => {}
        }
    }
    if !typed.lora_modules.is_empty() {
        let modules = std::iter::once("--lora-modules".to_owned()).chain(typed.lora_modules.iter().cloned());
        let switch = "--enable-lora".to_owned();
        if rest.first().is_some_and(|w| is_value(w)) {
            // The switch closes the list, which would take the rest's first word, too.
            out.extend(modules.chain([switch]));
        } else {
            out.push(switch);
            out.extend(modules);
        }
    }
    out.extend(rest.iter().cloned());
    out
}
