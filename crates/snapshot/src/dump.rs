//! Payloads of DUMP and RESTORE: type byte, body, RDB version (u16 LE), CRC64 (u64 LE) of all before it.

use crate::crc::crc64;
use crate::decode::{Format, Limits, RdbDecoder};
use crate::encode::Profile;
use crate::error::{At, RdbError};
use crate::wire::{MAX_RDB_VERSION, RDB_VERSION, VALKEY_RDB_VERSION};

const VERSION_LEN: usize = 2;
const CRC_LEN: usize = 8;
const FOOTER_LEN: usize = VERSION_LEN + CRC_LEN;
/// The RDB version of Redis 7.0, the first that has the listpack types.
const LISTPACK_RDB_VERSION: u16 = 10;

/// Appends version and checksum to `payload`, which holds a value written with
/// [`Head::Bare`](crate::Head::Bare) for `profile`.
///
/// ```
/// use damselfly_snapshot::{Encoder, Head, Profile, check_dump, finish_dump};
/// let mut payload = Vec::new();
/// Encoder::new(Profile::Flow).string(&mut payload, Head::Bare, b"value");
/// finish_dump(&mut payload, Profile::Flow);
/// assert_eq!(check_dump(&payload)?, b"\0\x05value");
/// # Ok::<(), damselfly_snapshot::RdbError>(())
/// ```
pub fn finish_dump(payload: &mut Vec<u8>, profile: Profile) {
    let version = match profile {
        Profile::Flow | Profile::Dragonfly => LISTPACK_RDB_VERSION,
        profile => profile.rdb_version(),
    };
    payload.extend_from_slice(&version.to_le_bytes());
    payload.extend_from_slice(&crc64(payload).to_le_bytes());
}

/// Type byte and body of a DUMP payload, version and checksum checked.
///
/// # Errors
/// [`RdbError::Truncated`], [`RdbError::BadVersion`] or [`RdbError::BadChecksum`]; for users all three are
/// "DUMP payload version or checksum are wrong".
pub fn check_dump(payload: &[u8]) -> Result<&[u8], RdbError> {
    let at = At {
        offset: payload.len() as u64,
        inner: None,
    };
    let Some((head, crc)) = payload.split_last_chunk::<CRC_LEN>() else {
        return Err(RdbError::Truncated {
            at,
            what: "a DUMP payload",
        });
    };
    let Some((body, version)) = head
        .split_last_chunk::<VERSION_LEN>()
        .filter(|(body, _)| !body.is_empty())
    else {
        return Err(RdbError::Truncated {
            at,
            what: "a DUMP payload",
        });
    };
    let at = At {
        offset: (payload.len() - FOOTER_LEN) as u64,
        inner: None,
    };
    let version = u16::from_le_bytes(*version);
    if version > MAX_RDB_VERSION && version != VALKEY_RDB_VERSION {
        return Err(RdbError::BadVersion {
            at,
            got: version,
            max: MAX_RDB_VERSION,
        });
    }
    let (expected, got) = (u64::from_le_bytes(*crc), crc64(head));
    if expected != got {
        return Err(RdbError::BadChecksum { at, expected, got });
    }
    Ok(body)
}

/// A decoder over the value of a DUMP payload: it yields one key (empty name), its parts, its end, then nothing;
/// [`RdbDecoder::is_between_items`] is false if the payload ended too early.
///
/// # Errors
/// As [`check_dump`].
pub fn read_dump(payload: &[u8], limits: Limits) -> Result<RdbDecoder, RdbError> {
    let body = check_dump(payload)?;
    let version = payload[body.len()..]
        .first_chunk()
        .map_or(RDB_VERSION, |bytes| u16::from_le_bytes(*bytes));
    let format = Format {
        version,
        valkey: version == VALKEY_RDB_VERSION,
    };
    let mut decoder = RdbDecoder::of_payload(limits, format);
    decoder.feed(body);
    Ok(decoder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Encoder, Event, Head, Part};

    #[test]
    fn a_dump_reads_back_and_a_changed_one_does_not() {
        let mut payload = Vec::new();
        Encoder::new(Profile::Flow).hash(
            &mut payload,
            Head::Bare,
            1,
            [("field", "value")].into_iter(),
        );
        finish_dump(&mut payload, Profile::Flow);
        let mut decoder = read_dump(&payload, Limits::default()).unwrap();
        assert!(matches!(decoder.next().unwrap(), Some(Event::Key(_))));
        let part = Part::Field {
            field: b"field",
            value: b"value",
        };
        assert_eq!(
            decoder.next().unwrap(),
            Some(Event::Part { stream: None, part })
        );
        assert_eq!(
            decoder.next().unwrap(),
            Some(Event::KeyEnd { stream: None })
        );
        assert!(decoder.next().unwrap().is_none() && decoder.is_between_items());
        for at in 0..payload.len() {
            let mut changed = payload.clone();
            changed[at] ^= 1;
            assert!(read_dump(&changed, Limits::default()).is_err());
            assert!(read_dump(&payload[..at], Limits::default()).is_err());
        }
    }

    #[test]
    fn redis_accepts_this_one() {
        // DUMP of `SET k 10` on Redis 5.0, from its documentation of DUMP.
        let payload = b"\x00\xc0\n\t\x00\xbem\x06\x89Z(\x00\n";
        assert_eq!(check_dump(payload).unwrap(), b"\x00\xc0\n");
    }
}
