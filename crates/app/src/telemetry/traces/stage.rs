//! Follows records through a stage: from when one is taken from the consumer to the commit of what it came to.

use std::time::SystemTime;

use kafka_io::{TracedRecord, Tracer};
use opentelemetry::KeyValue;
use opentelemetry::trace::{Event, SpanKind};
use record::{StageName, TraceContext};

use super::{Begun, DROPPED, Ended, Traces};

/// Most records of one commit that are followed.
const OPEN_MAX: usize = 4_096;

/// The tracer of one role's owner.
pub(crate) struct StageTracer {
    traces: Traces,
    group: String,
    /// Records without a context of their own until one is followed; `None`: none is.
    left: Option<u64>,
    begun: Option<Begun>,
    open: Vec<Open>,
}

/// A record that was taken in and is not committed yet.
struct Open {
    begun: Begun,
    topic: String,
    partition: i32,
    offset: i64,
    timestamp: Option<i64>,
    taken_at: SystemTime,
}

impl StageTracer {
    pub(crate) fn new(traces: Traces, stage: StageName, group: &str) -> StageTracer {
        // Where a trace begins, at the raw records, it is decided whether it is followed; what comes without a context later is not.
        let share = if stage == StageName::Classify { traces.0.settings.share } else { 0.0 };
        StageTracer { left: gap(share), traces, group: group.to_owned(), begun: None, open: Vec::new() }
    }

    /// One record more without a context.
    fn is_chosen(&mut self) -> bool {
        let Some(left) = &mut self.left else { return false };
        *left -= 1;
        if *left > 0 {
            return false;
        }
        self.left = gap(self.traces.0.settings.share);
        true
    }

    fn end_all(&mut self, error: Option<&str>) {
        let at = SystemTime::now();
        for open in self.open.drain(..) {
            let Open { begun, topic, partition, offset, timestamp, taken_at } = open;
            let mut attributes = vec![
                KeyValue::new("messaging.system", "kafka"),
                KeyValue::new("messaging.operation.name", "process"),
                KeyValue::new("messaging.operation.type", "process"),
                KeyValue::new("messaging.destination.name", topic.clone()),
                KeyValue::new("messaging.destination.partition.id", partition.to_string()),
                KeyValue::new("messaging.kafka.offset", offset),
                KeyValue::new("messaging.consumer.group.name", self.group.clone()),
            ];
            // How long it lay in the topic.
            let since_1970 = begun.start.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
            if let (Some(timestamp), Ok(start)) = (timestamp, i64::try_from(since_1970)) {
                attributes.push(KeyValue::new("sinyal.record.age_ms", start - timestamp));
            }
            let ended = Ended {
                name: format!("process {topic}"),
                kind: SpanKind::Consumer,
                attributes,
                events: vec![Event::new("taken in", taken_at, Vec::new(), 0)],
                error: error.map(str::to_owned),
                at,
            };
            self.traces.end(begun, ended);
        }
    }
}

impl Tracer for StageTracer {
    fn begin(&mut self, parent: Option<TraceContext>) -> Option<TraceContext> {
        self.begun = match parent {
            // Somebody else decided that it is not followed; what comes of it says so too.
            Some(parent) if !parent.sampled => return Some(parent),
            Some(parent) => match self.traces.begin(Some(parent)) {
                Some(begun) => Some(begun),
                None => return Some(TraceContext { sampled: false, ..parent }),
            },
            None if self.is_chosen() => self.traces.begin(None),
            None => None,
        };
        self.begun.map(|begun| begun.context)
    }

    fn taken(&mut self, record: TracedRecord<'_>) {
        let Some(begun) = self.begun.take() else { return };
        if self.open.len() >= OPEN_MAX {
            return self.traces.0.metrics.count(DROPPED, 1);
        }
        self.open.push(Open {
            begun,
            topic: record.topic.to_owned(),
            partition: record.partition,
            offset: record.offset,
            timestamp: record.timestamp,
            taken_at: SystemTime::now(),
        });
    }

    fn committed(&mut self) {
        if !self.open.is_empty() {
            self.end_all(None);
        }
    }

    fn given_up(&mut self) {
        if !self.open.is_empty() {
            self.end_all(Some("not committed; it is read again"));
        }
    }
}

