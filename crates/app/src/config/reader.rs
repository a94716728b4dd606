//! Takes values out of what was typed, and collects every mistake with its key, what is there and what would be right.

use std::fmt::Display;
use std::path::Path;

use toml::{Table, Value};

use super::Secret;
use super::files::{SECRET_BYTES_MAX, read_up_to};

/// Collects mistakes while values are taken.
pub(super) struct Reader<'a> {
    typed: &'a Table,
    pub(super) errors: Vec<String>,
    /// What each key is to be: it is what `sinyal config schema` says.
    pub(super) asked: Vec<(String, Shape)>,
}

/// What a key is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    /// The name of a file whose text is a secret.
    SecretFile,
    Choice(Vec<String>),
    Number {
        least: i64,
        most: i64,
    },
    Real,
    Boolean,
    Texts {
        most: usize,
    },
}

impl<'a> Reader<'a> {
    pub(super) fn new(typed: &'a Table) -> Reader<'a> {
        Reader { typed, errors: Vec::new(), asked: Vec::new() }
    }

    pub(super) fn find(&self, key: &str) -> Option<&'a Value> {
        let mut parts = key.split('.');
        let mut value = self.typed.get(parts.next()?)?;
        for part in parts {
            value = value.as_table()?.get(part)?;
        }
        Some(value)
    }

    pub(super) fn wrong(&mut self, key: &str, found: &str, right: &str) {
        self.errors.push(format!("{key} is {found}; {right}"));
    }

    fn ask(&mut self, key: &str, shape: Shape) {
        match self.asked.iter_mut().find(|(asked, _)| asked == key) {
            // What it is taken as last is the most that is known of it: a choice is a text first.
            Some((_, asked)) if shape != Shape::Text => *asked = shape,
            Some(_) => {}
            None => self.asked.push((key.to_owned(), shape)),
        }
    }

    pub(super) fn text(&mut self, key: &str) -> String {
        self.ask(key, Shape::Text);
        match self.find(key) {
            Some(Value::String(text)) => text.clone(),
            other => {
                let found = shown(other);
                self.wrong(key, &found, "a string is right");
                String::new()
            }
        }
    }

    /// A list of strings that are not empty, at most so many.
    pub(super) fn texts(&mut self, key: &str, most: usize) -> Vec<String> {
        self.ask(key, Shape::Texts { most });
        let Some(Value::Array(items)) = self.find(key) else {
            let found = shown(self.find(key));
            self.wrong(key, &found, "a list of strings is right");
            return Vec::new();
        };
        if items.len() > most {
            self.wrong(key, &format!("{} items", items.len()), &format!("at most {most} is right"));
        }
        let mut texts = Vec::new();
        for (number, item) in items.iter().enumerate() {
            match item {
                Value::String(text) if !text.trim().is_empty() => texts.push(text.clone()),
                other => {
                    self.wrong(&format!("{key}[{number}]"), &shown(Some(other)), "a string that is not empty is right")
                }
            }
        }
        texts
    }

    pub(super) fn required(&mut self, key: &str) -> String {
        let before = self.errors.len();
        let text = self.text(key);
        if text.is_empty() && self.errors.len() == before {
            self.wrong(key, "empty", "a name is needed");
        }
        text
    }

    pub(super) fn real(&mut self, key: &str) -> Option<f64> {
        self.ask(key, Shape::Real);
        match self.find(key) {
            Some(Value::Float(value)) => Some(*value),
            Some(Value::Integer(value)) => Some(*value as f64),
            other => {
                let found = shown(other);
                self.wrong(key, &found, "a number is right");
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, key: &str) -> bool {
        self.ask(key, Shape::Boolean);
        match self.find(key) {
            Some(Value::Boolean(boolean)) => *boolean,
            other => {
                let found = shown(other);
                self.wrong(key, &found, "true or false is right");
                false
            }
        }
    }

    pub(super) fn number<T: TryFrom<i64> + Default>(&mut self, key: &str, least: i64, most: i64) -> T {
        self.ask(key, Shape::Number { least, most });
        match self.find(key) {
            Some(Value::Integer(number)) if (least..=most).contains(number) => T::try_from(*number).unwrap_or_default(),
            Some(Value::Integer(number)) => {
                self.wrong(key, &number.to_string(), &format!("{least} to {most} is right"));
                T::default()
            }
            other => {
                let found = shown(other);
                self.wrong(key, &found, "an integer is right");
                T::default()
            }
        }
    }

    pub(super) fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> T {
        let before = self.errors.len();
        let text = self.text(key);
        self.ask(key, Shape::Choice(choices.iter().map(|(name, _)| (*name).to_owned()).collect()));
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
            return *value;
        }
        if self.errors.len() == before {
            let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
            self.wrong(key, &format!("{text:?}"), &format!("{} is right", names.join(" or ")));
        }
        choices[0].1
    }

    /// What a named file holds, without the line break at its end; `None` if no file is named.
    pub(super) fn secret(&mut self, key: &str) -> Option<Secret> {
        let path = self.text(key);
        self.ask(key, Shape::SecretFile);
        self.secret_in(key, &path)
    }

    /// The same of a path that was taken already.
    pub(super) fn secret_in(&mut self, key: &str, path: &str) -> Option<Secret> {
        if path.is_empty() {
            return None;
        }
        match read_up_to(Path::new(path), SECRET_BYTES_MAX) {
            Ok(mut bytes) => {
                while bytes.last().is_some_and(u8::is_ascii_whitespace) {
                    bytes.pop();
                }
                Some(Secret::new(bytes))
            }
            Err(error) => {
                self.wrong(key, &format!("{path:?}"), &format!("a file that can be read is right ({error})"));
                None
            }
        }
    }

    /// The items of a list, with their paths.
    pub(super) fn items(&mut self, key: &str) -> Vec<(String, Table)> {
        let Some(Value::Array(items)) = self.find(key) else {
            self.errors.push(format!("{key} is no list; [[{key}]] tables are right"));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (number, item) in items.iter().enumerate() {
            match item {
                Value::Table(table) => tables.push((format!("{key}[{number}]"), table.clone())),
                other => self.wrong(&format!("{key}[{number}]"), &shown(Some(other)), "a table is right"),
            }
        }
        tables
    }

    pub(super) fn item_text(&mut self, table: &Table, item: &str, field: &str) -> String {
        match table.get(field) {
            Some(Value::String(text)) => text.clone(),
            other => {
                self.wrong(&format!("{item}.{field}"), &shown(other), "a string is right");
                String::new()
            }
        }
    }

    pub(super) fn item_number(&mut self, table: &Table, item: &str, field: &str) -> i64 {
        match table.get(field) {
            Some(Value::Integer(number)) => *number,
            other => {
                self.wrong(&format!("{item}.{field}"), &shown(other), "an integer is right");
                0
            }
        }
    }
}

pub(super) fn shown(value: Option<&Value>) -> String {
    match value {
        None => "missing".to_owned(),
        Some(value @ (Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_))) => quoted(value),
        Some(value) => format!("a {}", value.type_str()),
    }
}

fn quoted(value: &dyn Display) -> String {
    let mut text = value.to_string();
    if text.chars().count() > 60 {
        text = text.chars().take(60).collect::<String>() + "…";
    }
    text
}
