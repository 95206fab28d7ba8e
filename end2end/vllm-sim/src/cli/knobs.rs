//! The simulator's knobs: `--sim-NAME` on the command line or `SIM_NAME` in the environment. The flag
//! wins. None is called `VLLM_…`, so that none can be taken for one of the real vLLM's.

use crate::fault::Fault;
use std::time::Duration;

/// How the simulation runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Knobs {
    /// How many times faster than a real start; 0: no waits at all.
    pub speed: f64,
    /// The failure to play, if any.
    pub fail: Option<Fault>,
    /// `exit0-crash`: seconds of serving before it.
    pub fail_after: Duration,
    /// Whether EngineCore and Worker are processes.
    pub children: bool,
    /// Whether `/sim/…` is served.
    pub control: bool,
    /// Whether requests are made up, for a visitor to see.
    pub demo: bool,
    /// Tokens a second of each request; 0: all at once.
    pub tokens_per_s: f64,
    /// Seconds between two throughput lines.
    pub stats_every: Duration,
    /// Files the weights are in.
    pub shards: u64,
    /// The longest context the model was made for, in tokens.
    pub model_max_len: u64,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            speed: 1.0,
            fail: None,
            fail_after: Duration::from_secs(2),
            children: true,
            control: false,
            demo: false,
            tokens_per_s: 50.0,
            stats_every: Duration::from_secs(10),
            shards: 5,
            model_max_len: 32_768,
        }
    }
}

const NAMES: [&str; 10] = [
    "speed",
    "fail",
    "fail-after-s",
    "children",
    "control",
    "demo",
    "tokens-per-s",
    "stats-every-s",
    "shards",
    "model-max-len",
];
const SWITCHES: [&str; 3] = ["children", "control", "demo"];

impl Knobs {
    /// Reads the environment through `variable`, then takes the `--sim-…` flags out of `args`.
    pub fn take(args: &mut Vec<String>, variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let mut knobs = Self::default();
        for name in NAMES {
            let key = format!("SIM_{}", name.to_uppercase().replace('-', "_"));
            if let Some(value) = variable(&key).filter(|value| !value.is_empty()) {
                knobs.set(name, &value).map_err(|error| format!("{key}: {error}"))?;
            }
        }
        let mut rest = Vec::with_capacity(args.len());
        let mut given = std::mem::take(args).into_iter().peekable();
        while let Some(arg) = given.next() {
            let Some(knob) = arg.strip_prefix("--sim-") else {
                rest.push(arg);
                continue;
            };
            let (name, value) = match knob.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None if SWITCHES.contains(&knob) => {
                    (knob, given.next_if(|next| truth(next).is_ok()).unwrap_or_else(|| "1".to_owned()))
                }
                None => (knob, given.next().ok_or_else(|| format!("{arg}: a value is missing"))?),
            };
            knobs.set(name, &value).map_err(|error| format!("--sim-{name}: {error}"))?;
        }
        *args = rest;
        Ok(knobs)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "speed" => self.speed = amount(value)?,
            "fail" => self.fail = Some(value.parse()?),
            "fail-after-s" => self.fail_after = Duration::from_secs_f64(amount(value)?),
            "children" => self.children = truth(value)?,
            "control" => self.control = truth(value)?,
            "demo" => self.demo = truth(value)?,
            "tokens-per-s" => self.tokens_per_s = amount(value)?,
            "stats-every-s" => self.stats_every = Duration::from_secs_f64(amount(value)?.max(0.05)),
            "shards" => self.shards = count(value)?,
            "model-max-len" => self.model_max_len = count(value)?,
            _ => return Err(format!("unknown; one of: {}", NAMES.join(", "))),
        }
        Ok(())
    }

    /// How long a wait of `milliseconds` in the recording takes here.
    pub fn scaled(&self, milliseconds: u64) -> Duration {
        let speed = if self.fail == Some(Fault::Slow) { self.speed / 10.0 } else { self.speed };
        if speed > 0.0 {
            Duration::from_millis(milliseconds).div_f64(speed.clamp(0.001, 1e6))
        } else {
            Duration::ZERO
        }
    }
}

fn amount(value: &str) -> Result<f64, String> {
    let number: f64 = value.parse().map_err(|_| format!("'{value}' is not a number"))?;
    if (0.0..=1e9).contains(&number) {
        Ok(number)
    } else {
        Err(format!("'{value}' is not between 0 and 1e9"))
    }
}

fn count(value: &str) -> Result<u64, String> {
    value
        .parse()
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| format!("'{value}' is not a whole number above 0"))
}

fn truth(value: &str) -> Result<bool, String> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(format!("'{value}' is neither 1 nor 0")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(args: &[&str]) -> Vec<String> {
        args.iter().map(|arg| (*arg).to_owned()).collect()
    }

    #[test]
    fn the_flag_wins_over_the_environment_and_leaves_the_rest() {
        let mut args =
            strings(&["m", "--sim-speed", "10", "--sim-control", "--port", "1", "--sim-children=0"]);
        let knobs = Knobs::take(&mut args, |key| (key == "SIM_SPEED").then(|| "3".to_owned())).unwrap();
        assert_eq!(args, strings(&["m", "--port", "1"]));
        assert!((knobs.speed - 10.0).abs() < f64::EPSILON && knobs.control && !knobs.children);
    }

    #[test]
    fn an_unknown_failure_is_answered_with_the_known_ones() {
        let error = Knobs::take(&mut strings(&["--sim-fail", "nope"]), |_| None).unwrap_err();
        assert!(error.contains("cuda-oom") && error.contains("bad-flag"), "{error}");
    }

    #[test]
    fn speed_zero_means_no_waits() {
        let knobs = Knobs { speed: 0.0, ..Knobs::default() };
        assert_eq!(knobs.scaled(35_000), Duration::ZERO);
        assert_eq!(Knobs { speed: 10.0, ..Knobs::default() }.scaled(35_000), Duration::from_millis(3500));
        assert_eq!(
            Knobs { fail: Some(Fault::Slow), ..Knobs::default() }.scaled(10),
            Duration::from_millis(100)
        );
    }
}
