//! `cargo xtask deep`: cargo with what the deep tier needs, which is libtorch.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// `build`, `test`, `clippy`, `bench` or `run`, and further arguments for cargo.
pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    let Some((what, more)) = arguments.split_first() else {
        bail!("usage: cargo xtask deep build | test | clippy | bench | run [ARGUMENTS]");
    };
    let words = match what.as_str() {
        "build" | "run" => &[what, "--package", "app", "--features", "deep"][..],
        "test" => &[what, "--package", "deep", "--package", "app", "--features", "deep/torch,app/deep"],
        "clippy" => {
            let features = "deep/torch,app/deep,sinyal-benches/deep";
            &[what, "--package", "deep", "--package", "app", "--package", "sinyal-benches", "--features", features]
        }
        "bench" => &["run", "--release", "--package", "sinyal-benches", "--features", "deep"],
        other => bail!("{other:?}: build, test, clippy, bench or run is right"),
    };
    let more: &[String] = if what == "bench" && more.is_empty() { &["--".into(), "deep-tier".into()] } else { more };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace's folder")?;
    let libtorch = libtorch(root)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(words);
    if !more.iter().any(|argument| argument.starts_with("--target-dir")) {
        // Beside the ordinary build, whose binary it would replace.
        command.arg("--target-dir").arg(root.join("target/deep"));
    }
    command.args(more).env("LIBTORCH", &libtorch).env("LD_LIBRARY_PATH", library_path(&libtorch));
    if std::env::var_os("LIBTORCH_CXX11_ABI").is_none() {
        // The wheel's libraries were built so.
        command.env("LIBTORCH_CXX11_ABI", "0");
    }
    Ok(command.status().context("cargo cannot be started")?.success())
}

/// The one that the environment names, or one that is made once.
fn libtorch(root: &Path) -> Result<PathBuf> {
    if let Some(libtorch) = std::env::var_os("LIBTORCH") {
        return Ok(libtorch.into());
    }
    let folder = root.join(".cache/libtorch-2.4.0");
    let made = Command::new(root.join("deploy/libtorch.sh")).arg(&folder).status()?;
    ensure!(made.success(), "deploy/libtorch.sh failed; see above");
    Ok(folder)
}

fn library_path(libtorch: &Path) -> OsString {
    let mut path = libtorch.join("lib").into_os_string();
    if let Some(before) = std::env::var_os("LD_LIBRARY_PATH") {
        path.push(":");
        path.push(before);
    }
    path
}
