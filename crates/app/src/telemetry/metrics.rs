//! Prometheus metrics. Labels are bounded: stages, topics, partitions, outcomes, reasons; never communities or people.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};

use kafka_io::{OwnerState, STEPS_PER_SAMPLE, Turn, WaitReason};
use pipeline::classify::RECORDS_PER_SAMPLE;
use prometheus::{GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, TextEncoder};
use record::stage::{InputPartition, Stage};
use record::{Ledger, Outcome, Reason, StageName};

use super::Registry;
use super::clients::ClientMetrics;
use super::lag::LagMetric;
use super::reload_metrics::ReloadMetrics;
use super::state_metrics::StateMetrics;
use super::traces::TraceMetrics;

/// From what an idle service takes, which is about a commit's interval, to where it is behind; finest about a second.
const LATENCY_BUCKETS: [f64; 18] =
    [0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 60.0, 300.0];

/// From a minute to the longest that an item may wait.
const WAIT_BUCKETS: [f64; 12] =
    [60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 28_800.0, 86_400.0, 172_800.0, 345_600.0, 604_800.0];

const COMMIT_BUCKETS: [f64; 12] = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// Every metric of ours.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    registry: Registry,
    consumed: IntCounterVec,
    outcomes: IntCounterVec,
    dead_letters: IntCounterVec,
    produced: IntCounterVec,
    commits: IntCounterVec,
    commit_seconds: HistogramVec,
    commit_wait_seconds: HistogramVec,
    step_seconds: HistogramVec,
    classified_latency_seconds: Histogram,
    pane_latency_seconds: Histogram,
    in_flight: IntGaugeVec,
    lag: LagMetric,
    lost: IntCounterVec,
    resets: IntCounterVec,
    balanced: IntGaugeVec,
    classified: IntCounterVec,
    queued: IntCounterVec,
    abstained: IntCounterVec,
    decided: IntCounterVec,
    #[cfg(feature = "deep")]
    deep_workers: IntGaugeVec,
    #[cfg(feature = "deep")]
    deep_texts: IntCounterVec,
    unknown_fields: IntCounterVec,
    watermark_delay_seconds: GaugeVec,
    watermark_seconds: GaugeVec,
    ids: IntGaugeVec,
    communities: IntGaugeVec,
    members: IntGaugeVec,
    complaints: IntGaugeVec,
    left_out_sources: IntGaugeVec,
    state: StateMetrics,
    items: IntGaugeVec,
    items_expired: IntCounterVec,
    item_wait_seconds: HistogramVec,
    alerts: IntGaugeVec,
    alerts_told: IntCounterVec,
    parked: IntGaugeVec,
    parked_expired: IntCounterVec,
    panes: IntCounterVec,
    hottest_per_second: GaugeVec,
    reloads: ReloadMetrics,
    canary_delay_seconds: HistogramVec,
    canary_seen_seconds: GaugeVec,
    false_canaries: IntCounterVec,
    blind: IntGaugeVec,
    behind: IntGaugeVec,
    stage_state: IntGaugeVec,
    restored: GaugeVec,
    clients: ClientMetrics,
    traces: TraceMetrics,
    /// What a counter was set to last: the stages count by themselves, and a counter can only be added to.
    seen: Arc<Mutex<HashMap<String, u64>>>,
    /// The partitions of each stage when it was last looked at.
    owned: Arc<Mutex<HashMap<&'static str, OwnedPartitions>>>,
}

/// What a stage may do, as a label.
const STATES: [&str; 6] = ["joining", "restoring", "running", "waiting_brokers", "waiting_topics", "waiting_registry"];

/// States of queue items, as a label.
const WAITING: &str = "waiting";
const CLOSED: &str = "closed";

/// Topics and partitions that a stage has.
pub(super) type OwnedPartitions = HashSet<(String, i32)>;

