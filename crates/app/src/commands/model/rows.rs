//! Labelled and unlabelled rows from a folder of tab-separated files.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use classify::train::TrainingRow;
use record::{Label, Language};

use super::table::{Table, table, table_if_there};

const LABELS: usize = Label::ALL.len();
/// How much a row counts that a careful reader could well label otherwise.
const AMBIGUOUS_WEIGHT: f32 = 0.6;
/// How far five probabilities may be from adding up to 1: they are written with few digits.
const SUM_SLACK: f32 = 0.02;

/// What is read, and how it counts.
pub(super) struct Asked<'a> {
    pub(super) folder: &'a Path,
    pub(super) teachers: &'a [PathBuf],
    pub(super) groups: Option<&'a Path>,
    pub(super) teacher_weight: f32,
    pub(super) teacher_share: f32,
}

/// The rows to learn from: those of train.tsv, and those of unlabelled.tsv for which there is a teacher's answer.
pub(super) fn training_rows(asked: &Asked<'_>) -> Result<Vec<TrainingRow>> {
    let mut rows = labelled_rows(&asked.folder.join("train.tsv"))?;
    if let Some(table) = table_if_there(&asked.folder.join("second.tsv"), &["id", "label"])? {
        let labels = labels(&table, 1)?;
        let readings: HashMap<&str, Label> = table.rows.iter().map(|row| row.cells[0].as_str()).zip(labels).collect();
        for row in &mut rows {
            if let (Some(first), Some(second)) = (row.label, readings.get(row.id.as_str())) {
                // Two readings of one weight each; where they differ, what is learnt is between them.
                row.target[first.index()] -= 0.5;
                row.target[second.index()] += 0.5;
            }
        }
    }
    let answers = teachers_answers(asked)?;
    for row in &mut rows {
        let Some(answer) = answers.get(&row.id) else { continue };
        for (target, answer) in row.target.iter_mut().zip(answer) {
            *target += (answer - *target) * asked.teacher_share;
        }
    }
    let labelled: HashSet<String> = rows.iter().map(|row| row.id.clone()).collect();
    if let Some(table) = table_if_there(&asked.folder.join("unlabelled.tsv"), &["id", "lang", "source", "text"])? {
        for row in table.rows.into_iter().filter(|row| !labelled.contains(&row.cells[0])) {
            let Some(&target) = answers.get(&row.cells[0]) else { continue };
            let [id, lang, source, text]: [String; 4] = row.cells.try_into().unwrap_or_default();
            let (language, weight) = (language(&lang, &row.place)?, asked.teacher_weight);
            rows.push(TrainingRow { id, language, source, label: None, target, weight, group: None, text });
        }
    }
    if let Some(path) = asked.groups {
        let groups: HashMap<String, String> = table(path, &["id", "group"])?
            .rows
            .into_iter()
            .filter_map(|row| <[String; 2]>::try_from(row.cells).ok().map(|[id, group]| (id, group)))
            .collect();
        for row in &mut rows {
            row.group = groups.get(&row.id).cloned();
        }
    }
    Ok(rows)
}

const ANSWER_COLUMNS: [&str; LABELS + 1] = ["id", "complaint", "tip", "experience", "praise", "other"];

/// The mean of what the teachers say.
fn teachers_answers(asked: &Asked<'_>) -> Result<HashMap<String, [f32; LABELS]>> {
    let mut tables = Vec::new();
    for path in asked.teachers {
        tables.push(table(path, &ANSWER_COLUMNS)?);
    }
    if asked.teachers.is_empty() {
        tables.extend(table_if_there(&asked.folder.join("teacher.tsv"), &ANSWER_COLUMNS)?);
    }
    let mut sums: HashMap<String, ([f32; LABELS], f32)> = HashMap::new();
    for table in &tables {
        for (id, answer) in answers(table)? {
            let (sum, count) = sums.entry(id).or_default();
            for (sum, value) in sum.iter_mut().zip(answer) {
                *sum += value;
            }
            *count += 1.0;
        }
    }
    Ok(sums.into_iter().map(|(id, (sum, count))| (id, sum.map(|sum| sum / count))).collect())
}

fn answers(table: &Table) -> Result<HashMap<String, [f32; LABELS]>> {
    let mut answers = HashMap::with_capacity(table.rows.len());
    for row in &table.rows {
        let mut target = [0.0; LABELS];
        for (value, cell) in target.iter_mut().zip(&row.cells[1..]) {
            *value = cell.parse().ok().filter(|value| (0.0..=1.0).contains(value)).unwrap_or(f32::NAN);
            ensure!(!value.is_nan(), "{}: {cell:?} is no probability; 0 to 1 is right", row.place);
        }
        let sum: f32 = target.iter().sum();
        ensure!((sum - 1.0).abs() <= SUM_SLACK, "{}: the probabilities add up to {sum}, not to 1", row.place);
        answers.insert(row.cells[0].clone(), target.map(|value| value / sum));
    }
    Ok(answers)
}

