//! A message is complete: what does it say?

use super::explainer::Explainer;
use super::facts::{Shortage, given_field, numa_subject};
use super::finding::{Finding, Mark, lines};
use super::numbers::squeeze;
use super::record::{Kind, Record};
use super::rules::{self, Means, Message, Rule, Weight};
use app::model::{Cause, Facts};

impl Explainer {
    pub(super) fn judge(&mut self, record: &Record, request: bool) {
        let mut squeezed = std::mem::take(&mut self.squeezed);
        let plain_only = record.kind == Kind::Plain;
        squeeze(record.text.get(..record.first).unwrap_or(&record.text), &mut squeezed);
        // What surrounds a failure is known by its first line; what follows it may be anything.
        let mut rule = rules::first(&squeezed, plain_only);
        if record.first < record.text.len() && !rule.is_some_and(|r| !matches!(r.means, Means::Cause(_))) {
            squeeze(&record.text, &mut squeezed);
            let whole = rules::first(&squeezed, plain_only);
            if whole.is_some_and(|r| matches!(r.means, Means::Cause(_))) || rule.is_none() {
                rule = whole;
            }
        }
        match rule {
            Some(rule) => self.apply(rule, record, &squeezed, request),
            None if record.kind == Kind::Exception && (record.traced || record.headed && record.engine) => {
                let mut finding = Self::finding(Cause::Unknown, Weight::Medium, record, request);
                finding.evidence = lines(record);
                self.findings.add_unknown(finding);
            }
            None => {}
        }
        self.squeezed = squeezed;
    }

    fn finding(cause: Cause, weight: Weight, record: &Record, request: bool) -> Finding {
        Finding {
            cause,
            weight,
            order: record.order,
            last: record.order,
            serving: record.serving,
            request,
            fatal: false,
            engine: record.engine,
            evidence: Vec::new(),
            facts: Facts::default(),
            shortage: None,
        }
    }

    fn apply(&mut self, rule: &'static Rule, record: &Record, squeezed: &str, request: bool) {
        let cause = match rule.means {
            Means::Nothing => return,
            Means::Failed if record.kind == Kind::Warning => return,
            Means::Stop => return Mark::earliest(&mut self.marks.stop, Mark::of(record)),
            Means::Failed => {
                if squeezed.contains("failedcoreproc(s):") {
                    Mark::earliest(&mut self.marks.gave_up, Mark::of(record));
                }
                return Mark::earliest(&mut self.marks.failed, Mark::of(record));
            }
            Means::Died => return Mark::earliest(&mut self.marks.died, Mark::of(record)),
            Means::Cause(cause) => cause,
        };
        let most = match record.kind {
            Kind::Exception if record.traced || record.headed => Weight::Strong,
            Kind::Error => Weight::Strong,
            Kind::Exception if rule.plain => Weight::Strong,
            Kind::Plain if rule.fatal => Weight::Strong,
            Kind::Exception | Kind::Plain => Weight::Medium,
            Kind::Warning => Weight::Weak,
        };
        let mut finding = Self::finding(cause, rule.weight.min(most), record, request);
        finding.fatal = rule.fatal && record.kind != Kind::Warning;
        finding.evidence = lines(record);
        (rule.facts)(&Message { text: &record.text, squeezed }, &mut finding.facts);
        if cause == Cause::InvalidValue {
            let given = |field: &str| self.known.argument(field).is_some();
            given_field(&record.text, given, &mut finding.facts);
            if squeezed.contains("numanodes") && self.known.begun() {
                numa_subject(given, &mut finding.facts);
            }
        }
        if cause == Cause::DoesNotFit {
            finding.shortage = Some(Shortage::read(squeezed));
        }
        self.findings.add(finding);
    }
}
