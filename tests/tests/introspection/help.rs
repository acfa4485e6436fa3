//! HELP of every container: a headline, subcommands in capitals, what they do behind four blanks.

use super::text;
use damselfly_tests::{Client, Redis, Server};

fn help(client: &mut Client, container: &str) -> Option<Vec<String>> {
    let reply = client.call(&format!("{container} HELP"));
    Some(reply.as_items()?.iter().map(text).collect())
}

/// The subcommands that a text tells of.
fn subcommands(lines: &[String]) -> Vec<&str> {
    let heads = lines[1..].iter().filter(|line| !line.starts_with(' '));
    heads
        .filter_map(|line| line.split(' ').next())
        .filter(|word| {
            word.chars()
                .all(|sign| sign.is_ascii_uppercase() || sign == '-')
        })
        .collect()
}

/// Subcommands that are not here.
const MISSING: &[(&str, &str)] = &[];

#[test]
fn every_container_helps_as_those_of_redis_do() {
    let (server, redis) = (Server::with_shards(1), Redis::start());
    let (mut ours, mut theirs) = (server.client(), redis.client());
    for container in [
        "ACL", "CLIENT", "COMMAND", "CONFIG", "FUNCTION", "LATENCY", "MEMORY", "OBJECT", "PUBSUB",
        "SCRIPT", "SLOWLOG", "XGROUP", "XINFO",
    ] {
        let (here, there) = (help(&mut ours, container), help(&mut theirs, container));
        let (here, there) = (here.expect(container), there.expect(container));
        assert_eq!(here[0], there[0]);
        assert!(here[1..].iter().all(|line| !line.is_empty()), "{container}");
        for name in subcommands(&there) {
            let is_told =
                subcommands(&here).contains(&name) || MISSING.contains(&(container, name));
            assert!(is_told, "{container} HELP does not tell of {name}");
        }
        let ours_last = &here[here.len() - 2..];
        assert_eq!(ours_last[0], "HELP");
        assert!(ours_last[1].starts_with("    "), "{container}");
    }
    let debug = help(&mut ours, "DEBUG").expect("DEBUG HELP");
    assert!(debug[0].starts_with("DEBUG <subcommand>"));
}
