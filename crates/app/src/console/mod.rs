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

/// One alert, as its rows have it so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct AlertRow {
    pub(crate) rule: String,
    pub(crate) community_id: String,
    pub(crate) severity: String,
    /// Every state that it had, in order.
    pub(crate) states: Vec<String>,
    pub(crate) summary: String,
    pub(crate) started_at: EpochMs,
}

impl AlertRow {
    /// Takes in a row of it.
    pub(crate) fn take(&mut self, alert: &record::Alert<'_>) {
        self.rule = alert.rule.to_string();
        self.community_id = alert.community_id.to_string();
        self.severity = alert.severity.to_string();
        self.summary = alert.summary_en.to_string();
        self.started_at = alert.started_at;
        if self.states.last().is_none_or(|last| *last != alert.state) {
            self.states.push(alert.state.to_string());
        }
    }

    /// The state that it has.
    pub(crate) fn state(&self) -> &str {
        self.states.last().map_or("", String::as_str)
    }

    /// Whether it wakes somebody now.
    pub(crate) fn pages(&self) -> bool {
        matches!(self.state(), "firing" | "acknowledged") && self.severity != "info"
    }

    /// What is looked at first: what pages, then what did, then the rest that is on, then what is over.
    pub(crate) fn rank(&self) -> u8 {
        match (self.severity.as_str(), self.state()) {
            ("info", "resolved") => 4,
            ("info", "pending") => 3,
            ("info", _) => 2,
            _ => u8::from(!self.pages()),
        }
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "rule": self.rule,
            "community_id": self.community_id,
            "severity": self.severity,
            "started_at": self.started_at,
            "states": self.states.join(", "),
            "summary": self.summary,
        })
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
    /// What is looked at first, first; of those the newest.
    pub(crate) alerts: Vec<AlertRow>,
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