impl Metrics {
    /// With nothing counted.
    ///
    /// # Panics
    /// Never: the names and labels are constants that the tests register.
    pub(crate) fn new() -> Metrics {
        let registry = Registry::new();
        let counter =
            |name: &str, help: &str, labels: &[&str]| registry.add(IntCounterVec::new(Opts::new(name, help), labels));
        let gauge =
            |name: &str, help: &str, labels: &[&str]| registry.add(IntGaugeVec::new(Opts::new(name, help), labels));
        let float =
            |name: &str, help: &str, labels: &[&str]| registry.add(GaugeVec::new(Opts::new(name, help), labels));
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            registry.add(HistogramVec::new(options, &["stage"]))
        };
        let latency = |name: &str, help: &str| {
            let options = HistogramOpts::new(name, help).buckets(LATENCY_BUCKETS.to_vec());
            registry.add(Histogram::with_opts(options))
        };
        let partition = &["stage", "topic", "partition"][..];
        Metrics {
            consumed: counter(
                "consumed_records_total",
                "Records taken from an input partition; those given up and read again count again.",
                partition,
            ),
            outcomes: counter(
                "outcome_records_total",
                "What became of them; per partition they add up to the consumed ones.",
                &["stage", "topic", "partition", "outcome"],
            ),
            dead_letters: counter("dead_letters_total", "Dead letters by reason.", &["stage", "reason"]),
            produced: counter("produced_records_total", "Records handed to the producer.", &["stage"]),
            commits: counter("commits_total", "Commits of outputs and positions.", &["stage"]),
            commit_seconds: histogram("commit_seconds", "Duration of a commit, draining included.", &COMMIT_BUCKETS),
            commit_wait_seconds: histogram(
                "commit_wait_seconds",
                "How much of a commit's duration was spent waiting for brokers; nothing is read meanwhile.",
                &COMMIT_BUCKETS,
            ),
            step_seconds: histogram(
                "step_seconds",
                &format!("How long the stage took for a record; one record in {STEPS_PER_SAMPLE} is timed."),
                &[2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 1e-2, 1e-1, 1.0],
            ),
            classified_latency_seconds: latency(
                "classified_latency_seconds",
                &format!(
                    "Seconds from a raw record's Kafka time to the commit of its classified record and queue item; one record \
                     in {RECORDS_PER_SAMPLE} is measured."
                ),
            ),
            pane_latency_seconds: latency(
                "pane_latency_seconds",
                "Seconds from the Kafka time of the raw record by which the watermark came past a pane's end to the commit of \
                 that pane, for each on-time pane. Revisions, and panes that the wall clock alone made due, do not count.",
            ),
            in_flight: gauge("in_flight_records", "Records handed over and not acknowledged yet.", &["stage"]),
            lag: LagMetric::new(&registry),
            lost: counter("lost_records_total", "Records that were gone before they were read.", &["stage"]),
            resets: counter(
                "resets_total",
                "Times that everything not committed was given up and read again.",
                &["stage"],
            ),
            balanced: gauge(
                "ledger_balanced",
                "1 if every record that a stage was given has exactly one outcome.",
                &["stage"],
            ),
            classified: counter("classified_interactions_total", "Classified interactions by label.", &["label"]),
            queued: counter("queued_items_total", "Items by queue, as routed.", &["queue"]),
            abstained: counter("abstained_interactions_total", "Interactions of which the classifier was unsure.", &[]),
            unknown_fields: counter(
                "unknown_fields_total",
                "Fields of raw JSON records that were ignored because no schema names them.",
                &[],
            ),
            decided: counter(
                "decided_interactions_total",
                "Classified interactions by the tier that decided.",
                &["tier"],
            ),
            #[cfg(feature = "deep")]
            deep_workers: gauge("deep_ready_workers", "Threads of the deep tier that can judge.", &[]),
            #[cfg(feature = "deep")]
            deep_texts: counter(
                "deep_events_total",
                "What became of texts in the deep tier (judged, unanswered, turned_away), and failures of its model.",
                &["event"],
            ),
            watermark_delay_seconds: float(
                "watermark_delay_seconds",
                "How far the watermark is behind the wall clock.",
                &["partition"],
            ),
            watermark_seconds: float(
                "watermark_timestamp_seconds",
                "The watermark, in seconds since 1970.",
                &["partition"],
            ),
            left_out_sources: gauge(
                "left_out_sources",
                "Raw partitions that event time goes on without: nothing new came from them for too long.",
                &["partition"],
            ),
            state: StateMetrics::new(&registry),
            ids: gauge("known_ids", "Interactions known by identity.", &["partition"]),
            communities: gauge("communities", "Communities of which something is known.", &["partition"]),
            members: gauge("known_members", "Members known, over all communities.", &["partition"]),
            items: gauge(
                "queue_items",
                "Items of the response queues of which the content is kept: those that wait, and those that were closed lately.",
                &["partition", "state"],
            ),
            items_expired: counter(
                "expired_items_total",
                "Items that expired: nobody did anything in time, or there was no room for more.",
                &["partition"],
            ),
            item_wait_seconds: {
                let help = "Event-time seconds that a person waited until they were answered, or a responder closed the item, by \
                            how far their voice reaches and by language: nobody should wait longer for either.";
                let options = HistogramOpts::new("item_wait_seconds", help).buckets(WAIT_BUCKETS.to_vec());
                registry.add(HistogramVec::new(options, &["reach", "language", "by"]))
            },
            alerts: gauge("open_alerts", "Alerts of communities that are on.", &["partition"]),
            alerts_told: counter(
                "alert_rows_total",
                "Rows written because an alert began, changed or ended, or its figures did.",
                &["partition"],
            ),
            parked: gauge(
                "parked_corrections",
                "Interactions that are not known yet of which corrections or actions wait.",
                &["partition"],
            ),
            parked_expired: counter(
                "expired_corrections_total",
                "Interactions that did not come within the horizon of identities, of which corrections or actions waited.",
                &["partition"],
            ),
            complaints: gauge(
                "known_complaints",
                "Complaints that wait, or were answered within the longest window.",
                &["partition"],
            ),
            hottest_per_second: float(
                "hottest_community_records_per_second",
                "Records of the partition's busiest community, a second, over 10 seconds; one thread works on a community.",
                &["partition"],
            ),
            reloads: ReloadMetrics::new(&registry),
            panes: counter("panes_total", "Panes emitted.", &["partition"]),
            stage_state: gauge(
                "stage_state",
                "1 for what a stage does now: joining, restoring, running, or waiting for brokers, topics or the registry.",
                &["stage", "state"],
            ),
            restored: float(
                "restored_ratio",
                "How much of the changelog is read while a stage restores, 0 to 1; 1 when it does not.",
                &["stage"],
            ),
            canary_delay_seconds: histogram(
                "canary_delay_seconds",
                "Seconds from when a canary was sent until this stage had it; of the community stage by each of its partitions.",
                &LATENCY_BUCKETS,
            ),
            canary_seen_seconds: float(
                "canary_last_seen_timestamp_seconds",
                "When the last canary was sent into this raw partition that came through every partition, in seconds since 1970.",
                &["topic", "partition"],
            ),
            false_canaries: counter(
                "false_canaries_total",
                "Raw records that claimed to be canaries and whose seal did not hold; they were taken for what else they are.",
                &[],
            ),
            blind: gauge(
                "blind",
                "1 while the pipeline is blind in this way, as its observer sees it; while that sees nothing only `unobserved` is there.",
                &["kind"],
            ),
            behind: gauge(
                "behind",
                "1 while the pipeline has not caught up with what lies in the raw topics, or its observer sees nothing.",
                &[],
            ),
            clients: ClientMetrics::new(&registry),
            traces: TraceMetrics::new(&registry),
            registry,
            seen: Arc::default(),
            owned: Arc::default(),
        }
    }

    /// Where a role registers what only it measures.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What is counted of traces.
    pub(crate) fn traces(&self) -> TraceMetrics {
        self.traces.clone()
    }

    /// The text that Prometheus reads.
    pub(crate) fn text(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    /// Takes in how an owner stands.
    pub(crate) fn owner<S: Stage>(&self, stage: StageName, topics: &[String], shown: &S, turn: &Turn) {
        let stage_name = stage.as_str();
        let mut balanced = true;
        let topic = |at: InputPartition| topics.get(at.input).map_or("", String::as_str);
        let mut owned = HashSet::new();
        shown.ledgers(&mut |at, ledger| {
            let given = turn.given.iter().find(|(of, _)| *of == at).map_or(0, |&(_, given)| given);
            balanced &= ledger.is_balanced() && ledger.consumed() == given;
            owned.insert((topic(at).to_owned(), at.partition));
            self.ledger(stage_name, topic(at), at.partition, ledger);
        });
        self.forget_partitions(stage, owned);
        self.balanced.with_label_values(&[stage_name]).set(i64::from(balanced));
        self.lag.show(stage, turn.lag.iter().map(|&(at, lag)| (topic(at), at.partition, lag)));
        self.state(stage_name, &turn.state);
        for (client, told) in [("consumer", &turn.consumer), ("producer", &turn.producer)] {
            if let Some(told) = told {
                self.clients.told(stage_name, client, told);
            }
        }
        self.in_flight.with_label_values(&[stage_name]).set(i64::from(turn.in_flight));
        self.add_up(&self.produced, &[stage_name], turn.produced);
        if self.add_up(&self.commits, &[stage_name], turn.commits) > 0 {
            self.commit_seconds.with_label_values(&[stage_name]).observe(turn.commit_seconds);
            self.commit_wait_seconds.with_label_values(&[stage_name]).observe(turn.commit_wait_seconds);
        }
        let steps = self.step_seconds.with_label_values(&[stage_name]);
        turn.step_seconds.iter().for_each(|&seconds| steps.observe(seconds));
        // Its own sums are added to the shared ones once, when it goes.
        let latencies = match stage {
            StageName::Classify => Some(self.classified_latency_seconds.local()),
            StageName::Community => Some(self.pane_latency_seconds.local()),
            StageName::Notify => None,
        };
        if let Some(latencies) = latencies {
            for &(seconds, weight) in &turn.latency_seconds {
                (0..weight).for_each(|_| latencies.observe(seconds));
            }
        }
        self.add_up(&self.lost, &[stage_name], turn.lost);
        self.add_up(&self.resets, &[stage_name], turn.resets);
    }

    fn state(&self, stage: &str, state: &OwnerState) {
        let (now, restored) = match state {
            OwnerState::Joining => ("joining", 1.0),
            OwnerState::Restoring { percent, .. } => ("restoring", f64::from(*percent) / 100.0),
            OwnerState::Running => ("running", 1.0),
            OwnerState::Waiting(WaitReason::Broker(_)) => ("waiting_brokers", 1.0),
            OwnerState::Waiting(WaitReason::Topics(_)) => ("waiting_topics", 1.0),
            OwnerState::Waiting(WaitReason::Registry(_)) => ("waiting_registry", 1.0),
            // The sink's, which is no stage.
            OwnerState::Waiting(WaitReason::Database(_)) => ("waiting_database", 1.0),
        };
        for state in STATES {
            self.stage_state.with_label_values(&[stage, state]).set(i64::from(state == now));
        }
        self.restored.with_label_values(&[stage]).set(restored);
    }

    /// What is measured of a partition that went to another replica is that one's to tell.
    fn forget_partitions(&self, stage: StageName, owned: OwnedPartitions) {
        let Ok(mut shown) = self.owned.lock() else { return };
        let before = shown.insert(stage.as_str(), owned).unwrap_or_default();
        for (topic, partition) in before.difference(&shown[stage.as_str()]) {
            let partition = partition.to_string();
            self.begin_anew(stage.as_str(), topic, &partition);
            if stage == StageName::Community {
                // A gauge that was never set is not there to be removed.
                self.state.forget(&partition);
                for gauge in [&self.watermark_delay_seconds, &self.watermark_seconds, &self.hottest_per_second] {
                    let _ = gauge.remove_label_values(&[&partition]);
                }
                let gauges =
                    [&self.alerts, &self.ids, &self.communities, &self.members, &self.complaints, &self.parked];
                for gauge in gauges.into_iter().chain([&self.left_out_sources]) {
                    let _ = gauge.remove_label_values(&[&partition]);
                }
                for state in [WAITING, CLOSED] {
                    let _ = self.items.remove_label_values(&[&partition, state]);
                }
            }
        }
    }

    /// The ledger of a partition that comes again begins with nothing.
    fn begin_anew(&self, stage: &str, topic: &str, partition: &str) {
        let Ok(mut seen) = self.seen.lock() else { return };
        let labels = format!("|{stage}|{topic}|{partition}");
        seen.retain(|key, _| !(key.ends_with(&labels) || key.contains(&format!("{labels}|"))));
    }

    /// Takes in dead letters by reason.
    pub(crate) fn dead_letters(&self, stage: StageName, counts: impl Iterator<Item = (Reason, u64)>) {
        for (reason, count) in counts {
            self.add_up(&self.dead_letters, &[stage.as_str(), reason.as_str()], count);
        }
    }

    /// Takes in what the classify stage emitted.
    pub(crate) fn tallies(&self, tallies: &pipeline::classify::Tallies, queues: &[String]) {
        for (label, &count) in record::Label::ALL.iter().zip(&tallies.by_label) {
            self.add_up(&self.classified, &[label.as_str()], count);
        }
        for (queue, &count) in queues.iter().zip(&tallies.by_queue) {
            self.add_up(&self.queued, &[queue], count);
        }
        self.add_up(&self.abstained, &[], tallies.abstained);
        self.add_up(&self.false_canaries, &[], tallies.false_canaries);
        for (tier, &count) in record::Tier::ALL.iter().zip(&tallies.by_tier) {
            self.add_up(&self.decided, &[tier.as_str()], count);
        }
    }

    /// What is counted of files that are read anew.
    pub(crate) fn reloads(&self) -> &ReloadMetrics {
        &self.reloads
    }

    /// Takes in how many fields of raw JSON records no schema names.
    pub(crate) fn unknown_fields(&self, count: u64) {
        self.add_up(&self.unknown_fields, &[], count);
    }

    /// Takes in how the deep tier stands.
    #[cfg(feature = "deep")]
    pub(crate) fn deep(&self, ready: usize, events: [(&str, u64); 4]) {
        self.deep_workers.with_label_values(&[] as &[&str]).set(i64::try_from(ready).unwrap_or(i64::MAX));
        for (event, count) in events {
            self.add_up(&self.deep_texts, &[event], count);
        }
    }

    /// Takes in how a partition of the community stage stands.
    pub(crate) fn partition(&self, status: &pipeline::PartitionStatus, now_ms: i64) {
        let partition = status.partition.to_string();
        let labels = &[partition.as_str()];
        if let Some(watermark) = status.watermark {
            self.watermark_seconds.with_label_values(labels).set(watermark as f64 / 1_000.0);
            self.watermark_delay_seconds.with_label_values(labels).set((now_ms - watermark) as f64 / 1_000.0);
        }
        self.state.show(&partition, status);
        self.add_up(&self.state.pseudonym_links_refused, labels, status.aliases_refused);
        self.left_out_sources.with_label_values(labels).set(i64::try_from(status.left_out_sources).unwrap_or(i64::MAX));
        self.ids.with_label_values(labels).set(i64::try_from(status.ids).unwrap_or(i64::MAX));
        self.communities.with_label_values(labels).set(i64::try_from(status.communities).unwrap_or(i64::MAX));
        self.members.with_label_values(labels).set(i64::try_from(status.members).unwrap_or(i64::MAX));
        self.complaints.with_label_values(labels).set(i64::try_from(status.complaints).unwrap_or(i64::MAX));
        let items = |state: &str, count: usize| {
            self.items.with_label_values(&[partition.as_str(), state]).set(i64::try_from(count).unwrap_or(i64::MAX));
        };
        items(WAITING, status.items_waiting);
        items(CLOSED, status.items - status.items_waiting);
        self.add_up(&self.items_expired, labels, status.items_expired);
        self.alerts.with_label_values(labels).set(i64::try_from(status.alerts).unwrap_or(i64::MAX));
        self.add_up(&self.alerts_told, labels, status.alerts_told);
        self.parked.with_label_values(labels).set(i64::try_from(status.parked).unwrap_or(i64::MAX));
        self.add_up(&self.parked_expired, labels, status.parked_expired);
        self.hottest_per_second.with_label_values(labels).set(status.hottest_per_second);
        self.add_up(&self.panes, labels, status.panes);
    }

    /// Takes in how long items waited that were closed since it was told last; `total` of the partition ever were.
    pub(crate) fn closed(&self, partition: i32, total: u64, last: &VecDeque<pipeline::Closed>) {
        let Ok(mut seen) = self.seen.lock() else { return };
        let before = seen.insert(format!("closed|{partition}"), total).unwrap_or(0);
        let new = usize::try_from(if total >= before { total - before } else { total }).unwrap_or(usize::MAX);
        for closed in last.iter().rev().take(new) {
            let by = if closed.answered { "answer" } else { "acknowledgement" };
            let labels = &[closed.reach_band.as_str(), closed.language.as_str(), by];
            self.item_wait_seconds.with_label_values(labels).observe(closed.wait_ms as f64 / 1_000.0);
        }
    }

    /// A canary came through a stage, so long after it was sent.
    pub(crate) fn canary_took(&self, stage: StageName, ms: i64) {
        self.canary_delay_seconds.with_label_values(&[stage.as_str()]).observe(ms as f64 / 1_000.0);
    }

    /// Takes in, by raw partition, when the last canary was sent that came through everywhere. What is not among them is not there.
    pub(crate) fn canaries_seen<'a>(&self, seen: impl Iterator<Item = (&'a str, i32, i64)>) {
        self.canary_seen_seconds.reset();
        for (topic, partition, sent_at) in seen {
            self.canary_seen_seconds.with_label_values(&[topic, &partition.to_string()]).set(sent_at as f64 / 1_000.0);
        }
    }

    /// Takes in how the pipeline stands: whether each kind of blindness holds, and nothing where that is not known.
    pub(crate) fn observed(&self, is_behind: bool, blind: &[(&str, Option<bool>)]) {
        self.behind.with_label_values(&[] as &[&str]).set(i64::from(is_behind));
        for &(kind, holds) in blind {
            match holds {
                Some(holds) => self.blind.with_label_values(&[kind]).set(i64::from(holds)),
                // A gauge that was never set is not there to be removed.
                None => drop(self.blind.remove_label_values(&[kind])),
            }
        }
    }

    fn ledger(&self, stage: &str, topic: &str, partition: i32, ledger: &Ledger) {
        let partition = partition.to_string();
        self.add_up(&self.consumed, &[stage, topic, &partition], ledger.consumed());
        for outcome in Outcome::ALL {
            let count = ledger.count(outcome);
            if count > 0 {
                self.add_up(&self.outcomes, &[stage, topic, &partition, outcome.as_str()], count);
            }
        }
    }

    /// Raises a counter by what was counted since the last time; a count that went back began anew.
    fn add_up(&self, counter: &IntCounterVec, labels: &[&str], count: u64) -> u64 {
        use prometheus::core::Collector;
        let name = counter.desc().first().map_or("", |desc| desc.fq_name.as_str());
        let key = format!("{name}|{}", labels.join("|"));
        let Ok(mut seen) = self.seen.lock() else { return 0 };
        let before = seen.insert(key, count).unwrap_or(0);
        let more = if count >= before { count - before } else { count };
        counter.with_label_values(labels).inc_by(more);
        more
    }
}

