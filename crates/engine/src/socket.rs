//! Connections that the engine takes over from whoever accepted them, whatever carries their bytes.

use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// A connected stream of bytes, watched by the runtime of the thread it is on, that can go to another thread.
pub trait Socket: AsyncRead + AsyncWrite + Unpin {
    /// Leaves the present thread's runtime. What comes back, called on another thread inside its runtime, goes on there.
    ///
    /// # Errors
    /// The system's.
    fn detach(self: Box<Self>) -> io::Result<Attach>;
}

/// Continues a connection on the thread that calls it.
pub type Attach = Box<dyn FnOnce() -> io::Result<Box<dyn Socket>> + Send>;

impl Socket for TcpStream {
    fn detach(self: Box<Self>) -> io::Result<Attach> {
        let detached = self.into_std()?;
        Ok(Box::new(move || {
            Ok(Box::new(TcpStream::from_std(detached)?))
        }))
    }
}

impl Socket for UnixStream {
    fn detach(self: Box<Self>) -> io::Result<Attach> {
        let detached = self.into_std()?;
        Ok(Box::new(move || {
            Ok(Box::new(UnixStream::from_std(detached)?))
        }))
    }
}
