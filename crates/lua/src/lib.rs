//! Lua 5.1 as Redis's scripts know it: the sandbox, `redis.call` and its kin, the conversions between replies and Lua's values,
//! and the libraries `cjson`, `cmsgpack`, `struct` and `bit`.
//!
//! It knows no commands and no data: a script's commands are run by its [`Host`], at once or later. An [`Interpreter`] runs one
//! [`Job`] after another on a stack of its own, and is suspended wherever the host wants it to be, so whoever drives it can wait.
//!
//! ```
//! use damselfly_lua::{Called, Host, Interpreter, Job, Progress, Script, ScriptFlags, Tick, Words, sha1_hex};
//! use damselfly_resp::Proto;
//! use std::{rc::Rc, sync::Arc};
//!
//! struct Echo;
//! impl Host for Echo {
//!     fn call(&self, words: &[&[u8]], _: Proto, reply: &mut Vec<u8>) -> Called {
//!         reply.extend_from_slice(format!(":{}\r\n", words.len()).as_bytes());
//!         Called::Replied
//!     }
//!     fn tick(&self) -> Tick {
//!         Tick::Go
//!     }
//!     fn may_run(&self, _: &Words) -> Option<bool> {
//!         Some(true)
//!     }
//! }
//!
//! let body = b"return redis.call('SET', KEYS[1], ARGV[1]) + 1".to_vec();
//! let flags = ScriptFlags::of(&body).expect("no shebang");
//! let script = Arc::new(Script { sha: sha1_hex(&body), body, flags });
//! let mut interpreter = Interpreter::new(1 << 20).expect("memory");
//! interpreter.input([&b"key"[..]], [&b"value"[..]]);
//! let progress = interpreter.start(Job::Eval(script, Proto::Resp2), Some(Rc::new(Echo)));
//! assert_eq!(progress, Progress::Done);
//! interpreter.output(|reply| assert_eq!(reply, b":4\r\n"));
//! ```

mod api;
mod error;
mod functions;
mod host;
mod interpreter;
mod library;
mod libs;
mod machine;
mod number;
mod random;
mod raw;
mod sandbox;
mod script;
mod words;

pub use api::REDIS_VERSION;
pub use host::{Called, Host, Tick};
pub use interpreter::{Interpreter, Job, Progress};
pub use library::{FunctionInfo, Library, LibrarySource};
pub use script::{Script, ScriptFlags, sha1_hex};
pub use words::Words;
