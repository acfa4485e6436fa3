//! Clients: on every server some that write while it takes writes, and one that reads.

use std::rc::Rc;

use damselfly_engine::thread::Thread;
use damselfly_engine::{Begun, Pipeline, Session};
use damselfly_resp::{Reply, ReplyDecoder, ReplyLimits};

use super::checkers::{ACCOUNTS, TWINS, account, twin};
use super::node::{DBNUM, Node, Running};
use super::plan::{BIG_VALUE_BYTES, LoadPlan};
use super::world::{note, pause, world};
use crate::client::Args;
use crate::commands::{Words, Workload};
use crate::rng::Rng;

/// Fields that a big value is filled with at a time.
const BIG_STEP: usize = 64;
/// Of a hundred writes so many are run by scripts.
const SCRIPTED_PERCENT: u64 = 10;
/// Steps in which it is given up.
const MOST_BIG_STEPS: usize = 1_000;

/// Starts the clients of a server that has just started.
pub fn start(node: &Rc<Node>, running: &Rc<Running>) {
    let world = world();
    for _ in 0..world.plan.load.writers {
        let thread = world.draw(|rng| rng.pick(&running.threads).clone());
        let seed = world.draw(Rng::next_u64);
        let writer = Writer::new(node.clone(), thread.clone(), seed);
        world.lanes.spawn(running.lane(thread.index), writer.run());
    }
    let thread = world.draw(|rng| rng.pick(&running.threads).clone());
    let reader = read_forever(node.clone(), thread.clone());
    world.lanes.spawn(running.lane(thread.index), reader);
}

/// A connection without a socket.
pub struct Client {
    session: Session,
}

impl Client {
    /// A client on a thread.
    pub fn new(thread: Rc<Thread>) -> Client {
        Client {
            session: Session::new(thread, Rc::new(())),
        }
    }

    /// Where it is served.
    pub fn thread(&self) -> &Rc<Thread> {
        &self.session.thread
    }

    /// Sends requests in one pipeline and waits for all replies.
    pub async fn send(&mut self, requests: &[Args]) -> Vec<Reply> {
        let mut pipeline = Pipeline::default();
        for request in requests {
            let args: Vec<&[u8]> = request.iter().map(Vec::as_slice).collect();
            let mut begun = self.session.begin(&args, &mut pipeline);
            while begun == Begun::Paused {
                self.session.finish(&mut pipeline).await;
                self.session.until_unpaused().await;
                begun = self.session.begin(&args, &mut pipeline);
            }
            if begun == Begun::Wait {
                self.session.finish(&mut pipeline).await;
                self.session.run_waiting(&args, &mut pipeline.out).await;
                self.session.wait_unblocked(&mut pipeline.out).await;
            }
        }
        self.session.finish(&mut pipeline).await;
        decode(&pipeline.out)
    }
}

fn decode(bytes: &[u8]) -> Vec<Reply> {
    let mut decoder = ReplyDecoder::new(ReplyLimits::default());
    let mut input = bytes;
    std::iter::from_fn(|| {
        decoder
            .decode(&mut input)
            .expect("the engine writes well-formed replies")
    })
    .collect()
}

struct Writer {
    node: Rc<Node>,
    client: Client,
    load: LoadPlan,
    rng: Rng,
    workload: Workload,
}

impl Writer {
    fn new(node: Rc<Node>, thread: Rc<Thread>, seed: u64) -> Writer {
        let load = world().plan.load.clone();
        let mut words = Words::tame("", load.keys);
        words.value_bytes = load.value_bytes;
        let workload = Workload::newer(seed, words).scripted(SCRIPTED_PERCENT);
        Writer {
            node,
            client: Client::new(thread),
            load,
            rng: Rng::new(seed ^ 1),
            workload,
        }
    }

    async fn run(mut self) {
        self.preload().await;
        loop {
            pause(1 + self.rng.below(self.load.pause_ms)).await;
            if !world().is_quiet() && self.node.is_primary() {
                let requests = self.requests();
                let _under_way = world().begin_request();
                self.client.send(&requests).await;
                if self.rng.percent(3) && self.node.is_primary() {
                    self.ask_for_acks().await;
                }
            }
        }
    }

