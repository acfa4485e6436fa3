//! What the families of lists, hashes, sets and sorted sets share.

use super::options::{MAX_STRING_LEN, ScanOptions, Words, cursor, integer, is_word};
use crate::command::{CommandError, CommandResult, Keys};
use crate::context::{ReadContext, RewriteContext, Typed, WriteContext};
use crate::keyspace::EventClass;
use damselfly_resp::{ReplyWriter, parse_i64};
use damselfly_store::Value;
use hashbrown::HashSet;

/// Lookups in one call of HSCAN, SSCAN or ZSCAN, for each element that COUNT asks for.
const SCAN_EFFORT: usize = 10;

/// Changes the value of a key, or makes one where there is none; an empty one is not kept. A value that is there must not be left empty.
///
/// # Errors
/// The key holds another type.
pub(super) fn change_or_create<T, R>(
    cx: &mut WriteContext<'_>,
    key: &[u8],
    change: impl FnOnce(&mut T) -> R,
) -> Result<R, CommandError>
where
    T: Typed + Default,
    Value: From<T>,
{
    if let Some(mut value) = cx.typed_mut::<T>(key)? {
        return Ok(change(&mut value));
    }
    let mut value = T::default();
    let result = change(&mut value);
    let value = Value::from(value);
    if !value.is_empty_collection() {
        cx.put(key, value, None);
    }
    Ok(result)
}

/// Reports that elements were taken from a collection, and deletes it if `is_empty` says that none are left.
pub(super) fn removed(
    cx: &mut WriteContext<'_>,
    class: EventClass,
    event: &'static str,
    key: &[u8],
    is_empty: bool,
) {
    cx.modified(class, event, key);
    if is_empty {
        cx.remove_if_empty(key);
    }
}

/// Stores what a `…STORE` command found: the value, or nothing where it is empty.
pub(super) fn store(
    cx: &mut WriteContext<'_>,
    class: EventClass,
    event: &'static str,
    key: &[u8],
    value: Value,
) {
    if !value.is_empty_collection() {
        cx.put(key, value, None);
        cx.modified(class, event, key);
    } else if cx.remove(key) {
        cx.modified(EventClass::Generic, "del", key);
    }
}

/// [`store`] for what no replica could find by itself: the effect is the value.
pub(super) fn store_effect(
    cx: &mut RewriteContext<'_>,
    class: EventClass,
    event: &'static str,
    key: &[u8],
    value: Value,
) {
    if !value.is_empty_collection() {
        cx.restore_effect(key, &value);
        store(cx, class, event, key, value);
    } else if cx.exists(key) {
        cx.effect(&[b"DEL", key]);
        store(cx, class, event, key, value);
    }
}

/// An integer of at least `min`; anything else is an error with this text.
pub(super) fn at_least(arg: &[u8], min: i64, text: &'static str) -> Result<i64, CommandError> {
    parse_i64(arg)
        .filter(|number| *number >= min)
        .ok_or(CommandError::text(text))
}

/// A number of random elements: negative where elements may repeat.
pub(super) fn random_count(arg: &[u8]) -> Result<i64, CommandError> {
    Some(integer(arg)?).filter(|count| *count != i64::MIN).ok_or(CommandError::text(
        "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
    ))
}

/// The arguments of HRANDFIELD and ZRANDMEMBER: how many, and whether with what belongs to the name.
pub(super) struct RandomArgs {
    /// How many; negative where elements may repeat. `None`: a single one, not in an array.
    pub(super) count: Option<i64>,
    /// Whether values or scores are wanted too.
    pub(super) with_values: bool,
}

impl RandomArgs {
    /// Names alone.
    pub(super) const NAMES: RandomArgs = RandomArgs {
        count: None,
        with_values: false,
    };

    /// Reads `key [count [word]]`.
    pub(super) fn parse(args: &[&[u8]], word: &str) -> Result<RandomArgs, CommandError> {
        let Some(count) = args.get(2) else {
            return Ok(RandomArgs {
                count: None,
                with_values: false,
            });
        };
        let count = random_count(count)?;
        match args[3..] {
            [] => Ok(RandomArgs {
                count: Some(count),
                with_values: false,
            }),
            [last] if is_word(last, word) && count.unsigned_abs() > i64::MAX as u64 / 2 => {
                Err(CommandError::text("ERR value is out of range"))
            }
            [last] if is_word(last, word) => Ok(RandomArgs {
                count: Some(count),
                with_values: true,
            }),
            _ => Err(CommandError::Syntax),
        }
    }

