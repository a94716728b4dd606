//! `cargo xtask tidy`: what the architecture promises, checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;
use syn::visit::{self, Visit};

/// Which crates of the workspace each may depend on. Written down here and nowhere else.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("record", &[]),
    ("classify", &["record"]),
    ("window", &["record"]),
    ("kafka-io", &["record"]),
    ("deep", &["record"]),
    ("sim", &["record"]),
    ("rules", &["record", "classify", "window"]),
    ("fairness", &[]),
    ("wire", &["record", "classify", "window", "rules"]),
    ("pipeline", &["record", "classify", "window", "rules", "wire"]),
    ("app", ALL),
    // A recount that shared code with what it checks would share its faults.
    ("oracle", &[]),
    ("fuzzed", ALL),
    ("sinyal-tests", ALL_AND_ORACLE),
    // They run the service as the tests do: their Kafka, their binary.
    ("sinyal-benches", ALL_AND_TESTS),
    ("xtask", &[]),
];
const ALL: &[&str] =
    &["record", "classify", "window", "kafka-io", "deep", "sim", "rules", "fairness", "wire", "pipeline", "app"];
const ALL_AND_ORACLE: &[&str] = &[
    "record", "classify", "window", "kafka-io", "deep", "sim", "rules", "fairness", "wire", "pipeline", "app", "oracle",
];
const ALL_AND_TESTS: &[&str] = &[
    "record",
    "classify",
    "window",
    "kafka-io",
    "deep",
    "sim",
    "rules",
    "fairness",
    "wire",
    "pipeline",
    "app",
    "sinyal-tests",
];

/// They read no clock, do no I/O, start no thread.
const PURE: &[&str] = &["record", "classify", "window", "rules", "fairness", "wire", "sim", "pipeline"];

/// What a pure crate must not name.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::env",
    "std::io::stdin",
    "std::io::stdout",
    "std::time::SystemTime",
    "std::time::Instant",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "jiff::tz::TimeZone::system",
    "tokio",
    "rdkafka",
    "ureq",
    "axum",
];

/// Names that say nothing.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "types"];

const LINES_MAX: usize = 600;
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// The one file that is meant to be large.
const DEEP_WEIGHTS: &str = "models/deep/weights.safetensors";
const DEEP_WEIGHTS_BYTES_MAX: u64 = 45 * 1024 * 1024;

pub(crate) fn run() -> Result<bool> {
    let metadata = metadata()?;
    let root = PathBuf::from(metadata["workspace_root"].as_str().context("cargo metadata has no workspace_root")?);
    let mut findings = Vec::new();
    check_dependencies(&metadata, &mut findings);
    for path in tracked(&root)? {
        check_file(&root, &path, &mut findings)?;
    }
    for finding in &findings {
        eprintln!("{finding}");
    }
    if findings.is_empty() {
        println!("tidy");
    } else {
        eprintln!("{} findings", findings.len());
    }
    Ok(findings.is_empty())
}

fn metadata() -> Result<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(["metadata", "--no-deps", "--format-version", "1"]).output()?;
    anyhow::ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The files that git knows or would know.
fn tracked(root: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git cannot be started")?;
    anyhow::ensure!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(PathBuf::from)
        .filter(|path| root.join(path).is_file())
        .collect())
}

