//! What was typed becomes what is meant.

use std::path::PathBuf;

use kafka_io::Connection;
use pipeline::KeyFormat;
use rules::Communities;
use rules::alerts::STEP_MS;
use toml::Table;
use window::{WindowSet, WindowSpec};
use wire::RawFormat;

use super::access::{Typed, access, is_address};
use super::alerts::alerts;
use super::blindness::blindness;
use super::canary::canary;
use super::cross_checks::cross_checks;
use super::notify::notify;
use super::properties::properties;
use super::pseudonyms::pseudonyms;
use super::reader::{Reader, Shape};
use super::redact::redact;
use super::routing::routing;
use super::sink::sink;
use super::state::state_version;
use super::traces::traces;
use super::{Classify, Community, Config, ConfigErrors, Deep, Items, Kafka, RegistrySettings, Source, Topics};

pub(super) fn validate(typed: &Table) -> Result<Config, ConfigErrors> {
    take(Reader::new(typed)).0
}

/// What each key is to be that is no item of a list.
pub(super) fn shapes(typed: &Table) -> Vec<(String, Shape)> {
    take(Reader::new(typed)).1
}

fn take(mut reader: Reader<'_>) -> (Result<Config, ConfigErrors>, Vec<(String, Shape)>) {
    let config = all(&mut reader);
    (config, reader.asked)
}

fn all(reader: &mut Reader<'_>) -> Result<Config, ConfigErrors> {
    let kafka = kafka(reader);
    let instance = reader.text("instance.id");
    let generation = generation(reader);
    let topics = topics(reader, &generation);
    let raw_format = reader.choice("raw.format", &[("avro", RawFormat::Avro), ("json", RawFormat::Json)]);
    let key_format = reader.choice("raw.key_format", &[("none", KeyFormat::None), ("identity", KeyFormat::Identity)]);
    let registry = registry(reader);
    let state_version = state_version(reader);
    let (secret, pseudonym_version, previous_pseudonym) = pseudonyms(reader, state_version);
    let raw_record_bytes_max = reader.number("limits.raw_record_bytes", 1_024, 67_108_864);
    let future_ms_max = reader.number("limits.future_ms", 0, 86_400_000);
    let classify = Classify {
        group_id: group(reader, "classify.group_id", &generation),
        exactly_once: reader.choice("classify.delivery", &[("exactly_once", true), ("at_least_once", false)]),
        commit_interval_ms: reader.number("classify.commit_interval_ms", 10, 10_000),
        threshold: threshold(reader, "classify.threshold"),
        keep_text: reader.boolean("classify.keep_text"),
        redact: redact(reader),
    };
    let deep = deep(reader);
    let community = Community {
        group_id: group(reader, "community.group_id", &generation),
        commit_interval_ms: reader.number("community.commit_interval_ms", 10, 10_000),
        ids_max: reader.number("community.ids_max", 1_000, 100_000_000),
        communities_max: reader.number("community.communities_max", 1, 10_000_000),
        remember_days: reader.number("community.remember_days", 0, 3_650),
        members_max: reader.number("community.members_max", 1_000, 100_000_000),
        parked_max: reader.number("community.parked_max", 0, 10_000_000),
    };
    let items = Items {
        max: reader.number("items.max", 1_000, 100_000_000),
        keep_closed_hours: reader.number("items.keep_closed_hours", 1, 2_160),
        expire_days: reader.number("items.expire_days", 1, 3_650),
        claim_minutes: reader.number("items.claim_minutes", 1, 10_080),
        auto_replies: reader.texts("items.auto_replies", 100),
    };
    let notify = notify(reader, &generation);
    let disorder_ms = reader.number("watermark.disorder_ms", 0, 3_600_000);
    let hold_ms_max = reader.number("watermark.max_hold_ms", 1_000, 86_400_000);
    let blindness = blindness(reader, hold_ms_max);
    let http_listen = http(reader);
    let log = log(reader);
    let sink = sink(reader, &generation);
    let canary = canary(reader);
    let log_format = reader.choice("telemetry.log_format", &[("text", "text"), ("json", "json"), ("auto", "auto")]);
    let alive_ms = reader.number("telemetry.alive_ms", 1_000, 600_000);
    let windows = windows(reader);
    let traces = traces(reader);
    let step_ms = windows.as_ref().and_then(|windows| windows.specs().iter().map(|spec| spec.slide_ms).min());
    let alerts = alerts(reader, step_ms.unwrap_or(10_000));
    let routing = routing(reader);
    let communities = communities(reader);
    let communities_topic = communities_topic(reader);
    let instance_lasts = !instance.is_empty();
    let instance_id = if instance_lasts { instance } else { random_name() };
    match (reader.errors.is_empty(), windows, routing, communities) {
        (true, Some(windows), Some(routing), Some((communities, communities_file))) => cross_checks(Config {
            source: Source::default(),
            kafka,
            instance_id,
            instance_lasts,
            generation,
            topics,
            raw_format,
            key_format,
            registry,
            pseudonym_secret: secret,
            pseudonym_version,
            previous_pseudonym,
            state_version,
            raw_record_bytes_max,
            future_ms_max,
            classify,
            deep,
            community,
            items,
            alerts,
            notify,
            disorder_ms,
            hold_ms_max,
            blindness,
            sink,
            canary,
            http_listen,
            log,
            log_format: log_format.to_owned(),
            alive_ms,
            traces,
            windows,
            routing,
            communities,
            communities_file,
            communities_topic,
        }),
        _ => Err(ConfigErrors(std::mem::take(&mut reader.errors))),
    }
}

