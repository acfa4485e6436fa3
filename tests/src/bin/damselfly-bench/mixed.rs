//! A data set as applications have them: of twenty keys eight are sessions (JSON of 80 bytes, with an expiry time), three counters, four hashes of five
//! fields, two lists of ten, a set of ten words, a set of ten integers, and a sorted set of ten.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use damselfly_tests::Rng;
use damselfly_tests::load::Pipe;

const CONNECTIONS: u64 = 2;
/// Bytes of one exchange, about.
const EXCHANGE_BYTES: usize = 64 * 1024;
const REPLY_TIMEOUT: Duration = Duration::from_secs(60);
const ELEMENTS: u64 = 10;
const CITIES: [&str; 6] = ["Delft", "Porto", "Turin", "Lyon", "Cork", "Graz"];

/// Writes the keys of these numbers.
pub fn fill(address: SocketAddr, keys: u64) -> io::Result<()> {
    let share = keys.div_ceil(CONNECTIONS);
    std::thread::scope(|scope| {
        let starts = (0..CONNECTIONS).map(|part| part * share);
        let parts: Vec<_> = starts
            .map(|start| scope.spawn(move || write(address, start..(start + share).min(keys))))
            .collect();
        parts
            .into_iter()
            .try_for_each(|part| part.join().expect("a writer does not panic"))
    })
}

fn write(address: SocketAddr, keys: Range<u64>) -> io::Result<()> {
    let mut pipe = Pipe::connect(address, REPLY_TIMEOUT)?;
    let mut rng = Rng::new(keys.start);
    for number in keys.clone() {
        let command = command(number, &mut rng);
        let command: Vec<&[u8]> = command.iter().map(String::as_bytes).collect();
        pipe.queue(&command);
        if pipe.queued_bytes() >= EXCHANGE_BYTES || number + 1 == keys.end {
            match pipe.exchange()?.errors {
                0 => {}
                errors => return Err(io::Error::other(format!("{errors} were refused"))),
            }
        }
    }
    Ok(())
}

fn command(number: u64, rng: &mut Rng) -> Vec<String> {
    match number % 20 {
        0..8 => session(number, rng),
        8..11 => {
            let count = rng.below(1_000_000_000);
            vec![
                "SET".to_owned(),
                format!("counter:{number}"),
                count.to_string(),
            ]
        }
        11..15 => user(number, rng),
        15 | 16 => many("RPUSH", format!("queue:{number}"), |_| {
            vec![format!("job:{}", rng.below(1_000_000_000))]
        }),
        17 => many("SADD", format!("tags:{number}"), |_| {
            vec![format!("tag{}", rng.below(10_000))]
        }),
        18 => many("SADD", format!("ids:{number}"), |_| {
            vec![rng.below(1_000_000_000).to_string()]
        }),
        _ => many("ZADD", format!("board:{number}"), |_| {
            vec![
                rng.below(1_000_000).to_string(),
                format!("player:{}", rng.below(1_000_000_000)),
            ]
        }),
    }
}

fn session(number: u64, rng: &mut Rng) -> Vec<String> {
    let value = format!(
        r#"{{"user":{},"token":"{:016x}{:016x}","seen":{}}}"#,
        rng.below(10_000_000),
        rng.next_u64(),
        rng.next_u64(),
        1_700_000_000 + rng.below(10_000_000),
    );
    let seconds = (100_000 + rng.below(1_000_000)).to_string();
    ["SET", &format!("session:{number}"), &value, "EX", &seconds]
        .map(str::to_owned)
        .to_vec()
}

fn user(number: u64, rng: &mut Rng) -> Vec<String> {
    let (key, name) = (format!("user:{number}"), format!("name{number}"));
    let mail = format!("{name}@example.com");
    let (age, visits) = (rng.below(90).to_string(), rng.below(100_000).to_string());
    let city = rng.pick(&CITIES);
    [
        "HSET", &key, "name", &name, "email", &mail, "age", &age, "city", city, "visits", &visits,
    ]
    .map(str::to_owned)
    .to_vec()
}

fn many(command: &str, key: String, element: impl FnMut(u64) -> Vec<String>) -> Vec<String> {
    let words = vec![command.to_owned(), key];
    words
        .into_iter()
        .chain((0..ELEMENTS).flat_map(element))
        .collect()
}
