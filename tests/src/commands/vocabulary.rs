//! Values for the slots of command templates.

use super::grammar::Vocabulary;
use crate::rng::Rng;

/// Whether values are to be taken or to be refused now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Everything fits: for load.
    Tame,
    /// Wrong types, bad numbers, bounds: for comparing errors.
    Hostile,
}

/// The values that tests put into commands.
#[derive(Debug, Clone)]
pub struct Words {
    /// Whether values always fit.
    pub mood: Mood,
    /// What each key starts with.
    pub prefix: String,
    /// Keys of each type.
    pub keys: u64,
    /// Members and fields that collections choose from.
    pub members: u64,
    /// Longest value of a string or a list, in bytes.
    pub value_bytes: usize,
}

const TYPES: [&str; 6] = ["string", "list", "hash", "set", "zset", "stream"];
const BAD_INTEGERS: [&str; 10] = [
    "abc",
    "",
    " 1",
    "01",
    "1.5",
    "+1",
    "9223372036854775808",
    "-9223372036854775809",
    "0x10",
    "1e3",
];
const BAD_FLOATS: [&str; 8] = ["abc", "", "1.5x", " 1", "nan", "--1", "1,5", "\0"];
const INTEGERS: [&str; 9] = [
    "0",
    "1",
    "-1",
    "10",
    "-10",
    "12345",
    "9223372036854775807",
    "-9223372036854775808",
    "4294967296",
];
#[rustfmt::skip]
const BAD_IDS: [&str; 20] = [
    "0", "0-0", "-", "+", "$", ">", "**", "", "abc", "5-", "-5", "5-*", "(5", "+5-01", "6- -1", "5-1-1", "18446744073709551615",
    "18446744073709551616", "18446744073709551615-18446744073709551615", "5-18446744073709551615",
];
#[rustfmt::skip]
const FLOATS: [&str; 22] = [
    "0", "1", "-1", "0.1", "3.14159", "-2.5", "1e10", "1e-10", "1e21", "5e-324", "1.7976931348623157e308", "inf", "-inf",
    "+inf", "0.30000000000000004", "100000000000000000000", "1e17", "123456789012345678", "3.0", "-0", "0x10", "1e400",
];
/// Strings that look like HyperLogLogs at first: too short, of no encoding, of the wrong length, with too few registers.
const BAD_SKETCHES: [&[u8]; 6] = [
    b"HYLL",
    b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\x80",
    b"HYLL\0\0\0\0\0\0\0\0\0\0\0\x80dense",
    b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80",
    b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\0",
    b"HYLX\x01\0\0\0\0\0\0\0\0\0\0\x80\x7F\xFF",
];
/// Longitudes and latitudes; the last are none.
const PLACES: [(&str, &str); 20] = [
    ("0", "0"),
    ("180", "85.05112878"),
    ("-180", "-85.05112878"),
    ("179.999", "0"),
    ("-179.999", "0.001"),
    ("13.361389", "38.115556"),
    ("15.087269", "37.502669"),
    ("13.583333", "37.316667"),
    ("2.349014", "48.864716"),
    ("-74.0059413", "40.7127837"),
    ("-0.127758", "51.507351"),
    ("0.0001", "0.0001"),
    ("12.5", "-67"),
    ("12.6", "84"),
    ("1e-320", "-0"),
    ("180.1", "0"),
    ("0", "-86"),
    ("inf", "0"),
    ("nan", "0"),
    ("1", "abc"),
];
/// So many of these are places.
const GOOD_PLACES: usize = 15;
const UNITS: [&str; 6] = ["m", "km", "mi", "ft", "M", "KM"];
const RADII: [&str; 14] = [
    "0", "0.5", "10", "100", "250.75", "1000", "5000", "20000", "1e9", "inf", "3000000", "100000",
    "200000", "1e-300",
];
/// Timeouts that are refused.
const BAD_TIMEOUTS: [&str; 9] = [
    "abc", "", "-1", "-0.01", "nan", "inf", "1e400", " 1", "1e18",
];
/// Patterns of SORT; the first lead to weights that differ or may be equal, the last to none.
const SORT_PATTERNS: [&str; 12] = [
    "string:*",
    "hash:*->f",
    "hash:*->g",
    "*:1",
    "#",
    "hash:*->",
    "nothing:*",
    "list:*",
    "string:*->f",
    "nosort",
    "",
    "*",
];
const PATTERNS: [&str; 10] = [
    "*",
    "k*",
    "*1",
    "string:?",
    "[sl]*:[0-3]",
    "[^s]*",
    "nothing",
    "\\*",
    "h*[!a]",
    "m*",
];
/// A time in 2069: the servers that compare replies must not pass it meanwhile.
const FAR_UNIX: i64 = 3_124_567_890;

