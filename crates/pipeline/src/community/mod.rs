//! The community stage: identity, rolling aggregates and the state of queue items, per partition.
//!
//! Every record has exactly one outcome: applied, replaced, retracted, deduplicated, stale, late, progress,
//! dead-lettered or dropped.

mod actions;
mod alerts;
mod aliases;
mod answers;
mod auto_replies;
mod canaries;
mod changelog;
mod corrections;
mod decode;
mod erasure;
mod flush;
mod hottest;
mod identity;
mod items;
mod mentions;
mod panes;
mod partition;
mod restore;
mod state_version;
mod validate;
mod watermark;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use record::stage::{Input, InputPartition, InputRecord, LatencySample, Outputs, SchemaLookup, Stage, Step, Stop};
use record::{Action, ClassifiedRecord, EpochMs, Ledger, Outcome, Position, Progress, Reason, StageName, encode_key};
use rules::alerts::AlertRules;
use rules::{Communities, Live, LiveCommunities, Routing};
use window::WindowSet;
use wire::{ActionDecoder, ClassifiedDecoder, CorrectionDecoder, Encoder};

use self::actions::Meant;
pub use self::actions::check_action;
use self::auto_replies::AutoReplies;
use self::canaries::tell_canaries;
pub use self::corrections::check_correction;
use self::decode::{Decoded, decode, decode_action, decode_correction, misplaced};
pub use self::items::Closed;
pub use self::mentions::{Mentioned, mentions};
use self::partition::Partition;
pub use self::state_version::{STATE_VERSION_MAX, STATE_VERSION_MIN, StateNote, state_note};
use self::watermark::Watermark;
use crate::dead_letters::DeadLetters;

/// How the stage writes its records.
#[derive(Debug)]
pub struct CommunityEncoders {
    /// Of the metrics topic.
    pub metrics: Encoder,
    /// Of the topic of the queues' state.
    pub queue_item: Encoder,
    /// Of the alerts topic.
    pub alert: Encoder,
    /// Of the canary topic; without it nobody is told of canaries.
    pub canary: Option<Encoder>,
}

/// Everything the stage needs to know.
#[derive(Debug)]
pub struct CommunitySettings {
    /// The classified topic, for the origin of dead letters.
    pub classified_topic: Arc<str>,
    /// Decodes the classified topic.
    pub decoder: ClassifiedDecoder,
    /// The topic of corrections, likewise.
    pub corrections_topic: Arc<str>,
    /// Decodes it.
    pub corrections_decoder: CorrectionDecoder,
    /// The topic of actions, likewise.
    pub actions_topic: Arc<str>,
    /// Decodes it.
    pub actions_decoder: ActionDecoder,
    /// How the outputs are written.
    pub encoders: CommunityEncoders,
    /// The windows.
    pub windows: WindowSet,
    /// The queues and the rules, for why an item is where it is, who answers it, and how soon.
    pub routing: Live<Routing>,
    /// The community registry.
    pub communities: LiveCommunities,
    /// The alert rules.
    pub alert_rules: Live<AlertRules>,
    /// How far the events of one source may be out of order before they are late, in milliseconds.
    pub disorder_ms: i64,
    /// How long a silent source may hold the watermark, in milliseconds of the wall clock.
    pub hold_ms_max: i64,
    /// Most identities that a partition knows; at most `u32::MAX / 2`.
    pub ids_max: usize,
    /// Most communities that a partition knows; interactions of further ones are dead letters.
    pub communities_max: usize,
    /// Most members that a partition remembers; those who are active are known beyond it.
    pub members_max: usize,
    /// Most corrections of unknown interactions that a partition keeps.
    pub parked_max: usize,
    /// Most queue items of which a partition keeps what they say; beyond it the closed ones go first, then who waited longest.
    pub items_max: usize,
    /// How long what a closed item says is kept, in milliseconds of event time: so long it can be reopened.
    pub keep_closed_ms: i64,
    /// After this time an item for which nobody did anything expires, in milliseconds of event time.
    pub expire_ms: i64,
    /// How long a claim lasts that does not say so, in milliseconds.
    pub claim_ms: i64,
    /// What replies say that are no answers: a brand's comment that holds one of these does not count as one.
    pub auto_replies: Vec<String>,
    /// How long a member who is not active any more is remembered, in milliseconds of event time.
    pub remember_ms: i64,
    /// How far ahead of the wall clock an event time may be, in milliseconds; the classify stage sees to it for its own.
    pub future_ms_max: i64,
    /// Longest value of a dead letter, in bytes; longer ones are cut and say so.
    pub dead_letter_value_bytes_max: usize,
    /// Whether the state is written to the changelog. Without it, it is lost with the process.
    pub changelog: bool,
    /// The version that the state is raised to, [`STATE_VERSION_MIN`] to [`STATE_VERSION_MAX`]. `None` keeps the one that it has; one that
    /// begins has the newest.
    pub state_version: Option<u8>,
}

