//! The whole comparison by one command: raw figures, plots and tables, written as they come.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;
use sinyal_tests::machine::{commit, machine};
use sinyal_tests::workspace;

use super::figures::{ALL, Figure, RATE, Spread};
use super::growth::{measure_communities, measure_windows};
use super::latency::measure_peer_latency;
use super::measure::measure_peers;
use super::plot::{name, plot};
use super::restart::measure_restart;
use super::streams::Peer;
use super::{COMPARED, GROWTH, RESTART};

/// Everything, so many times; `large` are the peers where there is more state than in the comparison itself.
pub(super) fn measure_all(runs: usize, peers: &[Peer], large: &[Peer]) -> Result<Vec<Value>> {
    let day = jiff::Timestamp::now().strftime("%Y-%m-%d");
    let mut report = Report {
        text: format!(
            "# Beside the same job in Kafka Streams\n\nMachine: {}. Commit {}. Command: `cargo xtask bench peers all {runs}`: {runs} runs of \
             each, in turns;\nthe median and the range.\n",
            machine(),
            commit()
        ),
        files: workspace().join("benches/results").join(format!("{day}-peers")),
        results: Vec::new(),
    };
    let compared = measure_peers(COMPARED, runs, peers)?;
    let rates = compared.iter().filter_map(|told| Spread::in_told(told, &RATE));
    let slowest = rates.map(|rate| rate.median).min_by(f64::total_cmp).context("all of them failed")?;
    report.add("", &format!("{COMPARED} interactions"), compared)?;
    let rate = (slowest / 2.0) as usize;
    let title = format!("Latency at {rate} interactions a second, half of what the slowest of them can");
    report.add("latency", &title, measure_peer_latency(rate, runs, peers)?)?;
    let title = format!("A restart with {RESTART} interactions taken in");
    report.add("restart", &title, measure_restart(RESTART, runs, large)?)?;
    let title = format!("Growth of windows, {GROWTH} interactions of a month");
    report.add("windows", &title, measure_windows(GROWTH, runs, large)?)?;
    let title = format!("Growth of communities, {GROWTH} interactions");
    report.add("communities", &title, measure_communities(GROWTH, runs, large)?)?;
    Ok(report.results)
}

struct Report {
    text: String,
    /// What their names begin with.
    files: PathBuf,
    results: Vec<Value>,
}

impl Report {
    /// What is measured later may fail: what is there by then is written.
    fn add(&mut self, part: &str, title: &str, results: Vec<Value>) -> Result<()> {
        let file = |extension: &str| {
            let mut name = self.files.clone().into_os_string();
            name.push(if part.is_empty() { String::new() } else { format!("-{part}") });
            name.push(format!(".{extension}"));
            PathBuf::from(name)
        };
        let (raw, drawn) = (file("json"), file("svg"));
        std::fs::write(&raw, format!("{}\n", serde_json::to_string(&results)?))
            .with_context(|| raw.display().to_string())?;
        let file_name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let _ = write!(self.text, "\n## {title}\nRaw figures: `{}`; ", file_name(&raw));
        // Where all of them failed there is nothing to draw, and the next part is measured all the same.
        let _ = match plot(&raw, &drawn) {
            Ok(_) => write!(self.text, "plot: `{}`.\n\n", file_name(&drawn)),
            Err(_) => write!(self.text, "no plot.\n\n"),
        };
        self.text.push_str(&table(&results));
        self.results.extend(results);
        let mut path = self.files.clone().into_os_string();
        path.push(".md");
        std::fs::write(&path, &self.text).with_context(|| PathBuf::from(path).display().to_string())
    }
}

/// A line for each case, a column for each figure that any has.
fn table(results: &[Value]) -> String {
    let has = |figure: &&Figure| results.iter().any(|told| Spread::in_told(told, figure).is_some());
    let figures: Vec<&Figure> = ALL.iter().filter(has).collect();
    let columns: Vec<&str> = figures.iter().map(|figure| figure.column).collect();
    let mut text = format!("| | {} |\n|{}\n", columns.join(" | "), "---|".repeat(figures.len() + 1));
    for told in results {
        let cell = |figure: &&Figure| match (Spread::in_told(told, figure), told["failed"].as_str()) {
            (Some(spread), _) => format!("{spread:.digits$}", digits = figure.digits),
            (None, Some(_)) => "failed".to_owned(),
            (None, None) => String::new(),
        };
        let cells: Vec<String> = figures.iter().map(cell).collect();
        let _ = writeln!(text, "| {} | {} |", name(told), cells.join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_a_column_for_each_figure_and_a_line_for_each_case() {
        let spread = json!({ "median": 0.0731, "min": 0.07, "max": 0.1 });
        let results = [
            json!({ "case": "latency: sinyal", "item_p50_seconds": spread, "fed_per_second": { "median": 4.0, "min": 3.0, "max": 5.0 } }),
            json!({ "case": "latency: other", "failed": "it ended" }),
        ];
        let expected = "| | queue item p50, s | fed, interactions/s |\n|---|---|---|\n| sinyal | 0.073 (0.070 to 0.100) | 4 (3 to 5) |\n\
                        | other | failed | failed |\n";
        assert_eq!(table(&results), expected);
    }
}
