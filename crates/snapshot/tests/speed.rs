//! Time per small key. Not a check: run with `--release --ignored --nocapture`.
#![cfg(feature = "store")]

use damselfly_snapshot::*;
use damselfly_store::{DbIndex, Shard, ShardOptions, Value};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

const KEYS: usize = 1_000_000;
const PIECE: usize = 64 * 1024;

fn per_key(what: &str, start: Instant) {
    println!(
        "{what}: {:.0} ns a key",
        start.elapsed().as_nanos() as f64 / KEYS as f64
    );
}

#[test]
#[ignore = "a measurement"]
fn small_strings() {
    let mut shard = Shard::new(ShardOptions {
        dbnum: 1,
        hash_seed: 5,
    });
    for n in 0..KEYS {
        let value = Value::string(format!("{n:064}").replace('0', "v").as_bytes());
        shard.insert(DbIndex(0), format!("key:{n:012}").as_bytes(), value, None);
    }
    for lz4 in [false, true] {
        let out = Rc::new(RefCell::new(RdbWriter::new()));
        out.borrow_mut().header(&[]);
        let options = SnapshotOptions {
            lz4,
            ..SnapshotOptions::flow()
        };
        let start = Instant::now();
        let mut snapshot = Snapshots::new().begin(&mut shard, options, out.clone());
        let mut stream = Vec::with_capacity(KEYS * 100);
        while snapshot.step(&mut shard, PIECE).unwrap() != Progress::Done {
            out.borrow_mut().take_into(&mut stream);
        }
        snapshot.write_cut();
        snapshot.write_end();
        out.borrow_mut().take_into(&mut stream);
        per_key(&format!("walk, lz4 {lz4}"), start);
        println!("{} bytes a key", stream.len() / KEYS);
        read(&stream);
    }
}

fn read(stream: &[u8]) {
    let start = Instant::now();
    let mut decoder = RdbDecoder::default();
    let mut events = 0;
    for piece in stream.chunks(PIECE) {
        decoder.feed(piece);
        while decoder.next().unwrap().is_some() {
            events += 1;
        }
    }
    assert!(events > 3 * KEYS);
    per_key("decode", start);

    let start = Instant::now();
    let mut decoder = RdbDecoder::default();
    let mut assembler = Assembler::new(false);
    let mut copy = Shard::new(ShardOptions {
        dbnum: 1,
        hash_seed: 6,
    });
    for piece in stream.chunks(PIECE) {
        decoder.feed(piece);
        while let Some(event) = decoder.next().unwrap() {
            if let Some(Assembled::Entry { key, value, .. }) = assembler.take(&event).unwrap() {
                copy.insert(DbIndex(0), key, value, None);
            }
        }
    }
    per_key("decode, assemble, insert", start);
}
