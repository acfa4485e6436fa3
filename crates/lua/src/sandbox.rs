//! What scripts find around them: Lua's harmless functions, Redis's libraries, and nothing that they could change.

use crate::error::{bad_argument, caught, error_here, error_nowhere, plain, wrong_type};
use crate::functions::Environment;
use crate::interpreter::Shared;
use crate::machine::Failure;
use crate::number::to_i64;
use mlua::{Function, IntoLua, Lua, LuaOptions, LuaString, MultiValue, StdLib, Table, Value};
use std::cell::Cell;
use std::rc::Rc;

/// What errors call a script.
pub(crate) const CHUNK_NAME: &str = "@user_script";
/// What scripts don't find. (Files, other modules, and what would undo the protection of globals.)
const REMOVED: [&str; 10] = [
    "dofile", "loadfile", "print", "module", "require", "newproxy", "getfenv", "setfenv", "debug",
    "package",
];
const PRELUDE_NAME: &str = "=prelude";
/// Bytecode begins so: it could break the machine, and is never loaded.
const BYTECODE: u8 = 0x1b;
const READONLY: &str = "Attempt to modify a readonly table";

/// Handles into the state.
pub(crate) struct Sandbox {
    /// The variables behind the protected table that scripts see.
    pub(crate) globals: Table,
    /// The functions of `redis`, behind the protected table.
    pub(crate) redis: Table,
    /// What libraries of functions find around them.
    pub(crate) functions: Environment,
    /// What the last error was.
    pub(crate) failure: Rc<Cell<Option<Failure>>>,
    runner: Function,
    pub(crate) handler: Function,
}

/// A state with the standard libraries that scripts may use.
pub(crate) fn new_state() -> mlua::Result<Lua> {
    Lua::new_with(
        StdLib::TABLE | StdLib::STRING | StdLib::MATH,
        LuaOptions::new(),
    )
}

impl Sandbox {
    pub(crate) fn build(lua: &Lua, shared: &Rc<Shared>) -> mlua::Result<Sandbox> {
        let globals = lua.globals();
        for name in REMOVED {
            globals.raw_set(name, Value::Nil)?;
        }
        let redis = crate::api::table(lua, shared)?;
        globals.raw_set("redis", &redis)?;
        set_random(lua, &globals, shared)?;
        crate::raw::patterns::guard(lua, &globals.raw_get("string")?)?;
        crate::libs::load(lua, &globals, shared)?;
        let caught = lua.create_function(|lua, value: Value| caught(lua, value))?;
        let runner: Function = lua
            .load(include_str!("prelude.lua"))
            .set_name(PRELUDE_NAME)
            .call((&globals, caught))?;
        set_loaders(lua, &globals, shared.memory_limit)?;
        set_collector(lua, &globals)?;
        let failure = Rc::default();
        let handler = error_handler(lua, &failure)?;
        let functions = protect(lua, &globals, shared, &redis)?;
        Ok(Sandbox {
            redis,
            functions,
            failure,
            runner,
            handler,
            globals,
        })
    }

    /// Runs a function. Whether it ended well, and what it returned; its error is in `failure`.
    pub(crate) fn run(&self, function: &Function, args: MultiValue) -> mlua::Result<(bool, Value)> {
        self.failure.set(None);
        let mut all = args;
        all.push_front(Value::Function(function.clone()));
        all.push_front(Value::Function(self.handler.clone()));
        self.runner.call(all)
    }
}

