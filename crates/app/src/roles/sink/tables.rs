//! What is written where: a column for each field of a record, and where it was.

use record::{Alert, CommunityMetrics, EpochMs, QueueItem, QueueStatus, Timing, decode_key, encode_key};

/// A table of the database that rows are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Table {
    Panes,
    Alerts,
    QueueItems,
}

impl Table {
    pub(super) const ALL: [Table; 3] = [Table::Panes, Table::Alerts, Table::QueueItems];

    /// The name, in the database and as a label.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Table::Panes => "panes",
            Table::Alerts => "alerts",
            Table::QueueItems => "queue_items",
        }
    }

    /// The columns that tell rows apart. They are the first ones of a key's cells.
    pub(super) const fn key(self) -> &'static [(&'static str, Kind)] {
        match self {
            Table::Panes => &[("community_id", Kind::Text), ("window_name", Kind::Text), ("window_end", Kind::Time)],
            Table::Alerts => &[("id", Kind::Text)],
            Table::QueueItems => &[("community_id", Kind::Text), ("kind", Kind::Text), ("id", Kind::Text)],
        }
    }

    /// All columns but those that say where the record was.
    pub(super) const fn columns(self) -> &'static [(&'static str, Kind)] {
        match self {
            Table::Panes => PANES,
            Table::Alerts => ALERTS,
            Table::QueueItems => QUEUE_ITEMS,
        }
    }

    /// The key that a record has: as the map of a batch has it, and as cells. `None` if it is no key of this table.
    pub(super) fn key_of(self, bytes: Option<&[u8]>) -> Option<(String, Vec<Cell>)> {
        let key = std::str::from_utf8(bytes?).ok()?;
        if self == Table::Alerts {
            return Some((key.to_owned(), vec![text(key)]));
        }
        let parts = decode_key(key)?;
        let columns = self.key();
        if parts.len() != columns.len() {
            return None;
        }
        let cell = |(part, (_, kind)): (&String, &(&str, Kind))| match kind {
            Kind::Time => Some(time(part.parse::<EpochMs>().ok()?)),
            _ => Some(text(part.as_str())),
        };
        let cells = parts.iter().zip(columns).map(cell).collect::<Option<Vec<Cell>>>()?;
        Some((encode_key(&parts.iter().map(String::as_str).collect::<Vec<_>>()), cells))
    }

    /// What is deleted when it is as old as that: a condition on times before `$1`.
    pub(super) const fn is_over(self) -> &'static str {
        match self {
            Table::Panes => "window_end < $1",
            Table::Alerts => "resolved_at < $1",
            Table::QueueItems => "updated_at < $1 AND status IN ('answered', 'acknowledged', 'retracted', 'expired')",
        }
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Int,
    Real,
    Flag,
    Time,
    /// Of texts.
    List,
}

impl Kind {
    /// The type of an array of such values, as they are sent: a list is sent as the text of a JSON array.
    pub(super) const fn array(self) -> &'static str {
        match self {
            Kind::Text | Kind::List => "text[]",
            Kind::Int => "bigint[]",
            Kind::Real => "double precision[]",
            Kind::Flag => "boolean[]",
            Kind::Time => "timestamptz[]",
        }
    }
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Text(Option<String>),
    Int(Option<i64>),
    Real(Option<f64>),
    Flag(Option<bool>),
    Time(Option<EpochMs>),
    List(Vec<String>),
}

/// A row's cells: its key and what is in its columns.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// The key that its record has, if it is of this row.
    pub(super) key: String,
    pub(super) cells: Vec<Cell>,
    /// When it was over, if it is: after the retention from then on it is not kept.
    pub(super) over_at: Option<EpochMs>,
}

impl Row {
    /// The window of a pane.
    pub(super) fn window(&self) -> Option<&str> {
        match self.cells.get(1) {
            Some(Cell::Text(name)) => name.as_deref(),
            _ => None,
        }
    }
}

/// The row of a pane.
pub(super) fn pane(row: &CommunityMetrics<'_>) -> Row {
    Row {
        key: encode_key(&[&row.community_id, &row.window, &row.window_end.to_string()]),
        cells: pane_cells(row),
        over_at: Some(row.window_end),
    }
}

/// The row of an alert.
pub(super) fn alert(row: &Alert<'_>) -> Row {
    Row { key: row.id.to_string(), cells: alert_cells(row), over_at: row.resolved_at }
}

/// The row of a queue item, with or without what was said.
pub(super) fn queue_item(row: &QueueItem<'_>, with_text: bool) -> Row {
    use QueueStatus::{Acknowledged, Answered, Expired, Retracted};
    let mut cells = queue_item_cells(row);
    if !with_text && let Some(at) = QUEUE_ITEMS.iter().position(|(name, _)| *name == "text") {
        cells[at] = Cell::Text(None);
    }
    let is_over = matches!(row.status, Answered | Acknowledged | Retracted | Expired);
    Row {
        key: encode_key(&[&row.community_id, row.kind.as_str(), &row.id]),
        cells,
        over_at: is_over.then_some(row.updated_at),
    }
}

