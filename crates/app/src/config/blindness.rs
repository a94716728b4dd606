//! `[blindness]`: when the pipeline is told not to see.

use rules::blindness::Settings;

use super::Blindness;
use super::reader::Reader;

/// Observations further apart than this many intervals, and than [`GAP_MS_MIN`], leave a time in which nobody looked.
const GAP_INTERVALS: i64 = 3;
/// One broker that takes its time does not make such a gap.
const GAP_MS_MIN: i64 = 30_000;

/// `hold_ms_max`: after that the pipeline goes on without a source that holds it.
pub(super) fn blindness(reader: &mut Reader<'_>, hold_ms_max: i64) -> Blindness {
    const DAY_MS: i64 = 86_400_000;
    let interval_ms: i64 = reader.number("blindness.interval_ms", 500, 60_000);
    let judged = Settings {
        begin_ms: reader.number("blindness.begin_ms", 0, DAY_MS),
        end_ms: reader.number("blindness.end_ms", 0, DAY_MS),
        lag_ms: reader.number("blindness.lag_ms", 1_000, DAY_MS),
        held_ms: reader.number("blindness.held_ms", 1_000, DAY_MS),
        silent_ms: reader.number("blindness.silent_ms", 1_000, DAY_MS),
        silent_factor: between(reader, "blindness.silent_factor", 1.0, 100.0),
        silent_unlearned_ms: reader.number("blindness.silent_unlearned_ms", 1_000, 14 * DAY_MS),
        share_window_ms: reader.number("blindness.share_window_ms", 1_000, DAY_MS),
        records_min: reader.number("blindness.records_min", 1, 1_000_000),
        late_share: between(reader, "blindness.late_share", 0.0, 1.0),
        dead_letter_share: between(reader, "blindness.dead_letter_share", 0.0, 1.0),
        abstained_share: between(reader, "blindness.abstained_share", 0.0, 1.0),
        deep_answered_share: between(reader, "blindness.deep_answered_share", 0.0, 1.0),
        hold_ms_max,
        history_ms: reader.number("blindness.history_ms", 60_000, 3_650 * DAY_MS),
        canary_late_ms: reader.number("canary.late_ms", 1_000, 1_800_000),
        gap_ms_max: (GAP_INTERVALS * interval_ms).max(GAP_MS_MIN),
    };
    Blindness { interval_ms: interval_ms.unsigned_abs(), judged }
}

fn between(reader: &mut Reader<'_>, key: &str, least: f64, most: f64) -> f64 {
    let value = reader.real(key).unwrap_or(least);
    if !(least..=most).contains(&value) {
        reader.wrong(key, &value.to_string(), &format!("{least} to {most} is right"));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[test]
    fn what_is_out_of_range_is_told_with_its_key() {
        let wrong = [
            ("SINYAL__BLINDNESS__INTERVAL_MS", "100"),
            ("SINYAL__BLINDNESS__SILENT_FACTOR", "0.5"),
            ("SINYAL__BLINDNESS__LATE_SHARE", "nan"),
            ("SINYAL__BLINDNESS__RECORDS_MIN", "0"),
        ];
        let wrong = wrong.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(
            Config::load(None, wrong).map(|_| ()).unwrap_err().0,
            [
                "blindness.interval_ms is 100; 500 to 60000 is right",
                "blindness.silent_factor is 0.5; 1 to 100 is right",
                "blindness.records_min is 0; 1 to 1000000 is right",
                "blindness.late_share is NaN; 0 to 1 is right",
            ]
        );
    }
}