/// Puts protected tables in front of all tables that scripts see.
fn protect(
    lua: &Lua,
    globals: &Table,
    shared: &Rc<Shared>,
    redis: &Table,
) -> mlua::Result<Environment> {
    let protector = Protector::new(lua)?;
    for library in [
        "redis",
        "string",
        "table",
        "math",
        "coroutine",
        "cjson",
        "cmsgpack",
        "struct",
        "bit",
    ] {
        if let Value::Table(real) = globals.raw_get(library)? {
            globals.raw_set(
                library,
                protector.front_of(lua, &real, Value::Boolean(false))?,
            )?;
        }
    }
    let string_methods = lua.create_table()?;
    string_methods.raw_set("__index", globals.raw_get::<Value>("string")?)?;
    if let Some(meta) = ""
        .into_lua(lua)?
        .as_string()
        .and_then(|_| lua.type_metatable::<LuaString>())
    {
        let front = protector.front_of(lua, &string_methods, Value::Boolean(false))?;
        meta.raw_set("__metatable", front)?;
    }
    let missing = missing_globals(lua)?;
    globals.set_metatable(Some(missing.clone()))?;
    let meta = protector.front_of(lua, &missing, Value::Boolean(false))?;
    let front = protector.front_of(lua, globals, Value::Table(meta))?;
    globals.raw_set("_G", &front)?;
    protector.replace_functions(lua, globals)?;
    lua.set_globals(front)?;
    Environment::build(lua, shared, &protector, (globals, redis))
}

/// The metatable of tables of variables: what is not there is an error.
pub(crate) fn missing_globals(lua: &Lua) -> mlua::Result<Table> {
    let missing = lua.create_table()?;
    missing.raw_set(
        "__index",
        lua.create_function(|lua, (_, name): (Value, Value)| -> mlua::Result<Value> {
            let name = lua.coerce_string(name)?;
            let name = name.map(|name| name.to_string_lossy()).unwrap_or_default();
            Err(error_here(
                lua,
                format!("Script attempted to access nonexistent global variable '{name}'"),
            ))
        })?,
    )?;
    Ok(missing)
}

/// Makes tables that show another one, and can't be changed.
pub(crate) struct Protector {
    /// From the front to what is behind.
    fronts: Table,
    refuse: Function,
}

impl Protector {
    fn new(lua: &Lua) -> mlua::Result<Protector> {
        Ok(Protector {
            fronts: lua.create_table()?,
            refuse: lua.create_function(|lua, _: MultiValue| -> mlua::Result<()> {
                Err(error_here(lua, READONLY))
            })?,
        })
    }

    pub(crate) fn front_of(
        &self,
        lua: &Lua,
        real: &Table,
        shown_meta: Value,
    ) -> mlua::Result<Table> {
        let (front, meta) = (lua.create_table()?, lua.create_table()?);
        meta.raw_set("__index", real)?;
        meta.raw_set("__newindex", &self.refuse)?;
        meta.raw_set("__metatable", shown_meta)?;
        front.set_metatable(Some(meta))?;
        self.fronts.raw_set(&front, real)?;
        Ok(front)
    }

    /// The functions that would see the front as the empty table it is, or write into it.
    fn replace_functions(&self, lua: &Lua, globals: &Table) -> mlua::Result<()> {
        let (fronts, next) = (self.fronts.clone(), globals.raw_get::<Function>("next")?);
        let pairs = lua.create_function(move |lua, args: MultiValue| {
            let Some(Value::Table(table)) = args.front() else {
                return Err(wrong_type(lua, 1, "table", args.front()));
            };
            let shown: Option<Table> = fronts.raw_get(table)?;
            Ok((
                next.clone(),
                shown.unwrap_or_else(|| table.clone()),
                Value::Nil,
            ))
        })?;
        globals.raw_set("pairs", pairs)?;
        let fronts = self.fronts.clone();
        let rawset = lua.create_function(move |lua, args: MultiValue| {
            let Some(Value::Table(table)) = args.front() else {
                return Err(wrong_type(lua, 1, "table", args.front()));
            };
            if args.len() < 3 {
                return Err(bad_argument(lua, args.len() + 1, "value expected"));
            }
            if fronts.contains_key(table)? {
                return Err(error_nowhere(READONLY));
            }
            let (key, value) = (args[1].clone(), args[2].clone());
            table
                .raw_set(key, value)
                .map_err(|error| error_nowhere(plain(&error)))?;
            Ok(table.clone())
        })?;
        globals.raw_set("rawset", rawset)?;
        let fronts = self.fronts.clone();
        let setmetatable = lua.create_function(move |lua, args: MultiValue| {
            let Some(Value::Table(table)) = args.front() else {
                return Err(wrong_type(lua, 1, "table", args.front()));
            };
            let meta = match args.get(1) {
                Some(Value::Table(meta)) => Some(meta.clone()),
                Some(Value::Nil) => None,
                _ => return Err(bad_argument(lua, 2, "nil or table expected")),
            };
            if fronts.contains_key(table)? {
                return Err(error_nowhere(READONLY));
            }
            if let Some(old) = table.metatable()
                && old.raw_get::<Value>("__metatable")? != Value::Nil
            {
                return Err(error_here(lua, "cannot change a protected metatable"));
            }
            table.set_metatable(meta)?;
            Ok(table.clone())
        })?;
        globals.raw_set("setmetatable", setmetatable)
    }
}

