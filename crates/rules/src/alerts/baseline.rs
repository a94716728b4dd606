//! What is usual for a community at each hour of the week, and how much that varies.
//!
//! The expected number of an hour is a *level*, the mean of the last weeks, times a *profile*, how busy the hour of the week is beside
//! others. The profile is learned from all interactions, of which there are most, and holds for complaints, tips and praise too.
//! Older hours weigh less, by half in ten days (level) and four weeks (profile); a lasting change becomes normal so.
//! - An hour of the week of which little is known is taken as its hour of the day times its day of the week say, those as the
//!   mean (shrinkage as in empirical Bayes: each estimate counts as [`PRIOR_COUNT`] interactions of the one above).
//! - What is far above the expected counts as less than it was (winsorised, as Noufaily et al., 2013, weigh past outbreaks
//!   down), and not at all while an episode is on.
//! - Noise is what hours vary by beyond Poisson: phi in Var = mean + phi mean², by moments (McCullagh and Nelder, 1989), shrunk to
//!   [`PRIOR_NOISE`].

use serde::{Deserialize, Serialize};

use super::Increments;
use super::cusum::{Usual, zero_surprise};

pub(crate) const HOUR_MS: i64 = 3_600_000;
/// Within a block, noise is taken to be one and the same; hours of every time zone begin with one.
pub(crate) const BLOCK_MS: i64 = HOUR_MS / 4;
const BLOCKS_OF_HOUR: f64 = 4.0;
/// By how much an hour weighs less one hour later: half in ten days.
const LEVEL_KEPT: f64 = 0.997_115;
/// By how much a week weighs less one week later: half in four weeks.
const PROFILE_KEPT: f32 = 0.84;
const PRIOR_COUNT: f64 = 8.0;
/// By how much an hour of the week differs at most from what its hour and its day say.
const FROM_PRIOR_MOST: f64 = 2.0;
/// As how many visits of an hour of the week its prior counts.
const VISITS_OF_PRIOR: f64 = 2.0;
/// −ln of the probability from which on an hour in which nobody said anything is not believed.
const IMPLAUSIBLE: f64 = 6.0;
const PRIOR_NOISE: f64 = 0.03;
/// In squared expected counts.
const PRIOR_NOISE_WEIGHT: f64 = 30.0;
/// With fewer interactions learned than these there is no profile: it would be noise, and there are many such communities.
const PROFILE_FROM: f64 = 60.0;
/// Before so many hours, nothing is winsorised: there is nothing to hold it against.
const HOURS_UNTIL_ROBUST: u32 = 72;
/// The most that unusual traffic raises what is expected.
const TRAFFIC_MOST: f64 = 8.0;

/// The counts of a kind that are learned.
const INTERACTIONS: usize = 0;
const COMPLAINTS: usize = 1;
const TIPS: usize = 2;
const PRAISES: usize = 3;

/// How busy the community is, on the mean, and how noisy.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Level {
    /// Hours learned.
    pub(crate) hours: u32,
    /// Their weight: the profile's sum.
    weight: f64,
    /// The weighted counts.
    sums: [f64; 4],
    noise_of_all: Noise,
    noise_of_complaints: Noise,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Noise {
    /// The sum of (count − expected)² − expected.
    excess: f64,
    /// The sum of expected².
    weight: f64,
}

/// One hour of the week.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// Interactions.
    count: f32,
    /// How many there would have been if all hours were alike.
    alike: f32,
}

/// One day of the profile.
pub(crate) type Day = [Cell; 24];

/// What is usual.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Baseline {
    pub(crate) level: Level,
    /// Monday to Sunday.
    pub(crate) profile: Option<Box<[Day; 7]>>,
}

/// What is usual in one hour, per millisecond.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rates {
    per_ms: [f64; 4],
    complaints_upper: f64,
    tips_upper: f64,
    praises_upper: f64,
    /// Complaints per other interaction: as usual, and on the safe side.
    odds: f64,
    odds_upper: f64,
    /// Shapes of the noise of a block.
    shape_of_all: f64,
    shape_of_complaints: f64,
    noise: [f64; 2],
}

