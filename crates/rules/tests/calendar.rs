//! Business time in zones of every kind, beside a slow recount by jiff, minute for minute.
#![allow(clippy::unwrap_used)]

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use proptest::prelude::*;
use rules::{Communities, CommunitySpec, Holiday, Sla, SlaClock, WEEKDAYS};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;

/// Without daylight saving, with it in either half of the globe, by half an hour, by half an hour of saving, and across the
/// date line.
const ZONES: [&str; 7] = [
    "Asia/Jakarta",
    "Asia/Jayapura",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Asia/Kolkata",
];

fn zone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap()
}

/// A day's hours as pairs of minutes, in order and apart.
fn day() -> impl Strategy<Value = Vec<(u16, u16)>> {
    proptest::collection::btree_set(0_u16..=1_440, 0..5).prop_map(|minutes| {
        let minutes: Vec<u16> = minutes.into_iter().collect();
        minutes.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
    })
}

#[derive(Debug, Clone)]
struct Case {
    zone: &'static str,
    hours: Vec<Vec<(u16, u16)>>,
    /// Days since the day it begins.
    holidays: Vec<u16>,
    created_at: i64,
    minutes: u32,
}

fn case() -> impl Strategy<Value = Case> {
    let week = proptest::collection::vec(day(), 7).prop_filter("open at least an hour a week", |week| {
        week.iter().flatten().map(|(start, end)| u32::from(end - start)).sum::<u32>() >= 60
    });
    let holidays = proptest::collection::btree_set(0_u16..30, 0..6).prop_map(|days| days.into_iter().collect());
    // Around the days on which clocks change, and anywhere.
    let change = proptest::sample::select(vec![
        1_774_746_000_000_i64, // 2026-03-29, Europe, forward
        1_792_890_000_000,     // 2026-10-25, Europe, back
        1_772_953_200_000,     // 2026-03-08, America, forward
        1_793_512_800_000,     // 2026-11-01, America, back
        1_775_314_800_000,     // 2026-04-05, Lord Howe, back
        1_325_239_200_000,     // 2011-12-30, which Apia skipped
    ]);
    let created_at = prop_oneof![
        (change, -3 * DAY_MS..DAY_MS).prop_map(|(change, before)| change + before),
        (946_684_800_000_i64..2_500_000_000_000),
    ];
    (proptest::sample::select(&ZONES[..]), week, holidays, created_at, 1_u32..2_000)
        .prop_map(|(zone, hours, holidays, created_at, minutes)| Case { zone, hours, holidays, created_at, minutes })
}

impl Case {
    fn holidays(&self) -> Vec<Date> {
        let first = Timestamp::from_millisecond(self.created_at).unwrap().to_zoned(zone(self.zone)).date();
        self.holidays.iter().map(|&days| first.checked_add(jiff::Span::new().days(days)).unwrap()).collect()
    }

    fn communities(&self) -> Communities {
        let text = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let hours = |day: usize| {
            self.hours[day].iter().map(|&(start, end)| format!("{}-{}", text(start), text(end))).collect::<Vec<_>>()
        };
        let holiday = |date: Date| Holiday { date: date.to_string(), name: "libur".to_owned() };
        let spec = CommunitySpec {
            id: "c".to_owned(),
            time_zone: Some(self.zone.to_owned()),
            business_hours: Some(std::array::from_fn(hours)),
            holidays: Some(self.holidays().into_iter().map(holiday).collect()),
            ..CommunitySpec::default()
        };
        Communities::new(&CommunitySpec::default(), &[spec]).unwrap()
    }

    /// Whether the minute that begins at `at` is open, by jiff.
    fn is_open(&self, at: i64, zone: &TimeZone, holidays: &[Date]) -> bool {
        let local = Timestamp::from_millisecond(at).unwrap().to_zoned(zone.clone());
        let minute = local.hour() as u16 * 60 + local.minute() as u16;
        let weekday = local.weekday().to_monday_zero_offset() as usize;
        !holidays.contains(&local.date())
            && self.hours[weekday].iter().any(|&(start, end)| (start..end).contains(&minute))
    }

    /// The deadline, minute after minute from a whole minute on.
    fn recount(&self, created_at: i64) -> i64 {
        let (zone, holidays) = (zone(self.zone), self.holidays());
        let mut at = created_at;
        let mut left = self.minutes;
        while left > 0 {
            left -= u32::from(self.is_open(at, &zone, &holidays));
            at += MINUTE_MS;
        }
        at
    }
}

fn business(minutes: u32) -> Sla {
    Sla::new(minutes, SlaClock::Business).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_deadline_is_what_a_slow_recount_says(case in case()) {
        let created_at = case.created_at.div_euclid(MINUTE_MS) * MINUTE_MS;
        let due_at = case.communities().due_at("c", created_at, business(case.minutes));
        prop_assert_eq!(due_at, case.recount(created_at));
    }
}

