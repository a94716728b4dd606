//! The program as it was at an earlier commit, built from this repository's history.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};

use crate::sinyal::{forget_cargo, profile_folder};
use crate::{cache, run, workspace};

/// The last commit whose program knows no state version but 5.
pub const STATE_VERSION_5: &str = "2299fd8";

/// What a tree of sources without this commit is told.
const NO_HISTORY: &str = "is not in the history of this tree; a whole clone has it (`git fetch --unshallow`)";

/// Whether the history that the older program is built from is there. Where it is not, a test says that it is skipped, but never in
/// CI, which clones all of it.
///
/// # Errors
/// In CI, without that history.
#[allow(clippy::print_stderr)] // A test that skips must say so.
pub fn has_history(commit: &str) -> Result<bool> {
    let mut git = Command::new("git");
    git.args(["cat-file", "-e", &format!("{commit}^{{commit}}")]).current_dir(workspace());
    let there = git.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !there {
        ensure!(std::env::var_os("CI").is_none(), "commit {commit} {NO_HISTORY}");
        eprintln!("SKIPPED: commit {commit} {NO_HISTORY}");
    }
    Ok(there)
}

/// The program of a commit, built once, by what is built already of what it depends on.
///
/// # Errors
/// If it cannot be built.
pub fn older(commit: &str) -> Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BINARY.get_or_init(|| build(commit).map_err(|error| format!("{error:#}")));
    built.as_deref().map_err(|error| anyhow::anyhow!("the program of commit {commit}: {error}"))
}

fn build(commit: &str) -> Result<PathBuf> {
    let kept = cache()?.join("older").join(commit).join("sinyal");
    if kept.exists() {
        return Ok(kept);
    }
    let home = kept.parent().context("a folder")?.to_owned();
    std::fs::create_dir_all(&home)?;
    // Another test process may build it too: one of them does.
    let lock = std::fs::File::create(home.join("lock"))?;
    lock.lock()?;
    if kept.exists() {
        return Ok(kept);
    }
    let (sources, target) = (home.join("sources"), home.join("target"));
    for folder in [&sources, &target] {
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
    }
    std::fs::create_dir_all(&sources)?;
    unpack(commit, &sources)?;
    let own = packages(&sources)?;
    let from = profile_folder()?;
    let profile = from.file_name().context("a profile")?.to_owned();
    share_dependencies(&from, &target.join(&profile), &own)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--locked", "--quiet", "--package", "app"]).current_dir(&sources);
    command.env("CARGO_TARGET_DIR", &target).env("CARGO_INCREMENTAL", "0");
    command.args((profile == "release").then_some("--release"));
    forget_cargo(&mut command);
    run(&mut command)?;
    let half = home.join("sinyal.half");
    std::fs::copy(target.join(&profile).join("sinyal"), &half)?;
    std::fs::rename(&half, &kept)?;
    std::fs::remove_dir_all(&target)?;
    std::fs::remove_dir_all(&sources)?;
    Ok(kept)
}

/// The files of a commit, without its history.
fn unpack(commit: &str, into: &Path) -> Result<()> {
    let mut archive =
        Command::new("git").args(["archive", commit]).current_dir(workspace()).stdout(Stdio::piped()).spawn()?;
    let files = archive.stdout.take().context("a pipe")?;
    let unpacked = Command::new("tar").args(["-x", "-C"]).arg(into).stdin(files).status()?;
    ensure!(archive.wait()?.success() && unpacked.success(), "commit {commit} cannot be unpacked");
    Ok(())
}

/// The names of the workspace's packages, as files are named after them.
fn packages(sources: &Path) -> Result<Vec<String>> {
    let mut metadata = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    metadata.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(sources);
    forget_cargo(&mut metadata);
    let metadata: serde_json::Value = serde_json::from_str(&run(&mut metadata)?)?;
    let mut names = Vec::new();
    for package in metadata["packages"].as_array().context("packages")? {
        let targets = package["targets"].as_array().into_iter().flatten().map(|target| &target["name"]);
        names.extend(
            std::iter::once(&package["name"]).chain(targets).filter_map(|name| name.as_str()).map(str::to_owned),
        );
    }
    ensure!(!names.is_empty(), "no packages in {}", sources.display());
    Ok(names)
}

/// Has the other target folder begin with what is built here of other people's packages: Cargo names that alike in both. What is our
/// own it names alike too, which is why it must not be the same folder. Libraries are linked to, not copied; nobody writes into them.
fn share_dependencies(from: &Path, to: &Path, own: &[String]) -> Result<()> {
    let is_own = |name: &str| {
        let name = name.strip_prefix("lib").unwrap_or(name);
        let stem = name.split('.').next().unwrap_or(name);
        let stem = stem.rsplit_once('-').map_or(stem, |(stem, _)| stem).replace('-', "_");
        own.iter().any(|own| own.replace('-', "_") == stem)
    };
    for folder in ["deps", "build", ".fingerprint"] {
        let Ok(entries) = std::fs::read_dir(from.join(folder)) else { continue };
        std::fs::create_dir_all(to.join(folder))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(text) = name.to_str() else { bail!("a name that is no UTF-8 in {}", from.display()) };
            if is_own(text) {
                continue;
            }
            let place = to.join(folder).join(&name);
            if entry.file_type()?.is_file() {
                if std::fs::hard_link(entry.path(), &place).is_err() {
                    copy(&entry.path(), &place)?;
                }
            } else {
                copy(&entry.path(), &place)?;
            }
        }
    }
    Ok(())
}

/// With its times, by which Cargo tells what is to be built again.
fn copy(from: &Path, to: &Path) -> Result<()> {
    run(Command::new("cp").arg("-a").args([from, to])).map(|_| ())
}
