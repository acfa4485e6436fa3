//! Replies of commands as Lua values.

use crate::error::ErrorTable;
use mlua::{Lua, Table, Value};

/// Arrays in arrays that a reply may have.
const MAX_DEPTH: usize = 64;

/// The Lua value that a whole reply stands for; an error's is a table.
pub(crate) fn value(lua: &Lua, reply: &[u8]) -> mlua::Result<Value> {
    let mut reader = Reader { lua, rest: reply };
    Ok(reader.value(0)?.unwrap_or(Value::Nil))
}

struct Reader<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The next value; `None` where the reply is none (which our own commands don't write).
    fn value(&mut self, depth: usize) -> mlua::Result<Option<Value>> {
        let Some((&kind, _)) = self.rest.split_first() else {
            return Ok(None);
        };
        if depth > MAX_DEPTH {
            return Ok(None);
        }
        let line = &self.line()[1..];
        Ok(Some(match kind {
            b':' => Value::Number(number(line) as f64),
            b'+' => Value::Table(self.field("ok", Value::String(self.lua.create_string(line)?))?),
            b'-' => Value::Table(ErrorTable::of_reply(line).to_lua(self.lua)?),
            b'$' | b'*' if line == b"-1" => Value::Boolean(false),
            b'$' => Value::String(self.lua.create_string(self.bulk(line))?),
            b'*' | b'>' => Value::Table(self.array(number(line), depth)?),
            b'%' => Value::Table(self.map(number(line), depth)?),
            b'~' => Value::Table(self.set(number(line), depth)?),
            b'#' => Value::Boolean(line == b"t"),
            b',' => Value::Table(self.field("double", Value::Number(double(line)))?),
            b'(' => {
                let digits = Value::String(self.lua.create_string(line)?);
                Value::Table(self.field("big_number", digits)?)
            }
            b'=' => Value::Table(self.verbatim(line)?),
            _ => Value::Nil,
        }))
    }

    /// The next line, without its end.
    fn line(&mut self) -> &'a [u8] {
        let end = self.rest.windows(2).position(|pair| pair == b"\r\n");
        let (line, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest.get(2..).unwrap_or_default();
        line
    }

    fn bulk(&mut self, len: &[u8]) -> &'a [u8] {
        let len = (number(len).max(0) as usize).min(self.rest.len());
        let (bulk, rest) = self.rest.split_at(len);
        self.rest = rest.get(2..).unwrap_or_default();
        bulk
    }

    fn field(&self, name: &str, value: Value) -> mlua::Result<Table> {
        let table = self.lua.create_table_with_capacity(0, 1)?;
        table.raw_set(name, value)?;
        Ok(table)
    }

    fn array(&mut self, len: i64, depth: usize) -> mlua::Result<Table> {
        let known = (len.max(0) as usize).min(self.rest.len());
        let table = self.lua.create_table_with_capacity(known, 0)?;
        for index in 1..=len {
            let Some(item) = self.value(depth + 1)? else {
                break;
            };
            if item != Value::Nil {
                table.raw_set(index, item)?;
            }
        }
        Ok(table)
    }

    fn map(&mut self, len: i64, depth: usize) -> mlua::Result<Table> {
        let entries = self.lua.create_table()?;
        for _ in 0..len {
            let (Some(key), Some(value)) = (self.value(depth + 1)?, self.value(depth + 1)?) else {
                break;
            };
            if key != Value::Nil {
                entries.raw_set(key, value)?;
            }
        }
        self.field("map", Value::Table(entries))
    }

    fn set(&mut self, len: i64, depth: usize) -> mlua::Result<Table> {
        let members = self.lua.create_table()?;
        for _ in 0..len {
            let Some(member) = self.value(depth + 1)? else {
                break;
            };
            if member != Value::Nil {
                members.raw_set(member, true)?;
            }
        }
        self.field("set", Value::Table(members))
    }

    fn verbatim(&mut self, len: &[u8]) -> mlua::Result<Table> {
        let bulk = self.bulk(len);
        let (format, text) = bulk.split_at(bulk.len().min(4));
        let format = format.strip_suffix(b":").unwrap_or(format);
        let fields = self.lua.create_table_with_capacity(0, 2)?;
        fields.raw_set("string", self.lua.create_string(text)?)?;
        fields.raw_set("format", self.lua.create_string(format)?)?;
        self.field("verbatim_string", Value::Table(fields))
    }
}

fn number(digits: &[u8]) -> i64 {
    damselfly_resp::parse_i64(digits).unwrap_or_default()
}

fn double(text: &[u8]) -> f64 {
    match text {
        b"nan" | b"-nan" => f64::NAN,
        text => damselfly_resp::parse_f64(text).unwrap_or_default(),
    }
}
