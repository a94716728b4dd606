//! Properties of librdkafka, from the configuration itself or from files that it names. No value is ever shown.

use std::path::Path;

use kafka_io::Connection;
use kafka_io::feed::{PropertyError, check_properties};
use toml::{Table, Value};

use super::files::{SECRET_BYTES_MAX, read_text_up_to};
use super::reader::Reader;

/// Properties that stand in the configuration.
const TYPED: &str = "kafka.properties";
/// Properties whose values stand in files.
const FILES: &str = "kafka.property_files";

/// Takes both kinds; a property that cannot be had, that is there twice, or that librdkafka does not take is a mistake.
pub(super) fn properties(reader: &mut Reader<'_>) -> Vec<(String, String)> {
    let empty = Table::new();
    let typed = table(reader, TYPED).unwrap_or(&empty);
    let files = table(reader, FILES).unwrap_or(&empty);
    let mut properties = Vec::new();
    for (name, value) in typed {
        let value = match value {
            Value::String(text) => Some(text.clone()),
            Value::Integer(number) => Some(number.to_string()),
            Value::Boolean(boolean) => Some(boolean.to_string()),
            _ => None,
        };
        match value {
            // The value may be a secret: it is not quoted.
            None => reader.errors.push(format!("{}: a string, an integer or a boolean is right", key(TYPED, name))),
            Some(value) => take(reader, TYPED, name, value, &mut properties),
        }
    }
    for (name, path) in files {
        let key = key(FILES, name);
        let Value::String(path) = path else {
            reader.errors.push(format!("{key}: the name of a file is right"));
            continue;
        };
        if typed.contains_key(name) {
            reader.errors.push(format!("{key} is also in {TYPED}; one of the two is right"));
            continue;
        }
        match read_text_up_to(Path::new(path), SECRET_BYTES_MAX).map(|text| text.trim().to_owned()) {
            Ok(value) if value.is_empty() => {
                reader.wrong(&key, &format!("{path:?}"), "a file that holds the value is right (it is empty)");
            }
            Ok(value) => take(reader, FILES, name, value, &mut properties),
            Err(error) => {
                reader.wrong(&key, &format!("{path:?}"), &format!("a file that can be read is right ({error})"));
            }
        }
    }
    properties
}

/// Properties that are secrets by themselves; librdkafka redacts them in its own logs, and has no call that tells which they are.
/// The Helm chart refuses the same.
pub(crate) const SECRETS: [&str; 9] = [
    "sasl.password",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.client.credentials.client.secret",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.assertion.private.key.pem",
    "sasl.oauthbearer.config",
];

/// Secrets that stand in a configuration file, which is read by more eyes than theirs, copied and kept in repositories.
pub(super) fn secrets(typed: &Table, file: &str) -> Vec<String> {
    let properties = typed.get("kafka").and_then(|kafka| kafka.get("properties")).and_then(Value::as_table);
    let names = properties.into_iter().flat_map(Table::keys).filter(|name| SECRETS.contains(&name.as_str()));
    names
        .map(|name| {
            format!(
                "{file}: {} is a secret, which has no place in this file; {} = \"/run/secrets/FILE\", or the variable \
                 SINYAL__KAFKA__PROPERTIES__{}, is right",
                key(TYPED, name),
                key(FILES, name),
                name.to_uppercase()
            )
        })
        .collect()
}

/// Properties that are not to be had, by all of their names: what each role sets for itself because what it promises rests on it.
pub(crate) const OURS: [&str; 21] = [
    "acks",
    "auto.commit.enable",
    "auto.offset.reset",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "group.remote.assignor",
    "isolation.level",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "partitioner",
    "request.required.acks",
    "statistics.interval.ms",
    "test.mock.num.brokers",
    "topic.metadata.refresh.interval.ms",
    "transactional.id",
];

/// Properties that have a key of their own.
pub(crate) const KEYS: [(&str, &str); 4] = [
    ("bootstrap.servers", "kafka.bootstrap"),
    ("client.id", "kafka.client_id"),
    ("session.timeout.ms", "kafka.session_timeout_ms"),
    ("transaction.timeout.ms", "kafka.transaction_timeout_ms"),
];

/// One property, if librdkafka takes it.
fn take(reader: &mut Reader<'_>, table: &str, name: &str, value: String, properties: &mut Vec<(String, String)>) {
    let key = key(table, name);
    if name.contains('\0') || value.contains('\0') {
        reader.errors.push(format!("{key} holds a zero byte; text is right"));
        return;
    }
    if let Some((_, own)) = KEYS.iter().find(|(property, _)| *property == name) {
        reader.errors.push(format!("{key} has a key of its own; {own} is right"));
        return;
    }
    if OURS.contains(&name) {
        reader
            .errors
            .push(format!("{key} is Sinyal's own, since what it promises rests on it; to leave it out is right"));
        return;
    }
    let property = (name.to_owned(), value);
    let alone = Connection {
        bootstrap: "localhost:9092".to_owned(),
        client_id: "check".to_owned(),
        properties: vec![property.clone()],
    };
    match check_properties(&alone) {
        Ok(()) => properties.push(property),
        Err(PropertyError::Unknown(_)) => {
            reader.errors.push(format!("{key} is no property of librdkafka; those of its CONFIGURATION.md are right"));
        }
        Err(PropertyError::Value(_)) => {
            reader.errors.push(format!(
                "{key} has a value that librdkafka does not take; what its CONFIGURATION.md lists for it is right"
            ));
        }
    }
}

fn table<'a>(reader: &mut Reader<'a>, key: &str) -> Option<&'a Table> {
    match reader.find(key) {
        Some(Value::Table(table)) => Some(table),
        _ => {
            reader.errors.push(format!("{key}: a table is right, such as [{key}]"));
            None
        }
    }
}

