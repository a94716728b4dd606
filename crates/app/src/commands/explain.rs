//! `sinyal explain`: why a text is decided as it is, and why a record was.

use std::fmt::Write;

use anyhow::{Context, Result, bail};
use classify::{Classifier, Decision};
use pipeline::Redactor;
use record::{ContentKind, Direction, Label, Role, Tier, header};
use rules::{Routable, Routed};
use serde_json::{Value, json};

use super::decoded::Decoded;
use super::stored::record_at;
use super::tables::printable;
use crate::cli::{OK, OutsideError, say};
use crate::config::Config;
use crate::telemetry::start_logging;

/// Arguments of `sinyal explain`.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Asked {
    /// A text.
    #[arg(long)]
    text: Option<String>,
    /// A record with a text, as TOPIC:PARTITION:OFFSET: a raw, a classified or a queue record.
    #[arg(value_name = "TOPIC:PARTITION:OFFSET", value_parser = place)]
    record: Option<Place>,
}

/// Arguments of `sinyal explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    asked: Asked,
    /// How many pieces of the text to show at most.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=100))]
    pieces: u16,
    /// One JSON object instead of words.
    #[arg(long)]
    json: bool,
}

/// Where a record is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    topic: String,
    partition: i32,
    offset: i64,
}

/// What is said of a text.
pub(super) struct Report {
    pub(super) text: String,
    pub(super) decision: Decision,
    pub(super) tier: Tier,
    pub(super) model: String,
    pub(super) threshold: f32,
    /// Pieces of the text and how far each pushed towards the label, the strongest first.
    pub(super) pushed: Vec<(String, f32)>,
    /// What a push is measured in.
    pub(super) unit: &'static str,
    pub(super) queue: Option<(String, String)>,
    /// Of a record whose text was redacted: what is explained here.
    pub(super) redacted: Option<&'static str>,
}

/// The text was redacted, and the raw record was read.
const BY_ORIGINAL: &str = "the record's text was redacted; what is explained is the raw record, which was decided on";
/// The text was redacted, and the raw record is not to be had.
const BY_REDACTED: &str = "the record's text was redacted and its raw record is gone, or not to be read with these credentials: what \
                           is explained is the redacted text, which may be decided otherwise than the record was";

pub(crate) fn run(args: ExplainArgs, config: &Config) -> Result<u8> {
    start_logging("warn", "auto")?;
    let (text, record) = match (args.asked.text, args.asked.record) {
        (Some(text), _) => (text, None),
        (None, Some(place)) => {
            let (text, record) = read(&place, config)?;
            (text, Some(record))
        }
        (None, None) => bail!("a text or a record is needed"),
    };
    let redacted = record.as_ref().filter(|record| record["origin_topic"].is_string() && Redactor::is_redacted(&text));
    let original = redacted.and_then(|record| original(record, config));
    let mut report =
        explain(original.clone().unwrap_or_else(|| text.clone()), record.as_ref(), usize::from(args.pieces), config)?;
    if redacted.is_some() {
        report.hide(text, original.is_some());
    }
    // A raw record tells of no decision.
    let recorded = record.filter(|record| record["label"].is_string());
    if args.json {
        say(report.json(recorded.as_ref()).to_string())?;
    } else {
        say(report.words(recorded.as_ref()))?;
    }
    Ok(OK)
}

/// The text of a record, and the record.
fn read(place: &Place, config: &Config) -> Result<(String, Value)> {
    let shown = format!("{}:{}:{}", place.topic, place.partition, place.offset);
    let Some(record) = record_at(config, &place.topic, (place.partition, place.offset))? else {
        return Err(OutsideError(format!("{shown}: there is no such record, or it is gone")).into());
    };
    let claims = record.headers.iter().any(|(name, _)| name == header::CANARY);
    let value = record.value.as_deref().with_context(|| format!("{shown} has no value"))?;
    let value = Decoded::new(config).value(value);
    let Some(text) = value["text"].as_str().filter(|text| !claims || !text.is_empty()) else {
        if claims {
            bail!("{shown} is a canary, a record of our own that is classified by nobody");
        }
        bail!("{shown} has no text to explain; a raw, classified or queue record with a text is right");
    };
    let text = text.to_owned();
    Ok((text, value))
}

