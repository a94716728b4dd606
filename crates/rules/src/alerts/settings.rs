//! The settings of the rules, with their defaults and what is right.

/// A rule that compares counts with what is usual.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CountRule {
    /// Whether it is judged at all.
    pub enabled: bool,
    /// The log-likelihood ratio at which it fires; 3 to 100. Each one more makes false alarms rarer by a factor of about e, and
    /// detection later by that much evidence. It is pending from 0.6 of it on.
    pub threshold: f64,
    /// The least count with which it fires; 1 to 100,000.
    pub min_count: u32,
    /// The least ratio of observed to expected with which it fires; 1 to 100.
    pub min_ratio: f64,
}

/// Complaints that nobody answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OverdueRule {
    /// Whether it is judged at all.
    pub enabled: bool,
    /// From how many complaints past their SLA on it is pending; 1 to 100,000. It is over at half of them.
    pub count: u32,
    /// From how many on it is critical; `count` to 1,000,000.
    pub critical_count: u32,
    /// For how long, before it fires, in milliseconds; 0 to 7 days.
    pub hold_ms: i64,
}

/// Nobody says anything where usually many do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SilenceRule {
    /// Whether it is judged at all.
    pub enabled: bool,
    /// −ln of the probability of so long a silence at which it fires; 3 to 100.
    pub threshold: f64,
    /// The shortest silence that is told of, in milliseconds; 1 minute to 30 days.
    pub min_gap_ms: i64,
}

/// The settings of all rules.
///
/// ```
/// let mut rules = rules::alerts::AlertRules::default();
/// assert_eq!(rules.check(), Ok(()));
/// rules.silence.threshold = 1.0;
/// assert_eq!(rules.check().unwrap_err().to_string(), "alerts.silence.threshold = 1: 3 to 100 is right");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct AlertRules {
    /// How fine event time is, in milliseconds: the shortest slide of the windows; 1 s to 15 min.
    pub step_ms: i64,
    /// How much history a baseline needs before anything is judged by it, in milliseconds; 1 hour to 60 days.
    pub warm_up_ms: i64,
    /// For how long an episode must be over before it is resolved, in milliseconds; 0 to 7 days. What time alone changes is looked
    /// at at the ends of quarter hours.
    pub resolve_after_ms: i64,
    /// How often figures of an episode are told anew though they have not grown by half, in milliseconds; 1 min to 1 day.
    pub update_every_ms: i64,
    /// For how long an episode keeps the baseline from learning, in milliseconds; 1 hour to 60 days. What lasts longer is the new
    /// normal by and by.
    pub adapt_after_ms: i64,
    /// More complaints than usual.
    pub complaint_spike: CountRule,
    /// From which ratio of observed to expected on a complaint spike is critical; 1 to 1,000.
    pub critical_ratio: f64,
    /// The least count for that; 1 to 100,000.
    pub critical_count: u32,
    /// A greater share of complaints than usual.
    pub share_shift: CountRule,
    /// More tips than usual.
    pub tip_surge: CountRule,
    /// More praise than usual.
    pub praise_surge: CountRule,
    /// Complaints past their SLA.
    pub overdue: OverdueRule,
    /// Silence.
    pub silence: SilenceRule,
}

impl Default for AlertRules {
    fn default() -> AlertRules {
        const MINUTE_MS: i64 = 60_000;
        const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
        let count = CountRule { enabled: true, threshold: 12.0, min_count: 5, min_ratio: 1.7 };
        AlertRules {
            step_ms: 10_000,
            warm_up_ms: 7 * DAY_MS,
            resolve_after_ms: 30 * MINUTE_MS,
            update_every_ms: 10 * MINUTE_MS,
            adapt_after_ms: 3 * DAY_MS,
            // Those that page want more evidence.
            complaint_spike: CountRule { threshold: 14.0, ..count },
            critical_ratio: 5.0,
            critical_count: 20,
            share_shift: CountRule { min_count: 10, min_ratio: 2.0, ..count },
            tip_surge: CountRule { min_count: 10, min_ratio: 2.5, ..count },
            praise_surge: CountRule { min_count: 10, min_ratio: 2.5, ..count },
            overdue: OverdueRule { enabled: true, count: 5, critical_count: 25, hold_ms: 15 * MINUTE_MS },
            silence: SilenceRule { enabled: true, threshold: 14.0, min_gap_ms: 60 * MINUTE_MS },
        }
    }
}

