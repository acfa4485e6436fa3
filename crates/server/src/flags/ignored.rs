//! Dragonfly's flags that mean nothing here, so that a command line or a flag file written for
//! Dragonfly starts this server too. Each use is answered with a warning.
//!
//! The names are those of Dragonfly's documentation ("Server Configuration Flags", releases 1.14
//! to 1.40) and of the logging and flag libraries that it is built on.

/// A flag whose meaning would be lost silently, with the one value that loses nothing.
pub struct Refused {
    /// The flag's name.
    pub name: &'static str,
    /// The value under which the flag asks for nothing; another one is refused.
    pub harmless: &'static str,
}

/// Flags that ask for protection or for a listener. To take them and do nothing would leave a
/// server open that its operator believes closed, so a value other than the harmless one is an error.
#[rustfmt::skip]
pub static REFUSED: &[Refused] = &[
    Refused { name: "jwt_validate", harmless: "false" },
    Refused { name: "rename_command", harmless: "" },
    Refused { name: "memcached_port", harmless: "0" },
    Refused { name: "cluster_mode", harmless: "" },
    Refused { name: "user", harmless: "" },
];

/// Boolean flags that are taken with a warning.
#[rustfmt::skip]
pub static BOOLEANS: &[&str] = &[
    "active_replica", "alsologtostderr", "always_flush_pipeline", "background_debug_jobs",
    "background_heartbeat", "background_snapshotting", "backing_file_direct",
    "cache_mode", "cluster_flush_decommit_memory", "cluster_search", "colorlogtostderr", "conn_use_incoming_cpu",
    "deserialize_hnsw_index", "disable_json_defragmentation", "enable_heartbeat_eviction",
    "enable_heartbeat_rss_eviction", "enable_memcache_io_loop_v2", "enable_multi_shard_sync", "enable_resp_io_loop_v2",
    "enable_tcp_defer_accept", "enable_top_keys_tracking", "experimental_cluster_shard_by_slot", "experimental_flat_json",
    "expose_http_api", "force_epoll", "gcs_dry_upload", "journal_omit_redundant_writes", "jsonpathv2",
    "keep_legacy_memory_metrics", "latency_tracking", "lock_on_hashtags", "log_prefix", "log_utc_time", "logtostderr",
    "logtostdout", "lua_allow_undeclared_auto_correct", "lua_auto_async", "lua_enable_redis_log", "lua_resp2_legacy_float",
    "managed_service_info", "mget_dedup_keys", "migrate_connections", "multi_exec_squash", 
    "omit_basic_usage", "proactor_register_fd", "rdb_ignore_expiry", "rdb_load_dry_run",
    "rdb_sbf_chunked", "replica_delete_expired", "replica_reconnect_on_master_restart", "replicaof_no_one_start_journal",
    "s3_ec2_metadata", "s3_sign_payload", "s3_use_helio_client", "s3_use_https", "search_reject_legacy_field",
    "serialize_hnsw_index", "serialization_tagged_chunks", "singlehop_blocking", "stop_logging_if_full_disk",
    "symbolize_stacktrace", "tiered_experimental_cooling", "tiered_experimental_hash_support",
    "tiered_experimental_list_support", "tiered_skip_prefetch", "tiered_storage_cache_fetched",
    "tiered_storage_v2_cache_fetched", "timestamp_in_logfile_name", "tls_prefer_server_ciphers", "tls_session_caching",
    "unlink_experimental_async", "uring_disable_iowait", "use_numeric_range_tree", "use_oah_set", "use_set2",
    "use_zset_tree", "version_check",
];

