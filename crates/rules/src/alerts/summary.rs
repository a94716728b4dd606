//! What happened, in a sentence that a person can read.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use record::EpochMs;

use super::{AlertState, Evidence, Rule};

/// What is to be told.
#[derive(Debug, Clone, Copy)]
pub struct Story<'a> {
    /// The rule.
    pub rule: Rule,
    /// What people call the community.
    pub community: &'a str,
    /// Where the episode stands.
    pub state: AlertState,
    /// When it began.
    pub started_at: EpochMs,
    /// When this is told.
    pub at: EpochMs,
    /// What was observed.
    pub observed: f64,
    /// What was to be expected.
    pub expected: f64,
    /// How long the oldest open complaint waits, in milliseconds; 0 if there is none.
    pub oldest_open_ms: i64,
    /// Who and what is behind it, if known.
    pub evidence: Option<&'a Evidence>,
    /// The community's time zone.
    pub zone: &'a TimeZone,
}

/// The sentence in English.
///
/// ```
/// use rules::alerts::{AlertState, Rule, Story, summary_en, summary_id};
/// let story = Story {
///     rule: Rule::ComplaintSpike, community: "Warga Depok", state: AlertState::Firing,
///     started_at: 1_767_596_700_000, at: 1_767_597_000_000, observed: 37.0, expected: 4.2, oldest_open_ms: 0,
///     evidence: None, zone: &jiff::tz::TimeZone::fixed(jiff::tz::offset(7)),
/// };
/// assert_eq!(summary_en(&story), "Since 14:05, 37 complaints have come in at Warga Depok, where about 4 would be usual.");
/// assert_eq!(summary_id(&story), "Sejak pukul 14.05 masuk 37 keluhan di Warga Depok, padahal biasanya hanya sekitar 4.");
/// ```
pub fn summary_en(story: &Story<'_>) -> String {
    let English { name, since, until } = &English::of(story);
    let many = |one: &str, more: &str| counted(story.observed, one, more);
    let usual = usual_en(story.expected);
    if story.state == AlertState::Resolved {
        return match story.rule {
            Rule::ComplaintSpike => {
                let complaints = many("complaint", "complaints");
                format!(
                    "Complaints at {name} are back to normal: from {since} to {until} there were {complaints}, where {usual}."
                )
            }
            Rule::ShareShift => {
                format!("Complaints no longer dominate the talk at {name}, as they did from {since} to {until}.")
            }
            Rule::Overdue => {
                format!("The backlog of overdue complaints at {name}, there since {since}, has been worked off.")
            }
            Rule::Silence => format!("{name} is talking again; it had been silent since {since}."),
            Rule::TipSurge => format!("The run of tips at {name} that began {} is over.", since_at(since)),
            Rule::PraiseSurge => format!("The wave of praise at {name} that began {} is over.", since_at(since)),
        };
    }
    let mut line = match story.rule {
        Rule::ComplaintSpike => {
            let have = if story.observed == 1.0 { "has" } else { "have" };
            format!("Since {since}, {} {have} come in at {name}, where {usual}", many("complaint", "complaints"))
        }
        Rule::ShareShift => {
            let complaints = many("complaint", "complaints");
            format!(
                "An unusual share of what is said at {name} is complaint: {complaints} since {since}, where {usual} for so much talk"
            )
        }
        Rule::Overdue => {
            let are = if story.observed == 1.0 { "is" } else { "are" };
            let oldest = duration_en(story.oldest_open_ms);
            let oldest = oldest.map_or(String::new(), |oldest| format!("; the oldest has been waiting for {oldest}"));
            format!("{} at {name} {are} past the deadline for an answer{oldest}", many("complaint", "complaints"))
        }
        Rule::Silence => {
            let expected = counted(story.expected.max(1.0).round(), "message", "messages");
            format!("Nobody has said anything at {name} since {since}; by now about {expected} would be usual")
        }
        Rule::TipSurge => {
            format!(
                "Members of {name} are sharing more advice than usual: {} since {since}, where {usual}",
                many("tip", "tips")
            )
        }
        Rule::PraiseSurge => {
            let messages = many("message of praise", "messages of praise");
            format!("{name} is full of praise: {messages} since {since}, where {usual}")
        }
    };
    if let Some(evidence) = story.evidence.filter(|_| of_people(story.rule)) {
        let share = percent(evidence.near_duplicate_share);
        let people = counted(evidence.distinct_authors as f64, "account", "accounts");
        if evidence.coordinated {
            let new = if evidence.new_author_share >= 0.5 { ", most of them new" } else { "" };
            line += &format!("; this looks coordinated: {share}% is nearly the same text, from {people}{new}");
        } else {
            line += &format!(", from {}", counted(evidence.distinct_authors as f64, "person", "different people"));
        }
    }
    line + "."
}

