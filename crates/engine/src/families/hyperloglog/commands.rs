//! PFADD, PFCOUNT and PFMERGE.

use super::sketch::{self, Place, REGISTERS, STALE, STALE_AT, Sketch, SketchBuf, dense_raise};
use crate::command::{CommandError, CommandResult};
use crate::context::{ReadContext, WriteContext};
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::{INT_TEXT_MAX, StrValue};

/// The HyperLogLog of a string.
fn of<'a>(
    string: &'a StrValue,
    scratch: &'a mut [u8; INT_TEXT_MAX],
) -> Result<Sketch<'a>, CommandError> {
    Sketch::of(string.read(scratch))
}

pub(super) fn pfadd(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (key, elements) = (args[1], &args[2..]);
    let places = elements.iter().map(|element| Place::of(element));
    let changed = match cx.typed::<StrValue>(key)? {
        None => {
            let mut sketch = SketchBuf::empty();
            raise_all(&mut sketch, places)?;
            sketch.mark_stale();
            cx.put(key, StrValue::new(sketch.as_bytes()).into(), None);
            true
        }
        Some(string) if of(string, &mut [0; INT_TEXT_MAX])?.is_dense() => {
            add_to_dense(cx, key, places)?
        }
        Some(string) => {
            let mut sketch = SketchBuf::copy_of(of(string, &mut [0; INT_TEXT_MAX])?);
            let changed = raise_all(&mut sketch, places)?;
            if changed {
                cx.put_keeping_expiry(key, StrValue::new(sketch.as_bytes()).into());
            }
            changed
        }
    };
    if changed {
        cx.modified(EventClass::String, "pfadd", key);
    }
    out.integer(changed.into());
    Ok(())
}

/// Raises all of these; whether any was lower.
fn raise_all(
    sketch: &mut SketchBuf,
    places: impl Iterator<Item = Place>,
) -> Result<bool, CommandError> {
    let mut changed = false;
    for place in places {
        changed |= sketch.raise(place)?;
    }
    if changed {
        sketch.mark_stale();
    }
    Ok(changed)
}

/// Raises registers of a dense one in place.
fn add_to_dense(
    cx: &mut WriteContext<'_>,
    key: &[u8],
    places: impl Iterator<Item = Place> + Clone,
) -> Result<bool, CommandError> {
    let lower = |string: &StrValue, place| {
        let mut scratch = [0; INT_TEXT_MAX];
        dense_raise(string.read(&mut scratch), place)
    };
    let is_lower = |string: &StrValue| places.clone().any(|place| lower(string, place).is_some());
    if !cx.typed::<StrValue>(key)?.is_some_and(is_lower) {
        return Ok(false);
    }
    let Some(mut string) = cx.typed_mut::<StrValue>(key)? else {
        return Ok(false);
    };
    for place in places {
        if let Some((at, bytes, len)) = lower(&string, place) {
            string.set_range(at, &bytes[..len]);
        }
    }
    let flags = string.read(&mut [0; INT_TEXT_MAX])[STALE_AT];
    string.set_range(STALE_AT, &[flags | STALE]);
    Ok(true)
}

/// Unlike Redis's it does not keep the estimate in the header: a read changes nothing, neither here nor on replicas.
pub(super) fn pfcount(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let mut scratch = [0; INT_TEXT_MAX];
    let count = if let [_, key] = args {
        cx.typed::<StrValue>(key)?
            .map_or(Ok(0), |string| of(string, &mut scratch)?.count())?
    } else {
        let mut union = [0; REGISTERS];
        for key in &args[1..] {
            if let Some(string) = cx.typed::<StrValue>(key)? {
                of(string, &mut scratch)?.merge_into(&mut union)?;
            }
        }
        sketch::count(&union)
    };
    out.integer(count as i64);
    Ok(())
}

pub(super) fn pfmerge(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let key = args[1];
    let mut union = [0; REGISTERS];
    let mut any_dense = false;
    for key in &args[1..] {
        if let Some(string) = cx.source::<StrValue>(key)? {
            let mut scratch = [0; INT_TEXT_MAX];
            let sketch = of(string, &mut scratch)?;
            any_dense |= sketch.is_dense();
            sketch.merge_into(&mut union)?;
        }
    }
    let old = cx.typed::<StrValue>(key)?;
    let mut merged = match old {
        Some(string) => SketchBuf::copy_of(of(string, &mut [0; INT_TEXT_MAX])?),
        None => SketchBuf::empty(),
    };
    if any_dense {
        merged.make_dense()?;
    }
    let raised = union.iter().enumerate().filter(|(_, value)| **value > 0);
    for (register, &value) in raised {
        merged.raise(Place { register, value })?;
    }
    merged.mark_stale();
    let changes = old.is_none_or(|old| &*old.bytes() != merged.as_bytes());
    if changes {
        cx.put_keeping_expiry(key, StrValue::new(merged.as_bytes()).into());
        cx.modified(EventClass::String, "pfadd", key);
    } else {
        cx.touched(key);
        cx.notify(EventClass::String, "pfadd", key);
    }
    out.ok();
    Ok(())
}
