//! `/metrics`: figures for Prometheus, read when they are asked for.
//!
//! What Dragonfly has too has its name and labels (its `server_family.cc` and `metrics.cc`); all else is named as Prometheus
//! recommends, with the unit at the end. `docs/monitoring` has the dashboard and the alerts that stand on them.

mod link;
mod replicas;
mod server;
mod text;

use super::{Visit, answer};
use crate::commands::info::report::Report;
use damselfly_engine::replicate::{master_repl_offset, replication_status};
use hyper::Response;
use text::Text;

/// The text format, which Prometheus takes of any server.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers with all figures.
pub(super) async fn answer(visit: Visit) -> Response<String> {
    let offset = master_repl_offset(&visit.thread).await;
    let report = Report::of(&visit.thread, visit.shared).await;
    let status = replication_status(&report.engine);
    let mut text = Text::default();
    server::process(&report, &mut text);
    server::memory(&report, &status, &mut text);
    server::traffic(&report, &mut text);
    server::commands(&report, &mut text);
    server::keys(&report, &mut text);
    replicas::write(&report, offset, &status.replicas, &mut text);
    if let Some(primary) = &status.primary {
        link::write(primary, offset, &mut text);
    }
    answer::of_type(CONTENT_TYPE, text.finish())
}

/// Milliseconds as seconds.
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}