impl Baseline {
    /// What is usual at this hour of the week.
    pub(crate) fn rates(&self, hour_of_week: u8) -> Rates {
        let Level { weight, sums, .. } = self.level;
        let factor = self.factor(hour_of_week) / HOUR_MS as f64;
        let mean = |sum: f64| if weight > 0.0 { sum / weight } else { 0.0 };
        // One standard error more: of what is rare we know less.
        let upper = |sum: f64| sum + sum.sqrt() + 0.5;
        let others = sums[INTERACTIONS] - sums[COMPLAINTS];
        let noise = [self.level.noise_of_all.phi(), self.level.noise_of_complaints.phi()];
        Rates {
            per_ms: sums.map(|sum| mean(sum) * factor),
            complaints_upper: mean(upper(sums[COMPLAINTS])) * factor,
            tips_upper: mean(upper(sums[TIPS])) * factor,
            praises_upper: mean(upper(sums[PRAISES])) * factor,
            odds: sums[COMPLAINTS] / (others.max(0.0) + 1.0),
            odds_upper: upper(sums[COMPLAINTS]) / (others.max(0.0) + 1.0),
            shape_of_all: 1.0 / (BLOCKS_OF_HOUR * noise[0]),
            shape_of_complaints: 1.0 / (BLOCKS_OF_HOUR * noise[1]),
            noise,
        }
    }

    /// Learns from an hour that is over; `lasting` if what is unusual about it has been so for long, and is to become usual. False
    /// if it taught nothing: so much was to be expected that none at all means that nobody looked.
    pub(crate) fn learn(&mut self, hour_of_week: u8, counts: &Increments, rates: &Rates, lasting: bool) -> bool {
        let counted = [counts.interactions, counts.complaints, counts.tips, counts.praises].map(f64::from);
        let mut expected = rates.per_ms.map(|rate| rate * HOUR_MS as f64);
        let robust = self.level.hours >= HOURS_UNTIL_ROBUST && !lasting;
        if robust
            && counts.interactions == 0
            && zero_surprise(expected[INTERACTIONS], 1.0 / rates.noise[0]) > IMPLAUSIBLE
        {
            return false;
        }
        let factor = self.factor(hour_of_week);
        let level = &mut self.level;
        let traffic = traffic(counts.others(), expected[INTERACTIONS] - expected[COMPLAINTS]);
        expected[COMPLAINTS] *= traffic;
        let mut learned = counted;
        if robust {
            for (kind, learned) in learned.iter_mut().enumerate() {
                let (expected, phi) = (expected[kind], rates.noise[usize::from(kind != INTERACTIONS)]);
                *learned = learned.min(expected + 4.0 * (expected + phi * expected * expected).sqrt() + 3.0);
            }
            level.noise_of_all.learn(learned[INTERACTIONS], expected[INTERACTIONS]);
            level.noise_of_complaints.learn(learned[COMPLAINTS], expected[COMPLAINTS]);
        }
        let alike = if level.weight > 0.0 { level.sums[INTERACTIONS] / level.weight } else { learned[INTERACTIONS] };
        level.hours = level.hours.saturating_add(1);
        level.weight = level.weight * LEVEL_KEPT + factor;
        for (sum, learned) in level.sums.iter_mut().zip(learned) {
            *sum = *sum * LEVEL_KEPT + learned;
        }
        if self.profile.is_some() || level.sums[INTERACTIONS] >= PROFILE_FROM {
            let cell = &mut self.profile.get_or_insert_default()[day_of(hour_of_week)][hour_of(hour_of_week)];
            cell.count = cell.count * PROFILE_KEPT + learned[INTERACTIONS] as f32;
            cell.alike = cell.alike * PROFILE_KEPT + alike as f32;
        }
        true
    }

