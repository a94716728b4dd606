//! The community registry: what is known of each community beyond its interactions.

mod brand;
mod calendar;
mod spec;
mod zone;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::tz::{Offset, TimeZone};
use record::{Author, EpochMs, Interaction, Language, Role};

pub use self::brand::BrandAccounts;
use self::calendar::Calendar;
pub use self::spec::{CommunitySpec, Mistake, WEEKDAYS, limits as spec_limits};
use crate::{Live, Sla};

/// A day on which nobody answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holiday {
    /// Its date, year-month-day.
    pub date: String,
    /// What it is.
    pub name: String,
}

/// What is known of one community. What many have in common is there once.
#[derive(Debug, Clone, PartialEq)]
pub struct Community {
    /// Its id; empty for the one that stands for those that are not listed.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its time zone, by its IANA name.
    pub time_zone: String,
    /// The language in which it is written of.
    pub language: Language,
    /// Business hours per weekday from Monday on, as `HH:MM-HH:MM`.
    pub business_hours: Arc<[Vec<String>; 7]>,
    /// Its holidays, by date.
    pub holidays: Arc<[Holiday]>,
    /// Who speaks for the brand there. Raw ids: they are never shown.
    pub brand_accounts: Arc<BrandAccounts>,
    /// The department that answers there, whatever the queue; `None`: the queue's.
    pub department: Option<String>,
    /// Links by name, for those who respond there.
    pub links: Arc<BTreeMap<String, String>>,
    calendar: Calendar,
}

impl Community {
    /// The hour of the local week, 0 to 167; 0 is Monday from 00:00 to 01:00.
    pub fn hour_of_week(&self, at: EpochMs) -> usize {
        self.calendar.hour_of_week(at)
    }

    /// The local time around an instant: its offset, which is what times near it are told in.
    pub fn zone_at(&self, at: EpochMs) -> TimeZone {
        let seconds = i32::try_from(self.calendar.offset_ms(at) / 1_000).unwrap_or(0);
        TimeZone::fixed(Offset::from_seconds(seconds).unwrap_or(Offset::UTC))
    }

    /// Whether an instant is within business hours and no holiday.
    pub fn is_open(&self, at: EpochMs) -> bool {
        self.calendar.is_open(at)
    }

    /// Minutes of business hours in a week without holidays.
    pub fn open_minutes_a_week(&self) -> u32 {
        self.calendar.open_minutes_a_week()
    }

    /// The first instant by which a service level has passed since `created_at`: all time, or what was open only.
    ///
    /// It grows with both arguments, and a service level may be counted in parts, one after the other.
    pub fn due_at(&self, created_at: EpochMs, sla: Sla) -> EpochMs {
        self.calendar.due_at(created_at, sla)
    }

    /// Whether an author speaks for the brand here.
    pub fn is_brand(&self, author: &Author<'_>) -> bool {
        self.brand_accounts.holds(author)
    }
}

/// The registry: communities by id, and what holds for those that are not listed.
///
/// ```
/// use rules::{Communities, CommunitySpec, Sla, SlaClock};
/// let mut spec = CommunitySpec { id: "warga-depok".to_owned(), ..CommunitySpec::default() };
/// spec.business_hours = Some(std::array::from_fn(|day| if day < 5 { vec!["08:00-17:00".to_owned()] } else { vec![] }));
/// let communities = Communities::new(&CommunitySpec::default(), &[spec]).unwrap();
/// // Friday 2026-11-27 16:00 in Jakarta: an hour is left of the day, and the next is Monday.
/// let created_at = 1_795_770_000_000;
/// let two_hours = Sla::new(120, SlaClock::Business).unwrap();
/// assert_eq!(communities.hour_of_week("warga-depok", created_at), 4 * 24 + 16);
/// assert_eq!(communities.due_at("warga-depok", created_at, two_hours) - created_at, (2 * 24 + 17) * 3_600_000);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Communities {
    default: Community,
    by_id: HashMap<String, Community>,
    has_brand_accounts: bool,
}

impl Communities {
    /// The time zone where nothing is said.
    pub const TIME_ZONE: &str = "Asia/Jakarta";
    /// The business hours of Monday to Friday where nothing is said; the weekend is closed.
    pub const BUSINESS_HOURS: &str = "08:00-17:00";

    /// Checks a registry. `default` holds for communities that are not listed, and for what a listed one does not say; what
    /// it does not say itself is [`Communities::TIME_ZONE`], [`Communities::BUSINESS_HOURS`], Indonesian, and nothing.
    ///
    /// # Errors
    /// Every mistake, with its place, what is there and what would be right.
    pub fn new(default: &CommunitySpec, specs: &[CommunitySpec]) -> Result<Communities, Vec<Mistake>> {
        spec::check(default, specs)
    }

    /// The registry that lists nobody.
    pub fn standard() -> Communities {
        Communities::new(&CommunitySpec::default(), &[])
            .unwrap_or_else(|_| unreachable!("the registry without communities is valid"))
    }

    /// The community of this id, or what stands for one that is not listed.
    pub fn get(&self, id: &str) -> &Community {
        self.by_id.get(id).unwrap_or(&self.default)
    }

    /// The community of this id, if it is listed.
    pub fn listed(&self, id: &str) -> Option<&Community> {
        self.by_id.get(id)
    }

    /// What holds for communities that are not listed.
    pub fn default_community(&self) -> &Community {
        &self.default
    }

    /// Those that are listed, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Community> {
        let mut communities: Vec<&Community> = self.by_id.values().collect();
        communities.sort_by(|one, two| one.id.cmp(&two.id));
        communities.into_iter()
    }

    /// How many are listed.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// True if none is listed.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// [`Community::hour_of_week`] of the community of this id.
    pub fn hour_of_week(&self, community_id: &str, at: EpochMs) -> usize {
        self.get(community_id).hour_of_week(at)
    }

    /// [`Community::due_at`] of the community of this id.
    pub fn due_at(&self, community_id: &str, created_at: EpochMs, sla: Sla) -> EpochMs {
        self.get(community_id).due_at(created_at, sla)
    }

    /// Makes those the brand whom the registry names so, among the author, the post's and the parent's; what a record says
    /// of everybody else stands. Allocates nothing.
    pub fn name_the_brand(&self, interaction: &mut Interaction<'_>) {
        if !self.has_brand_accounts {
            return;
        }
        let community = self.by_id.get(&*interaction.community_id).unwrap_or(&self.default);
        for author in [&mut interaction.author, &mut interaction.post_author, &mut interaction.parent_author] {
            if let Some(author) = author
                && community.is_brand(author)
            {
                author.role = Role::Brand;
            }
        }
    }
}

/// The registry that is in use.
pub type LiveCommunities = Live<Communities>;

impl Default for LiveCommunities {
    fn default() -> LiveCommunities {
        Live::new(Communities::standard())
    }
}
