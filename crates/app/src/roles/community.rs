//! The community role.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use kafka_io::{Assignor, Delivery, Hooks, OwnerConfig, OwnerState, Tracer, Turn, run_owner};
use pipeline::{CommunityEncoders, CommunitySettings, CommunityStage};
use record::stage::{SchemaLookup, Stage};
use record::{Ledger, Outcome, StageName};
use serde_json::json;
use wire::{ActionDecoder, ClassifiedDecoder, CorrectionDecoder, SchemaName};

use super::{Reached, RoleResult, Surroundings, ask, canary_encoder, encoder, output_bytes_max, reached};
use crate::registry::Registry;
use crate::telemetry::StageTracer;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How the role stands, for the demo's view and summary.
#[derive(Debug, Clone, Default)]
pub(crate) struct CommunityReport {
    pub(crate) ledger: Ledger,
    pub(crate) balanced: bool,
    /// Up to where each partition was read, by topic and partition number.
    pub(crate) reached: Reached,
    pub(crate) dead_letters: u64,
    pub(crate) panes: u64,
}

struct CommunityHooks {
    surroundings: Surroundings,
    registry: Option<Registry>,
    topics: Vec<String>,
    /// The version of each partition's state, as it was told last.
    state_versions: BTreeMap<i32, u8>,
    /// It was told that the previous secret can be removed.
    told_of_rotation: bool,
    report: Arc<Mutex<CommunityReport>>,
    tracer: Option<StageTracer>,
}

impl Hooks<CommunityStage> for CommunityHooks {
    fn schema(&mut self, id: u32) -> Result<SchemaLookup, String> {
        ask(self.registry.as_ref(), id)
    }

    fn tracer(&mut self) -> Option<&mut dyn Tracer> {
        self.tracer.as_mut().map(|tracer| tracer as &mut dyn Tracer)
    }

    fn turned(&mut self, stage: &CommunityStage, turn: &Turn) {
        let Surroundings { health, metrics, clock, .. } = &self.surroundings;
        health.turned(StageName::Community.as_str(), &turn.state);
        metrics.owner(StageName::Community, &self.topics, stage, turn);
        metrics.dead_letters(StageName::Community, stage.dead_letters());
        let now = clock.now_ms();
        for status in stage.status() {
            metrics.partition(&status, now);
        }
        let state_versions: BTreeMap<i32, u8> =
            stage.status().map(|status| (status.partition, status.state_version)).collect();
        if state_versions != self.state_versions && matches!(turn.state, OwnerState::Running) {
            let versions: BTreeSet<u8> = state_versions.values().copied().collect();
            let shown = versions.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
            tracing::info!(partitions = state_versions.len(), version = shown, "state is kept");
            health.show(StageName::Community.as_str(), "state_versions", json!(versions));
            self.state_versions = state_versions;
        }
        for (partition, total, last) in stage.closed() {
            metrics.closed(partition, total, last);
        }
        if let Ok(mut report) = self.report.lock() {
            *report = report_of(stage);
            report.reached = reached(turn, &self.topics);
        }
        self.tell_of_rotation(stage);
    }
}

impl CommunityHooks {
    /// Says once, as far as this replica sees it, that the previous secret of the pseudonyms is not needed any more.
    fn tell_of_rotation(&mut self, stage: &CommunityStage) {
        let needed = || stage.status().filter_map(|status| status.previous_needed_ms);
        let is_over = needed().next().is_some() && needed().all(|needed_ms| needed_ms == 0);
        if is_over && !self.told_of_rotation {
            tracing::info!(
                "the previous secret of the pseudonyms is not needed any more by the partitions of this replica; `sinyal status` tells of \
                 all"
            );
        }
        self.told_of_rotation = is_over;
    }
}

fn report_of(stage: &CommunityStage) -> CommunityReport {
    let mut ledger = Ledger::default();
    let mut balanced = true;
    stage.ledgers(&mut |_, of_partition| {
        balanced &= of_partition.is_balanced();
        ledger.add(of_partition);
    });
    CommunityReport {
        dead_letters: ledger.count(Outcome::DeadLettered),
        ledger,
        balanced,
        reached: Reached::new(),
        panes: stage.status().map(|status| status.panes).sum(),
    }
}

