//! The metric of how many records are still to be read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use prometheus::{IntGaugeVec, Opts};
use record::StageName;

use super::Registry;
use super::metrics::OwnedPartitions;

/// By input partition, for as long as it is this process's to read: also while nothing of it is in memory.
#[derive(Debug, Clone)]
pub(super) struct LagMetric {
    gauge: IntGaugeVec,
    /// Which are shown, by stage.
    shown: Arc<Mutex<HashMap<StageName, OwnedPartitions>>>,
}

impl LagMetric {
    pub(super) fn new(registry: &Registry) -> LagMetric {
        let opts = Opts::new("lag_records", "Records of an input partition not read yet.");
        LagMetric {
            gauge: registry.add(IntGaugeVec::new(opts, &["stage", "topic", "partition"])),
            shown: Arc::default(),
        }
    }

    /// Shows these of a stage, and no others: what another replica reads now is that one's to tell.
    pub(super) fn show<'a>(&self, stage: StageName, lag: impl Iterator<Item = (&'a str, i32, i64)>) {
        let Ok(mut shown) = self.shown.lock() else { return };
        let mut now = OwnedPartitions::new();
        for (topic, partition, records) in lag {
            self.gauge.with_label_values(&[stage.as_str(), topic, &partition.to_string()]).set(records);
            now.insert((topic.to_owned(), partition));
        }
        let before = shown.insert(stage, now).unwrap_or_default();
        for (topic, partition) in before.difference(&shown[&stage]) {
            // It was set, so it is there.
            let _ = self.gauge.remove_label_values(&[stage.as_str(), topic, &partition.to_string()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_told_of_what_is_read_here_and_of_nothing_else() {
        let registry = Registry::new();
        let metric = LagMetric::new(&registry);
        let shown = |stage, lag: &[(&'static str, i32, i64)]| {
            metric.show(stage, lag.iter().copied());
            let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
            let lines = text.lines().filter(|line| line.starts_with("sinyal_lag_records{"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let of = |stage, partition: i32, lag: i64| {
            format!("sinyal_lag_records{{partition=\"{partition}\",stage=\"{stage}\",topic=\"posts\"}} {lag}")
        };
        let both = [of("classify", 0, 1_356), of("classify", 2, 17)];
        assert_eq!(shown(StageName::Classify, &[("posts", 0, 1_356), ("posts", 2, 17)]), both);
        assert_eq!(shown(StageName::Classify, &[("posts", 2, 9)]), [of("classify", 2, 9)]);
        // What one stage reads is nothing to the other.
        assert_eq!(shown(StageName::Community, &[("posts", 1, 5)]), [of("community", 1, 5), of("classify", 2, 9)]);
        assert_eq!(shown(StageName::Classify, &[]), [of("community", 1, 5)]);
    }
}
