//! One line a moment, for where no terminal is.

use super::{Snapshot, jakarta};

pub(super) fn line(snapshot: &Snapshot) -> String {
    let queues: Vec<String> = snapshot.queues.iter().map(|(name, open)| format!("{name} {open}")).collect();
    let alerts: String = snapshot
        .alerts
        .iter()
        .filter(|alert| alert.pages())
        .map(|alert| format!("; {} {}: {}", alert.rule, alert.state(), alert.summary))
        .collect();
    format!(
        "{} classified {} ({:.0}/s, {:.0} % by the deep tier, {:.0} % unsure), open: {}, panes {}, dead letters {}{alerts}",
        jakarta(snapshot.event_time),
        snapshot.classified,
        snapshot.per_second,
        snapshot.share_deep * 100.0,
        snapshot.share_abstained * 100.0,
        queues.join(" "),
        snapshot.panes,
        snapshot.dead_letters,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::AlertRow;

    #[test]
    fn says_it_in_one_line() {
        let snapshot = Snapshot {
            event_time: 1_795_482_000_000,
            classified: 1_234,
            per_second: 98.6,
            share_deep: 0.104,
            share_abstained: 0.078,
            queues: vec![("complaint".into(), 7), ("review".into(), 2)],
            panes: 55,
            dead_letters: 1,
            alerts: vec![AlertRow {
                rule: "complaint_spike".into(),
                severity: "critical".into(),
                states: vec!["pending".into(), "firing".into()],
                summary: "Since 14:05, 37 complaints have come in at warga-depok.".into(),
                ..AlertRow::default()
            }],
            ..Snapshot::default()
        };
        assert_eq!(
            line(&snapshot),
            "2026-11-24 08:00:00 WIB classified 1234 (99/s, 10 % by the deep tier, 8 % unsure), open: complaint 7 review 2, panes 55, dead letters 1; \
             complaint_spike firing: Since 14:05, 37 complaints have come in at warga-depok."
        );
    }
}
