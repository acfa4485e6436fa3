//! A file of each version with every encoding that it brought, and what it must contain.

use damselfly_snapshot::crc64;

use crate::packed::Element::{Int, Text};
use crate::packed::{all, intset, len, listpack, text, ziplist, zipmap};

/// A file, and its keys: database, name, expiry, parts.
pub struct File {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub keys: Vec<(u32, &'static str, Option<i64>, Vec<String>)>,
    pub others: Vec<&'static str>,
}

struct Builder(File);

const EXPIRY_MS: i64 = 1_900_000_000_123;

impl Builder {
    fn new(name: &'static str, magic: &str) -> Builder {
        Builder(File {
            name,
            bytes: magic.into(),
            keys: Vec::new(),
            others: Vec::new(),
        })
    }

    fn raw(mut self, bytes: &[u8]) -> Builder {
        self.0.bytes.extend(bytes);
        self
    }

    fn told(mut self, other: &'static str) -> Builder {
        self.0.others.push(other);
        self
    }

    fn key(self, type_byte: u8, key: &'static str, value: &[u8], parts: &[&str]) -> Builder {
        self.key_in(0, type_byte, key, None, value, parts)
    }

    fn key_in(
        mut self,
        db: u32,
        type_byte: u8,
        key: &'static str,
        expiry: Option<i64>,
        value: &[u8],
        parts: &[&str],
    ) -> Builder {
        let parts = parts.iter().map(|part| (*part).to_owned()).collect();
        self.0.keys.push((db, key, expiry, parts));
        self.raw(&[type_byte]).raw(&text(key)).raw(value)
    }

    fn end(self) -> File {
        self.raw(&[255]).0
    }

