//! What a figure was measured on: it is kept with each.

use std::process::Command;

use procfs::{CpuInfo, Current};

use crate::workspace;

/// How many cores of which kind.
pub fn machine() -> String {
    let Ok(cpus) = CpuInfo::current() else { return "unknown".to_owned() };
    format!("{} cores of {}", cpus.num_cores(), cpus.model_name(0).unwrap_or("an unknown kind"))
}

/// The commit that is checked out, and whether anything differs from it. To be asked before the work begins, in which another may be
/// checked out.
pub fn commit() -> String {
    let output = Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(workspace()).output();
    let said = output.ok().filter(|output| output.status.success());
    said.map_or("unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
