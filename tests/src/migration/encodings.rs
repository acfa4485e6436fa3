//! Which encodings a server holds.

use std::collections::BTreeMap;
use std::io;

use damselfly_resp::Reply;

use crate::client::{Args, Client};
use crate::redis::RedisVersion;

/// Keys, by type and encoding (`hash listpack`).
pub type Encodings = BTreeMap<String, u64>;

/// Counts the encodings of all keys of the database that is selected, as OBJECT ENCODING tells them.
///
/// # Errors
/// As [`Client::receive`].
pub fn encodings(client: &mut Client) -> io::Result<Encodings> {
    let (mut cursor, mut found) = (b"0".to_vec(), Encodings::new());
    loop {
        let page = client.try_call(&[b"SCAN", cursor.as_slice(), b"COUNT", b"1000"])?;
        let Some([next, keys]) = page.as_items() else {
            return Err(io::Error::other(format!("SCAN: {page:?}")));
        };
        let keys = keys.as_items().unwrap_or_default().iter();
        let questions: Vec<Args> = keys.filter_map(Reply::as_text).flat_map(about).collect();
        for pair in client.pipeline(&questions)?.chunks_exact(2) {
            let [kind, encoding] =
                [0, 1].map(|at| String::from_utf8_lossy(pair[at].as_text().unwrap_or_default()));
            *found.entry(format!("{kind} {encoding}")).or_default() += 1;
        }
        cursor = next.as_text().unwrap_or(b"0").to_vec();
        if cursor == b"0" {
            return Ok(found);
        }
    }
}

fn about(key: &[u8]) -> [Args; 2] {
    [
        vec![b"TYPE".to_vec(), key.to_vec()],
        vec![b"OBJECT".to_vec(), b"ENCODING".to_vec(), key.to_vec()],
    ]
}

/// All that a Redis of this version has.
pub fn expected(version: RedisVersion) -> Vec<String> {
    let packed = match version {
        RedisVersion::V70 => "listpack",
        RedisVersion::V62 => "ziplist",
    };
    let fixed = [
        "string int",
        "string embstr",
        "string raw",
        "list quicklist",
        "set intset",
        "set hashtable",
        "hash hashtable",
        "zset skiplist",
        "stream stream",
    ];
    let mut all: Vec<String> = fixed.map(str::to_owned).to_vec();
    all.extend(["hash", "zset"].map(|kind| format!("{kind} {packed}")));
    all
}
