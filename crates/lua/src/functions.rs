//! What libraries find around them: next to nothing while they are loaded, what scripts find when their functions run.

use crate::error::ErrorTable;
use crate::interpreter::Shared;
use crate::library::{BAD_NAME, FunctionInfo, valid_name};
use crate::sandbox::{Protector, missing_globals};
use crate::script::ScriptFlags;
use mlua::{Function, Lua, MultiValue, Table, Value};
use std::rc::Rc;

/// What errors call a library.
pub(crate) const CHUNK_NAME: &str = "@user_function";
/// What of the library `redis` is there while a library is loaded.
const AT_LOAD: [&str; 7] = [
    "log",
    "LOG_DEBUG",
    "LOG_VERBOSE",
    "LOG_NOTICE",
    "LOG_WARNING",
    "REDIS_VERSION",
    "REDIS_VERSION_NUM",
];
/// What of it is for scripts alone.
const FOR_SCRIPTS: [&str; 3] = ["breakpoint", "debug", "replicate_commands"];

/// A function that a library has registered.
pub(crate) struct Registered {
    pub(crate) info: FunctionInfo,
    pub(crate) callback: Function,
}

/// The globals of libraries.
pub(crate) struct Environment {
    /// What they see.
    front: Table,
    meta: Table,
    at_load: Table,
    at_call: Table,
    /// Their `redis` when they run, behind the protected table.
    pub(crate) redis: Table,
}

impl Environment {
    /// Made of what scripts find, `redis` being what is behind their protected table.
    pub(crate) fn build(
        lua: &Lua,
        shared: &Rc<Shared>,
        protector: &Protector,
        (globals, scripts_redis): (&Table, &Table),
    ) -> mlua::Result<Environment> {
        let missing = missing_globals(lua)?;
        let shown_meta = protector.front_of(lua, &missing, Value::Boolean(false))?;

        let redis_at_load = lua.create_table()?;
        for name in AT_LOAD {
            redis_at_load.raw_set(name, scripts_redis.raw_get::<Value>(name)?)?;
        }
        redis_at_load.raw_set("register_function", register_function(lua, shared)?)?;
        redis_at_load.set_metatable(Some(missing.clone()))?;
        let at_load = lua.create_table()?;
        let front = protector.front_of(lua, &redis_at_load, Value::Boolean(false))?;
        at_load.raw_set("redis", front)?;
        at_load.set_metatable(Some(missing.clone()))?;

        let redis = copy(lua, scripts_redis)?;
        for name in FOR_SCRIPTS {
            redis.raw_set(name, Value::Nil)?;
        }
        let at_call = copy(lua, globals)?;
        let front = protector.front_of(lua, &redis, Value::Boolean(false))?;
        at_call.raw_set("redis", front)?;
        at_call.set_metatable(Some(missing))?;

        let front = protector.front_of(lua, &at_call, Value::Table(shown_meta))?;
        at_call.raw_set("_G", &front)?;
        let meta = front.metatable().expect("a front has a metatable");
        Ok(Environment {
            front,
            meta,
            at_load,
            at_call,
            redis,
        })
    }

    /// Compiles a library's text, without running it. (The first line is left empty.)
    pub(crate) fn compile(&self, lua: &Lua, text: &[u8]) -> mlua::Result<Function> {
        lua.load(text)
            .set_name(CHUNK_NAME)
            .set_environment(self.front.clone())
            .set_mode(mlua::chunk::ChunkMode::Text)
            .into_function()
    }

    /// What libraries see while they are loaded.
    pub(crate) fn begin_load(&self) -> mlua::Result<()> {
        self.meta.raw_set("__index", &self.at_load)
    }

    /// What their functions see.
    pub(crate) fn end_load(&self) -> mlua::Result<()> {
        self.meta.raw_set("__index", &self.at_call)
    }
}

fn copy(lua: &Lua, table: &Table) -> mlua::Result<Table> {
    let copy = lua.create_table()?;
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        copy.raw_set(key, value)?;
    }
    Ok(copy)
}

fn refuse<T>(text: &str) -> mlua::Result<T> {
    Err(ErrorTable::of_library(text).into())
}

fn register_function(lua: &Lua, shared: &Rc<Shared>) -> mlua::Result<Function> {
    let shared = shared.clone();
    lua.create_function(move |_, args: MultiValue| {
        let mut registered = shared.registered.borrow_mut();
        let Some(registered) = registered.as_mut() else {
            return refuse(
                "redis.register_function can only be called on FUNCTION LOAD command",
            );
        };
        let new = match (args.len(), args.front()) {
            (1, Some(Value::Table(named))) => of_table(named)?,
            (1, _) => {
                return refuse(
                    "calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).",
                );
            }
            (2, _) => of_pair(&args)?,
            _ => return refuse("wrong number of arguments to redis.register_function"),
        };
        if registered
            .iter()
            .any(|other| other.info.name == new.info.name)
        {
            return refuse("Function already exists in the library");
        }
        registered.push(new);
        Ok(())
    })
}

fn of_pair(args: &MultiValue) -> mlua::Result<Registered> {
    let Some(name) = crate::api::text_of(&args[0]) else {
        return refuse("first argument to redis.register_function must be a string");
    };
    let Value::Function(callback) = &args[1] else {
        return refuse("second argument to redis.register_function must be a function");
    };
    made(&name, None, ScriptFlags::default(), callback.clone())
}

fn made(
    name: &[u8],
    description: Option<Vec<u8>>,
    flags: ScriptFlags,
    callback: Function,
) -> mlua::Result<Registered> {
    let Some(name) = valid_name(name) else {
        return refuse(BAD_NAME);
    };
    let info = FunctionInfo {
        name,
        description,
        flags,
    };
    Ok(Registered { info, callback })
}

/// The form with named arguments.
fn of_table(named: &Table) -> mlua::Result<Registered> {
    let (mut name, mut description, mut callback) = (None, None, None);
    let mut flags = ScriptFlags::default();
    for pair in named.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let Some(key) = crate::api::text_of(&key) else {
            return refuse("named argument key given to redis.register_function is not a string");
        };
        match key.to_ascii_lowercase().as_slice() {
            b"function_name" => match crate::api::text_of(&value) {
                Some(text) => name = Some(text),
                None => {
                    return refuse(
                        "function_name argument given to redis.register_function must be a string",
                    );
                }
            },
            b"description" => match crate::api::text_of(&value) {
                Some(text) => description = Some(text),
                None => {
                    return refuse(
                        "description argument given to redis.register_function must be a string",
                    );
                }
            },
            b"callback" => match value {
                Value::Function(function) => callback = Some(function),
                _ => {
                    return refuse(
                        "callback argument given to redis.register_function must be a function",
                    );
                }
            },
            b"flags" => flags = flags_of(&value)?,
            _ => return refuse("unknown argument given to redis.register_function"),
        }
    }
    let Some(name) = name else {
        return refuse("redis.register_function must get a function name argument");
    };
    let Some(callback) = callback else {
        return refuse("redis.register_function must get a callback argument");
    };
    made(&name, description, flags, callback)
}

fn flags_of(value: &Value) -> mlua::Result<ScriptFlags> {
    let Value::Table(names) = value else {
        return refuse(
            "flags argument to redis.register_function must be a table representing function flags",
        );
    };
    let mut flags = ScriptFlags::default();
    for at in 1.. {
        let name: Value = names.raw_get(at)?;
        if name.is_nil() {
            break;
        }
        if !crate::api::text_of(&name).is_some_and(|name| flags.set(&name)) {
            return refuse("unknown flag given");
        }
    }
    Ok(flags)
}
