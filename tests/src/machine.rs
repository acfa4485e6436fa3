//! What the system knows of processes and of itself: processor time, memory, pinning.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

/// Linux's USER_HZ, fixed for user space (proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;
/// Time between two looks at memory; a look costs a process of a GB about a millisecond.
const SAMPLE_PAUSE: Duration = Duration::from_millis(50);

/// Binds all threads of a process, and those that they will start, to these cores.
///
/// # Errors
/// The system's, for a core that is not there.
pub fn pin(pid: u32, cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|&core| set.set(core));
    // A thread started in the first round is found in the second.
    for _ in 0..2 {
        for task in numbers_in(&format!("/proc/{pid}/task"))? {
            match sched_setaffinity(pid_of(task), &set) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Processor seconds that a process and its ended children have used, to 10 ms; 0 if it is gone.
pub fn cpu_seconds(pid: u32) -> f64 {
    // utime, stime, cutime, cstime: fields 14 to 17 of proc(5), here counted after the name.
    let ticks: u64 = stat_fields(pid)
        .iter()
        .skip(11)
        .take(4)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    ticks as f64 / TICKS_PER_SECOND
}

/// The processes that stem from this one, now.
pub fn descendants(pid: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = numbers_in("/proc")
        .unwrap_or_default()
        .into_iter()
        .filter_map(|child| Some((child, stat_fields(child).get(1)?.parse().ok()?)))
        .collect();
    let mut found = vec![pid];
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(child, _)| *child),
        );
        at += 1;
    }
    found.split_off(1)
}

/// Physical memory of a process, with what its forked children do not share with it, in bytes.
pub fn footprint(pid: u32) -> u64 {
    let own = field_kib(&format!("/proc/{pid}/status"), &["VmRSS:"]);
    let children = descendants(pid).into_iter().map(|child| {
        let file = format!("/proc/{child}/smaps_rollup");
        field_kib(&file, &["Private_Clean:", "Private_Dirty:"])
    });
    (own + children.sum::<u64>()) * 1024
}

/// Watches the memory of a process until it is asked for the peak.
#[derive(Debug)]
pub struct MemoryWatch {
    pid: u32,
    shared: Arc<(AtomicBool, AtomicU64)>,
    watcher: Option<JoinHandle<()>>,
}

impl MemoryWatch {
    /// Forgets the peak so far and begins.
    pub fn start(pid: u32) -> MemoryWatch {
        // 5 resets the peak resident size: proc(5), clear_refs.
        let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        let shared = Arc::new((AtomicBool::new(false), AtomicU64::new(0)));
        let other = shared.clone();
        let watcher = std::thread::spawn(move || {
            while !other.0.load(Ordering::Relaxed) {
                other.1.fetch_max(footprint(pid), Ordering::Relaxed);
                std::thread::sleep(SAMPLE_PAUSE);
            }
        });
        MemoryWatch {
            pid,
            shared,
            watcher: Some(watcher),
        }
    }

    /// The highest [`footprint`] since the start, in bytes. What one process holds is known exactly,
    /// what forked children add from samples.
    pub fn peak(mut self) -> u64 {
        self.end();
        let own = field_kib(&format!("/proc/{}/status", self.pid), &["VmHWM:"]) * 1024;
        own.max(self.shared.1.load(Ordering::Relaxed))
    }

    fn end(&mut self) {
        self.shared.0.store(true, Ordering::Relaxed);
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
    }
}

impl Drop for MemoryWatch {
    fn drop(&mut self) {
        self.end();
    }
}

/// The machine in one line: processor, cores, memory, kernel.
pub fn description() -> String {
    let line = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let found = text.lines().find_map(|line| line.strip_prefix(name));
        found
            .map(|rest| rest.trim_start_matches([' ', '\t', ':']).to_owned())
            .unwrap_or_default()
    };
    let memory_gib = field_kib("/proc/meminfo", &["MemTotal:"]) as f64 / f64::from(1 << 20);
    format!(
        "{}, {} cores, {memory_gib:.0} GiB, Linux {}",
        line("/proc/cpuinfo", "model name"),
        cores(),
        fs::read_to_string("/proc/sys/kernel/osrelease")
            .unwrap_or_default()
            .trim(),
    )
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// How many tasks wanted to run during the last minute, on average.
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split(' ').next().unwrap_or_default();
    first.parse().unwrap_or_default()
}

/// Today's date in UTC, as 2026-11-30.
pub fn today() -> String {
    let seconds = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    date(seconds / 86_400)
}

/// A day counted from 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn date(days: u64) -> String {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

fn pid_of(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

fn numbers_in(folder: &str) -> io::Result<Vec<u32>> {
    let entries = fs::read_dir(folder)?.flatten();
    Ok(entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect())
}

/// The fields of `/proc/PID/stat` from the state on: the name before may hold blanks.
fn stat_fields(pid: u32) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    rest.split(' ').map(str::to_owned).collect()
}

fn field_kib(file: &str, names: &[&str]) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let value = |line: &str| {
        let rest = names.iter().find_map(|name| line.strip_prefix(name))?;
        rest.trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    text.lines().filter_map(value).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Process;
    use std::path::Path;

    #[test]
    fn dates() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(19_782), "2024-02-29");
        assert_eq!(date(20_454), "2026-01-01");
    }

    #[test]
    fn a_process_is_watched_pinned_and_found() {
        let script = "i=0; while [ $i -lt 1000000 ]; do i=$((i+1)); done; exec sleep 60";
        let process = Process::start(Path::new("/bin/sh"), &["-c", script], &[]).unwrap();
        pin(process.pid(), &[0]).unwrap();
        assert!(descendants(std::process::id()).contains(&process.pid()));
        let watch = MemoryWatch::start(process.pid());
        crate::eventually(Duration::from_secs(20), "time is counted", || {
            cpu_seconds(process.pid()) > 0.0
        });
        assert!(watch.peak() > 0);
        assert!(cpu_seconds(process.pid()) < 60.0 && cores() > 0);
    }
}
