//! One licence for all that is ours; permissive ones for all that we use. The list of those stands in `deny.toml`.

use std::fs;

use crate::{Result, shell::root};

use super::{Finding, metadata::Package};

const OURS: &str = "Apache-2.0";

pub(crate) fn check(packages: &[Package]) -> Result<Vec<Finding>> {
    let allowed = allowed(&fs::read_to_string(root().join("deny.toml"))?);
    let mut findings = Vec::new();
    if !fs::read_to_string(root().join("LICENSE")).is_ok_and(|text| text.contains("Apache License"))
    {
        findings.push("LICENSE with the text of the Apache licence is missing".into());
    }
    for package in packages {
        let licence = package.licence.as_deref().unwrap_or_default();
        if package.is_member && licence != OURS {
            findings.push(format!(
                "{}: licence {licence:?}, expected `license.workspace = true`",
                package.name
            ));
        } else if !package.is_member && !permits(licence, &allowed) {
            findings.push(format!(
                "{}: licence {licence:?} is not among those of deny.toml",
                package.name
            ));
        }
    }
    Ok(findings)
}

/// The strings of the list `allow` in the section `[licenses]`.
fn allowed(deny: &str) -> Vec<String> {
    let section = deny.split_once("\n[licenses]").map_or("", |(_, rest)| rest);
    let list = section.split_once("allow = [").map_or("", |(_, rest)| rest);
    let list = list.split_once(']').map_or("", |(list, _)| list);
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Whether an SPDX expression can be met with the allowed licences. `/` is an old `OR`.
fn permits(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = &words[..];
    any(&mut rest, allowed) && rest.is_empty()
}

fn any(rest: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = all(rest, allowed);
    while let [first, tail @ ..] = *rest
        && *first == "OR"
    {
        *rest = tail;
        met |= all(rest, allowed);
    }
    met
}

fn all(rest: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = term(rest, allowed);
    while let [first, tail @ ..] = *rest
        && *first == "AND"
    {
        *rest = tail;
        met &= term(rest, allowed);
    }
    met
}

fn term(rest: &mut &[&str], allowed: &[String]) -> bool {
    let [first, tail @ ..] = *rest else {
        return false;
    };
    *rest = tail;
    if *first == "(" {
        let met = any(rest, allowed);
        *rest = rest.strip_prefix(&[")"]).unwrap_or_default();
        return met;
    }
    let met = allowed.iter().any(|licence| licence == first);
    // An exception only adds permissions.
    if let ["WITH", _, tail @ ..] = *rest {
        *rest = tail;
    }
    met
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_met_or_not() {
        let allowed = allowed(
            "[graph]\n\n[licenses]\nallow = [\n  \"MIT\", \"Apache-2.0\",\n  \"Unicode-3.0\",\n]\n",
        );
        assert_eq!(allowed, ["MIT", "Apache-2.0", "Unicode-3.0"]);
        for met in [
            "MIT",
            "MIT/GPL-3.0",
            "GPL-2.0 OR Apache-2.0",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
        ] {
            assert!(permits(met, &allowed), "{met}");
        }
        for unmet in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT OR GPL-3.0) AND GPL-2.0",
            "MIT MIT",
        ] {
            assert!(!permits(unmet, &allowed), "{unmet}");
        }
    }
}
