//! `struct`: numbers and strings in C's layouts.

use super::text_argument;
use crate::error::{bad_argument, error_here, error_nowhere};
use crate::interpreter::Shared;
use crate::sandbox::{integer, number_argument};
use mlua::{Lua, MultiValue, Table, Value};
use std::rc::Rc;

/// Bytes of the largest integer.
const MAX_INTEGER: usize = 32;
/// The alignment that `!` stands for.
const NATURAL: usize = 8;
/// Values that one call returns: about what Lua's stack holds.
const MAX_RESULTS: usize = 7_990;

/// A format string, option by option.
struct Format<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
    is_little: bool,
    align: usize,
}

impl<'a> Format<'a> {
    fn new(lua: &'a Lua, rest: &'a [u8]) -> Format<'a> {
        Format {
            lua,
            rest,
            is_little: true,
            align: 1,
        }
    }

    fn number(&mut self, default: usize) -> mlua::Result<usize> {
        let digits = self
            .rest
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if digits == 0 {
            return Ok(default);
        }
        let mut value = 0i32;
        for digit in &self.rest[..digits] {
            let next = value
                .checked_mul(10)
                .and_then(|value| value.checked_add(i32::from(digit - b'0')));
            value = next.ok_or_else(|| error_here(self.lua, "integral size overflow"))?;
        }
        self.rest = &self.rest[digits..];
        Ok(value as usize)
    }

    /// The next option, and its size.
    fn next(&mut self) -> mlua::Result<Option<(u8, usize)>> {
        let Some((&option, rest)) = self.rest.split_first() else {
            return Ok(None);
        };
        self.rest = rest;
        let size = match option {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'f' => 4,
            b'c' => self.number(1)?,
            b'i' | b'I' => {
                let size = self.number(4)?;
                if size > MAX_INTEGER {
                    let text =
                        format!("integral size {size} is larger than limit of {MAX_INTEGER}");
                    return Err(error_here(self.lua, text));
                }
                size
            }
            _ => 0,
        };
        Ok(Some((option, size)))
    }

    /// Bytes before an option of this size.
    fn padding(&self, at: usize, option: u8, size: usize) -> usize {
        if size == 0 || option == b'c' {
            return 0;
        }
        let size = size.min(self.align);
        if size < 2 {
            return 0;
        }
        (size - (at & (size - 1))) & (size - 1)
    }

    /// An option that stands for no value.
    fn control(&mut self, option: u8) -> mlua::Result<()> {
        match option {
            b' ' => {}
            b'>' => self.is_little = false,
            b'<' | b'=' => self.is_little = true,
            b'!' => {
                let align = self.number(NATURAL)?;
                if align == 0 || !align.is_power_of_two() {
                    let text = format!("alignment {align} is not a power of 2");
                    return Err(error_here(self.lua, text));
                }
                self.align = align;
            }
            other => {
                let what = format!("invalid format option '{}'", char::from(other));
                return Err(bad_argument(self.lua, 1, &what));
            }
        }
        Ok(())
    }

    fn put(&self, out: &mut Vec<u8>, little: &[u8]) {
        if self.is_little {
            out.extend_from_slice(little);
        } else {
            out.extend(little.iter().rev());
        }
    }
}

pub(super) fn table(lua: &Lua, shared: &Rc<Shared>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let limit = shared.memory_limit;
    table.raw_set(
        "pack",
        lua.create_function(move |lua, args: MultiValue| pack(lua, &args, limit))?,
    )?;
    table.raw_set(
        "unpack",
        lua.create_function(|lua, args: MultiValue| unpack(lua, &args))?,
    )?;
    table.raw_set(
        "size",
        lua.create_function(|lua, args: MultiValue| size(lua, &args))?,
    )?;
    Ok(table)
}

fn pack(lua: &Lua, args: &MultiValue, limit: usize) -> mlua::Result<mlua::LuaString> {
    let text = text_argument(lua, args, 1)?;
    // Errors of the original show the mark that it has on its stack behind the arguments.
    let mut args = args.clone();
    args.push_back(Value::Nil);
    let args = &args;
    let mut format = Format::new(lua, &text);
    let (mut out, mut number) = (Vec::new(), 2);
    while let Some((option, size)) = format.next()? {
        if out.len() > limit {
            return Err(error_nowhere("not enough memory"));
        }
        let padding = format.padding(out.len(), option, size);
        out.resize(out.len() + padding, 0);
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let value = number_argument(lua, args, number)?;
                number += 1;
                let whole = if value < 0.0 {
                    value as i64 as u64
                } else {
                    value as u64
                };
                let mut little = whole.to_le_bytes().to_vec();
                little.resize(size, 0);
                format.put(&mut out, &little);
            }
            b'x' => out.push(0),
            b'f' => {
                let value = number_argument(lua, args, number)? as f32;
                number += 1;
                format.put(&mut out, &value.to_le_bytes());
            }
            b'd' => {
                let value = number_argument(lua, args, number)?;
                number += 1;
                format.put(&mut out, &value.to_le_bytes());
            }
            b'c' | b's' => {
                let value = text_argument(lua, args, number)?;
                number += 1;
                let size = if size == 0 { value.len() } else { size };
                let Some(taken) = value.get(..size) else {
                    return Err(bad_argument(lua, number, "string too short"));
                };
                out.extend_from_slice(taken);
                if option == b's' {
                    out.push(0);
                }
            }
            other => format.control(other)?,
        }
    }
    lua.create_string(out)
}

