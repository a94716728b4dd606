//! The configuration: what was typed becomes what is meant in one step, with one message per mistake.

mod access;
mod alerts;
mod blindness;
mod canary;
mod cross_checks;
mod files;
mod layers;
mod notify;
mod properties;
mod pseudonyms;
mod reader;
mod redact;
mod routing;
mod schema;
mod sink;
mod state;
mod traces;
mod validate;

use std::fmt;
use std::path::{Path, PathBuf};

use kafka_io::Connection;
use pipeline::{KeyFormat, Personal};
use rules::{Communities, Routing};
use window::WindowSet;
use wire::{Framing, RawFormat};

pub(crate) use access::{Access, Authorization, SecretFile, certificates};
pub(crate) use canary::Canary;
pub(crate) use files::{SECRET_BYTES_MAX, read_text_up_to, read_up_to};
pub(crate) use layers::{toml_table, unknown_key};
pub(crate) use notify::{Filter, Notify, Target, TargetKind};
#[cfg(test)]
pub(crate) use properties::{KEYS as OWN_KEYS, OURS as OWN_PROPERTIES, SECRETS};
pub(crate) use pseudonyms::{PseudonymSecret, ROTATION_STATE_VERSION};
pub(crate) use schema::schema;
pub(crate) use sink::{Sink, SslMode};
pub(crate) use traces::TraceSettings;
pub(crate) use validate::{NO_BOOTSTRAP, is_bootstrap};

/// Every default, commented: the source of truth, also for `sinyal config default`.
pub(crate) const DEFAULT: &str = include_str!("default.toml");

/// Most bytes of a file of configuration.
const FILE_BYTES_MAX: u64 = 64 * 1_048_576;

/// How to make a secret for pseudonyms, with nothing that a small Debian lacks.
pub(crate) const MAKE_SECRET: &str =
    "`head -c 32 /dev/urandom | od -An -vtx1 | tr -d ' \\n' > FILE` makes one; name it there";

/// A value that must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Vec<u8>);

