//! Examples of the Damselfly crates.
