//! What the topics should be like, and what is to be done about each.

use std::collections::BTreeMap;

use anyhow::Result;
use kafka_io::acl::Operation;
use kafka_io::admin::{Admin, AdminError, TopicInfo, TopicSpec};
use record::limits;

use crate::config::Config;

/// A topic that the configuration asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Desired {
    pub(crate) spec: TopicSpec,
    pub(crate) role: Role,
}

/// What a topic is to us: it decides what more partitions would do to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Raw records. Once it exists it is its producers' own, who chose its partitions and replicas.
    Raw,
    /// The community stage reads it: with more partitions communities would live on others than their state.
    ReadTogether,
    /// Keyed and compacted: with more partitions a key's newest row would be in another than its older ones.
    Compacted,
    /// Appended to; more partitions do no harm.
    Appended,
}

/// What is to be done about one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is missing.
    Create,
    /// It is there, and differs so.
    Change(Change),
}

/// How a topic that is there differs from what is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// The partitions that it has.
    pub(crate) partitions: i32,
    /// The replicas that each of them has.
    pub(crate) replication: i32,
    /// The partitions that it is to have, if more.
    pub(crate) grow_to: Option<i32>,
    /// The settings that are to be set.
    pub(crate) settings: Vec<Setting>,
    /// What Sinyal does not do: why, and what would be right.
    pub(crate) refused: Vec<String>,
}

/// A setting of a topic that is not what is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) name: String,
    /// Empty if the brokers do not tell.
    pub(crate) now: String,
    pub(crate) wanted: String,
}

impl Step {
    /// True if nothing is to be done.
    pub(crate) fn fits(&self) -> bool {
        match self {
            Step::Create => false,
            Step::Change(Change { grow_to, settings, refused, .. }) => {
                grow_to.is_none() && settings.is_empty() && refused.is_empty()
            }
        }
    }

    /// What Sinyal does not do about it.
    pub(crate) fn refused(&self) -> &[String] {
        match self {
            Step::Create => &[],
            Step::Change(change) => &change.refused,
        }
    }
}

impl Change {
    /// The settings that are to be set, and no other: what is right as it is must not be touched.
    pub(crate) fn to_set(&self) -> BTreeMap<String, String> {
        self.settings.iter().map(|setting| (setting.name.clone(), setting.wanted.clone())).collect()
    }
}

/// What is to be done about each topic.
pub(crate) fn plan(admin: &Admin, config: &Config) -> Result<Vec<(Desired, Step)>, AdminError> {
    let (known, brokers) = admin.topics()?;
    let mut steps = Vec::new();
    for desired in desired(config) {
        let step = step(admin, &known, &desired)?;
        let wanted = usize::try_from(desired.spec.replication).unwrap_or(0);
        if step == Step::Create && wanted > brokers {
            let detail =
                format!("topics.replication is {wanted}, and brokers are {brokers}; at most {brokers} is right");
            return Err(AdminError::Refused { topic: desired.spec.name, detail });
        }
        steps.push((desired, step));
    }
    Ok(steps)
}

/// What is to be done about a topic, where these are there.
pub(super) fn step(admin: &Admin, known: &[TopicInfo], desired: &Desired) -> Result<Step, AdminError> {
    match known.iter().find(|topic| topic.name == desired.spec.name) {
        None => match admin.hidden(&desired.spec.name, Operation::Describe) {
            Some(error) => Err(error),
            None => Ok(Step::Create),
        },
        Some(topic) => Ok(compare(desired, topic, &admin.config(&desired.spec.name)?)),
    }
}

