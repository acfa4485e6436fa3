//! A `redis-server` and a `damselfly` that are told the same.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use damselfly_resp::Reply;
use damselfly_tests::{Client, Redis, Server, words};

/// The two servers, with connections by name.
pub struct Both {
    pub redis: Redis,
    pub server: Server,
    clients: BTreeMap<String, (Client, Client)>,
    newer: Option<Rc<HashSet<String>>>,
}

impl Both {
    pub fn start() -> Both {
        Both::of(Redis::start(), Server::with_shards(2))
    }

    pub fn of(redis: Redis, server: Server) -> Both {
        Both {
            redis,
            server,
            clients: BTreeMap::new(),
            newer: None,
        }
    }

    /// The connections of this name, made when they are first asked for.
    pub fn clients(&mut self, name: &str) -> &mut (Client, Client) {
        let Both {
            redis,
            server,
            clients,
            ..
        } = self;
        clients
            .entry(name.to_owned())
            .or_insert_with(|| (redis.client(), server.client()))
    }

    /// Replaces the connections of this name by new ones.
    pub fn reconnect(&mut self, name: &str) {
        self.clients.remove(name);
    }

    /// Sends a request on both, and gives the replies' bytes.
    pub fn ask<A: AsRef<[u8]>>(&mut self, name: &str, args: &[A]) -> (Vec<u8>, Vec<u8>) {
        let (left, right) = self.clients(name);
        let sent = (left.send(args), right.send(args));
        let answer = |client: &mut Client, sent: std::io::Result<()>| {
            let received = sent.and_then(|()| client.receive_with_bytes());
            received.map_or_else(|_| b"closed".to_vec(), |(_, bytes)| bytes)
        };
        (answer(left, sent.0), answer(right, sent.1))
    }

    /// The same, and the replies must be equal byte for byte.
    #[track_caller]
    pub fn same<A: AsRef<[u8]>>(&mut self, name: &str, args: &[A]) -> Vec<u8> {
        let (left, right) = self.ask(name, args);
        let line: Vec<_> = args
            .iter()
            .map(|arg| String::from_utf8_lossy(arg.as_ref()))
            .collect();
        assert_eq!(
            left.escape_ascii().to_string(),
            right.escape_ascii().to_string(),
            "{name}: {line:?}"
        );
        left
    }

    /// The same for a line of words.
    #[track_caller]
    pub fn line(&mut self, name: &str, line: &str) -> Vec<u8> {
        self.same(name, &words(line))
    }

    /// The replies to a request, for comparing what is not equal byte for byte.
    pub fn replies(&mut self, name: &str, line: &str) -> (Reply, Reply) {
        let (left, right) = self.clients(name);
        (left.call(line), right.call(line))
    }

    /// The commands that Redis 7.0 lacks.
    pub fn newer(&mut self) -> Rc<HashSet<String>> {
        if let Some(newer) = &self.newer {
            return newer.clone();
        }
        let (theirs, ours) = self.replies("list", "COMMAND LIST");
        let names = |reply: &Reply| -> HashSet<String> {
            let items = reply.as_items().unwrap_or_default().iter();
            let text = |item: &Reply| {
                String::from_utf8_lossy(item.as_text().unwrap_or_default()).into_owned()
            };
            items.map(text).collect()
        };
        let newer = Rc::new(&names(&ours) - &names(&theirs));
        self.newer = Some(newer.clone());
        newer
    }
}
