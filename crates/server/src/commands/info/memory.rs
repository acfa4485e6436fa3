//! The section of memory.
//!
//! `used_memory` is what the shards' own accounting, the kept journal and the clients' buffers add up to; what the
//! allocator and the threads need beyond that shows in `used_memory_rss`.

use super::process::{machine_bytes, resident_bytes};
use super::report::Report;
use super::text::{Text, human};

pub(super) fn write(report: &Report, text: &mut Text) {
    let used = report.used_memory();
    let fragmentation = Fragmentation::of(used);
    usage(report, used, fragmentation.resident, text);
    text.bytes("total_system_memory", machine_bytes());
    let scripts = &report.engine.scripts.cache;
    let libraries = report.engine.scripts.libraries.current();
    text.field("used_memory_lua", 0);
    text.field("used_memory_vm_eval", 0);
    text.field("used_memory_lua_human", human(0));
    text.field("used_memory_scripts_eval", scripts.bytes());
    text.field("number_of_cached_scripts", scripts.len());
    text.field("number_of_functions", libraries.functions_len());
    text.field("number_of_libraries", libraries.len());
    text.field("used_memory_vm_functions", 0);
    text.bytes("used_memory_vm_total", 0);
    text.field("used_memory_functions", libraries.bytes());
    let bytes = scripts.bytes() + libraries.bytes();
    text.bytes("used_memory_scripts", bytes as u64);
    text.bytes("maxmemory", report.config.maxmemory);
    text.field("maxmemory_policy", report.config.maxmemory_policy.name());
    fragmentation.write(text);
    parts(report, text);
}

fn usage(report: &Report, used: u64, resident: u64, text: &mut Text) {
    let overhead = used - report.sums.shards.used_bytes + report.sums.shards.table_bytes;
    let dataset = used.saturating_sub(overhead);
    let peak = report.shared.facts.peak_memory(used);
    text.bytes("used_memory", used);
    text.bytes("used_memory_rss", resident);
    text.bytes("used_memory_peak", peak);
    text.field("used_memory_peak_perc", percent(used, peak));
    text.field("used_memory_overhead", overhead);
    text.field("used_memory_startup", 0);
    text.field("used_memory_dataset", dataset);
    text.field("used_memory_dataset_perc", percent(dataset, used));
    text.fields(&["allocator_allocated"], used);
    text.fields(&["allocator_active", "allocator_resident"], resident);
}

/// What the process has of the machine's memory beyond what it uses.
pub(super) struct Fragmentation {
    /// Bytes that it has.
    pub(super) resident: u64,
    /// How many times what it uses.
    pub(super) ratio: f64,
    /// How many bytes more.
    pub(super) bytes: i64,
}

impl Fragmentation {
    pub(super) fn of(used: u64) -> Fragmentation {
        let resident = resident_bytes();
        Fragmentation {
            resident,
            ratio: resident as f64 / used.max(1) as f64,
            bytes: resident as i64 - used as i64,
        }
    }

    fn write(&self, text: &mut Text) {
        let Fragmentation {
            ratio, bytes: more, ..
        } = self;
        text.field("allocator_frag_ratio", format_args!("{ratio:.2}"));
        text.field("allocator_frag_bytes", more);
        text.field("allocator_rss_ratio", "1.00");
        text.field("allocator_rss_bytes", 0);
        text.field("rss_overhead_ratio", "1.00");
        text.field("rss_overhead_bytes", 0);
        text.field("mem_fragmentation_ratio", format_args!("{ratio:.2}"));
        text.field("mem_fragmentation_bytes", more);
    }
}

fn parts(report: &Report, text: &mut Text) {
    let (clients, shards) = (&report.sums.clients, &report.sums.shards);
    let uncounted = clients.replica_bytes + clients.normal_bytes;
    text.field(
        "mem_not_counted_for_evict",
        uncounted + shards.backlog_bytes + shards.free_slots_bytes,
    );
    text.field("mem_replication_backlog", shards.backlog_bytes);
    text.field(
        "mem_total_replication_buffers",
        clients.replica_bytes + shards.backlog_bytes,
    );
    text.field("mem_clients_slaves", clients.replica_bytes);
    text.field("mem_clients_normal", clients.normal_bytes);
    text.fields(&["mem_cluster_links", "mem_aof_buffer"], 0);
    text.field("mem_allocator", "mimalloc");
    text.field("active_defrag_running", 0);
    text.field("lazyfree_pending_objects", shards.garbage);
    text.field("lazyfreed_objects", shards.lookups.freed_later);
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.2}%", part as f64 * 100.0 / whole.max(1) as f64)
}
