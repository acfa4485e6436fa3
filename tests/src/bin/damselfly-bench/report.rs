//! The table, for eyes and for `docs/performance.md`.

use std::fs;
use std::path::{Path, PathBuf};

use damselfly_tests::{grouped, machine};

use crate::Result;
use crate::case::{Outcome, Ratio, Scale, Target};

/// The generated part of the file lies between these two lines.
const BEGIN: &str = "<!-- begin: written by `cargo xtask bench` -->";
const END: &str = "<!-- end: written by `cargo xtask bench` -->";

const NEW_FILE: &str = "# Performance\n\n\
`cargo xtask bench` measures this server beside `redis-server` in one run, round by round in turn; the numbers are medians.\n\
In the one-core cases the server has core 0 and the client core 1. Only the ratios mean anything on another machine.\n\
The values are letters and digits that do not compress.\n\n";

/// Machine, date and scale.
pub fn heading(scale: &Scale) -> String {
    format!(
        "{} · {} · load average at the start {:.1}\n\
         {} small strings and {} strings of 1 KB to synchronize, {} keys to read and write, {} collections of 5 elements",
        machine::today(),
        machine::description(),
        machine::load_average(),
        grouped(scale.keys),
        grouped(scale.big_keys),
        grouped(scale.speed_keys),
        grouped(scale.collections),
    )
}

/// A Markdown table.
pub fn table(outcomes: &[Outcome]) -> String {
    let head = [
        "what",
        "unit",
        "redis 7.0",
        "damselfly",
        "ratio",
        "target",
        "",
    ];
    let mut rows: Vec<Vec<String>> = vec![head.map(str::to_owned).to_vec()];
    rows.extend(outcomes.iter().map(cells));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..head.len())
        .map(|column| width(column).unwrap_or_default())
        .collect();
    let mut lines: Vec<String> = rows.iter().map(|row| padded(row, &widths)).collect();
    let rule: Vec<String> = widths
        .iter()
        .map(|width| "-".repeat((*width).max(1)))
        .collect();
    lines.insert(1, padded(&rule, &widths));
    lines.join("\n")
}

/// One row, for following the run.
pub fn line(outcome: &Outcome) -> String {
    let [what, unit, redis, ours, ratio, target, verdict] =
        <[String; 7]>::try_from(cells(outcome)).expect("a row has seven cells");
    format!("{what}: redis {redis}, damselfly {ours} {unit}, {ratio} {target} {verdict}")
}

fn cells(outcome: &Outcome) -> Vec<String> {
    let sign = match outcome.row.ratio {
        Ratio::Ours => "×",
        Ratio::Theirs => "× less",
    };
    let verdict = match outcome.is_met() {
        Some(true) => "met",
        Some(false) => "missed",
        None => "",
    };
    vec![
        outcome.row.what.to_owned(),
        outcome.row.unit.to_owned(),
        number(outcome.redis),
        number(outcome.ours),
        format!("{:.2} {sign}", outcome.ratio()),
        target(outcome),
        verdict.to_owned(),
    ]
}

fn target(outcome: &Outcome) -> String {
    match outcome.row.target {
        Target::RatioAtLeast(least) => format!("≥ {least} ×"),
        Target::RatioAtMost(most) => format!("≤ {most} ×"),
        Target::OursAtMost(most) => format!("≤ {most} {}", outcome.row.unit),
        Target::None => String::new(),
    }
}

fn padded(cells: &[String], widths: &[usize]) -> String {
    let cells = cells.iter().zip(widths);
    let cells = cells.map(|(cell, width)| {
        let blanks = width.saturating_sub(cell.chars().count());
        format!("{cell}{}", " ".repeat(blanks))
    });
    format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
}

/// Three digits that count, or whole numbers in groups.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 => {
            let sign = if value < 0.0 { "-" } else { "" };
            format!("{sign}{}", grouped(size.round() as u64))
        }
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Puts the table into `docs/performance.md`; what stands there outside of the markers stays.
pub fn write(heading: &str, table: &str) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let file = root
        .ok_or("the package lies in no folder")?
        .join("docs/performance.md");
    let old = fs::read_to_string(&file).unwrap_or_default();
    let generated = format!(
        "{BEGIN}\n{}\n\n{table}\n{END}",
        heading.replace('\n', "  \n")
    );
    let new = match (old.find(BEGIN), old.find(END)) {
        (Some(begin), Some(end)) if begin < end => {
            format!("{}{generated}{}", &old[..begin], &old[end + END.len()..])
        }
        _ if old.is_empty() => format!("{NEW_FILE}{generated}\n"),
        _ => format!("{}\n\n{generated}\n", old.trim_end()),
    };
    fs::create_dir_all(file.parent().ok_or("docs/performance.md has a folder")?)?;
    fs::write(&file, new)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Row;

    const ROW: Row = Row {
        what: "memory",
        unit: "B/key",
        ratio: Ratio::Ours,
        target: Target::RatioAtMost(0.7),
    };

    #[test]
    fn a_row_says_whether_its_target_is_met() {
        let outcome = Outcome {
            row: &ROW,
            redis: 174.0,
            ours: 116.0,
        };
        let table = table(&[outcome]);
        let row = table.lines().nth(2).unwrap();
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(
            cells[1..8],
            ["memory", "B/key", "174", "116", "0.67 ×", "≤ 0.7 ×", "met"]
        );
        assert_eq!(
            (number(1_234_567.0), number(12.34), number(-0.5)),
            ("1,234,567".into(), "12.3".into(), "-0.50".into())
        );
    }
}