/// The sentence in Indonesian.
pub fn summary_id(story: &Story<'_>) -> String {
    let Indonesian { name, since, until } = &Indonesian::of(story);
    let observed = number(story.observed, '.');
    let usual = usual_id(story.expected);
    if story.state == AlertState::Resolved {
        return match story.rule {
            Rule::ComplaintSpike => {
                format!(
                    "Keluhan di {name} sudah kembali normal: dari {since} sampai {until} tercatat {observed} keluhan, padahal biasanya {usual}."
                )
            }
            Rule::ShareShift => format!(
                "Obrolan di {name} tidak lagi didominasi keluhan, seperti yang terjadi dari {since} sampai {until}."
            ),
            Rule::Overdue => {
                format!("Tumpukan keluhan di {name} yang lewat tenggat sejak {since} sudah terselesaikan.")
            }
            Rule::Silence => format!("{name} sudah ramai lagi setelah sepi sejak {since}."),
            Rule::TipSurge => format!("Lonjakan saran di {name} yang dimulai {since} sudah mereda."),
            Rule::PraiseSurge => format!("Gelombang pujian di {name} yang dimulai {since} sudah mereda."),
        };
    }
    let mut line = match story.rule {
        Rule::ComplaintSpike => format!("Sejak {since} masuk {observed} keluhan di {name}, padahal biasanya {usual}"),
        Rule::ShareShift => {
            format!(
                "Obrolan di {name} sedang didominasi keluhan: {observed} sejak {since}, padahal untuk obrolan sebanyak itu biasanya {usual}"
            )
        }
        Rule::Overdue => {
            let oldest = duration_id(story.oldest_open_ms);
            let oldest = oldest.map_or(String::new(), |oldest| format!("; yang paling lama sudah menunggu {oldest}"));
            format!("Ada {observed} keluhan di {name} yang belum dijawab dan sudah lewat tenggat{oldest}")
        }
        Rule::Silence => {
            let expected = number(story.expected.max(1.0), '.');
            format!(
                "Tidak ada obrolan sama sekali di {name} sejak {since}, padahal biasanya sudah ada sekitar {expected} pesan"
            )
        }
        Rule::TipSurge => {
            format!("{name} sedang ramai berbagi saran: {observed} sejak {since}, padahal biasanya {usual}")
        }
        Rule::PraiseSurge => format!("{name} sedang banjir pujian: {observed} sejak {since}, padahal biasanya {usual}"),
    };
    if let Some(evidence) = story.evidence.filter(|_| of_people(story.rule)) {
        let authors = number(evidence.distinct_authors as f64, '.');
        if evidence.coordinated {
            let share = percent(evidence.near_duplicate_share);
            let new = if evidence.new_author_share >= 0.5 { " yang kebanyakan masih baru" } else { "" };
            line += &format!(
                "; tampaknya terkoordinasi: {share}% teksnya nyaris sama dan berasal dari {authors} akun{new}"
            );
        } else {
            line += &format!(", dari {authors} orang");
        }
    }
    line + "."
}

/// Whether it says something of a rule who spoke.
fn of_people(rule: Rule) -> bool {
    !matches!(rule, Rule::Overdue | Rule::Silence)
}

struct English {
    name: String,
    since: String,
    until: String,
}

