//! The library `redis`, but for `call` and `pcall`.

use crate::error::ErrorTable;
use crate::interpreter::Shared;
use crate::machine::read_words;
use crate::number::{LUA_DIGITS, push_g};
use crate::script::sha1_hex;
use crate::words::Words;
use damselfly_resp::Proto;
use mlua::{Lua, MultiValue, Table, Value};
use std::rc::Rc;

/// The version that scripts see, as Redis writes it.
pub const REDIS_VERSION: &str = "7.0.15";
const REDIS_VERSION_NUM: u32 = 0x0007_000F;
/// Constants of the library.
const NUMBERS: [(&str, u32); 10] = [
    ("LOG_DEBUG", 0),
    ("LOG_VERBOSE", 1),
    ("LOG_NOTICE", 2),
    ("LOG_WARNING", 3),
    ("REPL_NONE", 0),
    ("REPL_AOF", 1),
    ("REPL_SLAVE", 2),
    ("REPL_REPLICA", 2),
    ("REPL_ALL", 3),
    ("REDIS_VERSION_NUM", REDIS_VERSION_NUM),
];

fn refuse<T>(text: &str) -> mlua::Result<T> {
    Err(ErrorTable::of_library(text).into())
}

/// A number as C takes it where Lua has anything.
fn lenient_number(lua: &Lua, value: &Value) -> mlua::Result<f64> {
    Ok(lua.coerce_number(value.clone())?.unwrap_or_default())
}

/// The bytes of a string or number.
pub(crate) fn text_of(value: &Value) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match value {
        Value::String(text) => out.extend_from_slice(&text.as_bytes()),
        Value::Integer(number) => push_g(&mut out, *number as f64, LUA_DIGITS),
        Value::Number(number) => push_g(&mut out, *number, LUA_DIGITS),
        _ => return None,
    }
    Some(out)
}

/// The library.
pub(crate) fn table(lua: &Lua, shared: &Rc<Shared>) -> mlua::Result<Table> {
    let redis = lua.create_table()?;
    for (name, number) in NUMBERS {
        redis.raw_set(name, number)?;
    }
    redis.raw_set("REDIS_VERSION", REDIS_VERSION)?;
    set_replies(lua, &redis)?;
    set_accepted(lua, &redis)?;
    let state = shared.clone();
    let setresp = lua.create_function(move |lua, args: MultiValue| {
        if args.len() != 1 {
            return refuse("redis.setresp() requires one argument.");
        }
        state
            .proto
            .set(match lenient_number(lua, &args[0])? as i64 {
                2 => Proto::Resp2,
                3 => Proto::Resp3,
                _ => return refuse("RESP version must be 2 or 3."),
            });
        Ok(())
    })?;
    redis.raw_set("setresp", setresp)?;
    let state = shared.clone();
    let may_run = lua.create_function(move |_, args: MultiValue| {
        let host = state.host.borrow().clone();
        let Some(host) = host else {
            return refuse("redis.acl_check_cmd can only be called inside a script invocation");
        };
        let mut words = Words::default();
        read_words(&args, &mut words)?;
        match host.may_run(&words) {
            Some(may) => Ok(may),
            None => refuse("Invalid command passed to redis.acl_check_cmd()"),
        }
    })?;
    redis.raw_set("acl_check_cmd", may_run)?;
    redis.raw_set("log", lua.create_function(log)?)?;
    Ok(redis)
}

fn set_replies(lua: &Lua, redis: &Table) -> mlua::Result<()> {
    let error_reply = lua.create_function(|lua, args: MultiValue| {
        let table = match (args.len(), args.front()) {
            (1, Some(Value::String(text))) => {
                let text = text.as_bytes();
                let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
                ErrorTable {
                    counted: false,
                    ..ErrorTable::of_reply(text.strip_prefix(b"-").unwrap_or(text))
                }
            }
            _ => ErrorTable::of_library("wrong number or type of arguments"),
        };
        table.to_lua(lua)
    })?;
    redis.raw_set("error_reply", error_reply)?;
    let status_reply =
        lua.create_function(|lua, args: MultiValue| match (args.len(), args.front()) {
            (1, Some(text @ Value::String(_))) => {
                let table = lua.create_table()?;
                table.raw_set("ok", text)?;
                Ok(table)
            }
            _ => ErrorTable::of_library("wrong number or type of arguments").to_lua(lua),
        })?;
    redis.raw_set("status_reply", status_reply)?;
    let sha1hex = lua.create_function(|lua, args: MultiValue| {
        if args.len() != 1 {
            return refuse("wrong number of arguments");
        }
        lua.create_string(sha1_hex(&text_of(&args[0]).unwrap_or_default()))
    })?;
    redis.raw_set("sha1hex", sha1hex)
}

/// What scripts say of their replication and debugging: effects are replicated always, and there is no debugger.
fn set_accepted(lua: &Lua, redis: &Table) -> mlua::Result<()> {
    let set_repl = lua.create_function(|lua, args: MultiValue| {
        if args.len() != 1 {
            return refuse("redis.set_repl() requires two arguments.");
        }
        if lenient_number(lua, &args[0])? as i64 & !3 != 0 {
            return refuse(
                "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
            );
        }
        Ok(())
    })?;
    redis.raw_set("set_repl", set_repl)?;
    let always = lua.create_function(|_, _: MultiValue| Ok(true))?;
    redis.raw_set("replicate_commands", always)?;
    let never = lua.create_function(|_, _: MultiValue| Ok(false))?;
    redis.raw_set("breakpoint", never)?;
    let nothing = lua.create_function(|_, _: MultiValue| Ok(()))?;
    redis.raw_set("debug", nothing)
}

fn log(lua: &Lua, args: MultiValue) -> mlua::Result<()> {
    if args.len() < 2 {
        return refuse("redis.log() requires two arguments or more.");
    }
    let Some(level) = lua.coerce_number(args[0].clone())? else {
        return refuse("First argument must be a number (log level).");
    };
    let parts: Vec<Vec<u8>> = args.iter().skip(1).filter_map(text_of).collect();
    let line = parts.join(&b' ');
    let line = String::from_utf8_lossy(&line);
    match level as i64 {
        0 => tracing::debug!(target: "script", "{line}"),
        1 => tracing::debug!(target: "script", "{line}"),
        2 => tracing::info!(target: "script", "{line}"),
        3 => tracing::warn!(target: "script", "{line}"),
        _ => return refuse("Invalid debug level."),
    }
    Ok(())
}
