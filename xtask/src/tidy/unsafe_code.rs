//! Where `unsafe` may stand: in modules named here, that allow it at their head and say why.

use super::{Finding, source::Source};

/// The named modules: folders, whose `mod.rs` is the head. The compiler denies `unsafe` everywhere else, too; this list
/// makes a new one visible in review.
const NAMED: &[&str] = &["crates/store/src/compact/", "crates/lua/src/raw/"];

pub(crate) fn check(source: &Source) -> Option<Finding> {
    let is_named = NAMED.iter().any(|folder| source.path.starts_with(folder));
    let at = source.find("unsafe").next().filter(|_| !is_named)?;
    let line = source.line(at);
    Some(format!(
        "{}:{line}: unsafe outside of the modules named in xtask/src/tidy/unsafe_code.rs",
        source.path
    ))
}

/// Whether each named module still needs its name, and says why.
pub(crate) fn check_list(sources: &[Source]) -> Vec<Finding> {
    NAMED
        .iter()
        .filter_map(|folder| check_named(folder, sources).err())
        .collect()
}

fn check_named(folder: &str, sources: &[Source]) -> Result<(), Finding> {
    let files = || {
        sources
            .iter()
            .filter(|source| source.path.starts_with(folder))
    };
    if !files().any(|source| source.find("unsafe").next().is_some()) {
        return Err(format!(
            "{folder} has no unsafe; take it out of xtask/src/tidy/unsafe_code.rs"
        ));
    }
    match files().find(|source| source.path == format!("{folder}mod.rs")) {
        Some(head) => reason(head),
        None => Err(format!(
            "{folder}mod.rs is missing: the head of a module with unsafe"
        )),
    }
}

/// The `allow` at the head of a file has a comment before it, or a `reason`.
fn reason(source: &Source) -> Result<(), Finding> {
    let missing = |what: &str| Err(format!("{}: {what}", source.path));
    let Some(at) = source.text.find("allow(unsafe_code") else {
        return missing("unsafe without #![allow(unsafe_code)] and the reason at the file's head");
    };
    let line = source.text[at..].lines().next().unwrap_or_default();
    let before = source.text[..at].lines().rev().nth(1).unwrap_or_default();
    if line.contains("reason =") || line.contains("//") || before.trim_start().starts_with("//") {
        return Ok(());
    }
    missing("#![allow(unsafe_code)] does not say why")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> bool {
        check(&Source::new(path.into(), text.into())).is_some()
    }

    #[test]
    fn unsafe_is_found_in_code_only_and_outside_of_the_named_modules_only() {
        assert!(found("crates/x/src/y.rs", "fn a() { unsafe { b() } }"));
        assert!(!found(
            "crates/x/src/y.rs",
            "// unsafe\n#![deny(unsafe_code)]"
        ));
        assert!(!found(
            "crates/store/src/compact/y.rs",
            "fn a() { unsafe { b() } }"
        ));
    }

    #[test]
    fn a_named_module_has_unsafe_and_a_head() {
        let named = |files: &[(&str, &str)]| {
            let sources = files
                .iter()
                .map(|(path, text)| Source::new(path.to_string(), text.to_string()));
            check_named("crates/x/src/raw/", &sources.collect::<Vec<_>>())
        };
        let code = ("crates/x/src/raw/slot.rs", "fn a() { unsafe { b() } }");
        let head = (
            "crates/x/src/raw/mod.rs",
            "//! Raw slots, because.\n#![allow(unsafe_code)]\n",
        );
        assert_eq!(named(&[head, code]), Ok(()));
        assert!(named(&[code]).is_err() && named(&[head]).is_err() && named(&[]).is_err());
    }

    #[test]
    fn an_allowance_says_why() {
        let said = |text: &str| reason(&Source::new("x.rs".into(), text.into())).is_ok();
        assert!(said(
            "//! Slots.\n//! Raw, because …\n#![allow(unsafe_code)]\n"
        ));
        assert!(said("#![allow(unsafe_code, reason = \"slots\")]\n"));
        assert!(said("#![allow(unsafe_code)] // slots\n"));
        assert!(!said("use x;\n#![allow(unsafe_code)]\n") && !said("unsafe fn a() {}"));
    }
}