    /// Writes `count` random elements of a collection, each name by itself and what belongs to it by `write`.
    pub(super) fn answer<T: AsRef<[u8]>, V>(
        &self,
        count: i64,
        out: &mut ReplyWriter<'_>,
        source: &dyn RandomSource<T, V>,
        rng: &mut dyn FnMut() -> u64,
        mut write: impl FnMut(&mut ReplyWriter<'_>, V),
    ) -> CommandResult {
        let wanted = if count < 0 {
            drawn(count)?
        } else {
            source.size().min(count as usize)
        };
        let begun = out.buffer().len();
        pairs_header(out, wanted, self.with_values);
        let with_values = self.with_values;
        let mut emit = |(name, value): (T, V)| {
            pair_header(out, with_values);
            out.bulk(name);
            if with_values {
                write(out, value);
            }
            out.buffer().len() - begun
        };
        if count < 0 {
            for _ in 0..wanted {
                if source.pick(rng).map(&mut emit) > Some(MAX_DRAWN_BYTES) {
                    out.buffer().truncate(begun);
                    return Err(TOO_MANY);
                }
            }
        } else {
            sample(source, wanted, rng, &mut |element| {
                emit(element);
            });
        }
        Ok(())
    }
}

/// Most elements that one command draws with repetition,
const MAX_DRAWN: u64 = 1 << 20;
/// and most bytes that it answers with them.
const MAX_DRAWN_BYTES: usize = MAX_STRING_LEN;

const TOO_MANY: CommandError = CommandError::text(
    "ERR value is out of range, at most 1048576 elements and 512 MiB are drawn with repetition",
);

/// How many elements a negative count means, which may be more than the collection has.
fn drawn(count: i64) -> Result<usize, CommandError> {
    Some(count.unsigned_abs())
        .filter(|count| *count <= MAX_DRAWN)
        .map(|count| count as usize)
        .ok_or(TOO_MANY)
}

/// The header of an array of pairs: flat in RESP2, nested in RESP3. Without values it is an array of names.
pub(super) fn pairs_header(out: &mut ReplyWriter<'_>, pairs: usize, with_values: bool) {
    let flat = with_values && !is_resp3(out);
    out.array(if flat { pairs * 2 } else { pairs });
}

/// The header of one pair in an array of [`pairs_header`].
#[inline]
pub(super) fn pair_header(out: &mut ReplyWriter<'_>, with_values: bool) {
    if with_values && is_resp3(out) {
        out.array(2);
    }
}

/// Whether the client speaks RESP3.
pub(super) fn is_resp3(out: &ReplyWriter<'_>) -> bool {
    out.proto() == damselfly_resp::Proto::Resp3
}

/// A collection that random elements can be drawn from.
pub(super) trait RandomSource<T, V> {
    /// How many elements it has.
    fn size(&self) -> usize;
    /// One of them, each with the same chance.
    fn pick(&self, rng: &mut dyn FnMut() -> u64) -> Option<(T, V)>;
    /// All of them in order.
    fn each(&self, visit: &mut dyn FnMut((T, V)));
}

/// Draws `count` different elements, each choice with the same chance. Where that is a good part of the collection, in its order.
fn sample<T: AsRef<[u8]>, V>(
    source: &dyn RandomSource<T, V>,
    count: usize,
    rng: &mut dyn FnMut() -> u64,
    emit: &mut dyn FnMut((T, V)),
) {
    let size = source.size();
    if size <= SMALL || count.saturating_mul(3) > size {
        return select(source, count, rng, emit);
    }
    let mut seen: HashSet<Box<[u8]>, foldhash::fast::RandomState> = HashSet::default();
    while seen.len() < count
        && let Some(element) = source.pick(rng)
    {
        if seen.insert(element.0.as_ref().into()) {
            emit(element);
        }
    }
}

/// Collections up to this size are sampled by walking them.
const SMALL: usize = 32;

/// Selection sampling (Knuth, TAOCP 2, 3.4.2, algorithm S): one walk, no memory.
fn select<T, V>(
    source: &dyn RandomSource<T, V>,
    count: usize,
    rng: &mut dyn FnMut() -> u64,
    emit: &mut dyn FnMut((T, V)),
) {
    let (mut left, mut wanted) = (source.size(), count);
    source.each(&mut |element| {
        if below(rng, left) < wanted {
            wanted -= 1;
            emit(element);
        }
        left -= 1;
    });
}

/// A generator of random numbers (SplitMix64: Steele, Lea, Flood 2014), for where the shard's own is out of reach.
pub(super) fn generator(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }
}

