//! Whole servers that follow a plain Redis: full syncs of all kinds, the stream behind them, links that break, and what stays
//! when the Redis goes away.

mod links;
mod moving;
mod refusals;
mod stage;
mod streams;
mod syncs;
