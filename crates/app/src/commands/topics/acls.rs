//! What each role and command may have to be allowed on Kafka, and nothing more: derived from the configuration, proved sufficient
//! and necessary on a real broker (`tests/tests/operate/acls`).

use std::collections::{BTreeMap, BTreeSet};

use kafka_io::acl::{Operation, Resource};

use super::plan::{Role as TopicRole, desired};
use crate::config::{Config, Target};

/// Who works on Kafka: a role of the service, or those who run some commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub(crate) enum Duty {
    /// `run --role classify`.
    Classify,
    /// `run --role community`.
    Community,
    /// `run --role notify`.
    Notify,
    /// `run --role sink`.
    Sink,
    /// `ingest`.
    Ingest,
    /// `queue`, `alerts`, `corrections add|import`; `tail` and `explain` of what waits.
    Responder,
    /// `fairness`, `corrections export`; `tail` and `explain` of what was counted.
    Analyst,
    /// `topics plan|apply`, `check`.
    Topics,
    /// `status`.
    Status,
    /// `dlq`.
    Dlq,
    /// `erase`.
    Erase,
    /// `communities list|put`, where the registry is a topic.
    Communities,
    /// `reprocess --generation`.
    Reprocess,
}

impl Duty {
    pub(crate) const ALL: [Duty; 13] = [
        Duty::Classify,
        Duty::Community,
        Duty::Notify,
        Duty::Sink,
        Duty::Ingest,
        Duty::Responder,
        Duty::Analyst,
        Duty::Topics,
        Duty::Status,
        Duty::Dlq,
        Duty::Erase,
        Duty::Communities,
        Duty::Reprocess,
    ];

    /// Its name, as `--role` takes it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Duty::Classify => "classify",
            Duty::Community => "community",
            Duty::Notify => "notify",
            Duty::Sink => "sink",
            Duty::Ingest => "ingest",
            Duty::Responder => "responder",
            Duty::Analyst => "analyst",
            Duty::Topics => "topics",
            Duty::Status => "status",
            Duty::Dlq => "dlq",
            Duty::Erase => "erase",
            Duty::Communities => "communities",
            Duty::Reprocess => "reprocess",
        }
    }
}

/// Something that is to be allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Right {
    pub(crate) resource: Resource,
    /// The resource's name is what names begin with.
    pub(crate) prefixed: bool,
    pub(crate) operation: Operation,
}

/// Rights as they are collected; what another implies is not among them.
#[derive(Debug, Default)]
struct Rights(BTreeMap<(Resource, bool), BTreeSet<Operation>>);

impl Rights {
    fn allow(&mut self, resource: Resource, prefixed: bool, operation: Operation) {
        let operations = self.0.entry((resource, prefixed)).or_default();
        if operations.iter().any(|there| there.implies(operation)) {
            return;
        }
        operations.retain(|there| !operation.implies(*there));
        operations.insert(operation);
    }

    fn topic(&mut self, name: &str, operation: Operation) {
        self.allow(Resource::Topic(name.to_owned()), false, operation);
    }

    fn read(&mut self, name: &str) {
        self.topic(name, Operation::Read);
    }

    fn write(&mut self, name: &str) {
        self.topic(name, Operation::Write);
    }

    fn group(&mut self, id: &str, operation: Operation) {
        self.allow(Resource::Group(id.to_owned()), false, operation);
    }

    /// Transactions of every instance of a role: the id ends in the instance's name.
    fn transactions(&mut self, group: &str, role: &str) {
        self.allow(Resource::TransactionalId(format!("{group}.{role}.")), true, Operation::Write);
    }

    fn all(self) -> Vec<Right> {
        let each = self.0.into_iter().flat_map(|((resource, prefixed), operations)| {
            operations.into_iter().map(move |operation| Right { resource: resource.clone(), prefixed, operation })
        });
        each.collect()
    }
}

