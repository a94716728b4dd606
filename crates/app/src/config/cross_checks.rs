//! What must be right of several keys together. It is checked once each of them is right by itself.

use record::limits::DEAD_LETTER_EXTRA_BYTES;

use super::{Config, ConfigErrors};

/// How much longer than a transaction a role may be at a commit, in milliseconds: as long as it waits for a call of the library that
/// does not keep to its timeout, and for the rest of its turn.
const BEYOND_TRANSACTION_MS: u64 = 5_000;

/// The configuration, if its keys fit together; else each pair that does not.
pub(super) fn cross_checks(config: Config) -> Result<Config, ConfigErrors> {
    let mut errors = Vec::new();
    times(&config, &mut errors);
    sizes(&config, &mut errors);
    topics(&config, &mut errors);
    groups(&config, &mut errors);
    items(&config, &mut errors);
    notify(&config, &mut errors);
    sink(&config, &mut errors);
    if errors.is_empty() { Ok(config) } else { Err(ConfigErrors(errors)) }
}

fn times(config: &Config, errors: &mut Vec<String>) {
    let transaction = i64::from(config.kafka.transaction_timeout_ms);
    // A transaction is open from one commit to the next, and the commit itself needs time: else brokers abort it.
    for (key, interval) in [
        ("classify.commit_interval_ms", config.classify.commit_interval_ms),
        ("community.commit_interval_ms", config.community.commit_interval_ms),
    ] {
        if i128::from(interval) * 2 > i128::from(transaction) {
            errors.push(format!(
                "{key} is {interval}; at most half of kafka.transaction_timeout_ms ({transaction}) is right: {} here",
                transaction / 2
            ));
        }
    }
    // What an owner waits for within a transaction must leave it time to be committed.
    let mut waits = Vec::new();
    waits.extend(config.registry.as_ref().map(|registry| ("registry.timeout_ms", registry.timeout_ms)));
    waits.extend(config.deep.as_ref().map(|deep| ("deep.wait_ms", deep.wait_ms)));
    for (key, wait) in waits {
        if i128::from(wait) * 2 > i128::from(transaction) {
            errors.push(format!(
                "{key} is {wait}; at most half of kafka.transaction_timeout_ms ({transaction}) is right: {} here",
                transaction / 2
            ));
        }
    }
    // A role that waits for brokers to commit does not turn.
    let alive_from = u64::try_from(transaction).unwrap_or(0) + BEYOND_TRANSACTION_MS;
    if config.alive_ms < alive_from {
        errors.push(format!(
            "telemetry.alive_ms is {}; at least kafka.transaction_timeout_ms + {BEYOND_TRANSACTION_MS} ({alive_from}) is right: a role \
             that waits for brokers as long is alive",
            config.alive_ms
        ));
    }
    // What a replica left open must be over before the group gives its partitions away.
    let session = config.kafka.session_timeout_ms;
    if i64::from(session) <= transaction {
        errors.push(format!(
            "kafka.session_timeout_ms is {session}; above kafka.transaction_timeout_ms ({transaction}) is right"
        ));
    }
}

fn sizes(config: &Config, errors: &mut Vec<String>) {
    let record = config.raw_record_bytes_max;
    let dead_letter = record + DEAD_LETTER_EXTRA_BYTES;
    let in_flight = config.kafka.in_flight_bytes;
    if in_flight < dead_letter {
        errors.push(format!(
            "kafka.in_flight_bytes is {in_flight}; at least limits.raw_record_bytes + {DEAD_LETTER_EXTRA_BYTES} \
             ({dead_letter}) is right: a dead letter must fit"
        ));
    }
    let prefetch = config.kafka.prefetch_bytes;
    if prefetch < record {
        errors.push(format!(
            "kafka.prefetch_bytes is {prefetch}; at least limits.raw_record_bytes ({record}) is right: a record must fit"
        ));
    }
}

fn topics(config: &Config, errors: &mut Vec<String>) {
    let topics = &config.topics;
    let mut names: Vec<(String, String)> = [
        ("posts_raw", &topics.posts_raw),
        ("comments_raw", &topics.comments_raw),
        ("classified", &topics.classified),
        ("queue_state", &topics.queue_state),
        ("metrics", &topics.metrics),
        ("alerts", &topics.alerts),
        ("corrections", &topics.corrections),
        ("actions", &topics.actions),
        ("dead_letters", &topics.dead_letters),
        ("changelog", &topics.changelog),
        ("notify_state", &topics.notify_state),
        ("canary", &topics.canary),
    ]
    .map(|(key, name)| (format!("topics.{key}"), name.clone()))
    .into();
    names.extend(config.communities_topic.iter().map(|name| ("communities.topic".to_owned(), name.clone())));
    for (number, queue) in config.routing.queues().iter().enumerate() {
        names.push((format!("queues[{number}].name"), config.queue_topic(&queue.spec.name)));
    }
    for (at, (key, name)) in names.iter().enumerate() {
        if let Some((first, _)) = names[..at].iter().find(|(_, other)| other == name) {
            errors.push(format!("{key} gives topic {name:?}, as {first} does; a name of its own is right"));
        }
    }
}

