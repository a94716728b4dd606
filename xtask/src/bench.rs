//! `cargo xtask bench`: the in-memory benchmarks, in release.

use std::process::Command;

use anyhow::{Context, Result};

pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["run", "--release", "--quiet", "--package", "sinyal-benches", "--bin", "sinyal-bench", "--"])
        .args(if arguments.is_empty() { vec!["all".to_owned()] } else { arguments.to_vec() })
        .status()
        .context("cargo cannot be started")?;
    Ok(status.success())
}
