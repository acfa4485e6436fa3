//! Big values of a file whose readers know no chunks: their pieces come one by one, and stand together in the file.

use super::error::FileError;
use super::names;
use damselfly_snapshot::ValuePiece;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// So much of a value is kept in memory; more goes to a file beside.
const KEPT_BYTES: usize = 1 << 20;

/// The values that have begun and not ended, by shard (whatever tells them apart) and stream.
#[derive(Debug)]
pub(super) struct Apart {
    /// The file that they are for.
    path: PathBuf,
    open: HashMap<(usize, u32), Gathered>,
    files: u64,
}

impl Apart {
    /// For this file.
    pub(super) fn new(path: &Path) -> Apart {
        Apart {
            path: path.to_owned(),
            open: HashMap::new(),
            files: 0,
        }
    }

    /// Whether values are open.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes a piece; the whole value if it is the last one.
    ///
    /// # Errors
    /// [`FileError`]: the file beside cannot be written.
    pub(super) fn take(
        &mut self,
        shard: usize,
        piece: ValuePiece,
    ) -> Result<Option<Gathered>, FileError> {
        let id = (shard, piece.stream);
        let value = self.open.entry(id).or_default();
        value.rest.extend_from_slice(&piece.bytes);
        if value.rest.len() > KEPT_BYTES {
            if value.beside.is_none() {
                self.files += 1;
                let path = names::beside(&self.path, self.files);
                let file = unnamed(&path);
                value.beside = Some(file.map_err(|error| failed(&path, &error))?);
            }
            let moved = value.move_beside();
            moved.map_err(|error| failed(&self.path, &error))?;
        }
        Ok(piece.is_last.then(|| self.open.remove(&id)).flatten())
    }
}

/// A value: what is beside, then the rest.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) beside: Option<File>,
    pub(super) rest: Vec<u8>,
}

impl Gathered {
    fn move_beside(&mut self) -> io::Result<()> {
        if let Some(file) = &mut self.beside {
            file.write_all(&self.rest)?;
            self.rest.clear();
        }
        Ok(())
    }

    /// Hands on all bytes in order, in pieces.
    ///
    /// # Errors
    /// The system's, as reading from `path`, or what `put` says.
    pub(super) fn read(
        self,
        path: &Path,
        mut put: impl FnMut(&[u8]) -> Result<(), FileError>,
    ) -> Result<(), FileError> {
        if let Some(mut file) = self.beside {
            let mut block = vec![0; KEPT_BYTES];
            file.rewind().map_err(|error| failed(path, &error))?;
            loop {
                match file
                    .read(&mut block)
                    .map_err(|error| failed(path, &error))?
                {
                    0 => break,
                    length => put(&block[..length])?,
                }
            }
        }
        put(&self.rest)
    }
}

fn failed(path: &Path, error: &io::Error) -> FileError {
    FileError::system(path, "keeping a part of a big value beside it", error)
}

/// A file that loses its name at once. A crash in between leaves an empty one, which the next start removes as all that an
/// unfinished save left; under the same name it is taken over.
fn unnamed(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true);
    let file = options.open(path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(stream: u32, byte: u8, length: usize, is_last: bool) -> ValuePiece {
        ValuePiece {
            stream,
            db: 0,
            bytes: vec![byte; length],
            is_last,
        }
    }

    #[test]
    fn pieces_of_many_values_come_together() {
        let dir = std::env::temp_dir().join(format!("damselfly-apart-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("dump.rdb.0000.damselfly-tmp");
        let mut apart = Apart::new(&path);
        for (shard, stream, byte) in [(1, 1, b'a'), (1, 2, b'b'), (2, 1, b'c'), (1, 1, b'A')] {
            assert!(
                apart
                    .take(shard, piece(stream, byte, 700_000, false))
                    .unwrap()
                    .is_none()
            );
        }
        // All that is beside has no name.
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
        let whole = |value: Gathered| {
            let mut bytes = Vec::new();
            let read = value.read(&path, |piece| {
                bytes.extend_from_slice(piece);
                Ok(())
            });
            read.unwrap();
            bytes
        };
        let first = apart.take(1, piece(1, b'!', 1, true)).unwrap().unwrap();
        let expected = [vec![b'a'; 700_000], vec![b'A'; 700_000], vec![b'!']].concat();
        assert!(whole(first) == expected);
        let second = apart.take(2, piece(1, b'!', 0, true)).unwrap().unwrap();
        assert!(whole(second) == [b'c'; 700_000]);
        assert!(apart.is_open());
        assert!(apart.take(1, piece(2, b'!', 0, true)).unwrap().is_some());
        assert!(!apart.is_open());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    /// Killed between creating the file beside and taking its name away.
    #[test]
    fn what_a_crash_left_is_in_nobodys_way_and_goes_at_the_next_start() {
        let dir = std::env::temp_dir().join(format!("damselfly-left-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("dump.rdb.00000000000000aa.damselfly-tmp");
        let left = names::beside(&path, 1);
        std::fs::write(&left, "x").unwrap();
        let mut apart = Apart::new(&path);
        let taken = apart.take(0, piece(1, b'a', KEPT_BYTES + 1, true));
        let mut beside = taken.unwrap().unwrap().beside.unwrap();
        assert_eq!(beside.stream_position().unwrap(), KEPT_BYTES as u64 + 1);
        assert!(!left.exists());
        std::fs::write(&left, "x").unwrap();
        let settings = super::super::FileSettings {
            dir: dir.clone(),
            name: "dump".to_owned(),
            ..Default::default()
        };
        assert_eq!(super::super::find(&settings), Ok(None));
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
