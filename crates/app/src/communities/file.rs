//! A registry in TOML or JSON, with every mistake at once.

use std::collections::BTreeMap;
use std::path::Path;

use rules::{Communities, CommunitySpec, Holiday, WEEKDAYS};
use toml::{Table, Value};

use crate::config::{read_text_up_to, unknown_key};

/// Largest registry, in bytes.
pub(crate) const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// What the file holds.
const KEYS: [&str; 2] = ["default", "communities"];
/// What the default may say.
const DEFAULT_FIELDS: [&str; 7] =
    ["time_zone", "language", "business_hours", "holidays", "brand_accounts", "department", "links"];
/// What only a community may say.
const OWN_FIELDS: [&str; 2] = ["id", "name"];

/// A registry as it is typed, and what it means. It is right.
#[derive(Debug)]
pub(crate) struct Typed {
    /// What holds for communities that are not listed; nothing is said if the file does not have it.
    pub(crate) default: CommunitySpec,
    /// Those that are listed, in their order.
    pub(crate) communities: Vec<CommunitySpec>,
    /// What they mean together.
    pub(crate) registry: Communities,
}

/// Reads a registry: JSON where the name ends in `.json`, else TOML.
///
/// # Errors
/// Every mistake, each with the file, its place, what is there and what would be right. No account is shown.
pub(crate) fn read(path: &Path) -> Result<Typed, Vec<String>> {
    let name = path.display();
    let cannot = |error: &dyn std::fmt::Display| vec![format!("{name}: cannot be read: {error}")];
    let text = read_text_up_to(path, BYTES_MAX).map_err(|error| cannot(&error))?;
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    parse(&text, is_json).map_err(|errors| errors.into_iter().map(|error| format!("{name}: {error}")).collect())
}

/// The same of a text.
///
/// # Errors
/// Every mistake, without the file.
pub(crate) fn parse(text: &str, is_json: bool) -> Result<Typed, Vec<String>> {
    let table =
        if is_json { json_table(text) } else { crate::config::toml_table(text) }.map_err(|error| vec![error])?;
    let mut reader = Reader::default();
    reader.check_keys(&table, &KEYS, "");
    let default = match table.get("default") {
        None => CommunitySpec::default(),
        Some(Value::Table(default)) => {
            reader.check_keys(default, &DEFAULT_FIELDS, "default");
            reader.community(default, "default")
        }
        Some(other) => {
            reader.wrong("default", &found(other), "a table is right");
            CommunitySpec::default()
        }
    };
    let specs = reader.communities(table.get("communities"));
    match Communities::new(&default, &specs) {
        Ok(registry) if reader.errors.is_empty() => Ok(Typed { default, communities: specs, registry }),
        Ok(_) => Err(reader.errors),
        Err(mistakes) => {
            // One that has no id is told of once.
            let told = |path: &str| reader.errors.iter().any(|error| error.starts_with(&format!("{path} is ")));
            let more: Vec<String> =
                mistakes.iter().filter(|mistake| !told(&mistake.path)).map(ToString::to_string).collect();
            Err(reader.errors.into_iter().chain(more).collect())
        }
    }
}

fn json_table(text: &str) -> Result<Table, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| {
        format!("line {}, column {}: this is no JSON ({:?})", error.line(), error.column(), error.classify())
    })?;
    match toml_value(value) {
        Some(Value::Table(table)) => Ok(table),
        _ => Err("an object with \"communities\" is right".to_owned()),
    }
}

/// JSON as the same values that TOML has; null is what is not there.
fn toml_value(value: serde_json::Value) -> Option<Value> {
    Some(match value {
        serde_json::Value::Null => return None,
        serde_json::Value::Bool(boolean) => Value::Boolean(boolean),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(integer) => Value::Integer(integer),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::String(text),
        serde_json::Value::Array(items) => Value::Array(items.into_iter().filter_map(toml_value).collect()),
        serde_json::Value::Object(fields) => {
            let fields = fields.into_iter().filter_map(|(key, value)| Some((key, toml_value(value)?)));
            Value::Table(fields.collect())
        }
    })
}

/// Collects mistakes while values are taken.
#[derive(Default)]
struct Reader {
    errors: Vec<String>,
}

impl Reader {
    fn wrong(&mut self, path: &str, found: &str, right: &str) {
        self.errors.push(format!("{path} is {found}; {right}"));
    }

    fn check_keys(&mut self, table: &Table, known: &[&str], path: &str) {
        for key in table.keys().filter(|key| !known.contains(&key.as_str())) {
            let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            self.errors.push(unknown_key(&full, known.iter().copied(), path));
        }
    }