/// The text of the raw record that a record is from, if it is still there and may be read.
fn original(record: &Value, config: &Config) -> Option<String> {
    let number = |field: &str| record[field].as_i64();
    let topic = record["origin_topic"].as_str()?.to_owned();
    let partition = i32::try_from(number("origin_partition")?).ok()?;
    let (text, raw) = read(&Place { topic, partition, offset: number("origin_offset")? }, config).ok()?;
    // A topic that was made anew holds something else there.
    (raw["id"] == record["id"] && raw["community_id"] == record["community_id"]).then_some(text)
}

fn explain(text: String, record: Option<&Value>, pieces: usize, config: &Config) -> Result<Report> {
    let mut classifier = Classifier::embedded();
    if let Some(threshold) = config.classify.threshold {
        classifier = classifier.with_threshold(threshold);
    }
    let (decision, tier) = classifier.judge(&text);
    let threshold = classifier.thresholds()[decision.label.index()];
    let model = classifier.model_version().to_owned();
    let mut report = Report {
        text,
        decision,
        tier,
        model,
        threshold,
        pushed: Vec::new(),
        unit: "score",
        queue: None,
        redacted: None,
    };
    if tier == Tier::Fast {
        let pushed = classifier.explain(&report.text, pieces).pushed;
        report.pushed = pushed.into_iter().map(|pushed| (pushed.piece, pushed.push)).collect();
    }
    #[cfg(feature = "deep")]
    if let Some(deep) = config.deep.as_ref().filter(|deep| is_asked(&decision, tier, deep.ask_below, record)) {
        report = super::explain_deep::explain(report, deep, pieces)?;
    }
    report.queue = queue_of(&report.decision, record, config);
    Ok(report)
}

/// The queue that takes a decision, and the department: by what the record says beside it, where there is one.
fn queue_of(decision: &Decision, record: Option<&Value>, config: &Config) -> Option<(String, String)> {
    let said = |field: &str| record.map(|record| &record[field]).filter(|value| !value.is_null());
    let community_id = said("community_id").and_then(Value::as_str).unwrap_or_default();
    let kinds = said("content_kinds").and_then(|kinds| serde_json::from_value(kinds.clone()).ok());
    let direction = said("direction").and_then(|direction| serde_json::from_value(direction.clone()).ok());
    let routable = Routable {
        label: decision.label,
        confidence: decision.confidence,
        abstained: decision.abstained,
        language: decision.language,
        community_id,
        direction: direction.unwrap_or(Direction::Unknown),
        content_kinds: kinds.unwrap_or_else(|| [ContentKind::Text].into_iter().collect()),
        author_role: record.map_or(Role::Member, author_role),
        deleted: false,
    };
    match config.routing.route(&routable) {
        Routed::Queue(route) => {
            let department = route.department(config.communities.get(community_id));
            Some((route.queue.spec.name.clone(), department.to_owned()))
        }
        Routed::Unqueued => None,
    }
}

/// Whether the deep tier is to be explained: where it decided the record, or without a record where it would be asked.
#[cfg(feature = "deep")]
fn is_asked(decision: &Decision, tier: Tier, ask_below: f32, record: Option<&Value>) -> bool {
    match record.and_then(|record| record["tier"].as_str()) {
        Some(tier) => tier == Tier::Deep.as_str(),
        None => pipeline::classify::is_unsure(decision, tier, ask_below),
    }
}

/// The author's role in a classified record or a raw one; a queue item's author is none of the brand's.
fn author_role(record: &Value) -> Role {
    let role = [&record["author_role"], &record["author"]["role"]].into_iter().find(|role| role.is_string());
    role.and_then(|role| serde_json::from_value(role.clone()).ok()).unwrap_or(Role::Member)
}

impl Report {
    /// Shows the text as it was redacted, and no piece that may be of what was.
    fn hide(&mut self, text: String, by_original: bool) {
        let shown = text.to_lowercase();
        self.pushed.retain(|(piece, _)| piece.split_whitespace().all(|word| shown.contains(word)));
        self.text = text;
        self.redacted = Some(if by_original { BY_ORIGINAL } else { BY_REDACTED });
    }

