//! Many subscribers, one that stops reading: nobody else is delayed, and memory is bounded.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use damselfly_tests::load::Latencies;
use damselfly_tests::{Client, Server, words};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Result, Scale};

/// Subscribers of each channel.
const SUBSCRIBERS: u64 = 10;
/// Bytes of a message, so that all of them are more than may wait for one client.
const PAYLOAD_BYTES: usize = 1200;
/// Messages that the publisher sends before it waits for the answers.
const BATCH: u64 = 10;
/// How long it rests after a batch: the servers and all subscribers share the machine.
const REST: Duration = Duration::from_millis(2);
/// Deliveries that may be under way: what is measured is the server, not how far those who read are behind.
const UNDER_WAY: u64 = 500;
/// Bytes that may wait for a subscriber (the default of Redis).
const LIMIT_BYTES: u64 = 32 << 20;
/// What the system may hold of them beside that.
const SOCKET_BYTES: u64 = 16 << 20;
/// What the server may grow by beside that: connections at work, the allocator, one sockets' buffers.
const SLACK_BYTES: u64 = 64 << 20;
/// For all that was sent to arrive.
const DEADLINE: Duration = Duration::from_secs(120);

/// What one half of the messages came to.
struct Phase {
    latencies: Latencies,
    took: Duration,
}

/// Runs both halves: all read; then one that hears everything stops.
pub fn run(scale: &Scale) -> Result {
    let server = Server::start(&["--proactor_threads=2", "--maxclients=19000"]);
    let channels = scale.subscribers / SUBSCRIBERS;
    let messages = scale.messages / 2;
    let crowd = Crowd::subscribe(&server, scale.subscribers, channels)?;
    let before = server.resident_bytes();
    let reading = crowd.publish(&server, messages, channels)?;
    let mut frozen = server.client();
    frozen.ok("PSUBSCRIBE c:*");
    let stuck = crowd.publish(&server, messages, channels)?;
    let grown = server.peak_resident_bytes().saturating_sub(before);
    let stats = server.client().info("stats");
    let dropped = stats["client_output_buffer_limit_disconnections"].clone();
    println!(
        "    {} subscribers, {} messages of {PAYLOAD_BYTES} bytes, each to {SUBSCRIBERS}",
        scale.subscribers, scale.messages
    );
    for (name, phase) in [("all read", &reading), ("one is stuck", &stuck)] {
        let of = |share| phase.latencies.percentile(share);
        println!(
            "    {name:<13}{:>9} deliveries in {:>5.1} s: p50 {:?}, p99 {:?}, longest {:?}",
            phase.latencies.count(),
            phase.took.as_secs_f64(),
            of(0.5),
            of(0.99),
            phase.latencies.longest()
        );
    }
    println!(
        "    resident before {} MiB, grown by {} MiB at most; dropped for its buffer: {dropped}",
        before >> 20,
        grown >> 20
    );
    // The quick run has too little for the limit.
    let expected = messages * PAYLOAD_BYTES as u64 > LIMIT_BYTES + SOCKET_BYTES;
    if (dropped == "1") != expected {
        return Err(format!("{dropped} clients were dropped, expected: {expected}").into());
    }
    if grown > LIMIT_BYTES + SLACK_BYTES {
        return Err(format!("memory grew by {grown} bytes").into());
    }
    let (before, after) = (
        reading.latencies.percentile(0.99),
        stuck.latencies.percentile(0.99),
    );
    if after > before * 3 + Duration::from_millis(50) {
        return Err(format!("p99 went from {before:?} to {after:?}").into());
    }
    Ok(())
}

/// The subscribers, served by a thread of their own.
struct Crowd {
    state: Arc<State>,
}

struct State {
    /// What times in messages count from.
    begun: Instant,
    subscribed: AtomicU64,
    received: AtomicU64,
    disordered: AtomicU64,
    latencies: std::sync::Mutex<Latencies>,
}