/// A number in `0..bound`.
fn below(rng: &mut dyn FnMut() -> u64, bound: usize) -> usize {
    ((u128::from(rng()) * bound as u128) >> 64) as usize
}

/// The arguments of LMPOP and ZMPOP.
pub(super) struct MultiPop<'a> {
    /// The keys to try.
    pub(super) keys: &'a [&'a [u8]],
    /// Which end.
    pub(super) end: &'a [u8],
    /// Elements to pop.
    pub(super) count: usize,
}

impl<'a> MultiPop<'a> {
    /// Reads `numkeys key… end [COUNT n]`; `is_end` knows the words for the ends.
    pub(super) fn parse(
        args: &'a [&'a [u8]],
        is_end: impl Fn(&[u8]) -> bool,
    ) -> Result<MultiPop<'a>, CommandError> {
        let keys = at_least(args[1], 1, "ERR numkeys should be greater than 0")? as usize;
        let end_at = keys.saturating_add(2);
        let end = *args
            .get(end_at)
            .filter(|word| is_end(word))
            .ok_or(CommandError::Syntax)?;
        let mut count = None;
        let mut words = Words::from(args, end_at + 1);
        while let Some(word) = words.next() {
            if count.is_some() || !is_word(word, "COUNT") {
                return Err(CommandError::Syntax);
            }
            count = Some(at_least(
                words.value()?,
                1,
                "ERR count should be greater than 0",
            )?);
        }
        Ok(MultiPop {
            keys: &args[2..end_at],
            end,
            count: count.unwrap_or(1) as usize,
        })
    }
}

/// A command line of keys and one argument behind them, with one of the keys.
pub(super) fn only_first(args: &[&[u8]], at: usize) -> Vec<Vec<u8>> {
    let (first, last) = (args[0], args[args.len() - 1]);
    [first, args[at], last].map(<[u8]>::to_vec).into()
}

/// A command line whose keys stand behind their number, with one of them.
pub(super) fn only_of_counted(keys: &Keys, args: &[&[u8]], at: usize) -> Vec<Vec<u8>> {
    let keys = keys.positions(args).unwrap_or_default();
    let (first, last) = match keys[..] {
        [first, .., last] => (first as usize, last as usize),
        _ => (at, at),
    };
    let before = args[..first - 1].iter().copied();
    let one: [&[u8]; 2] = [b"1", args[at]];
    let all = before.chain(one).chain(args[last + 1..].iter().copied());
    all.map(<[u8]>::to_vec).collect()
}

/// Where the elements that a scan visits go.
pub(super) type ScanSink<'s> = &'s mut dyn FnMut(&[u8], &mut dyn FnMut(&mut ReplyWriter<'_>));

/// Runs HSCAN, SSCAN or ZSCAN: `step` scans on from a cursor, gives each element's name and a function that
/// writes the element, and returns the next cursor.
pub(super) fn scan<T: Typed>(
    cx: &ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
    replies_per_element: usize,
    step: impl Fn(&T, u64, ScanSink<'_>) -> u64,
) -> CommandResult {
    let mut at = cursor(args[2])?;
    let mut body = Vec::new();
    let mut found = 0;
    if let Some(value) = cx.typed::<T>(args[1])? {
        let options = ScanOptions::parse(args, 3, false)?;
        let mut writer = ReplyWriter::new(&mut body, out.proto());
        let mut tries = options.count.saturating_mul(SCAN_EFFORT);
        loop {
            at = step(value, at, &mut |name, write| {
                if options.wants(name) {
                    found += 1;
                    write(&mut writer);
                }
            });
            tries = tries.saturating_sub(1);
            if at == 0 || tries == 0 || found >= options.count {
                break;
            }
        }
    } else {
        at = 0;
    }
    out.array(2);
    out.bulk(at.to_string());
    out.array(found * replies_per_element);
    out.raw(&body);
    Ok(())
}
