//! The inside of an interpreter: the Lua state, and the jobs that it does.

use crate::error::{ErrorTable, plain, raised};
use crate::host::{Called, Tick};
use crate::interpreter::{Job, Progress, Resume, Shared};
use crate::number::push_g;
use crate::sandbox::{CHUNK_NAME, Sandbox};
use crate::script::{Script, lua_text};
use crate::to_reply::{ReplyOf, TooLarge};
use crate::words::Words;
use corosensei::Yielder;
use damselfly_resp::{Proto, ReplyWriter};
use hashbrown::HashMap;
use mlua::{Function, HookTriggers, Lua, MultiValue, Table, Value, VmState};
use std::cell::RefCell;
use std::rc::Rc;

/// Instructions between two looks at how long a script has been running.
const TICK_INSTRUCTIONS: u32 = 20_000;
/// Compiled scripts that an interpreter keeps; beyond that it begins anew.
const MAX_COMPILED: usize = 20_000;

type Switch = Yielder<Resume, Progress>;

/// Where the last error happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) text: Vec<u8>,
    /// Source and line.
    pub(crate) place: Option<(Vec<u8>, i64)>,
}

/// A Lua state at work.
pub(crate) struct Machine<'a> {
    lua: &'a Lua,
    shared: &'a Rc<Shared>,
    sandbox: Sandbox,
    compiled: RefCell<HashMap<[u8; 40], Function>>,
}

impl Machine<'_> {
    /// Makes a state and does jobs until it is told to end.
    pub(crate) fn serve(shared: &Rc<Shared>, switch: &Switch, first: Resume) {
        if let Err(error) = Machine::try_serve(shared, switch, first) {
            let text = format!("ERR no Lua state could be made: {}", plain(&error));
            ReplyWriter::new(&mut shared.out.borrow_mut(), Proto::Resp2).error(text);
        }
        *shared.pause.borrow_mut() = None;
    }

    fn try_serve(shared: &Rc<Shared>, switch: &Switch, first: Resume) -> mlua::Result<()> {
        let lua = crate::sandbox::new_state()?;
        let sandbox = Sandbox::build(&lua, shared)?;
        lua.scope(|scope| {
            let pause = scope.create_function(|_, ()| {
                switch.suspend(Progress::Pause);
                Ok(())
            })?;
            *shared.pause.borrow_mut() = Some(pause);
            for (name, raises) in [("call", true), ("pcall", false)] {
                let call = scope.create_function(move |lua: &Lua, args: MultiValue| {
                    call(lua, shared, switch, &args, raises)
                })?;
                sandbox.redis.raw_set(name, call)?;
            }
            lua.set_memory_limit(lua.used_memory() + shared.memory_limit)?;
            set_hook(&lua, shared, TICK_INSTRUCTIONS)?;
            let machine = Machine {
                lua: &lua,
                shared,
                sandbox,
                compiled: RefCell::default(),
            };
            let mut next = first;
            while let Resume::Run(job) = next {
                machine.run(job);
                shared.is_bloated.set(machine.is_bloated());
                if shared.is_killed.replace(false) {
                    set_hook(&lua, shared, TICK_INSTRUCTIONS)?;
                }
                next = switch.suspend(Progress::Done);
            }
            Ok(())
        })
    }

    /// Whether the state keeps so much that it is better thrown away.
    fn is_bloated(&self) -> bool {
        let bound = self.shared.memory_limit / 16;
        if self.lua.used_memory() <= bound {
            return false;
        }
        self.lua.gc_collect().is_err() || self.lua.used_memory() > bound
    }

    fn run(&self, job: Job) {
        match job {
            Job::Compile(script) => {
                if let Err(text) = self.function(&script) {
                    self.shared.out.borrow_mut().extend_from_slice(&text);
                }
            }
            Job::Eval(script, proto) => match self.function(&script) {
                Ok(function) => self.eval(&script, &function, proto),
                Err(text) => ReplyWriter::new(&mut self.shared.out.borrow_mut(), proto).error(text),
            },
        }
    }

    /// The compiled script, or the text of the error.
    fn function(&self, script: &Script) -> Result<Function, Vec<u8>> {
        let mut compiled = self.compiled.borrow_mut();
        if let Some(function) = compiled.get(&script.sha) {
            return Ok(function.clone());
        }
        if compiled.len() >= MAX_COMPILED {
            compiled.clear();
        }
        let chunk = self
            .lua
            .load(lua_text(&script.body))
            .set_name(CHUNK_NAME)
            .set_mode(mlua::chunk::ChunkMode::Text);
        match chunk.into_function() {
            Ok(function) => {
                compiled.insert(script.sha, function.clone());
                Ok(function)
            }
            Err(error) => Err(format!(
                "ERR Error compiling script (new function): {}",
                plain(&error)
            )
            .into_bytes()),
        }
    }

    fn eval(&self, script: &Script, function: &Function, proto: Proto) {
        self.shared.proto.set(Proto::Resp2);
        self.shared.json_options.set(Default::default());
        let result = self.set_input().and_then(|()| {
            let none = MultiValue::new();
            self.sandbox.run(function, none)
        });
        self.answer(script.name(), result, proto);
    }

    /// KEYS and ARGV.
    fn set_input(&self) -> mlua::Result<()> {
        let globals = &self.sandbox.globals;
        globals.raw_set(
            &self.sandbox.keys_name,
            self.list(&self.shared.keys.borrow())?,
        )?;
        globals.raw_set(
            &self.sandbox.args_name,
            self.list(&self.shared.args.borrow())?,
        )
    }

    pub(crate) fn list(&self, words: &Words) -> mlua::Result<Table> {
        let table = self.lua.create_table_with_capacity(words.len(), 0)?;
        for (at, word) in words.iter().enumerate() {
            table.raw_set(at + 1, self.lua.create_string(word)?)?;
        }
        Ok(table)
    }

    /// Writes the reply of a script or function that has ended.
    fn answer(&self, name: &str, result: mlua::Result<(bool, Value)>, proto: Proto) {
        let mut out = self.shared.out.borrow_mut();
        let written = match result {
            Ok((true, value)) => {
                let mut reply = ReplyOf {
                    fields: &self.sandbox.fields,
                    proto,
                    script_proto: self.shared.proto.get(),
                    out: &mut out,
                    limit: self.shared.memory_limit,
                    values: 0,
                    tick: &|| tick(self.shared),
                };
                reply.write(&value)
            }
            Ok((false, value)) => {
                let text = match self.sandbox.failure.take() {
                    Some(failure) => with_place(name, &failure),
                    None => execution_failure(name, &shown(&value)),
                };
                ReplyWriter::new(&mut out, proto).error(text);
                Ok(Ok(()))
            }
            Err(error) => match self.sandbox.failure.take() {
                // It was told to end once more, on its way out.
                Some(failure) => {
                    ReplyWriter::new(&mut out, proto).error(with_place(name, &failure));
                    Ok(Ok(()))
                }
                None => Err(error),
            },
        };
        let failed = match written {
            Ok(Ok(())) => return,
            Ok(Err(TooLarge)) => "not enough memory".to_owned(),
            Err(error) => plain(&error),
        };
        out.clear();
        ReplyWriter::new(&mut out, proto).error(execution_failure(name, failed.as_bytes()));
    }
}

