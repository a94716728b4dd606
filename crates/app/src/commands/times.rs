//! Times on the command line and on the screen.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use record::EpochMs;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// The longest time that may be asked for.
const DURATION_MS_MAX: i64 = 3_650 * DAY_MS;

/// A duration such as `30s`, `5m`, `2h` or `7d`, in milliseconds, above 0. A number without a unit is of seconds.
pub(super) fn duration(text: &str) -> Result<i64, String> {
    let right = || format!("{text:?} is no duration; 30s, 5m, 2h or 7d are");
    let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len()));
    let number: i64 = number.parse().map_err(|_| right())?;
    let unit_ms = match unit {
        "s" | "" => 1_000,
        "m" => MINUTE_MS,
        "h" => HOUR_MS,
        "d" => DAY_MS,
        _ => return Err(right()),
    };
    let ms = number.saturating_mul(unit_ms);
    if (1..=DURATION_MS_MAX).contains(&ms) { Ok(ms) } else { Err(format!("{text}: 1s to 3650d are right")) }
}

/// The same, up to a longest one.
pub(super) fn duration_up_to(text: &str, most: &str) -> Result<i64, String> {
    let ms = duration(text)?;
    if ms <= duration(most)? { Ok(ms) } else { Err(format!("{text}: at most {most} is right")) }
}

/// A moment: a time with its zone (RFC 3339), or so long before now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    At(EpochMs),
    Ago(i64),
}

impl Moment {
    /// The moment, in epoch milliseconds.
    pub(super) fn ms(self, now: EpochMs) -> EpochMs {
        match self {
            Moment::At(at) => at,
            Moment::Ago(ms) => now - ms,
        }
    }
}

/// A moment as it is typed: `2h`, or `2026-11-25T08:00:00+07:00`.
pub(super) fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Moment::At(at.as_millisecond()));
    }
    duration(text).map(Moment::Ago).map_err(|_| {
        format!(
            "{text:?} is no moment; so long before now, as 2h or 7d, or a time as 2026-11-25T08:00:00+07:00 is right"
        )
    })
}

/// The wall clock.
pub(super) fn now_ms() -> EpochMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    EpochMs::try_from(since.as_millis()).unwrap_or(EpochMs::MAX)
}

/// A duration in its two largest units.
pub(crate) fn length(ms: i64) -> String {
    let seconds = ms.max(0) / 1_000;
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// The same in its largest unit alone, for narrow columns.
pub(super) fn short(ms: i64) -> String {
    let ms = ms.max(0);
    match ms {
        ..MINUTE_MS => format!("{} s", ms / 1_000),
        MINUTE_MS..HOUR_MS => format!("{} min", ms / MINUTE_MS),
        HOUR_MS..DAY_MS => format!("{} h", ms / HOUR_MS),
        _ => format!("{} d", ms / DAY_MS),
    }
}

/// A moment as people read it, in the system's time zone.
pub(super) fn shown(at: EpochMs) -> String {
    match Timestamp::from_millisecond(at) {
        Ok(time) => time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
        Err(_) => format!("{at} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        assert_eq!(duration("30s"), Ok(30_000));
        assert_eq!(duration("45"), Ok(45_000));
        assert_eq!((duration("5m"), duration("2h"), duration("7d")), (Ok(300_000), Ok(7_200_000), Ok(604_800_000)));
        for wrong in ["", "x", "0s", "-1h", "1w", "1.5h", "99999d", "9223372036854775807d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(duration_up_to("31d", "30d"), Err("31d: at most 30d is right".to_owned()));
    }

    #[test]
    fn moments_are_read() {
        assert_eq!(moment("2h").map(|moment| moment.ms(10_000_000)), Ok(2_800_000));
        assert_eq!(moment("1970-01-01T07:00:01+07:00"), Ok(Moment::At(1_000)));
        for wrong in ["yesterday", "2026-11-25", ""] {
            assert!(moment(wrong).unwrap_err().contains("2026-11-25T08:00:00+07:00"), "{wrong}");
        }
    }

    #[test]
    fn lengths_are_told_in_their_largest_units() {
        let told = |ms| (length(ms), short(ms));
        assert_eq!(told(59_999), ("59 s".to_owned(), "59 s".to_owned()));
        assert_eq!(told(4_830_000), ("1 h 20 min".to_owned(), "1 h".to_owned()));
        assert_eq!(told(93_600_000), ("1 d 2 h".to_owned(), "1 d".to_owned()));
        assert_eq!(told(-5), ("0 s".to_owned(), "0 s".to_owned()));
    }
}
