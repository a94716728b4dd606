//! What is said of community-months is true of them.

use super::*;

fn sum(month: &CommunityMonth, from: EpochMs, to: EpochMs) -> StepCounts {
    let minutes = month.minutes().filter(|minute| (from..to).contains(&minute.start));
    minutes.flat_map(|minute| minute.steps).fold(StepCounts::default(), |sum, step| StepCounts {
        interactions: sum.interactions + step.interactions,
        complaints: sum.complaints + step.complaints,
        tips: sum.tips + step.tips,
        praises: sum.praises + step.praises,
    })
}

#[test]
fn the_same_seed_is_the_same_month() {
    let counts = |seed| CommunityMonth::new(seed).minutes().take(5_000).collect::<Vec<_>>();
    assert_eq!(counts(7), counts(7));
    assert_ne!(counts(7), counts(8));
}

#[test]
fn rates_and_shares_are_as_drawn() {
    let mut ratios = Vec::new();
    let mut shares = Vec::new();
    for seed in 0..60 {
        let month = CommunityMonth::new(seed);
        if month.rate_per_hour < 20.0 || !month.history.is_empty() {
            continue;
        }
        let counts = sum(&month, month.starts_at(), month.scored_from());
        ratios.push(f64::from(counts.interactions) / (28.0 * 24.0 * month.rate_per_hour));
        shares.push(f64::from(counts.complaints) / f64::from(counts.interactions) / month.complaint_share);
    }
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    assert!(ratios.len() > 5);
    assert!((0.85..1.15).contains(&mean(&ratios)), "{ratios:?}");
    assert!((0.95..1.05).contains(&mean(&shares)), "{shares:?}");
}

#[test]
fn a_crisis_multiplies_complaints() {
    let months = (0..400).map(CommunityMonth::new).filter(|month| month.rate_per_hour > 50.0);
    let mut seen = 0;
    for month in months {
        let Some(crisis) = month.crisis_of_month().filter(|crisis| crisis.scenario == Scenario::SlowBurn) else {
            continue;
        };
        seen += 1;
        let (from, to) = (crisis.begins_at + crisis.ramp_ms, crisis.ends_at() - HOUR_MS);
        let minutes = month.minutes().filter(|minute| (from..to).contains(&minute.start));
        let (counted, usual) = minutes.fold((0.0, 0.0), |(counted, usual), minute| {
            let complaints: u32 = minute.steps.iter().map(|step| step.complaints).sum();
            (counted + f64::from(complaints), usual + minute.usual_complaints)
        });
        let ratio = counted / usual / crisis.strength;
        assert!((0.7..1.4).contains(&ratio), "{ratio} in {crisis:?}");
    }
    assert!(seen > 10);
}

#[test]
fn events_are_within_their_month_and_apart() {
    let (mut crises, mut benign) = (0, 0);
    for seed in 0..1_000 {
        let month = CommunityMonth::new(seed);
        for event in month.events() {
            assert!(event.begins_at >= month.scored_from() && event.ends_at() <= month.ends_at(), "{seed} {event:?}");
            assert!(event.strength > 0.0 && event.multiplier(event.begins_at - 1) == 1.0);
            *if event.scenario.is_crisis() { &mut crises } else { &mut benign } += 1;
        }
        if let [one, two] = month.events() {
            assert!(one.ends_at() + DAY_MS / 2 < two.begins_at, "{seed}");
        }
    }
    assert!((550..650).contains(&crises) && (750..850).contains(&benign), "{crises} {benign}");
}

#[test]
fn nothing_is_seen_in_an_outage() {
    let of = |seed| {
        let month = CommunityMonth::new(seed);
        let outage = month.events().iter().find(|event| event.scenario == Scenario::CrawlerOutage).copied();
        outage.filter(|_| month.rate_per_hour > 100.0).map(|outage| (month, outage))
    };
    let (month, outage) = (0..400).find_map(of).unwrap();
    assert_eq!(sum(&month, outage.begins_at + MINUTE_MS, outage.ends_at() - MINUTE_MS), StepCounts::default());
}

#[test]
fn hours_of_the_week_are_those_of_jakarta() {
    // 2026-01-05T00:00:00Z is a Monday, seven in the morning.
    assert_eq!(CommunityMonth::hour_of_week(DEFAULT_START), 7);
    assert_eq!(CommunityMonth::hour_of_week(DEFAULT_START - 8 * HOUR_MS), 167);
}