fn kafka(reader: &mut Reader<'_>) -> Kafka {
    let bootstrap = reader.required("kafka.bootstrap");
    if !bootstrap.is_empty() && !is_bootstrap(&bootstrap) {
        // It is not quoted: it may hold a password.
        reader.errors.push(format!("kafka.bootstrap {NO_BOOTSTRAP}"));
    }
    let client_id = reader.required("kafka.client_id");
    let connection = Connection { bootstrap, client_id, properties: properties(reader) };
    const MIB: i64 = 1_048_576;
    Kafka {
        connection,
        prefetch_bytes: reader.number("kafka.prefetch_bytes", MIB, 1_024 * MIB),
        in_flight_bytes: reader.number("kafka.in_flight_bytes", MIB, 1_024 * MIB),
        session_timeout_ms: reader.number("kafka.session_timeout_ms", 6_000, 300_000),
        transaction_timeout_ms: reader.number("kafka.transaction_timeout_ms", 1_000, 900_000),
    }
}

/// What is said of brokers that cannot be meant.
pub(crate) const NO_BOOTSTRAP: &str =
    "is no list of brokers; host:port, several by commas, without a name and a password, is right";

/// Whether it is a list of brokers by commas: a host, its port if it is not 9092, before it the protocol if that is typed.
pub(crate) fn is_bootstrap(typed: &str) -> bool {
    let is_broker = |broker: &str| {
        let broker = broker.trim();
        let address = match broker.split_once("://") {
            Some((protocol, address)) if PROTOCOLS.contains(&protocol.to_ascii_lowercase().as_str()) => address,
            Some(_) => return false,
            None => broker,
        };
        let (host, port) = match address.rsplit_once(':') {
            // An address of IPv6 stands in brackets.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (address, None),
        };
        let allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
        !host.is_empty()
            && host.bytes().all(allowed)
            && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
    };
    typed.split(',').all(is_broker)
}

const PROTOCOLS: [&str; 4] = ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];

