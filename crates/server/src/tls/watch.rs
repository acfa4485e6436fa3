//! Noticing that the files behind TLS have changed: looked at every second, in bounded time, which works on every file system
//! and for files that are replaced by links (as Kubernetes does).

use super::Tls;
use crate::config::Config;
use crate::settings::Settings;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// Files of a directory that are looked at, at most.
const MAX_FILES: usize = 1_000;

/// How the files were.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Seen(Vec<Stamp>);

/// Inode, size, and time of the last change in nanoseconds; `None`: there is no such file.
type Stamp = Option<(u64, u64, i128)>;

impl Seen {
    /// How the files of a configuration are now.
    pub(super) fn of(config: &Config) -> Seen {
        let named = [
            &config.tls_key_file,
            &config.tls_cert_file,
            &config.tls_ca_cert_file,
        ];
        let mut stamps: Vec<Stamp> = named.into_iter().map(|path| stamp(path)).collect();
        if !config.tls_ca_cert_dir.as_os_str().is_empty() {
            let entries = std::fs::read_dir(&config.tls_ca_cert_dir);
            let mut files: Vec<_> = entries
                .into_iter()
                .flatten()
                .flatten()
                .take(MAX_FILES)
                .map(|entry| entry.path())
                .collect();
            files.sort();
            stamps.extend(files.iter().map(|path| stamp(path)));
        }
        Seen(stamps)
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

fn stamp(path: &Path) -> Stamp {
    if path.as_os_str().is_empty() {
        return None;
    }
    let found = std::fs::metadata(path).ok()?;
    let changed = i128::from(found.ctime()) * 1_000_000_000 + i128::from(found.ctime_nsec());
    Some((found.ino(), found.size(), changed))
}

impl Tls {
    /// Reads the files again, if they have changed or `force` says so. What is wrong with them is logged, and what was read
    /// before stays in use.
    pub fn reload(&self, config: &Config, force: bool) {
        let seen = Seen::of(config);
        {
            let mut last = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if !force && (*last == seen || seen.is_empty()) {
                return;
            }
            // Said once of each change: key and certificate are rarely replaced in one step.
            *last = seen;
        }
        if let Err(error) = self.load(config) {
            tracing::warn!(%error, "TLS files have changed, but can't be used; those read before stay in use");
        }
    }
}

/// Looks after the files until it is dropped.
pub(crate) async fn watch_files(tls: &Tls, settings: &Settings) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        tls.reload(&settings.load(), false);
    }
}
