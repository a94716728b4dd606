//! `cargo xtask release`: the binary with the list of what it was built of inside it, a bill of materials beside it, and their sums.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::deploy::{output, succeed};

/// What a release is built and described with.
const CARGO_TOOLS: [(&str, &str); 2] = [("cargo-auditable", "0.7.7"), ("cargo-cyclonedx", "0.5.9")];
/// The section of the binary that `cargo audit bin` reads.
const LIST_SECTION: &[u8] = b".dep-v0";
/// What the bill of materials is called while it is made: the tool writes one beside every package of the workspace.
const BILL: &str = "sinyal-bill-of-materials";

pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    if !arguments.is_empty() {
        bail!("usage: cargo xtask release");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace's folder")?;
    let path = cargo_tools(root)?;
    let metadata = output(cargo(root, &path).args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let version = env!("CARGO_PKG_VERSION");
    let stamp = stamp(root, version)?;
    println!("building sinyal {stamp}");
    let mut build = cargo(root, &path);
    build.args(["auditable", "build", "--release", "--locked", "--package", "app"]).env("SINYAL_BUILD", &stamp);
    ensure!(build.status().context("cargo cannot be started")?.success(), "the build failed; see above");

    let target = PathBuf::from(metadata["target_directory"].as_str().context("the target folder")?);
    let built = target.join("release/sinyal");
    let told = output(Command::new(&built).arg("--version"))?;
    ensure!(told.trim() == format!("sinyal {stamp}"), "{} says {told:?}", built.display());
    let bytes = std::fs::read(&built)?;
    ensure!(
        bytes.windows(LIST_SECTION.len()).any(|window| window == LIST_SECTION),
        "{} holds no list of what it was built of",
        built.display()
    );

    let folder = target.join("dist");
    std::fs::create_dir_all(&folder)?;
    let machine = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let binary = format!("sinyal-{version}-{machine}");
    std::fs::copy(&built, folder.join(&binary))?;
    let bill = format!("{binary}.cdx.json");
    std::fs::write(folder.join(&bill), bill_of_materials(root, &path, &metadata)?)?;
    let sums = output(Command::new("sha256sum").current_dir(&folder).args([&binary, &bill]))?;
    std::fs::write(folder.join(format!("{binary}.sha256")), &sums)?;
    println!("in {}:\n{}", folder.display(), sums.trim_end());
    Ok(true)
}

/// The version with the commit and its day, as `sinyal --version` tells it.
fn stamp(root: &Path, version: &str) -> Result<String> {
    let git = |arguments: &[&str]| output(Command::new("git").current_dir(root).args(arguments));
    let commit = git(&["show", "--no-patch", "--format=%h, %cs", "HEAD"])?;
    let changed = if git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty() { "" } else { ", changed" };
    Ok(format!("{version} ({}{changed})", commit.trim()))
}

/// Installs what is missing, and says where programs are to be looked for.
fn cargo_tools(root: &Path) -> Result<std::ffi::OsString> {
    let folder = root.join(".cache/cargo");
    for (tool, version) in CARGO_TOOLS {
        if !folder.join(format!("bin/{tool}")).exists() {
            println!("installing {tool} {version}");
            let mut install = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            install.args(["install", "--quiet", "--locked", "--version", version, "--root"]).arg(&folder).arg(tool);
            succeed(&mut install)?;
        }
    }
    let mut path = folder.join("bin").into_os_string();
    if let Some(before) = std::env::var_os("PATH") {
        path.push(":");
        path.push(before);
    }
    Ok(path)
}

fn cargo(root: &Path, path: &std::ffi::OsStr) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).env("PATH", path);
    cargo
}

/// The bill of materials of the binary's package, in CycloneDX 1.5, without the folder that it was built in.
fn bill_of_materials(root: &Path, path: &std::ffi::OsStr, metadata: &Value) -> Result<String> {
    let app = root.join("crates/app/Cargo.toml");
    let mut cyclonedx = cargo(root, path);
    cyclonedx.arg("cyclonedx").arg("--manifest-path").arg(&app);
    cyclonedx.args(["--format", "json", "--spec-version", "1.5", "--override-filename", BILL, "-qq"]);
    // A bill of the same commit is the same bill.
    let time = output(Command::new("git").current_dir(root).args(["show", "--no-patch", "--format=%ct", "HEAD"]))?;
    let made = succeed(cyclonedx.env("SOURCE_DATE_EPOCH", time.trim()));
    let bill = std::fs::read_to_string(root.join(format!("crates/app/{BILL}.json")));
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let manifest = package["manifest_path"].as_str().context("a package without a manifest")?;
        let _ = std::fs::remove_file(Path::new(manifest).with_file_name(format!("{BILL}.json")));
    }
    made?;
    Ok(bill?.replace(&format!("{}/", root.display()), ""))
}
