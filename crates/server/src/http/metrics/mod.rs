//! `/metrics`: figures for Prometheus, read when they are asked for.

mod text;

use super::{Visit, answer};
use damselfly_engine::Role;
use hyper::Response;
use text::Text;

/// The text format, which Prometheus takes of any server.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers with all figures.
pub(super) async fn answer(visit: Visit) -> Response<String> {
    let mut text = Text::default();
    let uptime = visit.shared.facts.started.elapsed().as_secs();
    text.gauge("uptime_in_seconds", "Seconds since the start.")
        .value(uptime);
    let is_primary = visit.thread.engine.role() == Role::Primary;
    text.gauge(
        "master",
        "Whether this server is a primary (1) or follows one (0).",
    )
    .value(u8::from(is_primary));
    let received = visit.shared.clients.accepted();
    text.counter("connections_received_total", "Connections accepted.")
        .value(received);
    answer::of_type(CONTENT_TYPE, text.finish())
}
