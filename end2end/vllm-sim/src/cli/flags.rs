//! The flags `vllm serve` knows, from the fixture made of its `--help=all`: one line each, names, how
//! many values it takes, and their type, in the order in which vLLM lists non-default arguments.

/// How many values follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// `--x`.
    Flag,
    /// `--x` and `--no-x`.
    Pair,
    /// Exactly one.
    One,
    /// One or none.
    Optional,
    /// One or more.
    Many,
}

/// Type of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Int,
    Float,
    /// A whole number, or one with a unit, or `auto`.
    HumanInt,
    Text,
    Choice(Vec<&'static str>),
}

/// One flag.
#[derive(Clone, Debug)]
pub struct Flag {
    pub names: Vec<&'static str>,
    pub arity: Arity,
    pub kind: Kind,
}

impl Flag {
    /// The name it has in Python: `--max-model-len` is `max_model_len`.
    pub fn destination(&self) -> String {
        self.names[0].trim_start_matches('-').replace('-', "_")
    }
}

/// All flags, in order.
pub fn all() -> Vec<Flag> {
    include_str!("../../fixtures/flags.txt").lines().filter_map(flag).collect()
}

fn flag(line: &'static str) -> Option<Flag> {
    let mut fields = line.splitn(3, ' ');
    let names = fields.next()?.split(',').collect();
    let arity = match fields.next()? {
        "flag" => Arity::Flag,
        "pair" => Arity::Pair,
        "list" => Arity::Many,
        "optional" => Arity::Optional,
        _ => Arity::One,
    };
    let kind = match fields.next()? {
        "int" => Kind::Int,
        "float" => Kind::Float,
        "human" => Kind::HumanInt,
        choices if choices.starts_with('{') => {
            Kind::Choice(choices.trim_matches(['{', '}']).split(',').collect())
        }
        _ => Kind::Text,
    };
    Some(Flag { names, arity, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_fixture_is_a_flag_and_the_common_ones_are_there() {
        let flags = all();
        assert_eq!(flags.len(), include_str!("../../fixtures/flags.txt").lines().count());
        for (name, arity) in [
            ("--port", Arity::One),
            ("-tp", Arity::One),
            ("--enable-lora", Arity::Pair),
            ("--lora-modules", Arity::Many),
            ("--headless", Arity::Flag),
            ("--hf-token", Arity::Optional),
        ] {
            let flag = flags.iter().find(|flag| flag.names.contains(&name));
            assert_eq!(flag.map(|flag| flag.arity), Some(arity), "{name}");
        }
    }
}
