//! Generated sequences of several clients that subscribe, publish and do other things, on both servers: every client gets the same
//! bytes after every step.

use std::io;
use std::net::SocketAddr;

use damselfly_tests::{Client, Redis, Rng, Server, words};

/// Clients of each server.
const CLIENTS: usize = 4;
/// Steps of a sequence.
const STEPS: usize = 250;

/// What clients say. Names are few, so that they meet. A transaction begins and ends in one step, so that the last word of a step is
/// never queued.
const LINES: &[&str] = &[
    "SUBSCRIBE <c>",
    "SUBSCRIBE <c> <c> <c>",
    "PSUBSCRIBE <p>",
    "PSUBSCRIBE <p> <p>",
    "SSUBSCRIBE <c>",
    "SSUBSCRIBE <c> <c>",
    "UNSUBSCRIBE <c>",
    "UNSUBSCRIBE <c> <c>",
    "PUNSUBSCRIBE <p>",
    "PUNSUBSCRIBE",
    "SUNSUBSCRIBE <c>",
    "PUBLISH <c> <m>",
    "PUBLISH <c> <m>",
    "PUBLISH <c> <m>",
    "PUBLISH <c> <m>",
    "SPUBLISH <c> <m>",
    "SPUBLISH <c> <m>",
    "PUBSUB NUMSUB <c> <c>",
    "PUBSUB SHARDNUMSUB <c>",
    "PUBSUB NUMPAT",
    "PUBSUB CHANNELS <x>",
    "PUBSUB SHARDCHANNELS <x>",
    "PUBSUB CHANNELS <c> <c>",
    "PUBSUB NOSUCH",
    "PUBLISH <c>",
    "SUBSCRIBE",
    "PING",
    "PING <m>",
    "PING <m> <m>",
    "ECHO <m>",
    "GET <c>",
    "SET <c> <m>",
    "DISCARD",
    "EXEC",
    "RESET",
    "HELLO 2",
    "HELLO 3",
    "NOSUCH <m>",
    "CLIENT REPLY SKIP;PUBLISH <c> <m>",
    "CLIENT REPLY SKIP;SUBSCRIBE <c>",
    "HELLO 3;CLIENT REPLY OFF;SUBSCRIBE <c>;PUBLISH <c> <m>;CLIENT REPLY ON",
    "SUBSCRIBE <c>;PUBLISH <c> <m>;PUBLISH <c> <m>;GET <c>",
    "MULTI;SET <c> <m>;PUBLISH <c> <m>;GET <c>;EXEC",
    "MULTI;PUBLISH <c> <m>;SPUBLISH <c> <m>;PUBLISH <c> <m>;EXEC",
    "MULTI;SUBSCRIBE <c> <c>;PUBLISH <c> <m>;PSUBSCRIBE <p>;EXEC",
    "MULTI;UNSUBSCRIBE <c>;PING;GET <c>;EXEC",
    "MULTI;SUBSCRIBE;EXEC",
    "MULTI;SUBSCRIBE <c>;DISCARD",
    "MULTI;SUBSCRIBE <c>;RESET",
];
const CHANNELS: &[&str] = &["a", "b", "ab", "abc", "news.x", "*"];
const KEYS: &[&str] = &["user:1", "user:2", "other", "list", "z"];
const PATTERNS: &[&str] = &["a*", "?", "[ab]", "news.*", "*", "nothing"];
const MESSAGES: &[&str] = &["hello", "x", "-ERR", "*3", "long.long.long.long.long.long"];

