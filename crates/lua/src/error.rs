//! Errors between Rust and Lua.
//!
//! A function of ours can raise nothing but an [`mlua::Error`], which Lua sees as an opaque value. What a script gets to see of
//! it, a string or a table with the field `err`, is made by [`caught`]: in `pcall` and its like, and at the end of the script.

use mlua::{Error, Lua, Table, Value};
use std::fmt;

/// What a function of ours raises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Raised {
    /// A table, as `redis.call` raises it.
    Table(ErrorTable),
    /// A string, with its position where it has one.
    Text(Vec<u8>),
}

/// An error as scripts see those of commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ErrorTable {
    /// The text, code word first.
    pub(crate) text: Vec<u8>,
    /// Whether the statistics know of it already.
    pub(crate) counted: bool,
}

impl ErrorTable {
    /// An error of the `redis` library: `ERR` and a text.
    pub(crate) fn of_library(text: &str) -> ErrorTable {
        ErrorTable {
            text: [b"ERR ", text.as_bytes()].concat(),
            counted: false,
        }
    }

    /// An error reply (without its `-`): a code word and a text, or just a text.
    pub(crate) fn of_reply(reply: &[u8]) -> ErrorTable {
        let has_code = reply.contains(&b' ');
        let trimmed = reply.trim_ascii_end();
        let text = if has_code {
            trimmed.to_vec()
        } else {
            [b"ERR ", trimmed].concat()
        };
        ErrorTable {
            text,
            counted: true,
        }
    }

    pub(crate) fn to_lua(&self, lua: &Lua) -> mlua::Result<Table> {
        let table = lua.create_table()?;
        table.raw_set("err", lua.create_string(&self.text)?)?;
        if self.counted {
            table.raw_set("ignore_error_stats_update", true)?;
        }
        Ok(table)
    }
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Raised::Table(ErrorTable { text, .. }) | Raised::Text(text)) = self;
        f.write_str(&String::from_utf8_lossy(text))
    }
}

impl std::error::Error for Raised {}

impl From<Raised> for Error {
    fn from(raised: Raised) -> Error {
        Error::external(raised)
    }
}

impl From<ErrorTable> for Error {
    fn from(table: ErrorTable) -> Error {
        Raised::Table(table).into()
    }
}

/// An error with the position of whoever called the running function, as `luaL_error` makes it.
pub(crate) fn error_here(lua: &Lua, text: impl AsRef<[u8]>) -> Error {
    let mut message = position(lua, 1);
    message.extend_from_slice(text.as_ref());
    Raised::Text(message).into()
}

/// An error without a position.
pub(crate) fn error_nowhere(text: impl AsRef<[u8]>) -> Error {
    Raised::Text(text.as_ref().to_vec()).into()
}

/// `bad argument #… to '…' (…)`, as `luaL_argerror` makes it.
pub(crate) fn bad_argument(lua: &Lua, number: usize, what: &str) -> Error {
    let called = lua.inspect_stack(0, |debug| {
        let names = debug.names();
        let name = names.name.map(|name| name.into_owned());
        (name, names.name_what == Some("method"))
    });
    let (name, is_method) = called.unwrap_or_default();
    let name = name.unwrap_or_else(|| "?".to_owned());
    if is_method && number == 1 {
        return error_here(lua, format!("calling '{name}' on bad self ({what})"));
    }
    let number = number - usize::from(is_method);
    error_here(lua, format!("bad argument #{number} to '{name}' ({what})"))
}

/// `… expected, got …`, as `luaL_checktype` and its like make it.
pub(crate) fn wrong_type(lua: &Lua, number: usize, expected: &str, got: Option<&Value>) -> Error {
    let got = got.map_or("no value", type_name);
    bad_argument(lua, number, &format!("{expected} expected, got {got}"))
}

/// The name of a value's type, as `type` says it.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Boolean(_) => "boolean",
        Value::Integer(_) | Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Table(_) => "table",
        Value::Function(_) => "function",
        Value::Thread(_) => "thread",
        _ => "userdata",
    }
}

/// `chunk:line: `, if the function at this level of the stack is Lua's; nothing else.
fn position(lua: &Lua, level: usize) -> Vec<u8> {
    let found = lua.inspect_stack(level, |debug| {
        let line = debug.current_line()?;
        let source = debug.source();
        Some(format!("{}:{line}: ", source.short_src?))
    });
    found.flatten().unwrap_or_default().into_bytes()
}

/// What a script sees of an error: the value that was raised, or what [`Raised`] stands for.
pub(crate) fn caught(lua: &Lua, value: Value) -> mlua::Result<Value> {
    let Value::Error(error) = value else {
        return Ok(value);
    };
    match raised(&error) {
        Some(Raised::Table(table)) => table.to_lua(lua).map(Value::Table),
        Some(Raised::Text(text)) => lua.create_string(text).map(Value::String),
        None => lua.create_string(plain(&error)).map(Value::String),
    }
}

/// What of ours is in an error.
pub(crate) fn raised(error: &Error) -> Option<&Raised> {
    match error {
        Error::CallbackError { cause, .. } => raised(cause),
        Error::ExternalError(inner) => inner.downcast_ref::<Raised>(),
        _ => None,
    }
}

/// The text of an error that Lua or the binding raised.
pub(crate) fn plain(error: &Error) -> String {
    match error {
        Error::CallbackError { cause, .. } => plain(cause),
        Error::MemoryError(_) => "not enough memory".to_owned(),
        Error::StackError => "stack overflow".to_owned(),
        Error::RuntimeError(text) => text.lines().next().unwrap_or_default().to_owned(),
        Error::SyntaxError { message, .. } => message.clone(),
        other => other.to_string(),
    }
}
