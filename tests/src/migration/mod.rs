//! Data of a Redis that comes to us: of every type and encoding, under all kinds of writes, and compared value by value.

mod contents;
mod encodings;
mod fill;
mod moving;
mod writes;

pub use contents::{Exactness, Found, compare, differing};
pub use encodings::{Encodings, encodings, expected};
pub use fill::{PREFIX, Sizes, fill};
pub use moving::{Moved, Writers, run_script};
pub use writes::RedisWrites;
