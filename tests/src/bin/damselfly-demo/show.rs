//! What servers say, for a reader.

use damselfly_resp::Reply;
use damselfly_tests::Client;

use crate::Pair;

/// Fields of INFO replication that tell the story; all others are left out.
const HIDDEN: [&str; 2] = ["slave_read_only", "slave_priority"];

/// A heading.
pub fn step(title: &str) {
    println!("\n{title}");
}

/// ROLE and INFO replication of both.
pub fn roles(pair: &mut Pair) {
    role("primary", &mut pair.to_primary);
    role("replica", &mut pair.to_replica);
}

/// ROLE and INFO replication of one.
pub fn role(name: &str, client: &mut Client) {
    println!("\n  {name}> ROLE\n    {}", shown(&client.call("ROLE")));
    println!("  {name}> INFO replication");
    let info = client.text("INFO replication");
    let fields = info.lines().filter(|line| line.contains(':'));
    for field in fields.filter(|line| !HIDDEN.iter().any(|hidden| line.starts_with(hidden))) {
        println!("    {field}");
    }
}

/// How often the replica asked for a partial sync, and how often it got one.
pub fn psync(replica: &mut Client) -> (u64, u64) {
    let info = replica.info("replication");
    let number = |name: &str| info.get(name).and_then(|value| value.parse().ok());
    (
        number("psync_attempts").unwrap_or_default(),
        number("psync_successes").unwrap_or_default(),
    )
}

/// What the replica says of its link.
pub fn link_status(replica: &mut Client) -> String {
    let info = replica.info("replication");
    info.get("master_link_status").cloned().unwrap_or_default()
}

/// A reply in one line.
fn shown(reply: &Reply) -> String {
    if let Some(items) = reply.as_items() {
        let items: Vec<String> = items.iter().map(shown).collect();
        return format!("[{}]", items.join(", "));
    }
    match (reply.as_text(), reply) {
        (Some(text), _) => format!("{:?}", String::from_utf8_lossy(text)),
        (None, Reply::Integer(number)) => number.to_string(),
        (None, other) => format!("{other:?}"),
    }
}
