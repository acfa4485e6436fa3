//! Snapshots in files, as the configuration asks for them: at the start, at certain times, at the end.

use crate::builder::Shared;
use crate::config::Config;
use chrono::{DateTime, Local};
use croner::Cron;
use damselfly_engine::Engine;
use damselfly_engine::files::{FileError, Source, Target, find, load, save, save_at_end};
use damselfly_engine::thread::Thread;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// How often the log tells how far a load, a save or a full sync is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);
/// How often it is looked whether a time has come.
const CRON_INTERVAL: Duration = Duration::from_secs(1);

/// Loads what the configuration names, then lets the server be what it is to be. Clients hear meanwhile that it loads.
///
/// # Errors
/// The directory of snapshots cannot be read.
pub fn begin(shared: &Shared, config: &Config, engine: &Arc<Engine>) -> io::Result<()> {
    engine.files.configure(config.files());
    let source = find(&config.files()).map_err(io::Error::other)?;
    engine.set_loading(source.is_some());
    if source.is_none() {
        follow(config, engine);
    }
    let (of_task, of_signal) = (shared.clone(), engine.clone());
    let _ = shared.last_save.set(Box::new(move |tell| {
        of_signal.mesh.run_on(
            0,
            Box::new(move |thread| {
                let thread = thread.clone();
                tokio::task::spawn_local(async move {
                    let saved = save_if_named(&thread).await;
                    drop(tell.send(saved.map_err(|error| error.to_string())));
                });
            }),
        );
    }));
    engine.mesh.run_on(
        0,
        Box::new(move |thread| {
            tokio::task::spawn_local(tell_progress(thread.engine.clone()));
            tokio::task::spawn_local(load_and_serve(thread.clone(), of_task, source));
        }),
    );
    Ok(())
}

fn follow(config: &Config, engine: &Engine) {
    if let Some(primary) = &config.replicaof {
        engine.begin_as_replica(&primary.host, primary.port);
    }
}

async fn load_and_serve(thread: Rc<Thread>, shared: Shared, source: Option<Source>) {
    let engine = &thread.engine;
    let loaded = match &source {
        Some(source) => load(&thread, source).await,
        None => Ok(()),
    };
    if let Err(error) = loaded {
        tracing::error!(%error, "the data cannot be loaded; the server does not start without it");
        shared
            .facts
            .fail(format!("the data cannot be loaded: {error}"));
        shared.stop.cancel();
        return;
    }
    if source.is_some() {
        follow(&shared.settings.load(), engine);
        engine.set_loading(false);
    }
    save_at_times(&thread, &shared).await;
}

/// Tells how far what takes long is, as long as it does.
async fn tell_progress(engine: Arc<Engine>) {
    loop {
        tokio::time::sleep(PROGRESS_INTERVAL).await;
        let (saving, loading) = (engine.files.status(), &engine.files.loading);
        if saving.running_since.is_some() {
            let (keys, of) = (saving.keys_processed, saving.keys_total);
            tracing::info!(keys, of, "saving goes on");
        }
        let of_bytes = loading.total_bytes.load(Relaxed);
        if of_bytes > 0 {
            let (bytes, keys) = (
                loading.loaded_bytes.load(Relaxed),
                loading.keys.load(Relaxed),
            );
            tracing::info!(bytes, of_bytes, keys, "loading goes on");
        }
        let link = engine.replication().link.status().1;
        if let Some(sync) = link.and_then(|link| link.full_sync()) {
            let (keys, of) = (sync.keys_done, sync.keys_total);
            tracing::info!(keys, of, ms = sync.elapsed_ms, "the full sync goes on");
        }
    }
}

/// Saves at the end, where a name is configured.
async fn save_if_named(thread: &Rc<Thread>) -> Result<(), FileError> {
    let settings = thread.engine.files.settings();
    if settings.name.is_empty() {
        return Ok(());
    }
    save_last(thread).await
}

async fn save_last(thread: &Rc<Thread>) -> Result<(), FileError> {
    let settings = thread.engine.files.settings();
    match save_at_end(thread, Target::new(&settings, None, None)?).await {
        // A part of what is being loaded is not put in the place of what was saved before.
        Err(error @ FileError::Loading) => {
            tracing::warn!(%error, "no snapshot at the end");
            Ok(())
        }
        saved => saved,
    }
}

/// What SHUTDOWN asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtEnd {
    /// To save where a name is configured.
    AsConfigured,
    /// To save whatever is configured.
    Save,
    /// Not to save.
    NoSave,
}

impl AtEnd {
    /// Does it.
    ///
    /// # Errors
    /// [`FileError`]: the server goes on.
    pub async fn run(self, thread: &Rc<Thread>) -> Result<(), FileError> {
        match self {
            AtEnd::NoSave => Ok(()),
            AtEnd::AsConfigured => save_if_named(thread).await,
            AtEnd::Save => save_last(thread).await,
        }
    }
}

/// Saves whenever `--snapshot_cron` says so. It may change at any time.
async fn save_at_times(thread: &Rc<Thread>, shared: &Shared) {
    let mut planned: Option<(String, Option<DateTime<Local>>)> = None;
    loop {
        tokio::time::sleep(CRON_INTERVAL).await;
        let pattern = shared.settings.load().snapshot_cron.clone();
        let now = Local::now();
        match &planned {
            Some((of, next)) if *of == pattern => {
                if next.is_none_or(|next| now < next) {
                    continue;
                }
                save_now(thread).await;
            }
            _ => {}
        }
        planned = Some((pattern.clone(), next_time(&pattern, &now)));
    }
}

fn next_time(pattern: &str, now: &DateTime<Local>) -> Option<DateTime<Local>> {
    let pattern: Cron = pattern.parse().ok()?;
    pattern.find_next_occurrence(now, false).ok()
}

async fn save_now(thread: &Rc<Thread>) {
    let settings = thread.engine.files.settings();
    let saved = match Target::new(&settings, None, None) {
        Ok(target) => save(thread, target).await,
        Err(error) => Err(error),
    };
    // What went wrong in the save itself has been said.
    if let Err(error @ (FileError::Busy | FileError::Loading | FileError::Name { .. })) = saved {
        tracing::warn!(%error, "no snapshot at the planned time");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeZone, Timelike};

    #[test]
    fn times_come_as_crontab_has_them() {
        let now = Local.with_ymd_and_hms(2026, 11, 21, 10, 7, 30).unwrap();
        let next = next_time("*/30 * * * *", &now).unwrap();
        assert_eq!((next.hour(), next.minute(), next.second()), (10, 30, 0));
        assert_eq!(next_time("", &now), None);
    }
}
