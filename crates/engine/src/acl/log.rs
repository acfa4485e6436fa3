//! The last denials, for ACL LOG.

use super::error::Denied;
use std::collections::VecDeque;

/// Entries among which one of the same kind is looked for (Redis: 10).
const SCANNED: usize = 10;
/// Time in which a denial counts as the same again, in milliseconds (Redis: a minute).
const GROUPING_MS: i64 = 60_000;

/// Where a command line was when it was denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogContext {
    /// By itself.
    TopLevel,
    /// Between MULTI and EXEC.
    Multi,
    /// In a script.
    Lua,
}

impl LogContext {
    /// The word in ACL LOG.
    pub fn name(self) -> &'static str {
        match self {
            LogContext::TopLevel => "toplevel",
            LogContext::Multi => "multi",
            LogContext::Lua => "lua",
        }
    }
}

/// Denials of one kind.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// How many there were.
    pub count: u64,
    /// Why.
    pub denied: Denied,
    /// Where.
    pub context: LogContext,
    /// The command, the key or the channel.
    pub object: Vec<u8>,
    /// Whose they were.
    pub user: Vec<u8>,
    /// When the last was, in Unix milliseconds.
    pub at: i64,
    /// The client of the last.
    pub client: Vec<u8>,
}

impl LogEntry {
    fn is_like(&self, other: &LogEntry) -> bool {
        self.denied == other.denied
            && self.context == other.context
            && self.user == other.user
            && self.object == other.object
            && other.at - self.at <= GROUPING_MS
    }
}

/// The denials, the last first.
#[derive(Debug, Default)]
pub(super) struct AclLog {
    entries: VecDeque<LogEntry>,
}

impl AclLog {
    /// Adds one; no more than `most` kinds are kept.
    pub(super) fn add(&mut self, mut entry: LogEntry, most: usize) {
        let mut recent = self.entries.iter().take(SCANNED);
        if let Some(at) = recent.position(|known| known.is_like(&entry)) {
            entry.count += self.entries.remove(at).map_or(0, |known| known.count);
        }
        self.entries.push_front(entry);
        self.entries.truncate(most);
    }

    /// The last `most` kinds.
    pub(super) fn entries(&self, most: usize) -> Vec<LogEntry> {
        self.entries.iter().take(most).cloned().collect()
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(object: &str, at: i64) -> LogEntry {
        LogEntry {
            count: 1,
            denied: Denied::Key,
            context: LogContext::TopLevel,
            object: object.into(),
            user: b"user".to_vec(),
            at,
            client: Vec::new(),
        }
    }

    #[test]
    fn equal_ones_are_counted_and_come_first() {
        let mut log = AclLog::default();
        for (object, at) in [("a", 0), ("b", 1), ("a", 2), ("a", 70_000)] {
            log.add(entry(object, at), 3);
        }
        let found: Vec<_> = log
            .entries(9)
            .iter()
            .map(|entry| (entry.object.clone(), entry.count))
            .collect();
        assert_eq!(
            found,
            [(b"a".to_vec(), 1), (b"a".to_vec(), 2), (b"b".to_vec(), 1)]
        );
        log.add(entry("c", 70_000), 3);
        assert_eq!(log.entries(9).len(), 3);
        log.clear();
        assert!(log.entries(9).is_empty());
    }
}
