//! `bit`: operations on 32 bits.

use crate::sandbox::{integer, number_argument};
use mlua::{Lua, MultiValue, Table};

/// Adding it to a number leaves the number, rounded to an integer, in the low bits of the sum.
const ROUNDING: f64 = 6_755_399_441_055_744.0;

type Unary = fn(u32) -> u32;
type Binary = fn(u32, u32) -> u32;

fn bits(lua: &Lua, args: &MultiValue, number: usize) -> mlua::Result<u32> {
    number_argument(lua, args, number).map(|value| (value + ROUNDING).to_bits() as u32)
}

fn signed(bits: u32) -> f64 {
    f64::from(bits as i32)
}

pub(super) fn table(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let unary: [(&str, Unary); 3] = [
        ("tobit", |x| x),
        ("bnot", |x| !x),
        ("bswap", u32::swap_bytes),
    ];
    for (name, run) in unary {
        let function = lua.create_function(move |lua, args: MultiValue| {
            bits(lua, &args, 1).map(|x| signed(run(x)))
        })?;
        table.raw_set(name, function)?;
    }
    let folds: [(&str, Binary); 3] = [
        ("band", |x, y| x & y),
        ("bor", |x, y| x | y),
        ("bxor", |x, y| x ^ y),
    ];
    for (name, run) in folds {
        let function = lua.create_function(move |lua, args: MultiValue| {
            let mut result = bits(lua, &args, 1)?;
            for number in 2..=args.len() {
                result = run(result, bits(lua, &args, number)?);
            }
            Ok(signed(result))
        })?;
        table.raw_set(name, function)?;
    }
    let shifts: [(&str, Binary); 5] = [
        ("lshift", |x, n| x << n),
        ("rshift", |x, n| x >> n),
        ("arshift", |x, n| ((x as i32) >> n) as u32),
        ("rol", u32::rotate_left),
        ("ror", u32::rotate_right),
    ];
    for (name, run) in shifts {
        let function = lua.create_function(move |lua, args: MultiValue| {
            let (x, n) = (bits(lua, &args, 1)?, bits(lua, &args, 2)?);
            Ok(signed(run(x, n & 31)))
        })?;
        table.raw_set(name, function)?;
    }
    table.raw_set("tohex", lua.create_function(to_hex)?)?;
    Ok(table)
}

fn to_hex(lua: &Lua, args: MultiValue) -> mlua::Result<String> {
    let x = bits(lua, &args, 1)?;
    let digits = match args.len() {
        1 => 8,
        _ => integer(lua, &args, 2)? as i32,
    };
    let shown = digits.unsigned_abs().min(8) as usize;
    let text = format!("{x:08x}");
    let text = &text[8 - shown..];
    Ok(if digits < 0 {
        text.to_ascii_uppercase()
    } else {
        text.to_owned()
    })
}
