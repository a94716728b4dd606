//! Access control lists in the forms that people and tools take.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{Table, presets};
use kafka_io::acl::{Operation, Resource};
use serde_json::json;

use super::acls::{Duty, Right};

/// A form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// A table.
    #[default]
    Text,
    /// One JSON array.
    Json,
    /// Commands of Kafka's own tool.
    KafkaAcls,
    /// KafkaUser resources of Strimzi's operator, in YAML.
    Strimzi,
}

/// Who has which rights, by principal.
#[derive(Debug, Default)]
pub(crate) struct Lists(BTreeMap<String, List>);

#[derive(Debug, Default)]
struct List {
    duties: BTreeSet<Duty>,
    rights: BTreeSet<Right>,
}

impl Lists {
    /// Gives a principal what a duty needs, beside what it has.
    pub(crate) fn add(&mut self, principal: &str, duty: Duty, rights: Vec<Right>) {
        let list = self.0.entry(principal.to_owned()).or_default();
        list.duties.insert(duty);
        list.rights.extend(rights);
        // What one duty is allowed may imply what another needs.
        let all = list.rights.clone();
        list.rights.retain(|right| !all.iter().any(|other| is_stronger(other, right)));
    }

    /// All of them in a form; `bootstrap` and `cluster` are for those forms that name them.
    pub(crate) fn form(&self, form: Form, bootstrap: &str, cluster: &str) -> String {
        match form {
            Form::Text => self.text(),
            Form::Json => self.json(),
            Form::KafkaAcls => self.commands(bootstrap),
            Form::Strimzi => self.users(cluster),
        }
    }

    fn text(&self) -> String {
        let mut parts = Vec::new();
        for (principal, list) in &self.0 {
            let mut table = Table::new();
            table.load_preset(presets::NOTHING);
            for (resource, prefixed, operations) in list.by_resource() {
                let star = if prefixed { "*" } else { "" };
                table.add_row([resource.kind().to_owned(), format!("{}{star}", resource.name()), names(&operations)]);
            }
            parts.push(format!("{principal}: {}\n{table}", list.duties()));
        }
        parts.join("\n\n")
    }

    fn json(&self) -> String {
        let each = self.0.iter().flat_map(|(principal, list)| {
            let roles: Vec<&str> = list.duties.iter().map(|duty| duty.as_str()).collect();
            list.rights.iter().map(move |right| {
                json!({
                    "principal": principal, "roles": roles, "resource": right.resource.kind(), "name": right.resource.name(),
                    "pattern": pattern(right.prefixed), "operation": right.operation.as_str(),
                })
            })
        });
        serde_json::Value::from_iter(each).to_string()
    }

    fn commands(&self, bootstrap: &str) -> String {
        let mut lines =
            vec!["# Who may change these lists needs --command-config FILE with credentials in each line.".to_owned()];
        for (principal, list) in &self.0 {
            lines.push(format!("# {}", list.duties()));
            for (resource, prefixed, operations) in list.by_resource() {
                let operations: Vec<String> =
                    operations.iter().map(|operation| format!("--operation {}", operation.as_str())).collect();
                lines.push(format!(
                    "kafka-acls.sh --bootstrap-server {} --add --allow-principal {} {} --{} {} --resource-pattern-type {}",
                    quoted(bootstrap),
                    quoted(principal),
                    operations.join(" "),
                    resource.kind(),
                    quoted(resource.name()),
                    pattern(prefixed)
                ));
            }
        }
        lines.join("\n")
    }

    fn users(&self, cluster: &str) -> String {
        let mut documents = Vec::new();
        for (principal, list) in &self.0 {
            let name = principal.strip_prefix("User:").unwrap_or(principal);
            let mut text = format!(
                "# {}\napiVersion: kafka.strimzi.io/v1beta2\nkind: KafkaUser\nmetadata:\n  name: {}\n  labels:\n    \
                 strimzi.io/cluster: {}\nspec:\n  authorization:\n    type: simple\n    acls:\n",
                list.duties(),
                json!(name),
                json!(cluster)
            );
            for (resource, prefixed, operations) in list.by_resource() {
                let kind = match resource {
                    Resource::Topic(_) => "topic",
                    Resource::Group(_) => "group",
                    Resource::TransactionalId(_) => "transactionalId",
                };
                text += &format!(
                    "      - resource:\n          type: {kind}\n          name: {}\n          patternType: {}\n        operations: [{}]\n",
                    json!(resource.name()),
                    if prefixed { "prefix" } else { "literal" },
                    names(&operations)
                );
            }
            documents.push(text);
        }
        documents.join("---\n").trim_end().to_owned()
    }
}

