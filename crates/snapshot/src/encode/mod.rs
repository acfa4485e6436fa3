//! Writing: primitives, values, and the stream around them.

mod elements;
mod extension;
mod primitives;
mod profile;
mod value;
mod writer;

#[cfg(feature = "store")]
pub(crate) use elements::{HashForm, SetForm};
pub use extension::{put_blob, put_chunk, put_cut, put_journal_blob, put_journal_offset};
pub use primitives::{put_aux, put_f64, put_int, put_len, put_raw_string, put_select, put_string};
pub use profile::Profile;
#[cfg(feature = "store")]
pub(crate) use value::put_list_node;
pub use value::{Encoder, EntryMeta, Head, put_split_head};
pub use writer::{RdbWriter, lz4_blob};
