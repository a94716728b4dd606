//! The classify role.

use std::sync::{Arc, Mutex};

use anyhow::Result;
use classify::Classifier;
use kafka_io::{Assignor, Delivery, Hooks, OwnerConfig, Tracer, Turn, run_owner};
use pipeline::classify::Tallies;
use pipeline::{ClassifyEncoders, ClassifySettings, ClassifyStage, Redactor};
use record::stage::{SchemaLookup, Stage};
use record::{Kind, Ledger, Outcome, StageName};
use wire::{Encoder, RawDecoder, SchemaName};

use super::{Reached, RoleResult, Surroundings, ask, encoder, output_bytes_max, reached};
use crate::config::{ConfigErrors, MAKE_SECRET};
use crate::registry::Registry;
use crate::telemetry::StageTracer;

/// The released version of the classified topic's schema that the programs know which state version 5 is shared with.
const CLASSIFIED_BEFORE: usize = 2;

/// How the role stands, for the demo's view and summary.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClassifyReport {
    pub(crate) ledger: Ledger,
    pub(crate) balanced: bool,
    /// Up to where each partition was read, by topic and partition number.
    pub(crate) reached: Reached,
    pub(crate) tallies: Tallies,
    pub(crate) dead_letters: u64,
}

struct ClassifyHooks {
    surroundings: Surroundings,
    registry: Option<Registry>,
    topics: Vec<String>,
    queues: Vec<String>,
    #[cfg(feature = "deep")]
    deep: Option<super::deep::Watched>,
    report: Arc<Mutex<ClassifyReport>>,
    tracer: Option<StageTracer>,
}

impl Hooks<ClassifyStage> for ClassifyHooks {
    fn schema(&mut self, id: u32) -> Result<SchemaLookup, String> {
        ask(self.registry.as_ref(), id)
    }

    fn tracer(&mut self) -> Option<&mut dyn Tracer> {
        self.tracer.as_mut().map(|tracer| tracer as &mut dyn Tracer)
    }

    fn turned(&mut self, stage: &ClassifyStage, turn: &Turn) {
        let Surroundings { health, metrics, .. } = &self.surroundings;
        health.turned(StageName::Classify.as_str(), &turn.state);
        metrics.owner(StageName::Classify, &self.topics, stage, turn);
        metrics.dead_letters(StageName::Classify, stage.dead_letters());
        metrics.tallies(stage.tallies(), &self.queues);
        #[cfg(feature = "deep")]
        if let Some(workers) = &self.deep {
            super::deep::show(metrics, workers.standing());
        }
        metrics.unknown_fields(stage.unknown_fields());
        if let Ok(mut report) = self.report.lock() {
            *report = report_of(stage);
            report.reached = reached(turn, &self.topics);
        }
    }
}

fn report_of(stage: &ClassifyStage) -> ClassifyReport {
    let mut ledger = Ledger::default();
    let mut balanced = true;
    stage.ledgers(&mut |_, of_partition| {
        balanced &= of_partition.is_balanced();
        ledger.add(of_partition);
    });
    ClassifyReport {
        dead_letters: ledger.count(Outcome::DeadLettered),
        ledger,
        balanced,
        reached: Reached::new(),
        tallies: stage.tallies().clone(),
    }
}