/// The topics that the configuration asks for.
pub(super) fn desired(config: &Config) -> Vec<Desired> {
    let topics = &config.topics;
    let topic = |name: &str, role: Role, settings: &[(&str, String)]| {
        let partitions = match role {
            Role::Raw => topics.raw_partitions,
            Role::ReadTogether => topics.partitions,
            Role::Compacted | Role::Appended => topics.other_partitions,
        };
        let config = settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Desired { spec: TopicSpec { name: name.to_owned(), partitions, replication: topics.replication, config }, role }
    };
    let delete =
        |retention_ms: i64| [("cleanup.policy", "delete".to_owned()), ("retention.ms", retention_ms.to_string())];
    // What was taken out is to be gone from the log as well, by a time that can be told.
    let compact =
        [("cleanup.policy", "compact".to_owned()), ("max.compaction.lag.ms", COMPACTED_WITHIN_MS.to_string())];
    let raw_bytes = (config.raw_record_bytes_max + limits::DEAD_LETTER_EXTRA_BYTES).to_string();
    let mut dead_letters = delete(topics.dead_letter_retention_ms).to_vec();
    dead_letters.push((RECORD_BYTES, raw_bytes));
    let metrics =
        [("cleanup.policy", "compact,delete".to_owned()), ("retention.ms", topics.metrics_retention_ms.to_string())];
    // A notifier that was away for a while still finds every change of state.
    let alerts = [compact[0].clone(), compact[1].clone(), ("min.compaction.lag.ms", NOTIFIABLE_MS.to_string())];
    // What people said is not to be had again.
    let kept = delete(-1);
    let mut all = vec![
        topic(&topics.posts_raw, Role::Raw, &[]),
        topic(&topics.comments_raw, Role::Raw, &[]),
        topic(&topics.classified, Role::ReadTogether, &delete(topics.retention_ms)),
        topic(&topics.changelog, Role::ReadTogether, &compact),
        topic(&topics.corrections, Role::ReadTogether, &kept),
        topic(&topics.actions, Role::ReadTogether, &kept),
        topic(&topics.queue_state, Role::Compacted, &compact),
        topic(&topics.metrics, Role::Compacted, &metrics),
        topic(&topics.alerts, Role::Compacted, &alerts),
        topic(&topics.notify_state, Role::Compacted, &compact),
        topic(&topics.dead_letters, Role::Appended, &dead_letters),
        topic(&topics.canary, Role::Appended, &delete(CANARY_RETENTION_MS)),
    ];
    all.extend(config.communities_topic.iter().map(|name| topic(name, Role::Compacted, &compact)));
    for queue in config.routing.queues() {
        all.push(topic(&config.queue_topic(&queue.spec.name), Role::Appended, &delete(topics.retention_ms)));
    }
    all
}

/// Within this time brokers begin to compact what was written over, in milliseconds: a day.
const COMPACTED_WITHIN_MS: i64 = 86_400_000;

/// For how long every row of an alert is kept, in milliseconds: the longest `notify.behind_ms`.
const NOTIFIABLE_MS: i64 = 3_600_000;

/// What canaries told is of no use to anybody after the longest time in which they are waited for, in milliseconds: some hours.
const CANARY_RETENTION_MS: i64 = 6 * 3_600_000;

/// The largest batch of a topic, by Kafka's name.
const RECORD_BYTES: &str = "max.message.bytes";

fn compare(desired: &Desired, topic: &TopicInfo, settings: &BTreeMap<String, String>) -> Step {
    let Desired { spec, role } = desired;
    let mut change = Change {
        partitions: topic.partitions,
        replication: topic.replication,
        grow_to: None,
        settings: Vec::new(),
        refused: Vec::new(),
    };
    if *role != Role::Raw {
        match growth(spec, *role, topic.partitions) {
            Ok(grow_to) => change.grow_to = grow_to,
            Err(why) => change.refused.push(why),
        }
        if topic.replication != spec.replication {
            change.refused.push(format!(
                "it has {} replicas and topics.replication is {}; Sinyal moves no replicas: change them with \
                 kafka-reassign-partitions, or configure topics.replication = {}",
                topic.replication, spec.replication, topic.replication
            ));
        }
    }
    for (name, wanted) in &spec.config {
        let now = settings.get(name).cloned().unwrap_or_default();
        if !is_right(name, &now, wanted) {
            change.settings.push(Setting { name: name.clone(), now, wanted: wanted.clone() });
        }
    }
    Step::Change(change)
}

/// How many partitions it is to have, if more than it has; or why it cannot have what is configured.
fn growth(spec: &TopicSpec, role: Role, has: i32) -> Result<Option<i32>, String> {
    let key = match role {
        Role::Raw => "topics.raw_partitions",
        Role::ReadTogether => "topics.partitions",
        Role::Compacted | Role::Appended => "topics.other_partitions",
    };
    let differs = format!("it has {has} partitions and {key} is {}", spec.partitions);
    if has == spec.partitions {
        return Ok(None);
    }
    if has > spec.partitions {
        return Err(format!("{differs}; Kafka cannot take partitions away: configure {key} = {has}"));
    }
    let why = match role {
        Role::Raw => "they are its producers' own",
        Role::ReadTogether => "with more, communities would move away from their state",
        Role::Compacted => "with more, stale rows would stay in the old ones",
        Role::Appended => return Ok(Some(spec.partitions)),
    };
    Err(format!("{differs}; {why}: configure {key} = {has}, or rebuild everything with `sinyal reprocess`"))
}

