//! Nanoseconds a command: `cargo bench -p damselfly-resp`. Medians of several runs; no framework, so
//! that it builds in seconds.

use std::hint::black_box;
use std::time::Instant;

use damselfly_resp::{
    ArgVec, LongDouble, Proto, ReplyDecoder, ReplyWriter, RequestDecoder, encode_command,
    format_double, format_long_double,
};

const COMMANDS: usize = 1000;
const ROUNDS: usize = 500;
const RUNS: usize = 9;

fn main() {
    requests("GET, 16-byte key", &[b"GET", b"key:000000000001"]);
    requests(
        "SET, 16-byte key, 64-byte value",
        &[b"SET", b"key:000000000001", &[b'x'; 64]],
    );
    requests(
        "SET, 16-byte key, 1 KB value",
        &[b"SET", b"key:000000000001", &[b'x'; 1000]],
    );
    requests(
        "MSET of 10",
        &[&b"MSET"[..]]
            .into_iter()
            .chain([&b"value"[..]; 20])
            .collect::<Vec<_>>(),
    );
    inline();
    split_bulk();
    replies();
    numbers();
}

fn requests(name: &str, args: &[&[u8]]) {
    let mut input = Vec::new();
    for _ in 0..COMMANDS {
        encode_command(&mut input, args);
    }
    decode_all(name, &input);
}

fn inline() {
    decode_all("inline PING", &b"PING\r\n".repeat(COMMANDS));
}

fn decode_all(name: &str, input: &[u8]) {
    let mut decoder = RequestDecoder::default();
    measure(&format!("decode {name}"), COMMANDS, || {
        let mut at = 0;
        while at < input.len() {
            let mut args = ArgVec::new();
            let used = decoder
                .decode(&input[at..], &mut args)
                .expect("valid")
                .expect("complete");
            black_box(&args);
            at += used;
        }
    });
}

/// A bulk of 16 MB that arrives in pieces of 16 KB: the cost of a call that finds it incomplete.
fn split_bulk() {
    let mut input = Vec::new();
    encode_command(&mut input, &[b"SET", b"key", &vec![b'x'; 16 << 20]]);
    let ends: Vec<usize> = (1..)
        .map(|piece| piece * 16384)
        .take_while(|&end| end < input.len())
        .collect();
    let mut decoder = RequestDecoder::default();
    measure(
        "decode, a call for a piece of a large bulk",
        ends.len() + 1,
        || {
            for end in ends.iter().copied().chain([input.len()]) {
                let mut args = ArgVec::new();
                black_box(decoder.decode(&input[..end], &mut args).expect("valid"));
            }
        },
    );
}

fn replies() {
    let mut out = Vec::new();
    measure("write a 64-byte bulk reply", COMMANDS, || {
        out.clear();
        let mut reply = ReplyWriter::new(&mut out, Proto::Resp2);
        (0..COMMANDS).for_each(|_| reply.bulk(black_box([b'x'; 64])));
    });
    let input = out.clone();
    let mut decoder = ReplyDecoder::default();
    measure("decode a 64-byte bulk reply", COMMANDS, || {
        let mut rest = &input[..];
        while let Some(reply) = decoder.decode(&mut rest).expect("valid") {
            black_box(reply);
        }
    });
}

fn numbers() {
    let mut out = Vec::new();
    let mut print = |name: &str, value: f64| {
        measure(&format!("format_double {name}"), COMMANDS, || {
            out.clear();
            (0..COMMANDS).for_each(|_| format_double(&mut out, black_box(value)));
        });
    };
    print("17", 17.0);
    print("0.1", 0.1);
    let (a, b) = (&b"10.53"[..], LongDouble::from(0.25));
    measure("INCRBYFLOAT: parse, add, format", COMMANDS, || {
        out.clear();
        for _ in 0..COMMANDS {
            let sum = LongDouble::parse(black_box(a))
                .and_then(|a| a.add(b))
                .expect("finite");
            format_long_double(&mut out, sum);
        }
    });
}

fn measure(name: &str, operations: usize, mut run: impl FnMut()) {
    let rounds = ROUNDS * COMMANDS / operations / 10;
    let mut nanos: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            (0..rounds).for_each(|_| run());
            start.elapsed().as_nanos() as f64 / (rounds * operations) as f64
        })
        .collect();
    nanos.sort_by(f64::total_cmp);
    println!("{name:<45} {:8.1} ns", nanos[RUNS / 2]);
}