/// What all partitions share.
#[derive(Debug)]
struct Shared {
    encoders: CommunityEncoders,
    windows: WindowSet,
    /// The windows in words, to tell a changelog that was written with others.
    windows_digest: String,
    /// Partitions of each input; 0 before that is known.
    partitions: i32,
    live_routing: Live<Routing>,
    /// There is a topic for canaries.
    has_canary_topic: bool,
    live_communities: LiveCommunities,
    live_alert_rules: Live<AlertRules>,
    /// As of the last turn of the clock, as are the two below.
    communities: Arc<Communities>,
    routing: Arc<Routing>,
    alert_rules: Arc<AlertRules>,
    auto_replies: AutoReplies,
    ids_max: usize,
    communities_max: usize,
    items_max: usize,
    keep_closed_ms: i64,
    expire_ms: i64,
    claim_ms: i64,
    members_max: usize,
    parked_max: usize,
    remember_ms: i64,
    future_ms_max: i64,
    changelog: bool,
    state_version: Option<u8>,
    now: EpochMs,
}

/// How a partition stands, for metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PartitionStatus {
    /// The partition.
    pub partition: i32,
    /// The version that its state is written in.
    pub state_version: u8,
    /// Its watermark; `None` before the first event.
    pub watermark: Option<EpochMs>,
    /// Sources that event time goes on without: they have been silent for too long.
    pub left_out_sources: usize,
    /// Identities known.
    pub ids: usize,
    /// Communities of which something is known.
    pub communities: usize,
    /// Members known, over all communities.
    pub members: usize,
    /// Complaints that wait, or were answered within what is known.
    pub complaints: usize,
    /// Queue items of which the content is kept.
    pub items: usize,
    /// Of those, the ones that wait.
    pub items_waiting: usize,
    /// Items that expired, since the partition was assigned.
    pub items_expired: u64,
    /// Alerts that are on.
    pub alerts: usize,
    /// Changes and newer figures of alerts, since the partition was assigned.
    pub alerts_told: u64,
    /// Corrections and actions that wait for their interactions.
    pub parked: usize,
    /// Those whose interactions did not come, since the partition was assigned.
    pub parked_expired: u64,
    /// Panes emitted since the partition was assigned.
    pub panes: u64,
    /// Pseudonyms that another stands for, while the secret is rotated and for a horizon after.
    pub aliases: usize,
    /// Those that there was no room for, since the partition was assigned.
    pub aliases_refused: u64,
    /// For how long the previous secret is needed, in milliseconds of event time: 0 when it is not any more, `None` where authors do not
    /// come with its pseudonyms.
    pub previous_needed_ms: Option<i64>,
    /// Records a second of the busiest community, over some 10 seconds of wall-clock time.
    pub hottest_per_second: f64,
}

