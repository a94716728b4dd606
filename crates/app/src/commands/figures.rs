//! A row of the metrics topic in words, for people.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::times::length;

/// The row as one line; `None` if it is no row. Times are of this zone.
pub(super) fn sentence(row: &Value, zone: &TimeZone) -> Option<String> {
    let number = |field: &str| row[field].as_i64();
    let time = |field: &str| Some(Timestamp::from_millisecond(number(field)?).ok()?.to_zoned(zone.clone()));
    let (start, end) = (time("window_start")?, time("window_end")?);
    // A day or more is told by days.
    let until = if start.date() == end.date() { "%H:%M:%S %Z" } else { "%Y-%m-%d %H:%M %Z" };
    let mut line =
        format!("{} to {} ({}", start.strftime("%Y-%m-%d %H:%M:%S"), end.strftime(until), row["window"].as_str()?);
    if number("revision")? > 0 {
        line += ", corrected";
    }
    line += "): ";
    let interactions = number("interactions")?;
    if interactions == 0 {
        line += "quiet";
    } else {
        line += &counted(interactions, "interaction");
        let labels = [
            ("complaints", "complaint"),
            ("tips", "tip"),
            ("experiences", "experience"),
            ("praises", "praise"),
            ("others", "other"),
        ];
        let labels: Vec<String> = labels
            .iter()
            .filter_map(|(field, one)| Some((number(field).filter(|&count| count > 0)?, one)))
            .map(|(count, one)| counted(count, one))
            .collect();
        line += &format!(", {}", labels.join(", "));
    }
    if let Some(unsure) = number("abstained").filter(|&count| count > 0) {
        line += &format!(" ({unsure} unsure)");
    }
    if let Some(members) = number("distinct_members").filter(|&count| count > 0) {
        let about = if row["members_approximate"] == true { "about " } else { "" };
        line += &format!("; {about}{}, {} new", counted(members, "member"), number("new_members").unwrap_or(0));
    }
    if let (Some(responses), Some(half)) = (number("first_responses"), number("first_response_ms_p50")) {
        line += &format!("; the brand answered {responses}, half of them within {}", length(half));
    }
    if let Some(open) = number("open_complaints").filter(|&count| count > 0) {
        let oldest = number("oldest_open_complaint_ms").unwrap_or(0);
        line += &format!("; {} open, the oldest for {}", counted(open, "complaint"), length(oldest));
    }
    if let Some(harmony) = row["harmony"].as_f64() {
        line += &format!("; harmony {harmony:.2}");
    }
    if let Some(late) = number("late").filter(|&count| count > 0) {
        line += &format!("; {late} came late");
        if let Some(missed) = number("missed").filter(|&count| count > 0) {
            line += &format!(", {} of the past without them", counted(missed, "row"));
        }
    }
    if row["completeness"].as_f64().is_some_and(|share| share < 1.0) {
        line += "; some sources are not seen";
    }
    Some(line)
}

fn counted(count: i64, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_reads_like_a_sentence() {
        let row = json!({
            "window": "5m", "window_start": 1_767_571_200_000_i64, "window_end": 1_767_571_500_000_i64, "revision": 1,
            "interactions": 12, "complaints": 7, "tips": 1, "experiences": 0, "praises": 2, "others": 2, "abstained": 1,
            "distinct_members": 9, "new_members": 3, "members_approximate": false, "first_responses": 4,
            "first_response_ms_p50": 725_000, "open_complaints": 5, "oldest_open_complaint_ms": 4_830_000, "harmony": 0.314,
            "late": 2, "missed": 31, "completeness": 1.0,
        });
        assert_eq!(
            sentence(&row, &TimeZone::UTC).as_deref(),
            Some(
                "2026-01-05 00:00:00 to 00:05:00 UTC (5m, corrected): 12 interactions, 7 complaints, 1 tip, 2 praises, 2 others \
                 (1 unsure); 9 members, 3 new; the brand answered 4, half of them within 12 min; 5 complaints open, the \
                 oldest for 1 h 20 min; harmony 0.31; 2 came late, 31 rows of the past without them"
            )
        );
        let quiet = json!({
            "window": "24h", "window_start": 1_767_571_200_000_i64, "window_end": 1_767_657_600_000_i64, "revision": 0,
            "interactions": 0, "harmony": null, "completeness": 0.5,
        });
        assert_eq!(
            sentence(&quiet, &TimeZone::UTC).as_deref(),
            Some("2026-01-05 00:00:00 to 2026-01-06 00:00 UTC (24h): quiet; some sources are not seen")
        );
        assert_eq!(sentence(&json!({"id": "1"}), &TimeZone::UTC), None);
    }
}
