//! Files of real servers: each encoding, read and written again for every reader, until a server has the same data.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use damselfly_snapshot::{
    Encoder, EntryMeta, Event, Head, Profile, RdbDecoder, RdbWriter, encode_value,
};
use damselfly_tests::Redis;
use damselfly_tests::RedisVersion::{self, V62, V70};

use crate::reading::{Entry, values};

/// A directory of its own for a server's file.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("corpus-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("dump.rdb")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn server(version: RedisVersion, folder: &Path, options: &[&str]) -> Redis {
    let folder = folder.to_str().expect("a name");
    Redis::with_options(version, &[&["--dir", folder], options].concat())
}

/// Thresholds at which nothing is packed; those of 7.0 and of 6.2 are named differently.
const LOOSE: [&[&str]; 2] = [
    &[
        "--hash-max-listpack-entries",
        "0",
        "--zset-max-listpack-entries",
        "0",
        "--set-max-intset-entries",
        "0",
        "--list-max-listpack-size",
        "1",
        "--stream-node-max-entries",
        "1",
        "--rdbcompression",
        "no",
    ],
    &[
        "--hash-max-ziplist-entries",
        "0",
        "--zset-max-ziplist-entries",
        "0",
        "--set-max-intset-entries",
        "0",
        "--list-max-ziplist-size",
        "1",
        "--stream-node-max-entries",
        "1",
        "--rdbcompression",
        "no",
    ],
];
/// Thresholds at which everything is.
const TIGHT: [&[&str]; 2] = [
    &[
        "--hash-max-listpack-entries",
        "10000",
        "--hash-max-listpack-value",
        "10000",
        "--zset-max-listpack-entries",
        "10000",
        "--zset-max-listpack-value",
        "10000",
        "--set-max-intset-entries",
        "10000",
        "--list-max-listpack-size",
        "-5",
        "--list-compress-depth",
        "1",
    ],
    &[
        "--hash-max-ziplist-entries",
        "10000",
        "--hash-max-ziplist-value",
        "10000",
        "--zset-max-ziplist-entries",
        "10000",
        "--zset-max-ziplist-value",
        "10000",
        "--set-max-intset-entries",
        "10000",
        "--list-max-ziplist-size",
        "-5",
        "--list-compress-depth",
        "1",
    ],
];

/// Data of every type, small and big.
fn fill(redis: &Redis) {
    let mut client = redis.client();
    let mut run = |line: String| drop(client.ok(&line));
    run(format!("SET text {}", "compressible".repeat(50)));
    for (key, value) in [
        ("int8", "-5"),
        ("int32", "70000"),
        ("int64", "12345678901"),
        ("plain", "v"),
    ] {
        run(format!("SET {key} {value}"));
    }
    run("SET expiring v PXAT 4102444800123".into());
    for size in [3, 300] {
        for at in 0..size {
            let long = "x".repeat(at % 150);
            run(format!("RPUSH list:{size} {at} item{long}"));
            run(format!("SADD ints:{size} {}", at * 70_001));
            run(format!("SADD texts:{size} m{at}{long}"));
            run(format!("HSET hash:{size} f{at} {at} g{at} v{long}"));
            run(format!(
                "ZADD zset:{size} {at} a{at} {}.5 b{at}{long} -inf lowest",
                at * 3
            ));
            run(format!("XADD stream:{size} 5-{} f {at} g v{long}", at + 1));
        }
        run(format!("XGROUP CREATE stream:{size} group 0"));
        run(format!(
            "XREADGROUP GROUP group me COUNT 2 STREAMS stream:{size} >"
        ));
        run(format!("XDEL stream:{size} 5-2"));
        run(format!("XGROUP CREATECONSUMER stream:{size} group idle"));
    }
    run(format!("RPUSH big {} small", "b".repeat(20_000)));
    run("SELECT 9".into());
    run("SET elsewhere 1".into());
}

fn digest(redis: &Redis) -> String {
    redis.client().text("DEBUG DIGEST")
}

/// A filled server's file and its digest.
fn made(version: RedisVersion, options: &[&str]) -> (Vec<u8>, String) {
    let folder = Folder::new();
    let redis = server(version, &folder.0, options);
    fill(&redis);
    redis.client().ok("SAVE");
    let file = std::fs::read(folder.file()).expect("the file");
    (file, digest(&redis))
}

/// A file that a server would not have to be asked for, small enough to be damaged often.
pub fn small_files() -> Vec<Vec<u8>> {
    let options = [LOOSE[0], TIGHT[0]];
    options
        .map(|options| {
            let folder = Folder::new();
            let redis = server(V70, &folder.0, options);
            let mut client = redis.client();
            for line in [
                "SET text aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                "RPUSH list a 1 2 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
                "SADD ints 1 2 3 70000",
                "SADD texts a b c",
                "HSET hash f v g 1",
                "ZADD zset 1 a 2.5 b",
                "XADD stream 5-1 f v",
                "XADD stream 5-2 f v g w",
                "XGROUP CREATE stream group 0",
                "XREADGROUP GROUP group me COUNT 1 STREAMS stream >",
                "SAVE",
            ] {
                client.ok(line);
            }
            std::fs::read(folder.file()).expect("the file")
        })
        .to_vec()
}

