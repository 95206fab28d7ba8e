//! Why a service failed: what its runtime knows for certain, else what its log proves.
//!
//! In: how it failed, its log's explainer, its settings. Out: one [`Diagnosis`], whose changes are such that the page can
//! really make them.

use super::explain::{End, Explainer};
use crate::settings::{ServiceConfig, edit};
use app::model::{
    Advice, Cause, Change, Diagnosis, Evidence, Facts, FailureKind, Level, PortHolder, Remedy, Stream,
};

/// How many ports behind a taken one are tried.
const PORTS: u16 = 50;

/// Says why. `None` where the kind of failure says all there is (no model is set, the command is missing).
pub fn of(kind: &FailureKind, log: &Explainer, config: &ServiceConfig, adopted: bool) -> Option<Diagnosis> {
    let mut diagnosis = match kind {
        FailureKind::ImageMissing { image } => Diagnosis {
            cause: Cause::ImageMissing,
            evidence: Vec::new(),
            facts: Facts { subject: Some(image.clone()), ..Facts::default() },
            remedies: vec![Remedy { advice: Advice::PullImage, change: None }],
        },
        FailureKind::PortInUse { port, by } => port_in_use(*port, by, config),
        FailureKind::OutOfMemory => log.diagnose(&End { host_oom: true, ..End::default() }),
        FailureKind::Killed { signal } => log.diagnose(&End { signal: Some(*signal), ..End::default() }),
        FailureKind::Exited { code, was_ready } => {
            log.diagnose(&End { code: Some(*code), was_ready: *was_ready, ..End::default() })
        }
        FailureKind::Refused { detail, .. } => {
            // The engine's own words are read like a log.
            let mut words = Explainer::new();
            for (n, line) in (1..).zip(detail.lines().take(50)) {
                words.line(n, Level::Error, "", line, Stream::Stderr);
            }
            let found = words.diagnose(&End { code: Some(125), ..End::default() });
            if found.cause == Cause::Unknown {
                return None;
            }
            // They stand in the sentence already, and have no line in the log.
            Diagnosis { evidence: Vec::new(), ..found }
        }
        FailureKind::ModelNotSet
        | FailureKind::NotThere { .. }
        | FailureKind::CommandMissing { .. }
        | FailureKind::WontStop => return None,
    };
    for remedy in &mut diagnosis.remedies {
        // What a log cannot know: the settings that this service was started with.
        match remedy.advice {
            Advice::ChangePort if remedy.change.is_none() => {
                remedy.change =
                    another_port(diagnosis.facts.port.unwrap_or(config.api_url.value.port()), config);
            }
            Advice::CheckAdapter if remedy.change.is_none() => {
                let given = config.args.value.iter().any(|a| a.starts_with("--lora-modules"));
                remedy.change = given.then(|| Change::DropArgument { flag: "--lora-modules".to_owned() });
            }
            _ => {}
        }
        remedy.change.take_if(|change| adopted || !edit::possible(config, change));
    }
    Some(diagnosis)
}

/// The next free port of the loopback.
fn another_port(port: u16, config: &ServiceConfig) -> Option<Change> {
    let free = (port.saturating_add(1)..=port.saturating_add(PORTS))
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())?;
    Some(Change::Set {
        variable: "VLLM_API_URL".to_owned(),
        value: config.api_url.value.with_port(free).to_string(),
    })
}

fn port_in_use(port: u16, by: &PortHolder, config: &ServiceConfig) -> Diagnosis {
    let change = another_port(port, config);
    let pid = if let PortHolder::Process { pid, .. } = by { Some(*pid) } else { None };
    Diagnosis {
        cause: Cause::PortInUse,
        evidence: Vec::<Evidence>::new(),
        facts: Facts { port: Some(port), pid, ..Facts::default() },
        remedies: vec![Remedy { advice: Advice::ChangePort, change }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::service as config;

    #[test]
    fn a_taken_port_is_answered_with_a_free_one() {
        let kind =
            FailureKind::PortInUse { port: 11_434, by: PortHolder::Process { pid: 7, name: "x".into() } };
        let found = of(&kind, &Explainer::new(), &config(&[]), false).expect("a cause");
        assert_eq!((found.cause, found.facts.pid), (Cause::PortInUse, Some(7)));
        let Some(Change::Set { variable, value }) = &found.remedies[0].change else { panic!("no change") };
        assert_eq!(variable, "VLLM_API_URL");
        assert!(value.starts_with("http://localhost:114") && !value.ends_with(":11434"), "{value}");
    }

    #[test]
    fn changes_that_cannot_be_made_are_not_offered() {
        let kind = FailureKind::PortInUse { port: 11_434, by: PortHolder::Unknown };
        let set_elsewhere = config(&[("VLLM_API_URL", "http://localhost:11434")]);
        for (config, adopted) in [(set_elsewhere, false), (config(&[]), true)] {
            let found = of(&kind, &Explainer::new(), &config, adopted).expect("a cause");
            assert_eq!(found.remedies[0].change, None);
            assert_eq!(found.remedies[0].advice, Advice::ChangePort, "the advice stays");
        }
    }

    #[test]
    fn the_engines_own_words_are_read_like_a_log() {
        let refused = |detail: &str| FailureKind::Refused { action: "start".into(), detail: detail.into() };
        let cause = |detail| of(&refused(detail), &Explainer::new(), &config(&[]), false).map(|d| d.cause);
        assert_eq!(
            cause("could not select device driver \"\" with capabilities: [[gpu]]"),
            Some(Cause::NoGpu)
        );
        assert_eq!(
            cause("failed to create prepare snapshot dir: mkdir /x: no space left on device"),
            Some(Cause::DiskFull)
        );
        assert_eq!(cause("a thing that nobody has seen"), None);
    }

    #[test]
    fn a_kill_by_the_kernel_for_memory_is_the_hosts_matter() {
        let found = of(&FailureKind::OutOfMemory, &Explainer::new(), &config(&[]), false).expect("a cause");
        assert_eq!(found.cause, Cause::HostOutOfMemory);
        let killed = of(&FailureKind::Killed { signal: 9 }, &Explainer::new(), &config(&[]), false);
        assert_eq!(killed.expect("a cause").cause, Cause::Killed);
        assert_eq!(of(&FailureKind::ModelNotSet, &Explainer::new(), &config(&[]), false), None);
    }
}
