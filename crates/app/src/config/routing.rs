//! The queues and the rules that send to them.

use record::{ContentKind, Direction, Label, Language};
use rules::{Conditions, QueueSpec, Routing, RuleSpec, Sla, SlaClock, Takes};
use serde_json::json;
use toml::{Table, Value};

use super::reader::{Reader, shown};

/// What an item of `queues` holds.
pub(super) const QUEUE: &[&str] = &["name", "takes", "department", "sla_minutes", "sla_clock"];
/// What an item of `routes` holds.
pub(super) const ROUTE: &[&str] = &[
    "name",
    "label",
    "language",
    "community",
    "direction",
    "content",
    "confidence_min",
    "confidence_below",
    "abstained",
    "queue",
    "department",
    "sla_minutes",
    "sla_clock",
];

/// The schema of what an item of `queues` holds.
pub(super) fn queue_schema() -> serde_json::Value {
    let takes: Vec<&str> = Label::ALL.iter().map(|label| label.as_str()).chain(["review", "routes"]).collect();
    json!({
        "name": { "type": "string", "minLength": 1, "description": "Its name, which its topic ends in." },
        "takes": { "type": "string", "enum": takes, "description": "A label, `review`: what the classifier is unsure of, or `routes`: nothing but what rules send there." },
        "department": { "type": "string", "minLength": 1, "description": "Who answers." },
        "sla_minutes": minutes_schema(),
        "sla_clock": clock_schema(),
    })
}

/// The schema of what an item of `routes` holds.
pub(super) fn route_schema() -> serde_json::Value {
    let of = |names: Vec<&str>, description: &str| {
        let one = json!({ "type": "string", "enum": names });
        json!({ "anyOf": [one, { "type": "array", "items": one }], "description": description })
    };
    let text = json!({ "type": "string", "minLength": 1 });
    let share = |description: &str| json!({ "type": "number", "minimum": 0, "maximum": 1, "description": description });
    json!({
        "name": { "type": "string", "minLength": 1, "description": "How an item says by which rule it was sent." },
        "label": of(Label::ALL.iter().map(|label| label.as_str()).collect(), "One of several labels."),
        "language": of(Language::ALL.iter().map(|language| language.as_str()).collect(), "One of several languages."),
        "community": { "anyOf": [text, { "type": "array", "items": text }], "description": "One of several communities, by id." },
        "direction": of(Direction::ALL.iter().map(|direction| direction.as_str()).collect(), "One of several directions."),
        "content": of(ContentKind::ALL.iter().map(|kind| kind.as_str()).collect(), "One of several kinds of content."),
        "confidence_min": share("The least confidence."),
        "confidence_below": share("Below which confidence."),
        "abstained": { "type": "boolean", "description": "Whether the classifier was unsure." },
        "queue": { "type": "string", "minLength": 1, "description": "The queue to send to, or `none`." },
        "department": { "type": "string", "minLength": 1, "description": "Who answers, before the community's and the queue's." },
        "sla_minutes": minutes_schema(),
        "sla_clock": clock_schema(),
    })
}

fn minutes_schema() -> serde_json::Value {
    json!({ "type": "integer", "minimum": 1, "maximum": Sla::MINUTES_MAX, "description": "How soon an answer is due." })
}

fn clock_schema() -> serde_json::Value {
    let clocks = [SlaClock::Always.as_str(), SlaClock::Business.as_str()];
    json!({ "type": "string", "enum": clocks, "description": "What counts towards it: all time, or the community's business hours." })
}

pub(super) fn routing(reader: &mut Reader<'_>) -> Option<Routing> {
    let before = reader.errors.len();
    let queues = queues(reader);
    let names: Vec<&str> = queues.iter().map(|queue| queue.name.as_str()).collect();
    let rules = rules(reader, &names);
    if reader.errors.len() > before {
        return None;
    }
    let routing = Routing::new(queues).map_err(|error| reader.errors.push(format!("queues: {error}"))).ok()?;
    routing.with_rules(rules).map_err(|error| reader.errors.push(format!("routes: {error}"))).ok()
}

fn queues(reader: &mut Reader<'_>) -> Vec<QueueSpec> {
    let mut specs = Vec::new();
    for (item, table) in reader.items("queues") {
        let name = reader.item_text(&table, &item, "name");
        let department = reader.item_text(&table, &item, "department");
        let typed = reader.item_text(&table, &item, "takes");
        let sla = sla(reader, &table, &item);
        let takes = match typed.as_str() {
            "review" => Some(Takes::Review),
            "routes" => Some(Takes::Rules),
            label => label.parse().ok().map(Takes::Label),
        };
        match takes {
            Some(takes) => specs.push(QueueSpec { name, takes, department, sla }),
            None => reader.errors.push(format!(
                "{item}.takes is {typed:?}; complaint, tip, experience, praise, other, review or routes is right"
            )),
        }
    }
    specs
}

