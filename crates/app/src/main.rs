//! `sinyal`: social conversation into signals, on Apache Kafka.
#![allow(clippy::print_stdout, clippy::print_stderr)] // It is a command-line program.

#[cfg(test)]
mod book;
mod cli;
mod commands;
mod communities;
mod config;
mod console;
mod outgoing;
mod registry;
mod reload;
mod roles;
mod telemetry;
mod watched;

use std::process::ExitCode;

use clap::Parser;

// Short-lived buffers of many sizes on a few threads: measured faster than the system's allocator, and with less memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
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
