//! What a world must keep to.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

use super::*;
use crate::to_json_line;

fn first(count: usize) -> Vec<SimInteraction> {
    let mut world = World::new(7, WorldConfig::default());
    (0..count).map(|_| world.next_interaction()).collect()
}

/// If this fails, a seed no longer gives the world that it gave: say so in the changelog.
#[test]
fn a_seed_gives_the_same_bytes_for_ever() {
    let mut hash = Sha256::new();
    for sim in first(1_000) {
        hash.update(to_json_line(&sim).as_bytes());
        hash.update(b"\n");
    }
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, "63c47797c03c1385faa320d7255ba7fc9a944e58d9ca9dcf51399adf7031633a");
}

#[test]
fn powers_are_those_of_the_library_to_many_digits() {
    for base in [1.0, 2.0, 3.0, 97.0, 1e4, 1e7] {
        for exponent in [0.0, 0.5, 0.6, 1.0, 1.1, 2.75] {
            let (ours, theirs) = (power(base, exponent), base.powf(exponent));
            assert!((ours / theirs - 1.0).abs() < 1e-13, "{base} {exponent}: {ours} {theirs}");
        }
    }
    // Multiplication and square root are rounded alike everywhere, so these bits are too.
    assert_eq!(power(3.0, 0.6).to_bits(), 0x3ffe_ee50_4bc3_2418);
}

#[test]
fn deliveries_come_in_order_and_make_sense() {
    let sims = first(20_000);
    let mut ids = HashSet::new();
    let mut events: HashMap<String, usize> = HashMap::new();
    for pair in sims.windows(2) {
        assert!(pair[0].arrival <= pair[1].arrival);
    }
    for sim in &sims {
        let interaction = &sim.interaction;
        assert!(interaction.created_at <= sim.arrival);
        *events.entry(format!("{:?}", sim.truth.event)).or_default() += 1;
        if matches!(sim.truth.event, EventKind::New | EventKind::BrandReply) {
            assert!(ids.insert((interaction.community_id.clone(), interaction.id.clone())), "an id twice");
        }
        assert_eq!(interaction.kind == Kind::Comment, interaction.post_id.is_some());
        assert!(!interaction.text.is_empty());
    }
    let share = |event: &str| events[event] as f64 / sims.len() as f64;
    assert!((0.02..0.06).contains(&share("Recrawl")), "{events:?}");
    assert!((0.004..0.02).contains(&share("Edit")), "{events:?}");
    assert!(share("BrandReply") > 0.02 && share("Retraction") > 0.001 && share("Stale") > 0.0003, "{events:?}");
}

#[test]
fn every_label_and_language_comes_soon_and_texts_differ() {
    let sims = first(2_000);
    let labels: HashSet<Label> = sims.iter().take(300).map(|sim| sim.truth.label).collect();
    assert_eq!(labels.len(), 5);
    let texts: HashSet<&str> = sims.iter().map(|sim| &*sim.interaction.text).collect();
    assert!(texts.len() > 1_200, "{}", texts.len());
    let communities: HashSet<&str> = sims.iter().map(|sim| &*sim.interaction.community_id).collect();
    assert_eq!(communities.len(), 8);
}

#[test]
fn the_crisis_can_be_seen() {
    let mut world = World::new(3, WorldConfig::default());
    let mut by_minute: HashMap<i64, (usize, usize)> = HashMap::new();
    loop {
        let sim = world.next_interaction();
        let minute = (sim.arrival - DEFAULT_START) / 60_000;
        if minute >= 30 {
            break;
        }
        if sim.interaction.community_id == NAMES[1].0 {
            let (all, complaints) = by_minute.entry(minute).or_default();
            *all += 1;
            *complaints += usize::from(sim.truth.label == Label::Complaint);
        }
    }
    let sum = |from: i64, to: i64| {
        (from..to).filter_map(|minute| by_minute.get(&minute)).fold((0, 0), |sum, add| (sum.0 + add.0, sum.1 + add.1))
    };
    let (before, during) = (sum(0, 10), sum(10, 25));
    assert!(during.0 > before.0 * 4, "{before:?} {during:?}");
    assert!(during.1 * 10 > during.0 * 6, "{during:?}");
}

#[test]
fn time_goes_on_at_the_rate() {
    // Over whole days, and within an hour that is as busy as the day's mean.
    let (day, hour) = (DEFAULT_START, DEFAULT_START - 3_600_000);
    for (rate_per_second, start, count) in
        [(0.1, day, 86_400), (10.0, hour, 30_000), (5_000.0, hour, 100_000), (50_000.0, hour, 100_000)]
    {
        let config = WorldConfig { start, communities: 200, rate_per_second, crisis: None, ..WorldConfig::default() };
        let mut world = World::new(5, config);
        // Nothing arrives at once: at the rate it is when as much comes as is made.
        let mut first = world.next_interaction();
        while first.arrival < start + 5_000 {
            first = world.next_interaction();
        }
        let sims: Vec<SimInteraction> = (0..count).map(|_| world.next_interaction()).collect();
        let seconds = (sims[count - 1].arrival - first.arrival) as f64 / 1_000.0;
        let share = seconds / (count as f64 / rate_per_second);
        assert!((0.96..1.04).contains(&share), "{count} at {rate_per_second}/s in {seconds} s: {share}");
        let again = sims.iter().filter(|sim| sim.truth.event == EventKind::Recrawl).count() as f64 / count as f64;
        assert!((0.03..0.05).contains(&again), "{again} at {rate_per_second}/s");
    }
}

#[test]
fn a_large_world_stays_bounded() {
    let config = WorldConfig {
        communities: 10_000,
        zipf: 1.1,
        members: 100_000,
        rate_per_second: 1_000.0,
        crisis: None,
        ..WorldConfig::default()
    };
    let mut world = World::new(1, config);
    for _ in 0..200_000 {
        world.next_interaction();
    }
    assert!(world.recent.len() <= RECENT_MAX && world.pending.len() < 300_000);
}
