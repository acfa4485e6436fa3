//! The latency monitor: what the server does on its own, beside commands.

use super::text;
use damselfly_resp::Reply;
use damselfly_tests::{Client, Server, eventually};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20);

fn events(client: &mut Client) -> Vec<String> {
    let latest = client.ok("LATENCY LATEST");
    let items = latest.as_items().expect("events");
    let name = |event: &Reply| text(&event.as_items().expect("an event")[0]);
    items.iter().map(name).collect()
}

#[test]
fn what_the_server_does_on_its_own_is_watched() {
    let server = Server::start(&["--proactor_threads=1", "--dbfilename=data"]);
    let mut client = server.client();
    client.ok("CONFIG SET latency-monitor-threshold 1");
    client.ok("DEBUG POPULATE 2000 kept 1000");
    client.ok("DEBUG RELOAD");
    eventually(DEADLINE, "a slice of expiry takes a millisecond", || {
        for number in 0..2000 {
            client.ok(&format!("SET gone:{number} {number} PX 20"));
        }
        let seen = events(&mut client);
        ["expire-cycle", "loading"]
            .iter()
            .all(|name| seen.iter().any(|event| event == name))
    });
    for name in ["expire-cycle", "loading"] {
        let history = client.ok(&format!("LATENCY HISTORY {name}"));
        assert!(!history.as_items().expect("samples").is_empty(), "{name}");
        assert!(
            client
                .text(&format!("LATENCY GRAPH {name}"))
                .starts_with(name)
        );
        assert!(
            client
                .text("LATENCY DOCTOR")
                .contains(&format!("{name}: in "))
        );
        assert_eq!(client.integer(&format!("LATENCY RESET {name}")), 1);
    }
}
