//! What the rules are judged beside: a fixed threshold, a z-score, and a CUSUM that knows the rates.

use std::collections::VecDeque;

use sim::scenario::{CommunityMonth, MONTH_MS, Minute, StepCounts};

/// Steps of ten seconds in a minute.
pub(super) const STEPS: usize = 6;
pub(super) const STEP_MS: i64 = 10_000;
const HOUR_MS: i64 = 3_600_000;

/// A detector that is a statistic and a threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// So many complaints within so many minutes, for every community the same.
    Fixed { minutes: usize },
    /// By how many standard deviations complaints within so many minutes are above the mean of this hour of the day; to the variance
    /// of history a floor is added, without which a quiet community's first complaint is as unusual as can be.
    ZScore { minutes: usize, floor: f64 },
    /// Two CUSUMs of the log-likelihood ratio that the simulation itself has, for the crisis' strength and for its square root. It
    /// knows the intensity of complaints at every moment, the activity noise and benign events included, when label noise turns
    /// and how much there is of it, and the strength; and is told when a crisis is over. It does not know the label noise that was drawn, nor when a crisis
    /// begins.
    Ideal,
}

impl Kind {
    /// Those of which the better ones are chosen on the tuning months.
    pub(super) fn candidates() -> [Vec<Kind>; 3] {
        let windows = [10, 30, 60];
        let z_scores = windows.iter().flat_map(|&minutes| [0.3, 1.0, 3.0].map(|floor| Kind::ZScore { minutes, floor }));
        [windows.map(|minutes| Kind::Fixed { minutes }).to_vec(), z_scores.collect(), vec![Kind::Ideal]]
    }

    pub(super) fn describe(self) -> String {
        match self {
            Kind::Fixed { minutes } => format!("complaints within {minutes} min"),
            Kind::ZScore { minutes, floor } => format!("z-score of {minutes} min, variance + {floor}"),
            Kind::Ideal => "CUSUM that knows the rates".to_owned(),
        }
    }
}

/// The statistic of one of them, in time.
pub(super) enum Statistic {
    Fixed(Sum),
    ZScore { sum: Sum, floor: f64, hours: Box<[Moments; 24]>, at: i64 },
    Ideal { ratios: [f64; 2], shape: f64, sums: [f64; 2], block: [(u32, f64); 2] },
}

impl Statistic {
    pub(super) fn new(kind: Kind, month: &CommunityMonth) -> Statistic {
        match kind {
            Kind::Fixed { minutes } => Statistic::Fixed(Sum::new(minutes)),
            Kind::ZScore { minutes, floor } => {
                Statistic::ZScore { sum: Sum::new(minutes), floor, hours: Box::default(), at: month.starts_at() }
            }
            Kind::Ideal => Statistic::Ideal {
                ratios: [month.strength, month.strength.sqrt()],
                shape: 1.0 / (month.label_noise * month.label_noise),
                sums: [0.0; 2],
                block: [(0, 0.0); 2],
            },
        }
    }

    /// Goes on by one minute; gives its value at the end of each ten seconds.
    pub(super) fn minute(&mut self, minute: &Minute) -> [f64; STEPS] {
        let usual = minute.usual_complaints / STEPS as f64;
        if let Statistic::Ideal { sums, block, .. } = self
            && minute.crisis_ended
        {
            (*sums, *block) = ([0.0; 2], [(0, 0.0); 2]);
        }
        if let Statistic::Ideal { ratios, shape, sums, block } = self
            && minute.noise_begins
        {
            for at in 0..2 {
                sums[at] = value(sums[at], block[at], ratios[at], *shape);
                block[at] = (0, 0.0);
            }
        }
        minute.steps.map(|counts| self.step(&counts, usual))
    }

    fn step(&mut self, counts: &StepCounts, usual: f64) -> f64 {
        match self {
            Statistic::Fixed(sum) => sum.add(counts.complaints),
            Statistic::ZScore { sum, floor, hours, at } => {
                let count = sum.add(counts.complaints);
                let hour = usize::try_from(at.div_euclid(HOUR_MS).rem_euclid(24)).unwrap_or(0);
                *at += STEP_MS;
                let moments = &mut hours[hour];
                let score = (count - moments.mean()) / (moments.variance() + *floor).sqrt();
                // History, and what is past: one window after the other.
                if sum.is_whole() {
                    moments.add(count);
                }
                score
            }
            Statistic::Ideal { ratios, shape, sums, block } => {
                let mut most = 0.0_f64;
                for at in 0..2 {
                    block[at].0 += counts.complaints;
                    block[at].1 += usual;
                    let now = value(sums[at], block[at], ratios[at], *shape);
                    if now <= 0.0 {
                        sums[at] = 0.0;
                        block[at] = (0, 0.0);
                    }
                    most = most.max(now);
                }
                most
            }
        }
    }
}

