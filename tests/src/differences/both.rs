//! The two servers, and scripts of commands that go to both.

use damselfly_resp::Reply;

use crate::client::{Client, words};
use crate::redis::Redis;
use crate::server::Server;

/// A `redis-server` and a `damselfly`, with a connection to each.
pub struct Both<'a> {
    /// Redis.
    pub redis: &'a Redis,
    /// The server under test.
    pub server: &'a Server,
    /// A connection to Redis.
    pub theirs: Client,
    /// A connection to the server under test.
    pub ours: Client,
}

impl<'a> Both<'a> {
    /// Connects to both.
    ///
    /// # Panics
    /// When there is no connection to be had.
    pub fn new(redis: &'a Redis, server: &'a Server) -> Both<'a> {
        Both {
            redis,
            server,
            theirs: redis.client(),
            ours: server.client(),
        }
    }

    /// New connections, and no data.
    pub(super) fn begin(&mut self) -> Result<(), String> {
        (self.theirs, self.ours) = (self.redis.client(), self.server.client());
        self.same("FLUSHALL").map(drop)
    }

    /// Sends a line to both.
    ///
    /// # Errors
    /// A connection broke.
    pub fn call(&mut self, line: &str) -> Result<(Reply, Reply), String> {
        let args = words(line);
        let call = |client: &mut Client| client.try_call(&args).map_err(|error| error.to_string());
        Ok((call(&mut self.theirs)?, call(&mut self.ours)?))
    }

    /// Sends a line to both, whose replies must be equal.
    ///
    /// # Errors
    /// They are not.
    pub fn same(&mut self, line: &str) -> Result<Reply, String> {
        let (theirs, ours) = self.call(line)?;
        if theirs == ours {
            return Ok(ours);
        }
        let (theirs, ours) = (shown(&theirs), shown(&ours));
        Err(format!("{line}: redis {theirs}, here {ours}"))
    }

    /// Sends a line to both, whose replies must differ, and be these.
    fn differs(&mut self, line: &str, redis: &str, here: &str) -> Result<(), String> {
        let (theirs, ours) = self.call(line)?;
        let (theirs, ours) = (shown(&theirs), shown(&ours));
        if theirs == ours {
            return Err(format!("{line}: both {ours}: this difference is gone"));
        }
        match fits(redis, &theirs) && fits(here, &ours) {
            true => Ok(()),
            false => Err(format!(
                "{line}: redis {theirs}, here {ours}; the row says redis {redis}, here {here}"
            )),
        }
    }

    /// Plays a script (see [`Shown::Script`](super::Shown)).
    pub(super) fn play(&mut self, script: &str) -> Result<(), String> {
        let mut differences = 0;
        for line in lines(script) {
            match line {
                Line::Same(line) => drop(self.same(line)?),
                Line::Said(line) => drop(self.call(line)?),
                Line::Differs { line, redis, here } => {
                    differences += 1;
                    self.differs(line, redis, here)?;
                }
            }
        }
        match differences {
            0 => Err("the script shows no difference".to_owned()),
            _ => Ok(()),
        }
    }
}

/// A line of a script.
pub(super) enum Line<'a> {
    Same(&'a str),
    Said(&'a str),
    Differs {
        line: &'a str,
        redis: &'a str,
        here: &'a str,
    },
}

/// The lines of a script.
pub(super) fn lines(script: &str) -> impl Iterator<Item = Line<'_>> {
    let lines = script.lines().map(str::trim);
    lines.filter(|line| !line.is_empty()).map(|line| {
        if let Some(line) = line.strip_prefix("~ ") {
            return Line::Said(line);
        }
        match line.split_once(" => ") {
            None => Line::Same(line),
            Some((line, replies)) => {
                let (redis, here) = replies
                    .split_once(" || ")
                    .expect("a reply of each in a script");
                Line::Differs { line, redis, here }
            }
        }
    })
}

/// A reply in short: what scripts are written in.
pub fn shown(reply: &Reply) -> String {
    let list = |items: &[Reply]| items.iter().map(shown).collect::<Vec<_>>().join(", ");
    match reply {
        Reply::Null => "nil".to_owned(),
        Reply::Integer(number) => number.to_string(),
        Reply::Map(pairs) => {
            let pairs = pairs
                .iter()
                .map(|(name, value)| format!("{}: {}", shown(name), shown(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        Reply::Error(text) => escaped(text),
        other => match (other.as_items(), other.as_text()) {
            (Some(items), _) => format!("[{}]", list(items)),
            (None, Some(text)) => escaped(text),
            _ => format!("{other:?}"),
        },
    }
}

/// Text as it is, other bytes in hexadecimal digits.
fn escaped(bytes: &[u8]) -> String {
    let shown = |byte: &u8| match byte {
        b' '..=b'~' => char::from(*byte).to_string(),
        other => format!("\\x{other:02x}"),
    };
    bytes.iter().map(shown).collect()
}

/// Whether a text is as a pattern says: `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(start) else {
        return false;
    };
    (0..=text.len())
        .filter(|at| text.is_char_boundary(*at))
        .any(|at| fits(rest, &text[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit() {
        assert!(fits("a*c", "abc") && fits("*", "") && fits("a", "a") && fits("*b*d", "abcd"));
        assert!(!fits("a*c", "abcd") && !fits("", "a") && !fits("b*", "ab"));
    }

    #[test]
    fn replies_are_shown_in_short() {
        let pair = (Reply::Bulk(b"x".to_vec()), Reply::Null);
        let reply = Reply::Array(vec![Reply::Integer(1), Reply::Map(vec![pair])]);
        assert_eq!(shown(&reply), "[1, {x: nil}]");
    }
}