    fn words(&self, recorded: Option<&Value>) -> String {
        let Decision { label, confidence, abstained, language, mixed, probabilities, .. } = &self.decision;
        let mut out = String::new();
        // Writing to a String cannot fail.
        let mut line = |name: &str, text: String| {
            let _ = writeln!(out, "{name:<10} {}", printable(&text));
        };
        line("text", self.text.chars().take(400).collect());
        line("label", format!("{}, {:.0} % sure", label.as_str(), confidence * 100.0));
        line(
            "goes to",
            match (&self.queue, abstained) {
                (Some((queue, department)), true) => {
                    format!("{queue} ({department}): for {} it takes {:.0} %", label.as_str(), self.threshold * 100.0)
                }
                (Some((queue, department)), false) => format!("{queue} ({department})"),
                (None, _) => "no queue".to_owned(),
            },
        );
        let all = Label::ALL.iter().zip(probabilities);
        let all: Vec<String> = all.map(|(label, share)| format!("{} {:.0} %", label.as_str(), share * 100.0)).collect();
        line("of 100 %", all.join(", "));
        line("language", language_in_words(language.as_str(), *mixed));
        line("decided by", format!("{} tier, model {}", self.tier.as_str(), self.model));
        let (towards, against): (Vec<_>, Vec<_>) = self.pushed.iter().partition(|(_, push)| *push > 0.0);
        let list = |pushed: &[&(String, f32)]| {
            let shown = pushed.iter().map(|(piece, push)| format!("{:?} {push:+.2}", piece.trim()));
            shown.collect::<Vec<String>>().join(", ")
        };
        if !towards.is_empty() {
            line("because of", format!("{} ({})", list(&towards), self.unit));
        }
        if !against.is_empty() {
            line("despite", list(&against));
        }
        if let Some(recorded) = recorded {
            line("recorded", self.compare(recorded));
        }
        if let Some(redacted) = self.redacted {
            line("redacted", redacted.to_owned());
        }
        out.trim_end().to_owned()
    }

    /// What the record says, beside what is said today.
    fn compare(&self, recorded: &Value) -> String {
        let said = |field: &str| recorded[field].as_str().unwrap_or("unknown").to_owned();
        let confidence = recorded["confidence"].as_f64().unwrap_or(0.0) * 100.0;
        let mut text = format!("{}, {confidence:.0} % sure", said("label"));
        if let Some(language) = recorded["language"].as_str() {
            let _ = write!(text, ", in {}", language_in_words(language, recorded["mixed"] == true));
        }
        if recorded["model"].is_string() {
            let _ = write!(text, ", by the {} tier, model {}", said("tier"), said("model"));
            if said("model") != self.model {
                text.push_str("; this program has another");
            }
        }
        if said("label") != self.decision.label.as_str() {
            let _ = write!(text, "; today it is {}", self.decision.label.as_str());
        }
        text
    }

    fn json(&self, recorded: Option<&Value>) -> Value {
        let Decision { label, confidence, abstained, language, mixed, probabilities, .. } = &self.decision;
        let shares =
            Label::ALL.iter().zip(probabilities).map(|(label, share)| (label.as_str().to_owned(), json!(share)));
        let pushed = self.pushed.iter().map(|(piece, push)| json!({ "piece": piece, "push": push }));
        json!({
            "text": self.text,
            "label": label.as_str(),
            "confidence": confidence,
            "threshold": self.threshold,
            "abstained": abstained,
            "queue": self.queue.as_ref().map(|(queue, _)| queue),
            "department": self.queue.as_ref().map(|(_, department)| department),
            "probabilities": shares.collect::<serde_json::Map<String, Value>>(),
            "language": language.as_str(),
            "mixed": mixed,
            "tier": self.tier.as_str(),
            "model": self.model,
            "pushed": pushed.collect::<Vec<Value>>(),
            "unit": self.unit,
            "redacted": self.redacted,
            "recorded": recorded.map(|recorded| json!({
                "label": recorded["label"], "confidence": recorded["confidence"], "tier": recorded["tier"],
                "model": recorded["model"], "queue": recorded["queue"], "language": recorded["language"],
                "mixed": recorded["mixed"],
            })),
        })
    }
}

