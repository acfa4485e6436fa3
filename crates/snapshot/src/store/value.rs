//! Whole values: [`Value`] to bytes, DUMP payloads both ways.

use super::build::{BuildError, ValueBuilder};
use super::stream::StreamWriter;
use crate::decode::{Event, Limits};
use crate::encode::{Encoder, Head, Profile};
use crate::error::{At, RdbError};
use crate::{finish_dump, read_dump};
use damselfly_store::values::{Expiring, Hash, Item, Set};
use damselfly_store::{INT_TEXT_MAX, Value};

/// Appends `value` behind `head` in the encoding that `encoder` chooses.
#[inline]
pub fn encode_value(encoder: &mut Encoder, out: &mut Vec<u8>, head: Head<'_>, value: &Value) {
    match value {
        Value::Str(text) => encoder.string(out, head, text.read(&mut [0; INT_TEXT_MAX])),
        Value::List(list) => encoder.list(out, head, list.iter()),
        Value::Hash(hash) => match hash.first_expiry() {
            None => encoder.hash(out, head, hash.len(), hash.iter()),
            Some(first) => encoder.timed_hash(out, head, hash.len(), first, timed_fields(hash)),
        },
        Value::Set(set) => match set.first_expiry() {
            None => encoder.set(out, head, set.len(), set.iter()),
            Some(first) => encoder.timed_set(out, head, set.len(), first, timed_members(set)),
        },
        Value::ZSet(zset) => encoder.zset(out, head, zset.len(), zset.iter()),
        Value::Stream(stream) => {
            let profile = encoder.profile();
            StreamWriter::begin(out, head, profile, stream).put(out, stream, usize::MAX, true);
        }
        other => unreachable!("{:?} values have no encoding", other.kind()),
    }
}

/// Fields, values, and when they expire.
fn timed_fields(hash: &Hash) -> impl Iterator<Item = (Item<'_>, Item<'_>, Option<i64>)> {
    hash.iter().map(|(field, value)| {
        let expire_ms = hash.element_expiry(&field);
        (field, value, expire_ms)
    })
}

