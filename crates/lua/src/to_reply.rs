//! Lua values as replies.

use crate::number::to_i64;
use damselfly_resp::{Proto, ReplyWriter};
use mlua::{LuaString, Table, Value};

/// Tables in tables that a reply may have. (In Redis it is what Lua's stack allows, about eight times as many.)
const MAX_DEPTH: usize = 1_000;

/// Values between two looks at how long the script has been running.
const VALUES_PER_TICK: usize = 4_096;

/// Names of the fields that give a table a meaning, kept by the interpreter.
pub(crate) struct Fields {
    err: LuaString,
    ok: LuaString,
    double: LuaString,
    big_number: LuaString,
    verbatim: LuaString,
    format: LuaString,
    string: LuaString,
    map: LuaString,
    set: LuaString,
}

impl Fields {
    pub(crate) fn new(lua: &mlua::Lua) -> mlua::Result<Fields> {
        Ok(Fields {
            err: lua.create_string("err")?,
            ok: lua.create_string("ok")?,
            double: lua.create_string("double")?,
            big_number: lua.create_string("big_number")?,
            verbatim: lua.create_string("verbatim_string")?,
            format: lua.create_string("format")?,
            string: lua.create_string("string")?,
            map: lua.create_string("map")?,
            set: lua.create_string("set")?,
        })
    }
}

/// Writes what a script returned.
pub(crate) struct ReplyOf<'a> {
    pub(crate) fields: &'a Fields,
    /// The protocol of the client.
    pub(crate) proto: Proto,
    /// The protocol that the script chose for itself.
    pub(crate) script_proto: Proto,
    pub(crate) out: &'a mut Vec<u8>,
    /// Bytes that the reply may have.
    pub(crate) limit: usize,
    /// Values written so far.
    pub(crate) values: usize,
    /// Asks whether the script may go on.
    pub(crate) tick: &'a dyn Fn() -> mlua::Result<()>,
}

/// The reply is larger than what a script may use.
pub(crate) struct TooLarge;

type Written = mlua::Result<Result<(), TooLarge>>;

impl ReplyOf<'_> {
    pub(crate) fn write(&mut self, value: &Value) -> Written {
        self.value(value, 0)
    }

    fn writer(&mut self) -> ReplyWriter<'_> {
        ReplyWriter::new(self.out, self.proto)
    }

    fn value(&mut self, value: &Value, depth: usize) -> Written {
        if self.out.len() > self.limit {
            return Ok(Err(TooLarge));
        }
        self.values += 1;
        if self.values.is_multiple_of(VALUES_PER_TICK) {
            (self.tick)()?;
        }
        if depth > MAX_DEPTH {
            self.writer().error("ERR reached lua stack limit");
            return Ok(Ok(()));
        }
        let script_proto = self.script_proto;
        match value {
            Value::String(text) => self.writer().bulk(&*text.as_bytes()),
            Value::Integer(number) => self.writer().integer(*number),
            Value::Number(number) => self.writer().integer(to_i64(*number)),
            Value::Boolean(set) if script_proto == Proto::Resp3 => self.writer().boolean(*set),
            Value::Boolean(true) => self.writer().integer(1),
            Value::Table(table) => return self.table(table, depth),
            _ => self.writer().null(),
        }
        Ok(Ok(()))
    }

    fn table(&mut self, table: &Table, depth: usize) -> Written {
        let fields = self.fields;
        if let Value::String(text) = table.raw_get(&fields.err)? {
            self.writer().error(&*text.as_bytes());
            return Ok(Ok(()));
        }
        if let Value::String(text) = table.raw_get(&fields.ok)? {
            let text = text.as_bytes();
            self.writer()
                .simple(text.split(|byte| *byte == 0).next().unwrap_or_default());
            return Ok(Ok(()));
        }
        match table.raw_get(&fields.double)? {
            Value::Number(number) => {
                self.writer().double(number);
                return Ok(Ok(()));
            }
            Value::Integer(number) => {
                self.writer().double(number as f64);
                return Ok(Ok(()));
            }
            _ => {}
        }
        if let Value::String(digits) = table.raw_get(&fields.big_number)? {
            let digits: Vec<u8> = digits
                .as_bytes()
                .iter()
                .map(|byte| no_line_end(*byte))
                .collect();
            self.writer().big_number(digits);
            return Ok(Ok(()));
        }
        if let Value::Table(verbatim) = table.raw_get(&fields.verbatim)?
            && self.verbatim(&verbatim)?
        {
            return Ok(Ok(()));
        }
        if let Value::Table(entries) = table.raw_get(&fields.map)? {
            return self.map(&entries, depth);
        }
        if let Value::Table(members) = table.raw_get(&fields.set)? {
            return self.set(&members, depth);
        }
        self.array(table, depth)
    }

    fn verbatim(&mut self, verbatim: &Table) -> mlua::Result<bool> {
        let format = verbatim.raw_get(&self.fields.format)?;
        let text = verbatim.raw_get(&self.fields.string)?;
        let (Value::String(format), Value::String(text)) = (format, text) else {
            return Ok(false);
        };
        let mut short = *b"   ";
        for (to, from) in short.iter_mut().zip(format.as_bytes().iter()) {
            *to = *from;
        }
        self.writer().verbatim(short, &*text.as_bytes());
        Ok(true)
    }

    fn map(&mut self, entries: &Table, depth: usize) -> Written {
        let mut pairs = Vec::new();
        for pair in entries.pairs::<Value, Value>() {
            pairs.push(pair?);
        }
        self.writer().map(pairs.len());
        for (key, value) in &pairs {
            for part in [key, value] {
                if let Err(too_large) = self.value(part, depth + 1)? {
                    return Ok(Err(too_large));
                }
            }
        }
        Ok(Ok(()))
    }

    fn set(&mut self, members: &Table, depth: usize) -> Written {
        let mut keys = Vec::new();
        for pair in members.pairs::<Value, Value>() {
            keys.push(pair?.0);
        }
        self.writer().set(keys.len());
        for key in &keys {
            if let Err(too_large) = self.value(key, depth + 1)? {
                return Ok(Err(too_large));
            }
        }
        Ok(Ok(()))
    }

    /// The elements up to the first nil.
    fn array(&mut self, table: &Table, depth: usize) -> Written {
        let mut len = table.raw_len();
        if len > 0 {
            len = 0;
            while table.raw_get::<Value>(len + 1)? != Value::Nil {
                len += 1;
            }
        }
        self.writer().array(len);
        for at in 1..=len {
            let item: Value = table.raw_get(at)?;
            if let Err(too_large) = self.value(&item, depth + 1)? {
                return Ok(Err(too_large));
            }
        }
        Ok(Ok(()))
    }
}

fn no_line_end(byte: u8) -> u8 {
    if matches!(byte, b'\r' | b'\n') {
        b' '
    } else {
        byte
    }
}