impl Words {
    /// Values for comparing servers: few keys and members, so that commands meet.
    pub fn hostile() -> Words {
        Words {
            mood: Mood::Hostile,
            prefix: String::new(),
            keys: 4,
            members: 12,
            value_bytes: 100,
        }
    }

    /// Values for load over this many keys of each type.
    pub fn tame(prefix: impl Into<String>, keys: u64) -> Words {
        Words {
            mood: Mood::Tame,
            prefix: prefix.into(),
            keys,
            members: 200,
            value_bytes: 200,
        }
    }

    fn is_hostile(&self, rng: &mut Rng, percent: u64) -> bool {
        self.mood == Mood::Hostile && rng.percent(percent)
    }

    fn key(&self, kind: &str, rng: &mut Rng) -> Vec<u8> {
        let wrong = kind == "any" || self.is_hostile(rng, 6);
        let kind = if wrong { *rng.pick(&TYPES) } else { kind };
        format!("{}{kind}:{}", self.prefix, rng.below(self.keys)).into_bytes()
    }

    /// A sorted set all of whose members have the same score: only there do ranges of members mean something.
    fn lexical_key(&self, rng: &mut Rng) -> Vec<u8> {
        if self.is_hostile(rng, 6) {
            let kind = rng.pick(&TYPES[..4]);
            return format!("{}{kind}:{}", self.prefix, rng.below(self.keys)).into_bytes();
        }
        format!("{}lex:{}", self.prefix, rng.below(self.keys)).into_bytes()
    }

    /// A sorted set of places, though one of scores is one, too.
    fn geo_key(&self, rng: &mut Rng) -> Vec<u8> {
        if self.is_hostile(rng, 6) {
            return self.key("any", rng);
        }
        format!("{}geo:{}", self.prefix, rng.below(self.keys)).into_bytes()
    }

    /// Longitude and latitude.
    fn place(&self, rng: &mut Rng, arguments: &mut Vec<Vec<u8>>) {
        let known = if self.is_hostile(rng, 5) {
            PLACES.len()
        } else {
            GOOD_PLACES
        };
        if rng.percent(50) {
            let (longitude, latitude) = PLACES[rng.index(known)];
            arguments.extend([longitude, latitude].map(|text| text.as_bytes().to_vec()));
            return;
        }
        // As near to each other as to share the finest cells, or anywhere.
        let (west, south, scale) = *rng.pick(&[(-180, -85, 1.0), (13, 37, 100.0), (2, 48, 1e6)]);
        for (least, most) in [(west, 180), (south, 85)] {
            let offset = rng.between(0, (most - least) * 1_000_000) as f64 / 1e6 / scale;
            arguments.push((least as f64 + offset).to_string().into_bytes());
        }
    }

    fn unit(&self, rng: &mut Rng) -> Vec<u8> {
        if self.is_hostile(rng, 4) {
            return b"parsec".to_vec();
        }
        rng.pick(&UNITS).as_bytes().to_vec()
    }

    fn radius(&self, rng: &mut Rng) -> Vec<u8> {
        if self.is_hostile(rng, 5) {
            return self.float(rng);
        }
        rng.pick(&RADII).as_bytes().to_vec()
    }

    /// Mostly the number of a key.
    fn small(&self, rng: &mut Rng) -> Vec<u8> {
        match rng.below(12) {
            0..8 => rng.below(self.keys + 1).to_string().into_bytes(),
            8 => rng
                .pick(&["1.0", "2.50", "-0", "inf", "0x2", "1e1"])
                .as_bytes()
                .to_vec(),
            9 => format!("{}.{}", rng.between(-10, 10), rng.below(100)).into_bytes(),
            _ if self.is_hostile(rng, 30) => rng.pick(&["", "abc", " 1", "1 "]).as_bytes().to_vec(),
            _ => rng.between(-20, 20).to_string().into_bytes(),
        }
    }

    /// A key for SORT: of another type now and then, but of no set that has no order.
    fn sort_key(&self, kind: &str, rng: &mut Rng) -> Vec<u8> {
        let kind = match self.is_hostile(rng, 6) {
            true => rng.pick(&["string", "list", "hash"]),
            false => kind,
        };
        format!("{}{kind}:{}", self.prefix, rng.below(self.keys)).into_bytes()
    }

    /// A pattern of SORT.
    fn sort_pattern(&self, kind: &str, rng: &mut Rng) -> Vec<u8> {
        let patterns = match kind {
            "weight" => &SORT_PATTERNS[..4],
            _ => &SORT_PATTERNS[..],
        };
        format!("{}{}", self.prefix, rng.pick(patterns)).into_bytes()
    }

