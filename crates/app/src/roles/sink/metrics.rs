//! What is measured of the sink.

use kafka_io::subscription::Place;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use super::database::{Trouble, TroubleKind};
use super::tables::Table;
use super::write::Written;
use crate::telemetry::Registry;

const WRITE_BUCKETS: [f64; 12] = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// What may become of a record, as a label.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    Written,
    Deleted,
    /// What is in the table is as new.
    Unchanged,
    /// It cannot be read, its key is of another row, or the database does not take it.
    Refused,
    /// It was over longer ago than rows are kept.
    Expired,
    /// Its window is not one of `sink.windows`.
    LeftOut,
}

impl Outcome {
    const ALL: [Outcome; 6] =
        [Outcome::Written, Outcome::Deleted, Outcome::Unchanged, Outcome::Refused, Outcome::Expired, Outcome::LeftOut];

    const fn as_str(self) -> &'static str {
        match self {
            Outcome::Written => "written",
            Outcome::Deleted => "deleted",
            Outcome::Unchanged => "unchanged",
            Outcome::Refused => "refused",
            Outcome::Expired => "expired",
            Outcome::LeftOut => "left_out",
        }
    }
}

/// Every metric of the role.
#[derive(Debug, Clone)]
pub(crate) struct SinkMetrics {
    rows: IntCounterVec,
    pub(super) write_seconds: Histogram,
    errors: IntCounterVec,
    lag: IntGaugeVec,
    pub(super) lost: IntCounter,
    retired: IntCounterVec,
    pub(super) connected: IntGauge,
}

impl SinkMetrics {
    /// With nothing counted.
    pub(crate) fn new(registry: &Registry) -> SinkMetrics {
        let counter =
            |name: &str, help: &str, labels: &[&str]| registry.add(IntCounterVec::new(Opts::new(name, help), labels));
        let metrics = SinkMetrics {
            rows: counter(
                "sink_rows_total",
                "What became of records, by table; of those of one transaction with the same key the last counts.",
                &["table", "outcome"],
            ),
            write_seconds: registry.add(Histogram::with_opts(
                HistogramOpts::new("sink_write_seconds", "How long a transaction took that was committed.")
                    .buckets(WRITE_BUCKETS.to_vec()),
            )),
            errors: counter("sink_errors_total", "Times that the database did not do what was asked.", &["reason"]),
            lag: registry.add(IntGaugeVec::new(
                Opts::new("sink_lag_records", "Records that are not in the database yet, markers included."),
                &["topic", "partition"],
            )),
            lost: registry
                .add(IntCounter::new("sink_lost_records_total", "Records that were gone before they were read.")),
            retired: counter("sink_retired_rows_total", "Rows deleted for their age.", &["table"]),
            connected: registry.add(IntGauge::new("sink_connected", "1 while there is a connection to the database.")),
        };
        for table in Table::ALL.map(Table::as_str) {
            for outcome in Outcome::ALL {
                metrics.rows.with_label_values(&[table, outcome.as_str()]).inc_by(0);
            }
            metrics.retired.with_label_values(&[table]).inc_by(0);
        }
        for kind in TroubleKind::ALL {
            metrics.errors.with_label_values(&[kind.as_str()]).inc_by(0);
        }
        metrics
    }

    pub(super) fn count(&self, table: Table, outcome: Outcome, rows: u64) {
        self.rows.with_label_values(&[table.as_str(), outcome.as_str()]).inc_by(rows);
    }

    pub(super) fn count_written(&self, written: &Written) {
        for (&table, outcomes) in written {
            self.count(table, Outcome::Written, outcomes.written);
            self.count(table, Outcome::Deleted, outcomes.deleted);
            self.count(table, Outcome::Unchanged, outcomes.unchanged);
            self.count(table, Outcome::Refused, outcomes.refused);
        }
    }

    pub(super) fn count_retired(&self, retired: [u64; 3]) {
        for (table, rows) in Table::ALL.into_iter().zip(retired) {
            self.retired.with_label_values(&[table.as_str()]).inc_by(rows);
        }
    }

    pub(super) fn count_error(&self, trouble: &Trouble) {
        self.errors.with_label_values(&[trouble.kind.as_str()]).inc();
    }

    pub(super) fn show_lag(&self, Place { topic, partition }: &Place, lag: i64) {
        self.lag.with_label_values(&[topic, &partition.to_string()]).set(lag);
    }

    pub(super) fn forget_lag(&self, Place { topic, partition }: &Place) {
        // Only one that is not there cannot be removed.
        let _ = self.lag.remove_label_values(&[topic, &partition.to_string()]);
    }
}