/// A CUSUM's value after a part of a stretch of noise, by negative-binomial likelihoods.
fn value(before: f64, (count, expected): (u32, f64), ratio: f64, shape: f64) -> f64 {
    let less = ((shape + expected) / (shape + ratio * expected)).ln();
    before + f64::from(count) * (ratio.ln() + less) + shape * less
}

/// Complaints within a window that slides by ten seconds.
pub(super) struct Sum {
    steps: usize,
    counts: VecDeque<u32>,
    sum: u32,
    since: usize,
}

impl Sum {
    fn new(minutes: usize) -> Sum {
        Sum { steps: minutes * STEPS, counts: VecDeque::new(), sum: 0, since: 0 }
    }

    fn add(&mut self, count: u32) -> f64 {
        self.counts.push_back(count);
        self.sum += count;
        if self.counts.len() > self.steps {
            self.sum -= self.counts.pop_front().unwrap_or(0);
        }
        self.since += 1;
        f64::from(self.sum)
    }

    /// Whether a whole window has passed since the last one that was.
    fn is_whole(&mut self) -> bool {
        let whole = self.since >= self.steps;
        if whole {
            self.since = 0;
        }
        whole
    }
}

/// Mean and variance of what was seen (Welford, 1962).
#[derive(Default)]
pub(super) struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let off = value - self.mean;
        self.mean += off / self.count;
        self.squares += off * (value - self.mean);
    }

    fn mean(&self) -> f64 {
        self.mean
    }

    fn variance(&self) -> f64 {
        if self.count > 1.0 { self.squares / (self.count - 1.0) } else { 0.0 }
    }
}

/// When a statistic pages: when it reaches the threshold, and again only after an hour below it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pager {
    threshold: f64,
    last_above: Option<i64>,
}

impl Pager {
    pub(super) fn new(threshold: f64) -> Pager {
        Pager { threshold, last_above: None }
    }

    pub(super) fn pages(&mut self, at: i64, value: f64) -> bool {
        if value < self.threshold {
            return false;
        }
        let again = self.last_above.is_none_or(|last| at - last > HOUR_MS);
        self.last_above = Some(at);
        again
    }
}

/// The scored month in stretches of ten minutes: the most of the statistic in each.
pub(super) const STRETCH_MS: i64 = 600_000;

pub(super) fn stretches(statistic: &mut Statistic, month: &CommunityMonth, minutes: &[Minute]) -> Vec<f32> {
    let mut most = vec![f32::MIN; usize::try_from(MONTH_MS / STRETCH_MS).unwrap_or(0)];
    for minute in minutes {
        let values = statistic.minute(minute);
        let since = minute.start - month.scored_from();
        if let Some(stretch) = usize::try_from(since.div_euclid(STRETCH_MS)).ok().and_then(|at| most.get_mut(at)) {
            *stretch = values.iter().fold(*stretch, |most, &value| most.max(value as f32));
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pager_pages_once_and_again_after_an_hour() {
        let mut pager = Pager::new(3.0);
        let seen: Vec<bool> =
            [(0, 2.0), (1, 3.0), (2, 9.0), (HOUR_MS, 1.0), (HOUR_MS + 2, 4.0), (2 * HOUR_MS + 3, 3.0)]
                .map(|(at, value)| pager.pages(at, value))
                .to_vec();
        assert_eq!(seen, [false, true, false, false, false, true]);
    }

    #[test]
    fn the_ideal_rises_in_a_crisis_and_stays_low_else() {
        let month = CommunityMonth::new(3);
        let mut statistic = Statistic::new(Kind::Ideal, &month);
        let minute = |complaints| Minute {
            start: month.starts_at(),
            usual_complaints: 1.0,
            noise_begins: false,
            crisis_ended: false,
            steps: [StepCounts { interactions: complaints, complaints, tips: 0, praises: 0 }; STEPS],
        };
        assert!(statistic.minute(&minute(0)).iter().all(|&value| value <= 0.0));
        let values = statistic.minute(&minute(20));
        assert!(values[5] > 10.0, "{values:?}");
    }

    #[test]
    fn a_window_forgets() {
        let mut sum = Sum::new(1);
        let seen: Vec<f64> = [1, 2, 0, 0, 0, 0, 0, 0, 5].map(|count| sum.add(count)).to_vec();
        assert_eq!(seen, [1.0, 3.0, 3.0, 3.0, 3.0, 3.0, 2.0, 0.0, 5.0]);
    }
}