#[cfg(test)]
mod tests {
    use record::Position;
    use record::stage::{Input, LatencySample, Outputs, Step, Stop};

    use super::*;

    struct NoPartition;

    impl Stage for NoPartition {
        fn step(&mut self, _: Input<'_>, _: &mut Outputs) -> Result<Step, Stop> {
            Ok(Step::Done)
        }

        fn recorded_position(&self, _: InputPartition) -> Option<Position> {
            None
        }

        fn ledgers(&self, _: &mut dyn FnMut(InputPartition, &Ledger)) {}

        fn take_latency_samples(&mut self, _: &mut dyn FnMut(LatencySample)) {}
    }

    #[test]
    fn each_stage_has_a_latency_and_a_lag_of_its_own() {
        let metrics = Metrics::new();
        let lag = vec![(InputPartition { input: 1, partition: 2 }, 17)];
        let turn = |latency_seconds| Turn { latency_seconds, lag: lag.clone(), ..Turn::default() };
        let topics = ["posts".to_owned(), "comments".to_owned()];
        metrics.owner(StageName::Classify, &topics, &NoPartition, &turn(vec![(0.08, 1), (0.4, 2)]));
        metrics.owner(StageName::Community, &[], &NoPartition, &turn(vec![(1.25, 40)]));
        let text = metrics.text();
        for line in [
            "sinyal_classified_latency_seconds_bucket{le=\"0.1\"} 1",
            "sinyal_classified_latency_seconds_bucket{le=\"0.5\"} 3",
            "sinyal_classified_latency_seconds_count 3",
            "sinyal_pane_latency_seconds_bucket{le=\"1\"} 0",
            "sinyal_pane_latency_seconds_bucket{le=\"1.5\"} 40",
            "sinyal_pane_latency_seconds_sum 50",
            "sinyal_lag_records{partition=\"2\",stage=\"classify\",topic=\"comments\"} 17",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }

    #[test]
    fn counters_go_on_where_a_count_begins_anew() {
        let metrics = Metrics::new();
        assert_eq!(metrics.add_up(&metrics.commits, &["classify"], 5), 5);
        assert_eq!(metrics.add_up(&metrics.commits, &["classify"], 7), 2);
        assert_eq!(metrics.add_up(&metrics.commits, &["classify"], 3), 3);
        assert!(metrics.text().contains("sinyal_commits_total{stage=\"classify\"} 10"));
        metrics.unknown_fields(0);
        assert!(metrics.text().contains("sinyal_unknown_fields_total 0"), "there before anything is counted");
        metrics.unknown_fields(7);
        assert!(metrics.text().contains("sinyal_unknown_fields_total 7"));
    }
}
