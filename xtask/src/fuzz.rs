//! `cargo xtask fuzz [target…] [--seconds N]`: runs the fuzz targets of `fuzz/`, each for a while.
//!
//! libFuzzer needs flags that only a nightly compiler takes by itself; `RUSTC_BOOTSTRAP=1` lets the stable one take them.

use std::{fs, path::PathBuf};

use crate::{
    Result,
    shell::{self, cargo, command, root},
};

/// A short run for every target; `--seconds` changes it.
const DEFAULT_SECONDS: u64 = 60;

/// More memory than this in one run is a finding, in MiB.
const MEMORY_LIMIT_MB: u32 = 1024;

/// One input takes longer than this: a finding, in seconds.
const INPUT_TIMEOUT_SECONDS: u32 = 10;

/// Coverage as libFuzzer wants it, with overflow and debug checks, and the address sanitizer.
const RUSTFLAGS: &str = "-Zsanitizer=address -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Cdebug-assertions -Coverflow-checks -Copt-level=3 -Cdebuginfo=1";

struct Options {
    targets: Vec<String>,
    seconds: u64,
}

/// Runs the task.
pub(crate) fn run(args: &[String]) -> Result {
    let known = known_targets()?;
    let options = options(args, &known)?;
    build(&options.targets)?;
    let mut findings = Vec::new();
    for target in &options.targets {
        println!("\n==> {target} for {} s", options.seconds);
        if let Err(error) = fuzz(target, options.seconds) {
            findings.push(format!("{target}: {error}"));
        }
    }
    if findings.is_empty() {
        println!(
            "\n{} targets, {} s each, no findings",
            options.targets.len(),
            options.seconds
        );
        return Ok(());
    }
    Err(format!(
        "findings (inputs in fuzz/artifacts):\n{}",
        findings.join("\n")
    )
    .into())
}

fn options(args: &[String], known: &[String]) -> Result<Options> {
    let mut options = Options {
        targets: Vec::new(),
        seconds: DEFAULT_SECONDS,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--seconds" {
            let value = args.next().ok_or("--seconds needs a number")?;
            options.seconds = value
                .parse()
                .map_err(|_| format!("--seconds needs a number, got {value:?}"))?;
        } else if known.contains(arg) {
            options.targets.push(arg.clone());
        } else {
            return Err(format!("no fuzz target {arg:?}; there are: {}", known.join(", ")).into());
        }
    }
    if options.targets.is_empty() {
        options.targets = known.to_vec();
    }
    Ok(options)
}

/// One file of `fuzz/fuzz_targets` is one target.
fn known_targets() -> Result<Vec<String>> {
    let dir = root().join("fuzz/fuzz_targets");
    let files = fs::read_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut names = Vec::new();
    for file in files {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(
                path.file_stem()
                    .map(|name| name.to_string_lossy().into_owned()),
            );
        }
    }
    names.sort();
    if names.is_empty() {
        return Err(format!("no fuzz targets in {}", dir.display()).into());
    }
    Ok(names)
}

fn triple() -> Result<String> {
    let version = shell::output(command("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("rustc -vV names no host")?.to_owned())
}

fn build(targets: &[String]) -> Result {
    let manifest = root().join("fuzz/Cargo.toml");
    let binaries = targets.iter().flat_map(|target| ["--bin", target]);
    shell::run(
        cargo()
            .arg("build")
            .args(binaries)
            .args(["--target", &triple()?, "--manifest-path"])
            .arg(manifest)
            .arg("--target-dir")
            .arg(root().join("fuzz/target"))
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", RUSTFLAGS),
    )
}

fn fuzz(target: &str, seconds: u64) -> Result {
    let made = |kind: &str| -> Result<PathBuf> {
        let dir = root().join("fuzz").join(kind).join(target);
        fs::create_dir_all(&dir)?;
        Ok(dir)
    };
    let (corpus, artifacts) = (made("corpus")?, made("artifacts")?);
    let binary = root()
        .join("fuzz/target")
        .join(triple()?)
        .join("debug")
        .join(target);
    let mut run = command(binary);
    run.arg(corpus);
    let seeds = root().join("fuzz/seeds").join(target);
    if seeds.is_dir() {
        run.arg(seeds);
    }
    run.arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-rss_limit_mb={MEMORY_LIMIT_MB}"))
        .arg(format!("-timeout={INPUT_TIMEOUT_SECONDS}"))
        .args(["-print_final_stats=1", "-verbosity=0", "-print_funcs=0"]);
    shell::run(&mut run)
}
