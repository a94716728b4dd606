//! Whom to notify, of what, and how patiently.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rules::alerts::Rule;
use serde_json::json;
use toml::{Table, Value};

use super::Secret;
use super::access::{Access, SecretFile, Typed, access, file, is_address};
use super::validate::{Reader, group, shown};

/// What an item of `notify.targets` may hold.
pub(super) const TARGET_FIELDS: &[&str] = &[
    "name",
    "kind",
    "url",
    "secret_file",
    "username",
    "password_file",
    "token_file",
    "ca_file",
    "alerts",
    "severities",
    "rules",
    "communities",
    "queues",
];

/// The schema of what an item of `notify.targets` holds.
pub(super) fn target_schema() -> serde_json::Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let list =
        |description: &str| json!({ "type": "array", "items": { "type": "string" }, "description": description });
    let rules: Vec<&str> = Rule::ALL.iter().map(|rule| rule.as_str()).chain([BLIND]).collect();
    json!({
        "name": { "type": "string", "minLength": 1, "maxLength": NAME_BYTES_MAX, "pattern": "^[A-Za-z0-9_-]+$", "description": "Its name: of its group, its state and its metrics." },
        "kind": { "type": "string", "enum": ["alertmanager", "webhook"], "description": "How it is spoken to." },
        "url": text("Alertmanager's root, or whatever takes the webhook."),
        "secret_file": text("A file that holds a webhook's signing secret."),
        "username": text("As whom to go there, with `password_file`."),
        "password_file": text("A file that holds the password."),
        "token_file": text("A file that holds a bearer token, instead."),
        "ca_file": text("Certificates (PEM) that may have signed the server's; without it those of the system."),
        "alerts": { "type": "boolean", "description": "False: no alerts." },
        "severities": { "type": "array", "items": { "type": "string", "enum": SEVERITIES }, "description": "Alerts of these alone." },
        "rules": { "type": "array", "items": { "type": "string", "enum": rules }, "description": "Alerts of these alone." },
        "communities": list("Alerts of these alone, by id."),
        "queues": list("Queues whose items a webhook is sent."),
    })
}

/// Most targets: each has a thread and a Kafka client of its own.
const TARGETS_MAX: usize = 32;
const NAME_BYTES_MAX: usize = 64;
const SEVERITIES: [&str; 3] = ["info", "warning", "critical"];
/// The rule of the system's own alerts that it does not see everything.
const BLIND: &str = "blind";
const TOKEN_BYTES_MIN: usize = 16;
/// What the secret of a webhook begins with, by Standard Webhooks.
const SECRET_PREFIX: &str = "whsec_";
/// How long such a secret may be, in bytes, by Standard Webhooks.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The notify role.
#[derive(Debug, Clone)]
pub(crate) struct Notify {
    pub(crate) group_id: String,
    pub(crate) behind_ms: i64,
    pub(crate) alerts_max: usize,
    pub(crate) timeout_ms: u64,
    pub(crate) attempts_max: u32,
    pub(crate) backoff_ms: u64,
    pub(crate) backoff_max_ms: u64,
    pub(crate) circuit_failures: u32,
    pub(crate) circuit_open_ms: u64,
    pub(crate) resend_ms: i64,
    /// `None`: there is no endpoint for acknowledgement.
    pub(crate) acknowledge_token: Option<SecretFile>,
    /// Without a slash at its end; empty if there is none.
    pub(crate) runbook_base: String,
    pub(crate) targets: Vec<Target>,
}

/// Somebody who is notified.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: TargetKind,
    /// Without a slash at its end if it is an Alertmanager's.
    pub(crate) url: String,
    pub(crate) access: Access,
    /// `None`: no alerts.
    pub(crate) alerts: Option<Filter>,
    pub(crate) queues: Vec<String>,
}

/// How a target is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TargetKind {
    /// By Alertmanager's API v2.
    Alertmanager,
    /// By Standard Webhooks.
    Webhook {
        /// The key of the signature, decoded.
        secret: SecretFile,
    },
}

/// Which alerts a target gets: those that pass every list that is not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) severities: Vec<String>,
    pub(crate) rules: Vec<String>,
    pub(crate) communities: Vec<String>,
}

impl Filter {
    /// Whether an alert of a community passes.
    pub(crate) fn lets(&self, rule: &str, severity: &str, community: &str) -> bool {
        let lets = |list: &[String], value: &str| list.is_empty() || list.iter().any(|allowed| allowed == value);
        lets(&self.rules, rule) && lets(&self.severities, severity) && lets(&self.communities, community)
    }