    fn value(&self, rng: &mut Rng) -> Vec<u8> {
        match rng.below(10) {
            0 => Vec::new(),
            1 | 2 => rng.between(-1_000, 1_000).to_string().into_bytes(),
            3 => rng.pick(&INTEGERS).as_bytes().to_vec(),
            4 => rng.pick(&FLOATS).as_bytes().to_vec(),
            5 => {
                let length = rng.index(self.value_bytes + 1);
                rng.bytes(length)
            }
            6 => vec![b'x'; rng.index(self.value_bytes + 1)],
            _ => self.member(rng),
        }
    }

    /// Integers, short and long texts; many more in a large vocabulary.
    fn member(&self, rng: &mut Rng) -> Vec<u8> {
        let number = rng.below(self.members);
        match number % 4 {
            0 => number.to_string().into_bytes(),
            1 if number % 8 == 1 => format!("long member {number:060}").into_bytes(),
            1 => format!("-{number}").into_bytes(),
            _ => format!("m{number}").into_bytes(),
        }
    }

    /// Ids that meet each other, and grow where entries are added.
    fn stream_id(&self, slot: &str, rng: &mut Rng) -> Vec<u8> {
        if self.is_hostile(rng, 4) {
            return rng.pick(&BAD_IDS).as_bytes().to_vec();
        }
        let small = format!("{}-{}", rng.below(self.members), rng.below(4));
        match (slot, rng.below(12)) {
            ("newid", 0..4) => format!("{}-*", rng.below(self.members * 3)),
            ("newid", 4..8) => format!("{}-{}", rng.below(self.members * 4), rng.below(4)),
            ("newid", 8..10) => format!("{}-*", self.members * 4),
            ("newid", 10) if self.mood == Mood::Tame => "*".to_owned(),
            ("idbound", 0..2) => rng.pick(&["-", "+"]).to_string(),
            ("idbound", 2..5) => format!("({small}"),
            ("readid", 0..3) => "$".to_owned(),
            ("groupid", 0..8) => ">".to_owned(),
            (_, 5..8) => rng.below(self.members).to_string(),
            _ => small,
        }
        .into_bytes()
    }

    fn integer(&self, low: i64, high: i64, rng: &mut Rng) -> Vec<u8> {
        if self.is_hostile(rng, 6) {
            return rng.pick(&BAD_INTEGERS).as_bytes().to_vec();
        }
        if self.is_hostile(rng, 5) {
            return rng.pick(&INTEGERS).as_bytes().to_vec();
        }
        rng.between(low, high).to_string().into_bytes()
    }

    fn float(&self, rng: &mut Rng) -> Vec<u8> {
        if self.is_hostile(rng, 6) {
            return rng.pick(&BAD_FLOATS).as_bytes().to_vec();
        }
        if self.is_hostile(rng, 30) {
            return rng.pick(&FLOATS).as_bytes().to_vec();
        }
        match rng.below(3) {
            0 => rng.between(-10, 10).to_string().into_bytes(),
            1 => format!("{}.{}", rng.between(-10, 10), rng.below(100)).into_bytes(),
            _ => format!("{}", rng.between(-1 << 40, 1 << 40) as f64 / 1024.0).into_bytes(),
        }
    }

    /// In seconds. Short, for somebody waits.
    fn timeout(&self, rng: &mut Rng) -> Vec<u8> {
        if self.is_hostile(rng, 15) {
            return rng.pick(&BAD_TIMEOUTS).as_bytes().to_vec();
        }
        let short = ["0.01", "0.002", "1e-3", "0x1p-9", "0.0001"];
        rng.pick(&short).as_bytes().to_vec()
    }

    fn bound(&self, rng: &mut Rng) -> Vec<u8> {
        match rng.below(6) {
            0 => b"-inf".to_vec(),
            1 => b"+inf".to_vec(),
            2 => [b"(".to_vec(), self.float(rng)].concat(),
            _ => self.float(rng),
        }
    }

    fn lexical_bound(&self, rng: &mut Rng) -> Vec<u8> {
        if self.is_hostile(rng, 6) {
            return self.value(rng);
        }
        match rng.below(6) {
            0 => b"-".to_vec(),
            1 => b"+".to_vec(),
            2 | 3 => [b"(".to_vec(), self.member(rng)].concat(),
            _ => [b"[".to_vec(), self.member(rng)].concat(),
        }
    }

    /// A type of integers as BITFIELD has them: narrow ones meet their bounds.
    fn bit_type(&self, rng: &mut Rng) -> Vec<u8> {
        if self.is_hostile(rng, 4) {
            return rng
                .pick(&["i65", "u64", "i0", "8", "u"])
                .as_bytes()
                .to_vec();
        }
        let most = *rng.pick(&[4, 8, 63]);
        let bits = 1 + rng.below(most);
        format!("{}{bits}", rng.pick(&["i", "u"])).into_bytes()
    }

