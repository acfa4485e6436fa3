//! `cmsgpack`: MessagePack as lua-cmsgpack writes and reads it.

use super::{array_shape, number_in, text_argument};
use crate::error::{bad_argument, error_here, error_nowhere};
use crate::interpreter::Shared;
use crate::machine::tick;
use crate::sandbox::integer;
use mlua::{Lua, MultiValue, Table, Value};
use std::rc::Rc;

/// Tables in tables that are written; those further inside become nil.
const MAX_NESTING: usize = 16;
/// Nesting that is read.
const MAX_DEPTH: usize = 1_000;
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
/// Values between two looks at how long the script has been running.
const VALUES_PER_TICK: usize = 4_096;

pub(super) fn table(lua: &Lua, shared: &Rc<Shared>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("_NAME", "cmsgpack")?;
    table.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    table.raw_set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    table.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    let state = shared.clone();
    let pack = lua.create_function(move |lua, args: MultiValue| {
        if args.is_empty() {
            return Err(bad_argument(lua, 0, "MessagePack pack needs input."));
        }
        let mut packer = Packer {
            shared: &state,
            out: Vec::new(),
            values: 0,
        };
        for arg in &args {
            packer.value(arg, 0)?;
        }
        lua.create_string(&packer.out)
    })?;
    table.raw_set("pack", pack)?;
    let unpack = lua.create_function(|lua, args: MultiValue| read(lua, &args, 0, 0))?;
    table.raw_set("unpack", unpack)?;
    let unpack_one = lua.create_function(|lua, args: MultiValue| {
        let offset = optional(lua, &args, 2)?;
        read(lua, &args, 1, offset)
    })?;
    table.raw_set("unpack_one", unpack_one)?;
    let unpack_limit = lua.create_function(|lua, args: MultiValue| {
        let limit = integer(lua, &args, 2)?;
        let offset = optional(lua, &args, 3)?;
        read(lua, &args, limit, offset)
    })?;
    table.raw_set("unpack_limit", unpack_limit)?;
    Ok(table)
}

fn optional(lua: &Lua, args: &MultiValue, number: usize) -> mlua::Result<i64> {
    match args.get(number - 1) {
        None | Some(Value::Nil) => Ok(0),
        Some(_) => integer(lua, args, number),
    }
}

struct Packer<'a> {
    shared: &'a Shared,
    out: Vec<u8>,
    values: usize,
}

impl Packer<'_> {
    fn value(&mut self, value: &Value, level: usize) -> mlua::Result<()> {
        if self.out.len() > self.shared.memory_limit {
            return Err(error_nowhere("not enough memory"));
        }
        self.values += 1;
        if self.values.is_multiple_of(VALUES_PER_TICK) {
            tick(self.shared)?;
        }
        match value {
            Value::String(text) => self.text(&text.as_bytes()),
            Value::Boolean(truth) => self.out.push(if *truth { 0xc3 } else { 0xc2 }),
            Value::Table(table) if level < MAX_NESTING => return self.table(table, level),
            value => match number_in(value) {
                Some(number) => self.number(number),
                None => self.out.push(0xc0),
            },
        }
        Ok(())
    }

    /// A length behind the opcode for its size; the smallest size may be left out.
    fn head(&mut self, len: usize, fixed: (u8, usize), wide: [u8; 3]) {
        let (base, most) = fixed;
        match len {
            len if len <= most => self.out.push(base | len as u8),
            len if len <= 0xff && wide[0] != 0 => self.out.extend([wide[0], len as u8]),
            len if len <= 0xffff => {
                self.out.push(wide[1]);
                self.out.extend((len as u16).to_be_bytes());
            }
            len => {
                self.out.push(wide[2]);
                self.out.extend((len as u32).to_be_bytes());
            }
        }
    }

    fn text(&mut self, text: &[u8]) {
        self.head(text.len(), (0xa0, 31), [0xd9, 0xda, 0xdb]);
        self.out.extend_from_slice(text);
    }

    fn number(&mut self, number: f64) {
        let whole = number as i64;
        if whole as f64 == number && number < TWO_TO_63 {
            return self.whole(whole);
        }
        let short = number as f32;
        if f64::from(short) == number {
            self.out.push(0xca);
            self.out.extend(short.to_be_bytes());
        } else {
            self.out.push(0xcb);
            self.out.extend(number.to_be_bytes());
        }
    }

    fn whole(&mut self, number: i64) {
        match number {
            -32..=127 => self.out.push(number as u8),
            128..=0xff => self.out.extend([0xcc, number as u8]),
            0x100..=0xffff => {
                self.out.push(0xcd);
                self.out.extend((number as u16).to_be_bytes());
            }
            0x1_0000..=0xffff_ffff => {
                self.out.push(0xce);
                self.out.extend((number as u32).to_be_bytes());
            }
            0x1_0000_0000.. => {
                self.out.push(0xcf);
                self.out.extend(number.to_be_bytes());
            }
            -128..=-33 => self.out.extend([0xd0, number as u8]),
            -32_768..=-129 => {
                self.out.push(0xd1);
                self.out.extend((number as i16).to_be_bytes());
            }
            -2_147_483_648..=-32_769 => {
                self.out.push(0xd2);
                self.out.extend((number as i32).to_be_bytes());
            }
            _ => {
                self.out.push(0xd3);
                self.out.extend(number.to_be_bytes());
            }
        }
    }

    fn table(&mut self, table: &Table, level: usize) -> mlua::Result<()> {
        match array_shape(table)? {
            Some((largest, count)) if largest == count as f64 => {
                self.head(count, (0x90, 15), [0, 0xdc, 0xdd]);
                for at in 1..=count {
                    let item: Value = table.raw_get(at)?;
                    self.value(&item, level + 1)?;
                }
            }
            _ => {
                let mut pairs = Vec::new();
                for pair in table.pairs::<Value, Value>() {
                    pairs.push(pair?);
                }
                self.head(pairs.len(), (0x80, 15), [0, 0xde, 0xdf]);
                for (key, value) in &pairs {
                    self.value(key, level + 1)?;
                    self.value(value, level + 1)?;
                }
            }
        }
        Ok(())
    }
}