    /// Whether alerts of a rule pass that is of no community.
    pub(crate) fn lets_rule(&self, rule: &str) -> bool {
        self.rules.is_empty() || self.rules.iter().any(|allowed| allowed == rule)
    }
}

pub(super) fn notify(reader: &mut Reader<'_>, generation: &str) -> Notify {
    let path = reader.text("notify.acknowledge_token_file");
    let right = format!("a token of at least {TOKEN_BYTES_MIN} bytes");
    let token = file(reader, "notify.acknowledge_token_file", &path, take_acknowledge_token, &right);
    Notify {
        group_id: group(reader, "notify.group_id", generation),
        behind_ms: reader.number("notify.behind_ms", 1_000, 3_600_000),
        alerts_max: reader.number("notify.alerts_max", 100, 1_000_000),
        timeout_ms: reader.number("notify.timeout_ms", 100, 20_000),
        attempts_max: reader.number("notify.attempts_max", 1, 1_000),
        backoff_ms: reader.number("notify.backoff_ms", 10, 60_000),
        backoff_max_ms: reader.number("notify.backoff_max_ms", 1_000, 3_600_000),
        circuit_failures: reader.number("notify.circuit_failures", 1, 1_000),
        circuit_open_ms: reader.number("notify.circuit_open_ms", 100, 3_600_000),
        resend_ms: reader.number("notify.resend_ms", 1_000, 3_600_000),
        acknowledge_token: token,
        runbook_base: runbook_base(reader),
        targets: targets(reader),
    }
}

fn runbook_base(reader: &mut Reader<'_>) -> String {
    const KEY: &str = "notify.runbook_base";
    let base = reader.text(KEY);
    if !base.is_empty() && !is_address(&base) {
        let right = "an address such as \"https://docs.example/runbooks\" is right";
        reader.errors.push(format!("{KEY} is none; {right}, without a name and a password"));
    }
    base.trim_end_matches('/').to_owned()
}

fn targets(reader: &mut Reader<'_>) -> Vec<Target> {
    let items = reader.items("notify.targets");
    if items.len() > TARGETS_MAX {
        reader.errors.push(format!("notify.targets has {} items; at most {TARGETS_MAX} are right", items.len()));
    }
    let mut targets: Vec<Target> = Vec::new();
    for (item, table) in items {
        let Some(target) = target(reader, &table, &item) else { continue };
        if targets.iter().any(|other| other.name == target.name) {
            reader.wrong(
                &format!("{item}.name"),
                &format!("{:?}", target.name),
                "a name that no other target has is right",
            );
        }
        targets.push(target);
    }
    targets
}

/// One target; nothing if it is so wrong that there is nothing to be made of it.
fn target(reader: &mut Reader<'_>, table: &Table, item: &str) -> Option<Target> {
    let before = reader.errors.len();
    let name = reader.item_text(table, item, "name");
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if reader.errors.len() == before && (name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(allowed)) {
        let right = format!("1 to {NAME_BYTES_MAX} letters, digits, '_' and '-' are right");
        reader.wrong(&format!("{item}.name"), &format!("{name:?}"), &right);
    }
    let kind = reader.item_text(table, item, "kind");
    let is_webhook = kind == "webhook";
    if !is_webhook && kind != "alertmanager" {
        reader.wrong(&format!("{item}.kind"), &format!("{kind:?}"), "\"alertmanager\" or \"webhook\" is right");
    }
    let url = url(reader, table, item);
    let secret = secret(reader, table, item, is_webhook);
    let typed = Typed {
        username: optional(reader, table, item, "username"),
        password_file: optional(reader, table, item, "password_file"),
        token_file: optional(reader, table, item, "token_file"),
        ca_file: optional(reader, table, item, "ca_file"),
    };
    let access = access(reader, item, &typed);
    let filter = Filter {
        severities: texts(reader, table, item, "severities"),
        rules: texts(reader, table, item, "rules"),
        communities: texts(reader, table, item, "communities"),
    };
    for severity in filter.severities.iter().filter(|severity| !SEVERITIES.contains(&severity.as_str())) {
        reader.wrong(&format!("{item}.severities"), &format!("{severity:?}"), "info, warning and critical are right");
    }
    known_rules(reader, &filter.rules, item);
    let queues = texts(reader, table, item, "queues");
    let alerts = match table.get("alerts") {
        None => true,
        Some(Value::Boolean(alerts)) => *alerts,
        other => {
            reader.wrong(&format!("{item}.alerts"), &shown(other), "true or false is right");
            true
        }
    };
    if !alerts && queues.is_empty() {
        reader.wrong(&format!("{item}.alerts"), "false", "true, or queues whose items it gets, is right");
    }
    if !is_webhook && !queues.is_empty() {
        reader.errors.push(format!("{item}.queues: Alertmanager takes no queue items; kind = \"webhook\" is right"));
    }
    if reader.errors.len() > before {
        return None;
    }
    let kind = match secret {
        Some(secret) => TargetKind::Webhook { secret },
        None => TargetKind::Alertmanager,
    };
    let url = if is_webhook { url } else { url.trim_end_matches('/').to_owned() };
    Some(Target { name, kind, url, access, alerts: alerts.then_some(filter), queues })
}