/// The stage. Inputs: 0 the classified topic, 1 corrections, 2 actions. Outputs: 0 metrics, 1 state of the queues, 2 dead letters, 3 changelog, 4 alerts, 5 canaries.
#[derive(Debug)]
pub struct CommunityStage {
    topics: [Arc<str>; CommunityStage::INPUTS],
    decoder: ClassifiedDecoder,
    corrections_decoder: CorrectionDecoder,
    actions_decoder: ActionDecoder,
    shared: Shared,
    disorder_ms: i64,
    hold_ms_max: i64,
    dead_letters: DeadLetters,
    sources: Vec<(String, i32)>,
    partitions: BTreeMap<i32, Partition>,
}

impl CommunityStage {
    /// How many inputs there are.
    pub const INPUTS: usize = 3;
    /// The place of the corrections among the inputs.
    pub const CORRECTIONS: usize = 1;
    /// The place of the actions among the inputs.
    pub const ACTIONS: usize = 2;
    /// The place of the metrics topic among the outputs.
    pub const METRICS: usize = 0;
    /// The place of the topic of the queues' state among the outputs.
    pub const QUEUE_STATE: usize = 1;
    /// The place of the dead letters among the outputs.
    pub const DEAD_LETTERS: usize = 2;
    /// The place of the changelog among the outputs.
    pub const CHANGELOG: usize = 3;
    /// The place of the alerts among the outputs.
    pub const ALERTS: usize = 4;
    /// The place of the canaries among the outputs. The topic may be missing.
    pub const CANARIES: usize = 5;

    /// A stage that owns no partition yet.
    pub fn new(settings: CommunitySettings) -> CommunityStage {
        CommunityStage {
            topics: [settings.classified_topic, settings.corrections_topic, settings.actions_topic],
            decoder: settings.decoder,
            corrections_decoder: settings.corrections_decoder,
            actions_decoder: settings.actions_decoder,
            shared: Shared {
                encoders: settings.encoders,
                windows_digest: digest_of(&settings.windows),
                windows: settings.windows,
                partitions: 0,
                routing: settings.routing.current(),
                live_routing: settings.routing,
                has_canary_topic: false,
                communities: settings.communities.current(),
                live_communities: settings.communities,
                alert_rules: settings.alert_rules.current(),
                live_alert_rules: settings.alert_rules,
                auto_replies: AutoReplies::new(&settings.auto_replies),
                ids_max: settings.ids_max.min(u32::MAX as usize / 2),
                communities_max: settings.communities_max,
                items_max: settings.items_max,
                keep_closed_ms: settings.keep_closed_ms,
                expire_ms: settings.expire_ms,
                claim_ms: settings.claim_ms,
                members_max: settings.members_max,
                parked_max: settings.parked_max,
                remember_ms: settings.remember_ms,
                future_ms_max: settings.future_ms_max,
                changelog: settings.changelog,
                state_version: settings.state_version,
                now: 0,
            },
            disorder_ms: settings.disorder_ms,
            hold_ms_max: settings.hold_ms_max,
            dead_letters: DeadLetters::new(
                StageName::Community,
                CommunityStage::DEAD_LETTERS,
                settings.dead_letter_value_bytes_max,
            ),
            sources: Vec::new(),
            partitions: BTreeMap::new(),
        }
    }

