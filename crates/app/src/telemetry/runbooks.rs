//! The runbooks beside the alerts that lead to them, and the rules beside their tests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const RULES: &str = include_str!("../../../../deploy/prometheus/rules.yaml");

fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder with this ending.
fn files(folder: &str, ends: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir(workspace(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = all.filter(|path| path.to_string_lossy().ends_with(ends)).collect();
    files.sort();
    files
}

/// What stands behind `- alert:` or `- record:`.
fn named(kind: &str) -> BTreeSet<&'static str> {
    let begin = format!("- {kind}: ");
    RULES.lines().filter_map(|line| line.trim().strip_prefix(&begin)).collect()
}

#[test]
fn each_alert_has_a_runbook_and_says_where() {
    let index = read(&workspace("docs/src/runbooks/index.md"));
    let summary = read(&workspace("docs/src/SUMMARY.md"));
    let product = rules::alerts::Rule::ALL.map(rules::alerts::Rule::as_str);
    let prometheus = named("alert");
    assert!(prometheus.len() > 20, "{prometheus:?}");
    for name in prometheus.iter().copied().chain(product).chain(["blind"]) {
        let page = read(&workspace(&format!("docs/src/runbooks/{name}.md")));
        assert!(page.starts_with(&format!("# {name}\n")), "{name}");
        for part in ["How it is decided", "Look first", "Do", "Escalate", "How it ends"] {
            assert!(page.contains(&format!("\n## {part}\n")), "docs/src/runbooks/{name}.md lacks {part}");
        }
        assert!(index.contains(&format!("[{name}]({name}.md)")), "docs/src/runbooks/index.md lacks {name}");
        assert!(summary.contains(&format!("(runbooks/{name}.md)")), "docs/src/SUMMARY.md lacks {name}");
    }
    let blind = read(&workspace("docs/src/runbooks/blind.md"));
    for kind in rules::blindness::Kind::ALL {
        assert!(
            blind.contains(&format!("\n### {}\n", kind.as_str())),
            "docs/src/runbooks/blind.md lacks {}",
            kind.as_str()
        );
    }
    // Each rule says all that somebody who is woken needs.
    let alerts: Vec<&str> = RULES.split("- alert: ").skip(1).collect();
    for alert in alerts {
        let name = alert.lines().next().unwrap_or_default();
        let own = alert.split("  - name: ").next().unwrap_or_default();
        for key in ["severity:", "summary:", "description:"] {
            assert!(own.contains(key), "{name} has no {key}");
        }
        assert!(own.contains("runbook_url: https://") && own.contains(&format!("/{name}.md\n")), "{name}");
    }
}

#[test]
fn each_rule_is_tested_by_promtool() {
    let tests: String = files("deploy/prometheus", ".yaml")
        .iter()
        .filter(|path| path.to_string_lossy().contains("rules_test"))
        .map(|path| read(path))
        .collect();
    for alert in named("alert") {
        let by_series = tests.contains(&format!("ALERTS{{alertname=\"{alert}\", alertstate=\"firing\""));
        let by_name = tests.split("- alertname: ").skip(1).any(|test| {
            let test = test.split("\n      - ").next().unwrap_or_default();
            test.starts_with(alert) && test.contains("exp_alerts:")
        });
        // One whose labels are dropped is counted.
        let counted = tests.contains(&format!("count(ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}})"));
        assert!(by_series || by_name || counted, "no test has {alert} firing");
    }
    for record in named("record") {
        assert!(
            tests.contains(&format!("{record}{{")) || tests.contains(&format!("({record},")),
            "no test of {record}"
        );
    }
}