fn rules(reader: &mut Reader<'_>, queues: &[&str]) -> Vec<RuleSpec> {
    let mut specs = Vec::new();
    for (item, table) in reader.items("routes") {
        let name = reader.item_text(&table, &item, "name");
        let queue = reader.item_text(&table, &item, "queue");
        if table.get("queue").is_some_and(Value::is_str) && queue != "none" && !queues.contains(&queue.as_str()) {
            reader.wrong(
                &format!("{item}.queue"),
                &format!("{queue:?}"),
                &format!("{} or none is right", queues.join(", ")),
            );
        }
        let when = Conditions {
            labels: choices(reader, &table, &item, "label", &Label::ALL.map(|label| (label.as_str(), label))),
            languages: choices(
                reader,
                &table,
                &item,
                "language",
                &Language::ALL.map(|language| (language.as_str(), language)),
            ),
            communities: texts(reader, &table, &item, "community").into_iter().map(|(_, id)| id).collect(),
            directions: choices(
                reader,
                &table,
                &item,
                "direction",
                &Direction::ALL.map(|direction| (direction.as_str(), direction)),
            ),
            content_kinds: choices(
                reader,
                &table,
                &item,
                "content",
                &ContentKind::ALL.map(|kind| (kind.as_str(), kind)),
            )
            .into_iter()
            .collect(),
            confidence_min: share(reader, &table, &item, "confidence_min"),
            confidence_below: share(reader, &table, &item, "confidence_below"),
            abstained: match table.get("abstained") {
                None => None,
                Some(Value::Boolean(abstained)) => Some(*abstained),
                other => {
                    reader.wrong(&format!("{item}.abstained"), &shown(other), "true or false is right");
                    None
                }
            },
        };
        let department = table.contains_key("department").then(|| reader.item_text(&table, &item, "department"));
        let sla = sla(reader, &table, &item);
        specs.push(RuleSpec { name, when, queue, department, sla });
    }
    specs
}

/// A service level: `sla_minutes`, and by which clock.
fn sla(reader: &mut Reader<'_>, table: &Table, item: &str) -> Option<Sla> {
    let clock = match table.get("sla_clock") {
        None => SlaClock::default(),
        Some(Value::String(clock)) if clock == SlaClock::Always.as_str() => SlaClock::Always,
        Some(Value::String(clock)) if clock == SlaClock::Business.as_str() => SlaClock::Business,
        other => {
            reader.wrong(&format!("{item}.sla_clock"), &shown(other), "\"always\" or \"business\" is right");
            SlaClock::default()
        }
    };
    let path = format!("{item}.sla_minutes");
    let right = format!("1 to {} is right", Sla::MINUTES_MAX);
    match table.get("sla_minutes") {
        None => {
            if table.contains_key("sla_clock") {
                reader.wrong(&path, "missing", &format!("with {item}.sla_clock, {right}"));
            }
            None
        }
        value => {
            let minutes = value.and_then(Value::as_integer).and_then(|minutes| u32::try_from(minutes).ok());
            let sla = minutes.and_then(|minutes| Sla::new(minutes, clock));
            if sla.is_none() {
                reader.wrong(&path, &shown(value), &right);
            }
            sla
        }
    }
}

fn share(reader: &mut Reader<'_>, table: &Table, item: &str, field: &str) -> Option<f32> {
    let value = table.get(field)?;
    // Whole numbers are typed without a point.
    let number = value.as_float().or_else(|| value.as_integer().map(|integer| integer as f64));
    match number.filter(|number| (0.0..=1.0).contains(number)) {
        Some(number) => Some(number as f32),
        None => {
            reader.wrong(&format!("{item}.{field}"), &shown(Some(value)), "a number from 0 to 1 is right");
            None
        }
    }
}

/// A string, or a list of them, each with its path.
fn texts(reader: &mut Reader<'_>, table: &Table, item: &str, field: &str) -> Vec<(String, String)> {
    let path = format!("{item}.{field}");
    match table.get(field) {
        None => Vec::new(),
        Some(Value::String(text)) => vec![(path, text.clone())],
        Some(Value::Array(items)) if !items.is_empty() => {
            let mut texts = Vec::with_capacity(items.len());
            for (number, value) in items.iter().enumerate() {
                let path = format!("{path}[{number}]");
                match value {
                    Value::String(text) => texts.push((path, text.clone())),
                    other => reader.wrong(&path, &shown(Some(other)), "a string is right"),
                }
            }
            texts
        }
        other => {
            let found = if other.is_some_and(Value::is_array) { "empty".to_owned() } else { shown(other) };
            reader.wrong(&path, &found, "a string, or a list of at least one, is right");
            Vec::new()
        }
    }
}