impl Secret {
    pub(crate) fn new(bytes: Vec<u8>) -> Secret {
        Secret(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What was typed, by key, and in which file: to tell what is another one after a change. It may hold what must not be shown.
#[derive(Clone, Default)]
pub(crate) struct Source {
    pub(crate) file: Option<PathBuf>,
    keys: toml::Table,
}

impl Source {
    /// The keys whose values are not those of `other`, sorted; of lists their own.
    pub(crate) fn differing(&self, other: &Source) -> Vec<String> {
        let mut differing = Vec::new();
        layers::differing(&self.keys, &other.keys, "", &mut differing);
        differing
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Everything that is configured, checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) source: Source,
    pub(crate) kafka: Kafka,
    /// The instance's name; a random one if none is set.
    pub(crate) instance_id: String,
    /// True if the name was set, so that it lasts over restarts.
    pub(crate) instance_lasts: bool,
    /// Which rebuild is in use; empty for the first.
    pub(crate) generation: String,
    pub(crate) topics: Topics,
    pub(crate) raw_format: RawFormat,
    pub(crate) key_format: KeyFormat,
    pub(crate) registry: Option<RegistrySettings>,
    /// The secret's file has been read; `None` if none is named.
    pub(crate) pseudonym_secret: Option<Secret>,
    pub(crate) pseudonym_version: u32,
    /// While the secret is rotated: the one before.
    pub(crate) previous_pseudonym: Option<PseudonymSecret>,
    /// The version to raise the state to; `None` keeps the one that it has.
    pub(crate) state_version: Option<u8>,
    pub(crate) raw_record_bytes_max: usize,
    pub(crate) future_ms_max: i64,
    pub(crate) classify: Classify,
    /// `None`: off, or this binary does not have it.
    #[cfg_attr(not(feature = "deep"), allow(dead_code))]
    pub(crate) deep: Option<Deep>,
    pub(crate) community: Community,
    pub(crate) items: Items,
    pub(crate) alerts: rules::alerts::AlertRules,
    pub(crate) notify: Notify,
    pub(crate) disorder_ms: i64,
    pub(crate) hold_ms_max: i64,
    pub(crate) blindness: Blindness,
    /// `None`: there is no database to write to.
    pub(crate) sink: Option<Sink>,
    pub(crate) canary: Canary,
    pub(crate) http_listen: Option<std::net::SocketAddr>,
    pub(crate) log: String,
    pub(crate) log_format: String,
    pub(crate) alive_ms: u64,
    /// `None`: nothing is traced.
    pub(crate) traces: Option<TraceSettings>,
    pub(crate) windows: WindowSet,
    pub(crate) routing: Routing,
    /// The registry of communities as it is when the configuration is read.
    pub(crate) communities: Communities,
    /// The file where it stands.
    pub(crate) communities_file: Option<PathBuf>,
    /// The topic where it stands, and then nothing of it is in `communities`. Without a file and a topic none is listed.
    pub(crate) communities_topic: Option<String>,
}

/// Where Kafka is and what its clients may hold.
#[derive(Debug, Clone)]
pub(crate) struct Kafka {
    pub(crate) connection: Connection,
    pub(crate) prefetch_bytes: usize,
    pub(crate) in_flight_bytes: usize,
    pub(crate) session_timeout_ms: u32,
    pub(crate) transaction_timeout_ms: i32,
}

/// The topics by their full names, and how `topics apply` makes them.
#[derive(Debug, Clone)]
pub(crate) struct Topics {
    pub(crate) posts_raw: String,
    pub(crate) comments_raw: String,
    pub(crate) classified: String,
    pub(crate) queue_prefix: String,
    pub(crate) queue_state: String,
    pub(crate) metrics: String,
    pub(crate) alerts: String,
    pub(crate) corrections: String,
    pub(crate) actions: String,
    pub(crate) dead_letters: String,
    pub(crate) changelog: String,
    pub(crate) notify_state: String,
    pub(crate) canary: String,
    pub(crate) raw_partitions: i32,
    pub(crate) partitions: i32,
    pub(crate) other_partitions: i32,
    pub(crate) replication: i32,
    pub(crate) retention_ms: i64,
    pub(crate) dead_letter_retention_ms: i64,
    pub(crate) metrics_retention_ms: i64,
}

/// A schema registry.
#[derive(Debug, Clone)]
pub(crate) struct RegistrySettings {
    pub(crate) url: String,
    pub(crate) access: Access,
    pub(crate) timeout_ms: u64,
}

/// The classify role.
#[derive(Debug, Clone)]
pub(crate) struct Classify {
    pub(crate) group_id: String,
    pub(crate) exactly_once: bool,
    pub(crate) commit_interval_ms: u64,
    /// `None`: the model's own.
    pub(crate) threshold: Option<f32>,
    pub(crate) keep_text: bool,
    /// What is replaced in texts.
    pub(crate) redact: Vec<Personal>,
}

/// The deep tier.
#[derive(Debug, Clone)]
// Without the feature there is nothing that it could be used for; it is checked all the same.
#[cfg_attr(not(feature = "deep"), allow(dead_code))]
pub(crate) struct Deep {
    pub(crate) threads: usize,
    pub(crate) batch: usize,
    pub(crate) ask_below: f32,
    pub(crate) share_max: f32,
    pub(crate) queue: usize,
    pub(crate) wait_ms: u64,
    /// `None`: the model's own.
    pub(crate) threshold: Option<f32>,
}

/// The community role.
#[derive(Debug, Clone)]
pub(crate) struct Community {
    pub(crate) group_id: String,
    pub(crate) commit_interval_ms: u64,
    pub(crate) ids_max: usize,
    pub(crate) communities_max: usize,
    pub(crate) remember_days: i64,
    pub(crate) members_max: usize,
    pub(crate) parked_max: usize,
}

/// The life of queue items.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Items {
    pub(crate) max: usize,
    pub(crate) keep_closed_hours: i64,
    pub(crate) expire_days: i64,
    pub(crate) claim_minutes: i64,
    pub(crate) auto_replies: Vec<String>,
}

/// How the pipeline's own blindness is judged.
#[derive(Debug, Clone)]
pub(crate) struct Blindness {
    /// How often to look.
    pub(crate) interval_ms: u64,
    pub(crate) judged: rules::blindness::Settings,
}

/// The environment's variables. One of ours that is no text is a mistake; what else is none is nothing to us.
///
/// # Errors
/// Which of them.
pub(crate) fn environment() -> Result<Vec<(String, String)>, ConfigErrors> {
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => found.push((name, value)),
            Err(_) if name.starts_with(layers::ENVIRONMENT) => {
                wrong.push(format!("{name} is not UTF-8; text is right"))
            }
            Err(_) => {}
        }
    }
    if wrong.is_empty() { Ok(found) } else { Err(ConfigErrors(wrong)) }
}

