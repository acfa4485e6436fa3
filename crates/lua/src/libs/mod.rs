//! The libraries that Redis adds to Lua's own.

use crate::interpreter::Shared;
use mlua::{Lua, Table};
use std::rc::Rc;

/// Puts them among the globals.
pub(crate) fn load(_lua: &Lua, _globals: &Table, _shared: &Rc<Shared>) -> mlua::Result<()> {
    Ok(())
}