    /// How each partition stands.
    pub fn status(&self) -> impl Iterator<Item = PartitionStatus> + '_ {
        self.partitions.values().map(|partition| PartitionStatus {
            partition: partition.number,
            state_version: partition.version.to_write(self.shared.state_version),
            watermark: partition.watermark.value(),
            left_out_sources: partition.watermark.left_out(),
            ids: partition.index.len(),
            communities: partition.community_ids.len(),
            members: partition.members,
            complaints: partition.waiting.len(),
            items: partition.items.len(),
            items_waiting: partition.items.waiting(),
            items_expired: partition.items.expired,
            alerts: partition.communities.iter().flatten().map(|community| community.alerts.on()).sum(),
            alerts_told: partition.alerts_told,
            parked: partition.parked.len(),
            parked_expired: partition.parked.expired,
            panes: partition.panes,
            aliases: partition.aliases.len(),
            aliases_refused: partition.aliases.refused,
            previous_needed_ms: partition.previous_needed_ms(&self.shared),
            hottest_per_second: partition.hottest.per_second(),
        })
    }

    /// Dead letters since the start of the process, by reason.
    pub fn dead_letters(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        self.dead_letters.counts()
    }

    fn record(&mut self, record: InputRecord<'_>, outputs: &mut Outputs) -> Result<Step, Stop> {
        // Twice what the classify stage lets in: its clock need not be this one's.
        let latest = self.shared.now.saturating_add(self.shared.future_ms_max.saturating_mul(2));
        let (topic, partitions) =
            (&self.topics[record.from.input.min(CommunityStage::INPUTS - 1)], self.shared.partitions);
        let Some(partition) = self.partitions.get_mut(&record.from.partition) else {
            return Err(Stop::Invariant(format!("record of partition {}, which is not owned", record.from.partition)));
        };
        let taken = if record.from.input == CommunityStage::ACTIONS {
            match decode_action(&mut self.actions_decoder, &record) {
                Decoded::Record(action) => act(partition, &action, &record, partitions, latest, &self.shared),
                Decoded::Refused(reason, detail) => Err((reason, detail)),
                Decoded::NeedsSchema(id) => return Ok(Step::NeedsSchema(id)),
            }
        } else if record.from.input == CommunityStage::CORRECTIONS {
            match decode_correction(&mut self.corrections_decoder, &record, partitions, latest) {
                Decoded::Record(correction) => partition.correct(&correction, &self.shared),
                Decoded::Refused(reason, detail) => Err((reason, detail)),
                Decoded::NeedsSchema(id) => return Ok(Step::NeedsSchema(id)),
            }
        } else {
            match decode(&mut self.decoder, &record, partitions, latest) {
                Decoded::Record(ClassifiedRecord::ClassifiedInteraction(interaction)) => partition
                    .has_room_for(&interaction.community_id, &self.shared)
                    .map(|()| partition.interaction(&interaction, &self.shared)),
                Decoded::Record(ClassifiedRecord::Progress(progress)) => {
                    tell_canaries(&progress, record.from.partition, &mut self.shared, outputs)?;
                    Ok(progress_of(partition, &progress, self.shared.now))
                }
                Decoded::Refused(reason, detail) => Err((reason, detail)),
                Decoded::NeedsSchema(id) => return Ok(Step::NeedsSchema(id)),
            }
        };
        let outcome = match taken {
            Ok(outcome) => outcome,
            Err((reason, detail)) => {
                self.dead_letters.emit(record, topic, reason, &detail, outputs);
                Outcome::DeadLettered
            }
        };
        partition.settle(&record, outcome);
        Ok(Step::Done)
    }

    fn partition(&mut self, number: i32) -> &mut Partition {
        let (disorder_ms, hold_ms_max) = (self.disorder_ms, self.hold_ms_max);
        let sources = &self.sources;
        self.partitions.entry(number).or_insert_with(|| {
            let mut watermark = Watermark::new(disorder_ms, hold_ms_max);
            watermark.know(sources);
            Partition::new(number, watermark)
        })
    }

    /// Takes in how many partitions there are. A community lives on one number of all topics, by its key and that number: with
    /// other numbers its state would be elsewhere.
    fn topology(&mut self, inputs: &[i32], outputs: &[Option<i32>]) -> Result<(), Stop> {
        let partitions = inputs.first().copied().unwrap_or(0);
        let others = self.topics.iter().zip(inputs);
        if let Some((topic, other)) = others.into_iter().find(|(_, other)| **other != partitions) {
            return Err(Stop::Partitions(format!(
                "{} has {partitions} partitions and {topic} has {other}: they must have as many as each other; {REBUILD}",
                self.topics[0]
            )));
        }
        if let Some(changelog) = outputs.get(CommunityStage::CHANGELOG).copied().flatten()
            && self.shared.changelog
            && changelog != partitions
        {
            return Err(Stop::Partitions(format!(
                "{} has {partitions} partitions and the changelog has {changelog}: they must have as many as each other; \
                 {REBUILD}",
                self.topics[0]
            )));
        }
        self.shared.has_canary_topic = outputs.get(CommunityStage::CANARIES).copied().flatten().is_some();
        let known = std::mem::replace(&mut self.shared.partitions, partitions);
        if known != 0 && known != partitions {
            return Err(Stop::Partitions(changed_partitions(&self.topics[0], known, partitions)));
        }
        Ok(())
    }

    fn schema(&mut self, id: u32, lookup: &SchemaLookup) {
        self.decoder.add_schema(id, lookup);
        self.corrections_decoder.add_schema(id, lookup);
        self.actions_decoder.add_schema(id, lookup);
    }

    /// Of each partition how many items were closed since it was assigned, and how long the last of them had waited.
    pub fn closed(&self) -> impl Iterator<Item = (i32, u64, &VecDeque<Closed>)> {
        self.partitions.values().map(|partition| {
            let (total, last) = partition.items.closed();
            (partition.number, total, last)
        })
    }
}

