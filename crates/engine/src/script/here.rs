//! Scripts whose keys all live on this thread's shard run as plain commands of that shard do: at once, where they are read.

use super::ScriptCall;
use super::call::ScriptRun;
use super::host::Place;
use crate::command::Command;
use crate::context::Effects;
use crate::core::ShardCore;
use crate::families::scripting::ScriptKind;
use crate::session::{Begun, Pipeline, Session};
use damselfly_lua::{Interpreter, Progress};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// A script that has begun and could not run to its end at once.
pub(crate) struct SuspendedScript {
    run: ScriptRun<'static>,
    interpreter: Interpreter,
    progress: Progress,
    row: &'static Command,
    began: Instant,
}

impl Session {
    /// Runs a script at once, if it can run on this thread's shard. `Wait`: [`Session::run_waiting`] runs it, or what is left of it.
    #[inline(never)]
    pub(crate) fn begin_script(
        &mut self,
        row: &'static Command,
        kind: ScriptKind,
        args: &[&[u8]],
        pipeline: &mut Pipeline,
    ) -> Begun {
        // What others still have to answer might wait for this script, which would wait for them. If nobody has to, finishing the
        // pipeline does not wait, and nothing else runs on this thread before the rest of the script.
        if !pipeline.is_settled() {
            return Begun::Wait;
        }
        // Whatever is wrong is found again, and answered, by those who wait.
        let Ok(call) = kind.read(self, args) else {
            return Begun::Wait;
        };
        let began = Instant::now();
        let Some((interpreter, effects)) = self.room_for_script(&call) else {
            return Begun::Wait;
        };
        self.thread.stats.borrow_mut().count(row);
        self.show(row, args);
        match self.start_script(&call, interpreter, effects, began) {
            Ok(interpreter) => {
                pipeline.reply(self.proto, |out| {
                    interpreter.output(|reply| out.raw(reply));
                });
                self.give_back(interpreter);
                self.note_time(row, args, began);
                Begun::Done
            }
            Err((run, interpreter, progress)) => {
                self.suspended = Some(Box::new(SuspendedScript {
                    run,
                    interpreter,
                    progress,
                    row,
                    began,
                }));
                Begun::Wait
            }
        }
    }

    /// What a script needs to run on this thread's shard, if it may run there now.
    fn room_for_script(&self, call: &ScriptCall<'_>) -> Option<(Interpreter, Effects)> {
        if !self.lives_here(call) || self.check_script(call).is_err() {
            return None;
        }
        let (flags, writes) = (call.code.flags(), self.script_writes(call));
        let needs_room = writes && !flags.compatible && !flags.allow_oom;
        let interpreter = self.interpreter().ok()?;
        let effects = self.thread.with_core_now(|core: &mut ShardCore| {
            let has_room = !needs_room || core.has_room_for_script();
            has_room.then(|| core.begin_script(writes)).flatten()
        });
        match effects {
            Some(effects) => Some((interpreter, effects)),
            None => {
                self.give_back(interpreter);
                None
            }
        }
    }

    /// Whether all that the script may use is on this thread's shard.
    fn lives_here(&self, call: &ScriptCall<'_>) -> bool {
        let (thread, mesh) = (&self.thread, &self.thread.engine.mesh);
        if mesh.shards() == 1 {
            return thread.owns(0);
        }
        let mut keys = call.keys.iter();
        !call.keys.is_empty()
            && !self.is_global_script(call.code.flags())
            && keys.all(|key| thread.owns(mesh.shard_of(key)))
    }

    /// Runs a script on this thread's shard as far as it goes: to its end, or what is left to be driven.
    #[allow(
        clippy::result_large_err,
        clippy::type_complexity,
        reason = "the error is no error, and goes into a box of its own"
    )]
    fn start_script(
        &mut self,
        call: &ScriptCall<'_>,
        mut interpreter: Interpreter,
        effects: Effects,
        began: Instant,
    ) -> Result<Interpreter, (ScriptRun<'static>, Interpreter, Progress)> {
        interpreter.input(call.keys.iter().copied(), call.args.iter().copied());
        let global = self.is_global_script(call.code.flags());
        let host = self.script_host(call, global, Place::Here(effects), began);
        let progress = interpreter.start(call.code.job(self.proto), Some(host.clone()));
        if progress == Progress::Done {
            host.end();
            if host.running.wrote.load(Ordering::Relaxed) {
                self.note_written(self.thread.index);
            }
            return Ok(interpreter);
        }
        host.note_call(call);
        let mut run = ScriptRun {
            host,
            call: None,
            plan: self.script_plan(call),
            within: None,
            own: None,
        };
        if progress == Progress::Pause {
            run.promote();
        }
        Err((run, interpreter, progress))
    }

    /// Runs what is left of a script, to its end.
    pub(crate) async fn go_on_with_script(
        &mut self,
        script: SuspendedScript,
        args: &[&[u8]],
        out: &mut Vec<u8>,
    ) {
        let SuspendedScript {
            run,
            interpreter,
            progress,
            row,
            began,
        } = script;
        self.drive_script(run, interpreter, progress, out).await;
        self.record_published().await;
        self.note_time(row, args, began);
    }

    fn note_time(&self, row: &'static Command, args: &[&[u8]], began: Instant) {
        let took = began.elapsed();
        self.thread.stats.borrow_mut().took(row, took);
        self.note_if_slow(row, args, took);
    }
}
