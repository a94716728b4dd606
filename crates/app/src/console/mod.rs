//! What the demo shows while it runs.

mod plain;
mod terminal;

use std::time::Duration;

use anyhow::Result;
use record::{EpochMs, Label};

use self::terminal::TerminalView;

/// One community at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct CommunityRow {
    pub(crate) id: String,
    /// Interactions per simulated minute over the last five.
    pub(crate) per_minute: f64,
    /// Interactions of the last five minutes by label, in the order of [`Label::ALL`].
    pub(crate) labels: [i64; Label::ALL.len()],
    /// Earlier five-minute totals, the oldest first.
    pub(crate) trend: Vec<u64>,
}

impl CommunityRow {
    /// More complaints than all else, and not just a handful.
    pub(crate) fn is_in_crisis(&self) -> bool {
        let all: i64 = self.labels.iter().sum();
        let complaints = self.labels[Label::Complaint.index()];
        complaints >= 15 && complaints * 2 > all
    }
}

/// The whole at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    pub(crate) event_time: EpochMs,
    pub(crate) speed: f64,
    pub(crate) classified: u64,
    /// Classified per second of the wall clock, lately.
    pub(crate) per_second: f64,
    /// Shares of the classified, 0 to 1: decided by the deep tier, and left to the review queue.
    pub(crate) share_deep: f64,
    pub(crate) share_abstained: f64,
    /// Open items by queue.
    pub(crate) queues: Vec<(String, u64)>,
    pub(crate) dead_letters: u64,
    pub(crate) deduplicated: u64,
    pub(crate) late: u64,
    pub(crate) panes: u64,
    pub(crate) bootstrap: String,
    pub(crate) communities: Vec<CommunityRow>,
}

/// Where it is shown.
pub(crate) enum View {
    /// A terminal, redrawn.
    Terminal(Box<TerminalView>),
    /// Plain lines.
    Plain,
    /// Nowhere.
    Quiet,
}

impl View {
    /// Opens a view.
    pub(crate) fn open(terminal: bool) -> Result<View> {
        if terminal { Ok(View::Terminal(Box::new(TerminalView::open()?))) } else { Ok(View::Plain) }
    }

    /// Shows a moment.
    pub(crate) fn draw(&mut self, snapshot: &Snapshot) -> Result<()> {
        match self {
            View::Terminal(view) => view.draw(snapshot)?,
            View::Plain => eprintln!("{}", plain::line(snapshot)),
            View::Quiet => {}
        }
        Ok(())
    }

    /// How often it is worth drawing.
    pub(crate) fn interval(&self) -> Duration {
        match self {
            View::Terminal(_) => Duration::from_millis(250),
            View::Plain | View::Quiet => Duration::from_secs(2),
        }
    }

    /// True when the person at the keyboard has had enough.
    pub(crate) fn wants_quit(&mut self) -> Result<bool> {
        match self {
            View::Terminal(view) => view.wants_quit(),
            View::Plain | View::Quiet => Ok(false),
        }
    }
}

/// A time of day as people in Jakarta read it.
fn jakarta(time: EpochMs) -> String {
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(7));
    match jiff::Timestamp::from_millisecond(time) {
        Ok(time) => time.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S WIB").to_string(),
        Err(_) => String::new(),
    }
}
