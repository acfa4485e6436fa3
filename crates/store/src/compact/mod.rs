//! The 16-byte forms of keys and strings: inline when small, else a pointer to exactly what is needed.
//!
//! This is the only module of the crate with `unsafe` code. The reason: a string that is inline or on
//! the heap inside 16 bytes, with its length and a tag, can't be expressed with safe types, and two
//! thirds of the memory goal hang on it. Everything that touches a raw pointer is in the files of this
//! directory, is private to them, and is compared with plain vectors by model tests.
#![allow(unsafe_code)]

mod heap;
mod inline;
mod key;
mod str_value;

pub use key::Key;
pub(crate) use key::KeyProbe;
pub use str_value::{INT_TEXT_MAX, StrValue};
