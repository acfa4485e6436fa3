//! What holds whoever publishes on whichever thread.

use damselfly_resp::Reply;
use damselfly_tests::{Client, Server, words};

/// Subscribers, which are dealt to threads in turn.
const SUBSCRIBERS: usize = 6;
/// Messages of each publisher.
const MESSAGES: usize = 2_000;

/// The text of a message.
fn payload(reply: &Reply) -> String {
    let items = reply.as_items().unwrap_or_default();
    let text = items.last().and_then(Reply::as_text);
    String::from_utf8_lossy(text.unwrap_or_else(|| panic!("no message: {reply:?}"))).into_owned()
}

#[test]
fn every_subscriber_sees_every_publishers_messages_in_their_order() {
    let server = Server::with_shards(3);
    let mut subscribers: Vec<Client> = (0..SUBSCRIBERS).map(|_| server.client()).collect();
    for (at, subscriber) in subscribers.iter_mut().enumerate() {
        if at % 2 == 0 {
            subscriber.ok("HELLO 3");
        }
        subscriber.ok(["SUBSCRIBE c", "PSUBSCRIBE c*"][at / 3]);
    }
    let publishers = 3;
    let threads: Vec<_> = (0..publishers)
        .map(|publisher| {
            let mut client = server.client();
            std::thread::spawn(move || {
                let lines: Vec<_> = (0..MESSAGES)
                    .map(|number| words(&format!("PUBLISH c {publisher}:{number}")))
                    .collect();
                for chunk in lines.chunks(100) {
                    for reply in client.pipeline(chunk).expect("the server answers") {
                        assert_eq!(reply, Reply::Integer(SUBSCRIBERS as i64));
                    }
                }
            })
        })
        .collect();
    for subscriber in &mut subscribers {
        let mut next = vec![0; publishers];
        for _ in 0..publishers * MESSAGES {
            let text = payload(&subscriber.receive().expect("a message"));
            let (publisher, number) = text.split_once(':').expect("both numbers");
            let publisher: usize = publisher.parse().expect("a number");
            assert_eq!(number, next[publisher].to_string(), "of {publisher}");
            next[publisher] += 1;
        }
    }
    for thread in threads {
        thread.join().expect("all was answered");
    }
}

/// A message is for those who had subscribed when it was published, however late it comes to their thread.
#[test]
fn nothing_comes_from_before_a_subscription_or_after_its_end() {
    let server = Server::with_shards(3);
    // Somebody on each thread, so that messages are sent there.
    let mut others: Vec<Client> = (0..3).map(|_| server.client()).collect();
    others
        .iter_mut()
        .for_each(|client| drop(client.ok("SUBSCRIBE c")));
    let (mut publisher, mut late) = (server.client(), server.client());
    for round in 0..300 {
        publisher.ok(&format!("PUBLISH c before-{round}"));
        late.ok("SUBSCRIBE c");
        publisher.ok(&format!("PUBLISH c {round}"));
        assert_eq!(
            payload(&late.receive().expect("a message")),
            round.to_string()
        );
        let ended = late.ok("UNSUBSCRIBE c");
        assert_eq!(ended.as_items().map(<[Reply]>::len), Some(3), "{ended:?}");
    }
}

#[test]
fn a_pipelined_write_is_there_when_its_message_comes() {
    let server = Server::with_shards(3);
    let (mut writer, mut reader, mut listener) =
        (server.client(), server.client(), server.client());
    listener.ok("SUBSCRIBE changed");
    for round in 0..300 {
        let key = format!("key:{round}");
        let lines = [
            format!("SET {key} {round}"),
            format!("PUBLISH changed {key}"),
        ];
        writer
            .pipeline(&lines.map(|line| words(&line)))
            .expect("answers");
        assert_eq!(payload(&listener.receive().expect("a message")), key);
        assert_eq!(reader.text(&format!("GET {key}")), round.to_string());
    }
}

/// A client that waits for a key gets its messages meanwhile.
#[test]
fn messages_come_to_a_client_that_is_blocked() {
    let server = Server::with_shards(2);
    let (mut waiting, mut other) = (server.client(), server.client());
    waiting.ok("HELLO 3");
    waiting.ok("SUBSCRIBE c");
    waiting
        .send(&words("BLPOP list 0"))
        .expect("it is connected");
    damselfly_tests::eventually(std::time::Duration::from_secs(20), "it waits", || {
        other.info("clients")["blocked_clients"] == "1"
    });
    other.ok("PUBLISH c 1");
    other.ok("PUBLISH c 2");
    assert_eq!(payload(&waiting.receive().expect("a message")), "1");
    assert_eq!(payload(&waiting.receive().expect("a message")), "2");
    other.ok("RPUSH list x");
    assert_eq!(payload(&waiting.receive().expect("a reply")), "x");
}

#[test]
fn whoever_is_gone_subscribes_no_more() {
    let server = Server::with_shards(2);
    let mut client = server.client();
    for _ in 0..3 {
        let mut subscriber = server.client();
        subscriber.ok("SUBSCRIBE a");
        subscriber.ok("PSUBSCRIBE a*");
        subscriber.ok("SSUBSCRIBE s");
        let stats = client.info("stats");
        let of = |name: &str| stats[name].clone();
        assert_eq!(
            (
                of("pubsub_channels"),
                of("pubsub_patterns"),
                of("pubsubshard_channels")
            ),
            ("1".into(), "1".into(), "1".into())
        );
        assert_eq!(client.integer("PUBLISH a x"), 2);
        let list = client.text("CLIENT LIST TYPE pubsub");
        assert!(list.contains("flags=P db=0 sub=1 psub=1 ssub=1 "), "{list}");
        drop(subscriber);
        damselfly_tests::eventually(std::time::Duration::from_secs(20), "it is gone", || {
            client.integer("PUBLISH a x") == 0 && client.integer("PUBSUB NUMPAT") == 0
        });
    }
}