impl List {
    fn duties(&self) -> String {
        self.duties.iter().map(|duty| duty.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn by_resource(&self) -> Vec<(&Resource, bool, Vec<Operation>)> {
        let mut by_resource: Vec<(&Resource, bool, Vec<Operation>)> = Vec::new();
        for right in &self.rights {
            match by_resource.last_mut() {
                Some((resource, prefixed, operations))
                    if **resource == right.resource && *prefixed == right.prefixed =>
                {
                    operations.push(right.operation);
                }
                _ => by_resource.push((&right.resource, right.prefixed, vec![right.operation])),
            }
        }
        by_resource
    }
}

fn is_stronger(other: &Right, than: &Right) -> bool {
    other.resource == than.resource
        && other.prefixed == than.prefixed
        && other.operation != than.operation
        && other.operation.implies(than.operation)
}

fn names(operations: &[Operation]) -> String {
    operations.iter().map(|operation| operation.as_str()).collect::<Vec<_>>().join(", ")
}

const fn pattern(prefixed: bool) -> &'static str {
    if prefixed { "prefixed" } else { "literal" }
}

/// One word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists() -> Lists {
        let right = |resource: Resource, prefixed: bool, operation| Right { resource, prefixed, operation };
        let topic = || Resource::Topic("a".to_owned());
        let mut lists = Lists::default();
        lists.add("User:one", Duty::Status, vec![right(topic(), false, Operation::Describe)]);
        lists.add(
            "User:one",
            Duty::Classify,
            vec![
                right(topic(), false, Operation::Read),
                right(topic(), false, Operation::Write),
                right(Resource::TransactionalId("g.classify.".to_owned()), true, Operation::Write),
            ],
        );
        lists
    }

    #[test]
    fn one_principal_of_several_duties_has_each_right_once() {
        let text = lists().form(Form::Text, "b:1", "k");
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(lines, ["User:one: classify, status", "topic a Read, Write", "transactional-id g.classify.* Write"]);
        let json: serde_json::Value = serde_json::from_str(&lists().form(Form::Json, "b:1", "k")).unwrap();
        assert_eq!(json.as_array().unwrap().len(), 3);
        assert_eq!(
            json[2],
            json!({
                "principal": "User:one", "roles": ["classify", "status"], "resource": "transactional-id", "name": "g.classify.",
                "pattern": "prefixed", "operation": "Write",
            })
        );
    }

    #[test]
    fn commands_are_for_a_shell() {
        let commands = lists().form(Form::KafkaAcls, "b:1", "k");
        let lines: Vec<&str> = commands.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                "kafka-acls.sh --bootstrap-server 'b:1' --add --allow-principal 'User:one' --operation Read --operation Write \
                 --topic 'a' --resource-pattern-type literal",
                "kafka-acls.sh --bootstrap-server 'b:1' --add --allow-principal 'User:one' --operation Write \
                 --transactional-id 'g.classify.' --resource-pattern-type prefixed",
            ]
        );
        assert_eq!(quoted("a'b"), "'a'\\''b'");
    }

    #[test]
    fn users_are_yaml_of_strimzi() {
        let users = lists().form(Form::Strimzi, "b:1", "kafka");
        for expected in [
            "kind: KafkaUser\nmetadata:\n  name: \"one\"\n  labels:\n    strimzi.io/cluster: \"kafka\"\n",
            "type: topic\n          name: \"a\"\n          patternType: literal\n        operations: [Read, Write]\n",
            "type: transactionalId\n          name: \"g.classify.\"\n          patternType: prefix\n",
        ] {
            assert!(users.contains(expected), "{users}");
        }
    }
}