/// The columns of a table, by the names of the schema's fields, and how a record gives their cells.
macro_rules! columns {
    ($columns:ident, $cells:ident($row:ident: $record:ident), $($name:literal $kind:ident = $cell:expr;)*) => {
        const $columns: &[(&str, Kind)] = &[$(($name, Kind::$kind)),*];

        fn $cells($row: &$record<'_>) -> Vec<Cell> {
            vec![$($cell),*]
        }
    };
}

columns! { PANES, pane_cells(row: CommunityMetrics),
    "community_id" Text = text(&*row.community_id);
    "window_name" Text = text(&*row.window);
    "window_start" Time = time(row.window_start);
    "window_end" Time = time(row.window_end);
    "revision" Int = int(i64::from(row.revision));
    "timing" Text = text(timing(row.timing));
    "interactions" Int = int(row.interactions);
    "complaints" Int = int(row.complaints);
    "tips" Int = int(row.tips);
    "experiences" Int = int(row.experiences);
    "praises" Int = int(row.praises);
    "others" Int = int(row.others);
    "abstained" Int = int(row.abstained);
    "member_to_brand" Int = int(row.member_to_brand);
    "brand_to_member" Int = int(row.brand_to_member);
    "member_to_member" Int = int(row.member_to_member);
    "brand_to_all" Int = int(row.brand_to_all);
    "member_to_all" Int = int(row.member_to_all);
    "direction_unknown" Int = int(row.direction_unknown);
    "posts" Int = int(row.posts);
    "comments" Int = int(row.comments);
    "with_text" Int = int(row.with_text);
    "with_photo" Int = int(row.with_photo);
    "with_video" Int = int(row.with_video);
    "with_article" Int = int(row.with_article);
    "with_unknown_media" Int = int(row.with_unknown_media);
    "late" Int = int(row.late);
    "missed" Int = int(row.missed);
    "watermark" Time = time(row.watermark);
    "emitted_at" Time = time(row.emitted_at);
    "distinct_members" Int = int(row.distinct_members);
    "new_members" Int = int(row.new_members);
    "returning_members" Int = int(row.returning_members);
    "members_approximate" Flag = flag(row.members_approximate);
    "interactions_per_member" Real = real(row.interactions_per_member);
    "first_responses" Int = int(row.first_responses);
    "first_response_ms_p50" Int = int(row.first_response_ms_p50);
    "first_response_ms_p90" Int = int(row.first_response_ms_p90);
    "open_complaints" Int = int(row.open_complaints);
    "oldest_open_complaint_ms" Int = int(row.oldest_open_complaint_ms);
    "brand_contact_regularity" Real = real(row.brand_contact_regularity);
    "harmony" Real = real(row.harmony);
    "dead_lettered" Int = int(row.dead_lettered);
    "lag" Int = int(row.lag);
    "completeness" Real = real(row.completeness);
}

// `window` is a word of SQL's own.
columns! { ALERTS, alert_cells(row: Alert),
    "id" Text = text(&*row.id);
    "rule" Text = text(&*row.rule);
    "community_id" Text = text(&*row.community_id);
    "state" Text = text(&*row.state);
    "severity" Text = text(&*row.severity);
    "started_at" Time = time(row.started_at);
    "updated_at" Time = time(row.updated_at);
    "resolved_at" Time = time(row.resolved_at);
    "window_name" Text = text(&*row.window);
    "observed" Real = real(row.observed);
    "expected" Real = real(row.expected);
    "score" Real = real(row.score);
    "distinct_authors" Int = int(row.distinct_authors);
    "near_duplicate_share" Real = real(row.near_duplicate_share);
    "coordinated" Flag = flag(row.coordinated);
    "samples" List = list(&row.samples);
    "summary_id" Text = text(&*row.summary_id);
    "summary_en" Text = text(&*row.summary_en);
    "links" List = list(&row.links);
    "inhibited_by" Text = text(row.inhibited_by.as_deref());
    "acknowledged_by" Text = text(row.acknowledged_by.as_deref());
    "fired_at" Time = time(row.fired_at);
    "acknowledged_at" Time = time(row.acknowledged_at);
    "silenced_by" Text = text(row.silenced_by.as_deref());
    "silenced_until" Time = time(row.silenced_until);
    "silence_reason" Text = text(row.silence_reason.as_deref());
    "new_author_share" Real = real(row.new_author_share);
    "transition" Int = int(i64::from(row.transition));
}