/// The rows of a file in the format of train.tsv.
pub(super) fn labelled_rows(path: &Path) -> Result<Vec<TrainingRow>> {
    let table = table(path, &["id", "lang", "source", "label", "ambiguous", "text"])?;
    let labels = labels(&table, 3)?;
    let mut seen: HashMap<String, String> = HashMap::with_capacity(table.rows.len());
    let mut rows = Vec::with_capacity(table.rows.len());
    for (row, label) in table.rows.into_iter().zip(labels) {
        let [id, lang, source, _, ambiguous, text]: [String; 6] = row.cells.try_into().unwrap_or_default();
        let weight = match ambiguous.as_str() {
            "0" => 1.0,
            "1" => AMBIGUOUS_WEIGHT,
            other => bail!("{}: ambiguous is {other:?}; 0 or 1 is right", row.place),
        };
        let language = language(&lang, &row.place)?;
        if let Some(before) = seen.insert(id.clone(), row.place.clone()) {
            bail!("{}: id {id:?} is that of {before} too", row.place);
        }
        let mut target = [0.0; LABELS];
        target[label.index()] = 1.0;
        rows.push(TrainingRow { id, language, source, label: Some(label), target, weight, group: None, text });
    }
    Ok(rows)
}

/// The texts of a file.
pub(super) fn texts(path: &Path) -> Result<Vec<String>> {
    Ok(table(path, &["text"])?.rows.into_iter().filter_map(|row| row.cells.into_iter().next()).collect())
}

/// The labels in a column; those that are not known are told all at once.
fn labels(table: &Table, column: usize) -> Result<Vec<Label>> {
    let mut unknown: BTreeMap<&str, &str> = BTreeMap::new();
    let mut labels = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        match row.cells[column].parse() {
            Ok(label) => labels.push(label),
            Err(_) => {
                unknown.entry(&row.cells[column]).or_insert(&row.place);
            }
        }
    }
    if !unknown.is_empty() {
        let unknown: Vec<String> = unknown.iter().map(|(label, place)| format!("{label:?} ({place})")).collect();
        let known: Vec<&str> = Label::ALL.into_iter().map(Label::as_str).collect();
        bail!("unknown labels: {}; known are {}", unknown.join(", "), known.join(", "));
    }
    Ok(labels)
}

fn language(tag: &str, place: &str) -> Result<Language> {
    let known = Language::ALL.into_iter().find(|language| language.as_str() == tag);
    known.ok_or_else(|| {
        let tags: Vec<&str> = Language::ALL.into_iter().map(Language::as_str).collect();
        anyhow::anyhow!("{place}: unknown language {tag:?}; known are {}", tags.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const HEADER: &str = "id\tlang\tsource\tlabel\tambiguous\ttext\n";

    #[test]
    fn what_is_wrong_is_told_with_what_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.tsv");
        let check = |lines: &str, expected: &str| {
            fs::write(&path, format!("{HEADER}{lines}")).unwrap();
            assert_eq!(labelled_rows(&path).unwrap_err().to_string(), expected);
        };
        check(
            "a\tid\ts\tcomplaint\t0\tx\nb\tid\ts\tjoy\t0\tx\nc\tid\ts\tanger\t0\tx\nd\tid\ts\tjoy\t0\tx\n",
            "unknown labels: \"anger\" (train.tsv line 4), \"joy\" (train.tsv line 3); \
             known are complaint, tip, experience, praise, other",
        );
        check("a\tid\ts\ttip\tmaybe\tx\n", "train.tsv line 2: ambiguous is \"maybe\"; 0 or 1 is right");
        check(
            "a\tfr\ts\ttip\t1\tx\n",
            "train.tsv line 2: unknown language \"fr\"; known are id, en, jv, su, other, und",
        );
        check(
            "a\tid\ts\ttip\t1\tx\na\tid\ts\ttip\t1\tx\n",
            "train.tsv line 3: id \"a\" is that of train.tsv line 2 too",
        );
    }

    #[test]
    fn readings_and_answers_are_blended() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("train.tsv", &format!("{HEADER}a\tid\ts\ttip\t1\tx\nb\tid\ts\tother\t0\ty\n"));
        write("second.tsv", "id\tlabel\na\tpraise\n");
        write("unlabelled.tsv", "id\tlang\tsource\ttext\nb\tid\ts\ty\nc\ten\ts\tz\nd\ten\ts\tz\n");
        write("teacher.tsv", "id\tcomplaint\ttip\texperience\tpraise\tother\nb\t1\t0\t0\t0\t0\nc\t0\t0.5\t0\t0.5\t0\n");
        write("groups.tsv", "id\tpart\tgroup\na\ttrain\tg\n");
        let groups = folder.path().join("groups.tsv");
        let asked = Asked {
            folder: folder.path(),
            teachers: &[],
            groups: Some(&groups),
            teacher_weight: 0.7,
            teacher_share: 0.25,
        };
        let rows = training_rows(&asked).unwrap();
        let told: Vec<_> = rows.iter().map(|row| (row.id.as_str(), row.target, row.weight, row.label)).collect();
        assert_eq!(
            told,
            [
                ("a", [0.0, 0.5, 0.0, 0.5, 0.0], AMBIGUOUS_WEIGHT, Some(Label::Tip)),
                ("b", [0.25, 0.0, 0.0, 0.0, 0.75], 1.0, Some(Label::Other)),
                ("c", [0.0, 0.5, 0.0, 0.5, 0.0], 0.7, None),
            ]
        );
        assert_eq!(rows[0].group.as_deref(), Some("g"));
        write("teacher.tsv", "id\tcomplaint\ttip\texperience\tpraise\tother\nb\t1\t0\t0\t0.5\t0\n");
        let error = training_rows(&asked).unwrap_err().to_string();
        assert_eq!(error, "teacher.tsv line 2: the probabilities add up to 1.5, not to 1");
    }
}
