//! Values and other data of modules: passed over item by item, by the numbers that tell what each is.

use super::Limits;
use super::body::Body;
use super::event::ModuleId;
use super::lane::{Lane, State};
use super::scan::{Halt, Read, Scan, StringHead, unexpected, within};

const END: u64 = 0;
const SIGNED: u64 = 1;
const UNSIGNED: u64 = 2;
const FLOAT: u64 = 3;
const DOUBLE: u64 = 4;
const STRING: u64 = 5;

/// What of a module's data comes next.
#[derive(Debug, Clone, Copy)]
pub(super) struct ModuleBody {
    /// Not a value, but what the module saved beside its keys.
    aux: Option<ModuleId>,
    /// Bytes of a string that are still to come.
    skip: u64,
}

impl ModuleBody {
    pub(super) fn new(aux: Option<ModuleId>) -> ModuleBody {
        ModuleBody { aux, skip: 0 }
    }

    /// The bytes of a string that follow what was read, for who passes over them.
    pub(super) fn take_skip(&mut self) -> u64 {
        std::mem::take(&mut self.skip)
    }

    /// Reads an item; bytes of a string are left for later. `false`: there was none.
    pub(super) fn read_item(&mut self, scan: &mut Scan<'_>, limits: &Limits) -> Read<bool> {
        match scan.len()? {
            END => return Ok(false),
            SIGNED | UNSIGNED => _ = scan.len()?,
            FLOAT => _ = scan.array::<4>()?,
            DOUBLE => _ = scan.array::<8>()?,
            STRING => {
                let len = match scan.string_head()? {
                    StringHead::Raw(len) => len,
                    StringHead::Int(_) => 0,
                    StringHead::Lzf { packed, .. } => packed,
                };
                self.skip = within("a string", len, limits.max_string)? as u64;
            }
            other => return Err(unexpected("an item of a module, 0 to 5", other)),
        }
        Ok(true)
    }
}

impl Lane {
    pub(super) fn poll_module(&mut self, mut body: ModuleBody, limits: &Limits) -> Read<()> {
        let mut next = None;
        if body.skip > 0 {
            let skipped = body.skip.min(self.unread() as u64);
            if skipped == 0 {
                return Err(Halt::Need(1));
            }
            self.pos += skipped as usize;
            body.skip -= skipped;
        } else {
            let mut scan = Scan::new(&self.buf[self.pos..]);
            if !body.read_item(&mut scan, limits)? {
                next = Some(body.aux.map_or(Body::End, Body::ModuleAuxEnd));
            }
            self.pos += scan.at;
        }
        self.state = State::Body(next.unwrap_or(Body::Module(body)));
        Ok(())
    }
}
