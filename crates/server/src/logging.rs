//! Logs of the binary. A program that embeds the server installs its own `tracing` subscriber.

use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use crate::config::Config;

/// Sends the server's messages to standard error. `RUST_LOG`, where it is set, wins over the
/// flags. Does nothing when a subscriber is installed already.
pub fn init(config: &Config) {
    let level = level(config);
    let filter = EnvFilter::builder()
        .with_default_directive(level.into())
        .from_env_lossy();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let _ = subscriber.try_init();
}

fn level(config: &Config) -> LevelFilter {
    match (config.minloglevel, config.verbosity) {
        (0, 0) => LevelFilter::INFO,
        (0, 1) => LevelFilter::DEBUG,
        (0, _) => LevelFilter::TRACE,
        (1, _) => LevelFilter::WARN,
        (2, _) => LevelFilter::ERROR,
        _ => LevelFilter::OFF,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_choose_the_level() {
        for (minloglevel, verbosity, expected) in [
            (0, 0, LevelFilter::INFO),
            (0, 1, LevelFilter::DEBUG),
            (0, 7, LevelFilter::TRACE),
            (1, 7, LevelFilter::WARN),
            (2, 0, LevelFilter::ERROR),
            (3, 0, LevelFilter::OFF),
        ] {
            assert_eq!(
                level(&Config {
                    minloglevel,
                    verbosity,
                    ..Config::default()
                }),
                expected
            );
        }
    }
}
