//! Names of snapshot files: what a save writes, and what a start finds.

use super::error::FileError;
use chrono::DateTime;
use damselfly_snapshot::Profile;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Stands for the time in a configured name.
const TIMESTAMP: &str = "{timestamp}";
/// How the time is written (UTC), as Dragonfly does.
const TIMESTAMP_FORMAT: &str = "%Y-%m-%dT%H:%M:%S";
const RDB: &str = ".rdb";
const SUMMARY: &str = "-summary.dfs";
/// Ends names of files that are being written.
pub(super) const TEMPORARY: &str = ".damselfly-tmp";
/// The name without any configured.
const DEFAULT_NAME: &str = "dump";

/// How a snapshot is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// One file, for Redis too.
    Rdb,
    /// A file for each shard, and a summary.
    #[default]
    Shards,
}

/// Where snapshots are, and how they are called.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileSettings {
    /// The directory.
    pub dir: PathBuf,
    /// The name, with `{timestamp}` for the time; ending in `.rdb` it means [`Format::Rdb`]. Empty: nothing is loaded or saved unasked.
    pub name: String,
    /// How it is written otherwise.
    pub format: Format,
    /// The version of its RDB files, 9 to 12; others stand for 9.
    pub rdb_version: u16,
}

/// What one save writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    dir: PathBuf,
    base: String,
    /// How.
    pub format: Format,
    /// Who can read it, if it is an RDB file.
    pub(super) readers: Profile,
    /// Tells the files of this save from those of others under the same name.
    pub(super) id: u64,
}

/// One file of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Rdb,
    Summary,
    Shard(usize),
}

impl Target {
    /// What a save now writes, under the configured name or another one.
    ///
    /// # Errors
    /// [`FileError::Name`].
    pub fn new(
        settings: &FileSettings,
        name: Option<&str>,
        format: Option<Format>,
    ) -> Result<Target, FileError> {
        let configured = Some(settings.name.as_str()).filter(|name| !name.is_empty());
        let name = name.or(configured).unwrap_or(DEFAULT_NAME);
        let wrong = |why| FileError::Name {
            name: name.to_owned(),
            why,
        };
        if name.contains(['/', '\0']) || name == "." || name == ".." || name.is_empty() {
            return Err(wrong("a file's name without directories is expected"));
        }
        let (base, format) = match (split(name), format) {
            ((_, Some(Format::Rdb)), Some(Format::Shards)) => {
                return Err(wrong(
                    "a snapshot with a file for each shard is not called .rdb",
                ));
            }
            ((_, Some(Format::Shards)), Some(Format::Rdb)) => {
                return Err(wrong("an RDB file is not called .dfs"));
            }
            ((base, said), asked) => (base, asked.or(said).unwrap_or(settings.format)),
        };
        let now = DateTime::from_timestamp_millis(crate::world::unix_ms()).unwrap_or_default();
        let now = now.format(TIMESTAMP_FORMAT).to_string();
        Ok(Target {
            dir: settings.dir.clone(),
            base: base.replace(TIMESTAMP, &now),
            format,
            readers: Profile::of_rdb_version(settings.rdb_version).unwrap_or_default(),
            id: crate::world::random(),
        })
    }

    /// The file that a load would be told of.
    pub fn main_file(&self) -> PathBuf {
        self.file(match self.format {
            Format::Rdb => Part::Rdb,
            Format::Shards => Part::Summary,
        })
    }

    /// The snapshot, to be loaded.
    pub fn source(&self) -> Source {
        Source(self.main_file())
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn file(&self, part: Part) -> PathBuf {
        self.dir.join(file_name(&self.base, part))
    }

    pub(super) fn temporary(&self, part: Part) -> PathBuf {
        let name = file_name(&self.base, part);
        self.dir.join(format!("{name}.{:016x}{TEMPORARY}", self.id))
    }
}

/// The name of a file beside a temporary one, which ends as that does.
pub(super) fn beside(temporary: &Path, number: u64) -> PathBuf {
    temporary.with_extension(format!("{number}{TEMPORARY}"))
}

fn file_name(base: &str, part: Part) -> String {
    match part {
        Part::Rdb => format!("{base}{RDB}"),
        Part::Summary => format!("{base}{SUMMARY}"),
        Part::Shard(shard) => format!("{base}-{shard:04}.dfs"),
    }
}

/// A name without what it says of the format.
fn split(name: &str) -> (&str, Option<Format>) {
    if let Some(base) = name.strip_suffix(RDB) {
        return (base, Some(Format::Rdb));
    }
    let base = name.strip_suffix(SUMMARY).or(name.strip_suffix(".dfs"));
    base.map_or((name, None), |base| (base, Some(Format::Shards)))
}

/// A snapshot to load: an RDB file, or the summary of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source(pub(super) PathBuf);

impl Source {
    /// The file of this name in the directory, or with this path.
    pub fn named(settings: &FileSettings, name: &str) -> Source {
        Source(settings.dir.join(name))
    }

