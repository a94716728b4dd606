//! `docs/src/operate/scale.md` is worked out again from its inputs, and each input that was measured stands where the page says.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use exmex::prelude::*;

const PAGE: &str = include_str!("../../docs/src/operate/scale.md");
const GIVEN: [&str; 2] = ["What was measured", "What is chosen"];
const WORKED_OUT: [&str; 3] = ["What one bears", "What a million a second takes", "Held against runs"];
/// How far a figure may be from what follows: it is rounded.
const ROUNDED: f64 = 0.005;

/// A row of one of the page's tables: a name in code quotes first.
struct Row {
    name: &'static str,
    cells: Vec<&'static str>,
}

/// The rows of the table below a heading.
fn rows(heading: &str) -> Vec<Row> {
    let (_, below) = PAGE.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let section = below.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| `")).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        Row { name: cells[0].trim_matches('`'), cells }
    });
    let rows: Vec<Row> = rows.collect();
    assert!(!rows.is_empty(), "{heading} has no table");
    rows
}

/// A number as the page has it, such as `1,000,000` or `0.84`.
fn number(text: &str) -> f64 {
    text.replace(',', "").parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

#[test]
fn what_was_measured_stands_where_the_page_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut wrong = Vec::new();
    for row in rows("What was measured") {
        let (value, place) = (row.cells[1], row.cells[3].trim_matches('`'));
        let (file, line) = place.rsplit_once(':').unwrap_or_else(|| panic!("{place}: a file and a line are right"));
        let text = std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let line = text.lines().nth(line.parse::<usize>().unwrap() - 1).unwrap_or_default();
        // As a number of its own, not as a part of another.
        let digit = |letter: char| letter.is_ascii_digit() || matches!(letter, ',' | '.');
        let found = line.split(|letter: char| !digit(letter)).any(|word| word.trim_end_matches([',', '.']) == value);
        if !found {
            wrong.push(format!("{}: {value} does not stand in {place}: {line}", row.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_follows_is_worked_out_from_it() {
    let given = GIVEN.into_iter().flat_map(rows).map(|row| (row.name, number(row.cells[1])));
    let mut known: BTreeMap<&str, f64> = given.collect();
    let mut wrong = Vec::new();
    for row in WORKED_OUT.into_iter().flat_map(rows) {
        let formula = row.cells[1].trim_matches('`');
        let parsed = exmex::parse::<f64>(formula).unwrap_or_else(|error| panic!("{formula}: {error}"));
        let value = |name: &String| *known.get(name.as_str()).unwrap_or_else(|| panic!("{formula}: no {name}"));
        let values: Vec<f64> = parsed.var_names().iter().map(value).collect();
        let (right, shown) = (parsed.eval(&values).unwrap(), number(row.cells[2]));
        if (shown - right).abs() > ROUNDED * right.abs() {
            wrong.push(format!("{}: {shown} is shown, {right} follows from {formula}", row.name));
        }
        assert!(known.insert(row.name, right).is_none(), "{} is there twice", row.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A name in a sentence is followed by its value, as in `` `partitions` (120) ``.
#[test]
fn sentences_have_the_figures_of_the_tables() {
    let given = GIVEN.into_iter().flat_map(rows).map(|row| (row.name, row.cells[1]));
    let worked_out = WORKED_OUT.into_iter().flat_map(rows).map(|row| (row.name, row.cells[2]));
    let shown: BTreeMap<&str, &str> = given.chain(worked_out).collect();
    let mut seen = 0;
    for line in PAGE.lines().filter(|line| !line.starts_with('|')) {
        for (at, _) in line.match_indices("` (") {
            let Some((_, name)) = line[..at].rsplit_once('`') else { continue };
            let Some(expected) = shown.get(name) else { continue };
            let told = line[at + 3..].split([')', ' ', ';']).next().unwrap_or_default();
            assert_eq!(told, *expected, "{name} in: {line}");
            seen += 1;
        }
    }
    assert!(seen > 5, "only {seen} figures are in sentences");
}