/// Builds the role; the closure runs it on the calling thread until the shutdown.
///
/// # Errors
/// What is missing before the role can start, with what to do about it.
pub(crate) fn run_classify(
    surroundings: Surroundings,
    report: Arc<Mutex<ClassifyReport>>,
) -> Result<impl FnOnce() -> RoleResult<()> + Send> {
    let config = Arc::clone(&surroundings.config);
    let topics = &config.topics;
    let no_secret = || ConfigErrors(vec![format!("pseudonym.secret_file names no file; {MAKE_SECRET}")]);
    let mut pseudonyms = config.pseudonyms().into_iter();
    let (pseudonym, previous_pseudonym) = (pseudonyms.next().ok_or_else(no_secret)?, pseudonyms.next());
    let queues: Vec<String> = config.routing.queues().iter().map(|queue| queue.spec.name.clone()).collect();
    let queue_topics: Vec<String> = queues.iter().map(|queue| config.queue_topic(queue)).collect();
    let queue_encoder_topic = queue_topics.first().cloned().unwrap_or_else(|| topics.queue_state.clone());
    let classifier = Classifier::embedded();
    #[cfg(feature = "deep")]
    let (cascade, deep) = match &config.deep {
        Some(settings) => {
            let (cascade, workers) = super::deep::start(settings)?;
            (Some(cascade), Some(workers))
        }
        None => (None, None),
    };
    #[cfg(not(feature = "deep"))]
    let cascade = None;
    let settings = ClassifySettings {
        inputs: vec![
            (topics.posts_raw.as_str().into(), Kind::Post),
            (topics.comments_raw.as_str().into(), Kind::Comment),
        ],
        decoder: RawDecoder::new(config.raw_format, config.framing(), config.raw_record_bytes_max),
        encoders: ClassifyEncoders {
            classified: encoder(&config, SchemaName::Classified, &topics.classified)?,
            // A registry tells each reader of whichever version; without one it must be a version that every replica knows.
            classified_before: match config.registry {
                None => Encoder::single_object_released(SchemaName::Classified, CLASSIFIED_BEFORE),
                Some(_) => None,
            },
            // The registry gives one id to one schema, whichever subject names it.
            queue_item: encoder(&config, SchemaName::QueueItem, &queue_encoder_topic)?,
        },
        classifier: match config.classify.threshold {
            Some(threshold) => classifier.with_threshold(threshold),
            None => classifier,
        },
        cascade,
        routing: surroundings.rules.routing.clone(),
        communities: surroundings.rules.communities.clone(),
        pseudonym,
        previous_pseudonym,
        canary_seal: config.canary_seal(),
        key_format: config.key_format,
        future_ms_max: config.future_ms_max,
        dead_letter_value_bytes_max: config.raw_record_bytes_max,
        keep_text: config.classify.keep_text,
        redactor: Redactor::new(config.classify.redact.iter().copied()),
    };
    let stage = ClassifyStage::new(settings);
    let inputs = vec![topics.posts_raw.clone(), topics.comments_raw.clone()];
    let mut outputs = vec![topics.classified.clone(), topics.dead_letters.clone()];
    outputs.extend(queue_topics);
    let exactly_once = config.classify.exactly_once && !surroundings.embedded;
    let owner = OwnerConfig {
        connection: surroundings.connection.clone(),
        stage: StageName::Classify,
        group_id: config.classify.group_id.clone(),
        group_instance_id: config.instance_lasts.then(|| config.instance_id.clone()),
        assignor: Assignor::CooperativeSticky,
        inputs: inputs.clone(),
        outputs,
        optional_outputs: Vec::new(),
        changelog: None,
        source_topics: Vec::new(),
        delivery: if exactly_once {
            Delivery::ExactlyOnce {
                transactional_id: format!("{}.classify.{}", config.classify.group_id, config.instance_id),
                transaction_timeout_ms: config.kafka.transaction_timeout_ms,
            }
        } else {
            Delivery::AtLeastOnce
        },
        commit_interval_ms: config.classify.commit_interval_ms,
        prefetch_bytes: config.kafka.prefetch_bytes,
        in_flight_bytes: config.kafka.in_flight_bytes,
        output_bytes_max: output_bytes_max(&config),
        session_timeout_ms: config.kafka.session_timeout_ms,
    };
    let hooks = ClassifyHooks {
        registry: config.registry.as_ref().map(Registry::new),
        topics: inputs,
        queues,
        #[cfg(feature = "deep")]
        deep,
        report: Arc::clone(&report),
        tracer: surroundings.tracer(StageName::Classify, &config.classify.group_id),
        surroundings: surroundings.clone(),
    };
    Ok(move || {
        let stage = run_owner(owner, stage, surroundings.clock, hooks, surroundings.shutdown)?;
        if let Ok(mut report) = report.lock() {
            let reached = std::mem::take(&mut report.reached);
            *report = ClassifyReport { reached, ..report_of(&stage) };
        }
        Ok(())
    })
}
