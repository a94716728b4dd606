//! Harmony on simulated communities moves the right way: down in a crisis, and down where the brand does not answer.

use sim::{Crisis, EventKind, World, WorldConfig};
use window::WindowSet;

use crate::community::Whole;
use crate::world::NOW;

const MINUTE_MS: i64 = 60_000;
const CRISIS: Crisis = Crisis { community: 1, begins_ms: 20 * MINUTE_MS, lasts_ms: 15 * MINUTE_MS };

/// Rows of the 5 min window: community, end after the start in milliseconds, harmony.
fn rows(crisis: Option<Crisis>, answers: bool) -> (Vec<String>, Vec<(String, i64, f64)>) {
    let config = WorldConfig { start: NOW, rate_per_second: 5.0, crisis, ..WorldConfig::default() };
    let communities = config.communities;
    let mut world = World::new(7, config);
    let mut whole = Whole::new(WindowSet::standard(), 1_000_000);
    let mut settled = NOW;
    let mut names = std::collections::BTreeMap::new();
    loop {
        let delivery = world.next_interaction();
        if delivery.arrival > NOW + 40 * MINUTE_MS {
            break;
        }
        if !answers && delivery.interaction.author.as_ref().is_some_and(|author| author.role == record::Role::Brand) {
            continue;
        }
        assert!(answers || delivery.truth.event != EventKind::BrandReply);
        *names.entry(delivery.interaction.community_id.to_string()).or_insert(0) += 1;
        // What is the same interaction comes in the same partition.
        let partition = i32::from(delivery.interaction.id.as_bytes().last().copied().unwrap_or(0) % 2);
        whole.raw(partition, &delivery.interaction, delivery.arrival);
        if delivery.arrival - settled > 10_000 {
            settled = delivery.arrival;
            whole.settle(settled);
        }
    }
    assert_eq!(names.len(), communities);
    let five_minutes = whole.side.left.rows.values().filter(|row| row["window"] == "5m");
    let rows = five_minutes.filter_map(|row| {
        let community = row["community_id"].as_str()?.to_owned();
        Some((community, row["window_end"].as_i64()? - NOW, row["harmony"].as_f64()?))
    });
    (names.into_keys().collect(), rows.collect())
}

/// The mean over rows that end within these minutes.
fn mean(rows: &[(String, i64, f64)], of: impl Fn(&str) -> bool, minutes: std::ops::Range<i64>) -> f64 {
    let within = |end: i64| (minutes.start * MINUTE_MS..minutes.end * MINUTE_MS).contains(&end);
    let held: Vec<f64> = rows
        .iter()
        .filter(|(community, end, _)| of(community) && within(*end))
        .map(|(_, _, harmony)| *harmony)
        .collect();
    assert!(held.len() > 20, "{} rows", held.len());
    held.iter().sum::<f64>() / held.len() as f64
}

#[test]
fn harmony_falls_in_a_crisis_and_where_nobody_answers() {
    let (names, answered) = rows(Some(CRISIS), true);
    let (_, calm) = rows(None, true);
    // Beside the same world without a crisis.
    let of = |rows, name: &String| mean(rows, |community| community == name, 26..35);
    let mut falls: Vec<(f64, &String)> =
        names.iter().map(|name| (of(&calm, name) - of(&answered, name), name)).collect();
    falls.sort_by(|one, two| two.0.total_cmp(&one.0));
    println!("falls of harmony: {falls:.3?}");
    assert!(falls[0].0 > 0.08, "{falls:?}");
    assert!(falls[1..].iter().all(|(fall, _)| fall.abs() < falls[0].0 / 2.0), "the others hardly move: {falls:?}");
    let (_, unanswered) = rows(Some(CRISIS), false);
    let (with, without) = (mean(&answered, |_| true, 10..20), mean(&unanswered, |_| true, 10..20));
    println!("mean harmony with answers {with:.3}, without {without:.3}");
    assert!(without < 0.8 * with, "{without} for {with}");
}
