//! Clients move amounts between keys on different shards, others sum them: the sum never differs, on the primary and on its replicas.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use damselfly_resp::Reply;
use damselfly_tests::{Client, Digest, FaultProxy, Rng, Server, await_synced, same_data, words};

const DEADLINE: Duration = Duration::from_secs(60);
/// Accounts, and what each holds in the beginning.
const ACCOUNTS: u64 = 8;
const AMOUNT: i64 = 1_000;
/// What has to have happened before the test ends.
const MOVES: u64 = 1_000;
const SUMS: u64 = 300;

/// What all threads share.
#[derive(Default)]
struct Bank {
    ended: AtomicBool,
    moves: AtomicU64,
}

impl Bank {
    fn goes_on(&self) -> bool {
        !self.ended.load(Ordering::Relaxed)
    }
}

/// Two different accounts.
fn two(rng: &mut Rng) -> (u64, u64) {
    let from = rng.below(ACCOUNTS);
    (from, (from + 1 + rng.below(ACCOUNTS - 1)) % ACCOUNTS)
}

fn balance(reply: &Reply) -> i64 {
    let text = reply
        .as_text()
        .and_then(|text| std::str::from_utf8(text).ok());
    text.and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("no balance: {reply:?}"))
}

fn run(client: &mut Client, lines: &[String]) -> Reply {
    let commands: Vec<_> = lines.iter().map(|line| words(line)).collect();
    let replies = client.pipeline(&commands).expect("the connection lasts");
    let failed = replies.iter().find(|reply| reply.as_error().is_some());
    assert_eq!(failed, None, "{lines:?}");
    replies.into_iter().next_back().expect("there are lines")
}

/// Moves by commands that add and subtract.
fn move_blindly(mut client: Client, seed: u64, bank: &Bank) {
    let mut rng = Rng::new(seed);
    while bank.goes_on() {
        let ((from, to), amount) = (two(&mut rng), rng.below(50));
        let lines = [
            "MULTI".to_owned(),
            format!("DECRBY account:{from} {amount}"),
            format!("INCRBY account:{to} {amount}"),
            "EXEC".to_owned(),
        ];
        run(&mut client, &lines);
        bank.moves.fetch_add(1, Ordering::Relaxed);
    }
}

/// Moves by what it has read under WATCH.
fn move_watching(mut client: Client, seed: u64, bank: &Bank) {
    let mut rng = Rng::new(seed);
    while bank.goes_on() {
        let ((from, to), amount) = (two(&mut rng), rng.between(1, 50));
        client.ok(&format!("WATCH account:{from} account:{to}"));
        let [have, has] =
            [from, to].map(|account| balance(&client.ok(&format!("GET account:{account}"))));
        let lines = [
            "MULTI".to_owned(),
            format!(
                "MSET account:{from} {} account:{to} {}",
                have - amount,
                has + amount
            ),
            "EXEC".to_owned(),
        ];
        let done = run(&mut client, &lines) != Reply::Null;
        bank.moves.fetch_add(u64::from(done), Ordering::Relaxed);
    }
}

/// Sums, by MGET and by GETs inside MULTI in turn. How often.
fn sum(mut client: Client, name: &str, sums: &AtomicU64, bank: &Bank) {
    let accounts: Vec<String> = (0..ACCOUNTS)
        .map(|account| format!("account:{account}"))
        .collect();
    let mget = [format!("MGET {}", accounts.join(" "))];
    let gets: Vec<String> = std::iter::once("MULTI".to_owned())
        .chain(accounts.iter().map(|account| format!("GET {account}")))
        .chain(std::iter::once("EXEC".to_owned()))
        .collect();
    for lines in [mget.as_slice(), &gets].into_iter().cycle() {
        if !bank.goes_on() {
            return;
        }
        let reply = run(&mut client, lines);
        let balances: Vec<i64> = reply
            .as_items()
            .unwrap_or_default()
            .iter()
            .map(balance)
            .collect();
        let found: i64 = balances.iter().sum();
        if found != ACCOUNTS as i64 * AMOUNT {
            bank.ended.store(true, Ordering::Relaxed);
            panic!("{name}: {found} = {balances:?} by {}", lines[0]);
        }
        sums.fetch_add(1, Ordering::Relaxed);
    }
}

/// Ends the test when enough has happened everywhere, or in the end.
fn oversee(bank: &Bank, sums: &[AtomicU64], mut meanwhile: impl FnMut(u64)) {
    let start = Instant::now();
    while bank.goes_on() {
        let moves = bank.moves.load(Ordering::Relaxed);
        let fewest = sums.iter().map(|sums| sums.load(Ordering::Relaxed)).min();
        if moves >= MOVES && fewest >= Some(SUMS) {
            break;
        }
        meanwhile(moves);
        assert!(
            start.elapsed() < DEADLINE || !bank.goes_on(),
            "{moves} moves, {fewest:?} sums"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    bank.ended.store(true, Ordering::Relaxed);
}

/// Movers on the primary, summers on all servers.
fn bank(primary: &Server, replicas: &[&Server], meanwhile: impl FnMut(u64)) {
    let mut client = primary.client();
    for account in 0..ACCOUNTS {
        client.ok(&format!("SET account:{account} {AMOUNT}"));
    }
    for replica in replicas {
        same_data(DEADLINE, &mut client, &mut replica.client(), Digest::Strict);
    }
    let bank = Bank::default();
    let all: Vec<&Server> = std::iter::once(primary)
        .chain(replicas.iter().copied())
        .collect();
    let sums: Vec<AtomicU64> = all.iter().map(|_| AtomicU64::new(0)).collect();
    std::thread::scope(|scope| {
        let shared = &bank;
        for seed in 0..2 {
            let (one, other) = (primary.client(), primary.client());
            scope.spawn(move || move_blindly(one, seed, shared));
            scope.spawn(move || move_watching(other, 100 + seed, shared));
        }
        for (number, (server, sums)) in all.iter().zip(&sums).enumerate() {
            let client = server.client();
            let name = if number == 0 {
                "primary".to_owned()
            } else {
                format!("replica {number}")
            };
            scope.spawn(move || sum(client, &name, sums, shared));
        }
        oversee(shared, &sums, meanwhile);
    });
    for replica in replicas {
        same_data(DEADLINE, &mut client, &mut replica.client(), Digest::Strict);
    }
}

fn replica_of(address: std::net::SocketAddr, shards: usize) -> Server {
    let replica = Server::replica_of(address, shards);
    await_synced(DEADLINE, &mut replica.client()).expect("the replica gets into stable sync");
    replica
}

#[test]
fn on_a_primary_and_replicas_of_other_shard_counts() {
    let primary = Server::with_shards(3);
    let replicas = [3, 2].map(|shards| replica_of(primary.address(), shards));
    bank(&primary, &replicas.each_ref(), |_| {});
}

#[test]
fn at_the_end_of_a_chain() {
    let primary = Server::with_shards(2);
    let middle = replica_of(primary.address(), 2);
    let end = replica_of(middle.address(), 2);
    bank(&primary, &[&middle, &end], |_| {});
}

/// What a partial sync brings is no less whole than what came before it.
#[test]
fn over_links_that_break() {
    let primary = Server::with_shards(3);
    let network = FaultProxy::new(primary.address());
    let replica = replica_of(network.address(), 3);
    let mut next = 100;
    bank(&primary, &[&replica], |moves| {
        if moves >= next {
            network.cut_all();
            next += 100;
        }
    });
    let info = replica.client().info("replication");
    assert_eq!(info["master_full_syncs"], "1");
    assert_ne!(info["psync_successes"], "0");
}
