//! `cargo xtask bench`: benchmarks of the whole workspace, in release.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// What the comparison with Kafka Streams is built by, and what has that on Debian.
const OF_PEERS: [&str; 5] = ["cc", "cmake", "pkg-config", "mvn", "javac"];
const PACKAGES: &str = "build-essential cmake pkg-config libssl-dev maven default-jdk-headless";

pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    let named: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|argument| *argument != "--json").take(2).collect();
    if named.first() == Some(&"peers") && named.get(1) != Some(&"plot") {
        check_tools()?;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["run", "--release", "--quiet", "--package", "sinyal-benches", "--bin", "sinyal-bench", "--"])
        .args(if arguments.is_empty() { vec!["all".to_owned()] } else { arguments.to_vec() })
        .status()
        .context("cargo cannot be started")?;
    Ok(status.success())
}

/// Before minutes are spent on building ours.
fn check_tools() -> Result<()> {
    let is_there = |program: &&str| {
        let mut command = Command::new(program);
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let missing: Vec<&str> = OF_PEERS.into_iter().filter(|program| !is_there(program)).collect();
    ensure!(missing.is_empty(), "missing: {}; on Debian: sudo apt-get install -y {PACKAGES}", missing.join(" "));
    Ok(())
}
