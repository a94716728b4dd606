//! A community as it is typed, and as the registry's topic carries it.

use record::{BusinessHours, CommunityEntry, HolidayEntry, encode_key};
use rules::{CommunitySpec, Holiday};

/// The key of the default. No community has it: in an id the asterisk is percent-encoded.
pub(crate) const DEFAULT_KEY: &str = "*";

/// The key of a community; of the default, whose id is empty, its own.
pub(crate) fn key_of(id: &str) -> String {
    if id.is_empty() { DEFAULT_KEY.to_owned() } else { encode_key(&[id]) }
}

/// What a record says, yet to be checked.
pub(super) fn spec_of(entry: CommunityEntry) -> CommunitySpec {
    let holiday = |HolidayEntry { date, name }| Holiday { date, name };
    CommunitySpec {
        id: entry.id,
        name: entry.name,
        time_zone: entry.time_zone,
        language: entry.language,
        business_hours: entry.business_hours.map(|hours| {
            let BusinessHours { monday, tuesday, wednesday, thursday, friday, saturday, sunday } = hours;
            [monday, tuesday, wednesday, thursday, friday, saturday, sunday]
        }),
        holidays: entry.holidays.map(|holidays| holidays.into_iter().map(holiday).collect()),
        brand_accounts: entry.brand_accounts,
        department: entry.department,
        links: entry.links,
    }
}

/// A community as a record says it.
pub(crate) fn entry_of(spec: &CommunitySpec) -> CommunityEntry {
    let CommunitySpec { id, name, time_zone, language, business_hours, holidays, brand_accounts, department, links } =
        spec.clone();
    let entry = |Holiday { date, name }| HolidayEntry { date, name };
    CommunityEntry {
        id,
        name,
        time_zone,
        language,
        business_hours: business_hours.map(|[monday, tuesday, wednesday, thursday, friday, saturday, sunday]| {
            BusinessHours { monday, tuesday, wednesday, thursday, friday, saturday, sunday }
        }),
        holidays: holidays.map(|holidays| holidays.into_iter().map(entry).collect()),
        brand_accounts,
        department,
        links,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_community_comes_back_as_it_was_typed() {
        let text = include_str!("../../../../deploy/communities.example.toml");
        let typed = crate::communities::file::parse(text, false).unwrap();
        assert_eq!(typed.communities.len(), 2);
        for spec in typed.communities.iter().chain([&typed.default]) {
            assert_eq!(spec_of(entry_of(spec)), *spec);
        }
        assert!(entry_of(&typed.default).business_hours.unwrap().saturday.is_empty());
        assert_eq!(key_of(&typed.communities[0].id), "warga-listrik-depok");
    }

    #[test]
    fn no_community_has_the_key_of_the_default() {
        assert_eq!((key_of(""), key_of("*"), key_of("a b")), ("*".into(), "%2A".into(), "a%20b".into()));
    }
}