/// A rule that there is not would be a target that is told nothing, and nobody would notice.
fn known_rules(reader: &mut Reader<'_>, rules: &[String], item: &str) {
    let known: Vec<&str> = Rule::ALL.into_iter().map(Rule::as_str).chain([BLIND]).collect();
    for rule in rules.iter().filter(|rule| !known.contains(&rule.as_str())) {
        let likeness = |known: &&&str| (strsim::jaro_winkler(rule, known) * 1e6) as u32;
        let nearest = known.iter().max_by_key(likeness).copied().unwrap_or(BLIND);
        let right = format!("did you mean {nearest:?}? {} are right", known.join(", "));
        reader.wrong(&format!("{item}.rules"), &format!("{rule:?}"), &right);
    }
}

fn url(reader: &mut Reader<'_>, table: &Table, item: &str) -> String {
    let before = reader.errors.len();
    let url = reader.item_text(table, item, "url");
    if !is_address(&url) && reader.errors.len() == before {
        // It is not quoted: it may hold a password.
        reader.errors.push(format!(
            "{item}.url is no address; one such as \"https://example.org/hook\", without a name and a password, is right"
        ));
    }
    url
}

/// A webhook's secret, decoded.
fn secret(reader: &mut Reader<'_>, table: &Table, item: &str, is_webhook: bool) -> Option<SecretFile> {
    let key = format!("{item}.secret_file");
    let path = optional(reader, table, item, "secret_file");
    if !is_webhook {
        if !path.is_empty() {
            reader.errors.push(format!("{key}: Alertmanager knows no signatures; kind = \"webhook\" is right"));
        }
        return None;
    }
    if path.is_empty() {
        reader
            .errors
            .push(format!("{key} is missing; a file that holds \"whsec_\" and 24 to 64 bytes in base64 is right"));
        return None;
    }
    let right = "\"whsec_\" and 24 to 64 bytes in base64";
    file(reader, &key, &path, take_webhook_secret, right)
}

fn take_webhook_secret(bytes: &[u8]) -> Option<Secret> {
    let encoded = std::str::from_utf8(bytes).ok()?.strip_prefix(SECRET_PREFIX)?;
    STANDARD.decode(encoded).ok().filter(|secret| SECRET_BYTES.contains(&secret.len())).map(Secret::new)
}

fn take_acknowledge_token(bytes: &[u8]) -> Option<Secret> {
    (bytes.len() >= TOKEN_BYTES_MIN).then(|| Secret::new(bytes.to_vec()))
}

/// A field that may be left out.
fn optional(reader: &mut Reader<'_>, table: &Table, item: &str, field: &str) -> String {
    if table.contains_key(field) { reader.item_text(table, item, field) } else { String::new() }
}

