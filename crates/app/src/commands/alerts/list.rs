//! `sinyal alerts list`: what is on.

use std::cmp::Reverse;

use anyhow::Result;
use comfy_table::{ContentArrangement, Table, presets};
use record::{Alert, EpochMs};
use wire::OfAlert;

use super::super::stored::{Decoding, newest};
use super::super::tables::{cut, printable, whole};
use super::super::times::{now_ms, short, shown};
use super::super::waiting::wait_for_topic;
use crate::cli::{OK, say};
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Only in these states, by commas: pending, firing, acknowledged or resolved; without it firing,acknowledged.
    #[arg(long, value_delimiter = ',', value_parser = ["pending", "firing", "acknowledged", "resolved"], conflicts_with = "all")]
    state: Vec<String>,
    /// Only of this community.
    #[arg(long, value_name = "ID")]
    community: Option<String>,
    /// Only of this rule.
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// In whatever state.
    #[arg(long)]
    all: bool,
    /// The language of the sentences: id or en.
    #[arg(long, default_value = "en", value_parser = ["id", "en"])]
    lang: String,
    /// At most so many: 1 to 10000.
    #[arg(long, short = 'n', default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
    /// JSON Lines: each row as it is stored.
    #[arg(long)]
    json: bool,
}

/// Most alerts that are held: beyond it the list says that it is not whole.
const ALERTS_MAX: usize = 100_000;

/// An alert as it is stored, and by what it is sorted.
struct Kept {
    value: Vec<u8>,
    severity: u8,
    started_at: EpochMs,
}

pub(super) fn run(args: &ListArgs, config: &Config) -> Result<u8> {
    let topic = config.topics.alerts.as_str();
    wait_for_topic(config, topic)?;
    let now = now_ms();
    let found = newest::<OfAlert, Kept>(config, topic, ALERTS_MAX, |_, value, alert| {
        args.takes(&alert).then(|| Kept {
            value: value.to_vec(),
            severity: rank(&alert.severity),
            started_at: alert.started_at,
        })
    })?;
    if found.is_full {
        eprintln!(
            "more than {ALERTS_MAX} alerts match and not all are looked at; --community or --rule narrows it down"
        );
    }
    let count = found.rows.len();
    let mut rows: Vec<(Vec<u8>, Kept)> = found.rows.into_iter().collect();
    rows.sort_by(|(one_key, one), (two_key, two)| {
        (Reverse(one.severity), Reverse(one.started_at), one_key).cmp(&(
            Reverse(two.severity),
            Reverse(two.started_at),
            two_key,
        ))
    });
    rows.truncate(usize::from(args.limit));
    let mut decoding = Decoding::<OfAlert>::new(config);
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["severity", "state", "since", "alert"]);
    for (_, kept) in &rows {
        let Some(alert) = decoding.decode(&kept.value)? else { continue };
        if args.json {
            say(serde_json::to_string(&alert)?)?;
        } else {
            table.add_row(cells(&alert, &args.lang, now));
        }
    }
    if args.json {
        cut(count, rows.len());
    } else if count == 0 {
        say(if args.all { "no alert" } else { "no alert is on" })?;
    } else {
        whole(&mut table, 3, rows.iter().map(|(key, _)| key.len()).max().unwrap_or(0));
        say(table)?;
        let more = if count > rows.len() { "; --limit shows more" } else { "" };
        say(format!("{} of {count}{more}", rows.len()))?;
    }
    Ok(OK)
}

impl ListArgs {
    fn takes(&self, alert: &Alert<'_>) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let state = match &self.state[..] {
            [] => self.all || matches!(&*alert.state, "firing" | "acknowledged"),
            wanted => wanted.iter().any(|wanted| *wanted == alert.state),
        };
        state && is(&self.community, &alert.community_id) && is(&self.rule, &alert.rule)
    }
}

fn rank(severity: &str) -> u8 {
    match severity {
        "critical" => 2,
        "warning" => 1,
        _ => 0,
    }
}

fn cells(alert: &Alert<'_>, lang: &str, now: EpochMs) -> [String; 4] {
    let sentence = if lang == "id" { &alert.summary_id } else { &alert.summary_en };
    let mut cell = format!("{}\n{}", printable(&alert.id), printable(sentence));
    for remark in remarks(alert, now) {
        cell += &format!("\n({})", printable(&remark));
    }
    let since = match alert.resolved_at {
        Some(at) if alert.state == "resolved" => format!("for {}", short(at - alert.started_at)),
        _ => short(now - alert.started_at),
    };
    [alert.severity.to_string(), alert.state.to_string(), since, cell]
}

/// What else a responder should know, each in a few words.
pub(super) fn remarks(alert: &Alert<'_>, now: EpochMs) -> Vec<String> {
    let mut remarks = Vec::new();
    if alert.coordinated {
        remarks.push("looks like a coordinated burst".to_owned());
    }
    if let Some(by) = &alert.acknowledged_by {
        remarks.push(format!("taken by {by}"));
    }
    if let (Some(by), Some(until)) = (&alert.silenced_by, alert.silenced_until)
        && until > now
    {
        let why = alert.silence_reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        remarks.push(format!("silenced by {by} until {}{why}", shown(until)));
    }
    if let Some(why) = &alert.inhibited_by {
        remarks.push(format!("not sent: {why}"));
    }
    remarks
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn alert() -> Alert<'static> {
        Alert {
            id: "complaint_spike|warga%20kota|1000".into(),
            rule: "complaint_spike".into(),
            community_id: "warga kota".into(),
            state: "firing".into(),
            severity: "critical".into(),
            started_at: 1_000,
            updated_at: 61_000,
            resolved_at: None,
            window: "1h".into(),
            observed: 41.0,
            expected: Some(6.25),
            score: Some(5.1),
            distinct_authors: Some(33),
            near_duplicate_share: Some(0.125),
            coordinated: false,
            samples: vec!["warga%20kota|comment|7".into()],
            summary_id: "Keluhan naik.".into(),
            summary_en: "Complaints rise.".into(),
            links: vec!["https://example.org/d".into()],
            inhibited_by: None,
            acknowledged_by: None,
            fired_at: Some(31_000),
            acknowledged_at: None,
            silenced_by: None,
            silenced_until: None,
            silence_reason: None,
            new_author_share: Some(0.5),
            transition: 2,
        }
    }

    #[test]
    fn a_row_says_what_wakes_somebody() {
        let expected = ["critical", "firing", "2 min", "complaint_spike|warga%20kota|1000\nComplaints rise."];
        assert_eq!(cells(&alert(), "en", 121_000), expected);
        let silenced = Alert {
            silenced_by: Some("sari".into()),
            silenced_until: Some(200_000),
            silence_reason: Some("known".into()),
            acknowledged_by: Some("budi".into()),
            coordinated: true,
            ..alert()
        };
        let cell = &cells(&silenced, "id", 121_000)[3];
        assert!(
            cell.contains(
                "\nKeluhan naik.\n(looks like a coordinated burst)\n(taken by budi)\n(silenced by sari until "
            ),
            "{cell}"
        );
        assert!(cell.ends_with(": known)"), "{cell}");
        assert_eq!(remarks(&silenced, 200_000).len(), 2, "the silence is over");
        let over = Alert { state: "resolved".into(), resolved_at: Some(7_201_000), ..alert() };
        assert_eq!(cells(&over, "en", 99_000_000)[2], "for 2 h");
    }
}
