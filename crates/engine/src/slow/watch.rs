//! Which commands are timed, and what is kept of those that took long.

use crate::command::{Command, Flags, Group};
use std::time::{Duration, Instant};

/// Thresholds of the slow log below this time everything.
const PRECISE_BELOW: Duration = Duration::from_millis(1);
/// Arguments, and bytes of each, with which a command of strings is quick.
const QUICK_ARGS: (usize, usize) = (5, 4096);
/// Arguments that the slow log keeps (Redis: 32).
const KEPT_ARGS: usize = 32;
/// Bytes of an argument that it keeps (Redis: 128).
const KEPT_BYTES: usize = 128;

/// From which time on a command is slow; `None`: none is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Thresholds {
    /// For the slow log.
    pub log: Option<Duration>,
    /// For the latency monitor.
    pub monitor: Option<Duration>,
}

impl Thresholds {
    /// The lower one.
    fn least(self) -> Option<Duration> {
        self.log.into_iter().chain(self.monitor).min()
    }
}

/// A command that took long.
#[derive(Debug, Clone)]
pub struct SlowCommand {
    /// Whether it is one of those that never should.
    pub is_fast: bool,
    /// How long it took.
    pub took: Duration,
    /// Its arguments, shortened, and without secrets.
    pub args: Vec<Vec<u8>>,
}

/// Decides what is timed, and keeps what took long until somebody asks for it.
#[derive(Debug, Default)]
pub struct SlowWatch {
    least: Option<Duration>,
    is_precise: bool,
    found: Vec<SlowCommand>,
}

impl SlowWatch {
    /// Changes what is slow.
    pub fn set(&mut self, thresholds: Thresholds) {
        self.least = thresholds.least();
        self.is_precise = thresholds.log.is_some_and(|least| least < PRECISE_BELOW);
    }

    /// When the command begins, if it has to be timed.
    #[inline]
    pub fn begin(&self, row: &Command, args: &[&[u8]]) -> Option<Instant> {
        if !self.is_precise && (row.flags.has(Flags::FAST) || is_quick(row, args)) {
            return None;
        }
        self.least.map(|_| Instant::now())
    }

    /// Keeps a command that took so long, if that is slow.
    #[inline]
    pub fn note(&mut self, row: &Command, args: &[&[u8]], took: Duration) {
        if self.least.is_some_and(|least| took >= least) {
            self.keep(row, args, took);
        }
    }

    #[cold]
    fn keep(&mut self, row: &Command, args: &[&[u8]], took: Duration) {
        if !row.flags.has(Flags::SKIP_MONITOR) {
            self.found.push(SlowCommand {
                is_fast: row.flags.has(Flags::FAST),
                took,
                args: shortened(&row.shown(args)),
            });
        }
    }

    /// Whether something was kept.
    #[inline]
    pub fn has_found(&self) -> bool {
        !self.found.is_empty()
    }

    /// What was kept since the last time.
    pub fn take(&mut self) -> Vec<SlowCommand> {
        std::mem::take(&mut self.found)
    }
}

/// Whether a command can't take long, although its time is not constant.
fn is_quick(row: &Command, args: &[&[u8]]) -> bool {
    row.group == Group::String
        && args.len() <= QUICK_ARGS.0
        && args.iter().all(|arg| arg.len() <= QUICK_ARGS.1)
}

fn shortened(args: &[&[u8]]) -> Vec<Vec<u8>> {
    let all = args.len() <= KEPT_ARGS;
    let kept = if all { args.len() } else { KEPT_ARGS - 1 };
    let mut short: Vec<Vec<u8>> = args[..kept].iter().map(|arg| shortened_arg(arg)).collect();
    if !all {
        short.push(format!("... ({} more arguments)", args.len() - kept).into_bytes());
    }
    short
}

fn shortened_arg(arg: &[u8]) -> Vec<u8> {
    if arg.len() <= KEPT_BYTES {
        return arg.to_vec();
    }
    let more = format!("... ({} more bytes)", arg.len() - KEPT_BYTES);
    [&arg[..KEPT_BYTES], more.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_shortened() {
        let long = [b'x'; 130];
        let args: Vec<&[u8]> = std::iter::once(&long[..]).chain([&b"a"[..]; 39]).collect();
        let short = shortened(&args);
        assert_eq!(short.len(), 32);
        assert_eq!(short[0].len(), 128 + "... (2 more bytes)".len());
        assert_eq!(short[31], b"... (9 more arguments)");
        assert_eq!(shortened(&args[1..3]), [b"a", b"a"]);
    }

    #[test]
    fn what_is_quick_is_timed_only_where_everything_is() {
        let table = crate::CommandTable::new(crate::families::ALL);
        let [set, get, keys] =
            ["set", "get", "keys"].map(|name| table.find(name.as_bytes()).expect("a row"));
        let args: [&[u8]; 3] = [b"a", b"b", b"c"];
        let mut watch = SlowWatch::default();
        let timed =
            |watch: &SlowWatch| [set, get, keys].map(|row| watch.begin(row, &args).is_some());
        assert_eq!(timed(&watch), [false; 3]);
        let log = |ms| Thresholds {
            log: Some(Duration::from_millis(ms)),
            monitor: None,
        };
        watch.set(log(10));
        assert_eq!(timed(&watch), [false, false, true]);
        watch.note(keys, &args, Duration::from_millis(9));
        assert!(!watch.has_found());
        watch.note(keys, &args, Duration::from_millis(10));
        assert_eq!(watch.take().len(), 1);
        watch.set(log(0));
        assert_eq!(timed(&watch), [true; 3]);
    }
}
