//! Comparing what servers hold.

use std::collections::BTreeMap;
use std::time::Duration;

use damselfly_resp::Reply;

use crate::client::Client;
use crate::eventually::within;

/// How many differing keys a message names.
const SHOWN_KEYS: usize = 10;

/// Which digest to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    /// `DEBUG DIGEST`: keys, values and whether they expire; Redis knows it too.
    Plain,
    /// `DEBUG DIGEST STRICT`: the times of expiry too, to the millisecond.
    Strict,
}

impl Digest {
    fn command(self) -> &'static str {
        match self {
            Digest::Plain => "DEBUG DIGEST",
            Digest::Strict => "DEBUG DIGEST STRICT",
        }
    }
}

/// The digest of all that a server holds.
///
/// # Panics
/// When the server does not give one.
#[track_caller]
pub fn digest(client: &mut Client, digest: Digest) -> String {
    client.text(digest.command())
}

/// Waits until two servers hold the same, or panics after `deadline` with keys that differ.
///
/// # Panics
/// When they still differ, or a server does not answer.
#[track_caller]
pub fn same_data(deadline: Duration, left: &mut Client, right: &mut Client, kind: Digest) {
    let same = || (digest(left, kind) == digest(right, kind)).then_some(());
    if within(deadline, same).is_some() {
        return;
    }
    panic!(
        "not the same data within {deadline:?}:\n{}",
        differences(left, right).join("\n")
    );
}

/// The keys that two servers hold differently, at most ten of each database, as lines for a human.
///
/// # Panics
/// When a server does not answer.
#[track_caller]
pub fn differences(left: &mut Client, right: &mut Client) -> Vec<String> {
    let mut lines = Vec::new();
    for database in 0..16 {
        let (here, there) = (
            keys_with_digests(left, database),
            keys_with_digests(right, database),
        );
        let mut names: Vec<_> = here.keys().chain(there.keys()).collect();
        names.sort();
        names.dedup();
        let differing = names
            .into_iter()
            .filter(|key| here.get(*key) != there.get(*key));
        lines.extend(differing.take(SHOWN_KEYS).map(|key| {
            let key = key.as_slice();
            let name = key.escape_ascii();
            format!(
                "db {database} {name}: {} | {}",
                describe(left, database, key),
                describe(right, database, key)
            )
        }));
    }
    lines
}

fn keys_with_digests(client: &mut Client, database: usize) -> BTreeMap<Vec<u8>, Reply> {
    if client
        .call(&format!("SELECT {database}"))
        .as_error()
        .is_some()
    {
        return BTreeMap::new();
    }
    let mut found = BTreeMap::new();
    let mut cursor = b"0".to_vec();
    loop {
        let page = client
            .try_call(&[b"SCAN", cursor.as_slice(), b"COUNT", b"1000"])
            .expect("SCAN is answered");
        let Some([next, keys]) = page.as_items() else {
            panic!("SCAN: {page:?}")
        };
        let keys: Vec<&[u8]> = keys
            .as_items()
            .unwrap_or_default()
            .iter()
            .filter_map(Reply::as_text)
            .collect();
        if !keys.is_empty() {
            let mut command: Vec<&[u8]> = vec![b"DEBUG", b"DIGEST-VALUE"];
            command.extend(&keys);
            let digests = client
                .try_call(&command)
                .expect("DEBUG DIGEST-VALUE is answered");
            let digests = digests.as_items().unwrap_or_default().to_vec();
            found.extend(keys.iter().map(|key| key.to_vec()).zip(digests));
        }
        cursor = next.as_text().unwrap_or(b"0").to_vec();
        if cursor == b"0" {
            return found;
        }
    }
}

/// What a server says of a key: its type, and how long it lives.
fn describe(client: &mut Client, database: usize, key: &[u8]) -> String {
    client.call(&format!("SELECT {database}"));
    let mut ask = |name: &str| {
        let reply = client.try_call(&[name.as_bytes(), key]);
        reply.map_or_else(
            |error| error.to_string(),
            |reply| match reply.as_text() {
                Some(text) => String::from_utf8_lossy(text).into_owned(),
                None => reply
                    .as_integer()
                    .map_or_else(|| format!("{reply:?}"), |number| number.to_string()),
            },
        )
    };
    format!("{} pexpiretime {}", ask("TYPE"), ask("PEXPIRETIME"))
}
