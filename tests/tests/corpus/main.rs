//! RDB files of every version: built from the format's description, made by real servers, damaged, and our own.

mod built;
mod made;
mod mutated;
mod packed;
mod reading;

use std::collections::BTreeMap;
use std::path::Path;

use peak_alloc::PeakAlloc;

use reading::{read, read_split};

/// Counts what decoding takes.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

#[test]
fn every_version_says_what_it_must() {
    for file in built::files() {
        for piece in [1, 7, 64, usize::MAX] {
            let told = read(&file.bytes, piece.min(file.bytes.len())).expect(file.name);
            let found: BTreeMap<_, _> = told
                .keys
                .iter()
                .map(|(key, held)| (key.clone(), (held.expire_ms, held.parts.clone())))
                .collect();
            let expected = file.keys.iter().map(|(db, key, expiry, parts)| {
                let held = (*expiry, parts.clone());
                ((*db, (*key).to_owned()), held)
            });
            assert_eq!(found, expected.collect(), "{}", file.name);
            assert_eq!(told.others, file.others, "{}", file.name);
            let piece = piece.min(file.bytes.len());
            let split = read_split(&file.bytes, piece, false);
            assert_eq!(split, read_split(&file.bytes, piece, true), "in runs");
            assert_eq!(split.expect(file.name), told, "{}", file.name);
        }
        reading::values(&file.bytes).expect(file.name);
    }
}

/// The fuzzer begins with these: what stands behind the header, behind a byte that chooses it.
#[test]
fn the_fuzzer_has_them_as_seeds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/rdb");
    for file in built::files() {
        let choice = match file.name.strip_prefix("version-") {
            Some(version) => version.parse::<u8>().expect("a number") << 4,
            None => 0,
        };
        let seed = [&[choice | 15], &file.bytes[9..]].concat();
        let path = folder.join(file.name);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &seed).expect("the seed can be written");
        }
        assert_eq!(std::fs::read(&path).ok(), Some(seed), "BLESS=1 writes it");
    }
}
