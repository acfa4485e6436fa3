//! `cargo xtask tidy`: the project's style as a test. One file a rule; a rule gives findings, each with what to do.
//!
//! Lengths are a ratchet: what is over a limit stands in `tidy-baseline.txt` and may only shrink. `--bless` writes the
//! smaller numbers; larger ones are typed in by hand, where a reviewer sees them.

mod banned;
mod edges;
mod lengths;
mod licences;
mod metadata;
mod source;
mod unsafe_code;
mod unused;

use std::fs;

use crate::{Result, shell::root};

use self::source::Source;

/// One thing that is not as it should be, in one line.
pub(crate) type Finding = String;

/// Runs the task.
pub(crate) fn run(args: &[String]) -> Result {
    let bless = match args {
        [] => false,
        [flag] if flag == "--bless" => true,
        _ => {
            return Err(
                format!("`cargo xtask tidy` takes --bless or nothing, got {args:?}").into(),
            );
        }
    };
    let packages = metadata::workspace()?;
    let sources = source::all(&root())?;
    let mut findings = edges::check(&packages);
    findings.extend(licences::check(&packages)?);
    for source in &sources {
        findings.extend(banned::check(source));
        findings.extend(unsafe_code::check(source));
    }
    findings.extend(unsafe_code::check_list(&sources));
    findings.extend(unused::check(&packages, &sources));
    findings.extend(lengths(&sources, bless)?);
    println!(
        "tidy: {} files; {}",
        sources.len(),
        lengths::statistics(&sources)
    );
    if findings.is_empty() {
        return Ok(());
    }
    Err(format!("{} findings:\n  {}", findings.len(), findings.join("\n  ")).into())
}

fn lengths(sources: &[Source], bless: bool) -> Result<Vec<Finding>> {
    let path = root().join("xtask/tidy-baseline.txt");
    let baseline = lengths::Baseline::parse(&fs::read_to_string(&path)?)?;
    let found = lengths::measure(sources);
    if bless {
        fs::write(&path, baseline.lowered(&found).to_string())?;
    }
    let baseline = if bless {
        baseline.lowered(&found)
    } else {
        baseline
    };
    Ok(baseline.compare(&found))
}
