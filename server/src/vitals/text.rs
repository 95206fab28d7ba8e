//! Writes the Prometheus text format, version 0.0.4.
//!
//! Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::Write;

/// What kind of number a family holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts by upper bound.
    Histogram,
}

/// A text that is being written, family by family.
#[derive(Debug, Default)]
pub struct Text {
    out: String,
    family: &'static str,
}

impl Text {
    /// Begins a family: all its samples follow.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) -> &mut Self {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.family = name;
        // What goes into a String always fits.
        let _ = write!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        self
    }

    /// One sample of the family.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: f64) -> &mut Self {
        self.write("", labels, value)
    }

    /// A histogram: how many were at most so long, in seconds, from bound to bound; then all of them and their sum.
    pub fn histogram(
        &mut self,
        labels: &[(&str, &str)],
        buckets: impl Iterator<Item = (f64, u64)>,
        count: u64,
        sum: f64,
    ) -> &mut Self {
        for (bound, below) in buckets {
            self.write("_bucket", &[labels, &[("le", bound.to_string().as_str())]].concat(), below as f64);
        }
        self.write("_bucket", &[labels, &[("le", "+Inf")]].concat(), count as f64);
        self.write("_sum", labels, sum);
        self.write("_count", labels, count as f64)
    }

    fn write(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) -> &mut Self {
        let _ = write!(self.out, "{}{suffix}", self.family);
        for (n, (name, text)) in labels.iter().enumerate() {
            let open = if n == 0 { '{' } else { ',' };
            let _ = write!(self.out, "{open}{name}=\"");
            for c in text.chars() {
                match c {
                    '\\' => self.out.push_str("\\\\"),
                    '"' => self.out.push_str("\\\""),
                    '\n' => self.out.push_str("\\n"),
                    other => self.out.push(other),
                }
            }
            self.out.push('"');
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        let _ = writeln!(self.out, " {value}");
        self
    }

    /// The whole text.
    pub fn finish(self) -> String {
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_its_help_its_type_and_its_samples() {
        let mut text = Text::default();
        text.family("services_a_bytes", Kind::Gauge, "What it is.").sample(&[], 1.5);
        text.family("services_b_total", Kind::Counter, "What it counts.")
            .sample(&[("service", "a\"b\\c\nd"), ("state", "up")], 3e18);
        assert_eq!(
            text.finish(),
            "# HELP services_a_bytes What it is.\n# TYPE services_a_bytes gauge\nservices_a_bytes 1.5\n\
             # HELP services_b_total What it counts.\n# TYPE services_b_total counter\n\
             services_b_total{service=\"a\\\"b\\\\c\\nd\",state=\"up\"} 3000000000000000000\n"
        );
    }

    #[test]
    fn a_histogram_ends_with_all_of_them() {
        let mut text = Text::default();
        text.family("services_c_seconds", Kind::Histogram, "How long.").histogram(
            &[("route", "/")],
            [(0.005, 1), (1.0, 3)].into_iter(),
            4,
            7.25,
        );
        let text = text.finish();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "services_c_seconds_bucket{route=\"/\",le=\"0.005\"} 1",
                "services_c_seconds_bucket{route=\"/\",le=\"1\"} 3",
                "services_c_seconds_bucket{route=\"/\",le=\"+Inf\"} 4",
                "services_c_seconds_sum{route=\"/\"} 7.25",
                "services_c_seconds_count{route=\"/\"} 4",
            ]
        );
    }
}
