//! How long functions and files may be (STYLE: functions around 8 lines, 30 as a rule, 70 at most; files 400 as a rule,
//! 800 at most; a `lib.rs` 150, tests not counted). What is over the most stands in the baseline and may only shrink.

use std::{collections::BTreeMap, fmt};

use crate::Result;

use super::{
    Finding,
    source::{Source, block_after},
};

const FUNCTION_MOST: usize = 70;
const FUNCTION_RULE: usize = 30;
const FILE_MOST: usize = 800;
const FILE_RULE: usize = 400;
const LIB_MOST: usize = 150;

/// What is over its limit: `function <path> <name>`, `file <path>` or `lib <path>`, and its lines.
pub(crate) type Over = BTreeMap<String, usize>;

/// Everything over its limit.
pub(crate) fn measure(sources: &[Source]) -> Over {
    let mut over = Over::new();
    for source in sources {
        let lines = source.line_count();
        if lines > FILE_MOST {
            over.insert(format!("file {}", source.path), lines);
        } else if source.path.ends_with("/src/lib.rs") && lines > LIB_MOST {
            over.insert(format!("lib {}", source.path), lines);
        }
        for (name, lines) in functions(source).filter(|(_, lines)| *lines > FUNCTION_MOST) {
            let longest = over
                .entry(format!("function {} {name}", source.path))
                .or_default();
            *longest = lines.max(*longest);
        }
    }
    over
}

/// One line on how the code stands to the rules.
pub(crate) fn statistics(sources: &[Source]) -> String {
    let mut lengths: Vec<usize> = sources
        .iter()
        .flat_map(functions)
        .map(|(_, lines)| lines)
        .collect();
    lengths.sort_unstable();
    let percentile = |percent: usize| {
        lengths
            .get(lengths.len() * percent / 100)
            .copied()
            .unwrap_or_default()
    };
    let long = lengths
        .iter()
        .filter(|&&lines| lines > FUNCTION_RULE)
        .count();
    let long_files = sources
        .iter()
        .filter(|source| source.line_count() > FILE_RULE)
        .count();
    format!(
        "{} functions, median {} lines, 90th percentile {}, {long} over {FUNCTION_RULE}; {long_files} files over {FILE_RULE}",
        lengths.len(),
        percentile(50),
        percentile(90),
    )
}

/// Every function outside of tests with the lines between its braces.
fn functions(source: &Source) -> impl Iterator<Item = (&str, usize)> {
    source
        .find("fn")
        .filter(|&at| !source.is_test(at))
        .filter_map(|at| {
            let rest = source.code[at + 2..].trim_start();
            let end = rest.find(|c: char| c != '_' && !c.is_alphanumeric())?;
            let (name, _) = rest.split_at(end);
            // `fn(u8) -> u8` is a type.
            let body = (!name.is_empty())
                .then(|| block_after(&source.code, at))
                .flatten()?;
            let newlines = source.code[body]
                .bytes()
                .filter(|&byte| byte == b'\n')
                .count();
            Some((name, newlines.saturating_sub(1)))
        })
}

/// What was over its limit already.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Baseline {
    allowed: Over,
}

const HEAD: &str = "# What is longer than the limits of xtask/src/tidy/lengths.rs, with its lines. Numbers may only shrink:\n\
# `cargo xtask tidy --bless` lowers them. A new line, or a larger number, is typed by hand and needs a reason in its commit.\n";

impl Baseline {
    pub fn parse(text: &str) -> Result<Baseline> {
        let mut allowed = Over::new();
        for line in text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        {
            let (what, lines) = line
                .rsplit_once(' ')
                .ok_or_else(|| format!("tidy-baseline.txt: {line:?}"))?;
            let lines = lines
                .parse()
                .map_err(|error| format!("tidy-baseline.txt: {line:?}: {error}"))?;
            allowed.insert(what.to_owned(), lines);
        }
        Ok(Baseline { allowed })
    }

    /// This baseline with what has shrunk since.
    pub fn lowered(&self, found: &Over) -> Baseline {
        let still = |(what, &lines): (&String, &usize)| {
            found.get(what).map(|&now| (what.clone(), now.min(lines)))
        };
        Baseline {
            allowed: self.allowed.iter().filter_map(still).collect(),
        }
    }

    pub fn compare(&self, found: &Over) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (what, &lines) in found {
            match self.allowed.get(what) {
                None => findings.push(format!(
                    "{what} has {lines} lines, at most {} are allowed",
                    limit(what)
                )),
                Some(&allowed) if lines > allowed => {
                    findings.push(format!("{what} has grown to {lines} lines from {allowed}, which is too long already"));
                }
                Some(_) => {}
            }
        }
        let shrunk = |(what, allowed): &(&String, &usize)| {
            found.get(*what).is_none_or(|lines| lines < *allowed)
        };
        let stale = self.allowed.iter().filter(shrunk);
        findings.extend(
            stale.map(|(what, _)| format!("{what} has shrunk: run `cargo xtask tidy --bless`")),
        );
        findings
    }
}

fn limit(what: &str) -> usize {
    match what.split(' ').next() {
        Some("function") => FUNCTION_MOST,
        Some("lib") => LIB_MOST,
        _ => FILE_MOST,
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        self.allowed
            .iter()
            .try_for_each(|(what, lines)| writeln!(f, "{what} {lines}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(entries: &[(&str, usize)]) -> Over {
        entries
            .iter()
            .map(|(what, lines)| (what.to_string(), *lines))
            .collect()
    }

    #[test]
    fn long_functions_and_files_are_measured_without_their_tests() {
        let body = "    x();\n".repeat(71);
        let text = format!(
            "type F = fn(u8);\nfn short() {{\n    x();\n}}\nfn long(\n    a: [u8; 3],\n) {{\n{body}}}\n#[cfg(test)]\nmod tests {{\n    fn longer() {{\n{body}{body}    }}\n}}\n"
        );
        let found = measure(&[Source::new("crates/x/src/lib.rs".into(), text)]);
        assert_eq!(found, over(&[("function crates/x/src/lib.rs long", 71)]));
        let file = "a();\n".repeat(801);
        let found = measure(&[Source::new("crates/x/src/y.rs".into(), file.clone())]);
        assert_eq!(found, over(&[("file crates/x/src/y.rs", 801)]));
        assert_eq!(
            measure(&[Source::new("crates/x/tests/y.rs".into(), file)]),
            over(&[])
        );
    }

    #[test]
    fn the_baseline_only_shrinks() {
        let baseline = Baseline::parse("# head\nfile a 900\nfile b 850\nfile gone 801\n")
            .expect("well formed");
        let found = over(&[("file a", 901), ("file b", 840), ("file new", 802)]);
        let findings = baseline.compare(&found);
        assert_eq!(findings.len(), 4, "grown, new, shrunk, gone: {findings:?}");
        let lowered = baseline.lowered(&found);
        assert_eq!(
            lowered.to_string(),
            format!("{HEAD}file a 900\nfile b 840\n")
        );
        assert_eq!(
            Baseline::parse(&lowered.to_string()).expect("its own format"),
            lowered
        );
        assert_eq!(lowered.compare(&found).len(), 2, "grown and new stay");
    }
}
