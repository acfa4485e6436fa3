//! Scores as Redis keeps them: its packed form stores whole scores as integers, which know no -0.

use damselfly_resp::ReplyWriter;
use damselfly_resp::format_double;
use damselfly_store::values::ZSet;

/// Redis's packed form stores whole scores up to this magnitude as integers (`double2ll`).
const MAX_WHOLE: f64 = (1u64 << 62) as f64;

fn is_negative_zero(score: f64) -> bool {
    score == 0.0 && score.is_sign_negative()
}

fn is_packed(zset: &ZSet) -> bool {
    zset.redis_encoding() == "listpack"
}

/// Sets a score; returns the one that the member had.
#[inline]
pub(super) fn insert(zset: &mut ZSet, member: &[u8], score: f64) -> Option<f64> {
    if is_negative_zero(score) {
        return insert_negative_zero(zset, member);
    }
    zset.insert(member, score)
}

#[cold]
fn insert_negative_zero(zset: &mut ZSet, member: &[u8]) -> Option<f64> {
    let old = zset.insert(member, 0.0);
    if old != Some(0.0) && !is_packed(zset) {
        zset.remove(member);
        zset.insert(member, -0.0);
    }
    old
}

/// Makes a result as it would be after Redis has packed it.
pub(super) fn settle(mut zset: ZSet) -> ZSet {
    if is_packed(&zset) {
        let zeros: Vec<Vec<u8>> = zset
            .iter()
            .filter(|(_, score)| is_negative_zero(*score))
            .map(|(member, _)| member.to_vec())
            .collect();
        for member in zeros {
            zset.remove(&member);
            zset.insert(&member, 0.0);
        }
    }
    zset
}

/// Writes a score of this sorted set as ZSCAN does: as it is stored, and a bulk string in RESP3 too.
pub(super) fn answer_stored(zset: &ZSet, score: f64, out: &mut ReplyWriter<'_>) {
    if is_packed(zset) && score.fract() == 0.0 && score.abs() <= MAX_WHOLE {
        return out.bulk_integer(score as i64);
    }
    let mut text = Vec::with_capacity(32);
    format_double(&mut text, score);
    out.bulk(text);
}
