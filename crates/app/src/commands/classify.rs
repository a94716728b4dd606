//! `sinyal classify`: texts into labels.

use std::io::{BufRead, BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use classify::{Classifier, Decision};
use record::Label;
use serde::Deserialize;
use serde_json::json;

use super::lines::{Found, open, read_line, source};
use super::mistakes::json_mistake;
use super::tables::printable;
use crate::cli::{OK, REFUSED};
use crate::config::Config;

/// Arguments of `sinyal classify`.
#[derive(Debug, clap::Args)]
pub(crate) struct ClassifyArgs {
    /// A file with one text a line; `-` or nothing: standard input.
    file: Option<PathBuf>,
    /// Lines are JSON objects `{"id", "text"}`, and so are the answers, in the same order.
    #[arg(long)]
    json: bool,
}

/// Longest line, in bytes.
const LINE_BYTES_MAX: u64 = 1_048_576;

#[derive(Deserialize)]
struct Asked {
    id: serde_json::Value,
    text: String,
}

pub(crate) fn run(args: ClassifyArgs, config: &Config) -> Result<u8> {
    let classifier = Classifier::embedded();
    let mut classifier = match config.classify.threshold {
        Some(threshold) => classifier.with_threshold(threshold),
        None => classifier,
    };
    let out = BufWriter::new(std::io::stdout().lock());
    let file = args.file.unwrap_or_else(|| "-".into());
    let from = source(&file);
    let (lines, _) = open(&file)?;
    let refused = answer(&mut classifier, lines, &from, out, args.json)?;
    if refused > 0 {
        eprintln!("{refused} lines refused");
        return Ok(REFUSED);
    }
    Ok(OK)
}

/// Answers each line; gives how many were refused.
fn answer(
    classifier: &mut Classifier,
    mut lines: impl BufRead,
    from: &str,
    mut out: impl Write,
    json: bool,
) -> Result<u64> {
    let mut refused = 0;
    let mut line = Vec::new();
    for number in 1_u64.. {
        let found = read_line(&mut lines, LINE_BYTES_MAX, &mut line);
        let result = match found.with_context(|| format!("{from} cannot be read at line {number}"))? {
            Found::End => break,
            Found::TooLong => Err(format!("longer than {LINE_BYTES_MAX} bytes")),
            Found::Line => judge(classifier, &line, json),
        };
        match result {
            Ok(Some(answer)) => writeln!(out, "{answer}")?,
            Ok(None) => {}
            Err(reason) => {
                refused += 1;
                eprintln!("{from} line {number}: {reason}");
            }
        }
    }
    out.flush()?;
    Ok(refused)
}

/// The answer on one line; `None` where it is empty.
///
/// # Errors
/// Why it is refused.
pub(crate) fn judge(classifier: &mut Classifier, line: &[u8], json: bool) -> Result<Option<String>, String> {
    let text = std::str::from_utf8(line).map_err(|error| format!("not UTF-8 from byte {} on", error.valid_up_to()))?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        return Ok(None);
    }
    if !json {
        let (decision, _) = classifier.judge(text);
        let sure = if decision.abstained { "?" } else { " " };
        let (label, language) = (decision.label.as_str(), decision.language.as_str());
        let text = printable(text);
        return Ok(Some(format!("{label:<10}{sure} {:.2}  {language:<5}  {text}", decision.confidence)));
    }
    let asked: Asked = serde_json::from_str(text)
        .map_err(|error| format!("{}; an object with \"id\" and \"text\" is right", json_mistake(&error)))?;
    let (decision, tier) = classifier.judge(&asked.text);
    let probabilities: serde_json::Map<String, serde_json::Value> = Label::ALL
        .into_iter()
        .map(|label| (label.as_str().to_owned(), rounded(decision.probabilities[label.index()])))
        .collect();
    let Decision { label, confidence, abstained, language, mixed, .. } = decision;
    let answer = json!({
        "id": asked.id,
        "label": label.as_str(),
        "confidence": rounded(confidence),
        "abstained": abstained,
        "probabilities": probabilities,
        "language": language.as_str(),
        "mixed": mixed,
        "tier": tier.as_str(),
        "model": classifier.model_version(),
    });
    Ok(Some(answer.to_string()))
}

/// To six digits: more than that a 32-bit probability does not hold.
fn rounded(number: f32) -> serde_json::Value {
    json!((f64::from(number) * 1e6).round() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8], json: bool) -> (Vec<String>, u64) {
        let mut out = Vec::new();
        let refused = answer(&mut Classifier::embedded(), input, "a test", &mut out, json).unwrap();
        (String::from_utf8(out).unwrap().lines().map(str::to_owned).collect(), refused)
    }

    #[test]
    fn json_lines_are_answered_in_order_and_bad_ones_counted() {
        let (answers, refused) = check(
            b"{\"id\":1,\"text\":\"kecewa, paket rusak semua\"}\nnot json\n{\"id\":\"b\"}\n{\"id\":\"c\",\"text\":\"makasih, cepat sekali\"}\n\xff\n",
            true,
        );
        assert_eq!(refused, 3);
        let answers: Vec<serde_json::Value> = answers.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((answers[0]["id"].as_i64(), answers[1]["id"].as_str()), (Some(1), Some("c")));
        assert_eq!(answers[0]["label"], "complaint");
        assert_eq!(answers[0]["probabilities"].as_object().unwrap().len(), 5);
        assert_eq!((answers[0]["tier"].as_str(), answers[0]["language"].as_str()), (Some("fast"), Some("id")));
    }

    #[test]
    fn a_blank_text_is_other_for_certain() {
        let (answers, refused) = check(b"{\"id\":1,\"text\":\"\"}\n{\"id\":2,\"text\":\" \\n\"}\n", true);
        assert_eq!((answers.len(), refused), (2, 0));
        for answer in answers {
            let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
            assert_eq!((answer["label"].as_str(), answer["tier"].as_str()), (Some("other"), Some("none")));
            assert_eq!((answer["confidence"].as_f64(), answer["abstained"].as_bool()), (Some(1.0), Some(false)));
            assert_eq!(answer["probabilities"]["other"], 1.0);
        }
    }

    #[test]
    fn plain_lines_are_answered_and_long_ones_refused() {
        let mut input = vec![b'a'; LINE_BYTES_MAX as usize + 1];
        input.extend_from_slice(b"\nThe app keeps crashing, very disappointed\n\n");
        let (answers, refused) = check(&input, false);
        assert_eq!((answers.len(), refused), (1, 1));
        assert!(answers[0].starts_with("complaint"), "{answers:?}");
    }
}