/// What a duty needs; `next` is the generation that is rebuilt, without which [`Duty::Reprocess`] needs nothing.
pub(crate) fn rights(duty: Duty, config: &Config, next: Option<&Config>) -> Vec<Right> {
    let topics = &config.topics;
    let mut rights = Rights::default();
    match duty {
        Duty::Classify => classify(config, &mut rights),
        Duty::Community => community(config, &mut rights),
        Duty::Notify => notify(config, &mut rights),
        Duty::Sink => {
            [&topics.metrics, &topics.alerts, &topics.queue_state].into_iter().for_each(|topic| rights.read(topic));
            rights.group(&sink_group(config), Operation::Read);
        }
        Duty::Ingest => [&topics.posts_raw, &topics.comments_raw].into_iter().for_each(|topic| rights.write(topic)),
        Duty::Responder => {
            [&topics.queue_state, &topics.alerts].into_iter().for_each(|topic| rights.read(topic));
            queue_topics(config).iter().for_each(|topic| rights.read(topic));
            [&topics.actions, &topics.corrections].into_iter().for_each(|topic| rights.write(topic));
            registry(config, &mut rights);
        }
        Duty::Analyst => {
            let read = [&topics.queue_state, &topics.actions, &topics.classified, &topics.corrections, &topics.metrics];
            read.into_iter().for_each(|topic| rights.read(topic));
            registry(config, &mut rights);
        }
        Duty::Topics => {
            for topic in desired(config) {
                let name = &topic.spec.name;
                rights.topic(name, Operation::Create);
                rights.topic(name, Operation::Describe);
                rights.topic(name, Operation::DescribeConfigs);
                match topic.role {
                    TopicRole::Raw => {}
                    TopicRole::ReadTogether | TopicRole::Compacted => rights.topic(name, Operation::AlterConfigs),
                    TopicRole::Appended => {
                        rights.topic(name, Operation::AlterConfigs);
                        rights.topic(name, Operation::Alter);
                    }
                }
            }
            // `check` tells the version of the state.
            rights.read(&topics.changelog);
            registry(config, &mut rights);
        }
        Duty::Status => {
            observer(config, &mut rights);
            // It tells the version of the state.
            rights.read(&topics.changelog);
        }
        Duty::Dlq => {
            rights.read(&topics.dead_letters);
            // What was redriven has a receipt there.
            rights.write(&topics.dead_letters);
            let inputs =
                [&topics.posts_raw, &topics.comments_raw, &topics.classified, &topics.corrections, &topics.actions];
            inputs.into_iter().for_each(|topic| rights.write(topic));
        }
        Duty::Erase => {
            let read =
                [&topics.classified, &topics.queue_state, &topics.changelog, &topics.alerts, &topics.corrections];
            read.into_iter().chain([&topics.actions]).for_each(|topic| rights.read(topic));
            // Where authors stand by their ids; `--no-raw` does without.
            [&topics.posts_raw, &topics.comments_raw].into_iter().for_each(|topic| rights.read(topic));
            queue_topics(config).iter().for_each(|topic| rights.read(topic));
            rights.write(&topics.actions);
            // Its report tells how long each topic is kept.
            let told = [&topics.posts_raw, &topics.comments_raw, &topics.dead_letters].into_iter().chain(read);
            told.chain([&topics.actions]).for_each(|topic| rights.topic(topic, Operation::DescribeConfigs));
            queue_topics(config).iter().for_each(|topic| rights.topic(topic, Operation::DescribeConfigs));
        }
        Duty::Communities => {
            registry(config, &mut rights);
            config.communities_topic.iter().for_each(|topic| rights.write(topic));
        }
        Duty::Reprocess => next.into_iter().for_each(|next| reprocess(config, next, &mut rights)),
    }
    rights.all()
}

fn classify(config: &Config, rights: &mut Rights) {
    let topics = &config.topics;
    [&topics.posts_raw, &topics.comments_raw].into_iter().for_each(|topic| rights.read(topic));
    [&topics.classified, &topics.dead_letters].into_iter().for_each(|topic| rights.write(topic));
    queue_topics(config).iter().for_each(|topic| rights.write(topic));
    rights.group(&config.classify.group_id, Operation::Read);
    if config.classify.exactly_once {
        rights.transactions(&config.classify.group_id, "classify");
    }
    registry(config, rights);
}

fn community(config: &Config, rights: &mut Rights) {
    let topics = &config.topics;
    let read = [&topics.classified, &topics.corrections, &topics.actions, &topics.changelog];
    read.into_iter().for_each(|topic| rights.read(topic));
    let written =
        [&topics.changelog, &topics.metrics, &topics.queue_state, &topics.alerts, &topics.dead_letters, &topics.canary];
    written.into_iter().for_each(|topic| rights.write(topic));
    // Their partitions are the sources of event time.
    for topic in [&topics.posts_raw, &topics.comments_raw] {
        rights.topic(topic, Operation::Describe);
    }
    rights.group(&config.community.group_id, Operation::Read);
    rights.transactions(&config.community.group_id, "community");
    registry(config, rights);
}

