//! Sentences as people read them.

use jiff::tz::{TimeZone, offset};

use super::*;

/// Monday, 2026-01-05, 14:05 in Jakarta.
const SINCE: EpochMs = 1_767_596_700_000;
const HOUR: i64 = 3_600_000;

fn check<'a>(rule: Rule, change: impl FnOnce(&mut Story<'a>), english: &str, indonesian: &str) {
    static JAKARTA: TimeZone = TimeZone::fixed(offset(7));
    let mut story = Story {
        rule,
        community: "Warga Depok",
        state: AlertState::Firing,
        started_at: SINCE,
        at: SINCE + HOUR,
        observed: 37.0,
        expected: 4.2,
        oldest_open_ms: 0,
        evidence: None,
        zone: &JAKARTA,
    };
    change(&mut story);
    assert_eq!(summary_en(&story), english);
    assert_eq!(summary_id(&story), indonesian);
}

fn people(coordinated: bool) -> Evidence {
    let (distinct_authors, near_duplicate_share) = if coordinated { (6, 0.81) } else { (29, 0.05) };
    Evidence { distinct_authors, near_duplicate_share, new_author_share: 0.7, coordinated }
}

#[test]
fn a_wave_of_complaints() {
    let many = people(false);
    check(
        Rule::ComplaintSpike,
        |story| story.evidence = Some(&many),
        "Since 14:05, 37 complaints have come in at Warga Depok, where about 4 would be usual, from 29 different people.",
        "Sejak pukul 14.05 masuk 37 keluhan di Warga Depok, padahal biasanya hanya sekitar 4, dari 29 orang.",
    );
    let bots = people(true);
    check(
        Rule::ComplaintSpike,
        |story| {
            story.evidence = Some(&bots);
            story.observed = 12_345.0;
            story.expected = 1_234.0;
            story.at = SINCE + 24 * HOUR;
        },
        "Since 14:05 yesterday, 12,345 complaints have come in at Warga Depok, where about 1,200 would be usual; this looks \
         coordinated: 81% is nearly the same text, from 6 accounts, most of them new.",
        "Sejak kemarin pukul 14.05 masuk 12.345 keluhan di Warga Depok, padahal biasanya hanya sekitar 1.200; tampaknya \
         terkoordinasi: 81% teksnya nyaris sama dan berasal dari 6 akun yang kebanyakan masih baru.",
    );
    check(
        Rule::ComplaintSpike,
        |story| {
            story.state = AlertState::Resolved;
            story.at = SINCE + 72 * HOUR;
            story.expected = 0.1;
        },
        "Complaints at Warga Depok are back to normal: from 14:05 on 5 January to 14:05 there were 37 complaints, where there are \
         hardly any otherwise.",
        "Keluhan di Warga Depok sudah kembali normal: dari 5 Januari pukul 14.05 sampai pukul 14.05 tercatat 37 keluhan, padahal \
         biasanya hampir tidak ada.",
    );
}

#[test]
fn the_other_rules() {
    check(
        Rule::ShareShift,
        |_| {},
        "An unusual share of what is said at Warga Depok is complaint: 37 complaints since 14:05, where about 4 would be usual for \
         so much talk.",
        "Obrolan di Warga Depok sedang didominasi keluhan: 37 sejak pukul 14.05, padahal untuk obrolan sebanyak itu biasanya hanya \
         sekitar 4.",
    );
    check(
        Rule::Overdue,
        |story| {
            story.observed = 12.0;
            story.oldest_open_ms = 9 * HOUR;
        },
        "12 complaints at Warga Depok are past the deadline for an answer; the oldest has been waiting for 9 hours.",
        "Ada 12 keluhan di Warga Depok yang belum dijawab dan sudah lewat tenggat; yang paling lama sudah menunggu 9 jam.",
    );
    check(
        Rule::Silence,
        |story| {
            story.observed = 0.0;
            story.expected = 41.3;
        },
        "Nobody has said anything at Warga Depok since 14:05; by now about 41 messages would be usual.",
        "Tidak ada obrolan sama sekali di Warga Depok sejak pukul 14.05, padahal biasanya sudah ada sekitar 41 pesan.",
    );
    check(
        Rule::TipSurge,
        |_| {},
        "Members of Warga Depok are sharing more advice than usual: 37 tips since 14:05, where about 4 would be usual.",
        "Warga Depok sedang ramai berbagi saran: 37 sejak pukul 14.05, padahal biasanya hanya sekitar 4.",
    );
    check(
        Rule::PraiseSurge,
        |_| {},
        "Warga Depok is full of praise: 37 messages of praise since 14:05, where about 4 would be usual.",
        "Warga Depok sedang banjir pujian: 37 sejak pukul 14.05, padahal biasanya hanya sekitar 4.",
    );
}

#[test]
fn what_is_over_is_told_as_over() {
    let over = |story: &mut Story<'_>| story.state = AlertState::Resolved;
    check(
        Rule::Silence,
        over,
        "Warga Depok is talking again; it had been silent since 14:05.",
        "Warga Depok sudah ramai lagi setelah sepi sejak pukul 14.05.",
    );
    check(
        Rule::Overdue,
        over,
        "The backlog of overdue complaints at Warga Depok, there since 14:05, has been worked off.",
        "Tumpukan keluhan di Warga Depok yang lewat tenggat sejak pukul 14.05 sudah terselesaikan.",
    );
    check(
        Rule::PraiseSurge,
        over,
        "The wave of praise at Warga Depok that began at 14:05 is over.",
        "Gelombang pujian di Warga Depok yang dimulai pukul 14.05 sudah mereda.",
    );
}

#[test]
fn any_name_fits_into_one_line() {
    let name = format!("a\nb\u{7}{}", "x".repeat(500));
    check(
        Rule::Silence,
        |story| {
            story.community = &name;
            story.state = AlertState::Resolved;
        },
        &format!("a b {}… is talking again; it had been silent since 14:05.", "x".repeat(75)),
        &format!("a b {}… sudah ramai lagi setelah sepi sejak pukul 14.05.", "x".repeat(75)),
    );
}