proptest! {
    #[test]
    fn a_deadline_grows_with_the_time_and_the_service_level(case in case(), later in 0..20 * DAY_MS, more in 0_u32..2_000) {
        let communities = case.communities();
        let due_at = communities.due_at("c", case.created_at, business(case.minutes));
        prop_assert!(due_at >= case.created_at + i64::from(case.minutes) * MINUTE_MS);
        prop_assert!(due_at <= communities.due_at("c", case.created_at + later, business(case.minutes)));
        prop_assert!(due_at <= communities.due_at("c", case.created_at, business(case.minutes + more)));
    }

    #[test]
    fn a_service_level_may_be_counted_in_parts(case in case(), more in 1_u32..2_000) {
        let communities = case.communities();
        for clock in [SlaClock::Business, SlaClock::Always] {
            let sla = |minutes| Sla::new(minutes, clock).unwrap();
            let part = communities.due_at("c", case.created_at, sla(case.minutes));
            prop_assert_eq!(
                communities.due_at("c", part, sla(more)),
                communities.due_at("c", case.created_at, sla(case.minutes + more))
            );
        }
    }

    #[test]
    fn the_hour_of_the_week_and_what_is_open_are_what_the_clock_on_the_wall_shows(case in case()) {
        let communities = case.communities();
        let local = Timestamp::from_millisecond(case.created_at).unwrap().to_zoned(zone(case.zone));
        let hour = local.weekday().to_monday_zero_offset() as usize * 24 + local.hour() as usize;
        prop_assert_eq!(communities.hour_of_week("c", case.created_at), hour);
        let open = case.is_open(case.created_at, &zone(case.zone), &case.holidays());
        prop_assert_eq!(communities.get("c").is_open(case.created_at), open);
    }

    #[test]
    fn no_time_is_too_far(at in any::<i64>(), minutes in 1..=Sla::MINUTES_MAX) {
        let communities = Communities::standard();
        prop_assert!(communities.hour_of_week("nowhere", at) < 168);
        for clock in [SlaClock::Business, SlaClock::Always] {
            let due_at = communities.due_at("nowhere", at, Sla::new(minutes, clock).unwrap());
            prop_assert!(due_at >= at.min(253_402_300_799_999));
        }
    }
}

#[test]
fn the_longest_service_level_in_the_shortest_hours_is_found_in_time() {
    // One hour a week, and the holidays that are allowed on every one of the first thousand of them.
    let sundays = |number: i64| Date::new(2026, 11, 29).unwrap().checked_add(jiff::Span::new().weeks(number)).unwrap();
    let mut hours: [Vec<String>; 7] = Default::default();
    hours[6] = vec!["23:00-24:00".to_owned()];
    let spec = CommunitySpec {
        id: "c".to_owned(),
        business_hours: Some(hours),
        holidays: Some(
            (0..1_000).map(|week| Holiday { date: sundays(week).to_string(), name: "libur".to_owned() }).collect(),
        ),
        ..CommunitySpec::default()
    };
    let communities = Communities::new(&CommunitySpec::default(), &[spec]).unwrap();
    let created_at = 1_795_770_000_000;
    let due_at = communities.due_at("c", created_at, business(Sla::MINUTES_MAX));
    let weeks = (due_at - created_at) / (7 * DAY_MS);
    assert_eq!(weeks, 1_000 + i64::from(Sla::MINUTES_MAX) / 60 - 1);
}

#[test]
fn weekdays_begin_with_monday() {
    assert_eq!(Weekday::Monday.to_monday_zero_offset(), 0);
    assert_eq!((WEEKDAYS[0], WEEKDAYS[6]), ("monday", "sunday"));
}

/// Case by case: `created` and the deadline as they are written, and what is to be counted.
#[track_caller]
fn check(zone: &str, created: &str, minutes: u32, due: &str) {
    let spec = CommunitySpec {
        id: "c".to_owned(),
        time_zone: Some(zone.to_owned()),
        business_hours: Some(std::array::from_fn(|_| vec!["00:00-04:00".to_owned(), "13:00-17:00".to_owned()])),
        holidays: Some(vec![Holiday { date: "2026-12-25".to_owned(), name: "Natal".to_owned() }]),
        ..CommunitySpec::default()
    };
    let communities = Communities::new(&CommunitySpec::default(), &[spec]).unwrap();
    let time = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
    let due_at = communities.due_at("c", time(created), business(minutes));
    assert_eq!(Timestamp::from_millisecond(due_at).unwrap(), Timestamp::from_millisecond(time(due)).unwrap());
}

#[test]
fn deadlines_by_hand() {
    let jakarta = "Asia/Jakarta";
    check(jakarta, "2026-11-25T14:00:00+07:00", 60, "2026-11-25T15:00:00+07:00");
    check(jakarta, "2026-11-25T12:00:00+07:00", 1, "2026-11-25T13:01:00+07:00");
    // A deadline at the end of a range is the end, not the next beginning.
    check(jakarta, "2026-11-25T16:30:00+07:00", 30, "2026-11-25T17:00:00+07:00");
    check(jakarta, "2026-11-25T16:30:00+07:00", 31, "2026-11-26T00:01:00+07:00");
    check(jakarta, "2026-12-24T16:30:00+07:00", 31, "2026-12-26T00:01:00+07:00");
    // Berlin's clock skips 02:00 to 03:00: of the four hours three are there.
    check("Europe/Berlin", "2026-03-29T00:00:00+01:00", 181, "2026-03-29T13:01:00+02:00");
    // It shows 02:00 to 03:00 twice: of the four hours five are there.
    check("Europe/Berlin", "2026-10-25T00:00:00+02:00", 300, "2026-10-25T04:00:00+01:00");
}
