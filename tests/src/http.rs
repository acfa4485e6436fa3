//! A blocking client of HTTP/1.1: one request, one answer, by hand, so that a test says exactly which bytes come.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(20);

/// An answer of HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The number in its first line.
    pub status: u16,
    /// The lines of its head behind the first, as they came.
    pub headers: Vec<String>,
    /// What is behind its head.
    pub body: String,
}

impl Answer {
    /// The value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
    }
}

/// Sends these bytes on a connection of its own, and reads until the server closes it.
///
/// # Errors
/// The system's, also where nothing comes for long.
pub fn exchange(address: SocketAddr, request: &[u8]) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Takes an answer apart; `None`: it is no answer of HTTP.
pub fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?;
    Some(Answer {
        status: status.split(' ').next()?.parse().ok()?,
        headers: lines.map(str::to_owned).collect(),
        body: body.to_owned(),
    })
}

/// Asks for a path, with further lines of the head, each as `Name: value`.
///
/// # Panics
/// Where no answer of HTTP comes.
#[track_caller]
pub fn get(address: SocketAddr, path: &str, headers: &[&str]) -> Answer {
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for line in headers {
        request += line;
        request += "\r\n";
    }
    request += "\r\n";
    let answer = exchange(address, request.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    parse(&answer).unwrap_or_else(|| panic!("no answer of HTTP: {answer:?}"))
}
