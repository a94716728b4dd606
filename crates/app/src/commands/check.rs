//! `sinyal check`: each line ok, or what to do.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use classify::Model;
use kafka_io::admin::{Admin, AdminError};
use pipeline::StateNote;
use record::limits;
use rules::{Communities, Routing};

use crate::cli::{OK, OUTSIDE, say};
use crate::commands::communities::summary;
use crate::commands::permissions;
use crate::commands::schemas;
use crate::commands::sink::ask_database;
use crate::commands::state_notes::{about_rotation, about_versions, state_notes};
use crate::commands::topics::acls::Duty;
use crate::commands::topics::plan::{Change, Desired, Role, Step, plan};
use crate::communities::read_topic;
use crate::config::{Config, MAKE_SECRET, ROTATION_STATE_VERSION};
use crate::registry::Registry;
use crate::roles::ask_target;
use crate::telemetry::start_logging;

/// Most communities of a target that are named.
const NAMED_MAX: usize = 5;

/// Arguments of `sinyal check`.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Also whether this user may do all that these roles and commands need on Kafka, by commas.
    #[arg(long = "role", value_name = "ROLE", value_delimiter = ',')]
    roles: Vec<Duty>,
}

/// Collects findings, and remembers whether all are right.
struct Findings {
    right: bool,
    lines: Vec<String>,
}

/// Most communities with a refused record that are shown.
const REFUSED_SHOWN_MAX: usize = 3;

impl Findings {
    fn say(&mut self, what: &str, finding: Result<String, String>) {
        match finding {
            Ok(detail) => self.lines.push(format!("ok    {what}: {detail}")),
            Err(todo) => {
                self.right = false;
                self.lines.push(format!("TO DO {what}: {todo}"));
            }
        }
    }
}

pub(crate) fn run(args: CheckArgs, config: &Config) -> Result<u8> {
    start_logging("off", "auto")?;
    let mut findings = Findings { right: true, lines: Vec::new() };
    findings.say("configuration", Ok(format!("instance {}", config.instance_id)));
    findings.say(
        "pseudonym secret",
        match &config.pseudonym_secret {
            Some(secret) => Ok(format!("{} bytes, version {}", secret.bytes().len(), config.pseudonym_version)),
            None => Err(format!("pseudonym.secret_file names no file; {MAKE_SECRET}")),
        },
    );
    let (communities, registry) = check_communities(config);
    findings.say("communities", registry);
    findings.say("routing", Ok(about_routing(&config.routing, &communities)));
    findings.say("model", Ok(Model::embedded().version().to_owned()));
    check_kafka(config, &args.roles, &mut findings)?;
    check_registry(config, &mut findings);
    for target in &config.notify.targets {
        let answer = ask_target(target, config.notify.timeout_ms);
        let about = unlisted(target.alerts.iter().flat_map(|filter| &filter.communities), &communities);
        findings.say(&format!("target {}", target.name), answer.map(|answer| answer + &about));
    }
    if let Some(sink) = &config.sink {
        findings.say("sink", ask_database(sink).map_err(|error| format!("{error:#}")));
    }
    say(findings.lines.join("\n"))?;
    Ok(if findings.right { OK } else { OUTSIDE })
}

/// The registry of communities as it is now, and how it stands.
fn check_communities(config: &Config) -> (Communities, Result<String, String>) {
    let communities = config.communities.clone();
    let about = summary(&communities);
    let finding = match (&config.communities_file, &config.communities_topic) {
        (Some(file), _) => Ok(format!("{about}, from {}", file.display())),
        (None, None) => Ok(format!("communities.file and communities.topic name nothing: {about}")),
        (None, Some(topic)) => match read_topic(config, topic) {
            Ok((communities, refused)) => {
                let about = format!("{}, from topic {topic}", summary(&communities));
                let told: Vec<String> = refused.iter().take(REFUSED_SHOWN_MAX).map(ToString::to_string).collect();
                let finding = match refused.len() {
                    0 => Ok(about),
                    many => Err(format!(
                        "{about}; of {many} communities the newest record is refused, and what stood there before holds as long \
                         as it is there: {}. `sinyal communities put FILE` writes them anew",
                        told.join("; ")
                    )),
                };
                return (communities, finding);
            }
            Err(error) => Err(format!("{error:#}")),
        },
    };
    (communities, finding)
}

/// How many queues there are, which of them say when an answer is due, and how many rules send to them. A rule may name a
/// community that the registry does not list, but then it may be misspelt.
fn about_routing(routing: &Routing, communities: &Communities) -> String {
    let due = routing.queues().iter().filter(|queue| queue.spec.sla.is_some()).count();
    let (queues, rules) = (routing.queues().len(), routing.rules().len());
    let mut about = format!("{queues} queues, {due} of them with a service level; {rules} rules");
    for rule in routing.rules().iter().filter(|_| !communities.is_empty()) {
        let unlisted = rule.spec().when.communities.iter().find(|id| communities.listed(id).is_none());
        if let Some(id) = unlisted {
            about.push_str(&format!("; rule {:?} names {id:?}, which the registry does not list", rule.spec().name));
        }
    }
    about
}