/// `load` and `loadstring`, for text alone.
fn set_loaders(lua: &Lua, globals: &Table, limit: usize) -> mlua::Result<()> {
    let native: Function = globals.raw_get("loadstring")?;
    let compile = native.clone();
    let loadstring = lua.create_function(move |lua, args: MultiValue| {
        let text = match args.front() {
            Some(value @ (Value::String(_) | Value::Integer(_) | Value::Number(_))) => {
                lua.coerce_string(value.clone())?
            }
            other => return Err(wrong_type(lua, 1, "string", other)),
        };
        let text = text.expect("strings and numbers are strings");
        let name = match args.get(1) {
            Some(Value::String(name)) => name.clone(),
            _ => text.clone(),
        };
        load_text(lua, &compile, text, name)
    })?;
    globals.raw_set("loadstring", loadstring)?;
    let load = lua.create_function(move |lua, args: MultiValue| {
        let Some(Value::Function(pieces)) = args.front() else {
            return Err(wrong_type(lua, 1, "function", args.front()));
        };
        let mut text = Vec::new();
        loop {
            match pieces.call::<Value>(())? {
                Value::String(piece) if !piece.as_bytes().is_empty() => {
                    if text.len() > limit {
                        return Err(error_nowhere("not enough memory"));
                    }
                    text.extend_from_slice(&piece.as_bytes())
                }
                Value::Nil | Value::String(_) => break,
                _ => return Err(error_here(lua, "reader function must return a string")),
            }
        }
        let name = match args.get(1) {
            Some(Value::String(name)) => name.clone(),
            _ => lua.create_string("=(load)")?,
        };
        let text = lua.create_string(text)?;
        load_text(lua, &native, text, name)
    })?;
    globals.raw_set("load", load)
}

fn load_text(
    lua: &Lua,
    compile: &Function,
    text: LuaString,
    name: LuaString,
) -> mlua::Result<MultiValue> {
    if text.as_bytes().first() == Some(&BYTECODE) {
        let why = format!("[string \"\u{1b}LuaQ\"]:1: unexpected symbol near 'char({BYTECODE})'");
        let why = Value::String(lua.create_string(why)?);
        return Ok(MultiValue::from_vec(vec![Value::Nil, why]));
    }
    compile.call((text, name))
}

/// `collectgarbage`, without the means to stop the collector for those who come after.
fn set_collector(lua: &Lua, globals: &Table) -> mlua::Result<()> {
    let collect = lua.create_function(|lua, what: Option<LuaString>| {
        let what = what.map(|what| what.as_bytes().to_vec());
        match what.as_deref() {
            None | Some(b"collect") => lua.gc_collect().map(|()| Value::Integer(0)),
            Some(b"count") => Ok(Value::Number(lua.used_memory() as f64 / 1024.0)),
            Some(b"step") => Ok(Value::Boolean(lua.gc_step()?)),
            Some(b"stop" | b"restart" | b"setpause" | b"setstepmul") => Ok(Value::Integer(0)),
            Some(other) => {
                let what = format!("invalid option '{}'", String::from_utf8_lossy(other));
                Err(bad_argument(lua, 1, &what))
            }
        }
    })?;
    globals.raw_set("collectgarbage", collect)?;
    let count = lua.create_function(|lua, ()| Ok(lua.used_memory() / 1024))?;
    globals.raw_set("gcinfo", count)
}

