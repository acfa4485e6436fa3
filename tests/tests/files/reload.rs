//! DEBUG RELOAD and its options.

use crate::{DEADLINE, directory, end, error, fill, server, with_flags};
use damselfly_tests::{Client, Digest, Server, await_synced, digest, same_data};

/// A library with one function, whose answer tells which one it is.
fn library(client: &mut Client, name: &str, answer: u8) {
    let code = format!(
        "#!lua name={name}\nredis.register_function('{name}', function() return {answer} end)"
    );
    let loaded = client.try_call(&["FUNCTION", "LOAD", "REPLACE", &code]);
    assert!(loaded.unwrap().as_error().is_none());
}

#[test]
fn what_was_saved_last_is_loaded() {
    let dir = directory();
    let server = server(&dir, "dump", 3);
    let mut client = server.client();
    assert!(error(client.call("DEBUG RELOAD NOSAVE")).contains("no snapshot"));
    fill(&mut client);
    let expected = digest(&mut client, Digest::Strict);
    client.ok("SAVE");
    client.ok("SET later 1");
    client.ok("DEL number");
    client.ok("DEBUG RELOAD NOSAVE");
    assert_eq!(digest(&mut client, Digest::Strict), expected);
    client.ok("SET later 1");
    client.ok("DEBUG RELOAD MERGE");
    assert_eq!(client.integer("EXISTS later"), 1);
    for (options, why) in [
        ("NONSENSE", "only supports"),
        ("NOSAVE AND", "only supports"),
        ("NOFLUSH", "needs MERGE"),
    ] {
        let text = error(client.call(&format!("DEBUG RELOAD {options}")));
        assert!(text.contains(why), "{text}");
    }
}

#[test]
fn files_are_merged_into_what_is_there() {
    for format in ["--df_snapshot_format", "--nodf_snapshot_format"] {
        let dir = directory();
        let server = with_flags(&dir, "dump", 3, &[format]);
        let replica = Server::replica_of(server.address(), 3);
        let mut client = server.client();
        fill(&mut client);
        for line in [
            "SET both file",
            "HSET hash f file",
            "SET typed text",
            "EXPIRE both 10000",
        ] {
            client.ok(line);
        }
        library(&mut client, "both", 1);
        client.ok("SAVE");
        let kept = client.integer("DBSIZE");
        for line in [
            "DEL hash",
            "SET both memory",
            "DEL typed",
            "RPUSH typed a b",
            "SET only memory",
        ] {
            client.ok(line);
        }
        library(&mut client, "both", 2);
        library(&mut client, "mine", 3);
        await_synced(DEADLINE, &mut replica.client()).unwrap();
        client.ok("DEBUG RELOAD NOSAVE NOFLUSH MERGE");
        assert_eq!(client.integer("DBSIZE"), kept + 1);
        assert_eq!(client.text("GET both"), "file");
        assert!(client.integer("TTL both") > 9000);
        assert_eq!(client.text("GET typed"), "text");
        assert_eq!(client.text("HGET hash f"), "file");
        assert_eq!(client.text("GET only"), "memory");
        assert_eq!(client.integer("FCALL both 0"), 1);
        assert_eq!(client.integer("FCALL mine 0"), 3);
        // No record tells of what came out of the file.
        client.ok("SET after merging");
        await_synced(DEADLINE, &mut replica.client()).unwrap();
        same_data(DEADLINE, &mut client, &mut replica.client(), Digest::Strict);
        end(server);
    }
}
