//! What a primary's refusals mean.

use damselfly_resp::Reply;

use crate::error::LinkError;

/// Longest piece of a peer's words that is kept.
const MAX_WORDS: usize = 200;

/// Beginnings of errors that pass by themselves.
const PASSING: [&str; 9] = [
    "LOADING",
    "BUSY",
    "MASTERDOWN",
    "TRYAGAIN",
    "OOM",
    "ERR max number of clients",
    "ERR max number of replicas",
    "NOREPLICAS",
    "NOMASTERLINK",
];
/// Beginnings of errors that other credentials would mend.
const CREDENTIALS: [&str; 6] = [
    "NOAUTH",
    "WRONGPASS",
    "NOPERM",
    "DENIED",
    "ERR invalid password",
    "ERR AUTH",
];
/// Errors of DFLY commands after which a new greeting helps (PROTOCOL 2).
const LOST: [&str; 4] = [
    "bad master id",
    "bad sync id",
    "syncid not found",
    "invalid state",
];

/// Why `step` was refused with the error `text`.
pub(super) fn classify(step: &'static str, text: &[u8]) -> LinkError {
    let answer = words(text);
    let begins = |codes: &[&str]| codes.iter().any(|code| answer.starts_with(code));
    if begins(&PASSING) {
        LinkError::NotReady { step, answer }
    } else if begins(&CREDENTIALS) {
        LinkError::Auth { step, answer }
    } else if LOST.iter().any(|lost| answer.contains(lost)) {
        LinkError::AttemptLost { step, answer }
    } else {
        LinkError::Refused { step, answer }
    }
}

/// `reply`, if it is no error.
pub(crate) fn accepted(step: &'static str, reply: Reply) -> Result<Reply, LinkError> {
    match reply.as_error() {
        Some(text) => Err(classify(step, text)),
        None => Ok(reply),
    }
}

/// `Ok` if the reply is a simple or bulk string `expected`.
pub(super) fn expect_text(
    step: &'static str,
    reply: Reply,
    expected: &'static str,
) -> Result<(), LinkError> {
    let reply = accepted(step, reply)?;
    match reply.as_text() {
        Some(text) if text.eq_ignore_ascii_case(expected.as_bytes()) => Ok(()),
        _ => Err(bad_answer(step, expected, &reply)),
    }
}

pub(super) fn bad_answer(step: &'static str, expected: &'static str, reply: &Reply) -> LinkError {
    let mut got = format!("{reply:?}");
    if let Some(text) = reply.as_text() {
        got = words(text);
    }
    got.truncate(got.floor_char_boundary(MAX_WORDS));
    LinkError::BadAnswer {
        step,
        expected,
        got,
    }
}

/// Printable text of what a peer sent, bounded.
pub(super) fn words(text: &[u8]) -> String {
    text[..text.len().min(MAX_WORDS)].escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Severity::{Retriable, Terminal};

    #[test]
    fn every_refusal_has_its_class() {
        for (text, severity) in [
            ("LOADING Redis is loading the dataset in memory", Retriable),
            ("MASTERDOWN Link with MASTER is down", Retriable),
            ("ERR max number of clients reached", Retriable),
            ("BUSY Redis is busy running a script", Retriable),
            ("ERR syncid not found", Retriable),
            ("bad master id", Retriable),
            ("invalid state", Retriable),
            ("NOAUTH Authentication required.", Terminal),
            (
                "WRONGPASS invalid username-password pair or user is disabled.",
                Terminal,
            ),
            ("NOPERM this user has no permissions", Terminal),
            ("DENIED Redis is running in protected mode", Terminal),
            ("ERR unknown command 'REPLCONF'", Terminal),
            ("", Terminal),
        ] {
            assert_eq!(
                classify("PING", text.as_bytes()).severity(),
                severity,
                "{text}"
            );
        }
    }

    #[test]
    fn words_of_the_peer_are_bounded_and_printable() {
        let LinkError::Refused { answer, .. } = classify("PING", &[0xff; 100_000]) else {
            panic!()
        };
        assert!(answer.is_ascii() && answer.len() <= 4 * MAX_WORDS);
    }
}
