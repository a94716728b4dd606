//! The workspace's own chores: `cargo xtask tidy`, `cargo xtask bench`, `cargo xtask chaos`,
//! `cargo xtask deep`, `cargo xtask deploy`, `cargo xtask fuzz`, `cargo xtask release`, `cargo xtask soak`.
#![allow(clippy::print_stdout, clippy::print_stderr)] // It is a command-line program.

mod bench;
mod chaos;
mod deep;
mod deploy;
mod fuzz;
mod release;
mod soak;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result: Result<bool> = match arguments.first().map(String::as_str) {
        Some("tidy") => tidy::run(),
        Some("bench") => bench::run(&arguments[1..]),
        Some("chaos") => chaos::run(&arguments[1..]),
        Some("deep") => deep::run(&arguments[1..]),
        Some("deploy") => deploy::run(&arguments[1..]),
        Some("fuzz") => fuzz::run(&arguments[1..]),
        Some("release") => release::run(&arguments[1..]),
        Some("soak") => soak::run(&arguments[1..]),
        _ => {
            eprintln!(
                "usage: cargo xtask tidy | bench [ARGUMENTS] | chaos [ARGUMENTS] | deep build|test|clippy|run [ARGUMENTS] \
                 | deploy [tools|--bless] | fuzz [TARGET] [--seconds N] [--keep] [--no-doors] | release | soak [ARGUMENTS]"
            );
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