fn notify(config: &Config, rights: &mut Rights) {
    let (topics, notify) = (&config.topics, &config.notify);
    for Target { name, alerts, queues, .. } in &notify.targets {
        rights.group(&format!("{}.{name}", notify.group_id), Operation::Read);
        if alerts.is_some() {
            rights.read(&topics.alerts);
        }
        queues.iter().for_each(|queue| rights.read(&config.queue_topic(queue)));
    }
    if !notify.targets.is_empty() {
        rights.read(&topics.notify_state);
        rights.write(&topics.notify_state);
        rights.write(&topics.dead_letters);
        observer(config, rights);
        // The first that is told of alerts sends canaries, where something seals them.
        let sends = notify.targets.iter().any(|target| target.alerts.is_some());
        if sends && config.canary.interval_ms.is_some() && config.pseudonym_secret.is_some() {
            [&topics.posts_raw, &topics.comments_raw, &topics.canary].into_iter().for_each(|topic| rights.write(topic));
        }
    }
    if notify.acknowledge_token.is_some() {
        rights.write(&topics.actions);
    }
    registry(config, rights);
}

/// What is looked at to know how the pipeline stands. Records before the end of a log are read to tell them from markers of
/// transactions; of dead letters, the reasons.
fn observer(config: &Config, rights: &mut Rights) {
    let topics = &config.topics;
    let read = [
        &topics.posts_raw,
        &topics.comments_raw,
        &topics.classified,
        &topics.corrections,
        &topics.actions,
        &topics.metrics,
        &topics.dead_letters,
        &topics.canary,
    ];
    read.into_iter().for_each(|topic| rights.read(topic));
    [&config.classify.group_id, &config.community.group_id]
        .into_iter()
        .for_each(|group| rights.group(group, Operation::Describe));
}

/// Both stages of the generation that is rebuilt, its topics, and what people said, which is copied into it.
fn reprocess(now: &Config, next: &Config, rights: &mut Rights) {
    classify(next, rights);
    community(next, rights);
    let there: BTreeSet<String> = desired(now).into_iter().map(|topic| topic.spec.name).collect();
    for topic in desired(next) {
        let name = &topic.spec.name;
        rights.topic(name, Operation::Describe);
        rights.topic(name, Operation::DescribeConfigs);
        if !there.contains(name) {
            rights.topic(name, Operation::Create);
        }
    }
    [&now.topics.corrections, &now.topics.actions].into_iter().for_each(|topic| rights.read(topic));
    [&next.topics.corrections, &next.topics.actions].into_iter().for_each(|topic| rights.write(topic));
}

/// The registry of communities, where it is a topic.
fn registry(config: &Config, rights: &mut Rights) {
    config.communities_topic.iter().for_each(|topic| rights.read(topic));
}

fn queue_topics(config: &Config) -> Vec<String> {
    config.routing.queues().iter().map(|queue| config.queue_topic(&queue.spec.name)).collect()
}

