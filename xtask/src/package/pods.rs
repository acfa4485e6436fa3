//! The StatefulSet's scripts and flags with three pods that this machine plays: start, failover by Sentinel, return, restart of all.

use super::{Options, build_binary, folder, manifests, step};
use crate::{
    Result, peers,
    shell::{self, command},
};
use std::fs;

pub(super) fn play(options: &Options) -> Result {
    peers::install()?;
    let python = step("install PyYAML", manifests::install)?;
    let binary = step("build the binary", || build_binary(options))?;
    let work = folder().join("pods");
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    fs::create_dir_all(&work)?;
    step("three pods", || {
        let mut play = command(&python);
        play.args(["-u", "-c", include_str!("pods.py")]);
        shell::run(play.arg(manifests::directory()).arg(&binary).arg(&work))
    })
}