/// Why bytes can't be read.
enum Wrong {
    TooShort,
    Format,
    Lua(mlua::Error),
}

impl From<mlua::Error> for Wrong {
    fn from(error: mlua::Error) -> Wrong {
        Wrong::Lua(error)
    }
}

/// Reads up to `limit` values; 0 and no offset: all, without the offset of what follows before them.
fn read(lua: &Lua, args: &MultiValue, limit: i64, offset: i64) -> mlua::Result<MultiValue> {
    let bytes = text_argument(lua, args, 1)?;
    let len = bytes.len();
    if offset < 0 || limit < 0 {
        let text = format!("Invalid request to unpack with offset of {offset} and limit of {len}.");
        return Err(error_here(lua, text));
    }
    let Some(rest) = bytes.get(offset as usize..) else {
        let text = format!("Start offset {offset} greater than input length {len}.");
        return Err(error_here(lua, text));
    };
    let all = limit == 0 && offset == 0;
    let most = if all { i64::MAX } else { limit };
    let mut reader = Unpacker { lua, rest };
    let mut values = MultiValue::new();
    while !reader.rest.is_empty() && (values.len() as i64) < most {
        if values.len() >= MAX_RESULTS {
            let text = "too many return values at once; use unpack_one or unpack_limit instead.";
            return Err(error_here(lua, format!("stack overflow ({text})")));
        }
        match reader.value(0) {
            Ok(value) => values.push_back(value),
            Err(Wrong::TooShort) => return Err(error_here(lua, "Missing bytes in input.")),
            Err(Wrong::Format) => return Err(error_here(lua, "Bad data format in input.")),
            Err(Wrong::Lua(error)) => return Err(error),
        }
    }
    if !all {
        let next = match reader.rest.len() {
            0 => -1,
            left => (len - left) as i64,
        };
        values.push_front(Value::Number(next as f64));
    }
    Ok(values)
}

/// Values that one call returns: about what Lua's stack holds.
const MAX_RESULTS: usize = 7_990;

struct Unpacker<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
}

impl<'a> Unpacker<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Wrong> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Wrong::TooShort)?;
        self.rest = rest;
        Ok(taken)
    }

    fn unsigned(&mut self, len: usize) -> Result<u64, Wrong> {
        let bytes = self.take(len)?;
        Ok(bytes
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn signed(&mut self, len: usize) -> Result<f64, Wrong> {
        let spare = 64 - 8 * len as u32;
        Ok((((self.unsigned(len)? << spare) as i64) >> spare) as f64)
    }

    fn text(&mut self, len: u64) -> Result<Value, Wrong> {
        let text = self.take(usize::try_from(len).map_err(|_| Wrong::TooShort)?)?;
        Ok(Value::String(self.lua.create_string(text)?))
    }

    fn value(&mut self, depth: usize) -> Result<Value, Wrong> {
        if depth > MAX_DEPTH {
            return Err(Wrong::Format);
        }
        let code = self.take(1)?[0];
        Ok(match code {
            0x00..=0x7f => Value::Number(f64::from(code)),
            0xe0..=0xff => Value::Number(f64::from(code as i8)),
            0x80..=0x8f => self.map(u64::from(code & 15), depth)?,
            0x90..=0x9f => self.array(u64::from(code & 15), depth)?,
            0xa0..=0xbf => self.text(u64::from(code & 31))?,
            0xc0 => Value::Nil,
            0xc2 | 0xc3 => Value::Boolean(code == 0xc3),
            0xc4 | 0xd9 => self.sized_text(1)?,
            0xc5 | 0xda => self.sized_text(2)?,
            0xc6 | 0xdb => self.sized_text(4)?,
            0xca => Value::Number(f64::from(f32::from_bits(self.unsigned(4)? as u32))),
            0xcb => Value::Number(f64::from_bits(self.unsigned(8)?)),
            0xcc..=0xcf => Value::Number(self.unsigned(1 << (code - 0xcc))? as f64),
            0xd0..=0xd3 => Value::Number(self.signed(1 << (code - 0xd0))?),
            0xdc | 0xdd => {
                let len = self.unsigned(if code == 0xdc { 2 } else { 4 })?;
                self.array(len, depth)?
            }
            0xde | 0xdf => {
                let len = self.unsigned(if code == 0xde { 2 } else { 4 })?;
                self.map(len, depth)?
            }
            _ => return Err(Wrong::Format),
        })
    }

    fn sized_text(&mut self, size: usize) -> Result<Value, Wrong> {
        let len = self.unsigned(size)?;
        self.text(len)
    }

    fn array(&mut self, len: u64, depth: usize) -> Result<Value, Wrong> {
        let table = self.lua.create_table()?;
        for at in 1..=len {
            let item = self.value(depth + 1)?;
            if item != Value::Nil {
                table.raw_set(at, item)?;
            }
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self, len: u64, depth: usize) -> Result<Value, Wrong> {
        let table = self.lua.create_table()?;
        for _ in 0..len {
            let (key, value) = (self.value(depth + 1)?, self.value(depth + 1)?);
            if key == Value::Nil {
                return Err(error_nowhere("table index is nil").into());
            }
            if number_in(&key).is_some_and(f64::is_nan) {
                return Err(error_nowhere("table index is NaN").into());
            }
            table.raw_set(key, value)?;
        }
        Ok(Value::Table(table))
    }
}