/// The consumer group of the sink.
fn sink_group(config: &Config) -> String {
    match &config.sink {
        Some(sink) => sink.group_id.clone(),
        // Where there is no database yet: the default.
        None if config.generation.is_empty() => "sinyal-sink".to_owned(),
        None => format!("sinyal-sink.{}", config.generation),
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

    fn shown(rights: &[Right]) -> Vec<String> {
        let shown = |right: &Right| {
            let star = if right.prefixed { "*" } else { "" };
            format!("{} {}{star}", right.operation.as_str(), right.resource)
        };
        rights.iter().map(shown).collect()
    }

    #[test]
    fn classify_needs_what_it_reads_and_writes_and_no_more() {
        assert_eq!(
            shown(&rights(Duty::Classify, &config(""), None)),
            [
                "Read topic social.comments.raw",
                "Write topic social.dead-letters",
                "Write topic social.interactions.classified",
                "Read topic social.posts.raw",
                "Write topic social.queue.complaint",
                "Write topic social.queue.experience",
                "Write topic social.queue.praise",
                "Write topic social.queue.review",
                "Write topic social.queue.tip",
                "Read group sinyal-classify",
                "Write transactional-id sinyal-classify.classify.*",
            ]
        );
        let without = rights(Duty::Classify, &config("classify.delivery = \"at_least_once\"\n"), None);
        assert!(!shown(&without).iter().any(|right| right.contains("transactional")), "{without:?}");
    }

    #[test]
    fn what_is_implied_is_not_listed() {
        let both = rights(Duty::Community, &config(""), None);
        let of_changelog = both.iter().filter(|right| right.resource.name() == "social.community.changelog");
        assert_eq!(of_changelog.map(|right| right.operation).collect::<Vec<_>>(), [Operation::Read, Operation::Write]);
        for duty in Duty::ALL {
            for right in rights(duty, &config(""), Some(&config("topics.generation = \"g2\"\n"))) {
                let others = rights(duty, &config(""), None);
                let implied = others.iter().any(|other| {
                    other.resource == right.resource
                        && other.operation != right.operation
                        && other.operation.implies(right.operation)
                });
                assert!(!implied, "{duty:?} {right:?}");
            }
        }
    }

    #[test]
    fn dead_letters_are_read_by_those_who_must() {
        let config = config("[[notify.targets]]\nname = \"pager\"\nkind = \"alertmanager\"\nurl = \"http://a\"\n");
        let readers = Duty::ALL.into_iter().filter(|duty| {
            let rights = rights(*duty, &config, None);
            rights
                .iter()
                .any(|right| right.resource.name() == "social.dead-letters" && right.operation == Operation::Read)
        });
        assert_eq!(readers.collect::<Vec<_>>(), [Duty::Notify, Duty::Status, Duty::Dlq]);
    }

    #[test]
    fn only_who_sends_canaries_may_write_into_the_raw_topics() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz").unwrap();
        let secret = format!("secret_file = \"{}\"\n", file.path().display());
        let sealed = format!("pseudonym.{secret}");
        let target = format!("[[notify.targets]]\nname = \"desk\"\nkind = \"webhook\"\nurl = \"http://a\"\n{secret}");
        let writes = |text: &str| -> Vec<String> {
            let rights = shown(&rights(Duty::Notify, &config(text), None));
            rights.into_iter().filter(|right| right.starts_with("Write") && !right.contains("notify")).collect()
        };
        let canaries = [
            "Write topic social.canary",
            "Write topic social.comments.raw",
            "Write topic social.dead-letters",
            "Write topic social.posts.raw",
        ];
        assert_eq!(writes(&format!("{sealed}{target}")), canaries);
        let without = ["Write topic social.dead-letters"];
        assert_eq!(writes(&target), without, "nothing seals them");
        assert_eq!(writes(&format!("{sealed}canary.interval_ms = 0\n{target}")), without);
        let items = "alerts = false\nqueues = [\"complaint\"]\n";
        assert_eq!(writes(&format!("{sealed}{target}{items}")), without, "nobody is told of alerts");
    }

    #[test]
    fn whoever_erases_may_send_actions_and_change_nothing_else() {
        let rights = rights(Duty::Erase, &config(""), None);
        let raw: Vec<Right> = rights.iter().filter(|right| right.resource.name().ends_with(".raw")).cloned().collect();
        let raw = shown(&raw);
        let expected = ["comments", "posts"]
            .map(|kind| ["Read", "DescribeConfigs"].map(|right| format!("{right} topic social.{kind}.raw")))
            .concat();
        assert_eq!(raw, expected, "it looks there for what was said under the name, and leaves it to retention");
        let writes: Vec<&str> = rights
            .iter()
            .filter(|right| right.operation == Operation::Write)
            .map(|right| right.resource.name())
            .collect();
        assert_eq!(writes, ["social.actions"]);
        let read =
            |name: &str| rights.iter().any(|right| right.resource.name() == name && right.operation == Operation::Read);
        assert!(read("social.queue.complaint") && read("social.community.changelog") && !read("social.dead-letters"));
    }

    #[test]
    fn a_rebuild_may_make_the_new_topics_and_read_what_people_said() {
        let (now, next) = (config(""), config("topics.generation = \"g2\"\n"));
        assert!(rights(Duty::Reprocess, &now, None).is_empty());
        let rights = shown(&rights(Duty::Reprocess, &now, Some(&next)));
        for expected in [
            "Create topic g2.social.corrections",
            "Write topic g2.social.actions",
            "Read topic social.corrections",
            "DescribeConfigs topic social.posts.raw",
            "Read group sinyal-community.g2",
            "Write transactional-id sinyal-community.g2.community.*",
        ] {
            assert!(rights.iter().any(|right| right == expected), "{expected}: {rights:#?}");
        }
        assert!(!rights.iter().any(|right| right == "Create topic social.posts.raw"), "{rights:#?}");
        assert!(!rights.iter().any(|right| right.contains("topic social.interactions.classified")), "{rights:#?}");
    }
}