    fn communities(&mut self, value: Option<&Value>) -> Vec<CommunitySpec> {
        let items = match value {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                self.wrong("communities", &found(other), "a list of tables is right");
                return Vec::new();
            }
        };
        let fields: Vec<&str> = OWN_FIELDS.into_iter().chain(DEFAULT_FIELDS).collect();
        let mut specs = Vec::with_capacity(items.len());
        for (number, item) in items.iter().enumerate() {
            let place = format!("communities[{number}]");
            // One that cannot be read keeps its place, so that those after it are told of by theirs.
            let mut spec = CommunitySpec::default();
            match item {
                Value::Table(table) => {
                    self.check_keys(table, &fields, &place);
                    spec = self.community(table, &place);
                    match table.get("id") {
                        Some(Value::String(id)) => spec.id.clone_from(id),
                        None => self.wrong(&format!("{place}.id"), "missing", "the community's id is right"),
                        Some(other) => self.wrong(&format!("{place}.id"), &found(other), "a string is right"),
                    }
                    spec.name = self.text(table, "name", &place);
                }
                other => {
                    self.wrong(&place, &found(other), "a table is right");
                    spec.id = place;
                }
            }
            specs.push(spec);
        }
        specs
    }

    fn community(&mut self, table: &Table, place: &str) -> CommunitySpec {
        CommunitySpec {
            id: String::new(),
            name: None,
            time_zone: self.text(table, "time_zone", place),
            language: self.text(table, "language", place),
            business_hours: self.business_hours(table, place),
            holidays: self.holidays(table, place),
            brand_accounts: table
                .get("brand_accounts")
                .map(|value| self.texts(value, &format!("{place}.brand_accounts"), "a list of strings is right")),
            department: self.text(table, "department", place),
            links: self.links(table, place),
        }
    }

    fn text(&mut self, table: &Table, field: &str, place: &str) -> Option<String> {
        match table.get(field)? {
            Value::String(text) => Some(text.clone()),
            other => {
                self.wrong(&format!("{place}.{field}"), &found(other), "a string is right");
                None
            }
        }
    }

    /// A list of strings. What else is there is not shown: it may be an account.
    fn texts(&mut self, value: &Value, path: &str, right: &str) -> Vec<String> {
        let Value::Array(items) = value else {
            self.wrong(path, &found(value), right);
            return Vec::new();
        };
        let mut texts = Vec::with_capacity(items.len());
        for (number, item) in items.iter().enumerate() {
            match item {
                Value::String(text) => texts.push(text.clone()),
                other => {
                    self.wrong(&format!("{path}[{number}]"), &found(other), "a string is right");
                    // Something in its place, so that those after it are told of by theirs.
                    texts.push("?".to_owned());
                }
            }
        }
        texts
    }

    fn business_hours(&mut self, table: &Table, place: &str) -> Option<[Vec<String>; 7]> {
        let path = format!("{place}.business_hours");
        let days = match table.get("business_hours")? {
            Value::Table(days) => days,
            other => {
                self.wrong(&path, &found(other), "a table of weekdays is right");
                return None;
            }
        };
        let before = self.errors.len();
        self.check_keys(days, &WEEKDAYS, &path);
        let hours = WEEKDAYS.map(|weekday| match days.get(weekday) {
            None => Vec::new(),
            Some(value) => self.texts(
                value,
                &format!("{path}.{weekday}"),
                "a list such as [\"08:00-12:00\", \"13:00-17:00\"] is right",
            ),
        });
        // With a day misspelt the week would look too short.
        (self.errors.len() == before).then_some(hours)
    }

    fn holidays(&mut self, table: &Table, place: &str) -> Option<Vec<Holiday>> {
        let path = format!("{place}.holidays");
        let items = match table.get("holidays")? {
            Value::Array(items) => items,
            other => {
                self.wrong(&path, &found(other), "a list of tables with date and name is right");
                return None;
            }
        };
        let before = self.errors.len();
        let mut holidays = Vec::with_capacity(items.len());
        for (number, item) in items.iter().enumerate() {
            let item_path = format!("{path}[{number}]");
            let Value::Table(holiday) = item else {
                self.wrong(&item_path, &found(item), "a table with date and name is right");
                continue;
            };
            self.check_keys(holiday, &["date", "name"], &item_path);
            let date = match holiday.get("date") {
                Some(Value::String(date)) => date.clone(),
                Some(Value::Datetime(date)) => date.to_string(),
                other => {
                    let found = other.map_or_else(|| "missing".to_owned(), found);
                    self.wrong(&format!("{item_path}.date"), &found, "a date such as 2026-12-25 is right");
                    continue;
                }
            };
            match self.text(holiday, "name", &item_path) {
                Some(name) => holidays.push(Holiday { date, name }),
                None if !holiday.contains_key("name") => {
                    self.wrong(&format!("{item_path}.name"), "missing", "what the day is called is right");
                }
                None => {}
            }
        }
        // With one left out the places of the others would be wrong.
        (self.errors.len() == before).then_some(holidays)
    }

    fn links(&mut self, table: &Table, place: &str) -> Option<BTreeMap<String, String>> {
        let path = format!("{place}.links");
        match table.get("links")? {
            Value::Table(links) => {
                let mut read = BTreeMap::new();
                for name in links.keys() {
                    read.extend(self.text(links, name, &path).map(|url| (name.clone(), url)));
                }
                Some(read)
            }
            other => {
                self.wrong(&path, &found(other), "a table of names and URLs is right");
                None
            }
        }
    }
}

