//! `vllm serve`'s arguments, taken and refused as argparse does.

use super::flags::{self, Arity, Flag, Kind};
use super::value::{Value, quoted};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// Why the command line is not run: what to print and the code to exit with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub stdout: String,
    pub stderr: String,
    pub code: u8,
}

/// A LoRA adapter given with `--lora-modules`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lora {
    pub name: String,
    pub path: String,
}

/// Where the server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host(pub Option<String>);

/// What the simulator makes use of.
#[derive(Clone, Debug)]
pub struct ServeArgs {
    pub model: String,
    pub served_names: Vec<String>,
    pub host: Host,
    /// As given: it may be out of range, which vLLM finds out late.
    pub port: i64,
    pub max_model_len: Option<u64>,
    pub gpu_memory_utilization: f64,
    pub tensor_parallel_size: u64,
    pub max_num_seqs: usize,
    pub quantization: Option<String>,
    pub enforce_eager: bool,
    pub api_keys: Vec<String>,
    pub loras: Vec<Lora>,
    /// Paths whose requests are not logged; `None`: no access log at all.
    pub quiet_paths: Option<Vec<String>>,
    pub log_requests: bool,
    pub log_stats: bool,
    pub shutdown_timeout: Duration,
    /// The dictionary after `non-default args: `.
    pub non_default: String,
}

const TOP_USAGE: &str = "usage: vllm [-h] [-v]\n            {chat,complete,serve,launch,bench,collect-env,download-kernels,preload,run-batch,snapshot}\n            ...\n";
const SERVE_USAGE: &str = "usage: vllm serve [model_tag] [options]\n";

impl Refusal {
    /// argparse's answer to arguments nobody knows.
    pub fn unrecognized(extras: &str) -> Self {
        let stderr = format!("{TOP_USAGE}vllm: error: unrecognized arguments: {extras}\n");
        Self { stdout: String::new(), stderr, code: 2 }
    }

    /// argparse's answer to a value it cannot take.
    pub fn bad_argument(name: &str, problem: &str) -> Self {
        let stderr = format!("{SERVE_USAGE}vllm serve: error: argument {name}: {problem}\n");
        Self { stdout: String::new(), stderr, code: 2 }
    }

    fn answer(stdout: String) -> Self {
        Self { stdout, stderr: String::new(), code: 0 }
    }
}

impl ServeArgs {
    /// Parses what follows `vllm serve`; a leading `serve` is accepted too.
    pub fn parse(args: &[String]) -> Result<Self, Refusal> {
        let flags = flags::all();
        let args = if args.first().is_some_and(|first| first == "serve") { &args[1..] } else { args };
        let parsed = Parsed::of(args, &flags)?;
        parsed.into_args(&flags)
    }

    /// The name clients use for the base model.
    pub fn served_name(&self) -> &str {
        self.served_names.first().map_or(&self.model, |name| name)
    }
}

/// Values by the position of their flag, so that they print in vLLM's order.
struct Parsed {
    model_tag: Option<String>,
    values: BTreeMap<usize, Value>,
}