fn topics(reader: &mut Reader<'_>, generation: &str) -> Topics {
    let prefix = reader.text("topics.prefix");
    let mut name = |key: &str| {
        // What producers write to is not rebuilt, and what people were told stays told.
        let raw = key.ends_with("_raw") || key == "notify_state";
        let generation = if generation.is_empty() || raw { String::new() } else { format!("{generation}.") };
        let key = format!("topics.{key}");
        let name = reader.required(&key);
        let name = format!("{generation}{}", name.strip_prefix(&prefix).unwrap_or(&name));
        topic_name(reader, &key, &prefix, &name)
    };
    let posts_raw = name("posts_raw");
    let comments_raw = name("comments_raw");
    let classified = name("classified");
    let queue_prefix = name("queue_prefix");
    let queue_state = name("queue_state");
    let metrics = name("metrics");
    let alerts = name("alerts");
    let corrections = name("corrections");
    let actions = name("actions");
    let dead_letters = name("dead_letters");
    let changelog = name("changelog");
    let notify_state = name("notify_state");
    let canary = name("canary");
    const DAYS_3650_MS: i64 = 3_650 * 86_400_000;
    Topics {
        posts_raw,
        comments_raw,
        classified,
        queue_prefix,
        queue_state,
        metrics,
        alerts,
        corrections,
        actions,
        dead_letters,
        changelog,
        notify_state,
        canary,
        raw_partitions: reader.number("topics.raw_partitions", 1, 10_000),
        partitions: reader.number("topics.partitions", 1, 10_000),
        other_partitions: reader.number("topics.other_partitions", 1, 10_000),
        replication: reader.number("topics.replication", 1, 10),
        retention_ms: reader.number("topics.retention_ms", 60_000, DAYS_3650_MS),
        dead_letter_retention_ms: reader.number("topics.dead_letter_retention_ms", 60_000, DAYS_3650_MS),
        metrics_retention_ms: reader.number("topics.metrics_retention_ms", 60_000, DAYS_3650_MS),
    }
}

fn generation(reader: &mut Reader<'_>) -> String {
    let generation = reader.text("topics.generation");
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if generation.len() > 32 || !generation.bytes().all(allowed) {
        let right = "up to 32 letters, digits, '_' and '-', or nothing, is right";
        reader.wrong("topics.generation", &format!("{generation:?}"), right);
    }
    generation
}

/// The name of a consumer group: each generation has its own.
pub(super) fn group(reader: &mut Reader<'_>, key: &str, generation: &str) -> String {
    let group = reader.required(key);
    if generation.is_empty() { group } else { format!("{group}.{generation}") }
}

fn registry(reader: &mut Reader<'_>) -> Option<RegistrySettings> {
    let url = reader.text("registry.url");
    let typed = Typed {
        username: reader.text("registry.username"),
        password_file: reader.text("registry.password_file"),
        token_file: reader.text("registry.token_file"),
        ca_file: reader.text("registry.ca_file"),
    };
    let access = access(reader, "registry", &typed);
    let timeout_ms = reader.number("registry.timeout_ms", 100, 60_000);
    if url.is_empty() {
        return None;
    }
    if !is_address(&url) {
        // It is not quoted: it may hold a password.
        reader.errors.push(
            "registry.url is no address; one such as \"http://registry:8081\", without a name and a password, or nothing, is right"
                .to_owned(),
        );
    }
    let url = url.trim_end_matches('/').to_owned();
    Some(RegistrySettings { url, access, timeout_ms })
}

/// 0 to 1; a negative number is the model's own.
fn threshold(reader: &mut Reader<'_>, key: &str) -> Option<f32> {
    let value = reader.real(key)?;
    if value > 1.0 || value.is_nan() {
        reader.wrong(key, &value.to_string(), "0 to 1, or a negative number for the model's own, is right");
    }
    (value >= 0.0).then_some(value as f32)
}

fn share(reader: &mut Reader<'_>, key: &str) -> f32 {
    let value = reader.real(key).unwrap_or(0.0);
    if !(0.0..=1.0).contains(&value) {
        reader.wrong(key, &value.to_string(), "0 to 1 is right");
    }
    value as f32
}

/// The deep tier; `None` where it is off.
fn deep(reader: &mut Reader<'_>) -> Option<Deep> {
    let has_it = cfg!(feature = "deep");
    let tier = reader.choice("deep.tier", &[("auto", "auto"), ("on", "on"), ("off", "off")]);
    if tier == "on" && !has_it {
        reader.wrong(
            "deep.tier",
            "\"on\"",
            "this binary was built without the feature `deep`: \"auto\" or \"off\" is right",
        );
    }
    let deep = Deep {
        threads: reader.number("deep.threads", 1, 64),
        batch: reader.number("deep.batch", 1, 64),
        ask_below: share(reader, "deep.ask_below"),
        share_max: share(reader, "deep.share_max"),
        queue: reader.number("deep.queue", 1, 10_000),
        wait_ms: reader.number("deep.wait_ms", 0, 5_000),
        threshold: threshold(reader, "deep.threshold"),
    };
    (tier != "off" && has_it).then_some(deep)
}

