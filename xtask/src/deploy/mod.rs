//! `cargo xtask deploy`: what is in `deploy/` is looked at with the tools that platform engineers use.
//!
//! helm lint and template, kubeconform with the real schemas, kube-score, promtool, hadolint, yamllint, and the program itself, which
//! must take the configurations that the chart makes. No cluster is needed, and no container engine.

mod chart;
mod tools;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use self::tools::Tools;

pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace's folder")?;
    let bless = match arguments {
        [] => false,
        [word] if word == "--bless" => true,
        [word] if word == "tools" => return Tools::ready(root).map(|_| true),
        _ => anyhow::bail!("usage: cargo xtask deploy [tools | --bless]"),
    };
    let tools = Tools::ready(root)?;
    let checks: [(&str, &dyn Fn() -> Result<()>); 3] = [
        ("chart", &|| chart::check(root, &tools, bless)),
        ("container file", &|| container_file(root, &tools)),
        ("compose file", &|| compose_file(root, &tools)),
    ];
    let mut right = true;
    for (what, check) in checks {
        if let Err(error) = check() {
            eprintln!("{what}: {error:#}");
            right = false;
        } else {
            println!("ok    {what}");
        }
    }
    Ok(right)
}

fn container_file(root: &Path, tools: &Tools) -> Result<()> {
    // What is ignored, and why, stands in the file itself.
    succeed(tools.python("hadolint").arg("--failure-threshold=info").arg(root.join("deploy/Dockerfile")))
}

/// YAML as it should be, and nothing that Compose does not know.
fn compose_file(root: &Path, tools: &Tools) -> Result<()> {
    let file = root.join("deploy/compose.yaml");
    let rules = root.join("deploy/yamllint.yaml");
    let mut lint = tools.python("yamllint");
    lint.arg("--strict").arg("--config-file").arg(rules).arg(&file).arg(root.join("deploy/compose"));
    lint.arg(root.join("deploy/chart/sinyal/values.yaml")).arg(root.join("deploy/chart/sinyal/ci"));
    succeed(&mut lint)?;
    let look = "import json, sys, yaml, jsonschema; \
                jsonschema.validate(yaml.safe_load(open(sys.argv[2])), json.load(open(sys.argv[1])))";
    succeed(tools.python("python").args(["-c", look]).arg(tools.schema_folder().join("compose.json")).arg(file))
}

/// Runs a command to its end, which must be a good one.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// What a command says, which must end well.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("{program} cannot be started"))?;
    ensure!(
        output.status.success(),
        "{command:?} ended with {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
