//! The libraries that Redis adds to Lua's own.

mod bit;
mod cjson;
pub(crate) use cjson::Shape as JsonOptions;
mod cjson_decode;
mod cmsgpack;
mod packing;

use crate::interpreter::Shared;
use mlua::{Lua, MultiValue, Table, Value};
use std::rc::Rc;

/// Puts them among the globals.
pub(crate) fn load(lua: &Lua, globals: &Table, shared: &Rc<Shared>) -> mlua::Result<()> {
    globals.raw_set("bit", bit::table(lua)?)?;
    globals.raw_set("cjson", cjson::table(lua, shared)?)?;
    globals.raw_set("cmsgpack", cmsgpack::table(lua, shared)?)?;
    globals.raw_set("struct", packing::table(lua, shared)?)
}

/// An argument that has to be a string; a number is one, too.
fn text_argument(lua: &Lua, args: &MultiValue, number: usize) -> mlua::Result<Vec<u8>> {
    let value = args.get(number - 1);
    match value {
        Some(Value::String(text)) => Ok(text.as_bytes().to_vec()),
        Some(Value::Integer(_) | Value::Number(_)) => {
            let value = value.cloned().unwrap_or(Value::Nil);
            let text = lua.coerce_string(value)?;
            Ok(text
                .map(|text| text.as_bytes().to_vec())
                .unwrap_or_default())
        }
        _ => Err(crate::error::wrong_type(lua, number, "string", value)),
    }
}

/// The number in a value, if it is one.
fn number_in(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Number(number) => Some(*number),
        _ => None,
    }
}

/// What a table is to those who write arrays and maps: its largest index and how many entries it has, if all keys are indexes.
fn array_shape(table: &Table) -> mlua::Result<Option<(f64, usize)>> {
    let (mut largest, mut count) = (0.0, 0);
    for pair in table.pairs::<Value, Value>() {
        match number_in(&pair?.0) {
            Some(index) if index >= 1.0 && index == index.floor() => {
                largest = f64::max(largest, index);
                count += 1;
            }
            _ => return Ok(None),
        }
    }
    Ok(Some((largest, count)))
}
