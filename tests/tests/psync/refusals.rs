//! What can't be followed: named, and not tried for ever.

use damselfly_tests::RedisVersion::V70;
use damselfly_tests::{Server, eventually};

use crate::stage::{DEADLINE, Stage};

#[test]
fn a_password_is_asked_for_and_given() {
    let stage = Stage::apart(V70, &["--requirepass", "secret"], 1);
    let mut replica = stage.replica.client();
    let refused = damselfly_tests::replicaof(&mut replica, stage.network.address());
    assert!(refused.as_error().is_some(), "{refused:?}");
    let replica = Server::start(&["--proactor_threads=2", "--masterauth=secret"]);
    damselfly_tests::replicaof(&mut replica.client(), stage.redis.address());
    crate::stage::synced(&replica);
}

/// A command that is not here ends the link, and says so; the data stays.
#[test]
fn a_command_that_is_not_here_is_named() {
    let stage = Stage::apart(V70, &[], 2);
    stage.follow();
    stage.synced();
    let mut redis = stage.redis.client();
    redis.ok("SET kept 1");
    redis.ok("FUNCTION FLUSH");
    let mut replica = stage.replica.client();
    if replica
        .call("COMMAND INFO FUNCTION")
        .as_items()
        .is_some_and(|rows| rows[0] == damselfly_resp::Reply::Null)
    {
        eventually(DEADLINE, "a named error", || {
            let error = replica
                .info("replication")
                .get("master_link_error")
                .cloned();
            error.is_some_and(|error| error.contains("FUNCTION"))
        });
        assert_eq!(replica.text("GET kept"), "1");
    } else {
        stage.settle();
    }
}
