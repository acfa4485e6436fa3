//! Strings as arrays of bits. Bit 0 is the highest bit of the first byte; beyond the end all bits are 0.

mod combine;
mod count;
mod field;
mod field_args;
mod single;

use crate::command::{Command, CommandError, Flags, Group, Handler, Keys};
use crate::families::options::MAX_STRING_LEN;

use Handler::{Read, Write};

const fn row(
    name: &'static str,
    arity: i16,
    keys: Keys,
    since: &'static str,
    handler: Handler,
    summary: &'static str,
) -> Command {
    Command::new(name, arity, keys, Group::Bitmap, since, handler, summary)
}

const GROWS: Flags = Flags::DENY_OOM;
const FAST: Flags = Flags::FAST;
/// BITOP's: the operation comes first, then the destination and the sources.
const FROM_SECOND: Keys = Keys::Range {
    first: 2,
    last: -1,
    step: 1,
};

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    row("setbit", 4, Keys::ONE, "2.2.0", Write(single::setbit), "Sets or clears a bit of a string, made and extended if need be.").with(GROWS)
        .takes("key offset:integer value:integer"),
    row("getbit", 3, Keys::ONE, "2.2.0", Read(single::getbit), "Returns a bit of a string.").with(FAST)
        .takes("key offset:integer"),
    row("bitcount", -2, Keys::ONE, "2.6.0", Read(count::bitcount), "Counts the bits that are set in a string, or in a part of it.")
        .takes("key [index(start:integer end:integer [index_unit(BYTE|BIT)@7.0.0])]"),
    row("bitpos", -3, Keys::ONE, "2.8.7", Read(count::bitpos), "Finds the first bit of a string that is set, or clear.")
        .takes("key bit:integer [index(start:integer [end_index(end:integer [index_unit(BYTE|BIT)@7.0.0])])]"),
    row("bitop", -4, FROM_SECOND, "2.6.0", Write(combine::bitop), "Stores the AND, OR, XOR or NOT of strings, bit by bit.").with(GROWS).access("OW update;RO access")
        .takes("operation destkey:key key..."),
    row("bitfield", -2, Keys::ONE, "3.2.0", Write(field::bitfield), "Reads and changes integers of any width within a string.").with(GROWS).access("RW access update variable_flags").line_access(field::access)
        .takes("key [operation(GET=encoding_offset(encoding offset:integer)|write([OVERFLOW=wrap_sat_fail(WRAP|SAT|FAIL)] write_operation(SET=encoding_offset_value(encoding offset:integer value:integer)|INCRBY=encoding_offset_increment(encoding offset:integer increment:integer))))...]"),
    row("bitfield_ro", -2, Keys::ONE, "6.0.0", Read(field::bitfield_ro), "Reads integers of any width within a string.").with(FAST)
        .takes("key [GET=encoding_offset(encoding offset:integer)...+]"),
];

/// The number of a bit; with `scale`, a leading `#` counts in units of so many bits.
fn bit_offset(arg: &[u8], scale: Option<u32>) -> Result<usize, CommandError> {
    const INVALID: CommandError =
        CommandError::text("ERR bit offset is not an integer or out of range");
    let number = |text| damselfly_resp::parse_i64(text).ok_or(INVALID);
    let offset = match (arg, scale) {
        // It wraps, as in Redis.
        ([b'#', units @ ..], Some(bits)) => number(units)?.wrapping_mul(bits.into()),
        _ => number(arg)?,
    };
    usize::try_from(offset)
        .ok()
        .filter(|offset| offset / 8 < MAX_STRING_LEN)
        .ok_or(INVALID)
}

#[cfg(test)]
mod tests {
    use super::bit_offset;

    #[test]
    fn offsets_have_units_and_an_end() {
        assert_eq!(bit_offset(b"4294967295", None), Ok(u32::MAX as usize));
        assert_eq!(bit_offset(b"#3", Some(5)), Ok(15));
        for (text, scale) in [
            (&b"4294967296"[..], None),
            (b"-1", None),
            (b"#1", None),
            (b"", None),
            (b"##1", Some(1)),
            (b"#9223372036854775807", Some(63)),
            (b"#-1", Some(8)),
        ] {
            assert!(bit_offset(text, scale).is_err(), "{}", text.escape_ascii());
        }
    }
}