    /// What stands there before anything happens.
    async fn preload(&mut self) {
        if !self.node.is_primary() {
            return;
        }
        for _ in 0..self.load.preload / self.load.writers as u64 {
            let key = format!("string:{}", self.rng.below(10_000)).into_bytes();
            let len = self.rng.index(self.load.value_bytes);
            let value = self.rng.bytes(len);
            self.client.send(&[vec![b"SET".to_vec(), key, value]]).await;
        }
        for index in 0..self.load.big_values {
            // Where memory is short it may never become so.
            let mut steps = 0..MOST_BIG_STEPS;
            while steps.next().is_some()
                && !self.is_big(index).await
                && !world().is_quiet()
                && self.node.is_primary()
            {
                let request = self.big_write(index, BIG_STEP);
                self.client.send(&[request]).await;
            }
        }
    }

    async fn is_big(&mut self, index: u64) -> bool {
        let [count, _] = big_commands(index);
        let reply = self
            .client
            .send(&[vec![count.to_vec(), big_key(index)]])
            .await;
        reply[0].as_integer().unwrap_or(0) >= big_len(index)
    }

    /// One request, or a few that go together.
    fn requests(&mut self) -> Vec<Args> {
        if self.rng.below(1_000) < self.load.global_per_mille {
            return vec![self.global()];
        }
        if self.rng.percent(self.load.multi_percent) {
            return if self.rng.percent(50) {
                self.transfer()
            } else {
                vec![self.twins()]
            };
        }
        if self.load.big_values > 0 && self.rng.percent(10) {
            let index = self.rng.below(self.load.big_values);
            return vec![self.big_write(index, 2)];
        }
        match self.rng.below(24) {
            0 | 1 => vec![self.expiring()],
            2 => self.in_another_database(),
            3 => self.flush_among_others(),
            4 => vec![self.copy()],
            _ => {
                let count = 1 + self.rng.index(6);
                self.workload.by_ref().take(count).collect()
            }
        }
    }

    fn global(&mut self) -> Args {
        let request = match self.rng.below(5) {
            0 => "FLUSHALL".to_owned(),
            1 => "FLUSHDB".to_owned(),
            _ => format!(
                "SWAPDB {} {}",
                self.rng.below(u64::from(DBNUM)),
                self.rng.below(u64::from(DBNUM))
            ),
        };
        note!("node{}: {request}", self.node.index);
        words(&request)
    }

    fn transfer(&mut self) -> Vec<Args> {
        let (from, to) = (self.rng.below(ACCOUNTS), self.rng.below(ACCOUNTS));
        let amount = self.rng.between(1, 1_000);
        let add = |to: u64, amount: i64| {
            vec![
                b"INCRBY".to_vec(),
                account(to),
                amount.to_string().into_bytes(),
            ]
        };
        vec![
            words("MULTI"),
            add(from, -amount),
            add(to, amount),
            words("EXEC"),
        ]
    }

    fn twins(&mut self) -> Args {
        let value = self.rng.between(1, 1_000_000).to_string().into_bytes();
        let pairs = (0..TWINS).flat_map(|index| [twin(index), value.clone()]);
        std::iter::once(b"MSET".to_vec()).chain(pairs).collect()
    }

    fn expiring(&mut self) -> Args {
        let (key, ms) = (self.rng.below(self.load.keys), self.rng.between(1, 1_500));
        let member = format!("m{}", 2 + 4 * self.rng.below(50));
        match self.rng.below(6) {
            3 => words(&format!("HPEXPIRE hash:{key} {ms} FIELDS 1 {member}")),
            4 => words(&format!("HSETEX hash:{key} PX {ms} FIELDS 1 {member} soon")),
            5 => words(&format!("SADDEX set:{key} {} {member}", 1 + ms / 700)),
            0 => words(&format!("PEXPIRE hash:{key} {ms}")),
            1 => words(&format!("PEXPIRE list:{key} {ms}")),
            _ => words(&format!("SET string:{key} soon PX {ms}")),
        }
    }

    fn in_another_database(&mut self) -> Vec<Args> {
        let db = self.rng.below(u64::from(DBNUM));
        let mut requests = vec![words(&format!("SELECT {db}"))];
        requests.extend(self.workload.by_ref().take(3));
        let key = self.rng.below(self.load.keys);
        requests.push(words(&format!(
            "MOVE string:{key} {}",
            self.rng.below(u64::from(DBNUM))
        )));
        requests.push(words("SELECT 0"));
        requests
    }