impl Shared {
    /// Takes in rules that were replaced. Says whether what waits may be due at other times (by other business hours or service
    /// levels), and whether alerts may be.
    fn look_at_rules(&mut self) -> (bool, bool) {
        let alert_rules = self.live_alert_rules.current();
        let alerts_changed = !Arc::ptr_eq(&alert_rules, &self.alert_rules);
        self.alert_rules = alert_rules;
        let (communities, routing) = (self.live_communities.current(), self.live_routing.current());
        let changed = !Arc::ptr_eq(&communities, &self.communities) || !Arc::ptr_eq(&routing, &self.routing);
        (self.communities, self.routing) = (communities, routing);
        (changed, changed || alerts_changed)
    }
}

impl Stage for CommunityStage {
    fn step(&mut self, input: Input<'_>, outputs: &mut Outputs) -> Result<Step, Stop> {
        match input {
            Input::Record(record) => return self.record(record, outputs),
            Input::Clock(now) => {
                self.shared.now = now;
                let (items, alerts) = self.shared.look_at_rules();
                for partition in self.partitions.values_mut() {
                    if items {
                        partition.time_again(&self.shared);
                    }
                    if alerts {
                        partition.look_again(&self.shared, |_| true);
                    }
                }
                for partition in self.partitions.values_mut() {
                    partition.watermark.advance(now);
                    partition.hottest.advance(now, &mut partition.communities);
                }
            }
            Input::EndOfPartition(..) | Input::MoreToRead(_) => {}
            Input::Flush => {
                for partition in self.partitions.values_mut() {
                    if partition.flush(&mut self.shared, outputs)? == Step::More {
                        return Ok(Step::More);
                    }
                }
            }
            Input::Topology { inputs, outputs } => self.topology(inputs, outputs)?,
            Input::Sources(sources) => {
                self.sources = sources.to_vec();
                for partition in self.partitions.values_mut() {
                    partition.watermark.know(sources);
                }
            }
            Input::Assigned(partitions) => {
                for &(partition, position) in partitions {
                    self.partition(partition.partition).positions.insert(partition.input, position);
                }
            }
            Input::Restore { partition, key, value } => {
                self.partition(partition);
                if let Some(state) = self.partitions.get_mut(&partition) {
                    state.restore(key, value, &self.shared, &self.topics[0])?;
                }
            }
            Input::Restored { partition } => {
                if let Some(state) = self.partitions.get_mut(&partition) {
                    state.restored(&self.shared);
                    // The topics may have grown since the changelog was written.
                    state.watermark.know(&self.sources);
                }
            }
            Input::Schema { id, lookup } => self.schema(id, &lookup),
            Input::Revoked(partitions) | Input::Lost(partitions) => {
                for partition in partitions {
                    self.partitions.remove(&partition.partition);
                }
            }
        }
        Ok(Step::Done)
    }