    fn end_checked(self) -> File {
        let mut file = self.end();
        let crc = crc64(&file.bytes);
        file.bytes.extend(crc.to_le_bytes());
        file
    }
}

/// Every file of the corpus.
pub fn files() -> Vec<File> {
    vec![
        version_1(),
        version_2(),
        version_3(),
        version_4(),
        version_5(),
        version_6(),
        version_7(),
        version_8(),
        version_9(),
        version_10(),
        version_11(),
        version_12(),
        valkey_80(),
    ]
}

/// Plain types, integers and LZF, expiry in seconds; no checksum.
fn version_1() -> File {
    let counted = |count: usize, parts: &[&str]| {
        let parts: Vec<_> = parts.iter().map(text).collect();
        all([&len(count)[..]]
            .into_iter()
            .chain(parts.iter().map(Vec::as_slice)))
    };
    let scores = [
        &len(3)[..],
        &text("a"),
        b"\x031.5",
        &text("b"),
        &[254],
        &text("c"),
        &[255],
    ];
    // Two literals, then nine bytes back from a distance of two.
    let lzf = [0xC3, 6, 11, 1, b'a', b'b', 7 << 5, 0, 1];
    Builder::new("version-1", "REDIS0001")
        .raw(&[254, 0])
        .key(0, "text", &text("value"), &["value"])
        .key(0, "empty", &text(""), &[""])
        .key(0, "int8", &[0xC0, 0x85], &["-123"])
        .key(0, "int16", &[0xC1, 0x39, 0x30], &["12345"])
        .key(0, "int32", &[0xC2, 0xD2, 0x02, 0x96, 0x49], &["1234567890"])
        .key(0, "lzf", &lzf, &["abababababa"])
        .key(1, "list", &counted(2, &["x", "y"]), &["x", "y"])
        .key(2, "set", &counted(2, &["x", "y"]), &["x", "y"])
        .key(3, "zset", &scores.concat(), &["a=1.5", "b=inf", "c=-inf"])
        .key(4, "hash", &counted(1, &["f", "v"]), &["f=v"])
        .raw(&[254, 9, 253])
        .raw(&1_900_000_000_i32.to_le_bytes())
        .key_in(9, 0, "gone", Some(1_900_000_000_000), &text("v"), &["v"])
        .end()
}

fn version_2() -> File {
    let long = "v".repeat(300);
    let pairs = [("f", "v"), ("long", &long)];
    let expected = format!("long={long}");
    Builder::new("version-2", "REDIS0002")
        .raw(&[254, 0])
        .key(9, "zipmap", &text(zipmap(&pairs, 3)), &["f=v", &expected])
        .key(9, "zipmap-empty", &text(zipmap(&[], 0)), &[])
        .end()
}

fn version_3() -> File {
    let long = "x".repeat(300);
    let ints = [0, 12, 13, -128, 200, -40_000, 70_000, 1 << 30, 1 << 40].map(Int);
    let shown = [
        "0",
        "12",
        "13",
        "-128",
        "200",
        "-40000",
        "70000",
        "1073741824",
        "1099511627776",
    ];
    let texts = ziplist(&[Text("a"), Text(&long), Text("b")]);
    Builder::new("version-3", "REDIS0003")
        .raw(&[254, 0, 252])
        .raw(&EXPIRY_MS.to_le_bytes())
        .key_in(
            0,
            10,
            "ints",
            Some(EXPIRY_MS),
            &text(ziplist(&ints)),
            &shown,
        )
        .key(10, "texts", &text(texts), &["a", &long, "b"])
        .key(11, "set16", &text(intset(2, &[-5, 7])), &["-5", "7"])
        .key(
            11,
            "set32",
            &text(intset(4, &[-70_000, 7])),
            &["-70000", "7"],
        )
        .key(
            11,
            "set64",
            &text(intset(8, &[1 << 40])),
            &["1099511627776"],
        )
        .end()
}

fn version_4() -> File {
    let scored = ziplist(&[Text("a"), Int(3), Text("b"), Text("4.25")]);
    let pairs = ziplist(&[Text("f"), Text("v"), Text("n"), Int(-7)]);
    Builder::new("version-4", "REDIS0004")
        .raw(&[254, 0])
        .key(12, "zset", &text(scored), &["a=3", "b=4.25"])
        .key(13, "hash", &text(pairs), &["f=v", "n=-7"])
        .end()
}

fn version_5() -> File {
    Builder::new("version-5", "REDIS0005")
        .raw(&[254, 0])
        .key(0, "text", &text("value"), &["value"])
        .end_checked()
}

/// The longer forms of lengths.
fn version_6() -> File {
    let long = "z".repeat(20_000);
    let value = [&[0x80, 0, 0, 0x4E, 0x20], long.as_bytes()].concat();
    let middle = "m".repeat(1000);
    Builder::new("version-6", "REDIS0006")
        .raw(&[254, 0])
        .key(0, "long", &value, &[&long])
        .key(0, "middle", &text(&middle), &[&middle])
        .end_checked()
}

fn version_7() -> File {
    let nodes = [
        len(2),
        text(ziplist(&[Text("a"), Int(1)])),
        text(ziplist(&[Text("b")])),
    ];
    Builder::new("version-7", "REDIS0007")
        .raw(&[250, 9])
        .raw(b"redis-ver\x053.2.0")
        .told("redis-ver=3.2.0")
        .raw(&[254, 0, 251, 1, 0])
        .key(14, "list", &nodes.concat(), &["a", "1", "b"])
        .end_checked()
}

/// `ReJSON-RL`, version 3.
const MODULE: [u8; 9] = [0x81, 0x45, 0xE2, 0x52, 0x38, 0xDF, 0x91, 0x2C, 0x03];

fn module_items() -> Vec<u8> {
    let float = [&[3][..], &1.5f32.to_le_bytes()].concat();
    let double = [&[4][..], &2.5f64.to_le_bytes()].concat();
    let lzf = [5, 0xC3, 6, 11, 1, b'a', b'b', 7 << 5, 0, 1];
    let texts = [&[5][..], &text("t"), &[5, 0xC0, 7], &lzf].concat();
    [&[1, 5, 2, 0x40, 0xFF][..], &float, &double, &texts, &[0]].concat()
}

fn version_8() -> File {
    let scored = [
        &len(2)[..],
        &text("a"),
        &1.25f64.to_le_bytes(),
        &text("b"),
        &(-7f64).to_le_bytes(),
    ];
    let value = [&[0x81, 0, 0, 0, 0, 0, 0, 0, 2][..], b"hi"].concat();
    Builder::new("version-8", "REDIS0008")
        .raw(&[254, 0])
        .key(5, "zset", &scored.concat(), &["a=1.25", "b=-7"])
        .key(0, "length-of-64-bits", &value, &["hi"])
        .key(7, "module", &[&MODULE[..], &module_items()].concat(), &[])
        .end_checked()
}

/// One entry 5-1 with `f` = `v`.
fn stream_node() -> Vec<u8> {
    let head = [Int(1), Int(0), Int(1), Text("f"), Int(0)];
    let entry = [Int(2), Int(0), Int(0), Text("v"), Int(4)];
    listpack(&[&head[..], &entry].concat())
}

fn stream_id(ms: u64, number: u64) -> Vec<u8> {
    [ms.to_be_bytes(), number.to_be_bytes()].concat()
}

/// Nodes, totals, and one group in which `me` has the entry. The form tells how much is said.
fn stream(form: u8) -> Vec<u8> {
    let node = [len(1), text(stream_id(5, 1)), text(stream_node())].concat();
    let totals = match form {
        1 => vec![1, 5, 1],
        _ => vec![1, 5, 1, 5, 1, 0, 0, 1],
    };
    let group = [len(1), text("g"), vec![5, 1]].concat();
    let read = if form == 1 { vec![] } else { vec![1] };
    let time = 1_700_000_000_000_i64.to_le_bytes();
    let pending = [&[1][..], &stream_id(5, 1), &time, &[3]].concat();
    let active = if form == 3 { &time[..] } else { &[] };
    let consumer = [&[1][..], &text("me"), &time, active, &[1], &stream_id(5, 1)].concat();
    [node, totals, group, read, pending, consumer].concat()
}

fn stream_parts(form: u8) -> Vec<String> {
    let added = if form == 1 { "None" } else { "Some(1)" };
    let node = stream_node().escape_ascii().to_string();
    vec![
        format!("node (5, 1) {node}"),
        format!(
            "Totals(StreamTotals {{ length: 1, last_id: (5, 1), max_deleted_id: (0, 0), entries_added: {added} }})"
        ),
        format!("Group {{ name: [103], last_id: (5, 1), entries_read: {added} }}"),
        "Pending { id: (5, 1), delivered_ms: 1700000000000, deliveries: 3 }".into(),
        "Consumer { name: [109, 101], seen_ms: 1700000000000, active_ms: 1700000000000 }".into(),
        "Owned { id: (5, 1) }".into(),
        "GroupEnd".into(),
    ]
}

impl Builder {
    fn stream(self, type_byte: u8, form: u8) -> Builder {
        let parts = stream_parts(form);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.key(type_byte, "stream", &stream(form), &parts)
    }
}

fn version_9() -> File {
    Builder::new("version-9", "REDIS0009")
        .raw(&[247])
        .raw(&MODULE)
        .raw(&[2, 2])
        .raw(&module_items())
        .told("module ReJSON-RL version 3")
        .raw(&[254, 0, 249, 200])
        .key(0, "counted", &text("v"), &["v"])
        .raw(&[248, 0x40, 200])
        .key(0, "idle", &text("v"), &["v"])
        .stream(15, 1)
        .end_checked()
}

fn version_10() -> File {
    let ints = [1, 127, 128, -1, 5000, 1 << 40].map(Int);
    let big = "y".repeat(5000);
    let nodes = [len(2), vec![1], text(&big), vec![2], text(listpack(&ints))];
    let shown = [&*big, "1", "127", "128", "-1", "5000", "1099511627776"];
    let long = "l".repeat(200);
    let pairs = listpack(&[Text("f"), Text(&long), Text("n"), Int(-7)]);
    let expected = format!("f={long}");
    Builder::new("version-10", "REDIS0010")
        .raw(&[245])
        .raw(&text("#!lua name=l"))
        .told("function #!lua name=l")
        .raw(&[254, 0])
        .key(16, "hash", &text(pairs), &[&expected, "n=-7"])
        .key(
            17,
            "zset",
            &text(listpack(&[Text("a"), Text("0.5")])),
            &["a=0.5"],
        )
        .key(18, "list", &nodes.concat(), &shown)
        .stream(19, 2)
        .end_checked()
}

fn version_11() -> File {
    let members = listpack(&[Text("a"), Int(5)]);
    Builder::new("version-11", "REDIS0011")
        .raw(&[254, 0])
        .key(20, "set", &text(members), &["5", "a"])
        .stream(21, 3)
        .end_checked()
}

/// Fields with expiry as the release candidates of Redis 7.4 wrote them, and as it does.
fn version_12() -> File {
    let time = EXPIRY_MS.to_le_bytes();
    let long = [&[0x81][..], &EXPIRY_MS.to_be_bytes()].concat();
    let candidate = [
        &[2][..],
        &long,
        &text("f"),
        &text("v"),
        &[0],
        &text("g"),
        &text("w"),
    ];
    let counted = [
        &time[..],
        &[2, 1],
        &text("f"),
        &text("v"),
        &[0],
        &text("g"),
        &text("w"),
    ];
    let triples = listpack(&[
        Text("f"),
        Text("v"),
        Int(EXPIRY_MS),
        Text("g"),
        Text("w"),
        Int(0),
    ]);
    let parts = ["f=v until 1900000000123", "g=w"];
    Builder::new("version-12", "REDIS0012")
        .raw(&[254, 0, 244, 3, 4, 0])
        .key(22, "candidate", &candidate.concat(), &parts)
        .key(23, "candidate-packed", &text(&triples), &parts)
        .key(24, "counted", &counted.concat(), &parts)
        .key(25, "packed", &[&time[..], &text(&triples)].concat(), &parts)
        .end_checked()
}

fn valkey_80() -> File {
    let none = (-1i64).to_le_bytes();
    let fields = [
        &[2][..],
        &text("f"),
        &text("v"),
        &EXPIRY_MS.to_le_bytes(),
        &text("g"),
        &text("w"),
        &none,
    ];
    Builder::new("valkey-80", "VALKEY080")
        .raw(&[243])
        .raw(&text("0123456789012345678901234567890123456789"))
        .raw(&[1, 3, 0x40, 200])
        .raw(&[254, 0])
        .key(
            22,
            "hash",
            &fields.concat(),
            &["f=v until 1900000000123", "g=w"],
        )
        .key(0, "text", &text("value"), &["value"])
        .end_checked()
}
