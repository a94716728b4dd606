//! A service level: how soon an answer is due, and by which clock.

/// Which time counts towards a service level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SlaClock {
    /// All of it.
    #[default]
    Always,
    /// The business hours of the community only, without its holidays.
    Business,
}

impl SlaClock {
    /// Its name in a configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            SlaClock::Always => "always",
            SlaClock::Business => "business",
        }
    }
}

/// A service level.
///
/// ```
/// use rules::{Sla, SlaClock};
/// assert_eq!(Sla::new(240, SlaClock::Business).unwrap().minutes(), 240);
/// assert_eq!(Sla::new(0, SlaClock::Always), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sla {
    minutes: u32,
    clock: SlaClock,
}

impl Sla {
    /// The longest service level, in minutes: 30 days of counted time. It bounds what a deadline may cost to find.
    pub const MINUTES_MAX: u32 = 30 * 24 * 60;

    /// A service level of 1 to [`Sla::MINUTES_MAX`] minutes; `None` for any other number.
    pub const fn new(minutes: u32, clock: SlaClock) -> Option<Sla> {
        if minutes == 0 || minutes > Sla::MINUTES_MAX { None } else { Some(Sla { minutes, clock }) }
    }

    /// How long, in minutes of counted time.
    pub const fn minutes(self) -> u32 {
        self.minutes
    }

    /// Which time counts.
    pub const fn clock(self) -> SlaClock {
        self.clock
    }
}