/// Communities of a target that the registry does not list; they may be misspelt.
fn unlisted<'a>(named: impl Iterator<Item = &'a String>, communities: &Communities) -> String {
    let named = named.filter(|_| !communities.is_empty());
    let unlisted: Vec<String> =
        named.filter(|id| communities.listed(id).is_none()).take(NAMED_MAX).map(|id| format!("{id:?}")).collect();
    match unlisted.is_empty() {
        true => String::new(),
        false => format!("; it names {}, which the registry does not list", unlisted.join(", ")),
    }
}

fn check_kafka(config: &Config, roles: &[Duty], findings: &mut Findings) -> Result<()> {
    let admin = Admin::new(config.connection(), Duration::from_secs(10))?;
    let (known, brokers) = match admin.topics() {
        Ok(found) => found,
        Err(error) => {
            let hint = match error {
                AdminError::NotLetIn { .. } => "are kafka.properties and kafka.property_files right?",
                _ => "is kafka.bootstrap right?",
            };
            findings.say("brokers", Err(format!("{error}; {hint}")));
            return Ok(());
        }
    };
    findings.say("brokers", Ok(format!("{brokers} at {}", config.connection().bootstrap)));
    for duty in roles {
        findings.say(&format!("permissions of {}", duty.as_str()), permissions::of_duty(&admin, config, *duty));
    }
    if roles.is_empty() {
        // Older brokers do not tell, and the embedded one.
        let told = permissions::in_short(&admin, config).unwrap_or_else(|error| format!("not told: {error}"));
        findings.say("permissions", Ok(told));
    }
    match plan(&admin, config) {
        Ok(steps) => {
            for (desired, step) in steps {
                findings.say(&format!("topic {}", desired.spec.name), about_topic(&desired, &step));
            }
        }
        Err(error) => findings.say("topics", Err(error.to_string())),
    }
    check_sizes(&admin, config, findings);
    // What the community stage reads together must be cut alike, whatever the configuration asks for.
    let count = |name: &str| known.iter().find(|topic| topic.name == name).map(|topic| topic.partitions);
    let names =
        [&config.topics.classified, &config.topics.corrections, &config.topics.actions, &config.topics.changelog];
    let counts: Vec<Option<i32>> = names.iter().map(|name| count(name)).collect();
    // Without the changelog there is no state, which is told of the topic.
    if counts.last().is_some_and(Option::is_some) {
        let notes = state_notes(config);
        findings.say("state", notes.clone().and_then(|notes| about_versions(&notes, config.state_version)));
        if config.previous_pseudonym.is_some() {
            let horizon_ms = config.windows.horizon_ms();
            findings.say("rotation of the secret", notes.and_then(|notes| rotation(&notes, horizon_ms)));
        }
    }
    if counts.iter().all(Option::is_some) {
        let alike = counts.windows(2).all(|pair| pair[0] == pair[1]);
        findings.say(
            "inputs of the community stage",
            if alike {
                Ok("equal partition counts".to_owned())
            } else {
                let shown: Vec<String> =
                    names.iter().zip(&counts).map(|(name, count)| format!("{name} {}", count.unwrap_or(0))).collect();
                Err(format!("partition counts differ ({}); they must be equal", shown.join(", ")))
            },
        );
    }
    Ok(())
}

/// How a rotation stands. Where the state is not raised yet nothing can be linked.
fn rotation(notes: &BTreeMap<i32, StateNote>, horizon_ms: i64) -> Result<String, String> {
    let too_old = notes.values().filter(|note| note.version < ROTATION_STATE_VERSION).count();
    match too_old {
        0 => Ok(about_rotation(notes, horizon_ms)),
        many => Err(format!(
            "the state of {many} partitions is older than version {ROTATION_STATE_VERSION}: roll the community role with \
             state.version = {ROTATION_STATE_VERSION} first, then the classify role with the new secret"
        )),
    }
}

/// How a topic stands, or everything that is to be done about it.
fn about_topic(desired: &Desired, step: &Step) -> Result<String, String> {
    let change = match step {
        Step::Create => return Err("missing; `sinyal topics apply` makes it".to_owned()),
        Step::Change(change) => change,
    };
    if step.fits() {
        let whose = if desired.role == Role::Raw { ", its producers' own" } else { "" };
        return Ok(format!("{} partitions, {} replicas{whose}", change.partitions, change.replication));
    }
    Err(todo(change).join("; "))
}

fn todo(change: &Change) -> Vec<String> {
    let mut todo = Vec::new();
    if let Some(partitions) = change.grow_to {
        todo.push(format!(
            "{} partitions, {partitions} are configured; `sinyal topics apply` adds them",
            change.partitions
        ));
    }
    if !change.settings.is_empty() {
        let differ: Vec<String> = change
            .settings
            .iter()
            .map(|setting| format!("{} is {:?}, {:?} is right", setting.name, setting.now, setting.wanted))
            .collect();
        todo.push(format!("{}; `sinyal topics apply` sets it", differ.join(", ")));
    }
    todo.extend(change.refused.iter().cloned());
    todo
}

