//! What the operating system says of this process, read from `/proc` (proc(5)).

use std::fs::read_to_string;

/// Clock ticks in a second, as `/proc` counts them on Linux (`USER_HZ`).
const TICKS_PER_S: f64 = 100.0;
/// Place of the user time among the fields of `stat` behind the process's name; the system time follows.
const UTIME_FIELD: usize = 11;

/// Processor time in seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu {
    /// Spent in the program.
    pub(crate) user: f64,
    /// Spent in the kernel for it.
    pub(crate) system: f64,
}

impl Cpu {
    /// Of all threads of this process.
    pub(crate) fn of_process() -> Cpu {
        parse_cpu(&read_to_string("/proc/self/stat").unwrap_or_default()).unwrap_or_default()
    }
}

fn parse_cpu(stat: &str) -> Option<Cpu> {
    // The name stands in brackets, and may hold brackets and blanks itself.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let seconds = |at: usize| Some(fields.get(at)?.parse::<f64>().ok()? / TICKS_PER_S);
    Some(Cpu {
        user: seconds(UTIME_FIELD)?,
        system: seconds(UTIME_FIELD + 1)?,
    })
}

/// Bytes of this process that are in memory.
pub(crate) fn resident_bytes() -> u64 {
    kilobytes("/proc/self/status", "VmRSS:")
}

/// Bytes of memory that the machine has.
pub(crate) fn machine_bytes() -> u64 {
    kilobytes("/proc/meminfo", "MemTotal:")
}

fn kilobytes(path: &str, name: &str) -> u64 {
    parse_kilobytes(&read_to_string(path).unwrap_or_default(), name).unwrap_or(0) * 1024
}

fn parse_kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The system's name, release and processor, as Redis prints `uname`.
pub(crate) fn system_name() -> String {
    let release = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {} {}", release.trim(), std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_proc_are_found() {
        let stat = "77 (a) b (c)) S 1 2 3 0 -1 4 5 6 7 8 250 125 0 0 20 0 1";
        let cpu = parse_cpu(stat).unwrap();
        assert_eq!((cpu.user, cpu.system), (2.5, 1.25));
        assert_eq!(
            parse_kilobytes("VmHWM:\t  9 kB\nVmRSS:\t  1234 kB\n", "VmRSS:"),
            Some(1234)
        );
        assert!(resident_bytes() > 100_000 && machine_bytes() > resident_bytes());
    }
}
