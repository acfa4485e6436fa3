//! A library of functions: its first line, and what is known of its functions.

use crate::script::ScriptFlags;
use damselfly_resp::split_words;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a library's first line begins with, the engine behind it.
const SHEBANG: &[u8] = b"#!";
const NAME_OPTION: &[u8] = b"name=";
const ENGINE: &str = "lua";
pub(crate) const BAD_NAME: &str = "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";

/// A library that has not been loaded yet: its text, and the name that its first line gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibrarySource {
    /// Its name.
    pub name: String,
    /// Its text, first line included.
    pub code: Vec<u8>,
}

impl LibrarySource {
    /// Reads the first line (`#!lua name=…`). The error is the reply's text.
    ///
    /// # Errors
    /// There is no such line, or something in it is wrong.
    pub fn of(code: &[u8]) -> Result<LibrarySource, Vec<u8>> {
        let refuse = |text: &str| Err(format!("ERR {text}").into_bytes());
        if !code.starts_with(SHEBANG) {
            return refuse("Missing library metadata");
        }
        let line = code.iter().position(|byte| *byte == b'\n');
        let words = line.and_then(|end| split_words(&code[..end]));
        let Some((engine, options)) = words.as_deref().and_then(<[_]>::split_first) else {
            return refuse("Invalid library metadata");
        };
        let mut name = None;
        for option in options {
            let head = option.get(..NAME_OPTION.len());
            if !head.is_some_and(|head| head.eq_ignore_ascii_case(NAME_OPTION)) {
                return Err([b"ERR Invalid metadata value given: ", option.as_slice()].concat());
            }
            if name.replace(&option[NAME_OPTION.len()..]).is_some() {
                return refuse("Invalid metadata value, name argument was given multiple times");
            }
        }
        let Some(name) = name else {
            return refuse("Library name was not given");
        };
        let Some(name) = valid_name(name) else {
            return refuse(BAD_NAME);
        };
        let engine = &engine[SHEBANG.len()..];
        if !engine.eq_ignore_ascii_case(ENGINE.as_bytes()) {
            return Err([b"ERR Engine '", engine, b"' not found"].concat());
        }
        Ok(LibrarySource {
            name,
            code: code.to_vec(),
        })
    }
}

/// The name of a library or a function, if it can be one.
pub(crate) fn valid_name(name: &[u8]) -> Option<String> {
    let is_good = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let name = (!name.is_empty() && name.iter().all(is_good)).then(|| name.to_vec())?;
    String::from_utf8(name).ok()
}

/// What a library says of one of its functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionInfo {
    /// Its name.
    pub name: String,
    /// A line for people.
    pub description: Option<Vec<u8>>,
    /// What it may do.
    pub flags: ScriptFlags,
}

/// A library that has been loaded once without an error. A state that runs one of its functions loads it for itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Library {
    /// Its name and text.
    pub source: LibrarySource,
    /// Its functions, in the order of their names.
    pub functions: Vec<FunctionInfo>,
    /// No two have the same, whatever their names.
    pub(crate) id: u64,
}

impl Library {
    /// What has been loaded.
    pub fn new(source: LibrarySource, mut functions: Vec<FunctionInfo>) -> Library {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        functions.sort_by(|one, other| one.name.cmp(&other.name));
        Library {
            source,
            functions,
            id: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines() {
        let read = |code: &str| {
            let read = LibrarySource::of(code.as_bytes()).map(|source| source.name);
            read.map_err(|text| String::from_utf8(text).expect("text"))
        };
        assert_eq!(read("#!LUA NAME=Lib_1\nreturn"), Ok("Lib_1".to_owned()));
        assert_eq!(read("#!lua name=\"x y\"\n"), Err(format!("ERR {BAD_NAME}")));
        for (code, error) in [
            ("", "ERR Missing library metadata"),
            ("#!lua name=x", "ERR Invalid library metadata"),
            ("#!lua name=x \"\n", "ERR Invalid library metadata"),
            ("#!lua\n", "ERR Library name was not given"),
            ("#!x name=x\n", "ERR Engine 'x' not found"),
            ("#!lua a=b\n", "ERR Invalid metadata value given: a=b"),
        ] {
            assert_eq!(read(code), Err(error.to_owned()), "{code}");
        }
    }
}