/// What a server that loaded this file says of it.
fn loaded(version: RedisVersion, file: &[u8]) -> String {
    let folder = Folder::new();
    std::fs::write(folder.file(), file).expect("the file");
    digest(&server(version, &folder.0, &[]))
}

fn written(profile: Profile, entries: &[Entry]) -> Vec<u8> {
    let mut writer = RdbWriter::for_readers(profile);
    writer.header(&[(b"redis-ver", b"7.0.0")]);
    let mut encoder = Encoder::new(profile);
    for entry in entries {
        writer.select(entry.db);
        let meta = EntryMeta::new(&entry.key).expiring(entry.expire_ms);
        let head = Head::Entry(&meta);
        encode_value(&mut encoder, writer.buffer(), head, &entry.value);
    }
    writer.end();
    writer.take()
}

fn types(file: &[u8]) -> BTreeSet<u8> {
    let mut decoder = RdbDecoder::default();
    decoder.feed(file);
    let mut types = BTreeSet::new();
    while let Some(event) = decoder.next().expect("a sound file") {
        if let Event::Key(meta) = event {
            types.insert(meta.type_byte);
        }
    }
    assert!(decoder.is_ended());
    types
}

fn travels(version: RedisVersion, options: &[&str], expected: &[u8]) {
    let (file, digest) = made(version, options);
    assert_eq!(types(&file), expected.iter().copied().collect());
    let entries = values(&file).expect("a sound file");
    let count = entries.len();
    for (profile, readers) in [
        (Profile::Redis62, &[V62, V70][..]),
        (Profile::Redis70, &[V70]),
        (Profile::Redis72, &[]),
        (Profile::Redis74, &[]),
    ] {
        let ours = written(profile, &entries);
        for reader in readers {
            assert_eq!(loaded(*reader, &ours), digest, "{profile:?} in {reader:?}");
        }
        let again = values(&ours).expect("our own");
        assert_eq!(again.len(), count, "{profile:?}");
        // Back to the version that a server here reads: the newer forms have lost nothing.
        let back = written(Profile::Redis62, &again);
        assert_eq!(loaded(V70, &back), digest, "{profile:?} and back");
    }
}

#[test]
fn packed_files_of_7_0_travel() {
    travels(V70, TIGHT[0], &[0, 2, 11, 16, 17, 18, 19]);
}

#[test]
fn loose_files_of_7_0_travel() {
    travels(V70, LOOSE[0], &[0, 2, 4, 5, 18, 19]);
}

#[test]
fn packed_files_of_6_2_travel() {
    travels(V62, TIGHT[1], &[0, 2, 11, 12, 13, 14, 15]);
}

#[test]
fn loose_files_of_6_2_travel() {
    travels(V62, LOOSE[1], &[0, 2, 4, 5, 14, 15]);
}

#[test]
fn our_files_suit_their_readers() {
    let (file, _) = made(V70, &[]);
    let entries = values(&file).expect("a sound file");
    for (profile, expected) in [
        (Profile::Redis62, &[0, 2, 4, 5, 11, 12, 13, 14, 15][..]),
        (Profile::Redis70, &[0, 2, 4, 5, 11, 16, 17, 18, 19]),
        (Profile::Redis72, &[0, 2, 4, 5, 11, 16, 17, 18, 20, 21]),
        (Profile::Redis74, &[0, 2, 4, 5, 11, 16, 17, 18, 20, 21]),
    ] {
        let ours = written(profile, &entries);
        let magic = format!("REDIS{:04}", profile.rdb_version());
        assert!(ours.starts_with(magic.as_bytes()));
        assert_eq!(
            types(&ours),
            expected.iter().copied().collect(),
            "{profile:?}"
        );
    }
}

/// Somebody else's reader, which knows versions up to 9.
#[test]
fn rdbtools_reads_ours() {
    let named = std::env::var_os("DAMSELFLY_RDBTOOLS").map(PathBuf::from);
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/venv/bin/rdb");
    let program = named.unwrap_or(installed);
    assert!(
        program.is_file(),
        "rdbtools is missing; cargo xtask peers installs it"
    );
    let (file, _) = made(V62, TIGHT[1]);
    let entries = values(&file).expect("a sound file");
    let folder = Folder::new();
    std::fs::write(folder.file(), written(Profile::Redis62, &entries)).expect("the file");
    let output = Command::new(program)
        .args(["--command", "justkeys"])
        .arg(folder.file())
        .output()
        .expect("rdbtools runs");
    let keys: BTreeSet<Vec<u8>> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    for entry in &entries {
        assert!(
            keys.contains(&entry.key),
            "{}: {error}",
            entry.key.escape_ascii()
        );
    }
}