fn shown(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Error(error) => match raised(error) {
            Some(raised) => raised.to_string().into_bytes(),
            None => plain(error).into_bytes(),
        },
        _ => b"execution failure".to_vec(),
    }
}

/// Bytes of a failure's text that are shown.
const SHOWN_BYTES: usize = 100;

fn execution_failure(name: &str, text: &[u8]) -> Vec<u8> {
    let text = &text[..text.len().min(SHOWN_BYTES)];
    [b"ERR Error running script ", name.as_bytes(), b", ", text].concat()
}

fn with_place(name: &str, failure: &Failure) -> Vec<u8> {
    let mut text = failure.text.clone();
    if let Some((source, line)) = &failure.place {
        text.extend_from_slice(format!(" script: {name}, on ").as_bytes());
        text.extend_from_slice(source);
        text.extend_from_slice(format!(":{line}.").as_bytes());
    }
    text
}

/// Has the host asked, every so many instructions, whether the script may go on.
fn set_hook(lua: &Lua, shared: &Rc<Shared>, instructions: u32) -> mlua::Result<()> {
    let asked = shared.clone();
    let triggers = HookTriggers::new().every_nth_instruction(instructions);
    lua.set_global_hook(triggers, move |lua, _| {
        let ticked = tick(&asked);
        if ticked.is_err() && instructions > 1 {
            // Whoever catches it meets it again.
            asked.is_killed.set(true);
            set_hook(lua, &asked, 1)?;
        }
        ticked.map(|()| VmState::Continue)
    })
}

/// Asks the host whether the script may go on, and lets others have their turn. An error is the script's end.
pub(crate) fn tick(shared: &Shared) -> mlua::Result<()> {
    let host = shared.host.borrow().clone();
    match host.map_or(Tick::Go, |host| host.tick()) {
        Tick::Go => Ok(()),
        Tick::Pause => {
            let pause = shared.pause.borrow().clone();
            pause.map_or(Ok(()), |pause| pause.call(()))
        }
        Tick::Kill(text) => Err(ErrorTable {
            text: text.as_bytes().to_vec(),
            counted: false,
        }
        .into()),
    }
}

/// `redis.call` and `redis.pcall`.
fn call(
    lua: &Lua,
    shared: &Shared,
    switch: &Switch,
    args: &MultiValue,
    raises: bool,
) -> mlua::Result<Value> {
    if let Err(table) = read_words(args, &mut shared.words.borrow_mut()) {
        return if raises {
            Err(table.into())
        } else {
            table.to_lua(lua).map(Value::Table)
        };
    }
    let host = shared.host.borrow().clone();
    let Some(host) = host else {
        let text = "redis.call/pcall can only be called inside a script invocation";
        return Err(ErrorTable::of_library(text).into());
    };
    let mut reply = shared.reply.take();
    reply.clear();
    let called = host.call(&shared.words.borrow(), shared.proto.get(), &mut reply);
    *shared.reply.borrow_mut() = reply;
    if called == Called::Later {
        switch.suspend(Progress::Call);
    }
    let reply = shared.reply.borrow();
    match reply.strip_prefix(b"-") {
        Some(error) if raises => Err(ErrorTable::of_reply(error).into()),
        _ => crate::from_reply::value(lua, &reply),
    }
}

/// The words of a command that a script gives.
pub(crate) fn read_words(args: &MultiValue, words: &mut Words) -> Result<(), ErrorTable> {
    words.clear();
    if args.is_empty() {
        return Err(ErrorTable::of_library(
            "Please specify at least one argument for this redis lib call",
        ));
    }
    for arg in args {
        match arg {
            Value::String(text) => words.push(&text.as_bytes()),
            Value::Integer(number) => words.push_with(|out| push_g(out, *number as f64, 17)),
            Value::Number(number) => words.push_with(|out| push_g(out, *number, 17)),
            _ => {
                return Err(ErrorTable::of_library(
                    "Lua redis lib command arguments must be strings or integers",
                ));
            }
        }
    }
    Ok(())
}
