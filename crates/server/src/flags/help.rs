//! The texts of `--help` and `--version`.

use std::fmt::Write as _;

use super::{Flag, Kind, ignored, table};
use crate::config::Config;

/// One line that names the program and its version.
pub fn version() -> String {
    format!("damselfly {}\n", env!("CARGO_PKG_VERSION"))
}

/// The flags with their meaning and default. `full` adds those that are only taken with a warning;
/// a `filter` keeps the flags whose name or text holds it.
pub fn help(full: bool, filter: &str) -> String {
    let mut text = version();
    text.push_str("Usage: damselfly [--flag=value ...]\n\n");
    text.push_str("A flag is also set by DFLY_<flag> in the environment, and by a line of a file given with --flagfile.\n\n");
    for flag in table::FLAGS
        .iter()
        .filter(|flag| flag.name.contains(filter) || flag.help.contains(filter))
    {
        text.push_str(&line(flag));
    }
    if filter.is_empty() {
        text.push_str("  --flagfile=PATHS\n      Files to read flags from, separated by commas\n");
        text.push_str(HEALTHCHECK);
        text.push_str("  --version, --help[=TEXT], --helpfull\n");
    }
    if full {
        text.push_str(
            "\nFlags of Dragonfly that are taken with a warning and mean nothing here:\n ",
        );
        for name in ignored::BOOLEANS.iter().chain(ignored::VALUES) {
            let _ = write!(text, " --{name}");
        }
        text.push('\n');
    }
    text
}

/// The help of a flag that starts no server.
const HEALTHCHECK: &str = "  --healthcheck[=live|serving|ready]\n      Ask the running server that has the other flags whether it is: \
live = it answers, serving = its data is loaded, ready = serving, and as a replica in sync\n";

fn line(flag: &Flag) -> String {
    let value = (flag.get)(&Config::default()).to_string();
    let default = if value.is_empty() {
        String::new()
    } else {
        format!(" (default: {value})")
    };
    match flag.kind {
        Kind::Bool => format!("  --[no]{}\n      {}{default}\n", flag.name, flag.help),
        _ => format!(
            "  --{}={}\n      {}{default}\n",
            flag.name, flag.unit, flag.help
        ),
    }
}
