//! Scripts that have been running for a while: who can be killed, and who keeps others waiting.

use crate::command::CommandError;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

const BUSY_SCRIPT: &str =
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
const BUSY_FUNCTION: &str =
    "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";
const NOT_BUSY: &str = "NOTBUSY No scripts in execution right now.";
const UNKILLABLE: &str = "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.";

/// One script that runs.
#[derive(Debug)]
pub(crate) struct Running {
    /// When it began.
    pub(crate) began: Instant,
    /// Whether it is a function of a library.
    pub(crate) function: Option<String>,
    /// The command that runs it, as far as anybody may ask.
    pub(crate) command: OnceLock<Vec<Vec<u8>>>,
    /// It has been told to end.
    pub(crate) kill: AtomicBool,
    /// It has called a command that writes.
    pub(crate) wrote: AtomicBool,
    busy: AtomicBool,
}

impl Running {
    pub(crate) fn new(function: Option<String>, began: Instant) -> Running {
        Running {
            began,
            function,
            command: OnceLock::new(),
            kill: AtomicBool::new(false),
            wrote: AtomicBool::new(false),
            busy: AtomicBool::new(false),
        }
    }
}

/// Which kind of script a command kills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Killed {
    /// One of EVAL.
    Script,
    /// One of FCALL.
    Function,
}

/// The scripts of all threads that have been running for more than a moment.
#[derive(Debug, Default)]
pub struct RunningScripts {
    scripts: Mutex<Vec<Arc<Running>>>,
    busy: AtomicUsize,
    busy_ms: AtomicU64,
}

impl RunningScripts {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Running>>> {
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets after how many milliseconds a script keeps others from running.
    pub fn set_busy_ms(&self, busy_ms: u64) {
        self.busy_ms.store(busy_ms, Ordering::Relaxed);
    }

    /// The script goes on for longer than a moment: it is put here, once.
    pub(crate) fn add(&self, script: &Arc<Running>) {
        let mut scripts = self.lock();
        if !scripts.iter().any(|other| Arc::ptr_eq(other, script)) {
            scripts.push(script.clone());
        }
    }

    /// Looks whether it has been running for too long. True when that is seen first: those who wait for it are to be told.
    pub(crate) fn check(&self, script: &Running) -> bool {
        let limit = self.busy_ms.load(Ordering::Relaxed);
        let elapsed = script.began.elapsed();
        // Redis: 0 is no limit.
        let is_new = limit > 0
            && elapsed >= Duration::from_millis(limit)
            && !script.busy.swap(true, Ordering::Relaxed);
        if is_new {
            self.busy.fetch_add(1, Ordering::Relaxed);
            let command = if script.function.is_some() {
                "FUNCTION"
            } else {
                "SCRIPT"
            };
            tracing::warn!(
                elapsed_ms = elapsed.as_millis() as u64,
                "a slow script is still running; {command} KILL ends it"
            );
        }
        is_new
    }

    /// It has ended.
    pub(crate) fn remove(&self, script: &Arc<Running>) {
        self.lock().retain(|other| !Arc::ptr_eq(other, script));
        if script.busy.swap(false, Ordering::Relaxed) {
            self.busy.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether one of them keeps others from running.
    #[inline]
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed) > 0
    }

    /// What others are told meanwhile.
    pub(crate) fn busy_error(&self) -> CommandError {
        let is_function = self.lock().iter().any(|script| script.function.is_some());
        CommandError::text(if is_function {
            BUSY_FUNCTION
        } else {
            BUSY_SCRIPT
        })
    }

    /// Ends those of a kind that have not written anything.
    pub(crate) fn kill(&self, kind: Killed) -> Result<(), CommandError> {
        let scripts = self.lock();
        if scripts.is_empty() {
            return Err(CommandError::text(NOT_BUSY));
        }
        let (mut killed, mut wrote) = (false, false);
        for script in scripts.iter() {
            if script.wrote.load(Ordering::Relaxed) {
                wrote = true;
            } else if script.function.is_some() == (kind == Killed::Function) {
                script.kill.store(true, Ordering::Relaxed);
                killed = true;
            }
        }
        match (killed, wrote, kind) {
            (true, ..) => Ok(()),
            (_, true, _) => Err(CommandError::text(UNKILLABLE)),
            (.., Killed::Script) => Err(CommandError::text(BUSY_FUNCTION)),
            (.., Killed::Function) => Err(CommandError::text(BUSY_SCRIPT)),
        }
    }

    /// The function that has been running longest: its name, its command, and for how many milliseconds.
    pub(crate) fn function(&self) -> Option<(String, Vec<Vec<u8>>, u128)> {
        let scripts = self.lock();
        let found = scripts
            .iter()
            .filter_map(|script| Some((script, script.function.clone()?)));
        found
            .min_by_key(|(script, _)| script.began)
            .map(|(script, name)| {
                (
                    name,
                    script.command.get().cloned().unwrap_or_default(),
                    script.began.elapsed().as_millis(),
                )
            })
    }
}