/// Builds the role; the closure runs it on the calling thread until the shutdown.
///
/// # Errors
/// What is missing before the role can start, with what to do about it.
pub(crate) fn run_community(
    surroundings: Surroundings,
    report: Arc<Mutex<CommunityReport>>,
) -> Result<impl FnOnce() -> RoleResult<()> + Send> {
    let config = Arc::clone(&surroundings.config);
    let topics = &config.topics;
    let settings = CommunitySettings {
        classified_topic: topics.classified.as_str().into(),
        decoder: ClassifiedDecoder::new(config.framing()),
        corrections_topic: topics.corrections.as_str().into(),
        corrections_decoder: CorrectionDecoder::new(config.framing()),
        actions_topic: topics.actions.as_str().into(),
        actions_decoder: ActionDecoder::new(config.framing()),
        encoders: CommunityEncoders {
            metrics: encoder(&config, SchemaName::CommunityMetrics, &topics.metrics)?,
            queue_item: encoder(&config, SchemaName::QueueItem, &topics.queue_state)?,
            alert: encoder(&config, SchemaName::Alert, &topics.alerts)?,
            canary: canary_encoder(&config)?,
        },
        windows: config.windows.clone(),
        routing: surroundings.rules.routing.clone(),
        communities: surroundings.rules.communities.clone(),
        alert_rules: surroundings.rules.alerts.clone(),
        disorder_ms: config.disorder_ms,
        hold_ms_max: config.hold_ms_max,
        ids_max: config.community.ids_max,
        communities_max: config.community.communities_max,
        members_max: config.community.members_max,
        parked_max: config.community.parked_max,
        items_max: config.items.max,
        keep_closed_ms: config.items.keep_closed_hours * HOUR_MS,
        expire_ms: config.items.expire_days * DAY_MS,
        claim_ms: config.items.claim_minutes * MINUTE_MS,
        auto_replies: config.items.auto_replies.clone(),
        remember_ms: config.community.remember_days * DAY_MS,
        future_ms_max: config.future_ms_max,
        dead_letter_value_bytes_max: config.raw_record_bytes_max,
        changelog: !surroundings.embedded,
        state_version: config.state_version,
    };
    let stage = CommunityStage::new(settings);
    let inputs = vec![topics.classified.clone(), topics.corrections.clone(), topics.actions.clone()];
    let owner = OwnerConfig {
        connection: surroundings.connection.clone(),
        stage: StageName::Community,
        group_id: config.community.group_id.clone(),
        group_instance_id: config.instance_lasts.then(|| config.instance_id.clone()),
        assignor: Assignor::Range,
        inputs: inputs.clone(),
        outputs: vec![
            topics.metrics.clone(),
            topics.queue_state.clone(),
            topics.dead_letters.clone(),
            topics.changelog.clone(),
            topics.alerts.clone(),
            topics.canary.clone(),
        ],
        // Nobody is to wait for canaries.
        optional_outputs: vec![topics.canary.clone()],
        changelog: (!surroundings.embedded).then_some(CommunityStage::CHANGELOG),
        source_topics: vec![topics.posts_raw.clone(), topics.comments_raw.clone()],
        delivery: if surroundings.embedded {
            Delivery::AtLeastOnce
        } else {
            Delivery::ExactlyOnce {
                transactional_id: format!("{}.community.{}", config.community.group_id, config.instance_id),
                transaction_timeout_ms: config.kafka.transaction_timeout_ms,
            }
        },
        commit_interval_ms: config.community.commit_interval_ms,
        prefetch_bytes: config.kafka.prefetch_bytes,
        in_flight_bytes: config.kafka.in_flight_bytes,
        output_bytes_max: output_bytes_max(&config),
        session_timeout_ms: config.kafka.session_timeout_ms,
    };
    let hooks = CommunityHooks {
        registry: config.registry.as_ref().map(Registry::new),
        topics: inputs,
        state_versions: BTreeMap::new(),
        told_of_rotation: false,
        report: Arc::clone(&report),
        tracer: surroundings.tracer(StageName::Community, &config.community.group_id),
        surroundings: surroundings.clone(),
    };
    Ok(move || {
        let stage = run_owner(owner, stage, surroundings.clock, hooks, surroundings.shutdown)?;
        if let Ok(mut report) = report.lock() {
            let reached = std::mem::take(&mut report.reached);
            *report = CommunityReport { reached, ..report_of(&stage) };
        }
        Ok(())
    })
}
