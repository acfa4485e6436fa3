//! Libraries of functions: their entries in a stream, and the payloads of FUNCTION DUMP and FUNCTION RESTORE: entries, then the
//! footer of DUMP.

use crate::crc::crc64;
use crate::decode::{Event, Limits, RdbDecoder};
use crate::dump::{check_dump, finish_dump};
use crate::encode::{Profile, put_raw_string};
use crate::wire::opcode;

/// Version and checksum, behind nothing.
const EMPTY_LEN: usize = 10;
/// What makes entries a stream: a header of the version that has libraries, and an end without a checksum.
const HEADER: &[u8] = b"REDIS0010";
const END: [u8; 9] = [opcode::EOF, 0, 0, 0, 0, 0, 0, 0, 0];

/// Why a payload of FUNCTION DUMP can't be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FunctionsError {
    /// It is cut, of a newer version, or its checksum differs.
    #[error("DUMP payload version or checksum are wrong")]
    Footer,
    /// Something else than a library is in it.
    #[error("given type is not a function")]
    NotFunction,
    /// A library in it can't be read.
    #[error("failed loading the given functions payload")]
    Malformed,
}

/// Appends a library, given by its text.
pub fn put_function(out: &mut Vec<u8>, source: &[u8]) {
    out.push(opcode::FUNCTION);
    put_raw_string(out, source);
}

/// A payload of these libraries.
///
/// ```
/// use damselfly_snapshot::{dump_functions, restore_functions};
/// let payload = dump_functions([&b"one"[..], b"two"]);
/// assert_eq!(restore_functions(&payload), Ok(vec![b"one".to_vec(), b"two".to_vec()]));
/// assert_eq!(restore_functions(&dump_functions([])), Ok(Vec::new()));
/// ```
pub fn dump_functions<'a>(sources: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut payload = Vec::new();
    for source in sources {
        put_function(&mut payload, source);
    }
    finish_dump(&mut payload, Profile::Flow);
    payload
}

/// The texts of a payload's libraries.
///
/// # Errors
/// It is none.
pub fn restore_functions(payload: &[u8]) -> Result<Vec<Vec<u8>>, FunctionsError> {
    let body = match payload.len() {
        EMPTY_LEN => {
            let (version, crc) = payload.split_at(2);
            if crc64(version).to_le_bytes() != crc {
                return Err(FunctionsError::Footer);
            }
            &[][..]
        }
        _ => check_dump(payload).map_err(|_| FunctionsError::Footer)?,
    };
    let mut decoder = RdbDecoder::new(Limits::default());
    decoder.feed(HEADER);
    decoder.feed(body);
    decoder.feed(&END);
    let mut sources = Vec::new();
    loop {
        match decoder.next() {
            Ok(Some(Event::Header { .. })) => {}
            Ok(Some(Event::Function(source))) => sources.push(source.to_vec()),
            Ok(Some(Event::Eof(_))) => break,
            Ok(Some(_)) => return Err(FunctionsError::NotFunction),
            Ok(None) | Err(_) => return Err(FunctionsError::Malformed),
        }
    }
    // An end within the body leaves something behind.
    match decoder.take_rest().is_empty() {
        true => Ok(sources),
        false => Err(FunctionsError::NotFunction),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_payload_of_libraries() {
        let mut value = vec![0, 1, b'x'];
        finish_dump(&mut value, Profile::Flow);
        assert_eq!(restore_functions(b""), Err(FunctionsError::Footer));
        assert_eq!(restore_functions(&[1; 10]), Err(FunctionsError::Footer));
        assert!(restore_functions(&value).is_err());
        let mut ended = END.to_vec();
        finish_dump(&mut ended, Profile::Flow);
        assert_eq!(restore_functions(&ended), Err(FunctionsError::NotFunction));
        let mut cut = vec![opcode::FUNCTION, 9, b'x'];
        finish_dump(&mut cut, Profile::Flow);
        assert!(restore_functions(&cut).is_err());
    }
}
