//! The inside of an interpreter: the Lua state, and the jobs that it does.

use crate::error::{ErrorTable, plain, raised};
use crate::functions::Registered;
use crate::host::Tick;
use crate::interpreter::{Job, Progress, Resume, Shared};
use crate::library::{Library, LibrarySource};
use crate::number::push_g;
use crate::raw::{Failed, Input, Kept, Raw};
use crate::sandbox::{CHUNK_NAME, Sandbox};
use crate::script::{Script, lua_text};
use crate::words::Words;
use corosensei::Yielder;
use damselfly_resp::{Proto, ReplyWriter};
use hashbrown::HashMap;
use mlua::{HookTriggers, Lua, MultiValue, Value, VmState};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

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
    raw: Raw,
    compiled: RefCell<HashMap<[u8; 40], Kept>>,
    /// The functions of the libraries that were needed here, by the libraries' ids and their own names.
    libraries: RefCell<HashMap<u64, HashMap<String, Kept>>>,
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
        let raw = Raw::new(&lua, shared, &sandbox.globals, &sandbox.handler)?;
        for (name, function) in raw.functions()? {
            sandbox.redis.raw_set(name, &function)?;
            sandbox.functions.redis.raw_set(name, function)?;
        }
        let machine = Machine {
            lua: &lua,
            shared,
            sandbox,
            raw,
            compiled: RefCell::default(),
            libraries: RefCell::default(),
        };
        lua.scope(|scope| {
            let pause = scope.create_function(|_, ()| {
                switch.suspend(Progress::Pause);
                Ok(())
            })?;
            *shared.pause.borrow_mut() = Some(pause);
            lua.set_memory_limit(lua.used_memory() + shared.memory_limit)?;
            set_hook(&lua, shared, TICK_INSTRUCTIONS)?;
            machine
                .raw
                .serving(switch, || machine.serve_jobs(switch, first))
        })
    }

    /// Does jobs until it is told to end.
    fn serve_jobs(&self, switch: &Switch, first: Resume) -> mlua::Result<()> {
        let mut next = first;
        while let Resume::Run(job) = next {
            self.run(job);
            self.shared.is_bloated.set(self.is_bloated());
            if self.shared.is_killed.replace(false) {
                set_hook(self.lua, self.shared, TICK_INSTRUCTIONS)?;
            }
            next = switch.suspend(Progress::Done);
        }
        Ok(())
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
            Job::Load(source, patience) => {
                self.shared
                    .deadline
                    .set(patience.map(|patience| Instant::now() + patience));
                match self.load(&source) {
                    Ok(registered) => {
                        let functions = registered.into_iter().map(|function| function.info);
                        *self.shared.loaded.borrow_mut() = functions.collect();
                    }
                    Err(text) => self.shared.out.borrow_mut().extend_from_slice(&text),
                }
                self.shared.deadline.set(None);
            }
            Job::Call(library, name, proto) => match self.function_of(&library, &name) {
                Ok(function) => self.call_function(&name, function, proto),
                Err(text) => ReplyWriter::new(&mut self.shared.out.borrow_mut(), proto).error(text),
            },
            Job::Eval(script, proto) => match self.function(&script) {
                Ok(function) => self.eval(&script, function, proto),
                Err(text) => ReplyWriter::new(&mut self.shared.out.borrow_mut(), proto).error(text),
            },
        }
    }

    /// The compiled script, or the text of the error.
    fn function(&self, script: &Script) -> Result<Kept, Vec<u8>> {
        let mut compiled = self.compiled.borrow_mut();
        if let Some(function) = compiled.get(&script.sha) {
            return Ok(*function);
        }
        if compiled.len() >= MAX_COMPILED {
            for (_, function) in compiled.drain() {
                self.raw.release(function);
            }
        }
        let chunk = self
            .lua
            .load(lua_text(&script.body))
            .set_name(CHUNK_NAME)
            .set_mode(mlua::chunk::ChunkMode::Text);
        let function = chunk.into_function();
        match function.and_then(|function| self.raw.keep(&function)) {
            Ok(function) => {
                compiled.insert(script.sha, function);
                Ok(function)
            }
            Err(error) => Err(format!(
                "ERR Error compiling script (new function): {}",
                plain(&error)
            )
            .into_bytes()),
        }
    }

    /// Runs a library's text, and returns what it registers, or the text of the error.
    fn load(&self, source: &LibrarySource) -> Result<Vec<Registered>, Vec<u8>> {
        let environment = &self.sandbox.functions;
        let text = lua_text(&source.code);
        let compiled = environment.compile(self.lua, text).map_err(|error| {
            format!("ERR Error compiling function: {}", plain(&error)).into_bytes()
        })?;
        *self.shared.registered.borrow_mut() = Some(Vec::new());
        let result = environment
            .begin_load()
            .and_then(|()| self.sandbox.run(&compiled, MultiValue::new()));
        let registered = self.shared.registered.take().unwrap_or_default();
        let result = environment.end_load().and(result);
        let failed = match (result, self.sandbox.failure.take()) {
            (Ok((true, _)), _) => return Ok(registered),
            (_, Some(failure)) => failure.text,
            (Ok((false, value)), None) => shown(&value),
            (Err(error), None) => plain(&error).into_bytes(),
        };
        Err([b"ERR Error registering functions: ", failed.as_slice()].concat())
    }

    /// A function of a library, which is loaded if it was not needed here before.
    fn function_of(&self, library: &Library, name: &str) -> Result<Kept, Vec<u8>> {
        let known = self.libraries.borrow().contains_key(&library.id);
        if !known {
            let mut functions = HashMap::new();
            for Registered { info, callback } in self.load(&library.source)? {
                let kept = self.raw.keep(&callback).map_err(|error| {
                    format!("ERR Error registering functions: {}", plain(&error)).into_bytes()
                })?;
                functions.insert(info.name, kept);
            }
            self.libraries.borrow_mut().insert(library.id, functions);
        }
        let libraries = self.libraries.borrow();
        let found = libraries.get(&library.id).and_then(|all| all.get(name));
        found
            .copied()
            .ok_or_else(|| b"ERR Function not found".to_vec())
    }

    fn call_function(&self, name: &str, function: Kept, proto: Proto) {
        self.shared.proto.set(Proto::Resp2);
        self.shared.json_options.set(Default::default());
        self.sandbox.failure.set(None);
        let result = self.raw.run(function, Input::Arguments, proto);
        self.answer(name, result, proto);
    }

    fn eval(&self, script: &Script, function: Kept, proto: Proto) {
        self.shared.proto.set(Proto::Resp2);
        self.shared.json_options.set(Default::default());
        self.sandbox.failure.set(None);
        let result = self.raw.run(function, Input::Variables, proto);
        self.answer(script.name(), result, proto);
    }

    /// Writes the reply of a script or function that has ended, if it has not written it itself.
    fn answer(&self, name: &str, result: Result<(), Failed>, proto: Proto) {
        let Err(failed) = result else {
            return;
        };
        let text = match self.sandbox.failure.take() {
            Some(failure) => with_place(name, &failure),
            None => execution_failure(name, &failed.text),
        };
        let mut out = self.shared.out.borrow_mut();
        out.clear();
        ReplyWriter::new(&mut out, proto).error(text);
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
    match shared.tick() {
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
