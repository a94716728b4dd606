//! Times and lists in sentences.

use super::At;

/// Most names in a list.
const NAMES_MAX: usize = 3;

/// The two largest units of a time.
fn parts(ms: i64, units: [&str; 4]) -> String {
    let seconds = ms.max(0) / 1_000;
    let [days, hours, minutes, second] = units;
    let two = |big: i64, big_unit: &str, small: i64, small_unit: &str| {
        if small == 0 { format!("{big} {big_unit}") } else { format!("{big} {big_unit} {small} {small_unit}") }
    };
    match seconds {
        0..60 => format!("{seconds} {second}"),
        60..3_600 => two(seconds / 60, minutes, seconds % 60, second),
        3_600..86_400 => two(seconds / 3_600, hours, seconds % 3_600 / 60, minutes),
        _ => two(seconds / 86_400, days, seconds % 86_400 / 3_600, hours),
    }
}

pub(super) fn duration_en(ms: i64) -> String {
    parts(ms, ["d", "h", "min", "s"])
}

pub(super) fn duration_id(ms: i64) -> String {
    parts(ms, ["hari", "jam", "menit", "detik"])
}

/// A share in percent: whole ones from ten up.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 10.0 { format!("{percent:.0} %") } else { format!("{percent:.1} %") }
}

/// The first names, and how many more.
pub(super) fn list<'a>(mut all: impl Iterator<Item = &'a At>) -> String {
    let mut names: Vec<String> = all.by_ref().take(NAMES_MAX).map(ToString::to_string).collect();
    let more = all.count();
    if more > 0 {
        names.push(format!("+{more}"));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_their_two_largest_units() {
        let both = |ms| (duration_en(ms), duration_id(ms));
        assert_eq!(both(-5), ("0 s".to_owned(), "0 detik".to_owned()));
        assert_eq!(both(61_000), ("1 min 1 s".to_owned(), "1 menit 1 detik".to_owned()));
        assert_eq!(both(7_800_000), ("2 h 10 min".to_owned(), "2 jam 10 menit".to_owned()));
        assert_eq!(both(172_800_000), ("2 d".to_owned(), "2 hari".to_owned()));
        assert_eq!((percent(0.056), percent(0.5)), ("5.6 %".to_owned(), "50 %".to_owned()));
    }

    #[test]
    fn of_many_names_the_first_are_told() {
        let all: Vec<At> = (0..5).map(|partition| At { topic: "raw".into(), partition }).collect();
        assert_eq!(list(all.iter()), "raw:0, raw:1, raw:2, +2");
        assert_eq!(list(all[..1].iter()), "raw:0");
    }
}
