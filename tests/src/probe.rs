//! A look at a running service from outside: what it serves, and what Linux tells of its process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use procfs::process::Process;

/// Longest that a look may take: who is asked may be frozen.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a process has used so far.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Of all its threads, in user and kernel.
    pub cpu_seconds: f64,
    /// What is resident now.
    pub resident_bytes: u64,
    /// The most that was resident at once.
    pub peak_resident_bytes: u64,
    /// Open file descriptors.
    pub handles: u64,
    /// Threads.
    pub threads: u64,
}

impl Usage {
    /// Of the process with this id, as Linux counts.
    ///
    /// # Errors
    /// If there is none.
    pub fn of(id: u32) -> Result<Usage> {
        let process = Process::new(i32::try_from(id)?)?;
        let stat = process.stat()?;
        let status = process.status()?;
        Ok(Usage {
            cpu_seconds: (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64,
            resident_bytes: stat.rss * procfs::page_size(),
            peak_resident_bytes: status.vmhwm.context("no peak of what was resident")? * 1024,
            handles: process.fd_count()? as u64,
            threads: status.threads,
        })
    }
}

/// Where a service is to be looked at; it may have ended.
#[derive(Debug, Clone)]
pub struct Probe {
    pub(crate) id: u32,
    pub(crate) log: PathBuf,
}

impl Probe {
    /// What it shows under `/metrics`.
    ///
    /// # Errors
    /// If it serves nothing yet, or does not answer.
    pub fn metrics(&self) -> Result<String> {
        let ask = ureq::get(format!("{}/metrics", address_in(&self.log)?));
        let ask = ask.config().timeout_global(Some(PATIENCE)).build();
        Ok(ask.call()?.body_mut().read_to_string()?)
    }

    /// What it has used so far.
    ///
    /// # Errors
    /// If it has ended.
    pub fn usage(&self) -> Result<Usage> {
        Usage::of(self.id)
    }
}

/// The root of what a service serves. The port is any that is free: the log names it.
pub(crate) fn address_in(log: &Path) -> Result<String> {
    let log = std::fs::read_to_string(log)?;
    let line = log.lines().find(|line| line.contains("http is served")).context("nothing is served yet")?;
    let line: serde_json::Value = serde_json::from_str(line)?;
    Ok(format!("http://{}", line["bound"].as_str().context("an address")?))
}
