//! `cjson`: JSON as lua-cjson writes and reads it.

use super::cjson_decode::decode;
use super::{array_shape, number_in, text_argument};
use crate::error::{bad_argument, error_here, error_nowhere, type_name};
use crate::interpreter::Shared;
use crate::machine::tick;
use crate::number::push_g;
use crate::sandbox::integer;
use mlua::{Lua, MultiValue, Table, Value};
use std::cell::Cell;
use std::rc::Rc;

/// Nesting that is never passed, whatever a script asks for: the stack has an end.
const DEEPEST: i64 = 2_000;
/// Values between two looks at how long the script has been running.
const VALUES_PER_TICK: usize = 4_096;

/// What becomes of NaN and infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Invalid {
    Refused,
    Written,
    Null,
}

/// What scripts can choose.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    convert_sparse: bool,
    sparse_ratio: i64,
    sparse_safe: i64,
    encode_depth: i64,
    pub(super) decode_depth: i64,
    precision: i64,
    keep_buffer: bool,
    encode_invalid: Invalid,
    pub(super) decode_invalid: bool,
}

impl Default for Options {
    fn default() -> Options {
        DEFAULTS
    }
}

const DEFAULTS: Options = Options {
    convert_sparse: false,
    sparse_ratio: 2,
    sparse_safe: 10,
    encode_depth: 1_000,
    decode_depth: 1_000,
    precision: 14,
    keep_buffer: true,
    encode_invalid: Invalid::Refused,
    decode_invalid: true,
};

/// Options that several functions share.
pub(crate) type Shape = Rc<Cell<Options>>;

pub(super) fn table(lua: &Lua, shared: &Rc<Shared>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("_NAME", "cjson")?;
    table.raw_set("_VERSION", "2.1.0")?;
    table.raw_set("null", Value::NULL)?;
    let options: Shape = shared.json_options.clone();
    set_options(lua, &table, &options)?;
    let (chosen, state) = (options.clone(), shared.clone());
    let encode = lua.create_function(move |lua, args: MultiValue| {
        if args.len() != 1 {
            return Err(bad_argument(lua, 1, "expected 1 argument"));
        }
        let mut encoder = Encoder {
            lua,
            options: chosen.get(),
            shared: &state,
            out: Vec::new(),
            values: 0,
        };
        encoder.value(&args[0], 0)?;
        lua.create_string(&encoder.out)
    })?;
    table.raw_set("encode", encode)?;
    let decode = lua.create_function(move |lua, args: MultiValue| {
        if args.len() != 1 {
            return Err(bad_argument(lua, 1, "expected 1 argument"));
        }
        let text = text_argument(lua, &args, 1)?;
        let mut given = options.get();
        given.decode_depth = given.decode_depth.min(DEEPEST);
        decode(lua, &text, given)
    })?;
    table.raw_set("decode", decode)?;
    let state = shared.clone();
    let new = lua.create_function(move |lua, _: MultiValue| self::table(lua, &state))?;
    table.raw_set("new", new)?;
    Ok(table)
}

/// An integer that a script sets, if it gives one.
fn set_integer(
    lua: &Lua,
    args: &MultiValue,
    number: usize,
    range: std::ops::RangeInclusive<i64>,
    to: &mut i64,
) -> mlua::Result<()> {
    if matches!(args.get(number - 1), None | Some(Value::Nil)) {
        return Ok(());
    }
    let value = integer(lua, args, number)?;
    if !range.contains(&value) {
        let (low, high) = range.into_inner();
        let what = format!("expected integer between {low} and {high}");
        return Err(bad_argument(lua, number, &what));
    }
    *to = value;
    Ok(())
}

/// A word that a script sets, if it gives one; `true` and `false` stand for `on` and `off`.
fn set_word(lua: &Lua, args: &MultiValue, words: &[&str], to: &mut usize) -> mlua::Result<()> {
    match args.front() {
        None | Some(Value::Nil) => return Ok(()),
        Some(Value::Boolean(on)) => {
            *to = usize::from(*on);
            return Ok(());
        }
        _ => {}
    }
    let given = text_argument(lua, args, 1)?;
    let known = words.iter().position(|word| word.as_bytes() == given);
    *to = known.ok_or_else(|| {
        let what = format!("invalid option '{}'", String::from_utf8_lossy(&given));
        bad_argument(lua, 1, &what)
    })?;
    Ok(())
}

