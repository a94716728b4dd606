//! A community as the registry's topic carries it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A community of the registry, or what holds where nothing is said. Field for field `schemas/Community.avsc`, where each is
/// documented; nothing is checked yet. `None` is what is not said.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct CommunityEntry {
    pub id: String,
    pub name: Option<String>,
    pub time_zone: Option<String>,
    pub language: Option<String>,
    pub business_hours: Option<BusinessHours>,
    pub holidays: Option<Vec<HolidayEntry>>,
    pub brand_accounts: Option<Vec<String>>,
    pub department: Option<String>,
    pub links: Option<BTreeMap<String, String>>,
}

/// The ranges of each day as `HH:MM-HH:MM`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct BusinessHours {
    pub monday: Vec<String>,
    pub tuesday: Vec<String>,
    pub wednesday: Vec<String>,
    pub thursday: Vec<String>,
    pub friday: Vec<String>,
    pub saturday: Vec<String>,
    pub sunday: Vec<String>,
}

/// A day on which nobody answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct HolidayEntry {
    pub date: String,
    pub name: String,
}

// By hand, so that accounts are not shown.
impl fmt::Debug for CommunityEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommunityEntry").field("id", &self.id).finish_non_exhaustive()
    }
}
