//! The first nine bytes: who wrote the RDB, and which version.

use super::event::Format;
use super::lane::{Lane, Raw, State};
use super::scan::{Read, Scan};
use crate::error::{At, RdbError};
use crate::wire::{MAX_RDB_VERSION, MIN_RDB_VERSION, VALKEY_RDB_VERSION};

const MAGIC_LEN: usize = 9;

impl Lane {
    pub(super) fn poll_magic(&mut self) -> Read<Raw> {
        let magic: [u8; MAGIC_LEN] = Scan::new(&self.buf[self.pos..]).array()?;
        self.format = parse(&magic)?;
        self.pos += MAGIC_LEN;
        self.state = State::Opcode;
        Ok(Raw::Header(self.format))
    }
}

fn parse(magic: &[u8; MAGIC_LEN]) -> Result<Format, RdbError> {
    let (valkey, digits) = match (magic.strip_prefix(b"REDIS"), magic.strip_prefix(b"VALKEY")) {
        (Some(digits), _) => (false, digits),
        (None, digits) => (true, digits.unwrap_or_default()),
    };
    // No sign, which a number might have otherwise.
    let digits = Some(digits).filter(|digits| digits.iter().all(u8::is_ascii_digit));
    let version = digits
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok());
    let Some(version) = version else {
        return Err(RdbError::BadMagic {
            at: At::default(),
            got: magic.to_vec(),
        });
    };
    let known = match valkey {
        true => version == VALKEY_RDB_VERSION,
        false => (MIN_RDB_VERSION..=MAX_RDB_VERSION).contains(&version),
    };
    if !known {
        return Err(RdbError::BadVersion {
            at: At::default(),
            got: version,
            max: MAX_RDB_VERSION,
        });
    }
    Ok(Format { version, valkey })
}
