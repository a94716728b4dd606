//! A registry as it is typed, and everything that may be wrong with it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZoneDatabase;
use record::Language;
use record::limits::{ID_BYTES, URL_BYTES};

use super::calendar::{Calendar, Range, open_minutes};
use super::zone::Offsets;
use super::{BrandAccounts, Communities, Community, Holiday};

/// The weekdays, in the order of business hours.
pub const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Limits on what a registry may hold.
pub mod limits {
    /// Most communities.
    pub const COMMUNITIES: usize = 100_000;
    /// Longest name of a community, a holiday or a department, in bytes.
    pub const NAME_BYTES: usize = 200;
    /// Most ranges of business hours a day.
    pub const RANGES: usize = 8;
    /// Fewest minutes of business hours a week: with fewer a deadline would be years away.
    pub const OPEN_MINUTES_MIN: u32 = 60;
    /// Most holidays of a community.
    pub const HOLIDAYS: usize = 1_000;
    /// Most brand accounts of a community.
    pub const BRAND_ACCOUNTS: usize = 1_000;
    /// Most links of a community.
    pub const LINKS: usize = 16;
}

/// A community as it is typed; `None` is what was not said.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct CommunitySpec {
    /// Its id. Of no meaning for the default.
    pub id: String,
    /// What people call it; its id where nothing is said.
    pub name: Option<String>,
    /// Its time zone, by its IANA name.
    pub time_zone: Option<String>,
    /// The language in which it is written of: `id`, `en`, `jv` or `su`.
    pub language: Option<String>,
    /// Business hours in the order of [`WEEKDAYS`], `HH:MM-HH:MM`, the end exclusive and up to `24:00`; an empty day is closed.
    pub business_hours: Option<[Vec<String>; 7]>,
    /// Days without business hours, `YYYY-MM-DD`.
    pub holidays: Option<Vec<Holiday>>,
    /// Accounts of the brand: author ids, or handles with `@` before them.
    pub brand_accounts: Option<Vec<String>>,
    /// The department that answers there, whatever the queue.
    pub department: Option<String>,
    /// Links by name.
    pub links: Option<BTreeMap<String, String>>,
}

// By hand, so that accounts are not shown.
impl fmt::Debug for CommunitySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommunitySpec").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Something wrong in a registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} is {found}; {right}")]
pub struct Mistake {
    /// Its place, e.g. `communities[3].time_zone`.
    pub path: String,
    /// What is there. Never an account.
    pub found: String,
    /// What would be right.
    pub right: String,
}

/// Collects mistakes, and what is looked up again and again.
struct Checker {
    zones: TimeZoneDatabase,
    known: HashMap<String, (String, Arc<Offsets>)>,
    mistakes: Vec<Mistake>,
}

pub(super) fn check(default: &CommunitySpec, specs: &[CommunitySpec]) -> Result<Communities, Vec<Mistake>> {
    let zones = TimeZoneDatabase::bundled();
    let mut checker = Checker { zones, known: HashMap::new(), mistakes: Vec::new() };
    let built_in = checker.built_in();
    let checked_default = checker.community(default, &built_in, "default");
    // Where the default is wrong, its mistakes are not told again for everybody who takes over from it.
    let under = checked_default.as_ref().unwrap_or(&built_in);
    let mut by_id = HashMap::with_capacity(specs.len());
    let mut ids = HashSet::with_capacity(specs.len());
    if specs.len() > limits::COMMUNITIES {
        checker.wrong("communities".to_owned(), format!("a list of {}", specs.len()), at_most(limits::COMMUNITIES, ""));
    }
    for (number, spec) in specs.iter().take(limits::COMMUNITIES).enumerate() {
        let place = format!("communities[{number}]");
        if !ids.insert(&spec.id) {
            checker.wrong(
                format!("{place}.id"),
                shown(&spec.id),
                "an id that no other community has is right".to_owned(),
            );
        }
        if spec.id.is_empty() || spec.id.len() > ID_BYTES {
            checker.wrong(format!("{place}.id"), shown(&spec.id), format!("1 to {ID_BYTES} bytes are right"));
        }
        if let Some(community) = checker.community(spec, under, &place) {
            by_id.insert(spec.id.clone(), community);
        }
    }
    match checked_default {
        Some(default) if checker.mistakes.is_empty() => {
            let has_brand_accounts = std::iter::once(&default)
                .chain(by_id.values())
                .any(|community: &Community| !community.brand_accounts.is_empty());
            Ok(Communities { default, by_id, has_brand_accounts })
        }
        _ => Err(checker.mistakes),
    }
}

impl Checker {
    fn wrong(&mut self, path: String, found: String, right: String) {
        self.mistakes.push(Mistake { path, found, right });
    }

