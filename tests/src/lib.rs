//! Real servers for the tests: Apache Kafka and a schema registry from Maven Central, the `sinyal` binary, and a reader
//! that shares no code with it.
//!
//! What is fetched once is kept in `.cache` of the workspace, or in `SINYAL_TEST_CACHE`.
#![allow(clippy::print_stderr)] // A test that waits or skips must say so.

mod acls;
mod alertmanager;
mod authority;
pub mod chaos;
pub mod checks;
mod collector;
pub mod desk;
mod fleet;
mod kafka;
pub mod machine;
pub mod older;
mod postgres;
mod probe;
mod prometheus;
mod proxy;
mod reader;
mod receiver;
mod registry;
mod secured;
mod sinyal;
pub mod soak;
mod tokens;
mod written;

pub use acls::{Acl, Acls};
pub use alertmanager::Alertmanager;
pub use authority::Authority;
pub use collector::{Collector, Span};
pub use kafka::Kafka;
pub use oracle::Oracle;
pub use postgres::{Postgres, Session};
pub use probe::{Probe, Usage};
pub use prometheus::Prometheus;
pub use proxy::{Guard, Proxy};
pub use reader::Reader;
pub use receiver::{Answer, Delivery, Receiver};
pub use registry::Registry;
pub use secured::{Listener, Secured};
pub use sinyal::{Build, Ran, Sinyal, binary};
pub use tokens::Tokens;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// The folder of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}

/// Where what is fetched is kept.
fn cache() -> Result<PathBuf> {
    let cache = std::env::var_os("SINYAL_TEST_CACHE").map_or_else(|| workspace().join(".cache"), PathBuf::from);
    std::fs::create_dir_all(&cache)?;
    Ok(cache)
}

/// One fetch at a time, however many tests run.
static FETCH: Mutex<()> = Mutex::new(());

/// Checks that a program is there.
fn need(program: &str, package: &str) -> Result<()> {
    let found =
        Command::new(program).arg("--version").output().is_ok() || Command::new(program).arg("-V").output().is_ok();
    ensure!(found, "{program} is missing; on Debian: apt-get install -y {package}");
    Ok(())
}

/// A port that is free now, below those that the system gives to clients: nobody else gets it while its server is away.
///
/// # Errors
/// If there is none.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..20_000 {
        let number = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(10_000 + number % 20_000)?;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port from 10000 to 29999 is free")
}

/// Waits until something is so.
///
/// # Errors
/// If it is not within `timeout`; the message says what was waited for.
pub fn wait_for(what: &str, timeout: Duration, mut so: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + timeout;
    while !so().with_context(|| what.to_owned())? {
        if Instant::now() > end {
            bail!("waited {} s in vain for {what}", timeout.as_secs());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Runs a command to its end.
fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?} cannot be started"))?;
    ensure!(
        output.status.success(),
        "{command:?} ended with {}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A server's process, which ends with this one whatever happens.
#[derive(Debug)]
struct Server(Child);

impl Server {
    /// Starts it from a thread that lives as long as the process: Linux ends a child with the thread that started it.
    fn start(mut command: Command) -> Result<Server> {
        use std::os::unix::process::CommandExt;
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            // SAFETY: prctl is safe to call between fork and exec.
            #[allow(unsafe_code)]
            unsafe {
                command.pre_exec(|| {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    Ok(())
                });
            }
            let _ = send.send(command.spawn());
            loop {
                std::thread::park();
            }
        });
        Ok(Server(receive.recv()??))
    }

    fn signal(&self, signal: i32) {
        let id = i32::try_from(self.0.id()).unwrap_or(-1);
        // SAFETY: the child has not been waited for, so its id is still its own.
        #[allow(unsafe_code)]
        unsafe {
            libc::kill(id, signal);
        }
    }

    /// Asks it to end, and waits until it has.
    fn stop(&mut self) -> Result<()> {
        self.signal(libc::SIGTERM);
        wait_for("a server to end", Duration::from_secs(60), || Ok(self.0.try_wait()?.is_some()))
    }

    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
