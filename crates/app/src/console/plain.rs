//! One line a moment, for where no terminal is.

use super::{Snapshot, jakarta};

pub(super) fn line(snapshot: &Snapshot) -> String {
    let queues: Vec<String> = snapshot.queues.iter().map(|(name, open)| format!("{name} {open}")).collect();
    let crises: Vec<&str> =
        snapshot.communities.iter().filter(|row| row.is_in_crisis()).map(|row| row.id.as_str()).collect();
    let crises = if crises.is_empty() { String::new() } else { format!(", crisis: {}", crises.join(" ")) };
    format!(
        "{} classified {} ({:.0}/s, {:.0} % by the deep tier, {:.0} % unsure), open: {}, panes {}, dead letters {}{crises}",
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
    use crate::console::CommunityRow;

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
            communities: vec![CommunityRow {
                id: "warga-depok".into(),
                labels: [20, 1, 1, 1, 1],
                ..CommunityRow::default()
            }],
            ..Snapshot::default()
        };
        assert_eq!(
            line(&snapshot),
            "2026-11-24 08:00:00 WIB classified 1234 (99/s, 10 % by the deep tier, 8 % unsure), open: complaint 7 review 2, panes 55, dead letters 1, \
             crisis: warga-depok"
        );
    }
}
