//! `sinyal`: social conversation into signals, on Apache Kafka. All of the program but the allocator; `main.rs` starts it.
#![allow(clippy::print_stdout, clippy::print_stderr)] // It is a command-line program.

/// As the standard library's, which shows it where it is used; unlike that it does not panic when whoever reads has gone.
macro_rules! eprintln {
    ($($what:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($what)*);
    }};
}

#[cfg(test)]
mod book;
mod cli;
mod commands;
mod communities;
mod config;
mod console;
#[doc(hidden)]
pub mod doors;
mod outgoing;
mod registry;
mod reload;
mod roles;
mod telemetry;
mod watched;

use std::process::ExitCode;

use clap::Parser;

/// Does what the command line says.
pub fn main() -> ExitCode {
    // Before librdkafka does: it would have OpenSSL cleaned up at the end of the process, under threads of clients that still use it.
    openssl::init();
    let cli = cli::Cli::parse();
    match cli::dispatch(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            if is_closed_pipe(&error) {
                return ExitCode::SUCCESS;
            }
            eprintln!("sinyal: {error:#}");
            ExitCode::from(cli::exit_code(&error))
        }
    }
}

/// Whoever read our output has had enough: that is no failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