/// A setting that is out of its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{key} = {value}: {least} to {most} is right")]
pub struct AlertRulesError {
    /// The whole path of the key.
    pub key: String,
    /// What it says.
    pub value: f64,
    /// The least that is right.
    pub least: f64,
    /// The most that is right.
    pub most: f64,
}

/// What [`AlertRules::step_ms`] may be.
pub const STEP_MS: std::ops::RangeInclusive<i64> = 1_000..=900_000;

impl AlertRules {
    /// Whether every setting is within its range.
    ///
    /// # Errors
    /// The first that is not, by the full path of its key under `alerts`.
    pub fn check(&self) -> Result<(), AlertRulesError> {
        const MINUTE: i64 = 60_000;
        const HOUR: i64 = 60 * MINUTE;
        const DAY: i64 = 24 * HOUR;
        times("step_ms", self.step_ms, *STEP_MS.start(), *STEP_MS.end())?;
        times("warm_up_ms", self.warm_up_ms, HOUR, 60 * DAY)?;
        times("resolve_after_ms", self.resolve_after_ms, 0, 7 * DAY)?;
        times("update_every_ms", self.update_every_ms, MINUTE, DAY)?;
        times("adapt_after_ms", self.adapt_after_ms, HOUR, 60 * DAY)?;
        let rules = [
            ("complaint_spike", &self.complaint_spike),
            ("share_shift", &self.share_shift),
            ("tip_surge", &self.tip_surge),
            ("praise_surge", &self.praise_surge),
        ];
        for (name, rule) in rules {
            within(&format!("{name}.threshold"), rule.threshold, 3.0, 100.0)?;
            within(&format!("{name}.min_count"), f64::from(rule.min_count), 1.0, 100_000.0)?;
            within(&format!("{name}.min_ratio"), rule.min_ratio, 1.0, 100.0)?;
        }
        within("critical_ratio", self.critical_ratio, 1.0, 1_000.0)?;
        within("critical_count", f64::from(self.critical_count), 1.0, 100_000.0)?;
        within("overdue.count", f64::from(self.overdue.count), 1.0, 100_000.0)?;
        let critical = f64::from(self.overdue.critical_count);
        within("overdue.critical_count", critical, f64::from(self.overdue.count), 1_000_000.0)?;
        times("overdue.hold_ms", self.overdue.hold_ms, 0, 7 * DAY)?;
        within("silence.threshold", self.silence.threshold, 3.0, 100.0)?;
        times("silence.min_gap_ms", self.silence.min_gap_ms, MINUTE, 30 * DAY)
    }
}

fn times(key: &str, value: i64, least: i64, most: i64) -> Result<(), AlertRulesError> {
    within(key, value as f64, least as f64, most as f64)
}

fn within(key: &str, value: f64, least: f64, most: f64) -> Result<(), AlertRulesError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(AlertRulesError { key: format!("alerts.{key}"), value, least, most })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_named() {
        let check = |change: fn(&mut AlertRules), expected: &str| {
            let mut rules = AlertRules::default();
            change(&mut rules);
            assert_eq!(rules.check().err().map(|error| error.to_string()).as_deref(), Some(expected));
        };
        check(|rules| rules.step_ms = 0, "alerts.step_ms = 0: 1000 to 900000 is right");
        check(|rules| rules.tip_surge.min_ratio = f64::NAN, "alerts.tip_surge.min_ratio = NaN: 1 to 100 is right");
        check(|rules| rules.praise_surge.min_count = 0, "alerts.praise_surge.min_count = 0: 1 to 100000 is right");
        check(|rules| rules.overdue.critical_count = 4, "alerts.overdue.critical_count = 4: 5 to 1000000 is right");
    }
}
