//! The systemd unit.

use super::{expect, quietly, step};
use crate::{
    Result,
    shell::{self, command, is_installed},
};
use std::path::PathBuf;

/// The most that `systemd-analyze security` may find exposed, of 10.
const MOST_EXPOSED: f64 = 2.0;

/// Where it stands.
pub(super) fn path() -> PathBuf {
    shell::root().join("packaging/systemd/damselfly.service")
}

/// The value of one of its keys, the last one.
pub(super) fn value(key: &str) -> Result<String> {
    let text = std::fs::read_to_string(path())?;
    let of = |line: &str| Some(line.strip_prefix(key)?.strip_prefix('=')?.to_owned());
    let found = text.lines().filter_map(of).next_back();
    found.ok_or_else(|| format!("the unit has no {key}").into())
}

/// Has systemd's own tools look at it.
pub(super) fn check() -> Result {
    expect(is_installed("systemd-analyze"), || {
        "systemd-analyze is missing".to_owned()
    })?;
    step("systemd-analyze verify", || {
        let said = quietly(
            command("systemd-analyze")
                .args(["verify", "--man=no"])
                .arg(path()),
        );
        // It exits with an error where the binary is not installed, which is no fault of the unit.
        let said = match said {
            Ok(said) => said,
            Err(error) => error.to_string(),
        };
        let about_us =
            |line: &&str| line.contains("damselfly.service") && !line.contains("is not executable");
        let findings: Vec<&str> = said.lines().filter(about_us).collect();
        expect(findings.is_empty(), || findings.join("\n"))
    })?;
    step("systemd-analyze security", || {
        let security = ["security", "--offline=yes", "--no-pager"];
        let said = quietly(command("systemd-analyze").args(security).arg(path()))?;
        let level = said
            .lines()
            .find_map(|line| line.split_once("exposure level for damselfly.service: "));
        let level = level.ok_or("it names no exposure level")?.1;
        println!("    exposure {level}");
        let number: f64 = level.split(' ').next().unwrap_or_default().parse()?;
        expect(number <= MOST_EXPOSED, || said)
    })
}
