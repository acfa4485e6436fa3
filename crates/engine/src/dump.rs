//! Values as DUMP payloads: what RESTORE takes, and how a whole value travels in the journal.

use damselfly_snapshot::{Encoder, Head, Profile, finish_dump};
use damselfly_store::Value;

/// The value as type byte, body, RDB version and checksum.
pub fn dump_value(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.heap_size() + 16);
    let mut encoder = Encoder::new(Profile::Flow);
    match value {
        Value::Str(string) => encoder.string(&mut out, Head::Bare, &string.bytes()),
        Value::List(list) => encoder.list(&mut out, Head::Bare, list.iter()),
        Value::Hash(hash) => encoder.hash(&mut out, Head::Bare, hash.len(), hash.iter()),
        Value::Set(set) => encoder.set(&mut out, Head::Bare, set.len(), set.iter()),
        Value::ZSet(zset) => encoder.zset(&mut out, Head::Bare, zset.len(), zset.iter()),
        _ => unreachable!("every kind of value has its encoding"),
    }
    finish_dump(&mut out, Profile::Flow);
    out
}
