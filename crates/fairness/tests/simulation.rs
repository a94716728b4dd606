//! Made-up waits with a known gap, or none: what is said of them must be right as often as it claims.
#![allow(clippy::unwrap_used)]

use fairness::{Question, Settings, Verdict, Wait, hazard_ratio, log_rank, report};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

struct Dice(ChaCha8Rng);

impl Dice {
    fn share(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// An exponential waiting time at this rate, looked at after a time that is drawn too: about a third still wait.
    fn wait(&mut self, rate: f64, group: usize, stratum: usize) -> Wait {
        const HOUR_MS: f64 = 3_600_000.0;
        let answered = -self.share().max(1e-12).ln() / rate;
        let looked_at = 0.2 + 2.5 * self.share();
        Wait { duration_ms: (answered.min(looked_at) * HOUR_MS) as i64, ended: answered <= looked_at, group, stratum }
    }

    fn waits(&mut self, count: usize, rate: f64, group: usize) -> Vec<Wait> {
        (0..count).map(|_| self.wait(rate, group, 0)).collect()
    }
}

const RUNS: usize = 1_000;

#[test]
fn without_a_gap_every_p_is_as_likely_as_any_other() {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(5));
    let mut tenths = [0_usize; 10];
    for _ in 0..RUNS {
        let waits = [dice.waits(60, 1.0, 0), dice.waits(40, 1.0, 1)].concat();
        let p = log_rank(&waits, 1, 0).unwrap().p;
        tenths[((p * 10.0) as usize).min(9)] += 1;
    }
    // Chi-square of ten equal bins: 27.9 is passed once in a thousand times.
    let expected = RUNS as f64 / 10.0;
    let distance: f64 = tenths.iter().map(|&found| (found as f64 - expected).powi(2) / expected).sum();
    assert!(distance < 27.9, "{tenths:?}");
}

#[test]
fn a_gap_is_found_and_its_size_is_within_the_interval_as_often_as_promised() {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(6));
    let (mut found, mut covered) = (0, 0);
    for _ in 0..RUNS {
        let waits = [dice.waits(100, 1.0, 0), dice.waits(100, 2.0, 1)].concat();
        found += usize::from(log_rank(&waits, 1, 0).unwrap().p < 0.05);
        let (low, high) = hazard_ratio(&waits, 1, 0).unwrap().interval(0.95);
        covered += usize::from(low <= 2.0 && 2.0 <= high);
    }
    assert!(found > RUNS * 95 / 100, "found {found} of {RUNS}");
    // Three standard errors around 95 %.
    assert!((930..=970).contains(&covered), "the interval held the truth {covered} times of {RUNS}");
}

#[test]
fn a_report_of_many_comparisons_seldom_finds_a_gap_that_is_not_there() {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(7));
    let mut wrong = 0;
    for _ in 0..300 {
        let mut question = || {
            let waits = (0..4).flat_map(|group| dice.waits(50, 1.0, group)).collect();
            Question { groups: ["a", "b", "c", "d"].map(str::to_owned).to_vec(), waits }
        };
        let answers = report(&[question(), question()], &Settings::default());
        assert_eq!(answers.iter().map(|answer| answer.comparisons.len()).sum::<usize>(), 6);
        let gap = |verdict| matches!(verdict, Verdict::Sooner | Verdict::Later);
        wrong += usize::from(answers.iter().flat_map(|answer| &answer.comparisons).any(|found| gap(found.verdict)));
    }
    // At most 5 %: 15, and three standard errors of chance.
    assert!(wrong <= 26, "{wrong} of 300 reports found a gap");
}

#[test]
fn what_a_group_writes_about_is_no_gap() {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(8));
    // Complaints are answered four times as fast as praise, whoever writes them; group 1 complains more.
    let mut waits = Vec::new();
    for (group, complaints, praises) in [(0, 200, 600), (1, 600, 200)] {
        waits.extend((0..complaints).map(|_| dice.wait(4.0, group, 0)));
        waits.extend((0..praises).map(|_| dice.wait(1.0, group, 1)));
    }
    let ask = |waits: Vec<Wait>| {
        let question = Question { groups: vec!["small".to_owned(), "large".to_owned()], waits };
        report(&[question], &Settings::default()).remove(0).comparisons.remove(0)
    };
    let mixed = ask(waits.iter().map(|wait| Wait { stratum: 0, ..*wait }).collect());
    assert_eq!(mixed.verdict, Verdict::Sooner, "{mixed:?}");
    let stratified = ask(waits);
    assert_eq!(stratified.verdict, Verdict::Alike, "{stratified:?}");
}

#[test]
fn verdicts_and_minimum_counts() {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(9));
    let groups = ["small", "large", "few", "none answered"].map(str::to_owned).to_vec();
    let mut waits = [dice.waits(2_000, 1.0, 0), dice.waits(300, 0.5, 1), dice.waits(19, 9.0, 2)].concat();
    waits.extend((0..50).map(|_| Wait { duration_ms: 1, ended: false, group: 3, stratum: 0 }));
    let answer = report(&[Question { groups, waits }], &Settings::default()).remove(0);
    let enough: Vec<bool> = answer.groups.iter().map(|figures| figures.enough).collect();
    assert_eq!(enough, [true, true, false, false]);
    assert_eq!(answer.comparisons.len(), 1);
    let slower = &answer.comparisons[0];
    assert_eq!((slower.group, slower.reference, slower.verdict), (1, 0, Verdict::Later));
    let (low, high) = slower.interval.unwrap();
    assert!(low < 0.5 && 0.5 < high && high < 1.0, "{low} to {high}");
    let few = [dice.waits(25, 1.0, 0), dice.waits(25, 1.0, 1)].concat();
    let groups = vec!["small".to_owned(), "large".to_owned()];
    let answer = report(&[Question { groups, waits: few }], &Settings::default()).remove(0);
    assert_eq!(answer.comparisons[0].verdict, Verdict::Unclear);
}
