//! Prometheus's text format, read strictly, and its tool.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::process::{Command, Stdio};

/// Endings of complaints of `promtool check metrics` that are known: names that are Dragonfly's, and the lag in the unit that it is
/// promised in.
const KNOWN_COMPLAINTS: [&str; 4] = [
    "dragonfly_replica_reconnect_count ",
    "dragonfly_replication_psync_count ",
    "dragonfly_uptime_in_seconds ",
    "_lag_milliseconds use base unit \"seconds\" instead of \"milliseconds\"",
];

/// What a scrape brought: names with their labels, as they were written, and values.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    samples: BTreeMap<String, f64>,
}

impl Metrics {
    /// Reads a scrape.
    ///
    /// # Errors
    /// A line that is no sample, a sample that stands twice, or one whose name was not announced before it.
    pub fn parse(text: &str) -> Result<Metrics, String> {
        let (mut metrics, mut announced) = (Metrics::default(), BTreeSet::new());
        for line in text.lines() {
            if let Some(heading) = line.strip_prefix("# TYPE ") {
                let name = heading.split(' ').next().unwrap_or_default();
                if !announced.insert(name) {
                    return Err(format!("announced twice: {name}"));
                }
            }
            if line.starts_with('#') {
                continue;
            }
            let (sample, value) = line.rsplit_once(' ').ok_or(line)?;
            let value = value.parse().map_err(|_| format!("no number: {line}"))?;
            let name = sample.split('{').next().unwrap_or_default();
            if !announced.contains(name) {
                return Err(format!("not announced: {line}"));
            }
            if metrics.samples.insert(sample.to_owned(), value).is_some() {
                return Err(format!("stands twice: {line}"));
            }
        }
        Ok(metrics)
    }

    /// The value of a name with its labels, as they are written.
    pub fn get(&self, sample: &str) -> Option<f64> {
        self.samples.get(sample).copied()
    }

    /// All samples of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        let samples = self.samples.iter();
        samples
            .filter(move |(sample, _)| sample.split('{').next() == Some(name))
            .map(|(sample, value)| (sample.as_str(), *value))
    }
}

/// What `promtool check metrics` finds fault with, beside what is known.
///
/// # Errors
/// The system's; or it can't read the text at all.
pub fn promtool_complaints(text: &str) -> io::Result<Vec<String>> {
    let mut tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = tool.stdin.take() {
        input.write_all(text.as_bytes())?;
    }
    let output = tool.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    // 3 is "it could be better".
    if !matches!(output.status.code(), Some(0 | 3)) {
        return Err(io::Error::other(said));
    }
    let is_known = |line: &str| KNOWN_COMPLAINTS.iter().any(|known| line.contains(known));
    let lines = said
        .lines()
        .filter(|line| !line.is_empty() && !is_known(line));
    Ok(lines.map(str::to_owned).collect())
}
