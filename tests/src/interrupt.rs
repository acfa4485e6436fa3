//! Nothing is left running when a long run is interrupted.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use tokio::signal::unix::{SignalKind, signal};

use crate::machine::descendants;

/// Set when the end has begun.
static ENDING: AtomicBool = AtomicBool::new(false);

/// What a shell answers for a program ended by SIGINT: 128 + 2.
const INTERRUPTED: i32 = 130;
/// A process may be started while the others are being ended: look again.
const LOOKS: usize = 5;
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// From now on SIGINT, SIGTERM and SIGHUP end this process with all the processes that it started,
/// frozen ones too, and remove their directories. The end of the parent counts as SIGTERM.
///
/// Call it first: threads that run already may keep what they do.
///
/// # Errors
/// The system's.
pub fn end_children_on_signals() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let mut signals = {
        let _entered = runtime.enter();
        [
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]
    };
    std::thread::spawn(move || {
        let [interrupt, terminate, hangup] = &mut signals;
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        });
        // Threads that panic because their servers vanish wait there for the end.
        std::panic::set_hook(Box::new(|_| wait_forever()));
        ENDING.store(true, Ordering::SeqCst);
        end_all();
        eprintln!("\ninterrupted: all servers were ended");
        std::process::exit(INTERRUPTED);
    });
    Ok(())
}

/// Waits for the end, if this process was told to end: what failed now failed because of that.
pub fn wait_if_interrupted() {
    if ENDING.load(Ordering::SeqCst) {
        wait_forever();
    }
}

fn wait_forever() -> ! {
    loop {
        std::thread::park();
    }
}

fn end_all() {
    for _ in 0..LOOKS {
        for pid in descendants(std::process::id()) {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        remove_directories();
        std::thread::sleep(LOOK_PAUSE);
    }
}

/// Those of [`TempDir`](crate::TempDir): `damselfly-<name>-<our process>-<number>`.
fn remove_directories() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    let ours = format!("-{}-", std::process::id());
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("damselfly-") && name.contains(&ours) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
