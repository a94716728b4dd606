//! A JSON schema of the configuration: keys, defaults and meanings from the commented defaults, ranges and choices from what
//! checks them. So it cannot say something else than they do.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use toml_edit::{Document, Item, RawString, Table};

use super::layers::{FREE, LISTS};
use super::reader::Shape;
use super::validate::shapes;
use super::{DEFAULT, notify, routing};

/// The schema (draft-07).
///
/// # Errors
/// If the built-in defaults are not whole, which a test rules out.
pub(crate) fn schema() -> Result<Value> {
    let defaults: toml::Table = DEFAULT.parse()?;
    let shapes = shapes(&defaults);
    let commented: Document<&str> = Document::parse(DEFAULT)?;
    let mut root = table(commented.as_table(), "", &shapes)?;
    root.insert("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#"));
    root.insert("title".to_owned(), json!("The configuration of Sinyal"));
    Ok(Value::Object(root))
}

fn table(table: &Table, path: &str, shapes: &[(String, Shape)]) -> Result<Map<String, Value>> {
    let mut properties = Map::new();
    let mut above = String::new();
    for (name, item) in table.iter() {
        let key = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let comment = match item {
            Item::Table(inner) => said(inner.decor().prefix()),
            Item::ArrayOfTables(items) => said(items.iter().next().and_then(|first| first.decor().prefix())),
            _ => said(table.key(name).and_then(|key| key.leaf_decor().prefix())),
        };
        let mut property = match item {
            Item::Table(_) if FREE.contains(&key.as_str()) => {
                let value = json!({ "type": ["string", "integer", "boolean"] });
                Map::from_iter([("type".to_owned(), json!("object")), ("additionalProperties".to_owned(), value)])
            }
            Item::Table(inner) => self::table(inner, &key, shapes)?,
            Item::ArrayOfTables(_) => list(&key)?,
            Item::Value(value) if LISTS.iter().any(|(list, _)| *list == key) => {
                let mut list = list(&key)?;
                list.insert("default".to_owned(), default(value)?);
                list
            }
            Item::Value(value) => {
                let asked = shapes.iter().find(|(asked, _)| *asked == key);
                let (_, shape) = asked.with_context(|| format!("{key} is a key that nobody takes"))?;
                let mut scalar = scalar(shape);
                scalar.insert("default".to_owned(), default(value)?);
                scalar
            }
            Item::None => continue,
        };
        // What stands below another without a line between them is explained with it.
        if !comment.is_empty() {
            above = comment;
        } else if matches!(item, Item::Table(_) | Item::ArrayOfTables(_)) {
            above.clear();
        }
        if !above.is_empty() {
            property.insert("description".to_owned(), json!(above));
        }
        properties.insert(name.to_owned(), Value::Object(property));
    }
    Ok(Map::from_iter([
        ("type".to_owned(), json!("object")),
        ("properties".to_owned(), Value::Object(properties)),
        ("additionalProperties".to_owned(), json!(false)),
    ]))
}

/// The comment right above, as text.
fn said(prefix: Option<&RawString>) -> String {
    let text = prefix.and_then(RawString::as_str).or_else(|| spanned(prefix)).unwrap_or_default();
    let lines = text.trim_end().rsplit('\n').take_while(|line| line.starts_with('#'));
    let mut lines: Vec<&str> = lines.map(|line| line.trim_start_matches('#').trim()).collect();
    lines.reverse();
    lines.join(" ")
}

/// A document that was only parsed names places in its text.
fn spanned(prefix: Option<&RawString>) -> Option<&'static str> {
    DEFAULT.get(prefix?.span()?)
}

fn default(value: &toml_edit::Value) -> Result<Value> {
    Ok(match value {
        toml_edit::Value::String(text) => json!(text.value()),
        toml_edit::Value::Integer(number) => json!(number.value()),
        toml_edit::Value::Float(number) => json!(number.value()),
        toml_edit::Value::Boolean(boolean) => json!(boolean.value()),
        toml_edit::Value::Array(items) => Value::Array(items.iter().map(default).collect::<Result<_>>()?),
        other => anyhow::bail!("a default is a {}", other.type_name()),
    })
}

