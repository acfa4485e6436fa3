//! A script's text: its name, and what its first line says.

use sha1::{Digest, Sha1};

/// What a script says of itself in its first line (`#!lua flags=…`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScriptFlags {
    /// It has no such line, and is run as scripts were before there was one.
    pub compatible: bool,
    /// It writes nothing.
    pub no_writes: bool,
    /// It may run over `maxmemory`.
    pub allow_oom: bool,
    /// It may run on a replica that has lost its primary.
    pub allow_stale: bool,
    /// It does not run in a cluster.
    pub no_cluster: bool,
    /// It may use keys of several slots of a cluster.
    pub cross_slots: bool,
    /// It may use keys that it has not declared.
    pub undeclared_keys: bool,
}

/// What Dragonfly's scripts begin with to say the same.
const DRAGONFLY_LINE: &[u8] = b"--!df flags=";

impl ScriptFlags {
    /// Sets a flag by its name. Whether there is such a flag.
    pub(crate) fn set(&mut self, name: &[u8]) -> bool {
        match name {
            b"no-writes" => self.no_writes = true,
            b"allow-oom" => self.allow_oom = true,
            b"allow-stale" => self.allow_stale = true,
            b"no-cluster" => self.no_cluster = true,
            b"allow-cross-slot-keys" => self.cross_slots = true,
            b"allow-undeclared-keys" => self.undeclared_keys = true,
            _ => return false,
        }
        true
    }

    /// The names of those that are set.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        [
            (self.no_writes, "no-writes"),
            (self.allow_oom, "allow-oom"),
            (self.allow_stale, "allow-stale"),
            (self.no_cluster, "no-cluster"),
            (self.cross_slots, "allow-cross-slot-keys"),
            (self.undeclared_keys, "allow-undeclared-keys"),
        ]
        .into_iter()
        .filter_map(|(is_set, name)| is_set.then_some(name))
    }

    /// Reads the first line of a script. The error is the reply's text.
    ///
    /// # Errors
    /// An engine, option or flag that is not known.
    pub fn of(body: &[u8]) -> Result<ScriptFlags, Vec<u8>> {
        let mut flags = ScriptFlags {
            compatible: true,
            ..ScriptFlags::default()
        };
        if let Some(rest) = body.strip_prefix(DRAGONFLY_LINE) {
            let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
            line.trim_ascii()
                .split(|byte| *byte == b',')
                .for_each(|name| _ = flags.set(name));
        }
        if !body.starts_with(b"#!") {
            return Ok(flags);
        }
        flags.compatible = false;
        let Some(end) = body.iter().position(|byte| *byte == b'\n') else {
            return Err(b"ERR Invalid script shebang".to_vec());
        };
        let mut words = words(&body[..end]);
        match words.next() {
            Some(b"#!lua") => {}
            engine => {
                let engine = engine.unwrap_or_default();
                return Err([b"ERR Unexpected engine in script shebang: ", engine].concat());
            }
        }
        for word in words {
            let Some(names) = word.strip_prefix(b"flags=") else {
                return Err([b"ERR Unknown lua shebang option: ", word].concat());
            };
            for name in names.split(|byte| *byte == b',') {
                if !name.is_empty() && !flags.set(name) {
                    return Err([b"ERR Unexpected flag in script shebang: ", name].concat());
                }
            }
        }
        Ok(flags)
    }
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty())
}

/// The text that Lua gets: the first line is left empty where it is not Lua.
pub(crate) fn lua_text(body: &[u8]) -> &[u8] {
    if !body.starts_with(b"#!") {
        return body;
    }
    let end = body.iter().position(|byte| *byte == b'\n');
    &body[end.unwrap_or(body.len())..]
}

/// A SHA-1 sum in hexadecimal digits, which is a script's name.
pub fn sha1_hex(bytes: &[u8]) -> [u8; 40] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let sum = Sha1::digest(bytes);
    std::array::from_fn(|at| {
        let byte = sum[at / 2];
        DIGITS[usize::from(if at % 2 == 0 { byte >> 4 } else { byte & 15 })]
    })
}

/// A script that has been compiled once without an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Its name: [`sha1_hex`] of its text.
    pub sha: [u8; 40],
    /// Its text.
    pub body: Vec<u8>,
    /// What its first line says.
    pub flags: ScriptFlags,
}

impl Script {
    /// Its name as text.
    pub fn name(&self) -> &str {
        std::str::from_utf8(&self.sha).expect("hexadecimal digits")
    }
}