/// What a value of the wrong kind is, without what it says.
fn found(value: &Value) -> String {
    format!("a {}", value.type_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../../deploy/communities.example.toml");

    #[test]
    fn the_example_is_right() {
        let communities = parse(EXAMPLE, false).unwrap().registry;
        let depok = communities.listed("warga-listrik-depok").unwrap();
        assert_eq!((depok.time_zone.as_str(), depok.department.as_deref()), ("Asia/Jakarta", Some("depok branch")));
        assert_eq!(depok.brand_accounts.len(), 2);
        assert_eq!(communities.get("unlisted").holidays.len(), 2);
    }

    #[test]
    fn json_says_the_same_as_toml() {
        let toml = "[default]\nlanguage = \"en\"\n[[communities]]\nid = \"a\"\nbusiness_hours.monday = [\"08:00-12:00\"]\n\
                    holidays = [{ date = 2026-12-25, name = \"Natal\" }]\n";
        let json = r#"{ "default": { "language": "en", "department": null }, "communities": [ { "id": "a",
            "business_hours": { "monday": ["08:00-12:00"] }, "holidays": [{ "date": "2026-12-25", "name": "Natal" }] } ] }"#;
        let shown = |text, is_json| format!("{:?}", parse(text, is_json).unwrap().registry.get("a"));
        assert_eq!(shown(toml, false), shown(json, true));
    }

    #[test]
    fn every_mistake_is_told_at_once_and_no_account() {
        let text = "[defaults]\n[default]\nid = \"x\"\ntime_zone = 7\n[[communities]]\nnam = \"A\"\nbrand_accounts = [178, \"@\"]\n\
                    [communities.business_hours]\nmonady = []\n[[communities]]\nid = \"b\"\ntime_zone = \"Asia/Jakrta\"\n\
                    holidays = [{ name = \"Natal\" }]\nlinks = { wiki = 5 }\n";
        assert_eq!(
            parse(text, false).unwrap_err(),
            [
                "defaults is no key; did you mean default?",
                "default.id is no key; did you mean default.holidays?",
                "default.time_zone is a integer; a string is right",
                "communities[0].nam is no key; did you mean communities[0].name?",
                "communities[0].business_hours.monady is no key; did you mean communities[0].business_hours.monday?",
                "communities[0].brand_accounts[0] is a integer; a string is right",
                "communities[0].id is missing; the community's id is right",
                "communities[1].holidays[0].date is missing; a date such as 2026-12-25 is right",
                "communities[1].links.wiki is a integer; a string is right",
                "communities[0].brand_accounts[1] is 0 bytes long; an author id, or @ and a handle, of 1 to 256 bytes is right",
                "communities[1].time_zone is \"Asia/Jakrta\"; an IANA time zone such as Asia/Jakarta is right; did you mean \
                 Asia/Jakarta?",
            ]
        );
    }

    #[test]
    fn what_cannot_be_parsed_is_told_by_its_place_alone() {
        let toml =
            parse("[default]\nlanguage = \"id\"\nbrand_accounts = [\"@secret\" \"@other\"]\n", false).unwrap_err();
        assert!(toml.len() == 1 && toml[0].starts_with("line 3: ") && !toml[0].contains("secret"), "{toml:?}");
        let json = parse("{ \"default\": { \"brand_accounts\": [\"@secret\" \"@other\"] } }", true).unwrap_err();
        assert!(json.len() == 1 && json[0].starts_with("line 1, ") && !json[0].contains("secret"), "{json:?}");
    }

    #[test]
    fn a_file_that_is_not_there_is_told() {
        let errors = read(Path::new("/nowhere/communities.toml")).unwrap_err();
        assert!(errors[0].starts_with("/nowhere/communities.toml: cannot be read: "), "{errors:?}");
    }
}