fn choices<T: Copy>(reader: &mut Reader<'_>, table: &Table, item: &str, field: &str, choices: &[(&str, T)]) -> Vec<T> {
    let mut chosen = Vec::new();
    for (path, text) in texts(reader, table, item, field) {
        match choices.iter().find(|(name, _)| *name == text) {
            Some(&(_, choice)) => chosen.push(choice),
            None => {
                let names: Vec<&str> = choices.iter().map(|&(name, _)| name).collect();
                let (last, rest) = names.split_last().unwrap_or((&"", &[]));
                reader.wrong(&path, &format!("{text:?}"), &format!("{} or {last} is right", rest.join(", ")));
            }
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn load(text: &str) -> Result<Config, Vec<String>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let name = format!("{}: ", file.path().display());
        Config::load(Some(file.path()), [])
            .map_err(|errors| errors.0.into_iter().map(|error| error.replace(&name, "")).collect())
    }

    #[test]
    fn a_rule_is_read_with_all_its_conditions() {
        let config = load(
            "[[queues]]\nname = \"complaint\"\ntakes = \"complaint\"\ndepartment = \"care\"\nsla_minutes = 240\n\
             sla_clock = \"business\"\n[[queues]]\nname = \"night\"\ntakes = \"routes\"\ndepartment = \"night desk\"\n\
             [[routes]]\nname = \"all\"\nlabel = [\"complaint\", \"tip\"]\nlanguage = \"jv\"\ncommunity = [\"a\", \"b\"]\n\
             direction = \"member_to_brand\"\ncontent = [\"photo\", \"video\"]\nconfidence_min = 0\nconfidence_below = 0.9\n\
             abstained = false\nqueue = \"night\"\ndepartment = \"jawa\"\nsla_minutes = 30\n",
        )
        .unwrap();
        let business = Sla::new(240, SlaClock::Business);
        assert_eq!(config.routing.queues()[0].spec.sla, business);
        let [rule] = config.routing.rules() else { panic!("one rule") };
        let expected = RuleSpec {
            name: "all".to_owned(),
            when: Conditions {
                labels: vec![Label::Complaint, Label::Tip],
                languages: vec![Language::Javanese],
                communities: ["a".to_owned(), "b".to_owned()].into(),
                directions: vec![Direction::MemberToBrand],
                content_kinds: [ContentKind::Photo, ContentKind::Video].into_iter().collect(),
                confidence_min: Some(0.0),
                confidence_below: Some(0.9),
                abstained: Some(false),
            },
            queue: "night".to_owned(),
            department: Some("jawa".to_owned()),
            sla: Sla::new(30, SlaClock::Always),
        };
        assert_eq!((rule.spec(), rule.queue()), (&expected, Some(1)));
    }

    #[test]
    fn every_mistake_of_a_rule_is_told_at_once_with_its_key() {
        let errors = load(
            "[[routes]]\nname = \"a\"\nlabels = \"tip\"\nlabel = \"anger\"\nlanguage = [\"id\", \"fr\"]\ncommunity = []\n\
             direction = 3\ncontent = \"audio\"\nconfidence_min = 2\nabstained = \"no\"\nqueue = \"tips\"\nsla_minutes = 0\n\
             sla_clock = \"work\"\n[[routes]]\nqueue = \"none\"\nsla_clock = \"business\"\n",
        )
        .unwrap_err();
        assert_eq!(
            errors,
            [
                "routes[0].labels is no key; did you mean routes[0].label?",
                "routes[0].queue is \"tips\"; complaint, tip, experience, praise, review or none is right",
                "routes[0].label is \"anger\"; complaint, tip, experience, praise or other is right",
                "routes[0].language[1] is \"fr\"; id, en, jv, su, other or und is right",
                "routes[0].community is empty; a string, or a list of at least one, is right",
                "routes[0].direction is 3; a string, or a list of at least one, is right",
                "routes[0].content is \"audio\"; text, photo, video, article or unknown is right",
                "routes[0].confidence_min is 2; a number from 0 to 1 is right",
                "routes[0].abstained is \"no\"; true or false is right",
                "routes[0].sla_clock is \"work\"; \"always\" or \"business\" is right",
                "routes[0].sla_minutes is 0; 1 to 43200 is right",
                "routes[1].name is missing; a string is right",
                "routes[1].sla_minutes is missing; with routes[1].sla_clock, 1 to 43200 is right",
            ]
        );
        let twice =
            load("[[routes]]\nname = \"a\"\nqueue = \"tip\"\n[[routes]]\nname = \"a\"\nqueue = \"tip\"\n").unwrap_err();
        assert_eq!(twice, ["routes: rule \"a\" is listed twice; each name once"]);
    }
}
