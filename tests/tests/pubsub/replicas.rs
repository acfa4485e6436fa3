//! What is published on a primary reaches the subscribers of its replicas, and of theirs.

use std::time::Duration;

use damselfly_resp::Reply;
use damselfly_tests::{Client, Server, await_synced, words};

const DEADLINE: Duration = Duration::from_secs(60);

fn message(channel: &str, text: &str) -> Reply {
    let parts = ["message", channel, text];
    Reply::Array(
        parts
            .map(|part| Reply::Bulk(part.as_bytes().to_vec()))
            .into(),
    )
}

/// Each follows the one before.
fn chain(shards: [usize; 3]) -> Vec<Server> {
    let mut servers = vec![Server::with_shards(shards[0])];
    for shards in &shards[1..] {
        let above = servers.last().expect("there is one").address();
        let replica = Server::replica_of(above, *shards);
        await_synced(DEADLINE, &mut replica.client()).expect("it follows");
        servers.push(replica);
    }
    servers
}

fn listen(server: &Server) -> Client {
    let mut client = server.client();
    client.set_timeout(Some(DEADLINE)).expect("a timeout");
    client.ok("SUBSCRIBE c");
    client
}

#[test]
fn messages_go_down_a_chain() {
    for shards in [[2, 2, 2], [1, 3, 2]] {
        let servers = chain(shards);
        let mut listeners: Vec<Client> = servers.iter().map(listen).collect();
        let mut client = servers[0].client();
        client.ok("SET key value");
        for number in 0..20 {
            assert_eq!(client.integer(&format!("PUBLISH c {number}")), 1);
        }
        let lines = [
            "MULTI",
            "SET key other",
            "PUBLISH c queued",
            "INCR n",
            "PUBLISH c last",
            "EXEC",
        ];
        let replies = client.pipeline(&lines.map(words)).expect("answers");
        assert_eq!(
            replies[5].as_items().map(<[Reply]>::len),
            Some(4),
            "{replies:?}"
        );
        for listener in &mut listeners {
            let numbers = (0..20).map(|number| number.to_string());
            for text in numbers.chain(["queued".to_owned(), "last".to_owned()]) {
                assert_eq!(
                    listener.receive().expect("a message"),
                    message("c", &text),
                    "{shards:?}"
                );
            }
        }
        // WAIT counts a message among what a replica has to have.
        client.ok("PUBLISH c again");
        assert_eq!(client.integer("WAIT 1 20000"), 1);
    }
}

#[test]
fn what_is_published_on_a_replica_stays_there_and_below_nobody_hears_it() {
    let servers = chain([2, 2, 2]);
    let mut listeners: Vec<Client> = servers.iter().map(listen).collect();
    assert_eq!(servers[1].client().integer("PUBLISH c of-the-replica"), 1);
    assert_eq!(servers[0].client().integer("PUBLISH c of-the-primary"), 1);
    assert_eq!(
        listeners[1].receive().expect("a message"),
        message("c", "of-the-replica")
    );
    for listener in &mut listeners {
        assert_eq!(
            listener.receive().expect("a message"),
            message("c", "of-the-primary")
        );
    }
}

#[test]
fn shard_channels_are_followed_too() {
    let servers = chain([1, 1, 1]);
    let mut listener = servers[2].client();
    listener.ok("SSUBSCRIBE c");
    servers[0].client().ok("SPUBLISH c text");
    let got = listener.receive().expect("a message");
    assert_eq!(
        got.as_items().and_then(|items| items[0].as_text()),
        Some(&b"smessage"[..])
    );
}
