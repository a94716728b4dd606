//! A community-month as counts of ten seconds.

use record::EpochMs;

use super::{CommunityMonth, DAY_MS, HOUR_MS, MINUTE_MS, MONTH_MS, Scenario};
use crate::dice::Dice;
use crate::numeric::exp;

const STEPS: usize = 6;
const NOISE_MS: i64 = 30 * MINUTE_MS;
const TIP_SHARE: f64 = 0.1;
const PRAISE_SHARE: f64 = 0.2;
const DAY_NOISE: f64 = 0.15;

/// What came in ten seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StepCounts {
    /// All interactions.
    pub interactions: u32,
    /// Those of them that complain.
    pub complaints: u32,
    /// Those that are tips.
    pub tips: u32,
    /// Those that praise.
    pub praises: u32,
}

/// A minute `[start, start + 60 s)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Minute {
    /// Its start.
    pub start: EpochMs,
    /// The number of complaints that one who knows the rates, the activity noise and all events but crises expects in it.
    pub usual_complaints: f64,
    /// Whether another stretch of label noise begins with it.
    pub noise_begins: bool,
    /// Whether a crisis has ended since the minute before.
    pub crisis_ended: bool,
    /// Its counts, ten seconds each.
    pub steps: [StepCounts; STEPS],
}

/// The minutes of a community-month, in order.
#[derive(Debug)]
pub struct Minutes<'a> {
    month: &'a CommunityMonth,
    dice: Dice,
    next: EpochMs,
    day_noise: f64,
    activity_noise: f64,
    complaint_noise: f64,
    praise_noise: f64,
    /// What hangs on the hour alone.
    hour: f64,
}

/// By what events multiply.
struct Multipliers {
    complaints: f64,
    /// What of that is no crisis.
    complaints_usual: f64,
    praises: f64,
    rest: f64,
}

impl<'a> Minutes<'a> {
    pub(super) fn new(month: &'a CommunityMonth) -> Minutes<'a> {
        // Other dice than those by which the month was drawn.
        let dice = Dice::new(month.seed ^ 0x9e37_79b9_7f4a_7c15);
        Minutes {
            month,
            dice,
            next: month.starts_at(),
            day_noise: 1.0,
            activity_noise: 1.0,
            complaint_noise: 1.0,
            praise_noise: 1.0,
            hour: 0.0,
        }
    }

    /// Draws anew what is due to change; true if label noise did.
    fn turn(&mut self, at: EpochMs) -> bool {
        let month = self.month;
        let first = at == month.starts_at();
        if first || at.rem_euclid(DAY_MS) == 0 {
            self.day_noise = self.dice.noise(DAY_NOISE);
        }
        if first || (at + month.later_ms).rem_euclid(HOUR_MS) < MINUTE_MS || at.rem_euclid(HOUR_MS) == 0 {
            let through = (at - month.starts_at()) as f64 / (2 * MONTH_MS) as f64;
            self.hour = month.rate_per_hour / 60.0 * month.rhythm(at) * (1.0 + month.trend * (2.0 * through - 1.0));
        }
        let noise_begins = first || (at + month.noise_offset_ms).rem_euclid(NOISE_MS) < MINUTE_MS;
        if noise_begins {
            self.activity_noise = self.dice.noise(month.activity_noise);
            self.complaint_noise = self.dice.noise(month.label_noise);
            self.praise_noise = self.dice.noise(month.label_noise);
        }
        noise_begins
    }

    fn multipliers(&self, at: EpochMs) -> Multipliers {
        let mut by = Multipliers { complaints: 1.0, complaints_usual: 1.0, praises: 1.0, rest: 1.0 };
        let events = if at < self.month.scored_from() { &self.month.history } else { &self.month.events };
        for event in events.iter().filter(|event| event.begins_at <= at && at < event.ends_at()) {
            let strength = event.multiplier(at);
            let aside = strength.max(0.0).sqrt().sqrt();
            let (complaints, usual, praises, rest) = match event.scenario {
                Scenario::SlowBurn | Scenario::FlashCrisis | Scenario::BotRaid => (strength, 1.0, aside, aside),
                Scenario::HolidayLull | Scenario::FestivalWeek => (strength, strength, strength, strength),
                Scenario::ViralPraise => (aside, aside, strength, aside),
                Scenario::CrawlerOutage => (0.0, 0.0, 0.0, 0.0),
                Scenario::RecrawlStorm => (1.0, 1.0, 1.0, 1.0),
            };
            by.complaints *= complaints;
            by.complaints_usual *= usual;
            by.praises *= praises;
            by.rest *= rest;
        }
        by
    }
}

impl Iterator for Minutes<'_> {
    type Item = Minute;

    fn next(&mut self) -> Option<Minute> {
        let start = self.next;
        if start >= self.month.ends_at() {
            return None;
        }
        self.next += MINUTE_MS;
        let noise_begins = self.turn(start);
        let by = self.multipliers(start);
        let activity = self.hour * self.day_noise * self.activity_noise;
        let share = self.month.complaint_share;
        let complaints = activity * share * self.complaint_noise * by.complaints;
        let praises = activity * PRAISE_SHARE * self.praise_noise * by.praises;
        let tips = activity * TIP_SHARE * by.rest;
        let rest = activity * (1.0 - share - PRAISE_SHARE - TIP_SHARE) * by.rest;
        let cumulated =
            [complaints, complaints + praises, complaints + praises + tips, complaints + praises + tips + rest];
        let mut steps = [StepCounts::default(); STEPS];
        for _ in 0..self.dice.poisson(cumulated[3]) {
            let step = &mut steps[self.dice.roll(STEPS)];
            step.interactions += 1;
            match self.dice.weighted(&cumulated) {
                0 => step.complaints += 1,
                1 => step.praises += 1,
                2 => step.tips += 1,
                _ => {}
            }
        }
        let usual_complaints = activity * share * by.complaints_usual;
        let events = if start < self.month.scored_from() { &self.month.history } else { &self.month.events };
        let ended = |end: EpochMs| start - MINUTE_MS < end && end <= start;
        let crisis_ended = events.iter().any(|event| event.scenario.is_crisis() && ended(event.ends_at()));
        Some(Minute { start, usual_complaints, noise_begins, crisis_ended, steps })
    }
}

impl Dice {
    /// Gamma distributed around 1, with this coefficient of variation.
    fn noise(&mut self, variation: f64) -> f64 {
        let shape = 1.0 / (variation * variation);
        self.gamma(shape) / shape
    }

    /// Poisson distributed: by inversion, in parts where there are many.
    fn poisson(&mut self, mean: f64) -> u32 {
        const PART: f64 = 200.0;
        let mut left = mean;
        let mut count = 0;
        while left > 0.0 {
            let part = left.min(PART);
            left -= part;
            let mut probability = exp(-part);
            let mut point = self.unit() - probability;
            let mut number = 0_u32;
            // Rounding may leave a rest that no number takes.
            while point >= 0.0 && number < 1_000 {
                number += 1;
                probability *= part / f64::from(number);
                point -= probability;
            }
            count += number;
        }
        count
    }
}
