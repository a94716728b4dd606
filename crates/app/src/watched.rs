//! Files that are read again while the service runs: when they change, and on SIGHUP.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use kafka_io::Shutdown;
use signal_hook::consts::SIGHUP;

/// How often a file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked whether somebody asks.
const LISTEN_EVERY: Duration = Duration::from_millis(100);

/// By what a file is told from another: when it was written, how long it is, and which one it is, as when it is put in place of
/// another. `None`: it cannot be looked at.
type Stamp = Option<(SystemTime, u64, u64)>;

/// A file and how it was when it was last looked at.
pub(crate) struct Watched {
    path: PathBuf,
    seen: Stamp,
}

impl Watched {
    /// One that is taken for changed at the first look: what was written since it was read at the start would go unseen.
    pub(crate) fn new(path: &Path) -> Watched {
        Watched { path: path.to_owned(), seen: None }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is another one than at the last look. To be asked before it is read: what is written meanwhile is a change for
    /// the next look.
    pub(crate) fn changed(&mut self) -> bool {
        let stamp = stamp(&self.path);
        let changed = stamp != self.seen;
        self.seen = stamp;
        changed
    }
}

fn stamp(file: &Path) -> Stamp {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

/// Calls `look(first, asked)` each second, and when SIGHUP asks for it, on a thread of its own until the shutdown.
///
/// # Errors
/// If the signal or the thread cannot be had.
pub(crate) fn keep_looking(
    name: &str,
    shutdown: &Shutdown,
    mut look: impl FnMut(bool, bool) + Send + 'static,
) -> Result<()> {
    let asked = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGHUP, Arc::clone(&asked)).context("SIGHUP cannot be listened to")?;
    let shutdown = shutdown.clone();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let mut looked: Option<Instant> = None;
            while !shutdown.is_requested() {
                let asked = asked.swap(false, Ordering::AcqRel);
                if asked || looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
                    let first = looked.is_none() && !asked;
                    looked = Some(Instant::now());
                    look(first, asked);
                }
                std::thread::sleep(LISTEN_EVERY);
            }
        })
        .with_context(|| format!("no thread for {name}"))?;
    Ok(())
}
