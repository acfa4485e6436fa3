//! Prometheus's text format, version 0.0.4 (prometheus.io, "Exposition formats").
//!
//! It is written here because the names have to be Dragonfly's: a library for OpenMetrics would add `_total` to counters that
//! Dragonfly calls otherwise.

use std::fmt::{Display, Write};

/// What all names begin with, as with Dragonfly.
const PREFIX: &str = "dragonfly_";

/// What a figure does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows, until the server starts anew (or CONFIG RESETSTAT).
    Counter,
    /// Goes up and down.
    Gauge,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        }
    }
}

/// The text so far.
#[derive(Debug, Default)]
pub(super) struct Text(String);

/// The samples of one name.
#[derive(Debug)]
pub(super) struct Family<'text> {
    text: &'text mut String,
    name: &'static str,
    kind: Kind,
    help: &'static str,
    is_begun: bool,
}

impl Text {
    /// Figures that grow, under a name without its prefix.
    pub(super) fn counter(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, Kind::Counter, help)
    }

    /// Figures that go up and down.
    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, Kind::Gauge, help)
    }

    fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) -> Family<'_> {
        Family {
            text: &mut self.0,
            name,
            kind,
            help,
            is_begun: false,
        }
    }

    /// All of it.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// The one sample of a name without labels.
    pub(super) fn value(mut self, value: impl Display) {
        self.sample(&[], value);
    }

    /// A sample with labels. A name of which there is none is not written at all.
    pub(super) fn sample(&mut self, labels: &[(&str, &dyn Display)], value: impl Display) {
        let name = self.name;
        if !self.is_begun {
            self.is_begun = true;
            let (help, kind) = (self.help, self.kind.word());
            let _ = write!(
                self.text,
                "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}\n"
            );
        }
        let _ = write!(self.text, "{PREFIX}{name}");
        for (index, (label, value)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let value = escaped(&value.to_string());
            let _ = write!(self.text, "{before}{label}=\"{value}\"");
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{after} {value}");
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_as_prometheus_reads_them() {
        let mut text = Text::default();
        text.gauge("up", "Whether it is up.").value(1);
        let _ = text.gauge("nothing", "Never seen.");
        let mut keys = text.counter("keys", "Keys.");
        keys.sample(&[("db", &0), ("name", &"a\"\\\nb")], 7);
        keys.sample(&[("db", &1), ("name", &"")], 2.5);
        let expected = "# HELP dragonfly_up Whether it is up.\n# TYPE dragonfly_up gauge\ndragonfly_up 1\n\
            # HELP dragonfly_keys Keys.\n# TYPE dragonfly_keys counter\n\
            dragonfly_keys{db=\"0\",name=\"a\\\"\\\\\\nb\"} 7\ndragonfly_keys{db=\"1\",name=\"\"} 2.5\n";
        assert_eq!(text.finish(), expected);
    }
}