/// The path of a property, whose name has dots of its own.
fn key(table: &str, name: &str) -> String {
    format!("{table}.{name:?}")
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, ConfigErrors};

    fn load(text: &str) -> Result<Config, ConfigErrors> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::load(Some(file.path()), [])
    }

    #[test]
    fn a_password_comes_from_a_file() {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "rahasia\n").unwrap();
        let path = secret.path().display();
        let config = load(&format!(
            "[kafka.properties]\n\"security.protocol\" = \"SASL_SSL\"\n\
             [kafka.property_files]\n\"sasl.password\" = \"{path}\"\n"
        ))
        .unwrap();
        let properties = &config.kafka.connection.properties;
        assert!(properties.contains(&("sasl.password".to_owned(), "rahasia".to_owned())), "{}", properties.len());
        assert!(!format!("{config:?}").contains("rahasia"));
    }

    #[test]
    fn a_secret_in_the_file_is_refused_and_not_shown() {
        let errors = load(
            "kafka.properties.\"sasl.password\" = \"rahasia\"\n\
             kafka.properties.\"sasl.oauthbearer.client.secret\" = \"rahasia\"\n\
             kafka.properties.\"sasl.username\" = \"a\"\n",
        )
        .unwrap_err();
        let about = |name: &str| {
            errors.0.iter().any(|error| {
                error.contains(&format!("kafka.properties.\"{name}\" is a secret, which has no place in this file"))
                    && error.contains(&format!("kafka.property_files.\"{name}\" = "))
            })
        };
        assert!(about("sasl.password") && about("sasl.oauthbearer.client.secret"), "{errors}");
        assert_eq!(errors.0.len(), 2, "{errors}");
        assert!(!errors.to_string().contains("rahasia"), "{errors}");
    }

    #[test]
    fn a_secret_comes_from_the_environment_too() {
        let variable = ("SINYAL__KAFKA__PROPERTIES__SASL.PASSWORD".to_owned(), "rahasia".to_owned());
        let config = Config::load(None, [variable]).unwrap();
        assert_eq!(config.kafka.connection.properties, [("sasl.password".to_owned(), "rahasia".to_owned())]);
        assert!(!format!("{config:?}").contains("rahasia"));
    }

    #[test]
    fn what_exactly_once_rests_on_is_not_to_be_had() {
        let names = super::OURS.iter().chain(super::KEYS.iter().map(|(name, _)| name));
        let text: String = names.map(|name| format!("kafka.properties.{name:?} = \"x\"\n")).collect();
        let errors = load(&text).unwrap_err();
        assert_eq!(errors.0.len(), super::OURS.len() + super::KEYS.len(), "{errors}");
        assert!(
            errors.0.iter().all(|error| error.contains("Sinyal's own") || error.contains("a key of its own; kafka."))
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "read_uncommitted\n").unwrap();
        let errors = load(&format!("kafka.property_files.\"isolation.level\" = {:?}\n", file.path())).unwrap_err();
        assert!(errors.0[0].starts_with("kafka.property_files.\"isolation.level\" is Sinyal's own"), "{errors}");
        let variable = ("SINYAL__KAFKA__PROPERTIES__ACKS".to_owned(), "1".to_owned());
        assert!(Config::load(None, [variable]).is_err());
    }

    #[test]
    fn no_text_around_a_slip_of_the_pen_is_shown() {
        for text in [
            "kafka.properties.\"sasl.password\" = \"rahasia\" x\n",
            "[kafka]\nbootstrap = \"rahasia\n",
            "a = 1\na = \"rahasia\"\n",
        ] {
            let errors = load(text).unwrap_err();
            assert!(errors.0.len() == 1 && errors.0[0].contains(": line "), "{errors}");
            assert!(!errors.to_string().contains("rahasia"), "{errors}");
        }
    }

    #[test]
    fn every_mistake_names_its_key_and_no_value() {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "rahasia\n").unwrap();
        let empty = tempfile::NamedTempFile::new().unwrap();
        let (path, blank) = (secret.path().display(), empty.path().display());
        let errors = load(&format!(
            "[kafka.properties]\n\"sasl.pasword\" = \"rahasia\"\n\"sasl.username\" = \"a\"\n\
             \"security.protocol\" = \"rahasia\"\n\"acks\" = [\"rahasia\"]\n\
             [kafka.property_files]\n\"sasl.username\" = \"{path}\"\n\"ssl.key.password\" = \"/nowhere/at/all\"\n\
             \"sasl.password\" = \"{blank}\"\n\"ssl.ca.location\" = 3\n"
        ))
        .unwrap_err();
        let starts = [
            "kafka.properties.\"sasl.pasword\" is no property of librdkafka",
            "kafka.properties.\"security.protocol\" has a value that librdkafka does not take",
            "kafka.properties.\"acks\": a string, an integer or a boolean is right",
            "kafka.property_files.\"sasl.username\" is also in kafka.properties",
            "kafka.property_files.\"ssl.key.password\" is \"/nowhere/at/all\"; a file that can be read is right",
            &format!("kafka.property_files.\"sasl.password\" is \"{blank}\"; a file that holds the value is right"),
            "kafka.property_files.\"ssl.ca.location\": the name of a file is right",
        ];
        for start in starts {
            assert!(errors.0.iter().any(|error| error.starts_with(start)), "{start}\n{errors}");
        }
        assert_eq!(errors.0.len(), starts.len(), "{errors}");
        assert!(!errors.to_string().contains("rahasia"), "{errors}");
    }
}