fn step(rng: &mut Rng, lines: &[&'static str]) -> Vec<String> {
    let template = *rng.pick(lines);
    let word = |word: &str, rng: &mut Rng| match word {
        "<c>" => rng.pick(CHANNELS).to_string(),
        // No pattern: names that match one come in the order of a hash table.
        "<x>" => rng.pick(&CHANNELS[..5]).to_string(),
        "<k>" => rng.pick(KEYS).to_string(),
        "<p>" => rng.pick(PATTERNS).to_string(),
        "<m>" => rng.pick(MESSAGES).to_string(),
        other => other.to_owned(),
    };
    let line = |line: &str, rng: &mut Rng| {
        let words: Vec<String> = line.split(' ').map(|part| word(part, rng)).collect();
        words.join(" ")
    };
    template.split(';').map(|part| line(part, rng)).collect()
}

/// What ends a step for each client.
const LAST_WORD: &[u8] = b"the-last-word";

/// The clients of one server.
pub struct Crowd(Vec<Client>);

impl Crowd {
    fn connect(address: SocketAddr) -> Crowd {
        let connect = |_| Client::connect(address).expect("the server accepts");
        Crowd((0..CLIENTS).map(connect).collect())
    }

    fn send(&mut self, client: usize, lines: &[String]) -> io::Result<()> {
        lines
            .iter()
            .try_for_each(|line| self.0[client].send(&words(line)))
    }

    /// Everything that a client has got from a server where all stands in the order of its happening: up to the last word.
    fn all(&mut self, client: usize) -> io::Result<Vec<Vec<u8>>> {
        let client = &mut self.0[client];
        let mut frames = Vec::new();
        // Twice: what is told by prefix comes behind all that was answered before Redis waits again.
        for _ in 0..2 {
            client.send(&[b"PING", LAST_WORD])?;
            loop {
                let (_, bytes) = client.receive_with_bytes()?;
                if is_last(&bytes) {
                    break;
                }
                frames.push(without_id(bytes));
            }
        }
        Ok(frames)
    }

    /// So many frames beside the last word, which may come before what other threads send.
    fn some(&mut self, client: usize, count: usize) -> io::Result<Vec<Vec<u8>>> {
        let client = &mut self.0[client];
        client.send(&[b"PING", LAST_WORD])?;
        let (mut frames, mut ended) = (Vec::new(), false);
        while frames.len() < count || !ended {
            let (_, bytes) = client.receive_with_bytes()?;
            match is_last(&bytes) {
                true => ended = true,
                false => frames.push(without_id(bytes)),
            }
        }
        Ok(frames)
    }
}

/// HELLO says which number the client has, which differs.
fn without_id(frame: Vec<u8>) -> Vec<u8> {
    const ID: &[u8] = b"$2\r\nid\r\n:";
    let Some(at) = frame.windows(ID.len()).position(|bytes| bytes == ID) else {
        return frame;
    };
    let digits = frame[at + ID.len()..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    let end = at + ID.len() + digits.count();
    [&frame[..at], &frame[end..]].concat()
}

/// The answer to the last word, to a client of either kind.
fn is_last(frame: &[u8]) -> bool {
    frame == b"$13\r\nthe-last-word\r\n" || frame == b"*2\r\n$4\r\npong\r\n$13\r\nthe-last-word\r\n"
}

/// Whether a client of both got the same. Messages of several patterns come in the order of a hash table.
fn same(left: &[Vec<u8>], right: &[Vec<u8>]) -> bool {
    let sorted = |frames: &[Vec<u8>]| {
        let text = frames.concat().escape_ascii().to_string();
        let mut lines: Vec<String> = text.split("\\r\\n").map(str::to_owned).collect();
        let several = |word: &str| lines.iter().filter(|line| *line == word).count() > 1;
        let unordered = several("pmessage");
        lines.sort();
        unordered.then_some(lines)
    };
    let frames = |frames: &[Vec<u8>]| {
        let mut frames = frames.to_vec();
        frames.sort();
        let keys = frames
            .iter()
            .any(|frame| frame.starts_with(b">2\r\n$10\r\ninvalidate"));
        keys.then_some(frames)
    };
    // Keys of several shards have no order among them.
    if frames(left).is_some_and(|of_left| frames(right) == Some(of_left)) {
        return true;
    }
    left == right || sorted(left).is_some_and(|lines| sorted(right) == Some(lines))
}

fn shown(frames: &[Vec<u8>]) -> String {
    let frames: Vec<String> = frames
        .iter()
        .map(|frame| frame.escape_ascii().to_string())
        .collect();
    frames.join("\n    ")
}

/// Runs one sequence on both servers.
pub fn run(seed: u64, lines: &[&'static str], redis: SocketAddr, server: SocketAddr) {
    let mut rng = Rng::new(seed);
    let (mut theirs, mut ours) = (Crowd::connect(redis), Crowd::connect(server));
    for crowd in [&mut theirs, &mut ours] {
        crowd.0[0].ok("FLUSHALL");
    }
    let mut log = Vec::new();
    for _ in 0..STEPS {
        let (who, lines) = (rng.index(CLIENTS), step(&mut rng, lines));
        log.push(format!("{who}: {}", lines.join("; ")));
        for crowd in [&mut theirs, &mut ours] {
            crowd.send(who, &lines).expect("it is connected");
        }
        // Whoever acts first: when it has its answers, the others' messages are on their way.
        let all = (0..CLIENTS).map(|next| (who + next) % CLIENTS);
        for client in all {
            let left = theirs.all(client).expect("redis answers");
            let right = ours.some(client, left.len());
            let same = right.as_ref().is_ok_and(|right| same(&left, right));
            assert!(
                same,
                "seed {seed}:\n{}\n  client {client} of redis has\n    {}\n  and here\n    {}",
                log.join("\n"),
                shown(&left),
                right.map_or_else(|error| error.to_string(), |right| shown(&right))
            );
        }
    }
}

pub fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    match number("PUBSUB_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..1 + number("PUBSUB_SEEDS").unwrap_or(2),
    }
}

#[test]
fn everybody_gets_what_redis_sends() {
    let redis = Redis::start();
    for threads in [1, 3] {
        let server = Server::start(&[&format!("--proactor_threads={threads}")]);
        for seed in seeds() {
            run(seed, LINES, redis.address(), server.address());
        }
    }
}