fn language_in_words(language: &str, mixed: bool) -> String {
    format!("{language}{}", if mixed { ", mixed with another" } else { "" })
}

fn place(text: &str) -> Result<Place, String> {
    let read = || {
        let (rest, offset) = text.rsplit_once(':')?;
        let (topic, partition) = rest.rsplit_once(':')?;
        let offset = offset.parse().ok().filter(|offset| *offset >= 0)?;
        let partition = partition.parse().ok().filter(|partition| *partition >= 0)?;
        Some(Place { topic: topic.to_owned(), partition, offset }).filter(|place| !place.topic.is_empty())
    };
    read().ok_or_else(|| format!("{text:?}: TOPIC:PARTITION:OFFSET is right, or a text by --text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::load(None, [("SINYAL__DEEP__TIER".to_owned(), "off".to_owned())]).unwrap()
    }

    #[test]
    fn a_complaint_is_explained_in_words_and_as_json() {
        let text = "Kecewa berat, paketnya rusak dan CS tidak membalas";
        let report = explain(text.to_owned(), None, 5, &config()).unwrap();
        let recorded = json!({ "label": "praise", "confidence": 0.5, "tier": "fast", "model": "fast-0" });
        let words = report.words(Some(&recorded));
        for part in ["complaint", "customer care", "because of", "has another", "today it is complaint"] {
            assert!(words.contains(part), "{part}: {words}");
        }
        let json = report.json(None);
        assert_eq!((json["label"].as_str(), json["queue"].as_str()), (Some("complaint"), Some("complaint")));
        assert!(json["pushed"].as_array().unwrap().len() <= 5 && json["recorded"].is_null());
    }

    #[test]
    fn what_the_record_says_of_the_language_is_shown() {
        let report = explain("Paketnya sudah sampai".to_owned(), None, 5, &config()).unwrap();
        let mut recorded = json!({ "label": "other", "confidence": 0.5, "language": "jv", "mixed": true });
        assert!(report.words(Some(&recorded)).contains("sure, in jv, mixed with another"));
        let shown = &report.json(Some(&recorded))["recorded"];
        assert_eq!((shown["language"].as_str(), shown["mixed"].as_bool()), (Some("jv"), Some(true)));
        recorded.as_object_mut().unwrap().remove("mixed");
        let words = report.words(Some(&recorded));
        assert!(words.contains("sure, in jv") && !words.contains("mixed"), "an older record does not tell: {words}");
        assert!(report.json(Some(&recorded))["recorded"]["mixed"].is_null());
    }

    #[test]
    fn the_brands_own_post_goes_to_no_queue() {
        let own = json!({ "author": { "role": "brand" }, "text": "Mohon maaf, listriknya kami perbaiki" });
        let report = explain("Mohon maaf, listriknya kami perbaiki".to_owned(), Some(&own), 5, &config()).unwrap();
        assert_eq!(report.queue, None);
    }

    #[test]
    fn what_was_redacted_is_shown_redacted_whatever_is_explained() {
        let original = "Kecewa berat, hubungi 081234567890 atau budi@contoh.id";
        let mut report = explain(original.to_owned(), None, 100, &config()).unwrap();
        report.hide("Kecewa berat, hubungi [phone] atau [email]".to_owned(), true);
        let (words, json) = (report.words(None), report.json(None).to_string());
        for part in ["0812", "567890", "budi", "contoh.id"] {
            assert!(!words.contains(part) && !json.contains(part), "{part}: {words}");
        }
        assert!(words.contains("complaint") && words.contains("raw record"), "{words}");
        report.hide(String::new(), false);
        assert!(report.words(None).contains("may be decided otherwise"));
    }

    #[test]
    fn what_says_nothing_is_explained_too() {
        let report = explain(" ".to_owned(), None, 5, &config()).unwrap();
        let words = report.words(None);
        assert!(words.contains("no queue") && words.contains("none tier"), "{words}");
    }

    #[test]
    fn places_are_read() {
        let right = Place { topic: "social.posts.raw".to_owned(), partition: 3, offset: 17 };
        assert_eq!(place("social.posts.raw:3:17"), Ok(right));
        for wrong in ["", "a:1", ":1:2", "a:1:-2", "a:x:2"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
