//! Whole values: [`Value`] to bytes, DUMP payloads both ways.

use super::build::{BuildError, ValueBuilder};
use crate::decode::{Event, Limits};
use crate::encode::{Encoder, Head, Profile};
use crate::error::{At, RdbError};
use crate::{finish_dump, read_dump};
use damselfly_store::{INT_TEXT_MAX, Value};

/// Appends `value` behind `head` in the encoding that `encoder` chooses.
#[inline]
pub fn encode_value(encoder: &mut Encoder, out: &mut Vec<u8>, head: Head<'_>, value: &Value) {
    match value {
        Value::Str(text) => encoder.string(out, head, text.read(&mut [0; INT_TEXT_MAX])),
        Value::List(list) => encoder.list(out, head, list.iter()),
        Value::Hash(hash) => encoder.hash(out, head, hash.len(), hash.iter()),
        Value::Set(set) => encoder.set(out, head, set.len(), set.iter()),
        Value::ZSet(zset) => encoder.zset(out, head, zset.len(), zset.iter()),
        other => unreachable!("{:?} values have no encoding", other.kind()),
    }
}

/// The DUMP payload of a value: type byte, body, RDB version, CRC64.
///
/// ```
/// use damselfly_snapshot::{dump_value, restore_value};
/// use damselfly_store::Value;
/// let payload = dump_value(&Value::string(b"text"));
/// let Value::Str(text) = restore_value(&payload)? else { panic!("a string") };
/// assert_eq!(&*text.bytes(), b"text");
/// # Ok::<(), damselfly_snapshot::RestoreError>(())
/// ```
pub fn dump_value(value: &Value) -> Vec<u8> {
    let mut payload = Vec::new();
    encode_value(
        &mut Encoder::new(Profile::Flow),
        &mut payload,
        Head::Bare,
        value,
    );
    finish_dump(&mut payload, Profile::Flow);
    payload
}

/// Why a DUMP payload cannot be restored.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// It is cut, of a newer version, or its checksum differs ("DUMP payload version or checksum are wrong").
    #[error("payload version or checksum: {0}")]
    Footer(RdbError),
    /// The value in it is malformed ("Bad data format").
    #[error("payload: {0}")]
    Body(#[from] RdbError),
    /// The store has no place for the value.
    #[error("payload: {0}")]
    Value(#[from] BuildError),
}

/// The value of a DUMP payload of any supported encoding.
///
/// # Errors
/// [`RestoreError`]; a collection without elements is malformed.
pub fn restore_value(payload: &[u8]) -> Result<Value, RestoreError> {
    let mut decoder = read_dump(payload, Limits::default()).map_err(RestoreError::Footer)?;
    let mut builder = None;
    while let Some(event) = decoder.next()? {
        match (event, &mut builder) {
            (Event::Key(meta), None) => builder = Some(ValueBuilder::new(meta.kind)?),
            (Event::Part { part, .. }, Some(builder)) => builder.push(part)?,
            (Event::KeyEnd { .. }, Some(_)) => break,
            _ => break,
        }
    }
    let at = At {
        offset: decoder.offset(),
        inner: None,
    };
    if !decoder.is_between_items() {
        return Err(RdbError::Truncated {
            at,
            what: "a DUMP payload",
        }
        .into());
    }
    let value = builder.and_then(ValueBuilder::finish);
    value.ok_or_else(|| {
        RdbError::Malformed {
            at,
            what: "DUMP payload",
            why: "an empty collection",
        }
        .into()
    })
}