impl Crowd {
    fn subscribe(server: &Server, subscribers: u64, channels: u64) -> Result<Crowd> {
        let state = Arc::new(State {
            begun: Instant::now(),
            subscribed: AtomicU64::new(0),
            received: AtomicU64::new(0),
            disordered: AtomicU64::new(0),
            latencies: std::sync::Mutex::default(),
        });
        let (address, shared) = (server.address(), state.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            let latencies = Rc::new(RefCell::new(Latencies::default()));
            let listen = async {
                let tasks = tokio::task::LocalSet::new();
                for number in 0..subscribers {
                    let (shared, latencies) = (shared.clone(), latencies.clone());
                    let channel = number % channels;
                    tasks.spawn_local(async move {
                        let stream = TcpStream::connect(address).await.expect("it accepts");
                        listen(stream, channel, &shared, &latencies).await;
                    });
                }
                tasks.spawn_local(hand_over(shared.clone(), latencies.clone()));
                tasks.await;
            };
            runtime.block_on(listen);
        });
        state.wait("all subscribe", || {
            state.subscribed.load(Ordering::Acquire) == subscribers
        })?;
        Ok(Crowd { state })
    }

    /// Publishes so many messages to the channels in turn, and waits until all have arrived.
    fn publish(&self, server: &Server, messages: u64, channels: u64) -> Result<Phase> {
        let state = &self.state;
        let first = state.received.load(Ordering::Acquire);
        let expected = first + messages * SUBSCRIBERS;
        *state.latencies.lock().expect("nobody panics") = Latencies::default();
        let mut client: Client = server.client();
        let begun = Instant::now();
        let padding = "x".repeat(PAYLOAD_BYTES - 40);
        for batch in 0..messages / BATCH {
            let line = |at: u64| {
                let number = batch * BATCH + at;
                let sent = state.begun.elapsed().as_micros();
                let channel = number % channels;
                words(&format!(
                    "PUBLISH c:{channel} {number:020}:{sent:018}:{padding}"
                ))
            };
            let lines: Vec<_> = (0..BATCH).map(line).collect();
            client.pipeline(&lines)?;
            std::thread::sleep(REST);
            let sent = first + (batch + 1) * BATCH * SUBSCRIBERS;
            state.wait("messages arrive", || {
                sent.saturating_sub(state.received.load(Ordering::Acquire)) <= UNDER_WAY
            })?;
        }
        state.wait("all messages arrive", || {
            state.received.load(Ordering::Acquire) == expected
        })?;
        let took = begun.elapsed();
        if state.disordered.load(Ordering::Acquire) > 0 {
            return Err("messages came in another order".into());
        }
        // The last latencies are handed over a moment later.
        state.wait("all are measured", || {
            let latencies = state.latencies.lock().expect("nobody panics");
            latencies.count() == messages * SUBSCRIBERS
        })?;
        let latencies = state.latencies.lock().expect("nobody panics").clone();
        Ok(Phase { latencies, took })
    }
}

impl State {
    fn wait(&self, what: &str, condition: impl FnMut() -> bool) -> Result {
        let mut condition = condition;
        let done = damselfly_tests::within(DEADLINE, || condition().then_some(()));
        let received = self.received.load(Ordering::Acquire);
        done.ok_or_else(|| format!("not in time: {what}; {received} messages arrived").into())
    }
}

/// Gives what was measured to who waits for it, now and then.
async fn hand_over(state: Arc<State>, latencies: Rc<RefCell<Latencies>>) {
    loop {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let measured = std::mem::take(&mut *latencies.borrow_mut());
        state
            .latencies
            .lock()
            .expect("nobody panics")
            .merge(&measured);
    }
}

/// One subscriber: reads all its messages, looks at their order and age.
async fn listen(
    mut stream: TcpStream,
    channel: u64,
    state: &State,
    latencies: &RefCell<Latencies>,
) {
    let line = format!("SUBSCRIBE c:{channel}\r\n");
    stream
        .write_all(line.as_bytes())
        .await
        .expect("it is connected");
    let mut input = Vec::with_capacity(4096);
    let mut last = None;
    let mut is_subscribed = false;
    while stream
        .read_buf(&mut input)
        .await
        .is_ok_and(|bytes| bytes > 0)
    {
        if !is_subscribed && input.ends_with(b":1\r\n") {
            is_subscribed = true;
            input.clear();
            state.subscribed.fetch_add(1, Ordering::AcqRel);
            continue;
        }
        let mut at = 0;
        while let Some((number, sent, used)) = message(&input[at..]) {
            at += used;
            let age = state.begun.elapsed().as_micros() as u64;
            let age = Duration::from_micros(age.saturating_sub(sent));
            latencies.borrow_mut().record(age);
            // Numbers begin anew, with the channel's own, in the second half.
            if last.is_some_and(|last| number <= last) && number != channel {
                state.disordered.fetch_add(1, Ordering::AcqRel);
            }
            last = Some(number);
            state.received.fetch_add(1, Ordering::AcqRel);
        }
        input.drain(..at);
    }
}

/// The number in the first message of some bytes, when it was sent, and the bytes of the whole message, if it is there.
fn message(input: &[u8]) -> Option<(u64, u64, usize)> {
    let pairs = input.windows(2).enumerate();
    let head = pairs.filter(|(_, pair)| pair == b"\r\n");
    // *3, $7, message, $n, channel, $n, payload.
    let ends: Vec<usize> = head.map(|(at, _)| at).take(7).collect();
    let [_, _, _, _, _, start, end] = ends[..] else {
        return None;
    };
    let text = std::str::from_utf8(&input[start + 2..end]).ok()?;
    let mut parts = text.split(':');
    let number = parts.next()?.parse().ok()?;
    let sent = parts.next()?.parse().ok()?;
    Some((number, sent, end + 2))
}