/// What a batch of one record needs besides its key and value, at least (Kafka's message format, version 2).
const BATCH_HEADER_BYTES: usize = 61 + 7;

/// A dead letter holds the whole raw record: what a raw topic lets in must fit.
fn check_sizes(admin: &Admin, config: &Config, findings: &mut Findings) {
    let bytes = |topic: &str| -> Option<usize> { admin.config(topic).ok()?.get("max.message.bytes")?.parse().ok() };
    let Some(dead_letters) = bytes(&config.topics.dead_letters) else { return };
    for topic in [&config.topics.posts_raw, &config.topics.comments_raw] {
        // The limit is on a batch, whose own header takes some of it.
        let Some(raw) = bytes(topic).map(|bytes| bytes.saturating_sub(BATCH_HEADER_BYTES)) else { continue };
        let limit = config.raw_record_bytes_max;
        let room = dead_letters.saturating_sub(limits::DEAD_LETTER_EXTRA_BYTES);
        findings.say(
            &format!("size of records in {topic}"),
            if raw > limit {
                Err(format!(
                    "it lets in {raw} bytes, limits.raw_record_bytes is {limit}: larger records become dead letters, cut to \
                     {limit} bytes; set limits.raw_record_bytes = {raw}, or the topic's max.message.bytes to {limit}"
                ))
            } else if raw > room {
                Err(format!("it lets in {raw} bytes; {} takes {room}: `sinyal topics apply` sets it", config.topics.dead_letters))
            } else {
                Ok(format!("at most {raw} bytes; dead letters may hold {room}"))
            },
        );
    }
}

fn check_registry(config: &Config, findings: &mut Findings) {
    let Some(settings) = &config.registry else {
        findings.say("registry", Ok("none is configured; single-object encoding".to_owned()));
        return;
    };
    let registry = Registry::new(settings);
    for (topic, schema) in schemas::subjects(config) {
        let subject = format!("{topic}-value");
        let finding = match schemas::state(&registry, &subject, schema) {
            Ok((true, what)) => Ok(what),
            Ok((false, what)) => Err(what),
            Err(error) => Err(error.to_string()),
        };
        findings.say(&format!("subject {subject}"), finding);
    }
}

#[cfg(test)]
mod tests {
    use kafka_io::admin::TopicSpec;
    use rules::{CommunitySpec, Conditions, RuleSpec};

    use super::*;
    use crate::commands::topics::plan::Setting;

    #[test]
    fn a_rule_for_a_community_that_is_not_listed_is_told() {
        let listed = CommunitySpec { id: "a".to_owned(), ..CommunitySpec::default() };
        let communities = Communities::new(&CommunitySpec::default(), &[listed]).unwrap();
        let rule = |name: &str, community: &str| RuleSpec {
            name: name.to_owned(),
            when: Conditions { communities: [community.to_owned()].into(), ..Conditions::default() },
            queue: "tip".to_owned(),
            department: None,
            sla: None,
        };
        let routing = Routing::standard().with_rules(vec![rule("one", "a"), rule("two", "aa")]).unwrap();
        let about = "5 queues, 0 of them with a service level; 2 rules";
        assert_eq!(
            about_routing(&routing, &communities),
            format!("{about}; rule \"two\" names \"aa\", which the registry does not list")
        );
        assert_eq!(about_routing(&routing, &Communities::standard()), about);
    }

    #[test]
    fn communities_of_a_target_that_are_not_listed_are_told() {
        let listed = CommunitySpec { id: "a".to_owned(), ..CommunitySpec::default() };
        let communities = Communities::new(&CommunitySpec::default(), &[listed]).unwrap();
        let named = ["a".to_owned(), "aa".to_owned()];
        assert_eq!(unlisted(named[..1].iter(), &communities), "");
        assert_eq!(unlisted(named.iter(), &communities), "; it names \"aa\", which the registry does not list");
        assert_eq!(unlisted(named.iter(), &Communities::standard()), "", "there is no registry");
    }

    #[test]
    fn a_topic_is_ok_or_everything_to_do_is_told() {
        let desired = |role: Role| Desired {
            spec: TopicSpec { name: "a".to_owned(), partitions: 6, replication: 3, config: Default::default() },
            role,
        };
        let fits = Change { partitions: 9, replication: 2, grow_to: None, settings: Vec::new(), refused: Vec::new() };
        assert_eq!(
            about_topic(&desired(Role::Raw), &Step::Change(fits.clone())),
            Ok("9 partitions, 2 replicas, its producers' own".to_owned())
        );
        assert!(about_topic(&desired(Role::Appended), &Step::Create).is_err());
        let settings = vec![Setting { name: "retention.ms".into(), now: "1".into(), wanted: "2".into() }];
        let much = Change { grow_to: Some(12), settings, refused: vec!["too few replicas".to_owned()], ..fits };
        assert_eq!(
            about_topic(&desired(Role::Appended), &Step::Change(much)),
            Err("9 partitions, 12 are configured; `sinyal topics apply` adds them; retention.ms is \"1\", \"2\" is right; \
                 `sinyal topics apply` sets it; too few replicas"
                .to_owned())
        );
    }
}
