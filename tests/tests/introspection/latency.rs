//! The latency monitor: what the server does on its own, beside commands.

use super::text;
use damselfly_resp::Reply;
use damselfly_tests::{Client, Server};

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
    // Slices of expiry and eviction are too short to be told of, unless the machine is busy.
    assert!(events(&mut client).contains(&"loading".to_owned()));
    let history = client.ok("LATENCY HISTORY loading");
    assert!(!history.as_items().expect("samples").is_empty());
    assert!(client.text("LATENCY GRAPH loading").starts_with("loading"));
    assert!(client.text("LATENCY DOCTOR").contains("loading: in "));
    assert_eq!(client.integer("LATENCY RESET loading"), 1);
}