impl Parsed {
    fn of(args: &[String], flags: &[Flag]) -> Result<Self, Refusal> {
        let (mut model_tag, mut extras) = (None, Vec::new());
        let mut values = BTreeMap::new();
        let mut rest = args.iter().map(String::as_str).peekable();
        while let Some(arg) = rest.next() {
            if !looks_like_flag(arg) {
                if model_tag.is_none() {
                    model_tag = Some(arg.to_owned());
                } else {
                    extras.push(arg);
                }
                continue;
            }
            let (name, inline) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (arg, None),
            };
            let name = if name.starts_with("--") { name.replace('_', "-") } else { name.to_owned() };
            match name.as_str() {
                "-h" | "--help" => return Err(Refusal::answer(help(flags))),
                "-v" | "--version" => return Err(Refusal::answer("0.32.0\n".to_owned())),
                _ => {}
            }
            let Some((index, negated, dotted)) = find(flags, &name) else {
                // `-O3` is an abbreviation of `--optimization-level 3`.
                if !(name.starts_with("-O") && name.len() > 2) {
                    extras.push(arg);
                }
                continue;
            };
            let flag = &flags[index];
            let refuse = |problem: String| Refusal::bad_argument(&flag.names.join("/"), &problem);
            let value = match flag.arity {
                Arity::Flag | Arity::Pair if inline.is_some() => {
                    return Err(refuse(format!(
                        "ignored explicit argument {}",
                        quoted(inline.unwrap_or(""))
                    )));
                }
                Arity::Flag | Arity::Pair => Value::Bool(!negated),
                Arity::Many => {
                    let mut items: Vec<String> = inline.map(str::to_owned).into_iter().collect();
                    while inline.is_none() {
                        let Some(item) = rest.next_if(|next| !looks_like_flag(next)) else { break };
                        items.push(item.to_owned());
                    }
                    if items.is_empty() {
                        return Err(refuse("expected at least one argument".to_owned()));
                    }
                    Value::List(items)
                }
                Arity::One | Arity::Optional => {
                    match inline.or_else(|| rest.next_if(|next| !looks_like_flag(next))) {
                        Some(text) if dotted => Value::Text(text.to_owned()),
                        Some(text) => Value::read(text, &flag.kind).map_err(refuse)?,
                        None if flag.arity == Arity::Optional => Value::Bool(true),
                        None => return Err(refuse("expected one argument".to_owned())),
                    }
                }
            };
            values.insert(index, value);
        }
        if extras.is_empty() {
            Ok(Self { model_tag, values })
        } else {
            Err(Refusal::unrecognized(&extras.join(" ")))
        }
    }

    fn into_args(mut self, flags: &[Flag]) -> Result<ServeArgs, Refusal> {
        let place =
            |name: &str| flags.iter().position(|flag| flag.names.contains(&name)).unwrap_or(usize::MAX);
        if let Some(tag) = &self.model_tag {
            self.values.insert(place("--model"), Value::Text(tag.clone()));
        }
        let loras = match self.values.get(&place("--lora-modules")) {
            Some(Value::List(items)) => items
                .iter()
                .map(|item| lora(item).ok_or_else(|| Refusal::bad_argument("--lora-modules", LORA_FORMAT)))
                .collect::<Result<Vec<_>, _>>()?,
            _ => Vec::new(),
        };
        let non_default = self.non_default(flags, &loras);
        let text = |name: &str| match self.values.get(&place(name)) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let int = |name: &str| match self.values.get(&place(name)) {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        };
        let list = |name: &str| match self.values.get(&place(name)) {
            Some(Value::List(items)) => items.clone(),
            _ => Vec::new(),
        };
        let is_set = |name: &str| self.values.get(&place(name)) == Some(&Value::Bool(true));
        let utilization = match self.values.get(&place("--gpu-memory-utilization")) {
            Some(Value::Float(share)) => *share,
            _ => 0.92,
        };
        let quiet = text("--disable-access-log-for-endpoints").unwrap_or_default();
        let positive =
            |name: &str| int(name).and_then(|number| u64::try_from(number).ok()).filter(|n| *n > 0);
        Ok(ServeArgs {
            model: text("--model").unwrap_or_else(|| "Qwen/Qwen3-0.6B".to_owned()),
            served_names: list("--served-model-name"),
            host: Host(text("--host").filter(|host| !host.is_empty())),
            port: int("--port").unwrap_or(8000),
            max_model_len: positive("--max-model-len"),
            gpu_memory_utilization: utilization,
            tensor_parallel_size: positive("--tensor-parallel-size").unwrap_or(1),
            max_num_seqs: positive("--max-num-seqs").and_then(|n| usize::try_from(n).ok()).unwrap_or(256),
            quantization: text("--quantization"),
            enforce_eager: is_set("--enforce-eager"),
            api_keys: match list("--api-key") {
                // A variable of vLLM's own, which stands in for the flag.
                keys if keys.is_empty() => std::env::var("VLLM_API_KEY").ok().into_iter().collect(),
                keys => keys,
            },
            loras,
            quiet_paths: (!is_set("--disable-uvicorn-access-log"))
                .then(|| quiet.split(',').map(|path| path.trim().to_owned()).collect()),
            log_requests: is_set("--enable-log-requests"),
            log_stats: !is_set("--disable-log-stats"),
            shutdown_timeout: Duration::from_secs(positive("--shutdown-timeout").unwrap_or(0)),
            non_default,
        })
    }

    fn non_default(&self, flags: &[Flag], loras: &[Lora]) -> String {
        let mut entries: Vec<String> =
            self.model_tag.iter().map(|tag| format!("'model_tag': {}", quoted(tag))).collect();
        for (index, value) in &self.values {
            let name = flags[*index].destination();
            let shown = match (name.as_str(), value) {
                ("port", Value::Int(8000)) => continue,
                ("api_key" | "hf_token", _) => Value::Text("***".to_owned()),
                ("lora_modules", _) => Value::Object(format!(
                    "[{}]",
                    loras.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
                )),
                _ => value.clone(),
            };
            entries.push(format!("'{name}': {}", shown.repr()));
        }
        format!("{{{}}}", entries.join(", "))
    }
}

const LORA_FORMAT: &str = "Invalid fields for LoRA module: expected name=path or a JSON object";

/// `name=path`, or `{"name": …, "path": …}`.
fn lora(text: &str) -> Option<Lora> {
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(text) {
        let field = |key: &str| json.get(key).and_then(|value| value.as_str()).map(str::to_owned);
        return Some(Lora { name: field("name")?, path: field("path")? });
    }
    let (name, path) = text.split_once('=')?;
    Some(Lora { name: name.to_owned(), path: path.to_owned() })
}

impl fmt::Display for Lora {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, path) = (quoted(&self.name), quoted(&self.path));
        write!(f, "LoRAModulePath(name={name}, path={path}, base_model_name=None)")
    }
}

/// argparse: starts with a dash, and is neither a negative number nor a lone dash nor has spaces.
fn looks_like_flag(arg: &str) -> bool {
    arg.len() > 1 && arg.starts_with('-') && arg.parse::<f64>().is_err() && !arg.contains(' ')
}