impl English {
    fn of(story: &Story<'_>) -> English {
        let told = |time: EpochMs| {
            let (time, now) = (local(time, story.zone), local(story.at, story.zone));
            let clock = format!("{:02}:{:02}", time.hour(), time.minute());
            match (now.date() - time.date()).get_days() {
                _ if now.date() == time.date() => clock,
                1 => format!("{clock} yesterday"),
                _ => format!("{clock} on {}", time.strftime("%-d %B")),
            }
        };
        English { name: one_line(story.community), since: told(story.started_at), until: told(story.at) }
    }
}

struct Indonesian {
    name: String,
    since: String,
    until: String,
}

impl Indonesian {
    fn of(story: &Story<'_>) -> Indonesian {
        const MONTHS: [&str; 12] = [
            "Januari",
            "Februari",
            "Maret",
            "April",
            "Mei",
            "Juni",
            "Juli",
            "Agustus",
            "September",
            "Oktober",
            "November",
            "Desember",
        ];
        let told = |time: EpochMs| {
            let (time, now) = (local(time, story.zone), local(story.at, story.zone));
            let clock = format!("pukul {:02}.{:02}", time.hour(), time.minute());
            match (now.date() - time.date()).get_days() {
                _ if now.date() == time.date() => clock,
                1 => format!("kemarin {clock}"),
                _ => {
                    let month = usize::try_from(time.month() - 1).unwrap_or(0);
                    format!("{} {} {clock}", time.day(), MONTHS[month % 12])
                }
            }
        };
        Indonesian { name: one_line(story.community), since: told(story.started_at), until: told(story.at) }
    }
}

fn since_at(since: &str) -> String {
    format!("at {since}")
}

fn local(time: EpochMs, zone: &TimeZone) -> DateTime {
    Timestamp::from_millisecond(time).map(|time| time.to_zoned(zone.clone()).datetime()).unwrap_or_default()
}

/// A name of whatever length and shape as part of one sentence.
fn one_line(name: &str) -> String {
    const MOST: usize = 80;
    let name: String = name.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).collect();
    if name.chars().count() <= MOST {
        return name;
    }
    name.chars().take(MOST - 1).chain(['…']).collect()
}

fn usual_en(expected: f64) -> String {
    if expected < 0.5 {
        "there are hardly any otherwise".to_owned()
    } else {
        format!("about {} would be usual", about(expected, ','))
    }
}

fn usual_id(expected: f64) -> String {
    if expected < 0.5 { "hampir tidak ada".to_owned() } else { format!("hanya sekitar {}", about(expected, '.')) }
}

/// To two digits: more would feign what we do not know.
fn about(value: f64, thousands: char) -> String {
    let unit = 10_f64.powf((value.max(1.0).log10().floor() - 1.0).max(0.0));
    number((value / unit).round() * unit, thousands)
}

fn counted(count: f64, one: &str, more: &str) -> String {
    format!("{} {}", number(count, ','), if count == 1.0 { one } else { more })
}

/// A whole number with its thousands told apart.
fn number(value: f64, thousands: char) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut told = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            told.push(thousands);
        }
        told.push(digit);
    }
    told
}

fn percent(share: f64) -> String {
    format!("{:.0}", share * 100.0)
}

fn duration_en(ms: i64) -> Option<String> {
    let (count, unit) = duration(ms)?;
    let name = ["minute", "hour", "day"][unit];
    Some(format!("{count} {name}{}", if count == 1 { "" } else { "s" }))
}

fn duration_id(ms: i64) -> Option<String> {
    let (count, unit) = duration(ms)?;
    Some(format!("{count} {}", ["menit", "jam", "hari"][unit]))
}

fn duration(ms: i64) -> Option<(i64, usize)> {
    let minutes = ms / 60_000;
    match minutes {
        ..1 => None,
        1..120 => Some((minutes, 0)),
        120..2_880 => Some((minutes / 60, 1)),
        _ => Some((minutes / 1_440, 2)),
    }
}

#[cfg(test)]
mod tests;
