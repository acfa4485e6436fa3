//! What a crash left: files under temporary names.

use super::error::FileError;
use super::load::read_whole;
use super::names::{self, TEMPORARY, entries};
use super::save::sync_dir;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Gives the files of a set whose summary is there their names, and removes other files that nobody writes any more.
pub(super) fn tidy_up(dir: &Path) -> Result<(), FileError> {
    let mut changed = false;
    for (path, name) in entries(dir)? {
        if name.ends_with(TEMPORARY) && !is_being_written(&path) {
            changed = true;
            tidy(&path)?;
        }
    }
    if changed { sync_dir(dir) } else { Ok(()) }
}

fn is_being_written(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
}

fn tidy(path: &Path) -> Result<(), FileError> {
    let failed = |action| move |error| FileError::system(path, action, &error);
    if let Some((summary, file, id)) = names::of_temporary(path) {
        let committed = read_whole(summary.path()).is_ok_and(|found| found.id == Some(id));
        if committed {
            tracing::warn!(path = %file.display(), "giving it its name, as its summary is there");
            return fs::rename(path, &file).map_err(failed("renaming it"));
        }
    }
    match fs::remove_file(path) {
        Ok(()) => {
            tracing::warn!(path = %path.display(), "removed what an unfinished save left");
            Ok(())
        }
        // Another server of this directory, whose file it is, was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("removing it")(error)),
    }
}