/// The flag of that name, whether it is its `--no-` form, and whether it names a field (`--x.y`).
fn find(flags: &[Flag], name: &str) -> Option<(usize, bool, bool)> {
    let place = |wanted: &str| flags.iter().position(|flag| flag.names.contains(&wanted));
    if let Some(index) = place(name) {
        return Some((index, false, false));
    }
    if let Some(positive) = name.strip_prefix("--no-")
        && let Some(index) = place(&format!("--{positive}"))
        && flags[index].arity == Arity::Pair
    {
        return Some((index, true, false));
    }
    let (base, _field) = name.split_once('.')?;
    place(base).filter(|index| flags[*index].kind == Kind::Text).map(|index| (index, false, true))
}

fn help(flags: &[Flag]) -> String {
    let mut text = format!("{SERVE_USAGE}\nA simulated vLLM. Flags:\n");
    for flag in flags {
        text.push_str("  ");
        text.push_str(&flag.names.join(", "));
        text.push('\n');
    }
    text
}

impl Host {
    /// The address to bind; `None` where the name does not resolve.
    pub fn address(&self, port: u16) -> Option<SocketAddr> {
        match &self.0 {
            None => Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)),
            // A static binary in an empty image has nobody to ask for names.
            Some(host) if host == "localhost" => Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
            Some(host) => match host.trim_matches(['[', ']']).parse() {
                Ok(address) => Some(SocketAddr::new(address, port)),
                Err(_) => (host.as_str(), port).to_socket_addrs().ok()?.next(),
            },
        }
    }

    /// As it stands in a URL.
    pub fn in_url(&self) -> String {
        match &self.0 {
            None => "0.0.0.0".to_owned(),
            Some(host) if host.contains(':') && !host.starts_with('[') => format!("[{host}]"),
            Some(host) => host.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<ServeArgs, Refusal> {
        ServeArgs::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_recorded_command_line_prints_the_recorded_dictionary() {
        let args = parse("serve /models/tiny --served-model-name lydia --host 127.0.0.1 --port 21434 --max-model-len 512 --enforce-eager --num-gpu-blocks-override 1").unwrap();
        assert_eq!(
            args.non_default,
            "{'model_tag': '/models/tiny', 'host': '127.0.0.1', 'port': 21434, 'model': '/models/tiny', 'max_model_len': 512, 'enforce_eager': True, 'served_model_name': ['lydia'], 'num_gpu_blocks_override': 1}"
        );
        let args = parse("/m --enable-log-requests --gpu_memory_utilization=1.5").unwrap();
        assert_eq!(
            args.non_default,
            "{'model_tag': '/m', 'model': '/m', 'gpu_memory_utilization': 1.5, 'enable_log_requests': True}"
        );
    }

    #[test]
    fn unknown_arguments_are_refused_with_the_recorded_words() {
        let refusal = parse("/m --port 1 --no-such-flag 1").unwrap_err();
        let recorded = "usage: vllm [-h] [-v]\n            {chat,complete,serve,launch,bench,collect-env,download-kernels,preload,run-batch,snapshot}\n            ...\nvllm: error: unrecognized arguments: --no-such-flag 1\n";
        assert_eq!((refusal.stderr.as_str(), refusal.code), (recorded, 2));
    }

    #[test]
    fn values_are_checked_like_argparse() {
        let last = |line| parse(line).unwrap_err().stderr.lines().last().unwrap_or_default().to_owned();
        assert_eq!(last("--port abc"), "vllm serve: error: argument --port: invalid int value: 'abc'");
        assert_eq!(last("--port"), "vllm serve: error: argument --port: expected one argument");
        assert_eq!(
            last("-tp x"),
            "vllm serve: error: argument --tensor-parallel-size/-tp: invalid int value: 'x'"
        );
        assert!(last("--dtype int4").contains("invalid choice: 'int4' (choose from 'auto', 'bfloat16'"));
    }

    #[test]
    fn lists_dotted_names_negations_and_adapters_are_taken() {
        let args = parse("--model /m --served-model-name a b --lora-modules x=/l --no-enable-lora --api-key k1 k2 -cc.mode=3 -O3 --shutdown-timeout 30").unwrap();
        assert_eq!((args.model.as_str(), args.served_name()), ("/m", "a"));
        assert_eq!(args.served_names, ["a", "b"]);
        assert_eq!(args.loras, [Lora { name: "x".to_owned(), path: "/l".to_owned() }]);
        assert_eq!(args.api_keys, ["k1", "k2"]);
        assert_eq!(args.shutdown_timeout, Duration::from_secs(30));
        assert!(args.non_default.contains("'api_key': '***'"));
    }

    #[test]
    fn the_host_is_every_interface_unless_given() {
        assert_eq!(parse("/m").unwrap().host.address(1), "0.0.0.0:1".parse().ok());
        assert_eq!(parse("/m --host ::1").unwrap().host.in_url(), "[::1]");
    }
}