fn check_dependencies(metadata: &Value, findings: &mut Vec<String>) {
    let packages: Vec<&Value> = metadata["packages"].as_array().into_iter().flatten().collect();
    let ours: BTreeSet<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = MAY_DEPEND_ON.iter().find(|(of, _)| *of == name) else {
            findings.push(format!("crate {name}: xtask/src/tidy.rs does not say what it may depend on"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or_default();
            // Tests may look at the simulated world, and ask the oracle.
            let in_tests = dependency["kind"] == "dev" && matches!(on, "sim" | "oracle");
            if ours.contains(on) && !allowed.contains(&on) && !in_tests {
                findings.push(format!("crate {name} depends on {on}, against the direction of the architecture"));
            }
            // The benchmarks measure beside the bare client.
            if on.starts_with("rdkafka") && !matches!(name, "kafka-io" | "sinyal-benches") {
                findings.push(format!("crate {name} depends on {on}; only kafka-io may"));
            }
        }
    }
}

fn check_file(root: &Path, path: &Path, findings: &mut Vec<String>) -> Result<()> {
    let full = root.join(path);
    let shown = path.display();
    let bytes_max = if path == Path::new(DEEP_WEIGHTS) { DEEP_WEIGHTS_BYTES_MAX } else { FILE_BYTES_MAX };
    if full.metadata()?.len() > bytes_max {
        findings.push(format!("{shown}: larger than {bytes_max} bytes"));
        return Ok(());
    }
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if EMPTY_NAMES.contains(&stem) {
        findings.push(format!("{shown}: a name that says nothing; name the idea that it belongs to"));
    }
    let Ok(text) = std::fs::read_to_string(&full) else { return Ok(()) };
    if path.file_name().is_none_or(|name| name != "Cargo.lock") {
        findings.extend(machine_paths(&text).map(|line| format!("{shown}:{line}: a path of one machine")));
    }
    if path.extension().is_some_and(|extension| extension == "rs") {
        let crate_name = path.components().nth(1).and_then(|part| part.as_os_str().to_str()).unwrap_or_default();
        let crate_name = if path.starts_with("crates") { crate_name } else { "" };
        let of_tests = path.components().any(|part| part.as_os_str() == "tests") || stem == "tests";
        check_source(&shown.to_string(), crate_name, of_tests, &text, findings);
    }
    Ok(())
}

/// Lines that name a folder of a person's or a machine's own.
fn machine_paths(text: &str) -> impl Iterator<Item = usize> {
    let folders = ["/home", "/root", "/Users"].map(|folder| format!("{folder}/"));
    let lines = text.lines().enumerate().filter(move |(_, line)| {
        folders.iter().any(|folder| {
            line.match_indices(folder.as_str()).any(|(at, _)| {
                !line[..at].ends_with(|before: char| before.is_alphanumeric() || matches!(before, '.' | '_' | '-'))
            })
        })
    });
    lines.map(|(number, _)| number + 1).collect::<Vec<_>>().into_iter()
}

fn check_source(shown: &str, crate_name: &str, of_tests: bool, text: &str, findings: &mut Vec<String>) {
    if !text.starts_with("//!") {
        findings.push(format!("{shown}: its first line does not say what it is for (`//!`)"));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX && !of_tests {
        findings.push(format!("{shown}: {lines} lines; above {LINES_MAX} a file wants to be two rooms"));
    }
    let file = match syn::parse_file(text) {
        Ok(file) => file,
        Err(error) => {
            findings.push(format!("{shown}: cannot be parsed: {error}"));
            return;
        }
    };
    let mut names = Names::default();
    names.visit_file(&file);
    if PURE.contains(&crate_name) && !of_tests {
        for name in names.resolved().iter().filter(|name| is_impure(name)) {
            findings
                .push(format!("{shown}: a pure crate names {name}; it reads no clock, does no I/O, starts no thread"));
        }
    }
    if !matches!(crate_name, "kafka-io" | "") {
        for name in names.found.iter().filter(|name| name.starts_with("rdkafka")) {
            findings.push(format!("{shown}: names {name}; only kafka-io may"));
        }
    }
}

fn is_impure(name: &str) -> bool {
    // Of a glob import nobody can tell what it is used for: that there is something impure below it is enough.
    if let Some(module) = name.strip_suffix("::*") {
        return is_impure(module) || IMPURE.iter().any(|impure| impure.starts_with(&format!("{module}::")));
    }
    IMPURE.iter().any(|impure| name == *impure || name.starts_with(&format!("{impure}::")))
        || matches!(name, "println" | "eprintln" | "print" | "eprint" | "thread_rng" | "OsRng")
}

/// Every path and macro that code names; code of tests does not count.
#[derive(Default)]
struct Names {
    found: BTreeSet<String>,
    /// What `use` calls by another or a shorter name: the name in the file, and the path that it stands for.
    aliases: BTreeMap<String, String>,
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let of_tests = module.attrs.iter().any(|attribute| {
            attribute.path().is_ident("cfg")
                && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string() == "test")
        });
        if !of_tests {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut prefix = Vec::new();
        self.take_use(&item.tree, &mut prefix);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.found.insert(segments.join("::"));
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invoked: &'ast syn::Macro) {
        self.visit_path(&invoked.path);
        // What a macro is given is only tokens; most of ours take expressions.
        let expressions = syn::punctuated::Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated;
        for expression in invoked.parse_body_with(expressions).into_iter().flatten() {
            Visit::visit_expr(self, &expression);
        }
    }
}

impl Names {
    fn take_use(&mut self, tree: &syn::UseTree, prefix: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.take_use(&path.tree, prefix);
                prefix.pop();
            }
            syn::UseTree::Name(name) => self.take_name(&name.ident.to_string(), &name.ident.to_string(), prefix),
            syn::UseTree::Rename(rename) => {
                self.take_name(&rename.ident.to_string(), &rename.rename.to_string(), prefix);
            }
            syn::UseTree::Glob(_) => {
                self.found.insert([prefix.as_slice(), &["*".to_owned()]].concat().join("::"));
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.take_use(tree, prefix);
                }
            }
        }
    }

    fn take_name(&mut self, name: &str, called: &str, prefix: &[String]) {
        let path = match (name, prefix) {
            // `use std::time::{self}` and `use std::time` say the same.
            ("self", [.., last]) => {
                let called = if called == "self" { last } else { called };
                return self.take_path(&prefix.join("::"), called);
            }
            _ => [prefix, &[name.to_owned()]].concat().join("::"),
        };
        self.take_path(&path, called);
    }

    fn take_path(&mut self, path: &str, called: &str) {
        self.found.insert(path.to_owned());
        if path != called {
            self.aliases.insert(called.to_owned(), path.to_owned());
        }
    }

    /// What was found, by its full path where `use` gave it a shorter one.
    fn resolved(&self) -> BTreeSet<String> {
        self.found.iter().map(|name| self.resolve(name)).collect()
    }

    fn resolve(&self, name: &str) -> String {
        let mut name = name.to_owned();
        // An alias may stand for another, though rarely for more than that; a circle must not hold us up.
        for _ in 0..4 {
            let (first, rest) = match name.split_once("::") {
                Some((first, rest)) => (first, Some(rest)),
                None => (name.as_str(), None),
            };
            let Some(path) = self.aliases.get(first) else { break };
            name = rest.map_or_else(|| path.clone(), |rest| format!("{path}::{rest}"));
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(crate_name: &str, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check_source("a.rs", crate_name, false, text, &mut findings);
        findings
    }

    #[test]
    fn a_pure_crate_names_no_clock_and_no_io() {
        for impure in [
            "use std::time::Instant;",
            "use std::{fs, fmt};",
            "fn f() { let _ = std::thread::spawn(|| ()); }",
            "fn f() { println!(\"a\"); }",
            "use std::time::{Duration, SystemTime};",
            "use std::time; fn f() { let _ = time::Instant::now(); }",
            "use std::time::{self, Duration}; fn f() { let _ = time::Instant::now(); }",
            "use std::time as clock; use clock as c; fn f() { let _ = c::Instant::now(); }",
            "use std as s; fn f() { let _ = s::fs::read(\"a\"); }",
            "use std::time::*;",
            "use std::io::*;",
            "use std::*;",
            "use std::thread::*;",
            "fn f() { let _ = jiff::Timestamp::now(); }",
            "use jiff::Timestamp; fn f() { let _ = Timestamp::now(); }",
            "use jiff::{Timestamp as T, Zoned}; fn f() { let _ = T::now(); }",
            "use jiff::Zoned; fn f() -> String { format!(\"{}\", Zoned::now()) }",
        ] {
            let text = format!("//! A.\n{impure}\n");
            assert_eq!(found("window", &text).len(), 1, "{impure}");
            assert!(found("app", &text).is_empty());
        }
        for pure in [
            "use std::time::Duration; // not std::fs\n#[cfg(test)]\nmod tests { use std::fs; }",
            "use std::time; fn f() -> time::Duration { time::Duration::ZERO }",
            "use std::collections::*;",
            "use jiff::Timestamp; fn f(text: &str) -> bool { text.parse::<Timestamp>().is_ok() }",
            "use crate::time::*; fn f(clock: Timestamp) { clock.now() }",
        ] {
            assert!(found("window", &format!("//! A.\n{pure}\n")).is_empty(), "{pure}");
        }
    }

    #[test]
    fn only_kafka_io_names_rdkafka() {
        let text = "//! A.\nuse rdkafka::config::ClientConfig;\n";
        assert_eq!(found("app", text).len(), 1);
        assert!(found("kafka-io", text).is_empty());
    }

    #[test]
    fn a_file_says_what_it_is_for_and_is_one_room() {
        assert_eq!(found("app", "fn f() {}\n").len(), 1);
        assert_eq!(found("app", &format!("//! A.\n{}", "// a\n".repeat(601))).len(), 1);
    }

    #[test]
    fn paths_of_a_machine_are_seen() {
        let folder = ["/ho", "me/budi/a"].concat();
        assert_eq!(machine_paths(&format!("a\nsee {folder}\n")).collect::<Vec<_>>(), [2]);
        assert_eq!(machine_paths(&format!("https://a.example{folder}")).count(), 0);
    }
}