fn scalar(shape: &Shape) -> Map<String, Value> {
    let value = match shape {
        Shape::Text | Shape::SecretFile => json!({ "type": "string" }),
        Shape::Choice(choices) => json!({ "type": "string", "enum": choices }),
        Shape::Number { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Shape::Real => json!({ "type": "number" }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Texts { most } => {
            json!({ "type": "array", "maxItems": most, "items": { "type": "string", "minLength": 1 } })
        }
    };
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// What the items of a list hold: fields whose checks depend on each other, so their shapes stand with them.
fn list(key: &str) -> Result<Map<String, Value>> {
    let (fields, needed) = match key {
        "windows" => (windows(), &["name", "length_ms", "slide_ms", "lateness_ms"][..]),
        "queues" => (routing::queue_schema(), &["name", "takes", "department"][..]),
        "routes" => (routing::route_schema(), &["name", "queue"][..]),
        "notify.targets" => (notify::target_schema(), &["name", "kind", "url"][..]),
        other => anyhow::bail!("{other} is a list without a schema"),
    };
    let known = LISTS.iter().find(|(list, _)| *list == key).map(|(_, fields)| *fields).unwrap_or_default();
    let told: Vec<&str> = fields.as_object().into_iter().flat_map(|fields| fields.keys().map(String::as_str)).collect();
    ensure!(
        known.len() == told.len() && known.iter().all(|field| told.contains(field)),
        "items of {key} hold {known:?}, and their schema {told:?}"
    );
    let item = json!({ "type": "object", "properties": fields, "required": needed, "additionalProperties": false });
    Ok(Map::from_iter([("type".to_owned(), json!("array")), ("items".to_owned(), item)]))
}

fn windows() -> Value {
    let time = |description: &str| json!({ "type": "integer", "minimum": 0, "description": description });
    json!({
        "name": { "type": "string", "minLength": 1, "description": "How rows name it." },
        "length_ms": time("How much time a pane covers, in milliseconds."),
        "slide_ms": time("How far apart the ends of panes are, in milliseconds."),
        "lateness_ms": time("How long after its end a pane is still revised, in milliseconds of event time."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusals(text: &str) -> Vec<String> {
        let typed: toml::Table = text.parse().unwrap();
        let typed = serde_json::to_value(typed).unwrap();
        let validator = jsonschema::draft7::new(&schema().unwrap()).unwrap();
        validator.iter_errors(&typed).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    #[test]
    fn the_defaults_pass_and_every_key_is_explained() {
        assert_eq!(refusals(DEFAULT), [""; 0]);
        let schema = schema().unwrap();
        fn unexplained(of: &Value, path: &str, found: &mut Vec<String>) {
            for (name, property) in of["properties"].as_object().into_iter().flatten() {
                let key = format!("{path}.{name}");
                if property["type"] != "object" && property["description"].as_str().is_none_or(str::is_empty) {
                    found.push(key.clone());
                }
                unexplained(property, &key, found);
            }
        }
        let mut found = Vec::new();
        unexplained(&schema, "", &mut found);
        // Fields that the rules of `[alerts]` have in common are explained at the first of them.
        found.retain(|key| !key.starts_with(".alerts."));
        // Names of topics say what they are.
        found.retain(|key| !key.starts_with(".topics."));
        assert_eq!(found, [""; 0]);
        let lag = &schema["properties"]["blindness"]["properties"]["lag_ms"];
        assert_eq!(
            (&lag["minimum"], &lag["maximum"], &lag["default"]),
            (&json!(1_000), &json!(86_400_000), &json!(60_000))
        );
        assert!(lag["description"].as_str().unwrap().starts_with("How long a stage may take to commit"), "{lag}");
    }

    #[test]
    fn what_the_service_refuses_the_schema_refuses() {
        let check = |text: &str, place: &str| {
            let refusals = refusals(text);
            assert!(refusals.len() == 1 && refusals[0].starts_with(place), "{text}: {refusals:?}");
        };
        check("[kafka]\nbootstrp = \"a:1\"\n", "/kafka: ");
        check("[kafka]\nprefetch_bytes = \"much\"\n", "/kafka/prefetch_bytes: ");
        check("[limits]\nfuture_ms = -5\n", "/limits/future_ms: ");
        check("[raw]\nformat = \"xml\"\n", "/raw/format: ");
        check("[[queues]]\nname = \"x\"\ntakes = \"anger\"\ndepartment = \"d\"\n", "/queues/0/takes: ");
        check("[[routes]]\nname = \"x\"\nqueue = \"tip\"\nlabel = [\"anger\"]\n", "/routes/0/label");
        check("[[notify.targets]]\nname = \"x\"\nkind = \"pigeon\"\nurl = \"http://a\"\n", "/notify/targets/0/kind: ");
        let window = "[[windows]]\nname = 1\nlength_ms = 10\nslide_ms = 10\nlateness_ms = 0\n";
        check(window, "/windows/0/name: ");
    }

    #[test]
    fn properties_of_librdkafka_are_free() {
        assert_eq!(refusals("[kafka.properties]\n\"security.protocol\" = \"SSL\"\n"), [""; 0]);
    }
}