    /// The newest snapshot with the configured name, in either format.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn newest(settings: &FileSettings) -> Result<Option<Source>, FileError> {
        let (base, _) = split(&settings.name);
        if base.is_empty() {
            return Ok(None);
        }
        let mut newest: Option<(SystemTime, PathBuf)> = None;
        for (path, name) in entries(&settings.dir)? {
            let found = name
                .strip_suffix(SUMMARY)
                .or(name.strip_suffix(RDB))
                .is_some_and(|found| matches(base, found));
            let modified = fs::metadata(&path).and_then(|file| file.modified());
            if found && let Ok(modified) = modified {
                newest = newest.max(Some((modified, path)));
            }
        }
        Ok(newest.map(|(_, path)| Source(path)))
    }

    /// The file that names the snapshot.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// If this is a summary, the name of a shard's file.
    pub(super) fn shard_file(&self, shard: usize) -> Option<PathBuf> {
        let name = self.0.file_name()?.to_str()?;
        let base = name.strip_suffix(SUMMARY)?;
        Some(self.0.with_file_name(file_name(base, Part::Shard(shard))))
    }
}

/// Whether a name is the configured one at some time.
fn matches(configured: &str, name: &str) -> bool {
    match configured.split_once(TIMESTAMP) {
        None => configured == name,
        Some((before, after)) => name
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .is_some_and(|time| {
                chrono::NaiveDateTime::parse_from_str(time, TIMESTAMP_FORMAT).is_ok()
            }),
    }
}

/// If this is the temporary file of a shard: the summary and the final name that it is for, and the id of its save.
pub(super) fn of_temporary(path: &Path) -> Option<(Source, PathBuf, u64)> {
    let name = path.file_name()?.to_str()?.strip_suffix(TEMPORARY)?;
    let (file, id) = name.rsplit_once('.')?;
    let id = u64::from_str_radix(id, 16).ok()?;
    let (base, shard) = file.strip_suffix(".dfs")?.rsplit_once('-')?;
    shard.parse::<usize>().ok()?;
    let summary = path.with_file_name(file_name(base, Part::Summary));
    Some((Source(summary), path.with_file_name(file), id))
}

/// The files of a directory whose names are text.
pub(super) fn entries(dir: &Path) -> Result<Vec<(PathBuf, String)>, FileError> {
    let shown = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    let failed = |error| FileError::system(shown, "reading the directory", &error);
    let mut found = Vec::new();
    for entry in fs::read_dir(shown).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if let Ok(name) = entry.file_name().into_string() {
            found.push((dir.join(&name), name));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(name: &str) -> FileSettings {
        FileSettings {
            dir: PathBuf::from("/data"),
            name: name.to_owned(),
            ..FileSettings::default()
        }
    }

    fn main_file(configured: &str, name: Option<&str>, format: Option<Format>) -> String {
        match Target::new(&settings(configured), name, format) {
            Ok(target) => target.main_file().display().to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_format_follows_who_says_it_most_plainly() {
        for (configured, name, format, expected) in [
            ("dump", None, None, "/data/dump-summary.dfs"),
            ("dump.rdb", None, None, "/data/dump.rdb"),
            ("dump", None, Some(Format::Rdb), "/data/dump.rdb"),
            ("dump", Some("x.rdb"), None, "/data/x.rdb"),
            ("dump.rdb", Some("x"), None, "/data/x-summary.dfs"),
            ("", None, None, "/data/dump-summary.dfs"),
        ] {
            assert_eq!(main_file(configured, name, format), expected);
        }
        assert!(main_file("dump.rdb", None, Some(Format::Shards)).contains("not called .rdb"));
        assert!(main_file("dump", Some("../x"), None).contains("without directories"));
    }

    #[test]
    fn a_timestamp_is_found_again() {
        let target = Target::new(&settings("dump-{timestamp}"), None, None).unwrap();
        let file = target.main_file();
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(matches(
            "dump-{timestamp}",
            name.strip_suffix(SUMMARY).unwrap()
        ));
        assert!(!matches("dump-{timestamp}", "dump-later"));
        assert!(matches("dump", "dump") && !matches("dump", "dump2"));
    }

    #[test]
    fn temporary_names_lead_back() {
        let target = Target::new(&settings("dump"), None, None).unwrap();
        let (summary, file, id) = of_temporary(&target.temporary(Part::Shard(3))).unwrap();
        assert_eq!(summary, target.source());
        assert_eq!((file, id), (target.file(Part::Shard(3)), target.id));
        assert_eq!(summary.shard_file(3), Some(target.file(Part::Shard(3))));
        assert!(of_temporary(&target.temporary(Part::Summary)).is_none());
        assert!(of_temporary(&target.file(Part::Shard(3))).is_none());
        let beside = beside(&target.temporary(Part::Rdb), 2);
        assert!(beside.to_str().unwrap().ends_with(".2.damselfly-tmp"));
        assert!(of_temporary(&beside).is_none());
    }
}