/// Members, and when they expire.
fn timed_members(set: &Set) -> impl Iterator<Item = (Item<'_>, Option<i64>)> {
    set.iter().map(|member| {
        let expire_ms = set.element_expiry(&member);
        (member, expire_ms)
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Fields = std::collections::BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

    fn hash(fields: &Fields) -> Hash {
        let mut hash = Hash::new();
        for (field, (value, at)) in fields {
            hash.insert(field, value);
            hash.set_element_expiry(field, *at);
        }
        hash
    }

    fn fields(value: Value) -> Fields {
        let Value::Hash(hash) = value else {
            panic!("{value:?}")
        };
        let fields =
            timed_fields(&hash).map(|(field, value, at)| (field.to_vec(), (value.to_vec(), at)));
        fields.collect()
    }

    /// Through an encoder for readers of `profile`, and back.
    fn again(hash: Hash, profile: Profile) -> (u8, Fields) {
        let mut payload = Vec::new();
        encode_value(
            &mut Encoder::new(profile),
            &mut payload,
            Head::Bare,
            &Value::from(hash),
        );
        let type_byte = payload[0];
        finish_dump(&mut payload, profile);
        (type_byte, fields(restore_value(&payload).expect("our own")))
    }

    type Members = std::collections::BTreeMap<Vec<u8>, Option<i64>>;

    fn set(members: &Members) -> Value {
        let mut set = Set::new();
        for (member, at) in members {
            set.insert(member);
            set.set_element_expiry(member, *at);
        }
        Value::from(set)
    }

    fn set_again(members: &Members, profile: Profile) -> (u8, Members) {
        let mut payload = Vec::new();
        let mut encoder = Encoder::new(profile);
        encode_value(&mut encoder, &mut payload, Head::Bare, &set(members));
        let type_byte = payload[0];
        finish_dump(&mut payload, profile);
        let Value::Set(set) = restore_value(&payload).expect("our own") else {
            panic!("a set")
        };
        let members = timed_members(&set).map(|(member, at)| (member.to_vec(), at));
        (type_byte, members.collect())
    }

    fn any_members() -> impl Strategy<Value = Members> {
        let text = || prop::collection::vec(any::<u8>(), 0..80);
        let time = (1_675_209_601i64..1_675_209_601 + (1 << 30)).prop_map(|at| at * 1000);
        prop::collection::btree_map(text(), prop::option::of(time), 1..200)
    }

    fn any_fields() -> impl Strategy<Value = Fields> {
        let text = || prop::collection::vec(any::<u8>(), 0..80);
        let time = prop::option::of(1_700_000_000_000i64..(1 << 48) - 1);
        prop::collection::btree_map(text(), (text(), time), 1..200)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn times_of_fields_come_back(expected in any_fields()) {
            let (type_byte, found) = again(hash(&expected), Profile::Flow);
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(type_byte == 24, expected.values().any(|(_, at)| at.is_some()));
        }

        #[test]
        fn times_of_members_come_back(expected in any_members()) {
            for profile in [Profile::Flow, Profile::Dragonfly] {
                let (type_byte, found) = set_again(&expected, profile);
                prop_assert_eq!(&found, &expected);
                prop_assert_eq!(type_byte == 32, expected.values().any(Option::is_some));
            }
            let (type_byte, found) = set_again(&expected, Profile::Redis62);
            prop_assert!(type_byte != 32 && found.keys().eq(expected.keys()));
            prop_assert!(found.values().all(Option::is_none));
        }
    }

    #[test]
    fn dragonfly_is_told_seconds_and_redis_6_2_nothing() {
        let soon = 1_795_000_000_001;
        let expected: Fields = [("a", Some(soon)), ("b", None), ("c", Some(1_000))]
            .map(|(field, at)| (field.into(), (b"value".to_vec(), at)))
            .into();
        let (type_byte, found) = again(hash(&expected), Profile::Dragonfly);
        assert_eq!(
            (type_byte, found[&b"a"[..]].1),
            (31, Some(1_795_000_001_000))
        );
        assert_eq!(found[&b"b"[..]].1, None);
        // Long ago is as early as can be said.
        assert_eq!(found[&b"c"[..]].1, Some(1_675_209_601_000));
        let (type_byte, found) = again(hash(&expected), Profile::Redis62);
        assert_eq!(type_byte, 4);
        assert!(found.len() == 3 && found.values().all(|(_, at)| at.is_none()));
    }

    #[test]
    fn what_redis_7_4_writes_is_read() {
        // A listpack of a, 1, 1795000000001, b, 2, 0, behind the first time.
        let time = 1_795_000_000_001_i64.to_le_bytes();
        let mut listpack = vec![0, 0, 0, 0, 6, 0, 0x81, b'a', 2, 1, 1, 0xF4];
        listpack.extend(time);
        listpack.extend([9, 0x81, b'b', 2, 2, 1, 0, 1, 0xFF]);
        let len = listpack.len();
        listpack[0] = len as u8;
        let mut payload = vec![25];
        payload.extend(time);
        payload.push(len as u8);
        payload.extend(&listpack);
        finish_dump(&mut payload, Profile::Flow);
        let expected: Fields = [("a", "1", Some(1_795_000_000_001)), ("b", "2", None)]
            .map(|(field, value, at)| (field.into(), (value.into(), at)))
            .into();
        assert_eq!(fields(restore_value(&payload).expect("sound")), expected);
    }

    #[test]
    fn times_out_of_range_are_refused() {
        for (first, beyond) in [(i64::MAX, 2u8), (-5, 1), (1 << 48, 1)] {
            let mut payload = vec![24];
            payload.extend(first.to_le_bytes());
            payload.extend([1, beyond, 1, b'f', 1, b'v']);
            finish_dump(&mut payload, Profile::Flow);
            assert!(restore_value(&payload).is_err(), "{first}");
        }
    }
}