/// Members of one group that read different topics would take each other's partitions away.
fn groups(config: &Config, errors: &mut Vec<String>) {
    let mut groups = vec![
        ("classify.group_id".to_owned(), config.classify.group_id.clone()),
        ("community.group_id".to_owned(), config.community.group_id.clone()),
    ];
    groups.extend(config.sink.iter().map(|sink| ("sink.group_id".to_owned(), sink.group_id.clone())));
    for (number, target) in config.notify.targets.iter().enumerate() {
        let key = format!("notify.group_id and notify.targets[{number}].name");
        groups.push((key, format!("{}.{}", config.notify.group_id, target.name)));
    }
    for (at, (key, name)) in groups.iter().enumerate() {
        if let Some((first, _)) = groups[..at].iter().find(|(_, other)| other == name) {
            errors.push(format!("{key} gives group {name:?}, as {first} does; a name of its own is right"));
        }
    }
}

fn items(config: &Config, errors: &mut Vec<String>) {
    if !config.items.auto_replies.is_empty() && !config.classify.keep_text {
        errors.push(
            "items.auto_replies is set and classify.keep_text is false, so no reply has a text to know it by; one of the two is right"
                .to_owned(),
        );
    }
}

fn notify(config: &Config, errors: &mut Vec<String>) {
    let queues: Vec<&str> = config.routing.queues().iter().map(|queue| queue.spec.name.as_str()).collect();
    for (number, target) in config.notify.targets.iter().enumerate() {
        for queue in target.queues.iter().filter(|queue| !queues.contains(&queue.as_str())) {
            errors.push(format!(
                "notify.targets[{number}].queues names {queue:?}; of [[queues]] {} are right",
                queues.join(", ")
            ));
        }
    }
    if config.notify.acknowledge_token.is_some() && config.http_listen.is_none() {
        errors.push(
            "notify.acknowledge_token_file is set and http.listen is empty; an address to serve the endpoint at is right"
                .to_owned(),
        );
    }
}

