//! Lua's functions with patterns, for patterns of a bounded number of items: matching nests as deep as a pattern has
//! repetitions, on C's stack, and Lua 5.1 does not look whether there is room.

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
                ffi::lua_pushboolean(state, (name == "find").into());
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
        if ffi::lua_type(state, 2) == ffi::LUA_TSTRING {
            let pattern = super::text_at(state, 2);
            let is_find = ffi::lua_toboolean(state, ffi::lua_upvalueindex(2)) != 0;
            let is_plain = is_find && ffi::lua_toboolean(state, 4) != 0;
            if pattern.len() > MAX_ITEMS && !is_plain && is_complex(pattern) {
                super::push_text(state, b"pattern too complex");
                ffi::lua_error(state);
            }
        }
        let native = ffi::lua_touserdata(state, ffi::lua_upvalueindex(1));
        let native: ffi::lua_CFunction = std::mem::transmute(native);
        native(state)
    }
}

fn is_complex(pattern: &[u8]) -> bool {
    let items = pattern.iter().filter(|byte| b"?*+-(".contains(byte));
    items.count() > MAX_ITEMS
}