    /// How busy this hour of the week is beside the mean of all.
    fn factor(&self, hour_of_week: u8) -> f64 {
        let Some(profile) = &self.profile else { return 1.0 };
        let (day, hour) = (day_of(hour_of_week), hour_of(hour_of_week));
        let of_day = Ratio::of(profile[day].iter());
        let of_hour = Ratio::of(profile.iter().map(|day| &day[hour]));
        let of_all = Ratio::of(profile.iter().flatten());
        // One hour is as noisy as it is, however many spoke in it, and so is one day: what is above counts as another visit.
        let visit = self.level.sums[INTERACTIONS] / self.level.weight.max(1.0);
        let hour = of_hour.shrunk(1.0, PRIOR_COUNT);
        let day_factor = of_day.shrunk(1.0, PRIOR_COUNT.max(24.0 * visit));
        let prior = hour * day_factor / of_all.shrunk(1.0, PRIOR_COUNT);
        let cell = Ratio::of(std::iter::once(&profile[day][hour_of(hour_of_week)]));
        let cell = cell.shrunk(prior, PRIOR_COUNT.max(VISITS_OF_PRIOR * visit));
        cell.clamp(prior / FROM_PRIOR_MOST, prior * FROM_PRIOR_MOST).clamp(0.02, 50.0)
    }
}

impl Rates {
    /// Complaints in time, where so many others came as are usual times `traffic`.
    pub(crate) fn complaints(&self, traffic: f64) -> Usual {
        let rate = self.per_ms[COMPLAINTS];
        Usual { rate, upper: self.complaints_upper * traffic, shape: self.shape_of_complaints }
    }

    /// Complaints by how many others came.
    pub(crate) fn complaints_by_traffic(&self) -> Usual {
        Usual { rate: self.odds, upper: self.odds_upper, shape: self.shape_of_complaints }
    }

    /// Tips in time.
    pub(crate) fn tips(&self) -> Usual {
        Usual { rate: self.per_ms[TIPS], upper: self.tips_upper, shape: self.shape_of_complaints }
    }

    /// Praise in time.
    pub(crate) fn praises(&self) -> Usual {
        Usual { rate: self.per_ms[PRAISES], upper: self.praises_upper, shape: self.shape_of_complaints }
    }

    /// All interactions in time; for silence, where less is expected to be on the safe side.
    pub(crate) fn interactions(&self) -> Usual {
        let rate = self.per_ms[INTERACTIONS];
        Usual { rate, upper: rate, shape: self.shape_of_all }
    }

    /// Other interactions than complaints, per millisecond.
    pub(crate) fn others(&self) -> f64 {
        (self.per_ms[INTERACTIONS] - self.per_ms[COMPLAINTS]).max(0.0)
    }
}

/// How much busier it is than usual, by interactions other than complaints: a festival brings more of all, complaints included.
/// Never below 1: those who are quiet do not make others complain less.
pub(crate) fn traffic(others: impl Into<f64>, expected: f64) -> f64 {
    ((others.into() + 3.0) / (expected.max(0.0) + 3.0)).clamp(1.0, TRAFFIC_MOST)
}

/// A ratio of counts.
struct Ratio {
    count: f64,
    alike: f64,
}

impl Ratio {
    fn of<'a>(cells: impl Iterator<Item = &'a Cell>) -> Ratio {
        cells.fold(Ratio { count: 0.0, alike: 0.0 }, |sum, cell| Ratio {
            count: sum.count + f64::from(cell.count),
            alike: sum.alike + f64::from(cell.alike),
        })
    }

    fn shrunk(&self, prior: f64, weight: f64) -> f64 {
        (self.count + weight * prior) / (self.alike + weight)
    }
}

impl Noise {
    fn learn(&mut self, count: f64, expected: f64) {
        self.excess = self.excess * LEVEL_KEPT + (count - expected).powi(2) - expected;
        self.weight = self.weight * LEVEL_KEPT + expected * expected;
    }

    fn phi(&self) -> f64 {
        let phi = (self.excess + PRIOR_NOISE * PRIOR_NOISE_WEIGHT) / (self.weight + PRIOR_NOISE_WEIGHT);
        phi.clamp(0.003, 2.0)
    }
}

pub(crate) fn day_of(hour_of_week: u8) -> usize {
    usize::from(hour_of_week / 24) % 7
}

fn hour_of(hour_of_week: u8) -> usize {
    usize::from(hour_of_week % 24)
}