fn http(reader: &mut Reader<'_>) -> Option<std::net::SocketAddr> {
    let text = reader.text("http.listen");
    if text.is_empty() {
        return None;
    }
    let address = text.parse().ok();
    if address.is_none() {
        reader.wrong("http.listen", &format!("{text:?}"), "an address such as 127.0.0.1:9184, or nothing, is right");
    }
    address
}

/// What a role is to tell, as `tracing` has it.
fn log(reader: &mut Reader<'_>) -> String {
    let text = reader.text("telemetry.log");
    // `tracing` takes a lone word that is no level for the name of a module, and then tells of nothing else: a slip of the
    // pen would silence everything. Fields in brackets have commas of their own.
    let is_slip = |part: &str| !part.contains('=') && part.parse::<tracing::level_filters::LevelFilter>().is_err();
    let slips = !text.contains('[') && text.split(',').map(str::trim).any(is_slip);
    if slips || tracing_subscriber::EnvFilter::try_new(&text).is_err() {
        reader.wrong(
            "telemetry.log",
            &format!("{text:?}"),
            "off, error, warn, info, debug or trace, or directives such as \"info,kafka_io=debug\", is right",
        );
    }
    text
}

fn windows(reader: &mut Reader<'_>) -> Option<WindowSet> {
    let before = reader.errors.len();
    let mut specs = Vec::new();
    for (item, table) in reader.items("windows") {
        let mut number = |field: &str| reader.item_number(&table, &item, field);
        let (length_ms, slide_ms, lateness_ms) = (number("length_ms"), number("slide_ms"), number("lateness_ms"));
        let name = reader.item_text(&table, &item, "name");
        specs.push(WindowSpec { name, length_ms, slide_ms, lateness_ms });
    }
    if reader.errors.len() > before {
        return None;
    }
    let windows = WindowSet::new(specs).map_err(|error| reader.errors.push(format!("windows: {error}"))).ok()?;
    let shortest = windows.specs().iter().map(|spec| spec.slide_ms).min().unwrap_or_default();
    if !STEP_MS.contains(&shortest) {
        let (least, most) = (STEP_MS.start(), STEP_MS.end());
        reader.errors.push(format!(
            "windows: the shortest slide_ms is {shortest}; {least} to {most} is right, since alerts are looked at so often"
        ));
        return None;
    }
    Some(windows)
}

/// The registry of communities and where it stands.
fn communities(reader: &mut Reader<'_>) -> Option<(Communities, Option<PathBuf>)> {
    let file = reader.text("communities.file");
    if file.is_empty() {
        return Some((Communities::standard(), None));
    }
    let file = PathBuf::from(file);
    match crate::communities::read(&file) {
        Ok(typed) => Some((typed.registry, Some(file))),
        Err(errors) => {
            reader.errors.extend(errors.into_iter().map(|error| format!("communities.file: {error}")));
            None
        }
    }
}

/// The topic of the registry of communities. It is its writers' own: no generation has another.
fn communities_topic(reader: &mut Reader<'_>) -> Option<String> {
    let key = "communities.topic";
    let typed = reader.text(key);
    if typed.is_empty() {
        return None;
    }
    if !reader.text("communities.file").is_empty() {
        let found = format!("{typed:?} and communities.file names a file");
        reader.wrong(key, &found, "one of the two, or neither, is right");
    }
    let prefix = reader.text("topics.prefix");
    Some(topic_name(reader, key, &prefix, typed.strip_prefix(&prefix).unwrap_or(&typed)))
}

/// The full name of a topic.
fn topic_name(reader: &mut Reader<'_>, key: &str, prefix: &str, typed: &str) -> String {
    let name = format!("{prefix}{typed}");
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.len() > 249 || !name.bytes().all(allowed) {
        reader.errors.push(format!("{key} is {name:?}; up to 249 letters, digits, '.', '_' and '-' are right"));
    }
    name
}

/// A name that no other instance has: the process and the moment of its start.
fn random_name() -> String {
    use std::hash::{BuildHasher, Hasher};
    // The standard library seeds its hashers from the system's randomness: enough for a name, and no further dependency.
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    format!("r{:016x}", hasher.finish())
}
