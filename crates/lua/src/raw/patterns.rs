//! Lua's functions with patterns, for patterns of a bounded number of items, and for bounded work: matching nests as deep as a
//! pattern has repetitions, on C's stack, and Lua 5.1 does not look whether there is room, nor how long it takes.

use super::effort::{Search, is_too_much};
use mlua::ffi::{self, lua_State};
use mlua::{Function, Lua, Table};
use std::ffi::{c_int, c_void};

/// The functions of `string` that take a pattern as their second argument.
const FUNCTIONS: [&str; 4] = ["find", "match", "gmatch", "gsub"];
/// Repetitions and captures of one pattern. Each takes some hundred bytes of the stack while it is matched.
const MAX_ITEMS: usize = 4_000;

/// Puts the guarded functions in place of Lua's.
pub(crate) fn guard(lua: &Lua, string: &Table) -> mlua::Result<()> {
    for name in FUNCTIONS {
        let native: Function = string.raw_get(name)?;
        // SAFETY: it is a protected call that takes a function and leaves another, of Lua's own or a new one around it.
        let guarded = unsafe {
            lua.exec_raw::<Function>(native, |state| {
                let Some(native) = ffi::lua_tocfunction(state, -1) else {
                    return;
                };
                ffi::lua_pushlightuserdata(state, native as *mut c_void);
                let number = FUNCTIONS.iter().position(|other| *other == name);
                ffi::lua_pushinteger(state, number.unwrap_or_default() as ffi::lua_Integer);
                ffi::lua_pushcclosure(state, guarded, 2);
                ffi::lua_replace(state, -2);
            })
        }?;
        string.raw_set(name, guarded)?;
    }
    Ok(())
}

/// Runs the function behind it in its own place, so that errors say what they say without it.
unsafe extern "C-unwind" fn guarded(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls it with its upvalues, the first a function of its own that needs nothing of its frame but the arguments. The
    // pattern's bytes are read while it stands on the stack; nothing here has to be dropped where an error is raised.
    unsafe {
        if ffi::lua_type(state, 2) == ffi::LUA_TSTRING && !is_fine(state) {
            super::push_text(state, b"pattern too complex");
            ffi::lua_error(state);
        }
        let native = ffi::lua_touserdata(state, ffi::lua_upvalueindex(1));
        let native: ffi::lua_CFunction = std::mem::transmute(native);
        native(state)
    }
}

/// Whether the pattern, the second argument, can be matched in bounded space and time.
///
/// # Safety
/// It is called by Lua with the upvalues of [`guarded`]; the second argument is a string. It raises no error.
unsafe fn is_fine(state: *mut lua_State) -> bool {
    // SAFETY: strings are read while they stand on the stack, and numbers are not changed into such.
    unsafe {
        let pattern = super::text_at(state, 2);
        let function = ffi::lua_tointeger(state, ffi::lua_upvalueindex(2));
        let number = |index| match ffi::lua_type(state, index) {
            ffi::LUA_TNUMBER => Some(ffi::lua_tonumber(state, index)),
            _ => None,
        };
        let is_find = FUNCTIONS[function as usize] == "find";
        if is_find && ffi::lua_toboolean(state, 4) != 0 {
            return true;
        }
        if pattern.len() > MAX_ITEMS && is_complex(pattern) {
            return false;
        }
        if ffi::lua_type(state, 1) != ffi::LUA_TSTRING {
            return true;
        }
        let subject = super::text_at(state, 1);
        let search = match FUNCTIONS[function as usize] {
            "gmatch" => Search::All {
                most: usize::MAX,
                may_anchor: false,
            },
            "gsub" => Search::All {
                most: number(4).map_or(usize::MAX, |most| most.max(0.0) as usize),
                may_anchor: true,
            },
            _ => Search::First(match number(3) {
                Some(from) if from < 0.0 => subject.len().saturating_sub(-from as usize),
                Some(from) => (from as usize).saturating_sub(1),
                None => 0,
            }),
        };
        !is_too_much(subject, pattern, search)
    }
}

fn is_complex(pattern: &[u8]) -> bool {
    let items = pattern.iter().filter(|byte| b"?*+-(".contains(byte));
    items.count() > MAX_ITEMS
}
