//! Layers of a configuration: the defaults, a file, the environment.

use toml::{Table, Value};

use super::routing::{QUEUE, ROUTE};
use super::{ConfigErrors, DEFAULT};

/// Begins the name of every variable of the environment that is ours.
pub(super) const ENVIRONMENT: &str = "SINYAL__";
/// Keys below these are not ours to know.
pub(super) const FREE: &[&str] = &["kafka.properties", "kafka.property_files"];
/// What the items of each list hold.
pub(super) const LISTS: &[(&str, &[&str])] = &[
    ("windows", &["name", "length_ms", "slide_ms", "lateness_ms"]),
    ("queues", QUEUE),
    ("routes", ROUTE),
    ("notify.targets", super::notify::TARGET_FIELDS),
];

/// Merges the layers; unknown keys are refused with the nearest known one.
pub(super) fn merge(
    text: Option<&str>,
    name: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Table, ConfigErrors> {
    let mut merged: Table =
        DEFAULT.parse().map_err(|error| ConfigErrors(vec![format!("built-in defaults: {error}")]))?;
    let known = merged.clone();
    let mut errors = Vec::new();
    if let Some(text) = text {
        match toml_table(text) {
            Ok(typed) => {
                check_keys(&typed, &known, "", name, &mut errors);
                errors.extend(super::properties::secrets(&typed, name));
                lay_over(&mut merged, typed);
            }
            Err(error) => return Err(ConfigErrors(vec![format!("{name}: {error}")])),
        }
    }
    let mut ours: Vec<(String, String)> =
        environment.into_iter().filter(|(variable, _)| variable.starts_with(ENVIRONMENT)).collect();
    ours.sort();
    for (variable, value) in ours {
        let path: Vec<String> = variable[ENVIRONMENT.len()..].split("__").map(str::to_lowercase).collect();
        let mut typed = Table::new();
        nest(&mut typed, &path, scalar(&value, default_of(&known, &path)));
        check_keys(&typed, &known, "", &variable, &mut errors);
        lay_over(&mut merged, typed);
    }
    // Mistakes of names and of values are told together: the rest is checked all the same.
    match (errors.is_empty(), super::validate::validate(&merged)) {
        (true, _) => Ok(merged),
        (false, Ok(_)) => Err(ConfigErrors(errors)),
        (false, Err(more)) => {
            errors.extend(more.0);
            Err(ConfigErrors(errors))
        }
    }
}

/// What TOML says. What the parser shows of the text around a mistake may be a secret or an account: the place is enough.
pub(crate) fn toml_table(text: &str) -> Result<Table, String> {
    text.parse::<Table>().map_err(|error| {
        let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        format!("line {line}: {}", error.message())
    })
}

fn default_of<'a>(known: &'a Table, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    match (known.get(first)?, rest) {
        (value, []) => Some(value),
        (Value::Table(table), rest) => default_of(table, rest),
        _ => None,
    }
}

/// A variable's value: what the default is of, where it reads as such, a list as TOML has it; else a string, of which the check then
/// tells.
fn scalar(text: &str, default: Option<&Value>) -> Value {
    let parsed = match default {
        Some(Value::Integer(_)) => text.parse().ok().map(Value::Integer),
        Some(Value::Float(_)) => text.parse().ok().map(Value::Float),
        Some(Value::Boolean(_)) => text.parse().ok().map(Value::Boolean),
        Some(Value::Array(_)) => list(text),
        _ => None,
    };
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn list(text: &str) -> Option<Value> {
    let mut table = format!("list = {text}").parse::<Table>().ok()?;
    // Whatever else the text would say is no list.
    if table.len() == 1 { table.remove("list").filter(Value::is_array) } else { None }
}

fn nest(table: &mut Table, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] => {
            table.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            let mut inner = Table::new();
            nest(&mut inner, rest, value);
            table.insert(key.clone(), Value::Table(inner));
        }
    }
}

fn lay_over(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => lay_over(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

/// The keys whose values differ, with the path before them, in order.
pub(super) fn differing(one: &Table, other: &Table, path: &str, found: &mut Vec<String>) {
    let keys: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    for key in keys {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match (one.get(key), other.get(key)) {
            (Some(Value::Table(one)), Some(Value::Table(other))) => differing(one, other, &full, found),
            (one, other) if one != other => found.push(full),
            _ => {}
        }
    }
}

fn check_keys(typed: &Table, known: &Table, path: &str, place: &str, errors: &mut Vec<String>) {
    for (key, value) in typed {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match (known.get(key), value) {
            (None, _) => errors.push(unknown(&full, known.keys().map(String::as_str), path, place)),
            (Some(Value::Table(inner)), Value::Table(value)) if !FREE.contains(&full.as_str()) => {
                check_keys(value, inner, &full, place, errors);
            }
            (Some(Value::Array(_)), Value::Array(items)) => {
                let fields = LISTS.iter().find(|(list, _)| *list == full).map_or(&[][..], |(_, fields)| fields);
                for (number, item) in items.iter().enumerate() {
                    for field in item.as_table().into_iter().flat_map(Table::keys) {
                        if !fields.contains(&field.as_str()) {
                            let item = format!("{full}[{number}]");
                            errors.push(unknown(&format!("{item}.{field}"), fields.iter().copied(), &item, place));
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

/// A name that is less like another than this is no slip of the pen for it.
const LIKE: f64 = 0.6;

fn unknown<'a>(full: &str, known: impl Iterator<Item = &'a str>, path: &str, place: &str) -> String {
    format!("{place}: {}", unknown_key(full, known, path))
}

/// What is said of a key that there is not: the nearest that there is.
pub(crate) fn unknown_key<'a>(full: &str, known: impl Iterator<Item = &'a str>, path: &str) -> String {
    let key = full.rsplit('.').next().unwrap_or(full);
    let likeness = |other: &&str| strsim::jaro_winkler(key, other);
    let nearest = known.max_by(|one, two| likeness(one).total_cmp(&likeness(two)));
    match nearest.filter(|nearest| likeness(nearest) >= LIKE) {
        Some(nearest) if path.is_empty() => format!("{full} is no key; did you mean {nearest}?"),
        Some(nearest) => format!("{full} is no key; did you mean {path}.{nearest}?"),
        None => format!("{full} is no key"),
    }
}
