//! HTTP on the ports of RESP: who is answered, and what.

mod door;
mod hostile;
mod metrics;