/// A list of names that may be left out.
fn texts(reader: &mut Reader<'_>, table: &Table, item: &str, field: &str) -> Vec<String> {
    let Some(value) = table.get(field) else { return Vec::new() };
    let texts = value.as_array().map(|items| items.iter().map(Value::as_str).collect::<Option<Vec<&str>>>());
    match texts.flatten() {
        Some(texts) => texts.into_iter().map(str::to_owned).collect(),
        None => {
            reader.wrong(&format!("{item}.{field}"), &shown(Some(value)), "a list of strings is right");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Authorization, Config, ConfigErrors};

    fn load(text: &str) -> Result<Config, ConfigErrors> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::load(Some(file.path()), [])
    }

    fn secret_file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn targets_are_taken_as_they_are_meant() {
        let secret = secret_file("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\n");
        let token = secret_file("a-token-of-some-length\n");
        let config = load(&format!(
            "[topics]\ngeneration = \"g2\"\n[[notify.targets]]\nname = \"pager\"\nkind = \"alertmanager\"\n\
             url = \"http://a:9093/\"\nseverities = [\"critical\"]\ntoken_file = {:?}\n\
             [[notify.targets]]\nname = \"desk\"\nkind = \"webhook\"\nurl = \"https://b/hook/\"\nsecret_file = {:?}\n\
             alerts = false\nqueues = [\"complaint\"]\n",
            token.path(),
            secret.path()
        ))
        .unwrap();
        let [pager, desk] = &config.notify.targets[..] else { panic!("{:?}", config.notify) };
        assert_eq!((pager.url.as_str(), desk.url.as_str()), ("http://a:9093", "https://b/hook/"));
        let Authorization::Bearer(bearer) = &pager.access.authorization else { panic!("{:?}", pager.access) };
        assert_eq!(bearer.current().bytes(), b"a-token-of-some-length");
        let TargetKind::Webhook { secret } = &desk.kind else { panic!("{:?}", desk.kind) };
        assert_eq!(secret.current().bytes(), b"012345678901234567890123");
        assert!(desk.alerts.is_none() && pager.alerts.is_some());
        assert_eq!(config.notify.group_id, "sinyal-notify.g2");
        assert_eq!(config.topics.notify_state, "social.notify.state", "what was told stays told");
        let shown = format!("{:?}", config.notify);
        assert!(!shown.contains("0123456789") && !shown.contains("a-token"), "{shown}");
    }

    #[test]
    fn every_mistake_of_a_target_names_its_key_and_no_secret() {
        let wrong = secret_file("whsec_cmFoYXNpYQ==");
        let errors = load(&format!(
            "[[notify.targets]]\nname = \"a b\"\nkind = \"mail\"\nurl = \"http://me:rahasia@b/\"\n\
             [[notify.targets]]\nname = \"one\"\nkind = \"webhook\"\nurl = \"http://b/\"\nsecret_file = {:?}\n\
             severities = [\"loud\"]\nrules = [\"blind\", \"complaints_spike\"]\nqueues = \"tip\"\ncolour = \"red\"\n\
             [[notify.targets]]\nname = \"two\"\nkind = \"alertmanager\"\nurl = \"http://c\"\nalerts = false\n\
             username = \"u\"\n",
            wrong.path()
        ))
        .unwrap_err();
        for start in [
            "notify.targets[0].name is \"a b\"; 1 to 64 letters",
            "notify.targets[0].kind is \"mail\"; \"alertmanager\" or \"webhook\" is right",
            "notify.targets[0].url is no address",
            "notify.targets[1].secret_file: what ",
            "notify.targets[1].severities is \"loud\"",
            "notify.targets[1].rules is \"complaints_spike\"; did you mean \"complaint_spike\"?",
            "notify.targets[1].queues is \"tip\"; a list of strings is right",
            "notify.targets[2].alerts is false",
            "notify.targets[2]: username and password_file",
        ] {
            assert!(errors.0.iter().any(|error| error.starts_with(start)), "{start}\n{errors}");
        }
        assert!(errors.0.iter().any(|error| error.contains("notify.targets[1].colour is no key")), "{errors}");
        assert!(!errors.to_string().contains("rahasia"), "{errors}");
    }

    #[test]
    fn a_queue_that_is_not_there_is_told() {
        let secret = secret_file("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz");
        let errors = load(&format!(
            "[[notify.targets]]\nname = \"desk\"\nkind = \"webhook\"\nurl = \"http://b/\"\nsecret_file = {:?}\nqueues = [\"anger\"]\n",
            secret.path()
        ))
        .unwrap_err();
        assert_eq!(
            errors.0,
            [
                "notify.targets[0].queues names \"anger\"; of [[queues]] complaint, tip, experience, praise, review are right"
            ]
        );
    }

    #[test]
    fn filters_let_what_every_list_names() {
        let filter = Filter { severities: vec!["critical".into()], rules: vec!["silence".into()], communities: vec![] };
        assert!(filter.lets("silence", "critical", "warga"));
        assert!(!filter.lets("silence", "warning", "warga") && !filter.lets("surge", "critical", "warga"));
        assert!(filter.lets_rule("silence") && !filter.lets_rule("blind"));
        assert!(Filter::default().lets("any", "info", "warga") && Filter::default().lets_rule("blind"));
    }
}