/// Every mistake of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigErrors(pub(crate) Vec<String>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

impl Config {
    /// Defaults, then the file if one is named, then the environment.
    ///
    /// # Errors
    /// Every mistake, each with its key, its value and what would be right.
    pub(crate) fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, ConfigErrors> {
        let text = match file {
            Some(path) => Some(
                read_text_up_to(path, FILE_BYTES_MAX)
                    .map_err(|error| ConfigErrors(vec![format!("{}: cannot be read: {error}", path.display())]))?,
            ),
            None => None,
        };
        let name = file.map_or_else(String::new, |path| path.display().to_string());
        let mut config = Config::parse(text.as_deref(), &name, environment)?;
        config.source.file = file.map(Path::to_owned);
        Ok(config)
    }

    /// The same of a text; `name` is what messages call it.
    ///
    /// # Errors
    /// Every mistake, each with its key, its value and what would be right.
    pub(crate) fn parse(
        text: Option<&str>,
        name: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, ConfigErrors> {
        let keys = layers::merge(text, name, environment)?;
        let mut config = validate::validate(&keys)?;
        config.source = Source { file: None, keys };
        Ok(config)
    }

    /// The topic of a queue.
    pub(crate) fn queue_topic(&self, queue: &str) -> String {
        format!("{}{queue}", self.topics.queue_prefix)
    }

    /// Where Kafka is.
    pub(crate) fn connection(&self) -> &Connection {
        &self.kafka.connection
    }

    /// How Avro records are framed.
    pub(crate) fn framing(&self) -> Framing {
        if self.registry.is_some() { Framing::Confluent } else { Framing::SingleObject }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
        let environment = environment.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
        validate::validate(&layers::merge(Some(text), "test.toml", environment)?)
    }

    #[test]
    fn brokers_are_named_without_passwords() {
        let broker = |typed: &str| load(&format!("kafka.bootstrap = {typed:?}\n"), &[]);
        for right in ["a:1", "kafka", "a:1, b.c-d_e:65535", "SASL_SSL://a:9093", "[::1]:9092", "[fe80::1]"] {
            assert!(broker(right).is_ok() && is_bootstrap(right), "{right}");
        }
        for wrong in ["a:1,", "http://a:1", "sasl_ssl://u:rahasia@a:1", "a:rahasia", "a:0", "a:65536", "a b:1", ":9092"]
        {
            assert_eq!(broker(wrong).unwrap_err().0, [format!("kafka.bootstrap {NO_BOOTSTRAP}")], "{wrong}");
        }
    }

    #[test]
    fn a_list_comes_from_the_environment_as_it_stands_in_the_file() {
        let replies =
            |typed: &str| load("", &[("SINYAL__ITEMS__AUTO_REPLIES", typed)]).map(|config| config.items.auto_replies);
        assert_eq!(replies("[\"silakan DM\", 'a']").unwrap(), ["silakan DM", "a"]);
        for wrong in ["silakan DM", "[1", "[]\nhttp.listen = \"\""] {
            let errors = replies(wrong).unwrap_err();
            assert!(errors.0[0].ends_with("a list of strings is right"), "{errors}");
        }
        let window = "[{ name = \"1h\", length_ms = 3600000, slide_ms = 60000, lateness_ms = 0 }]";
        let config = load("", &[("SINYAL__WINDOWS", window)]).unwrap();
        assert_eq!((config.windows.specs().len(), config.windows.specs()[0].name.as_str()), (1, "1h"));
        let errors = load("", &[("SINYAL__WINDOWS", "[{ nam = 1 }]")]).unwrap_err();
        assert!(
            errors.to_string().contains("SINYAL__WINDOWS: windows[0].nam is no key; did you mean windows[0].name?"),
            "{errors}"
        );
    }

    #[test]
    fn the_defaults_are_valid() {
        let config = load("", &[]).unwrap();
        assert_eq!(config.topics.classified, "social.interactions.classified");
        assert_eq!(config.windows, WindowSet::standard());
        assert_eq!(config.routing.queues().len(), 5);
        assert!(config.registry.is_none() && !config.instance_lasts);
    }

    #[test]
    fn the_registry_is_a_file_or_a_topic() {
        let config =
            load("[topics]\nprefix = \"uji.\"\ngeneration = \"g2\"\n[communities]\ntopic = \"a.b\"\n", &[]).unwrap();
        assert_eq!(config.communities_topic.as_deref(), Some("uji.a.b"), "no generation has another");
        assert!(config.communities_file.is_none() && config.communities.is_empty());
        let file = tempfile::NamedTempFile::new().unwrap();
        let both = format!("[communities]\nfile = {:?}\ntopic = \"a\"\n", file.path().display().to_string());
        assert_eq!(
            load(&both, &[]).unwrap_err().0,
            ["communities.topic is \"a\" and communities.file names a file; one of the two, or neither, is right"]
        );
        let taken = load("[communities]\ntopic = \"social.actions\"\n", &[]).unwrap_err().0;
        assert!(
            taken[0].starts_with("communities.topic gives topic \"social.actions\", as topics.actions does"),
            "{taken:?}"
        );
        let letters = load("[communities]\ntopic = \"a b\"\n", &[]).unwrap_err().0;
        assert!(letters[0].starts_with("communities.topic is \"a b\"; up to 249 letters"), "{letters:?}");
    }

    #[test]
    fn layers_win_one_over_the_other() {
        let config = load(
            "[kafka]\nbootstrap = \"a:1\"\n[kafka.properties]\n\"security.protocol\" = \"SSL\"\n[topics]\nprefix = \"uji.\"\n",
            &[("SINYAL__KAFKA__BOOTSTRAP", "b:2"), ("SINYAL__COMMUNITY__IDS_MAX", "5000"), ("PATH", "/bin")],
        )
        .unwrap();
        assert_eq!(config.kafka.connection.bootstrap, "b:2");
        assert_eq!(config.kafka.connection.properties, [("security.protocol".to_owned(), "SSL".to_owned())]);
        assert_eq!(config.community.ids_max, 5_000);
        assert_eq!(config.topics.posts_raw, "uji.social.posts.raw");
        assert_eq!(config.queue_topic("tip"), "uji.social.queue.tip");
    }

    #[test]
    fn a_generation_renames_everything_but_what_is_raw() {
        let text = "[topics]\nprefix = \"uji.\"\nmetrics = \"uji.rows\"\n";
        let config = load(text, &[("SINYAL__TOPICS__GENERATION", "g2")]).unwrap();
        assert_eq!(config.topics.posts_raw, "uji.social.posts.raw");
        assert_eq!(config.topics.corrections, "uji.g2.social.corrections");
        assert_eq!(
            (config.topics.metrics.as_str(), config.queue_topic("tip").as_str()),
            ("uji.g2.rows", "uji.g2.social.queue.tip")
        );
        assert_eq!(config.classify.group_id, "sinyal-classify.g2");
        let wrong = load("[topics]\ngeneration = \"g 2\"\n", &[]).unwrap_err();
        assert!(wrong.0.iter().any(|error| error.starts_with("topics.generation is \"g 2\"")), "{wrong}");
    }

    #[test]
    fn every_mistake_is_told_at_once_with_its_key() {
        let errors = load(
            "[kafka]\nbootstrp = \"a:1\"\nprefetch_bytes = \"much\"\n[clasify]\n[limits]\nfuture_ms = -5\n\
             [[queues]]\nname = \"x\"\ntakes = \"anger\"\ndepartment = \"d\"\n",
            &[("SINYAL__RAW__FORMAT", "xml"), ("SINYAL__HTTP__LISTEN", "nowhere")],
        )
        .unwrap_err();
        assert_eq!(
            errors.0,
            [
                "test.toml: clasify is no key; did you mean classify?",
                "test.toml: kafka.bootstrp is no key; did you mean kafka.bootstrap?",
                "kafka.prefetch_bytes is \"much\"; an integer is right",
                "raw.format is \"xml\"; \"avro\" or \"json\" is right",
                "limits.future_ms is -5; 0 to 86400000 is right",
                "http.listen is \"nowhere\"; an address such as 127.0.0.1:9184, or nothing, is right",
                "queues[0].takes is \"anger\"; complaint, tip, experience, praise, other, review or routes is right",
            ]
        );
    }

    #[test]
    fn a_file_that_is_no_toml_is_told_with_its_place() {
        let errors = load("[kafka\n", &[]).unwrap_err();
        assert!(errors.0[0].starts_with("test.toml: "), "{errors}");
        assert!(errors.0[0].contains("line 1"), "{errors}");
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(format!("{:?}", Secret::new(b"rahasia".to_vec())), "Secret");
    }
}