/// `math.random` and `math.randomseed`, the same for every script.
fn set_random(lua: &Lua, globals: &Table, shared: &Rc<Shared>) -> mlua::Result<()> {
    let math: Table = globals.raw_get("math")?;
    let source = shared.clone();
    let random = lua.create_function(move |lua, args: MultiValue| {
        let fraction = source.random.fraction();
        let (low, high) = match args.len() {
            0 => return Ok(fraction),
            1 => (1, integer(lua, &args, 1)?),
            2 => (integer(lua, &args, 1)?, integer(lua, &args, 2)?),
            _ => return Err(error_here(lua, "wrong number of arguments")),
        };
        if low > high {
            return Err(bad_argument(lua, args.len(), "interval is empty"));
        }
        let range = (high.wrapping_sub(low)).wrapping_add(1) as f64;
        Ok((fraction * range).floor() + low as f64)
    })?;
    math.raw_set("random", random)?;
    let source = shared.clone();
    let seed = lua.create_function(move |lua, args: MultiValue| {
        source.random.seed(integer(lua, &args, 1)? as i32);
        Ok(())
    })?;
    math.raw_set("randomseed", seed)
}

/// An argument that has to be a number, cut to an integer.
pub(crate) fn integer(lua: &Lua, args: &MultiValue, number: usize) -> mlua::Result<i64> {
    number_argument(lua, args, number).map(to_i64)
}

/// An argument that has to be a number.
pub(crate) fn number_argument(lua: &Lua, args: &MultiValue, number: usize) -> mlua::Result<f64> {
    let value = args.get(number - 1);
    match value {
        Some(Value::Integer(number)) => Ok(*number as f64),
        Some(Value::Number(number)) => Ok(*number),
        Some(Value::String(_)) => lua
            .coerce_number(value.cloned().unwrap_or(Value::Nil))?
            .ok_or_else(|| wrong_type(lua, number, "number", value)),
        _ => Err(wrong_type(lua, number, "number", value)),
    }
}

/// Notes an error and its place; Lua calls it where the error is raised.
fn error_handler(lua: &Lua, failure: &Rc<Cell<Option<Failure>>>) -> mlua::Result<Function> {
    let failure = failure.clone();
    lua.create_function(move |lua, problem: Value| {
        let raiser = place(lua, 1);
        let mut place = match raiser {
            Some((_, _, true)) => place(lua, 2).or(raiser),
            other => other,
        };
        for level in 2..5 {
            // Our own lines say nothing to those who wrote the script.
            if place
                .as_ref()
                .is_some_and(|(source, ..)| source == PRELUDE_NAME.as_bytes())
            {
                place = self::place(lua, level);
            }
        }
        let text = match caught(lua, problem)? {
            Value::Table(table) => match table.get::<Value>("err")? {
                Value::String(text) => text.as_bytes().to_vec(),
                _ => b"ERR unknown error".to_vec(),
            },
            other => {
                let shown = lua
                    .globals()
                    .get::<Function>("tostring")?
                    .call::<Value>(other)?;
                let shown = lua.coerce_string(shown)?;
                let shown = shown.map(|text| text.as_bytes().to_vec());
                [&b"ERR "[..], &shown.unwrap_or_default()].concat()
            }
        };
        failure.set(Some(Failure {
            text,
            place: place.map(|(source, line, _)| (source, line)),
        }));
        Ok(())
    })
}

/// Source and line of a function on the stack, and whether it is not Lua's.
fn place(lua: &Lua, level: usize) -> Option<(Vec<u8>, i64, bool)> {
    lua.inspect_stack(level, |debug| {
        let source = debug.source();
        let text = source.source.map(|text| text.into_owned().into_bytes());
        let line = debug.current_line().map_or(-1, |line| line as i64);
        (text.unwrap_or_default(), line, source.what == "C")
    })
}
