//! What the server says of itself and of its commands, beside redis-server 7.0.

mod command_docs;
mod config;
mod fields;
mod help;
mod latency;

use damselfly_resp::Reply;
use std::collections::BTreeMap;

fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.as_text().unwrap_or_default()).into_owned()
}

/// A flat array of names and values.
fn fields(reply: &Reply) -> BTreeMap<String, &Reply> {
    let pairs = reply.as_items().unwrap_or_default().chunks_exact(2);
    pairs.map(|pair| (text(&pair[0]), &pair[1])).collect()
}
