//! The binary's life: flags, logs, pid file, signals.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::builder::{Server, StartError};
use crate::config::Config;
use crate::flags::{Parsed, parse_process};
use crate::healthcheck;
use crate::logging;
use crate::manager::Manager;
use crate::secrets;

/// Runs the server that the command line asks for, until SIGTERM, SIGINT or SHUTDOWN.
/// `start` makes a server of a configuration.
pub fn run(start: impl FnOnce(Config) -> Result<Server, StartError>) -> ExitCode {
    if let Err(error) = secrets::hide() {
        eprintln!("damselfly: cannot hide the passwords of the command line from ps: {error}");
    }
    let (config, ignored) = match parse_process() {
        Ok(Parsed::Run { config, ignored }) => (*config, ignored),
        Ok(Parsed::Show(text)) => {
            print(&text);
            return ExitCode::SUCCESS;
        }
        Ok(Parsed::Check(question)) => return ask(&question),
        Err(error) => {
            eprintln!("damselfly: {error}\nTry --help.");
            return ExitCode::from(2);
        }
    };
    logging::init(&config);
    for flag in ignored {
        tracing::warn!("--{flag} means nothing to this server; it is ignored");
    }
    match serve(config, start) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("damselfly: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Asks the running server that has these flags, and says what it answers.
fn ask(question: &healthcheck::Question) -> ExitCode {
    match question.ask() {
        Ok(answer) => {
            print(&format!("{answer}\n"));
            ExitCode::SUCCESS
        }
        Err(problem) => {
            print(&format!("{problem}\n"));
            ExitCode::FAILURE
        }
    }
}

fn serve(
    config: Config,
    start: impl FnOnce(Config) -> Result<Server, StartError>,
) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let _guard = runtime.enter();
    // Before the server runs, so that no signal finds the default action.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let _pid_file = PidFile::write(&config.pidfile)?;
    let server = start(config)?;
    for address in server.addresses() {
        print(&format!("listening on {address}\n"));
    }
    for address in server.admin_addresses() {
        print(&format!("admin port on {address}\n"));
    }
    let manager = Manager::tell_of(&server);
    let stop = server.stop_token();
    loop {
        let signal = runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => Some("SIGTERM"),
                _ = interrupt.recv() => Some("SIGINT"),
                _ = hangup.recv() => Some("SIGHUP"),
                () = stop.cancelled() => None,
            }
        });
        let Some(signal) = signal else { break };
        if signal == "SIGHUP" {
            tracing::info!("SIGHUP: reading TLS files again");
            server.reload_tls();
            continue;
        }
        tracing::info!("{signal}: shutting down");
        match server.save_at_end() {
            Ok(()) => break,
            Err(error) => {
                if let Some(manager) = &manager {
                    manager.say(format!("not stopped, because saving failed: {error}"));
                }
                tracing::error!(
                    "not shut down, because saving failed: {error}; SHUTDOWN NOSAVE ends the server all the same"
                );
            }
        }
    }
    let failure = server.failure();
    drop(manager);
    server.shutdown();
    if let Some(failure) = failure {
        return Err(StartError::Data(failure));
    }
    tracing::info!("bye");
    Ok(())
}

/// Prints at once; a reader that is gone is no reason to end a server.
fn print(text: &str) {
    let mut output = std::io::stdout();
    let _ = output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush());
}

/// The file with the process id; removed when the server ends.
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: &Path) -> std::io::Result<Option<PidFile>> {
        if path.as_os_str().is_empty() {
            return Ok(None);
        }
        let named = |error: std::io::Error| {
            std::io::Error::new(
                error.kind(),
                format!("pid file {}: {error}", path.display()),
            )
        };
        std::fs::write(path, format!("{}\n", std::process::id())).map_err(named)?;
        Ok(Some(PidFile(path.to_owned())))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_comes_and_goes() {
        let path = std::env::temp_dir().join(format!("damselfly-pid-{}", std::process::id()));
        let file = PidFile::write(&path).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap().trim(),
            std::process::id().to_string()
        );
        drop(file);
        assert!(!path.exists());
        assert!(PidFile::write(Path::new("")).unwrap().is_none());
        let error = PidFile::write(Path::new("/no/such/dir/pid")).err().unwrap();
        assert!(error.to_string().contains("/no/such/dir/pid"));
    }
}
