//! PFDEBUG and PFSELFTEST.

use super::sketch::{Place, REGISTERS, Registers, Sketch, SketchBuf};
use super::sparse;
use crate::command::{CommandError, CommandResult};
use crate::context::RewriteContext;
use crate::families::options::is_word;
use crate::session::Session;
use damselfly_resp::ReplyWriter;
use damselfly_store::{INT_TEXT_MAX, StrValue};
use std::fmt::Write as _;

/// Elements that PFSELFTEST adds: enough to go through both forms, little enough not to be felt.
const TESTED_ELEMENTS: u32 = 20_000;
/// How far an estimate may be off: five times the standard error.
const MOST_ERROR: f64 = 5.0 * 0.0081;

/// Its effect is the whole string: what replicas there are know SET.
pub(super) fn pfdebug(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    const NO_KEY: CommandError = CommandError::text("ERR The specified key does not exist");
    let (word, key) = (args[1], args[2]);
    let mut scratch = [0; INT_TEXT_MAX];
    let string = cx.typed::<StrValue>(key)?.ok_or(NO_KEY)?;
    let sketch = Sketch::of(string.read(&mut scratch))?;
    if is_word(word, "GETREG") {
        let mut registers: Registers = [0; REGISTERS];
        sketch.merge_into(&mut registers)?;
        make_dense(cx, key)?;
        out.array(REGISTERS);
        registers
            .iter()
            .for_each(|value| out.integer((*value).into()));
    } else if is_word(word, "DECODE") {
        out.bulk(runs(sketch)?);
    } else if is_word(word, "ENCODING") {
        out.simple(if sketch.is_dense() { "dense" } else { "sparse" });
    } else if is_word(word, "TODENSE") {
        let converted = make_dense(cx, key)?;
        out.integer(converted.into());
    } else {
        return Err(CommandError::echo(
            "ERR Unknown PFDEBUG subcommand '",
            word,
            "'",
        ));
    }
    Ok(())
}

/// Gives a key's HyperLogLog the dense form; whether it had another.
fn make_dense(cx: &mut RewriteContext<'_>, key: &[u8]) -> Result<bool, CommandError> {
    let Some(string) = cx.typed::<StrValue>(key)? else {
        return Ok(false);
    };
    let mut scratch = [0; INT_TEXT_MAX];
    let sketch = Sketch::of(string.read(&mut scratch))?;
    if sketch.is_dense() {
        return Ok(false);
    }
    let mut dense = SketchBuf::copy_of(sketch);
    dense.make_dense()?;
    cx.put_keeping_expiry(key, StrValue::new(dense.as_bytes()).into());
    let db = cx.db;
    cx.space().note_change(db, key);
    cx.effect(&[b"SET", key, dense.as_bytes(), b"KEEPTTL"]);
    Ok(true)
}

/// The runs of a sparse one, in Redis's words.
fn runs(sketch: Sketch<'_>) -> Result<String, CommandError> {
    if sketch.is_dense() {
        return Err(CommandError::text("ERR HLL encoding is not sparse"));
    }
    let mut text = String::new();
    for run in sparse::runs(sketch.body()) {
        let separator = if text.is_empty() { "" } else { " " };
        let _ = match run.value {
            0 if run.is_long() => write!(text, "{separator}Z:{}", run.len),
            0 => write!(text, "{separator}z:{}", run.len),
            value => write!(text, "{separator}v:{value},{}", run.len),
        };
    }
    Ok(text)
}

pub(super) fn pfselftest(_: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let failed = |what| CommandError::owned(format!("TESTFAILED {what}"));
    let mut sketch = SketchBuf::empty();
    let mut dense = SketchBuf::empty();
    dense.make_dense()?;
    for number in 1..=TESTED_ELEMENTS {
        let place = Place::of(&number.to_le_bytes());
        if sketch.raise(place)? != dense.raise(place)? {
            return Err(failed(format!("element {number} is new in one form only")));
        }
        if number.is_power_of_two() || number == TESTED_ELEMENTS {
            sketch.mark_stale();
            dense.mark_stale();
            let estimates = (sketch.as_sketch().count()?, dense.as_sketch().count()?);
            let error = estimates.0.abs_diff(number.into()) as f64;
            if estimates.0 != estimates.1 || error > (f64::from(number) * MOST_ERROR).max(2.0) {
                return Err(failed(format!("{estimates:?} for {number} elements")));
            }
        }
    }
    out.ok();
    Ok(())
}