    /// What holds where nothing is said at all.
    fn built_in(&mut self) -> Community {
        let typed: [Vec<String>; 7] =
            std::array::from_fn(|day| if day < 5 { vec![Communities::BUSINESS_HOURS.to_owned()] } else { Vec::new() });
        let hours = self.business_hours(&typed, "");
        let (time_zone, offsets) =
            self.zone(Communities::TIME_ZONE, "").unwrap_or_else(|| unreachable!("the bundled zones have this one"));
        Community {
            id: String::new(),
            name: String::new(),
            time_zone,
            language: Language::Indonesian,
            business_hours: Arc::new(typed),
            holidays: Arc::default(),
            brand_accounts: Arc::default(),
            department: None,
            links: Arc::default(),
            calendar: Calendar { offsets, hours: Arc::new(hours), holidays: Arc::default() },
        }
    }

    /// What a spec means, where it says nothing as `under`; `None` if something is wrong with it.
    fn community(&mut self, spec: &CommunitySpec, under: &Community, place: &str) -> Option<Community> {
        let before = self.mistakes.len();
        let mut community = Community {
            id: spec.id.clone(),
            name: spec.name.clone().unwrap_or_else(|| spec.id.clone()),
            ..under.clone()
        };
        if let Some(name) = &spec.name {
            self.name(name, || format!("{place}.name"));
        }
        if let Some(zone) = &spec.time_zone
            && let Some((name, offsets)) = self.zone(zone, &format!("{place}.time_zone"))
        {
            (community.time_zone, community.calendar.offsets) = (name, offsets);
        }
        if let Some(tag) = &spec.language {
            community.language = self.language(tag, &format!("{place}.language"));
        }
        if let Some(typed) = &spec.business_hours {
            community.calendar.hours = Arc::new(self.business_hours(typed, &format!("{place}.business_hours")));
            community.business_hours = Arc::new(typed.clone());
        }
        if let Some(typed) = &spec.holidays {
            let (named, days) = self.holidays(typed, &format!("{place}.holidays"));
            (community.holidays, community.calendar.holidays) = (named.into(), days.into());
        }
        if let Some(typed) = &spec.brand_accounts {
            community.brand_accounts = Arc::new(self.brand_accounts(typed, &format!("{place}.brand_accounts")));
        }
        if let Some(department) = &spec.department {
            self.name(department, || format!("{place}.department"));
            community.department = Some(department.clone());
        }
        if let Some(links) = &spec.links {
            self.links(links, &format!("{place}.links"));
            community.links = Arc::new(links.clone());
        }
        (self.mistakes.len() == before).then_some(community)
    }

    fn name(&mut self, name: &str, path: impl Fn() -> String) {
        if name.trim().is_empty() || name.len() > limits::NAME_BYTES {
            self.wrong(path(), shown(name), format!("a name of 1 to {} bytes is right", limits::NAME_BYTES));
        }
    }

    fn zone(&mut self, name: &str, path: &str) -> Option<(String, Arc<Offsets>)> {
        if let Some(known) = self.known.get(name) {
            return Some(known.clone());
        }
        match self.zones.get(name) {
            Ok(zone) => {
                let name_in_full = zone.iana_name().unwrap_or(name).to_owned();
                let known = (name_in_full, Arc::new(Offsets::of(&zone)));
                self.known.insert(name.to_owned(), known.clone());
                Some(known)
            }
            Err(_) => {
                // People often name the city alone.
                let likeness = |zone: &String| {
                    let city = zone.rsplit('/').next().unwrap_or(zone);
                    strsim::jaro_winkler(name, zone).max(strsim::jaro_winkler(name, city))
                };
                let zones = self.zones.available().map(|zone| zone.as_str().to_owned());
                let nearest = zones.max_by(|one, two| likeness(one).total_cmp(&likeness(two)));
                let hint = nearest.map(|nearest| format!("; did you mean {nearest}?")).unwrap_or_default();
                self.wrong(
                    path.to_owned(),
                    shown(name),
                    format!("an IANA time zone such as Asia/Jakarta is right{hint}"),
                );
                None
            }
        }
    }

    fn language(&mut self, tag: &str, path: &str) -> Language {
        let served = [Language::Indonesian, Language::English, Language::Javanese, Language::Sundanese];
        served.into_iter().find(|language| language.as_str() == tag).unwrap_or_else(|| {
            self.wrong(path.to_owned(), shown(tag), "id, en, jv or su is right".to_owned());
            Language::Indonesian
        })
    }

