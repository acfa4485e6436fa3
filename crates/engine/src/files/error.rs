//! Why a file could not be written or read.

use std::io;
use std::path::{Path, PathBuf};

/// Why a snapshot was not saved or not loaded. It names the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system refused something.
    #[error("{path}: {action} failed: {error}", path = .path.display())]
    System {
        /// The file or directory.
        path: PathBuf,
        /// What was tried, and where in the file.
        action: String,
        /// What the system said.
        error: String,
    },
    /// What is in the file is not a snapshot that can be loaded here.
    #[error("{path}: {why}", path = .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and at which offset.
        why: String,
    },
    /// A name that is none of a snapshot.
    #[error("'{name}': {why}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Another one is being written.
    #[error("Background save already in progress")]
    Busy,
    /// What is there is a part of what is being loaded.
    #[error("the data set is being loaded: a snapshot would have a part of it")]
    Loading,
    /// The server ends, or a thread of it has ended.
    #[error("the save was given up")]
    GivenUp,
}

impl FileError {
    /// What an action on a path came to.
    pub(super) fn system(path: &Path, action: impl Into<String>, error: &io::Error) -> FileError {
        FileError::System {
            path: path.to_owned(),
            action: action.into(),
            error: error.to_string(),
        }
    }

    pub(super) fn content(path: &Path, why: impl ToString) -> FileError {
        FileError::Content {
            path: path.to_owned(),
            why: why.to_string(),
        }
    }
}
