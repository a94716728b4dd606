//! The report of a soak, in Markdown: machine, command and commit, what was counted, what was judged, and what all of it took.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::samples::{EVERY, Kind, Row};
use super::verdict::{Judgement, TURNED_OVER_SECONDS, cpu_seconds, end, gone, interactions, topics};
use super::{HORIZON_MS, SPARED, Soak};
use crate::machine;

/// What was counted at the end of a whole run.
#[derive(Debug, Clone)]
pub(crate) struct Counted {
    /// Faults by kind.
    pub(crate) faults: BTreeMap<&'static str, usize>,
    /// Lines of the log that tell of something given up and read again.
    pub(crate) resets: usize,
    /// Raw records.
    pub(crate) fed: u64,
    /// How many communities, and lines of theirs, were recounted.
    pub(crate) communities: usize,
    pub(crate) recounted: usize,
    pub(crate) corrections: usize,
    pub(crate) items: usize,
    pub(crate) rows: usize,
    pub(crate) panes: usize,
}

/// Writing into a text does not fail.
pub(crate) fn report(
    soak: &Soak,
    title: &str,
    rows: &[Row],
    judged: &[Judgement],
    counted: Option<&Counted>,
) -> String {
    let mut text = format!("# Soak: {title}\n\nMachine: {}. Commit {}.", machine::machine(), soak.commit);
    if soak.minutes > 0 {
        let _ = write!(
            text,
            " Command: `cargo xtask soak --minutes {} --rate {} --seed {} --communities {}`.",
            soak.minutes, soak.rate, soak.seed, soak.communities
        );
    }
    let end = end(rows);
    let fed = interactions(rows);
    let _ = writeln!(
        text,
        "\nThree brokers, two replicas of each role, all on this machine; {:.0} minutes, a sample every {} s, {fed:.0} raw records seen\n\
         ({:.0} a second). What is known of an interaction goes after {} minutes.",
        end / 60.0,
        EVERY.as_secs(),
        fed / end.max(1.0),
        HORIZON_MS / 60_000
    );
    if let Some(counted) = counted {
        count(&mut text, counted);
    }
    let _ = writeln!(
        text,
        "\n## What grew\nOver the second half, by the median of the slopes between any two samples (Theil and Sen), of processes that ran all \
         the time\n({} are never killed). State is judged from {:.0} minutes on.\n\n\
         | what | median | growth | tolerated | |\n|---|---|---|---|---|",
        SPARED.join(", "),
        TURNED_OVER_SECONDS / 60.0
    );
    judged.iter().for_each(|judgement| {
        let _ = writeln!(text, "{judgement}");
    });
    for name in gone(rows) {
        let _ = writeln!(text, "\n**{name} did not run all the time.**");
    }
    took(&mut text, rows, fed);
    text
}

fn count(text: &mut String, counted: &Counted) {
    let Counted { faults, resets, fed, communities, recounted, corrections, items, rows, panes } = counted;
    let kinds: Vec<String> = faults.iter().map(|(kind, times)| format!("{times} {kind}")).collect();
    let _ = writeln!(
        text,
        "\n{} faults ({}), {resets} resets. Ledgers balanced, no dead letter, {fed} raw records and as many classified. Of {communities} \
         communities\nevery one of {recounted} raw records was classified once, {items} queue items are there once, and {rows} rows and \
         {panes} panes are as the oracle says,\n{corrections} corrections included.",
        faults.values().sum::<usize>(),
        kinds.join(", ")
    );
}

/// CPU-seconds by process, and bytes by topic, for a million and for one of the raw records.
fn took(text: &mut String, rows: &[Row], fed: f64) {
    if fed == 0.0 {
        return;
    }
    let of_kind = |name: &str| match name {
        "ingest" | "sim" => "feed".to_owned(),
        name => name.split('-').next().unwrap_or(name).to_owned(),
    };
    let mut used: BTreeMap<String, f64> = BTreeMap::new();
    for (name, seconds) in cpu_seconds(rows) {
        *used.entry(of_kind(name)).or_default() += seconds;
    }
    text.push_str("\n## What it took\n| processes | CPU-seconds for a million raw records |\n|---|---|\n");
    for (kind, seconds) in used {
        let _ = writeln!(text, "| {kind} | {:.1} |", seconds / fed * 1e6);
    }
    text.push_str("\n| topic | committed records for a raw record | bytes for a raw record |\n|---|---|---|\n");
    for (topic, (records, bytes)) in topics(rows) {
        let _ = writeln!(text, "| {topic} | {:.3} | {:.1} |", records as f64 / fed, bytes as f64 / fed);
    }
    let starts = rows.iter().filter(|row| row.kind == Kind::Replica).filter_map(|row| Some((&row.name, row.starts?)));
    let starts: BTreeMap<&String, u64> = starts.collect();
    let starts: Vec<String> = starts.into_iter().map(|(name, starts)| format!("{name} {starts}")).collect();
    let _ = writeln!(text, "\nBytes are those of keys and values, before compression. Starts: {}.", starts.join(", "));
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::soak::verdict::judge;

    #[test]
    fn a_report_tells_what_was_counted_what_grew_and_what_it_took() {
        let soak = Soak {
            minutes: 1,
            rate: 10,
            seed: 3,
            communities: 4,
            out: PathBuf::from("soak"),
            commit: "1a2b3c".to_owned(),
        };
        let mut rows = Vec::new();
        for number in 1..=6 {
            let seconds = f64::from(number * 10);
            let replica = |name: &str, share: f64| Row {
                seconds,
                name: name.to_owned(),
                starts: Some(1),
                handles: Some(40),
                threads: Some(12),
                cpu_seconds: Some(seconds * share),
                ..Row::default()
            };
            let records = Some(number as u64 * 100);
            let raw = Row { kind: Kind::Topic, name: "social.posts.raw".to_owned(), records, ..Row::default() };
            rows.extend([replica("classify-a", 0.01), replica("classify-b", 0.02)]);
            rows.push(Row { seconds, bytes: records.map(|records| records * 300), ..raw });
        }
        let counted = Counted {
            faults: BTreeMap::from([("zombies", 2), ("rebalances", 1)]),
            resets: 5,
            fed: 600,
            communities: 2,
            recounted: 90,
            corrections: 7,
            items: 60,
            rows: 30,
            panes: 50,
        };
        let text = report(&soak, "2026-11-26-soak", &rows, &judge(&rows), Some(&counted));
        for expected in [
            "Commit 1a2b3c.",
            "`cargo xtask soak --minutes 1 --rate 10 --seed 3 --communities 4`",
            "3 faults (1 rebalances, 2 zombies), 5 resets",
            "| classify-b: handles | 40 | 0 | 8 | ok |",
            "| classify | 3000.0 |",
            "| social.posts.raw | 1.000 | 300.0 |",
            "Starts: classify-a 1, classify-b 1.",
        ] {
            assert!(text.contains(expected), "{expected} is not in {text}");
        }
        assert!(!report(&soak, "soak", &rows, &judge(&rows), None).contains("resets"));
    }
}
