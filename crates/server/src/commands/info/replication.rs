//! The section of replication.

use super::report::Report;
use super::text::Text;
use damselfly_engine::Role;

pub(super) fn write(report: &Report, text: &mut Text) {
    let shards = &report.sums.shards;
    text.field("role", if report.engine.role() == Role::Primary { "master" } else { "slave" });
    text.field("connected_slaves", 0);
    text.field("master_failover_state", "no-failover");
    text.field("master_repl_offset", shards.records);
    text.field("second_repl_offset", -1);
    text.field("repl_backlog_active", u8::from(shards.keeps_backlog));
    text.field("repl_backlog_size", report.config.backlog_bytes());
    text.field("repl_backlog_histlen", shards.backlog_bytes);
}