/// How many records it is to the next one that is followed, of which a share is: as far apart at random as if each were drawn for, at a
/// subtraction for each that is not.
fn gap(share: f64) -> Option<u64> {
    if share <= 0.0 {
        return None;
    }
    // In (0, 1]: its logarithm is finite.
    let drawn = 1.0 - random();
    let gap = if share >= 1.0 { 1.0 } else { (drawn.ln() / (1.0 - share).ln()).floor() + 1.0 };
    // It saturates.
    Some(gap as u64)
}

/// In [0, 1).
fn random() -> f64 {
    use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
    let bytes = RandomIdGenerator::default().new_span_id().to_bytes();
    (u64::from_le_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::super::{CAPPED, TraceMetrics};
    use super::*;
    use crate::config::TraceSettings;
    use crate::telemetry::Registry;

    fn traces(share: f64, spans_per_second_max: f64, queue_max: usize) -> Traces {
        // Nobody is there: spans fail, and nothing waits for them.
        let endpoint = "http://127.0.0.1:1".to_owned();
        let settings = TraceSettings { endpoint, share, spans_per_second_max, queue_max, timeout_ms: 100 };
        Traces::start(settings, "test", TraceMetrics::new(&Registry::new())).unwrap()
    }

    fn count(traces: &Traces, outcome: &str) -> u64 {
        traces.0.metrics.spans.with_label_values(&[outcome]).get()
    }

    const RECORD: TracedRecord<'_> = TracedRecord { topic: "raw", partition: 0, offset: 7, timestamp: Some(1) };

    fn context(sampled: bool) -> TraceContext {
        TraceContext { trace_id: [7; 16], span_id: [9; 8], sampled }
    }

    #[test]
    fn what_a_header_says_is_kept() {
        let mut tracer = StageTracer::new(traces(0.0, 100.0, 100), StageName::Classify, "group");
        assert_eq!(tracer.begin(Some(context(false))), Some(context(false)), "as it came");
        assert!(tracer.begun.is_none() && tracer.begin(None).is_none());
        let ours = tracer.begin(Some(context(true))).unwrap();
        assert_eq!((ours.trace_id, ours.sampled), ([7; 16], true));
        assert_ne!(ours.span_id, [9; 8], "a span of its own");
        // It waits for a schema, and is begun again.
        let again = tracer.begin(Some(context(true))).unwrap();
        tracer.taken(RECORD);
        assert_eq!((tracer.open.len(), tracer.open[0].begun.context), (1, again));
        tracer.committed();
        assert!(tracer.open.is_empty());
    }

    #[test]
    fn no_more_than_so_many_a_second_and_what_follows_is_told() {
        let traces = traces(1.0, 3.0, 100);
        let mut tracer = StageTracer::new(traces.clone(), StageName::Classify, "group");
        let sampled = (0..10).filter(|_| tracer.begin(Some(context(true))).unwrap().sampled).count();
        assert_eq!(sampled, 3);
        assert_eq!(count(&traces, CAPPED), 7);
        assert_eq!(tracer.begin(None), None, "chosen by the share, and one too many");
    }

    #[test]
    fn a_collector_that_is_not_there_holds_nothing_up() {
        let traces = traces(0.0, 1e6, 10);
        let mut tracer = StageTracer::new(traces.clone(), StageName::Community, "group");
        let started = std::time::Instant::now();
        for _ in 0..1_000 {
            tracer.begin(Some(context(true)));
            tracer.taken(RECORD);
        }
        tracer.given_up();
        assert!(started.elapsed() < std::time::Duration::from_secs(1), "{:?}", started.elapsed());
        traces.stop();
        let (dropped, failed) = (count(&traces, DROPPED), count(&traces, super::super::FAILED));
        assert_eq!((dropped, failed), (990, 10), "the queue holds ten");
        assert_eq!(traces.0.under_way.load(std::sync::atomic::Ordering::Acquire), 0);
    }

    #[test]
    fn a_share_is_followed_and_only_where_traces_begin() {
        let share = |stage: StageName, share: f64| {
            let mut tracer = StageTracer::new(traces(share, 1e9, 100), stage, "group");
            (0..20_000).filter(|_| tracer.begin(None).is_some()).count()
        };
        let tenth = share(StageName::Classify, 0.1);
        // Five standard deviations.
        assert!((1_788..=2_212).contains(&tenth), "{tenth}");
        assert_eq!((share(StageName::Classify, 1.0), share(StageName::Classify, 0.0)), (20_000, 0));
        assert_eq!(share(StageName::Community, 1.0), 0);
    }
}
