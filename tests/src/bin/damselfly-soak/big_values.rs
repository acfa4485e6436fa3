//! Values far larger than any buffer, replicated while clients write to them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use damselfly_tests::load::{Fill, Load, LoadPlan, LoadReport, Pipe, key_name};
use damselfly_tests::{Rng, await_synced};

use crate::pair::{Pair, REPLICATION_TIMEOUT, SYNC_DEADLINE, described, follow};
use crate::{Result, Scale};

const SMALL_KEYS: u64 = 200_000;
/// Elements of one command while filling.
const STEP: u64 = 500;
const WARM_UP: Duration = Duration::from_secs(1);
const COOL_DOWN: Duration = Duration::from_secs(2);
/// What clients of other keys may ever wait, with both servers and all clients on two cores.
const OTHERS_WAIT: Duration = Duration::from_secs(1);

/// Runs it.
pub fn run(scale: &Scale) -> Result {
    let pair = Pair::apart()?;
    fill(pair.primary.address(), scale)?;
    let address = pair.primary.address();
    println!("    {} MiB resident", pair.primary.resident_bytes() >> 20);
    let rest = Clients::start(address, scale);
    std::thread::sleep(WARM_UP);
    rest.stop("at rest");
    let clients = Clients::start(address, scale);
    let start = Instant::now();
    let mut replica = pair.replica.client();
    follow(&mut replica, address)?;
    await_synced(SYNC_DEADLINE, &mut replica)?;
    println!(
        "    stable sync after {:.2} s",
        start.elapsed().as_secs_f64()
    );
    std::thread::sleep(COOL_DOWN);
    let [hash, list, others] = clients.stop("in full sync");
    pair.settle()?;
    let big = hash.latencies.longest().max(list.latencies.longest());
    let other = others.latencies.longest();
    match (big <= REPLICATION_TIMEOUT, other <= OTHERS_WAIT) {
        (true, true) => Ok(()),
        (false, _) => Err(format!("a writer to a big value waited {big:?}").into()),
        (_, false) => Err(format!("a client of another key waited {other:?}").into()),
    }
}

fn fill(address: SocketAddr, scale: &Scale) -> Result {
    let fill = Fill {
        keys: 0..SMALL_KEYS,
        value_bytes: 64,
        connections: 2,
    };
    fill.write(address)?;
    let mut pipe = Pipe::connect(address, Duration::from_secs(60))?;
    for step in 0..scale.big_fields / STEP {
        let fields: Vec<String> = (step * STEP..(step + 1) * STEP)
            .flat_map(|number| [field(number), format!("value of {number}")])
            .collect();
        queue(&mut pipe, &["HSET", "big:hash"], &fields);
        let elements: Vec<String> = (0..STEP / 2)
            .map(|number| format!("element {step} {number}"))
            .collect();
        queue(&mut pipe, &["RPUSH", "big:list"], &elements);
        if pipe.exchange()?.errors > 0 {
            return Err("filling was refused".into());
        }
    }
    Ok(())
}

fn queue(pipe: &mut Pipe, command: &[&str], arguments: &[String]) {
    let words = command.iter().map(|word| word.as_bytes());
    let words: Vec<&[u8]> = words
        .chain(arguments.iter().map(|argument| argument.as_bytes()))
        .collect();
    pipe.queue(&words);
}

fn field(number: u64) -> String {
    format!("field:{number}")
}

/// Who writes to the hash, who to the list, and who uses other keys.
struct Clients([Load; 3]);

const NAMES: [&str; 3] = ["hash", "list", "other keys"];

impl Clients {
    fn start(address: SocketAddr, scale: &Scale) -> Clients {
        let (fields, elements) = (scale.big_fields, scale.big_fields / 2);
        let plan = |rate| LoadPlan {
            rate: Some(rate),
            ..LoadPlan::default()
        };
        Clients([
            Load::start(address, plan(1_000), |_| hash_writer(fields)),
            Load::start(address, plan(1_000), |_| list_writer(elements)),
            Load::start(address, plan(2_000), |_| other_client()),
        ])
    }

    fn stop(self, when: &str) -> [LoadReport; 3] {
        let reports = self.0.map(Load::stop);
        for (name, report) in NAMES.iter().zip(&reports) {
            println!("    {when}, {name}: {}", described(report));
        }
        reports
    }
}

fn hash_writer(fields: u64) -> impl FnMut(&mut Pipe) + Send {
    let mut rng = Rng::new(1);
    move |pipe| {
        let name = field(rng.below(fields * 2));
        match rng.percent(70) {
            true => pipe.queue(&[b"HSET", b"big:hash", name.as_bytes(), b"another value"]),
            false => pipe.queue(&[b"HDEL", b"big:hash", name.as_bytes()]),
        }
    }
}

/// Writes to both ends and near one.
fn list_writer(elements: u64) -> impl FnMut(&mut Pipe) + Send {
    let mut rng = Rng::new(2);
    let mut turn = 0u64;
    move |pipe| {
        turn += 1;
        let element = format!("turn {turn}");
        match turn % 4 {
            0 => pipe.queue(&[b"RPUSH", b"big:list", element.as_bytes()]),
            1 => pipe.queue(&[b"LPOP", b"big:list"]),
            2 => {
                // Near an end: Redis's lists, too, walk to the middle.
                let index = rng.below(elements.min(1_000)).to_string();
                pipe.queue(&[b"LSET", b"big:list", index.as_bytes(), element.as_bytes()]);
            }
            _ => pipe.queue(&[b"LPUSH", b"big:list", element.as_bytes()]),
        }
    }
}

fn other_client() -> impl FnMut(&mut Pipe) + Send {
    let mut rng = Rng::new(3);
    move |pipe| {
        let name = key_name(rng.below(SMALL_KEYS));
        match rng.percent(50) {
            true => pipe.queue(&[b"GET", name.as_bytes()]),
            false => pipe.queue(&[b"SET", name.as_bytes(), b"a small value"]),
        }
    }
}
