//! `cargo xtask soak`: hours of a feed with a fault every minute, in release.

use std::process::Command;

use anyhow::{Context, Result};

pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["run", "--release", "--quiet", "--package", "sinyal-tests", "--bin", "soak", "--"])
        .args(arguments)
        .status()
        .context("cargo cannot be started")?;
    Ok(status.success())
}