    fn recorded_position(&self, partition: InputPartition) -> Option<Position> {
        self.partitions.get(&partition.partition)?.recorded.get(&partition.input).copied()
    }

    fn ledgers(&self, see: &mut dyn FnMut(InputPartition, &Ledger)) {
        for (&partition, state) in &self.partitions {
            for (input, ledger) in
                state.ledgers.iter().enumerate().filter(|(input, _)| state.positions.contains_key(input))
            {
                see(InputPartition { input, partition }, ledger);
            }
        }
    }

    fn take_latency_samples(&mut self, see: &mut dyn FnMut(LatencySample)) {
        self.partitions.values_mut().filter_map(|partition| partition.on_time.take()).for_each(see);
    }
}

/// The way out where partitions are not what they were.
const REBUILD: &str = "`sinyal reprocess` rebuilds everything from the raw topics, with any number";

fn changed_partitions(topic: &str, written: i32, now: i32) -> String {
    format!(
        "{topic} has {now} partitions and had {written} when the state was written: communities would live on others than \
         their state; {REBUILD}"
    )
}

/// The windows in words.
fn digest_of(windows: &WindowSet) -> String {
    let specs = windows
        .specs()
        .iter()
        .map(|spec| format!("{} {} {} {}", spec.name, spec.length_ms, spec.slide_ms, spec.lateness_ms));
    specs.collect::<Vec<_>>().join(", ")
}

fn progress_of(partition: &mut Partition, progress: &Progress<'_>, now: EpochMs) -> Outcome {
    partition.watermark.heard_progress(progress, now);
    Outcome::Progress
}

/// Does what a responder asks for.
fn act(
    partition: &mut Partition,
    action: &Action<'_>,
    record: &InputRecord<'_>,
    partitions: i32,
    latest: EpochMs,
    shared: &Shared,
) -> Result<Outcome, (Reason, String)> {
    let meant = actions::meaning(action, latest)?;
    let key = encode_key(&[meant.community_id()]);
    if let Some(detail) = misplaced(&InputRecord { key: Some(key.as_bytes()), ..*record }, partitions) {
        return Err((Reason::WrongPartition, detail));
    }
    match meant {
        Meant::Item { community_id, kind, id, act } => {
            partition.act_on_item((&community_id, kind, &id), act, action, shared)
        }
        Meant::Acknowledge { rule, community_id, started_at } => {
            let rule = named_rule(&rule)?;
            let number = partition.desk(&community_id, shared)?;
            let Some(community) = partition.communities[number as usize].as_mut() else { return Ok(Outcome::Stale) };
            Ok(community.alerts.acknowledge(rule, started_at, action.at, &action.by))
        }
        Meant::Erase { community_id, author_key } => partition.erase((&community_id, &author_key), action.at, shared),
        Meant::EraseAlert { rule, community_id, started_at } => {
            Ok(partition.erase_alert(named_rule(&rule)?, &community_id, started_at))
        }
        Meant::Silence { community_id, rule, until, reason } => {
            let rule = rule.as_deref().map(named_rule).transpose()?;
            let number = partition.desk(&community_id, shared)?;
            let Some(community) = partition.communities[number as usize].as_mut() else { return Ok(Outcome::Stale) };
            let said = (action.at, &*action.by, reason);
            Ok(community.alerts.silence(rule, until, said))
        }
    }
}

fn named_rule(name: &str) -> Result<rules::alerts::Rule, (Reason, String)> {
    alerts::rule_of(name).ok_or_else(|| {
        let known: Vec<&str> = rules::alerts::Rule::ALL.iter().map(|rule| rule.as_str()).collect();
        (Reason::Malformed, format!("target names no alert rule; {} is right", known.join(", ")))
    })
}
