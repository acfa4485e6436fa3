//! Scripts and functions that run generated commands.

use crate::client::{Args, words};
use crate::rng::Rng;

/// What a script begins with. `A` are its arguments: how many words the first command has, then both commands.
const HEAD: &str = "local n = tonumber(A[1]) + 1 \
    local function first(f) return f(unpack(A, 2, n)) end \
    local function second(f) return f(unpack(A, n + 1)) end ";

/// What scripts do with the commands.
const BODIES: [&str; 14] = [
    "return redis.call(unpack(A, 2, n))",
    "return redis.pcall(unpack(A, 2, n))",
    "return first(redis.call)",
    "first(redis.pcall) return second(redis.call)",
    "return {first(redis.pcall), second(redis.pcall)}",
    "redis.setresp(3) return {second(redis.pcall), first(redis.pcall)}",
    "local ok, r = pcall(first, redis.call) return {type(r), ok, r}",
    "first(redis.pcall) error('on its way')",
    "first(redis.call) error({err = 'MY way'})",
    "local r = first(redis.pcall) \
     if type(r) == 'table' and r.err then return redis.error_reply(r.err) end return redis.status_reply(type(r))",
    "local a, b = first(redis.pcall), second(redis.pcall) return {type(a), type(b), #A}",
    "return cmsgpack.unpack(cmsgpack.pack(first(redis.call)))",
    "local r = first(redis.pcall) if type(r) == 'number' then return r + 0.7 end \
     if type(r) == 'string' then return {#r, r:sub(1, 20):upper(), r == r .. ''} end return r",
    "for i = 1, 3 do first(redis.pcall) end return coroutine.wrap(function() return second(redis.pcall) end)()",
];

/// The name of the library, and of its function.
const LIBRARY: &str = "scripted";

/// A command that loads the library: one function, which does what the script of the number behind the commands does.
pub fn load_library(options: &str, version: u64) -> Args {
    let bodies: String = BODIES
        .iter()
        .map(|body| format!("function(A, n, first, second) {body} end, "))
        .collect();
    let code = format!(
        "#!lua name={LIBRARY}\nlocal bodies = {{{bodies}}} -- {version}\n\
         redis.register_function('{LIBRARY}', function(keys, A) \
         local body = bodies[tonumber(table.remove(A))] {HEAD} return body(A, n, first, second) end)"
    );
    let mut args = words(&format!("FUNCTION LOAD {options}"));
    args.push(code.into_bytes());
    args
}

/// Whether a script can run a command: its keys, which all have a colon, can be found.
pub fn can_be_scripted(command: &Args) -> bool {
    keys(command).next().is_some()
}

fn keys(command: &Args) -> impl Iterator<Item = &Vec<u8>> {
    command[1..].iter().filter(|arg| arg.contains(&b':'))
}

/// A command that runs both commands, in a script or the library's function.
pub fn scripted(first: &Args, second: &Args, rng: &mut Rng) -> Args {
    let chosen = rng.index(BODIES.len());
    let is_function = rng.percent(40);
    let mut args: Args = if is_function {
        words(&format!("FCALL {LIBRARY}"))
    } else {
        let flags = if rng.percent(20) { "#!lua\n" } else { "" };
        let text = format!("{flags}local A = ARGV {HEAD}{}", BODIES[chosen]);
        vec![b"EVAL".to_vec(), text.into_bytes()]
    };
    let keys: Vec<_> = keys(first).chain(keys(second)).cloned().collect();
    args.push(keys.len().to_string().into_bytes());
    args.extend(keys);
    args.push(first.len().to_string().into_bytes());
    args.extend(first.iter().chain(second).cloned());
    if is_function {
        args.push((chosen + 1).to_string().into_bytes());
    }
    args
}

/// A command about the library.
pub fn about_library(rng: &mut Rng) -> Args {
    match rng.below(10) {
        0 => words(&format!("FUNCTION DELETE {LIBRARY}")),
        1 => words("FUNCTION FLUSH"),
        2 => load_library("", rng.below(3)),
        3 => words("FUNCTION STATS"),
        4 => words("FUNCTION LIST WITHCODE"),
        5 => words("FUNCTION LIST LIBRARYNAME s*"),
        _ => load_library("REPLACE", rng.below(3)),
    }
}