fn sink(config: &Config, errors: &mut Vec<String>) {
    let Some(sink) = &config.sink else { return };
    let windows: Vec<&str> = config.windows.specs().iter().map(|spec| spec.name.as_str()).collect();
    for name in sink.windows.iter().filter(|name| !windows.contains(&name.as_str())) {
        errors.push(format!("sink.windows names {name:?}; of [[windows]] {} are right", windows.join(", ")));
    }
    // A write may make a connection, be refused for a row, and be made again row by row.
    if sink.timeout_ms * 4 > config.alive_ms {
        errors.push(format!(
            "sink.timeout_ms is {}; at most a quarter of telemetry.alive_ms ({}) is right: {} here",
            sink.timeout_ms,
            config.alive_ms,
            config.alive_ms / 4
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let errors = Config::load(Some(file.path()), []).map(|_| ()).map_err(|errors| errors.0).err();
        assert_eq!(errors.unwrap_or_default(), expected, "{text}");
    }

    #[test]
    fn a_commit_comes_well_within_a_transaction() {
        check("[kafka]\ntransaction_timeout_ms = 1000\n[classify]\ncommit_interval_ms = 500\n", &[]);
        check(
            "[kafka]\ntransaction_timeout_ms = 1000\n[classify]\ncommit_interval_ms = 501\n\
             [community]\ncommit_interval_ms = 10000\n",
            &[
                "classify.commit_interval_ms is 501; at most half of kafka.transaction_timeout_ms (1000) is right: 500 here",
                "community.commit_interval_ms is 10000; at most half of kafka.transaction_timeout_ms (1000) is right: \
                 500 here",
            ],
        );
    }

    #[test]
    fn a_wait_leaves_a_transaction_time() {
        check(
            "[registry]\nurl = \"http://registry:8081\"\ntimeout_ms = 5001\n",
            &["registry.timeout_ms is 5001; at most half of kafka.transaction_timeout_ms (10000) is right: 5000 here"],
        );
    }

    #[test]
    fn a_transaction_ends_before_a_session() {
        check("[kafka]\nsession_timeout_ms = 10001\n", &[]);
        check(
            "[kafka]\nsession_timeout_ms = 10000\n",
            &["kafka.session_timeout_ms is 10000; above kafka.transaction_timeout_ms (10000) is right"],
        );
    }

    #[test]
    fn who_waits_for_brokers_is_alive() {
        let times = |transaction_ms: i32, alive_ms: i32| {
            format!(
                "[kafka]\nsession_timeout_ms = 300000\ntransaction_timeout_ms = {transaction_ms}\n[telemetry]\nalive_ms = {alive_ms}\n"
            )
        };
        check(&times(60_000, 65_000), &[]);
        check(
            &times(60_000, 64_999),
            &[
                "telemetry.alive_ms is 64999; at least kafka.transaction_timeout_ms + 5000 (65000) is right: a role that \
               waits for brokers as long is alive",
            ],
        );
    }

    #[test]
    fn the_largest_record_and_its_dead_letter_fit() {
        check("[limits]\nraw_record_bytes = 33488896\n", &[]);
        check(
            "[limits]\nraw_record_bytes = 33488897\n",
            &[
                "kafka.in_flight_bytes is 33554432; at least limits.raw_record_bytes + 65536 (33554433) is right: a dead \
               letter must fit",
            ],
        );
        check(
            "[kafka]\nprefetch_bytes = 1048576\n[limits]\nraw_record_bytes = 1048577\n",
            &[
                "kafka.prefetch_bytes is 1048576; at least limits.raw_record_bytes (1048577) is right: a record must fit",
            ],
        );
    }

    #[test]
    fn the_sink_writes_windows_that_there_are_and_waits_no_longer_than_it_may() {
        let url = "[sink]\nurl = \"postgresql://a@db/b\"\n";
        check(&format!("{url}windows = [\"1h\"]\n"), &[]);
        check(
            &format!("{url}windows = [\"2h\"]\ntimeout_ms = 8000\n[telemetry]\nalive_ms = 15000\n"),
            &[
                "sink.windows names \"2h\"; of [[windows]] 5m, 1h, 24h, 7d are right",
                "sink.timeout_ms is 8000; at most a quarter of telemetry.alive_ms (15000) is right: 3750 here",
            ],
        );
    }

    #[test]
    fn alerts_are_looked_at_often_enough() {
        let window = |slide_ms: i64| {
            format!("[[windows]]\nname = \"1h\"\nlength_ms = 3600000\nslide_ms = {slide_ms}\nlateness_ms = 0\n")
        };
        check(&window(900_000), &[]);
        for wrong in [500, 3_600_000] {
            let found = format!("windows: the shortest slide_ms is {wrong}");
            let right = "1000 to 900000 is right, since alerts are looked at so often";
            check(&window(wrong), &[&format!("{found}; {right}")]);
        }
    }

    #[test]
    fn each_role_has_a_group_of_its_own() {
        let target = "[[notify.targets]]\nname = \"pr\"\nkind = \"alertmanager\"\nurl = \"http://a:9093/\"\n";
        check(
            &format!(
                "[classify]\ngroup_id = \"s\"\n[community]\ngroup_id = \"s\"\n[sink]\nurl = \"postgresql://a@db/b\"\ngroup_id = \"n.pr\"\n\
                 [notify]\ngroup_id = \"n\"\n{target}"
            ),
            &[
                "community.group_id gives group \"s\", as classify.group_id does; a name of its own is right",
                "notify.group_id and notify.targets[0].name gives group \"n.pr\", as sink.group_id does; a name of its own is right",
            ],
        );
    }

    #[test]
    fn a_reply_by_itself_is_known_by_its_text() {
        let replies = "[items]\nauto_replies = [\"Kami offline\"]\n";
        check(replies, &[]);
        check(
            &format!("{replies}[classify]\nkeep_text = false\n"),
            &[
                "items.auto_replies is set and classify.keep_text is false, so no reply has a text to know it by; one of the two is \
                 right",
            ],
        );
    }

    #[test]
    fn no_topic_is_there_twice() {
        check("[topics]\nprefix = \"uji.\"\nqueue_prefix = \"uji.q.\"\n", &[]);
        check(
            "[topics]\nprefix = \"uji.\"\nmetrics = \"a\"\nalerts = \"uji.a\"\nqueue_state = \"uji.social.queue.tip\"\n",
            &[
                "topics.alerts gives topic \"uji.a\", as topics.metrics does; a name of its own is right",
                "queues[1].name gives topic \"uji.social.queue.tip\", as topics.queue_state does; a name of its own is right",
            ],
        );
    }
}