fn unpack(lua: &Lua, args: &MultiValue) -> mlua::Result<MultiValue> {
    let (text, data) = (text_argument(lua, args, 1)?, text_argument(lua, args, 2)?);
    let from = match args.get(2) {
        None | Some(Value::Nil) => 1,
        Some(_) => integer(lua, args, 3)?,
    };
    if from < 1 {
        return Err(bad_argument(lua, 3, "offset must be 1 or greater"));
    }
    let short = || bad_argument(lua, 2, "data string too short");
    let mut format = Format::new(lua, &text);
    let (mut at, mut values) = (from as usize - 1, Vec::new());
    while let Some((option, mut size)) = format.next()? {
        at = at.saturating_add(format.padding(at, option, size));
        let bytes = at
            .checked_add(size)
            .and_then(|end| data.get(at..end))
            .ok_or_else(short)?;
        if values.len() >= MAX_RESULTS {
            return Err(error_here(lua, "stack overflow (too many results)"));
        }
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                values.push(Value::Number(whole(
                    bytes,
                    option.is_ascii_lowercase(),
                    format.is_little,
                )));
            }
            b'x' => {}
            b'f' | b'd' => values.push(Value::Number(float(bytes, format.is_little))),
            b'c' => {
                let mut bytes = bytes;
                if size == 0 {
                    let given = values.pop().and_then(|value| super::number_in(&value));
                    let given = given
                        .ok_or_else(|| error_here(lua, "format 'c0' needs a previous size"))?;
                    size = given as usize;
                    let end = at.checked_add(size);
                    bytes = end.and_then(|end| data.get(at..end)).ok_or_else(short)?;
                }
                values.push(Value::String(lua.create_string(bytes)?));
            }
            b's' => {
                let len = data[at..].iter().position(|byte| *byte == 0);
                let len = len.ok_or_else(|| error_here(lua, "unfinished string in data"))?;
                values.push(Value::String(lua.create_string(&data[at..at + len])?));
                size = len + 1;
            }
            other => format.control(other)?,
        }
        at += size;
    }
    values.push(Value::Number(at as f64 + 1.0));
    Ok(MultiValue::from_vec(values))
}

fn whole(bytes: &[u8], is_signed: bool, is_little: bool) -> f64 {
    let join = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    let value = if is_little {
        bytes.iter().rev().fold(0, join)
    } else {
        bytes.iter().fold(0, join)
    };
    if !is_signed {
        return value as f64;
    }
    let spare = 64u32.saturating_sub(8 * bytes.len() as u32);
    if spare == 64 {
        return 0.0;
    }
    (((value << spare) as i64) >> spare) as f64
}

fn float(bytes: &[u8], is_little: bool) -> f64 {
    let mut little = bytes.to_vec();
    if !is_little {
        little.reverse();
    }
    match (
        <[u8; 4]>::try_from(&little[..]),
        <[u8; 8]>::try_from(&little[..]),
    ) {
        (Ok(short), _) => f64::from(f32::from_le_bytes(short)),
        (_, Ok(long)) => f64::from_le_bytes(long),
        _ => 0.0,
    }
}

fn size(lua: &Lua, args: &MultiValue) -> mlua::Result<f64> {
    let text = text_argument(lua, args, 1)?;
    let mut format = Format::new(lua, &text);
    let mut at = 0usize;
    while let Some((option, size)) = format.next()? {
        match option {
            b's' => return Err(bad_argument(lua, 1, "option 's' has no fixed size")),
            b'c' if size == 0 => {
                return Err(bad_argument(lua, 1, "option 'c0' has no fixed size"));
            }
            _ => {}
        }
        let padding = format.padding(at, option, size);
        if !option.is_ascii_alphanumeric() {
            format.control(option)?;
        }
        at = at.saturating_add(padding + size);
    }
    Ok(at as f64)
}