/// Flags with a value that are taken with a warning.
#[rustfmt::skip]
pub static VALUES: &[&str] = &[
    "allocation_tracker", "async_dispatch_quota", "availability_zone",
    "cluster_announce_ip", "cluster_coordinator_connect_timeout_ms", "cluster_coordinator_response_timeout_ms",
    "cluster_node_id", "command_alias", "compression_level", "compression_mode", "conn_io_thread_start", "conn_io_threads",
    "container_iteration_yield_interval_usec", "epoll_file_threads", "eviction_memory_budget_threshold",
    "fiber_run_warning_threshold_ms", "fiber_safety_margin", "gcs_auth_token", "huffman_table", "hz",
    "interpreter_per_thread", "jwt_validate_url", "keys_output_limit", "list_compress_depth",
    "list_experimental_zstd_dict_threshold", "list_max_listpack_size", "list_tiering_threshold", "listpack_max_bytes",
    "listpack_max_field_len", "locktag_delimiter", "locktag_prefix", "locktag_skip_n_end_delimiters", "log_backtrace_at",
    "log_dir", "log_link", "log_squash_info_threshold_usec", "logbuflevel", "logbufsecs", "logemaillevel", "logfile_mode",
    "logmailer", "lua_float_as_int_shas", "lua_mem_gc_threshold", "lua_undeclared_keys_shas", "luagc",
    "max_busy_read_usec", "max_busy_squash_usec", "max_client_iobuf_len", "max_eviction_per_heartbeat", "max_log_size",
    "max_segment_to_consider", "max_squashed_cmd_num", "mem_defrag_check_sec_interval",
    "mem_defrag_page_utilization_threshold", "mem_defrag_threshold", "mem_defrag_waste_threshold",
    "migration_buckets_cpu_budget", "migration_buckets_serialization_threshold", "migration_buckets_sleep_usec",
    "migration_finalization_timeout_ms", "multi_eval_squash_buffer", "multi_exec_mode", 
    "oom_deny_commands", "oom_deny_ratio", "pause_wait_timeout", "pipeline_buffer_limit", "pipeline_queue_limit",
    "pipeline_squash", "pipeline_squash_limit", "pipeline_wait_batch_usec", "proactor_affinity_mode",
    "publish_buffer_limit", "registered_buffer_size", "replication_dispatch_threshold", "request_cache_limit",
    "rss_oom_deny_ratio", "s3_endpoint", "save_schedule", "scheduler_background_budget",
    "scheduler_background_sleep_prob", "scheduler_background_warrant", "search_query_string_bytes", "send_timeout",
    "serialization_max_chunk_size", "shard_repl_backlog_len", "shard_round_robin_prefix", "shard_thread_busy_polling_usec",
    "slot_migration_connection_timeout_ms", "slot_migration_throttle_us",
    "spill_file_prefix", "squash_stats_latency_lower_limit", "squashed_reply_size_limit",
    "stderrthreshold", "subscriber_thread_limit", "subset_knn_search_threshold", "table_growth_margin",
    "tiered_low_memory_factor", "tiered_max_file_size", "tiered_max_pending_stash_bytes", "tiered_min_value_size",
    "tiered_offload_threshold", "tiered_prefix", "tiered_storage_max_pending_writes", "tiered_storage_throttle_us",
    "tiered_storage_write_depth", "tiered_upload_threshold", "tls_cipher_suites", "tls_ciphers", "tls_session_cache_size", "tls_session_cache_timeout",
    "tx_queue_warning_len", "undefok", "uring_direct_table_len", "uring_recv_buffer_cnt",
    "uring_wake_mode", "vmodule",
];

/// Whether a name is a boolean flag of Dragonfly that is taken or refused here.
pub fn is_boolean(name: &str) -> bool {
    BOOLEANS.contains(&name)
        || REFUSED
            .iter()
            .any(|row| row.name == name && row.harmless == "false")
}

/// Whether a name is a flag of Dragonfly that is only taken with a warning, or refused.
pub fn is_known(name: &str) -> bool {
    BOOLEANS.contains(&name) || VALUES.contains(&name) || refused(name).is_some()
}

/// The row of a flag that is refused unless its value is harmless.
pub fn refused(name: &str) -> Option<&'static Refused> {
    REFUSED.iter().find(|row| row.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::table;
    use std::collections::HashSet;

    #[test]
    fn no_flag_stands_in_two_places() {
        let mut seen: HashSet<&str> = table::FLAGS.iter().map(|flag| flag.name).collect();
        let refused = REFUSED.iter().map(|row| row.name);
        for name in BOOLEANS.iter().chain(VALUES).copied().chain(refused) {
            assert!(seen.insert(name), "{name} stands twice");
        }
    }
}