    /// Keys after their number, which is wrong now and then.
    fn counted(&self, kind: &str, rng: &mut Rng, arguments: &mut Vec<Vec<u8>>) {
        let count = 1 + rng.below(3);
        let said = match self.is_hostile(rng, 8) {
            true => self.integer(-1, 5, rng),
            false => count.to_string().into_bytes(),
        };
        arguments.push(said);
        arguments.extend((0..count).map(|_| self.key(kind, rng)));
    }

    /// Times that have passed are commands of their own kind: they delete.
    fn time(&self, far: i64, past: i64, rng: &mut Rng) -> Vec<u8> {
        if self.is_hostile(rng, 10) {
            // No time that passes while servers are compared.
            return rng
                .pick(&[&BAD_INTEGERS[..], &INTEGERS[6..8]].concat())
                .as_bytes()
                .to_vec();
        }
        let time = if rng.percent(8) {
            past
        } else {
            rng.between(far, far + far / 10)
        };
        time.to_string().into_bytes()
    }
}

impl Vocabulary for Words {
    fn fill(&mut self, slot: &str, rng: &mut Rng, arguments: &mut Vec<Vec<u8>>) {
        if let Some(kind) = slot.strip_prefix("counted:") {
            return self.counted(kind, rng, arguments);
        }
        if slot == "elements" {
            let numbers = (0..rng.below(600)).map(|_| rng.below(1 << 40).to_string().into_bytes());
            return arguments.extend(numbers);
        }
        if let Some(kind) = slot.strip_prefix("pattern:") {
            return arguments.push(self.sort_pattern(kind, rng));
        }
        arguments.push(match slot {
            "hll" => self.key(slot, rng),
            "badhll" => rng.pick(&BAD_SKETCHES).to_vec(),
            "any" | "string" | "list" | "hash" | "set" | "zset" | "stream" => self.key(slot, rng),
            "geo" => self.geo_key(rng),
            "place" => return self.place(rng, arguments),
            "unit" => self.unit(rng),
            "radius" => self.radius(rng),
            "slist" | "sset" | "szset" => self.sort_key(slot, rng),
            "small" => self.small(rng),
            "lexset" => self.lexical_key(rng),
            "value" => self.value(rng),
            "member" => self.member(rng),
            "int" => self.integer(-100, 100, rng),
            "badint" => rng.pick(&BAD_INTEGERS[..2]).as_bytes().to_vec(),
            "index" => self.integer(-8, 8, rng),
            "bit" if self.is_hostile(rng, 4) => self.value(rng),
            "bit" => rng.below(2).to_string().into_bytes(),
            "bitoffset" => self.integer(0, 300, rng),
            "bitindex" => self.integer(-40, 40, rng),
            "bittype" => self.bit_type(rng),
            "fieldoffset" if rng.percent(40) => [b"#".to_vec(), self.integer(0, 8, rng)].concat(),
            "fieldoffset" => self.integer(0, 200, rng),
            "offset" => self.integer(0, 40, rng),
            "count" => self.integer(if self.mood == Mood::Tame { 1 } else { -3 }, 6, rng),
            "float" | "score" => self.float(rng),
            "bound" => self.bound(rng),
            "timeout" => self.timeout(rng),
            "lex" => self.lexical_bound(rng),
            "seconds" => self.time(
                10_000,
                if self.mood == Mood::Tame { 9_000 } else { -1 },
                rng,
            ),
            "millis" => self.time(
                10_000_000,
                if self.mood == Mood::Tame {
                    9_000_000
                } else {
                    0
                },
                rng,
            ),
            "unix" => self.time(FAR_UNIX, 1, rng),
            "unixms" => self.time(FAR_UNIX * 1_000, 1, rng),
            // For SET: a key that is made with a time that has passed is gone at once here, and soon in Redis.
            "later" => self.time(FAR_UNIX, FAR_UNIX, rng),
            "laterms" => self.time(FAR_UNIX * 1_000, FAR_UNIX * 1_000, rng),
            "streamid" | "newid" | "idbound" | "readid" | "groupid" => self.stream_id(slot, rng),
            "greatest" => b"+".to_vec(),
            "group" => format!("g{}", rng.below(3)).into_bytes(),
            "consumer" => format!("c{}", rng.below(4)).into_bytes(),
            "entries" => self.integer(-1, 200, rng),
            // Short times have passed between two commands, or not: nobody can say.
            "idle" => self.integer(0, 0, rng),
            "time" => self.integer(1_000_000, 2_000_000, rng),
            "pattern" => rng.pick(&PATTERNS).as_bytes().to_vec(),
            "db" => self.integer(0, 3, rng),
            other => panic!("no slot <{other}>"),
        });
    }
}
