//! Commands that took long: the slow log, and the latency monitor.
//!
//! Looking at the clock twice would cost more than a percent of a short command. So what can't be slow is not timed: commands of
//! constant or logarithmic time, and those of strings with short arguments; unless the slow log is asked for anything below a
//! millisecond, then everything is.

mod latency;
mod log;
mod watch;

pub use latency::{LatencyEvent, LatencyMonitor, Sample};
pub use log::{SlowEntry, SlowLog};
pub use watch::{SlowCommand, SlowWatch, Thresholds};
