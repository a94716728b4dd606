//! A condition begins once it has held for a while without a break, and ends once it has not for a while.

use record::EpochMs;

use super::{Finding, Settings};

#[derive(Debug, Default)]
pub(super) struct Hysteresis {
    /// When it was first found, without a break since.
    found_at: Option<EpochMs>,
    /// When it was first not found, without a break since.
    well_at: Option<EpochMs>,
    is_told: bool,
    last: Option<Finding>,
}

impl Hysteresis {
    /// What is to be told now, in the last words that were found for it and with the earliest time that was when it began.
    pub(super) fn update(&mut self, now: EpochMs, found: Option<Finding>, settings: &Settings) -> Option<Finding> {
        if let Some(found) = found {
            self.well_at = None;
            let began = *self.found_at.get_or_insert(now);
            // Once told it stays the same: whoever is told knows by it that it is the same.
            let since = match &self.last {
                Some(last) if self.is_told => last.since,
                Some(last) => last.since.min(found.since),
                None => found.since,
            };
            self.is_told |= now - began >= settings.begin_ms;
            self.last = Some(Finding { since, ..found });
        } else {
            let well_at = *self.well_at.get_or_insert(now);
            if !self.is_told || now - well_at >= settings.end_ms {
                *self = Hysteresis { well_at: Some(well_at), ..Hysteresis::default() };
            }
        }
        if self.is_told { self.last.clone() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;

    #[test]
    fn begins_late_ends_late_and_keeps_when_it_began() {
        let settings = Settings { begin_ms: 30, end_ms: 60, ..settings() };
        let mut told = Hysteresis::default();
        let mut at = |now: EpochMs, since: Option<EpochMs>| {
            let found = since.map(|since| Finding { since, en: String::new(), id: String::new() });
            told.update(now, found, &settings).map(|told| told.since)
        };
        assert_eq!(at(0, Some(-5)), None);
        assert_eq!(at(20, None), None, "a break: it begins anew");
        assert_eq!(at(25, Some(25)), None);
        assert_eq!(at(54, Some(54)), None);
        assert_eq!(at(55, Some(55)), Some(25));
        assert_eq!(at(58, Some(3)), Some(25), "told once");
        assert_eq!(at(60, None), Some(25));
        assert_eq!(at(100, Some(100)), Some(25), "it was not over");
        assert_eq!(at(110, None), Some(25));
        assert_eq!(at(169, None), Some(25));
        assert_eq!(at(170, None), None);
        assert_eq!(at(180, Some(180)), None);
        assert_eq!(at(210, Some(210)), Some(180));
    }
}
