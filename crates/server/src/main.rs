//! The `damselfly` server binary.
fn main() {}
