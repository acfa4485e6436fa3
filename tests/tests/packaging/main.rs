//! What packages rely on: the service manager's protocol, the health check, and the example configurations.

mod examples;
mod healthcheck;
mod notify;
