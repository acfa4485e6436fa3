//! Source files with comments and literals blanked out, so that the rules see only code.

use std::{fs, ops::Range, path::Path};

use crate::Result;

/// Folders of the repository that hold our Rust.
const FOLDERS: [&str; 5] = ["crates", "examples", "fuzz", "tests", "xtask"];

/// A Rust file.
pub(crate) struct Source {
    /// From the root, with slashes.
    pub path: String,
    /// The text as it is.
    pub text: String,
    /// The text with comments, strings and characters replaced by spaces; the same length, the same lines.
    pub code: String,
    /// The bytes of items under `#[cfg(test)]`.
    tests: Vec<Range<usize>>,
}

impl Source {
    pub fn new(path: String, text: String) -> Source {
        let code = blanked(&text);
        let tests = test_items(&code);
        Source {
            path,
            text,
            code,
            tests,
        }
    }

    /// Whether the byte lies in an item under `#[cfg(test)]`, or the whole file is a test.
    pub fn is_test(&self, at: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&at)) || self.is_test_file()
    }

    /// The number of the line of a byte, from 1.
    pub fn line(&self, at: usize) -> usize {
        1 + self.code[..at]
            .bytes()
            .filter(|&byte| byte == b'\n')
            .count()
    }

    /// Lines without those of tests.
    pub fn line_count(&self) -> usize {
        if self.is_test_file() {
            return 0;
        }
        let lines = |text: &str| text.bytes().filter(|&byte| byte == b'\n').count();
        let in_tests: usize = self
            .tests
            .iter()
            .map(|range| lines(&self.code[range.clone()]))
            .sum();
        lines(&self.code) - in_tests
    }

    fn is_test_file(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        self.path.contains("/tests/")
            || self.path.starts_with("tests/")
            || name == "tests.rs"
            || name.ends_with("_tests.rs")
    }

    /// Where `word` stands as a whole path or identifier in the code.
    pub fn find<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        let is_ident = |byte: Option<&u8>| {
            byte.is_some_and(|&byte| byte == b'_' || byte.is_ascii_alphanumeric())
        };
        let bytes = self.code.as_bytes();
        self.code
            .match_indices(word)
            .map(|(at, _)| at)
            .filter(move |&at| {
                !is_ident(at.checked_sub(1).and_then(|at| bytes.get(at)))
                    && !is_ident(bytes.get(at + word.len()))
            })
    }
}

/// All Rust files of the repository, by path.
pub(crate) fn all(root: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for folder in FOLDERS {
        collect(root, &root.join(folder), &mut sources)?;
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}

fn collect(root: &Path, dir: &Path, sources: &mut Vec<Source>) -> Result {
    for entry in fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(root, &path, sources)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let shown = path
                .strip_prefix(root)?
                .to_string_lossy()
                .replace('\\', "/");
            sources.push(Source::new(shown, fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

/// Replaces comments and literals by spaces.
fn blanked(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = at + skipped(&bytes[at..], at.checked_sub(1).map(|before| bytes[before]));
        if end > at {
            for byte in &mut out[at..end] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
            at = end;
        } else {
            at += 1;
        }
    }
    String::from_utf8(out)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// How many bytes of comment or literal begin here; 0: none.
fn skipped(rest: &[u8], before: Option<u8>) -> usize {
    let in_word = before.is_some_and(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
    match rest {
        [b'/', b'/', ..] => rest
            .iter()
            .position(|&byte| byte == b'\n')
            .unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment(rest),
        [b'"', ..] => string(rest),
        [b'r', b'"' | b'#', ..] if !in_word => raw_string(&rest[1..]).map_or(0, |len| len + 1),
        [b'b' | b'c', b'r', b'"' | b'#', ..] if !in_word => {
            raw_string(&rest[2..]).map_or(0, |len| len + 2)
        }
        [b'\'', ..] => character(rest),
        _ => 0,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] => {
                (at, depth) = (at + 2, depth - 1);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    rest.len()
}

fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `#*"…"#*`; `None` for a raw identifier.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let hashes = rest.iter().take_while(|&&byte| byte == b'#').count();
    if rest.get(hashes) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(1 + hashes, b'#');
    let body = hashes + 1;
    let found = rest[body..]
        .windows(close.len())
        .position(|window| window == close);
    Some(found.map_or(rest.len(), |at| body + at + close.len()))
}

/// `'x'`, `'\n'`, `'\u{1f}'`, but no lifetime.
fn character(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        let close = rest.iter().skip(3).position(|&byte| byte == b'\'');
        return close.map_or(0, |at| at + 4);
    }
    let width = rest.get(1).map_or(0, |&first| match first {
        0..0x80 => 1,
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    });
    if rest.get(1 + width) == Some(&b'\'') {
        width + 2
    } else {
        0
    }
}

/// The items after each `#[cfg(test)]`.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut items = Vec::new();
    for (start, _) in code.match_indices("#[cfg(test)]") {
        let end = block_after(code, start).map_or(code.len(), |block| block.end);
        items.push(start..end);
    }
    items
}

/// The braces of the item that begins at `start`, both included; `None` for an item that ends in `;`.
pub(crate) fn block_after(code: &str, start: usize) -> Option<Range<usize>> {
    let mut nested = 0usize;
    let mut open = None;
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match (byte, open) {
            (b'(' | b'[', None) => nested += 1,
            (b')' | b']', None) => nested = nested.saturating_sub(1),
            (b';', None) if nested == 0 => return None,
            (b'{', None) if nested == 0 => {
                open = Some(at);
                nested = 1;
            }
            (b'{', Some(_)) => nested += 1,
            (b'}', Some(open)) => {
                nested -= 1;
                if nested == 0 {
                    return Some(open..at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new("crates/x/src/y.rs".into(), text.into())
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        let text = r##"let a = "std::net \" x"; // std::net
/* std::net /* deep */ std::net */ let b = r#"std::net "quoted""#; let c = b"std::net"; let d = 'x'; let e = '\''; let f: &'static str;"##;
        let source = source(text);
        assert_eq!(source.find("std::net").count(), 0);
        assert_eq!(source.code.len(), text.len());
        assert!(
            source.code.contains("let f: &'static str;"),
            "{}",
            source.code
        );
    }

    #[test]
    fn words_are_whole() {
        let source = source("use std::net; use my_std::net; use std::network; std::net::x");
        assert_eq!(source.find("std::net").count(), 2);
    }

    #[test]
    fn items_under_cfg_test_are_tests() {
        let source = source("fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n");
        let at = |name: &str| source.code.find(name).expect("there");
        assert!(
            !source.is_test(at("fn a"))
                && source.is_test(at("fn b"))
                && !source.is_test(at("fn c"))
        );
        assert_eq!(source.line_count(), 3, "the last line of the item goes on");
    }
}
