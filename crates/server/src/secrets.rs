//! Passwords on the command line. Everybody on the machine can read the command line of a process, so the server starts itself once
//! more, in the same process, with each password in a pipe that only it can read.

use crate::flags::{Kind, find};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Longest password that a pipe is sure to hold.
const MAX_BYTES: usize = 4096;

/// Starts the process anew if there is a password among its arguments; does nothing if there is none.
///
/// # Errors
/// The system's: the process goes on as it is.
pub(crate) fn hide() -> io::Result<()> {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let arguments: Vec<OsString> = arguments.collect();
    let mut pipes = Vec::new();
    let mut hidden = Vec::new();
    for piece in pieces(&arguments) {
        match piece {
            Piece::Open(argument) => hidden.push(argument.clone()),
            Piece::Secret(line) => {
                let pipe = filled(&line)?;
                hidden.push(format!("--flagfile=/proc/self/fd/{}", pipe.as_raw_fd()).into());
                pipes.push(pipe);
            }
        }
    }
    if pipes.is_empty() || !std::path::Path::new("/proc/self/fd").exists() {
        return Ok(());
    }
    let mut command = Command::new(std::env::current_exe()?);
    Err(command.arg0(name).args(hidden).exec())
}

/// The reading end of a pipe with a line in it. It stays open in what is started.
fn filled(line: &str) -> io::Result<OwnedFd> {
    let (reader, writer) = rustix::pipe::pipe()?;
    File::from(writer).write_all(line.as_bytes())?;
    Ok(reader)
}

enum Piece<'a> {
    Open(&'a OsString),
    /// A line of a flag file.
    Secret(String),
}

/// The arguments, with those that hold a password apart.
fn pieces(arguments: &[OsString]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let piece = match secret_flag(argument) {
            Some((name, Some(value))) => line(&name, value),
            Some((name, None)) => {
                let value = rest.clone().next().and_then(|value| value.to_str());
                let line = value.and_then(|value| line(&name, value));
                if line.is_some() {
                    rest.next();
                }
                line
            }
            None => None,
        };
        pieces.push(piece.map_or(Piece::Open(argument), Piece::Secret));
    }
    pieces
}

/// The name of a flag whose value nobody is shown, and its value if that stands in the same argument.
fn secret_flag(argument: &OsString) -> Option<(String, Option<&str>)> {
    let text = argument.to_str()?;
    let bare = text.strip_prefix("--").or_else(|| text.strip_prefix('-'))?;
    let (name, value) = match bare.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (bare, None),
    };
    let name = name.replace('-', "_");
    (find(&name)?.kind == Kind::Secret).then_some((name, value))
}

/// The line of a flag file that says the same; `None` if there is none, or nothing to hide.
fn line(name: &str, value: &str) -> Option<String> {
    let fits = !value.is_empty()
        && value.len() <= MAX_BYTES
        && value.trim() == value
        && !value.contains(['\n', '\r']);
    fits.then(|| format!("--{name}={value}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_found_in_every_spelling() {
        let arguments = [
            "--port=1",
            "-requirepass",
            "a b",
            "--masterauth=x=y",
            "--requirepass=",
        ];
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let found: Vec<String> = pieces(&arguments)
            .into_iter()
            .map(|piece| match piece {
                Piece::Open(argument) => argument.to_string_lossy().into_owned(),
                Piece::Secret(line) => format!("[{}]", line.trim_end()),
            })
            .collect();
        assert_eq!(
            found,
            [
                "--port=1",
                "[--requirepass=a b]",
                "[--masterauth=x=y]",
                "--requirepass="
            ]
        );
    }
}
