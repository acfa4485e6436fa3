//! Replies of commands as Lua values.

use super::call::push_reply_error;
use super::{push_text, set_field};
use mlua::ffi::{self, lua_State};
use std::ffi::{CStr, c_int};

/// Arrays in arrays that a reply may have.
const MAX_DEPTH: usize = 64;
/// Values that one level of a reply puts on the stack.
const SLOTS: c_int = 6;

/// Pushes the Lua value that a whole reply stands for; an error's is a table. May raise an error.
///
/// # Safety
/// It is called by a function that Lua calls, and there is nothing to be dropped in the frames up to the next protected call.
pub(super) unsafe fn push(state: *mut lua_State, reply: &[u8]) {
    let mut reader = Reader { state, rest: reply };
    // SAFETY: as above.
    unsafe {
        if !reader.value(0) {
            ffi::lua_pushnil(state);
        }
    }
}

/// (It and its frames have nothing to be dropped: everything here may be jumped over. Its methods are as unsafe as [`push`].)
struct Reader<'a> {
    state: *mut lua_State,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Pushes the next value. False where the reply has none (which our own commands don't write).
    unsafe fn value(&mut self, depth: usize) -> bool {
        let Some((&kind, _)) = self.rest.split_first() else {
            return false;
        };
        let state = self.state;
        // SAFETY: as for `push`.
        if depth > MAX_DEPTH || unsafe { ffi::lua_checkstack(state, SLOTS) } == 0 {
            return false;
        }
        let line = &self.line()[1..];
        // SAFETY: as for `push`; there is room for what one level pushes.
        unsafe {
            match kind {
                b'$' | b'*' if line == b"-1" => ffi::lua_pushboolean(state, 0),
                b'$' => push_text(state, self.bulk(line)),
                b':' => ffi::lua_pushnumber(state, number(line) as f64),
                b'+' => self.text_field(c"ok", line),
                b'-' => push_reply_error(state, line),
                b'*' | b'>' => self.array(number(line), depth),
                b'%' => self.map(number(line), depth),
                b'~' => self.set(number(line), depth),
                b'#' => ffi::lua_pushboolean(state, (line == b"t").into()),
                b',' => {
                    ffi::lua_createtable(state, 0, 1);
                    ffi::lua_pushnumber(state, double(line));
                    set_field(state, c"double");
                }
                b'(' => self.text_field(c"big_number", line),
                b'=' => self.verbatim(line),
                _ => ffi::lua_pushnil(state),
            }
        }
        true
    }

    /// The next line, without its end.
    fn line(&mut self) -> &'a [u8] {
        // A line ends with both; bytes before the first `\r` can't be of its end.
        let end = self.rest.iter().position(|byte| *byte == b'\r');
        let (line, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest.get(2..).unwrap_or_default();
        line
    }

    fn bulk(&mut self, len: &[u8]) -> &'a [u8] {
        let len = (number(len).max(0) as usize).min(self.rest.len());
        let (bulk, rest) = self.rest.split_at(len);
        self.rest = rest.get(2..).unwrap_or_default();
        bulk
    }

    /// Pushes a table with one field.
    unsafe fn text_field(&mut self, name: &CStr, text: &[u8]) {
        // SAFETY: as for `push`.
        unsafe {
            ffi::lua_createtable(self.state, 0, 1);
            push_text(self.state, text);
            set_field(self.state, name);
        }
    }

    unsafe fn array(&mut self, len: i64, depth: usize) {
        let known = (len.max(0) as usize).min(self.rest.len());
        // SAFETY: as for `push`.
        unsafe {
            ffi::lua_createtable(self.state, known as c_int, 0);
            for index in 1..=len {
                if !self.value(depth + 1) {
                    break;
                }
                ffi::lua_rawseti_(self.state, -2, index as c_int);
            }
        }
    }

    unsafe fn map(&mut self, len: i64, depth: usize) {
        // SAFETY: as for `push`.
        unsafe {
            ffi::lua_createtable(self.state, 0, 1);
            ffi::lua_createtable(self.state, 0, 0);
            for _ in 0..len {
                if !self.value(depth + 1) {
                    break;
                }
                if !self.value(depth + 1) {
                    ffi::lua_settop(self.state, -2);
                    break;
                }
                self.set_item();
            }
            set_field(self.state, c"map");
        }
    }

    unsafe fn set(&mut self, len: i64, depth: usize) {
        // SAFETY: as for `push`.
        unsafe {
            ffi::lua_createtable(self.state, 0, 1);
            ffi::lua_createtable(self.state, 0, 0);
            for _ in 0..len {
                if !self.value(depth + 1) {
                    break;
                }
                ffi::lua_pushboolean(self.state, 1);
                self.set_item();
            }
            set_field(self.state, c"set");
        }
    }

    /// Sets the item of the table below; nothing is set under nil and what is no number.
    unsafe fn set_item(&mut self) {
        // SAFETY: as for `push`: a key and a value are on top of a table.
        unsafe {
            let is_number = ffi::lua_type(self.state, -2) == ffi::LUA_TNUMBER;
            let is_nan = is_number && ffi::lua_tonumber(self.state, -2).is_nan();
            if is_nan || ffi::lua_type(self.state, -2) == ffi::LUA_TNIL {
                ffi::lua_settop(self.state, -3);
            } else {
                ffi::lua_rawset(self.state, -3);
            }
        }
    }

    unsafe fn verbatim(&mut self, len: &[u8]) {
        let bulk = self.bulk(len);
        let (format, text) = bulk.split_at(bulk.len().min(4));
        let format = format.strip_suffix(b":").unwrap_or(format);
        // SAFETY: as for `push`.
        unsafe {
            ffi::lua_createtable(self.state, 0, 1);
            ffi::lua_createtable(self.state, 0, 2);
            push_text(self.state, text);
            set_field(self.state, c"string");
            push_text(self.state, format);
            set_field(self.state, c"format");
            set_field(self.state, c"verbatim_string");
        }
    }
}

fn number(digits: &[u8]) -> i64 {
    damselfly_resp::parse_i64(digits).unwrap_or_default()
}

fn double(text: &[u8]) -> f64 {
    match text {
        b"nan" | b"-nan" => f64::NAN,
        text => damselfly_resp::parse_f64(text).unwrap_or_default(),
    }
}
