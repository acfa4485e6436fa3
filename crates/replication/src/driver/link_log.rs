//! What the log says of a link to a primary: each change of its state once, with the reason. While the primary stays away, every
//! attempt fails for the same reason: that is said once a minute.

use super::line_limit::LineLimit;
use crate::{error::LinkError, replica::LinkPhase};

/// How often the same reason is repeated.
const REPEAT_MS: u64 = 60_000;
/// Lines of one link in that time.
const LINES: u32 = 12;

/// What was said of a link.
#[derive(Debug)]
pub(super) struct LinkLog {
    address: String,
    limit: LineLimit,
    /// Why it broke, as it was said last, and when.
    said: Option<(String, u64)>,
    /// Attempts that failed for the same reason since.
    unsaid: u64,
}

impl LinkLog {
    pub(super) fn new(address: String) -> LinkLog {
        LinkLog {
            address,
            limit: LineLimit::new(LINES, REPEAT_MS),
            said: None,
            unsaid: 0,
        }
    }

    /// The link is in another phase; `down_ms` is how long it was not in stable sync.
    pub(super) fn entered(&mut self, now_ms: u64, phase: LinkPhase, down_ms: u64) {
        let address = &self.address;
        match phase {
            LinkPhase::FullSync => {
                if let Some(unsaid) = self.limit.admit(now_ms) {
                    tracing::info!(address, unsaid, "replica link: a full sync begins");
                }
            }
            LinkPhase::StableSync => {
                self.said = None;
                if let Some(unsaid) = self.limit.admit(now_ms) {
                    tracing::info!(address, down_ms, unsaid, "replica link is in stable sync");
                }
            }
            _ => {}
        }
    }

    /// The link broke, or an attempt failed; another one follows.
    pub(super) fn broken(&mut self, now_ms: u64, error: &LinkError, delay_ms: u64) {
        let why = error.to_string();
        let is_repeated = |(said, at): &(String, u64)| *said == why && now_ms < at + REPEAT_MS;
        if self.said.as_ref().is_some_and(is_repeated) {
            self.unsaid += 1;
            return;
        }
        let repeated = std::mem::take(&mut self.unsaid);
        if let Some(unsaid) = self.limit.admit(now_ms) {
            let address = &self.address;
            tracing::warn!(
                address,
                error = why,
                delay_ms,
                repeated,
                unsaid,
                "replica link broken"
            );
        }
        self.said = Some((why, now_ms));
    }
}
