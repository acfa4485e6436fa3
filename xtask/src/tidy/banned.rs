//! What sans-IO code must not call: sockets, clocks, randomness, a runtime.

use super::{Finding, source::Source};

/// Folders that are sans-IO.
const SANS_IO: [&str; 5] = [
    "crates/resp/src/",
    "crates/store/src/",
    "crates/journal/src/",
    "crates/snapshot/src/",
    "crates/replication/src/",
];

/// The tokio driver of `replication`: `driver.rs`, `driver/…`.
const EXEMPT: &str = "crates/replication/src/driver";

const BANNED: &[(&str, &str)] = &[
    ("std::net", "a socket belongs to the driver"),
    ("TcpStream", "a socket belongs to the driver"),
    ("Instant::now", "time is an argument"),
    ("SystemTime", "time is an argument"),
    ("thread::sleep", "time is an argument"),
    ("std::fs", "files belong to the server"),
    ("rand", "randomness is an argument"),
    ("getrandom", "randomness is an argument"),
    ("RandomState", "randomness is an argument: take the seed"),
    ("tokio", "a runtime belongs to the driver"),
];

/// Uses that are right: file, word, why.
const ALLOWED: &[(&str, &str, &str)] = &[(
    "crates/store/src/values/elem.rs",
    "RandomState",
    "the process's own seed where nobody gave one; the simulator gives one by `seed_hashing`",
)];

pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let is_sans_io = SANS_IO.iter().any(|folder| source.path.starts_with(folder));
    if !is_sans_io || source.path.starts_with(EXEMPT) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let is_allowed = |word: &str| {
        ALLOWED
            .iter()
            .any(|(path, allowed, _)| *path == source.path && *allowed == word)
    };
    for (word, why) in BANNED.iter().filter(|(word, _)| !is_allowed(word)) {
        let uses = source
            .find(word)
            .filter(|&at| !source.is_test(at) && !is_path_of_our_own(source, at, word));
        findings.extend(uses.map(|at| {
            format!(
                "{}:{}: {word} in sans-IO code: {why}",
                source.path,
                source.line(at)
            )
        }));
    }
    findings
}

/// `tokio` and `rand` are crates only at the start of a path; a feature's or a function's name is something else.
fn is_path_of_our_own(source: &Source, at: usize, word: &str) -> bool {
    if word != "tokio" && word != "rand" {
        return false;
    }
    let before = source.code[..at].trim_end();
    let after = &source.code[at + word.len()..];
    before.ends_with("::")
        || !(after.starts_with("::") || before.ends_with("use") || before.ends_with("extern crate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> usize {
        check(&Source::new(path.into(), text.into())).len()
    }

    #[test]
    fn sans_io_code_is_kept_so() {
        let calls = "use std::net::TcpListener;\nlet now = std::time::Instant::now();\nlet x = rand::random();\ntokio::spawn(x);\n";
        assert_eq!(findings("crates/replication/src/flow.rs", calls), 4);
        assert_eq!(findings("crates/replication/src/driver.rs", calls), 0);
        assert_eq!(findings("crates/replication/src/driver/link.rs", calls), 0);
        assert_eq!(findings("crates/engine/src/thread.rs", calls), 0);
        assert_eq!(
            findings(
                "crates/store/src/x.rs",
                "let t: std::time::Instant; // tokio::spawn\nfn rand(rand: u64) {}"
            ),
            0
        );
        assert_eq!(
            findings(
                "crates/store/src/x.rs",
                "#[cfg(test)]\nmod tests { use std::time::SystemTime; }"
            ),
            0
        );
        assert_eq!(
            findings(
                "crates/replication/src/lib.rs",
                "#[cfg(feature = \"tokio\")]\npub mod driver;"
            ),
            0
        );
    }
}