    fn business_hours(&mut self, typed: &[Vec<String>; 7], path: &str) -> [Vec<Range>; 7] {
        let before = self.mistakes.len();
        let mut hours: [Vec<Range>; 7] = Default::default();
        for ((ranges, typed), weekday) in hours.iter_mut().zip(typed).zip(WEEKDAYS) {
            if typed.len() > limits::RANGES {
                self.wrong(format!("{path}.{weekday}"), format!("{} ranges", typed.len()), at_most(limits::RANGES, ""));
                continue;
            }
            for (number, text) in typed.iter().enumerate() {
                match range(text) {
                    Some(range) => ranges.push(range),
                    None => self.wrong(
                        format!("{path}.{weekday}[{number}]"),
                        shown(text),
                        "a range such as 08:00-17:00, within one day and up to 24:00, is right".to_owned(),
                    ),
                }
            }
            ranges.sort();
            if let Some(pair) = ranges.windows(2).find(|pair| pair[1].start < pair[0].end) {
                let found = format!("{} and {}, which overlap", written(pair[0]), written(pair[1]));
                self.wrong(format!("{path}.{weekday}"), found, "ranges apart from each other are right".to_owned());
            }
        }
        if self.mistakes.len() > before {
            return hours;
        }
        let open = open_minutes(&hours);
        if open < limits::OPEN_MINUTES_MIN {
            self.wrong(
                path.to_owned(),
                format!("{open} minutes a week"),
                format!("at least {} are right: nothing would ever be due", limits::OPEN_MINUTES_MIN),
            );
        }
        hours
    }

    fn holidays(&mut self, typed: &[Holiday], path: &str) -> (Vec<Holiday>, Vec<i64>) {
        if typed.len() > limits::HOLIDAYS {
            self.wrong(path.to_owned(), format!("a list of {}", typed.len()), at_most(limits::HOLIDAYS, ""));
            return Default::default();
        }
        let mut by_day = BTreeMap::new();
        for (number, holiday) in typed.iter().enumerate() {
            let at = || format!("{path}[{number}].date");
            // Also jiff reads dates with times, of which only a part would count.
            let date = holiday.date.parse::<Date>().ok().filter(|date| date.to_string() == holiday.date);
            match date {
                None => self.wrong(at(), shown(&holiday.date), "a date such as 2026-12-25 is right".to_owned()),
                Some(date) => {
                    if by_day.insert(days_since_1970(date), holiday.clone()).is_some() {
                        self.wrong(at(), shown(&holiday.date), "each date once is right".to_owned());
                    }
                }
            }
            self.name(&holiday.name, || format!("{path}[{number}].name"));
        }
        (by_day.values().cloned().collect(), by_day.into_keys().collect())
    }

    fn brand_accounts(&mut self, typed: &[String], path: &str) -> BrandAccounts {
        if typed.len() > limits::BRAND_ACCOUNTS {
            self.wrong(path.to_owned(), format!("a list of {}", typed.len()), at_most(limits::BRAND_ACCOUNTS, ""));
        }
        for (number, account) in typed.iter().enumerate() {
            let bytes = account.strip_prefix('@').unwrap_or(account).len();
            if bytes == 0 || bytes > ID_BYTES {
                // What it is must not be shown.
                let right = format!("an author id, or @ and a handle, of 1 to {ID_BYTES} bytes is right");
                self.wrong(format!("{path}[{number}]"), format!("{bytes} bytes long"), right);
            }
        }
        BrandAccounts::new(typed.iter().map(String::as_str))
    }

    fn links(&mut self, links: &BTreeMap<String, String>, path: &str) {
        if links.len() > limits::LINKS {
            self.wrong(path.to_owned(), format!("a table of {}", links.len()), at_most(limits::LINKS, ""));
        }
        for (name, url) in links {
            self.name(name, || format!("a name in {path}"));
            let scheme = url.starts_with("https://") || url.starts_with("http://");
            if !scheme || url.len() > URL_BYTES || url.chars().any(char::is_whitespace) {
                let right = format!("a URL that begins with https:// or http://, at most {URL_BYTES} bytes, is right");
                self.wrong(format!("{path}.{name}"), shown(url), right);
            }
        }
    }
}

/// `HH:MM-HH:MM` as minutes of a day.
fn range(text: &str) -> Option<Range> {
    let minutes = |text: &str| -> Option<u16> {
        let (hours, minutes) = text.trim().split_once(':')?;
        let digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(hours) || !digits(minutes) {
            return None;
        }
        let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
        (minutes < 60 && hours * 60 + minutes <= 24 * 60).then_some(hours * 60 + minutes)
    };
    let (start, end) = text.split_once('-')?;
    let range = Range { start: minutes(start)?, end: minutes(end)? };
    (range.start < range.end).then_some(range)
}

fn written(range: Range) -> String {
    let Range { start, end } = range;
    format!("{:02}:{:02}-{:02}:{:02}", start / 60, start % 60, end / 60, end % 60)
}

fn days_since_1970(date: Date) -> i64 {
    jiff::tz::Offset::UTC
        .to_timestamp(date.to_datetime(jiff::civil::Time::midnight()))
        .map_or(0, |midnight| midnight.as_second().div_euclid(86_400))
}

fn at_most(most: usize, unit: &str) -> String {
    format!("at most {most}{unit} is right")
}

/// A value as it is shown: not all of a long one.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(60).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}