columns! { QUEUE_ITEMS, queue_item_cells(row: QueueItem),
    "community_id" Text = text(&*row.community_id);
    "kind" Text = text(row.kind.as_str());
    "id" Text = text(&*row.id);
    "queue" Text = text(&*row.queue);
    "department" Text = text(&*row.department);
    "label" Text = text(row.label.as_str());
    "confidence" Real = real(f64::from(row.confidence));
    "reason" Text = text(&*row.reason);
    "priority" Int = int(i64::from(row.priority));
    "priority_reasons" List = list(&row.priority_reasons);
    "due_at" Time = time(row.due_at);
    "status" Text = text(row.status.as_str());
    "claimed_by" Text = text(row.claimed_by.as_deref());
    "claim_until" Time = time(row.claim_until);
    "answered_at" Time = time(row.answered_at);
    "text" Text = text(row.text.as_deref());
    "language" Text = text(row.language.as_str());
    "mixed" Flag = flag(row.mixed);
    "url" Text = text(row.url.as_deref());
    "thread_id" Text = text(row.thread_id.as_deref());
    "created_at" Time = time(row.created_at);
    "updated_at" Time = time(row.updated_at);
    "origin_topic" Text = text(&*row.origin_topic);
    "origin_partition" Int = int(i64::from(row.origin_partition));
    "origin_offset" Int = int(row.origin_offset);
    "acknowledged_by" Text = text(row.acknowledged_by.as_deref());
    "acknowledged_at" Time = time(row.acknowledged_at);
    "breached_at" Time = time(row.breached_at);
    "reopened" Int = int(i64::from(row.reopened));
    "waiting_since" Time = time(row.waiting_since.unwrap_or(row.created_at));
}

/// PostgreSQL's texts hold no NUL.
fn text<'a>(text: impl Into<Option<&'a str>>) -> Cell {
    Cell::Text(text.into().map(without_nul))
}

fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn int(number: impl Into<Option<i64>>) -> Cell {
    Cell::Int(number.into())
}

fn real(number: impl Into<Option<f64>>) -> Cell {
    Cell::Real(number.into())
}

fn flag(flag: impl Into<Option<bool>>) -> Cell {
    Cell::Flag(flag.into())
}

/// From the year 1 to the year 9999, as JSON and most drivers have it; what lies beyond becomes the nearest.
fn time(time: impl Into<Option<EpochMs>>) -> Cell {
    Cell::Time(time.into().map(|time| time.clamp(EARLIEST_MS, LATEST_MS)))
}

const EARLIEST_MS: EpochMs = -62_135_596_800_000;
const LATEST_MS: EpochMs = 253_402_300_799_999;

fn list<T: AsRef<str>>(texts: &[T]) -> Cell {
    Cell::List(texts.iter().map(|text| without_nul(text.as_ref())).collect())
}

const fn timing(timing: Timing) -> &'static str {
    match timing {
        Timing::Early => "early",
        Timing::OnTime => "on_time",
        Timing::Late => "late",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use wire::SchemaName;

    use super::*;

    #[test]
    fn every_field_of_a_record_has_a_column_and_the_migrations_make_it() {
        let sql = crate::roles::sink::migrations::MIGRATIONS.iter().map(|migration| migration.sql).collect::<String>();
        for (table, schema) in [
            (Table::Panes, SchemaName::CommunityMetrics),
            (Table::Alerts, SchemaName::Alert),
            (Table::QueueItems, SchemaName::QueueItem),
        ] {
            let parsed: serde_json::Value = serde_json::from_str(schema.text()).unwrap();
            let fields = parsed["fields"].as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap());
            let fields: Vec<&str> = fields.map(|name| if name == "window" { "window_name" } else { name }).collect();
            let columns: Vec<&str> = table.columns().iter().map(|(name, _)| *name).collect();
            assert_eq!(columns, fields, "{table:?}");
            let made = sql.split(&format!("CREATE TABLE {} (", table.as_str())).nth(1).unwrap();
            let made = made.split("PRIMARY KEY").next().unwrap();
            let made: BTreeSet<&str> = made.lines().filter_map(|line| line.split_whitespace().next()).collect();
            let missing: Vec<&&str> = columns.iter().filter(|name| !made.contains(**name)).collect();
            assert!(missing.is_empty(), "{table:?}: {missing:?}");
        }
    }

    #[test]
    fn a_key_is_read_as_its_row_has_it() {
        let (key, cells) = Table::Panes.key_of(Some(b"warga%20kota|1h|3600000")).unwrap();
        assert_eq!(key, "warga%20kota|1h|3600000");
        assert_eq!(cells, [text("warga kota"), text("1h"), time(3_600_000)]);
        assert_eq!(Table::Alerts.key_of(Some(b"spike|a%7Cb|7")).unwrap().1, [text("spike|a%7Cb|7")]);
        for (table, bytes) in [
            (Table::Panes, &b"a|1h|soon"[..]),
            (Table::Panes, b"a|1h"),
            (Table::QueueItems, b"a|post|1|2"),
            (Table::QueueItems, b"\xff|post|1"),
        ] {
            assert_eq!(table.key_of(Some(bytes)), None);
        }
        assert_eq!(Table::Alerts.key_of(None), None);
    }

    #[test]
    fn what_postgresql_does_not_hold_is_changed() {
        assert_eq!(text("a\0b"), Cell::Text(Some("a\u{fffd}b".to_owned())));
        assert_eq!(list(&["\0"]), Cell::List(vec!["\u{fffd}".to_owned()]));
        assert_eq!((time(i64::MAX), time(i64::MIN)), (Cell::Time(Some(LATEST_MS)), Cell::Time(Some(EARLIEST_MS))));
    }
}
