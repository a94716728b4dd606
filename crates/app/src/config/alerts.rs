//! The alert rules.

use rules::alerts::{AlertRules, CountRule, OverdueRule, SilenceRule};

use super::reader::Reader;

const MINUTE_MS: i64 = 60_000;

/// The rules; `step_ms` is the shortest slide of the windows.
pub(super) fn alerts(reader: &mut Reader<'_>, step_ms: i64) -> AlertRules {
    let minutes = |reader: &mut Reader<'_>, key: &str| reader.number::<i64>(key, 0, 100_000) * MINUTE_MS;
    let rules = AlertRules {
        step_ms,
        warm_up_ms: reader.number::<i64>("alerts.warm_up_hours", 1, 1_440) * 60 * MINUTE_MS,
        resolve_after_ms: minutes(reader, "alerts.resolve_after_minutes"),
        update_every_ms: minutes(reader, "alerts.update_every_minutes"),
        adapt_after_ms: reader.number::<i64>("alerts.adapt_after_hours", 1, 1_440) * 60 * MINUTE_MS,
        complaint_spike: count(reader, "complaint_spike"),
        critical_ratio: reader.real("alerts.complaint_spike.critical_ratio").unwrap_or(1.0),
        critical_count: reader.number("alerts.complaint_spike.critical_count", 1, 100_000),
        share_shift: count(reader, "share_shift"),
        tip_surge: count(reader, "tip_surge"),
        praise_surge: count(reader, "praise_surge"),
        overdue: OverdueRule {
            enabled: reader.boolean("alerts.overdue.enabled"),
            count: reader.number("alerts.overdue.count", 1, 100_000),
            critical_count: reader.number("alerts.overdue.critical_count", 1, 1_000_000),
            hold_ms: minutes(reader, "alerts.overdue.hold_minutes"),
        },
        silence: SilenceRule {
            enabled: reader.boolean("alerts.silence.enabled"),
            threshold: reader.real("alerts.silence.threshold").unwrap_or(3.0),
            min_gap_ms: minutes(reader, "alerts.silence.min_gap_minutes"),
        },
    };
    if reader.errors.is_empty()
        && let Err(error) = rules.check()
    {
        reader.errors.push(error.to_string());
    }
    rules
}

fn count(reader: &mut Reader<'_>, rule: &str) -> CountRule {
    let key = |field: &str| format!("alerts.{rule}.{field}");
    CountRule {
        enabled: reader.boolean(&key("enabled")),
        threshold: reader.real(&key("threshold")).unwrap_or(3.0),
        min_count: reader.number(&key("min_count"), 1, 100_000),
        min_ratio: reader.real(&key("min_ratio")).unwrap_or(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, ConfigErrors, layers, validate};
    use super::*;

    fn load(text: &str) -> Result<Config, ConfigErrors> {
        validate::validate(&layers::merge(Some(text), "test.toml", std::iter::empty())?)
    }

    #[test]
    fn the_defaults_are_those_of_the_rules() {
        assert_eq!(load("").unwrap().alerts, AlertRules::default());
    }

    #[test]
    fn mistakes_name_their_keys() {
        let check = |text: &str, expected: &str| {
            let errors = load(text).unwrap_err().to_string();
            assert!(errors.contains(expected), "{text}: {errors}");
        };
        check("[alerts.silence]\nthreshold = 1.0\n", "alerts.silence.threshold = 1: 3 to 100 is right");
        check(
            "[alerts.complaint_spike]\nmin_count = 0\n",
            "alerts.complaint_spike.min_count is 0; 1 to 100000 is right",
        );
        check("[alerts.tip_surge]\nmin_counts = 3\n", "did you mean alerts.tip_surge.min_count?");
    }
}
