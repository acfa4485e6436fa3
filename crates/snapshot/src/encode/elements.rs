//! Hashes field by field, and sets member by member.

use super::primitives::{put_int, put_len, put_string};
use super::profile::Profile;
use super::value::Head;
use crate::wire::{MEMBER_EXPIRY_BASE_S, type_byte};

/// How the fields of a hash are written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum HashForm {
    /// Field, value.
    Plain,
    /// Milliseconds from one before the first expiry on, field, value.
    Millis { first_expiry: i64 },
    /// Field, value, seconds.
    Seconds,
}

impl HashForm {
    /// The form for readers of `profile`, of a hash whose first field expires then.
    pub(crate) fn new(profile: Profile, first_expiry: Option<i64>) -> HashForm {
        match (profile, first_expiry) {
            (Profile::Dragonfly, Some(_)) => HashForm::Seconds,
            (Profile::Flow | Profile::Redis74, Some(first_expiry)) => {
                HashForm::Millis { first_expiry }
            }
            (Profile::Redis62 | Profile::Redis70 | Profile::Redis72, _) | (_, None) => {
                HashForm::Plain
            }
        }
    }

    /// Head and number of fields.
    pub(crate) fn put_beginning(self, out: &mut Vec<u8>, head: Head<'_>, len: usize) {
        match self {
            HashForm::Plain => head.put(out, type_byte::HASH),
            HashForm::Seconds => head.put(out, type_byte::HASH_EXPIRY),
            HashForm::Millis { first_expiry } => {
                head.put(out, type_byte::HASH_METADATA);
                out.extend_from_slice(&first_expiry.to_le_bytes());
            }
        }
        put_len(out, len as u64);
    }

    pub(crate) fn put_field(
        self,
        out: &mut Vec<u8>,
        field: &[u8],
        value: &[u8],
        expire_ms: Option<i64>,
    ) {
        if let HashForm::Millis { first_expiry } = self {
            put_len(
                out,
                expire_ms.map_or(0, |at| (at - first_expiry + 1) as u64),
            );
        }
        put_string(out, field);
        put_string(out, value);
        if let HashForm::Seconds = self {
            put_seconds(out, expire_ms);
        }
    }
}

/// When a field or member expires, in Dragonfly's form: not before its time, and never 0, which is none.
fn put_seconds(out: &mut Vec<u8>, expire_ms: Option<i64>) {
    let after_base = |at: i64| (at + 999) / 1000 - MEMBER_EXPIRY_BASE_S;
    put_int(out, expire_ms.map_or(-1, |at| after_base(at).max(1)));
}

/// How the members of a set are written that is no intset.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SetForm {
    /// Member.
    Plain,
    /// Member, seconds: Dragonfly's; Redis has no such sets.
    Seconds,
}

impl SetForm {
    /// The form for readers of `profile`, of a set whose first member expires then.
    pub(crate) fn new(profile: Profile, first_expiry: Option<i64>) -> SetForm {
        match (profile, first_expiry) {
            (Profile::Flow | Profile::Dragonfly, Some(_)) => SetForm::Seconds,
            _ => SetForm::Plain,
        }
    }

    /// Head and number of members.
    pub(crate) fn put_beginning(self, out: &mut Vec<u8>, head: Head<'_>, len: usize) {
        let kind = match self {
            SetForm::Plain => type_byte::SET,
            SetForm::Seconds => type_byte::SET_EXPIRY,
        };
        head.put(out, kind);
        put_len(out, len as u64);
    }

    pub(crate) fn put_member(self, out: &mut Vec<u8>, member: &[u8], expire_ms: Option<i64>) {
        put_string(out, member);
        if let SetForm::Seconds = self {
            put_seconds(out, expire_ms);
        }
    }
}
