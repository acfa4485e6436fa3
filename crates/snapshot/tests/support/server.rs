//! A real `redis-server`.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server in a folder of its own; both go when it is dropped.
pub struct Redis {
    child: Child,
    folder: PathBuf,
}

impl Redis {
    /// Starts one over `dump`, or empty.
    pub fn start(name: &str, dump: Option<&[u8]>) -> Redis {
        let folder =
            std::env::temp_dir().join(format!("damselfly-snapshot-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        if let Some(dump) = dump {
            std::fs::write(folder.join("dump.rdb"), dump).unwrap();
        }
        let child = Command::new("redis-server")
            .args(["--port", "0", "--unixsocket", "socket", "--save", ""])
            .args(["--enable-debug-command", "local"])
            .args(["--dir", folder.to_str().unwrap()])
            .stdout(Stdio::from(
                std::fs::File::create(folder.join("log")).unwrap(),
            ))
            .spawn()
            .expect("redis-server is needed: apt-get install redis-server");
        let mut server = Redis { child, folder };
        server.wait();
        server
    }

    fn wait(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("redis-server ended with {status}: {}", self.log());
            }
            if self.connect().is_ok() && self.call(&["PING"]) == "+PONG" {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "redis-server does not answer: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn connect(&self) -> std::io::Result<UnixStream> {
        UnixStream::connect(self.folder.join("socket"))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Sends a command, returns the first line of its reply (for a bulk string: the string).
    pub fn call<T: AsRef<[u8]>>(&self, arguments: &[T]) -> String {
        String::from_utf8_lossy(&self.call_raw(arguments)).into_owned()
    }

    pub fn call_raw<T: AsRef<[u8]>>(&self, arguments: &[T]) -> Vec<u8> {
        let mut stream = self.connect().unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let mut request = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in arguments {
            request.extend_from_slice(format!("${}\r\n", argument.as_ref().len()).as_bytes());
            request.extend_from_slice(argument.as_ref());
            request.extend_from_slice(b"\r\n");
        }
        stream.write_all(&request).unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        let read = reader.read_line(&mut line);
        assert!(read.is_ok(), "{read:?}, {}", self.log());
        let line = line.trim_end().to_string();
        match line.strip_prefix('$') {
            None => line.into_bytes(),
            Some(len) => {
                let mut bulk = vec![0; len.parse().unwrap()];
                reader.read_exact(&mut bulk).unwrap();
                bulk
            }
        }
    }

    /// SAVE, and the file.
    pub fn saved(&self) -> Vec<u8> {
        assert_eq!(self.call(&["SAVE"]), "+OK");
        std::fs::read(self.folder.join("dump.rdb")).unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        remove(&self.folder);
    }
}

fn remove(folder: &Path) {
    std::fs::remove_dir_all(folder).ok();
}
