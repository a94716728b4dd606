//! The documented table of metrics, and whoever asks for metrics, beside those that are registered.

use std::collections::{BTreeMap, BTreeSet};

use super::Metrics;
use super::registry::Described;
use crate::roles::notify::NotifyMetrics;
use crate::roles::sink::SinkMetrics;

const TABLE: &str = include_str!("../../../../docs/src/operate/metrics.md");
const RULES: &str = include_str!("../../../../deploy/prometheus/rules.yaml");
const DASHBOARD: &str = include_str!("../../../../deploy/grafana/pipeline.json");

/// The roles of which the table may say that they show a metric.
const ROLES: [&str; 6] = ["all", "classify", "community", "notify", "sink", "stages"];

/// Everything that any role registers.
fn registered() -> Vec<Described> {
    let metrics = Metrics::new();
    NotifyMetrics::new(metrics.registry(), std::iter::empty());
    SinkMetrics::new(metrics.registry());
    metrics.registry().described()
}

/// A row: name, type, labels, unit, role, meaning.
fn rows() -> Vec<[String; 6]> {
    let rows = TABLE.lines().filter(|line| ["| `sinyal_", "| `process_"].iter().any(|begin| line.starts_with(begin)));
    let cells = |line: &str| -> [String; 6] {
        let cells: Vec<String> = line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
        cells.try_into().unwrap_or_else(|_| panic!("a row has six cells: {line}"))
    };
    rows.map(cells).collect()
}

/// What a row is to say of a metric. A line of the deep tier's is there though this build may not have it.
fn documented() -> BTreeMap<String, (String, Vec<String>, String)> {
    let rows = rows().into_iter().map(|[name, kind, labels, _, _, meaning]| {
        let labels = labels.split(", ").filter(|label| *label != "–").map(|label| label.trim_matches('`').to_owned());
        (name.trim_matches('`').to_owned(), (kind, labels.collect(), meaning))
    });
    rows.filter(|(name, _)| cfg!(feature = "deep") || !name.starts_with("sinyal_deep_")).collect()
}

#[test]
fn every_metric_stands_in_the_table_as_it_is_registered() {
    let registered: BTreeMap<String, (String, Vec<String>, String)> = registered()
        .into_iter()
        .map(|Described { name, kind, labels, help }| (name, (kind.to_owned(), labels, help)))
        .collect();
    let documented = documented();
    let wrong: Vec<String> = registered
        .iter()
        .filter(|(name, said)| documented.get(*name) != Some(*said))
        .map(|(name, (kind, labels, help))| {
            let labels = match labels.is_empty() {
                true => "–".to_owned(),
                false => labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", "),
            };
            format!("| `{name}` | {kind} | {labels} | UNIT | ROLE | {help} |")
        })
        .collect();
    assert!(wrong.is_empty(), "docs/src/operate/metrics.md lacks, or says something else of\n{}", wrong.join("\n"));
    let gone: Vec<&String> = documented.keys().filter(|name| !registered.contains_key(*name)).collect();
    assert!(gone.is_empty(), "docs/src/operate/metrics.md has what is not registered: {gone:?}");
}

#[test]
fn units_and_roles_are_what_names_say() {
    for [name, kind, _, unit, role, _] in rows() {
        let name = name.trim_matches('`');
        assert!(ROLES.contains(&role.as_str()), "{name}: role {role}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        let base = name.trim_end_matches("_total");
        for (suffix, expected) in [("_seconds", "seconds"), ("_bytes", "bytes"), ("_ratio", "ratio")] {
            assert_eq!(base.ends_with(suffix), unit.starts_with(expected), "{name}: unit {unit}");
        }
        assert!(!unit.is_empty() && !unit.contains("milli"), "{name}: unit {unit}");
    }
}

/// An alert or a panel of a metric that is not there shows nothing, and nobody notices.
#[test]
fn rules_and_dashboards_ask_for_what_is_there() {
    let table: BTreeMap<String, String> =
        rows().into_iter().map(|[name, kind, ..]| (name.trim_matches('`').to_owned(), kind)).collect();
    let recorded: BTreeSet<&str> = RULES.lines().filter_map(|line| line.trim().strip_prefix("- record: ")).collect();
    let mut asked = 0;
    for (line, is_asked) in expressions() {
        let words = line.split(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '_' | ':')));
        for name in words.filter(|word| word.contains("sinyal_") || word.starts_with("process_")) {
            if name.contains(':') {
                assert!(recorded.contains(name), "{name} is asked for, and not recorded");
                continue;
            }
            let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            let known = match table.get(name) {
                // In a sentence it has its bare name.
                Some(kind) => kind != "histogram" || !is_asked,
                None => of_histogram.and_then(|base| table.get(base)).is_some_and(|kind| kind == "histogram"),
            };
            assert!(known, "{name} is asked for, and not in docs/src/operate/metrics.md: {line}");
            asked += usize::from(is_asked);
        }
    }
    assert!(asked > 60, "{asked}");
}

/// Every line of the rules and the dashboard, and whether it asks Prometheus for something.
fn expressions() -> Vec<(&'static str, bool)> {
    let mut lines = Vec::new();
    let mut is_asked = false;
    for line in RULES.lines() {
        let word = line.trim().split(' ').next().unwrap_or_default();
        is_asked =
            word == "expr:" || (is_asked && !matches!(word, "for:" | "labels:" | "annotations:" | "-" | "#" | ""));
        // What is recorded is the name of a rule.
        lines.push((if word == "-" { "" } else { line }, is_asked));
    }
    let asks = |line: &str| ["\"expr\"", "\"query\"", "\"definition\""].iter().any(|key| line.trim().starts_with(key));
    lines.extend(DASHBOARD.lines().map(|line| (line, asks(line))));
    lines
}
