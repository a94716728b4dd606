//! Writes the first inputs of every fuzz target into a folder, `fuzz/corpus` by default.
#![allow(clippy::print_stdout)] // It is a command-line program.

use std::path::PathBuf;

use anyhow::{Context, Result};
use fuzzed::seeds;

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("fuzz/corpus"), PathBuf::from);
    let seeds = seeds::all();
    for (number, seed) in seeds.iter().enumerate() {
        let of_target = folder.join(seed.target);
        std::fs::create_dir_all(&of_target).with_context(|| format!("{} cannot be made", of_target.display()))?;
        let file = of_target.join(format!("seed-{number:03}"));
        std::fs::write(&file, &seed.bytes).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    println!("{} inputs in {}", seeds.len(), folder.display());
    Ok(())
}
