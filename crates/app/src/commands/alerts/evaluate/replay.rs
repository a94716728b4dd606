//! Community-months through the rules, and through what they are judged beside.

use std::sync::atomic::{AtomicUsize, Ordering};

use rules::alerts::{AlertRules, AlertState, CommunityAlerts, Increments, Interval, Levels, Transition};
use sim::scenario::{CommunityMonth, Event, Minute, Scenario};

use super::detectors::{Kind, Pager, STEP_MS, Statistic};

/// What one detector did in a month.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Outcome {
    /// From the start of the crisis' ramp to the first page in it, in milliseconds; `None` if there was none, or no crisis.
    pub(super) delay_ms: Option<i64>,
    /// Pages in the crisis after the first.
    pub(super) repeats: usize,
    /// Pages outside of a crisis: what was going on then, if anything.
    pub(super) false_pages: Vec<Option<Scenario>>,
}

/// A month as it was judged by all.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    pub(super) rate_per_hour: f64,
    pub(super) crisis: Option<Event>,
    /// Ours, fixed threshold, z-score, ideal.
    pub(super) outcomes: [Outcome; 4],
}

/// A threshold detector that is tuned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tuned {
    pub(super) kind: Kind,
    pub(super) threshold: f64,
}

/// Does something for each seed, on all cores; results in the order of seeds.
pub(super) fn for_each<T: Send>(seeds: std::ops::Range<u64>, work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let seeds: Vec<u64> = seeds.collect();
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(64);
    let mut results: Vec<(usize, T)> = std::thread::scope(|scope| {
        let worker = || {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(&seed) = seeds.get(at) else { break done };
                done.push((at, work(seed)));
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    results.sort_by_key(|&(at, _)| at);
    results.into_iter().map(|(_, result)| result).collect()
}

/// A month by all detectors.
pub(super) fn judge(seed: u64, rules: &AlertRules, tuned: &[Tuned; 3]) -> Judged {
    let month = CommunityMonth::new(seed);
    let minutes: Vec<Minute> = month.minutes().collect();
    let ours = outcome(&month, &pages_of_rules(&month, &minutes, rules));
    let [fixed, z_score, ideal] = tuned.map(|tuned| outcome(&month, &pages_of_statistic(&month, &minutes, tuned)));
    Judged {
        rate_per_hour: month.rate_per_hour,
        crisis: month.crisis_of_month().copied(),
        outcomes: [ours, fixed, z_score, ideal],
    }
}

/// When the rules page in the scored month: the very code that the community stage runs.
pub(super) fn pages_of_rules(month: &CommunityMonth, minutes: &[Minute], rules: &AlertRules) -> Vec<i64> {
    let mut pages = Vec::new();
    replay(month, minutes, rules, &mut |transition| {
        if transition.state == AlertState::Firing
            && transition.severity.pages()
            && transition.fired_at == Some(transition.at)
            && transition.at >= month.scored_from()
        {
            pages.push(transition.at);
        }
    });
    pages
}

/// All transitions of a month, history included.
pub(super) fn replay(month: &CommunityMonth, minutes: &[Minute], rules: &AlertRules, see: &mut dyn FnMut(Transition)) {
    let mut alerts = CommunityAlerts::new();
    let calendar = CommunityMonth::hour_of_week;
    let mut from = month.starts_at();
    let mut step = |alerts: &mut CommunityAlerts, to: i64, counts: Increments| {
        // As the stage does: what was to be told before comes first.
        while let Some(due) = alerts.next_due().filter(|&due| due < to) {
            let quiet = Interval { from, to: due, counts: Increments::default(), levels: Levels::default() };
            alerts.step(rules, &calendar, &quiet, see);
        }
        alerts.step(rules, &calendar, &Interval { from, to, counts, levels: Levels::default() }, see);
        from = to;
    };
    for minute in minutes {
        for (at, counts) in minute.steps.iter().enumerate().filter(|(_, counts)| counts.interactions > 0) {
            let counts = Increments {
                interactions: counts.interactions,
                complaints: counts.complaints,
                tips: counts.tips,
                praises: counts.praises,
            };
            step(&mut alerts, minute.start + (at as i64 + 1) * STEP_MS, counts);
        }
    }
    step(&mut alerts, month.ends_at(), Increments::default());
}

fn pages_of_statistic(month: &CommunityMonth, minutes: &[Minute], tuned: Tuned) -> Vec<i64> {
    let mut statistic = Statistic::new(tuned.kind, month);
    let mut pager = Pager::new(tuned.threshold);
    let mut pages = Vec::new();
    for minute in minutes {
        for (at, value) in statistic.minute(minute).into_iter().enumerate() {
            let at = minute.start + (at as i64 + 1) * STEP_MS;
            if minute.start >= month.scored_from() && pager.pages(at, value) {
                pages.push(at);
            }
        }
    }
    pages
}

/// Holds pages against the truth. One within a crisis, from the start of its ramp to its end, is of it; every other one is false.
pub(super) fn outcome(month: &CommunityMonth, pages: &[i64]) -> Outcome {
    let mut outcome = Outcome::default();
    for &page in pages {
        let during = month.events().iter().find(|event| (event.begins_at..event.ends_at()).contains(&page));
        match during {
            Some(event) if event.scenario.is_crisis() => match outcome.delay_ms {
                None => outcome.delay_ms = Some(page - event.begins_at),
                Some(_) => outcome.repeats += 1,
            },
            other => outcome.false_pages.push(other.map(|event| event.scenario)),
        }
    }
    outcome
}