/// Whether a setting is as it should be: larger records than asked for do no harm.
fn is_right(name: &str, now: &str, wanted: &str) -> bool {
    let bytes = |text: &str| text.parse::<u64>().ok();
    match (name, bytes(now), bytes(wanted)) {
        (RECORD_BYTES, Some(now), Some(wanted)) => now >= wanted,
        _ => now == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::load(Some(file.path()), []).unwrap()
    }

    fn topic(name: &str) -> Desired {
        desired(&config("")).into_iter().find(|desired| desired.spec.name == name).unwrap()
    }

    /// Compares with a topic that has the settings asked for, but for some.
    fn compared(name: &str, partitions: i32, replication: i32, other: &[(&str, &str)]) -> Change {
        let desired = topic(name);
        let mut settings = desired.spec.config.clone();
        settings.extend(other.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
        match compare(&desired, &TopicInfo { name: name.to_owned(), partitions, replication }, &settings) {
            Step::Change(change) => change,
            Step::Create => panic!("{name} is there"),
        }
    }

    #[test]
    fn inputs_of_the_community_stage_are_alike() {
        let all = desired(&config("[topics]\npartitions = 7\n"));
        let find = |name: &str| all.iter().find(|desired| desired.spec.name == name).unwrap();
        for name in
            ["social.interactions.classified", "social.corrections", "social.actions", "social.community.changelog"]
        {
            assert_eq!((find(name).spec.partitions, find(name).role), (7, Role::ReadTogether), "{name}");
        }
        assert_eq!(all.len(), 17);
        let all_with = desired(&config("[communities]\ntopic = \"social.communities\"\n"));
        let registry = all_with.iter().find(|desired| desired.spec.name == "social.communities").unwrap();
        assert_eq!((registry.role, registry.spec.config["cleanup.policy"].as_str()), (Role::Compacted, "compact"));
        assert_eq!(find("social.dead-letters").spec.config["max.message.bytes"], (1_048_576 + 65_536).to_string());
    }

    #[test]
    fn what_is_as_asked_for_fits() {
        for desired in desired(&config("")) {
            let TopicSpec { name, partitions, replication, config } = desired.spec.clone();
            assert!(compare(&desired, &TopicInfo { name, partitions, replication }, &config).fits(), "{desired:?}");
        }
        assert!(!Step::Create.fits());
    }

    #[test]
    fn only_what_is_appended_to_grows() {
        for name in ["social.dead-letters", "social.queue.tip"] {
            let change = compared(name, 2, 1, &[]);
            assert_eq!((change.grow_to, change.refused.len()), (Some(3), 0), "{name}");
        }
        for (name, key) in [
            ("social.queue.state", "topics.other_partitions = 2"),
            ("social.community.metrics", "topics.other_partitions = 2"),
            ("social.alerts", "topics.other_partitions = 2"),
            ("social.interactions.classified", "topics.partitions = 2"),
            ("social.community.changelog", "topics.partitions = 2"),
        ] {
            let change = compared(name, 2, 1, &[]);
            assert_eq!((change.grow_to, change.refused.len()), (None, 1), "{name}");
            assert!(change.refused[0].contains(key), "{change:?}");
        }
        assert!(compared("social.queue.state", 2, 1, &[]).refused[0].contains("stale rows would stay in the old ones"));
        for name in ["social.dead-letters", "social.queue.state", "social.actions"] {
            let change = compared(name, 9, 1, &[]);
            assert!(change.refused[0].contains("Kafka cannot take partitions away"), "{change:?}");
        }
    }

    #[test]
    fn raw_topics_are_their_producers_own() {
        for (partitions, replication) in [(1, 1), (6, 3), (60, 3)] {
            let change = compared("social.posts.raw", partitions, replication, &[]);
            assert_eq!(change.partitions, partitions);
            assert!(Step::Change(change).fits());
        }
    }

    #[test]
    fn other_replicas_are_told_and_left() {
        let change = compared("social.alerts", 3, 2, &[]);
        assert!(change.refused[0].contains("kafka-reassign-partitions"), "{change:?}");
        assert!(change.refused[0].contains("topics.replication = 2"), "{change:?}");
    }

    #[test]
    fn larger_dead_letters_than_asked_for_are_right() {
        let check = |now: &str| compared("social.dead-letters", 3, 1, &[("max.message.bytes", now)]).settings;
        assert_eq!(check("9000000"), []);
        assert_eq!(check("1114112"), []);
        assert_eq!(check("1114111").len(), 1);
        let change = compared("social.dead-letters", 3, 1, &[("max.message.bytes", "9000000"), ("retention.ms", "1")]);
        assert_eq!(change.to_set().into_keys().collect::<Vec<_>>(), ["retention.ms"], "what is right is not lowered");
    }

    #[test]
    fn partitions_and_settings_are_told_together() {
        let change = compared("social.queue.tip", 1, 1, &[("cleanup.policy", "compact")]);
        assert_eq!(change.grow_to, Some(3));
        assert_eq!(
            change.settings,
            [Setting { name: "cleanup.policy".into(), now: "compact".into(), wanted: "delete".into() }]
        );
    }
}
