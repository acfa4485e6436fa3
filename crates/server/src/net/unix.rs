//! The Unix socket.

use super::ListenError;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The file of a Unix socket; removed when dropped.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Listens on a Unix socket, non-blocking. What a dead server left there is replaced; a living one's is not.
/// `permissions` are those of the file, if they are not to be the system's default.
///
/// # Errors
/// [`ListenError::Unix`].
pub fn listen_unix(
    path: &Path,
    permissions: Option<u32>,
) -> Result<(UnixListener, SocketFile), ListenError> {
    let wrong = |source: io::Error| ListenError::Unix {
        path: path.to_owned(),
        source,
    };
    let is_socket =
        std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket {
        if UnixStream::connect(path).is_ok() {
            return Err(wrong(io::ErrorKind::AddrInUse.into()));
        }
        std::fs::remove_file(path).map_err(wrong)?;
    }
    let listener = UnixListener::bind(path).map_err(wrong)?;
    let file = SocketFile(path.to_owned());
    listener.set_nonblocking(true).map_err(wrong)?;
    if let Some(mode) = permissions {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, permissions).map_err(wrong)?;
    }
    Ok((listener, file))
}