    /// A transaction that empties a database, and does something before and after on several shards.
    fn flush_among_others(&mut self) -> Vec<Args> {
        if self.load.global_per_mille == 0 {
            return self.transfer();
        }
        note!("node{}: FLUSHDB among others", self.node.index);
        let mut requests = vec![words("MULTI")];
        requests.extend(self.workload.by_ref().take(2));
        requests.push(words("FLUSHDB"));
        requests.push(self.twins());
        requests.extend(self.workload.by_ref().take(2));
        requests.push(words("EXEC"));
        requests
    }

    fn copy(&mut self) -> Args {
        let keys = self.load.keys;
        let (from, to, db) = (
            self.rng.below(keys),
            self.rng.below(keys),
            self.rng.below(u64::from(DBNUM)),
        );
        match self.rng.below(2) {
            0 => words(&format!("COPY set:{from} set:{to} REPLACE")),
            _ => words(&format!("COPY list:{from} list:{to} DB {db} REPLACE")),
        }
    }

    /// Asks all replicas for acks, as WAIT does.
    async fn ask_for_acks(&self) {
        let thread = self.client.thread();
        let pings = thread.on_all_shards(|core| {
            if core.journal.consumer_count() > 0 {
                core.journal.ping(core.space.now.unsigned_abs());
            }
        });
        pings.await;
    }

    /// A write to a value that is streamed in chunks.
    fn big_write(&mut self, index: u64, items: usize) -> Args {
        let [_, add] = big_commands(index);
        let mut request = vec![add.to_vec(), big_key(index)];
        if add == b"APPEND" {
            request.push(self.rng.bytes(items * 64));
            return request;
        }
        for _ in 0..items {
            let field = self.rng.below(big_len(index) as u64 * 2);
            match add {
                b"HSET" => {
                    request.extend([format!("field{field}").into_bytes(), self.rng.bytes(60)])
                }
                b"ZADD" => request.extend([
                    field.to_string().into_bytes(),
                    format!("member{field:040}").into_bytes(),
                ]),
                _ => request.push(format!("item {field:060}").into_bytes()),
            }
        }
        request
    }
}

/// How its length is asked for, and how something is added.
fn big_commands(index: u64) -> [&'static [u8]; 2] {
    match index % 4 {
        0 => [b"HLEN", b"HSET"],
        1 => [b"LLEN", b"RPUSH"],
        2 => [b"ZCARD", b"ZADD"],
        _ => [b"STRLEN", b"APPEND"],
    }
}

/// Elements, or bytes of a string.
fn big_len(index: u64) -> i64 {
    let bytes = if index % 4 == 3 { 1 } else { 100 };
    (BIG_VALUE_BYTES / bytes) as i64
}

fn big_key(index: u64) -> Vec<u8> {
    format!("big:{index}").into_bytes()
}

fn words(request: &str) -> Args {
    request
        .split(' ')
        .map(|word| word.as_bytes().to_vec())
        .collect()
}

/// Reads accounts and twins, and lets the checkers look at them.
async fn read_forever(node: Rc<Node>, thread: Rc<Thread>) {
    let mut client = Client::new(thread);
    let keys = |of: fn(u64) -> Vec<u8>, count| (0..count).map(of).collect::<Vec<_>>();
    let mut accounts = vec![b"MGET".to_vec()];
    accounts.extend(keys(account, ACCOUNTS));
    let mut twins = vec![b"MGET".to_vec()];
    twins.extend(keys(twin, TWINS));
    loop {
        pause(world().draw(|rng| rng.between(1, 80)) as u64).await;
        let before = node.replid();
        let replies = client.send(&[accounts.clone(), twins.clone()]).await;
        let (Some(accounts), Some(twins)) = (values(&replies[0]), values(&replies[1])) else {
            continue;
        };
        let world = world();
        let torn = before.is_none_or(|replid| world.watch.borrow().is_torn(replid))
            // Whatever gives way to memory breaks sums.
            || world.plan.memory.evicts_any();
        if !torn && before == node.replid() {
            world
                .watch
                .borrow_mut()
                .on_read(node.index, &accounts, &twins);
        }
    }
}

fn values(reply: &Reply) -> Option<Vec<Option<Vec<u8>>>> {
    Some(
        reply
            .as_items()?
            .iter()
            .map(|item| item.as_text().map(<[u8]>::to_vec))
            .collect(),
    )
}