fn check_count(lua: &Lua, args: &MultiValue, most: usize) -> mlua::Result<()> {
    if args.len() > most {
        return Err(bad_argument(lua, most + 1, "found too many arguments"));
    }
    Ok(())
}

const OFF_ON: [&str; 2] = ["off", "on"];

fn set_options(lua: &Lua, table: &Table, options: &Shape) -> mlua::Result<()> {
    let most = i64::from(i32::MAX);
    type Number = (&'static str, i64, fn(&mut Options) -> &mut i64);
    let numbers: [Number; 3] = [
        ("encode_max_depth", most, |options| {
            &mut options.encode_depth
        }),
        ("decode_max_depth", most, |options| {
            &mut options.decode_depth
        }),
        ("encode_number_precision", 14, |options| {
            &mut options.precision
        }),
    ];
    for (name, high, field) in numbers {
        let options = options.clone();
        let function = lua.create_function(move |lua, args: MultiValue| {
            check_count(lua, &args, 1)?;
            let mut given = options.get();
            set_integer(lua, &args, 1, 1..=high, field(&mut given))?;
            options.set(given);
            Ok(*field(&mut given))
        })?;
        table.raw_set(name, function)?;
    }
    type Truth = (&'static str, fn(&mut Options) -> &mut bool);
    let truths: [Truth; 2] = [
        ("encode_keep_buffer", |options| &mut options.keep_buffer),
        ("decode_invalid_numbers", |options| {
            &mut options.decode_invalid
        }),
    ];
    for (name, field) in truths {
        let options = options.clone();
        let function = lua.create_function(move |lua, args: MultiValue| {
            check_count(lua, &args, 1)?;
            let mut given = options.get();
            let mut chosen = usize::from(*field(&mut given));
            set_word(lua, &args, &OFF_ON, &mut chosen)?;
            *field(&mut given) = chosen == 1;
            options.set(given);
            Ok(chosen == 1)
        })?;
        table.raw_set(name, function)?;
    }
    set_sparse(lua, table, options)?;
    set_invalid(lua, table, options)
}

fn set_sparse(lua: &Lua, table: &Table, options: &Shape) -> mlua::Result<()> {
    let options = options.clone();
    let function = lua.create_function(move |lua, args: MultiValue| {
        check_count(lua, &args, 3)?;
        let (mut given, most) = (options.get(), i64::from(i32::MAX));
        let mut convert = usize::from(given.convert_sparse);
        set_word(lua, &args, &OFF_ON, &mut convert)?;
        given.convert_sparse = convert == 1;
        set_integer(lua, &args, 2, 0..=most, &mut given.sparse_ratio)?;
        set_integer(lua, &args, 3, 0..=most, &mut given.sparse_safe)?;
        options.set(given);
        Ok((given.convert_sparse, given.sparse_ratio, given.sparse_safe))
    })?;
    table.raw_set("encode_sparse_array", function)
}

fn set_invalid(lua: &Lua, table: &Table, options: &Shape) -> mlua::Result<()> {
    let options = options.clone();
    let function = lua.create_function(move |lua, args: MultiValue| {
        check_count(lua, &args, 1)?;
        let mut given = options.get();
        let mut chosen = given.encode_invalid as usize;
        set_word(lua, &args, &["off", "on", "null"], &mut chosen)?;
        given.encode_invalid = [Invalid::Refused, Invalid::Written, Invalid::Null][chosen];
        options.set(given);
        match given.encode_invalid {
            Invalid::Null => lua.create_string("null").map(Value::String),
            other => Ok(Value::Boolean(other == Invalid::Written)),
        }
    })?;
    table.raw_set("encode_invalid_numbers", function)
}

struct Encoder<'a> {
    lua: &'a Lua,
    options: Options,
    shared: &'a Shared,
    out: Vec<u8>,
    values: usize,
}

impl Encoder<'_> {
    fn refuse<T>(&self, value: &Value, why: &str) -> mlua::Result<T> {
        let text = format!("Cannot serialise {}: {why}", type_name(value));
        Err(error_here(self.lua, text))
    }

    fn value(&mut self, value: &Value, depth: i64) -> mlua::Result<()> {
        if self.out.len() > self.shared.memory_limit {
            return Err(error_nowhere("not enough memory"));
        }
        self.values += 1;
        if self.values.is_multiple_of(VALUES_PER_TICK) {
            tick(self.shared)?;
        }
        match value {
            Value::Nil => self.out.extend_from_slice(b"null"),
            Value::Boolean(true) => self.out.extend_from_slice(b"true"),
            Value::Boolean(false) => self.out.extend_from_slice(b"false"),
            Value::String(text) => push_string(&mut self.out, &text.as_bytes()),
            Value::Table(table) => return self.table(table, depth + 1),
            value if *value == Value::NULL => self.out.extend_from_slice(b"null"),
            value => match number_in(value) {
                Some(number) => return self.number(number),
                None => return self.refuse(value, "type not supported"),
            },
        }
        Ok(())
    }

    fn number(&mut self, number: f64) -> mlua::Result<()> {
        if !number.is_finite() {
            match self.options.encode_invalid {
                Invalid::Refused => {
                    return self.refuse(&Value::Number(number), "must not be NaN or Inf");
                }
                Invalid::Null => {
                    self.out.extend_from_slice(b"null");
                    return Ok(());
                }
                Invalid::Written if number.is_nan() => {
                    self.out.extend_from_slice(b"nan");
                    return Ok(());
                }
                Invalid::Written => {}
            }
        }
        push_g(&mut self.out, number, self.options.precision as usize);
        Ok(())
    }

    fn table(&mut self, table: &Table, depth: i64) -> mlua::Result<()> {
        if depth > self.options.encode_depth.min(DEEPEST) {
            let text = format!("Cannot serialise, excessive nesting ({depth})");
            return Err(error_here(self.lua, text));
        }
        match self.array_len(table)? {
            Some(len) => self.array(table, len, depth),
            None => self.object(table, depth),
        }
    }

    /// How long the array is, if the table is to be written as one.
    fn array_len(&self, table: &Table) -> mlua::Result<Option<i64>> {
        let Some((largest, count)) = array_shape(table)? else {
            return Ok(None);
        };
        let Options {
            sparse_ratio,
            sparse_safe,
            ..
        } = self.options;
        let is_sparse = sparse_ratio > 0
            && largest > count as f64 * sparse_ratio as f64
            && largest > sparse_safe as f64;
        if is_sparse && !self.options.convert_sparse {
            return self.refuse(&Value::Table(table.clone()), "excessively sparse array");
        }
        Ok((!is_sparse && largest > 0.0).then_some(largest as i64))
    }

    fn array(&mut self, table: &Table, len: i64, depth: i64) -> mlua::Result<()> {
        self.out.push(b'[');
        for at in 1..=len {
            if at > 1 {
                self.out.push(b',');
            }
            let item: Value = table.raw_get(at)?;
            self.value(&item, depth)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, table: &Table, depth: i64) -> mlua::Result<()> {
        self.out.push(b'{');
        let mut is_first = true;
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            if !std::mem::replace(&mut is_first, false) {
                self.out.push(b',');
            }
            match &key {
                Value::String(text) => push_string(&mut self.out, &text.as_bytes()),
                key => match number_in(key) {
                    Some(number) => {
                        self.out.push(b'"');
                        self.number(number)?;
                        self.out.push(b'"');
                    }
                    None => return self.refuse(key, "table key must be a number or string"),
                },
            }
            self.out.push(b':');
            self.value(&value, depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }
}

fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'/' => out.extend_from_slice(b"\\/"),
            8 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            12 => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0..32 | 127 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}
