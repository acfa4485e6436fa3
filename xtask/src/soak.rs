//! `cargo xtask soak [--only scenario]… [--fuzz-seconds N]`: runs the long tests, each with figures and a verdict.
//! The scenarios are in `tests/src/bin/damselfly-soak`; the fuzz targets come last.

use crate::{Result, clients, fuzz, long_runs, peers, shell};

/// How long each fuzz target runs.
const FUZZ_SECONDS: &str = "300";

/// What `--only` calls the fuzz targets.
const FUZZ: &str = "fuzz";

/// The scenario with a Prometheus.
const PROMETHEUS: &str = "prometheus";

/// The scenario with a client in Python.
const PYTHON: &str = "sentinel";

struct Options {
    /// What the program gets, `--only` included.
    scenarios: Vec<String>,
    is_fuzzing: bool,
    is_serving: bool,
    fuzz_seconds: String,
    /// Whether a scenario needs an interpreter.
    wants_python: bool,
    /// Whether one needs Debian's Prometheus.
    wants_prometheus: bool,
}

/// Runs the task.
pub(crate) fn run(args: &[String]) -> Result {
    let options = options(args)?;
    let mut failed = Vec::new();
    if options.is_serving {
        if options.wants_prometheus {
            peers::need_prometheus()?;
        }
        let mut program = long_runs::built("damselfly-soak", &options.scenarios)?;
        if options.wants_python {
            program.env("CLIENTS_PYTHON", clients::install_python()?);
        }
        failed.extend(shell::run(&mut program).err());
    }
    if options.is_fuzzing {
        println!("\n==> fuzz");
        failed.extend(fuzz::run(&["--seconds".into(), options.fuzz_seconds]).err());
    }
    let failed: Vec<String> = failed.iter().map(ToString::to_string).collect();
    match failed.is_empty() {
        true => Ok(()),
        false => Err(failed.join("; ").into()),
    }
}

fn options(args: &[String]) -> Result<Options> {
    let mut options = Options {
        scenarios: Vec::new(),
        is_fuzzing: true,
        is_serving: true,
        fuzz_seconds: FUZZ_SECONDS.into(),
        wants_python: true,
        wants_prometheus: true,
    };
    let mut asked: Vec<&String> = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--only" => asked.push(args.next().ok_or("--only needs a scenario")?),
            "--fuzz-seconds" => {
                let seconds = args.next().ok_or("--fuzz-seconds needs a number")?;
                options.fuzz_seconds.clone_from(seconds);
            }
            other => options.scenarios.push(other.to_owned()),
        }
    }
    if !asked.is_empty() {
        options.is_fuzzing = asked.iter().any(|name| *name == FUZZ);
        asked.retain(|name| *name != FUZZ);
        options.is_serving = !asked.is_empty();
        options.wants_python = asked.iter().any(|name| *name == PYTHON);
        options.wants_prometheus = asked.iter().any(|name| *name == PROMETHEUS);
    }
    for name in asked {
        options.scenarios.extend(["--only".into(), name.clone()]);
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Options {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        options(&args).unwrap()
    }

    #[test]
    fn fuzzing_is_one_of_the_scenarios() {
        let all = parsed("");
        assert!(all.is_fuzzing && all.is_serving && all.scenarios.is_empty());
        let one = parsed("--only cuts --seed 3");
        assert!(!one.is_fuzzing && one.is_serving);
        assert_eq!(one.scenarios, ["--seed", "3", "--only", "cuts"]);
        let fuzz = parsed("--only fuzz --fuzz-seconds 5");
        assert!(fuzz.is_fuzzing && !fuzz.is_serving && fuzz.fuzz_seconds == "5");
    }
}
