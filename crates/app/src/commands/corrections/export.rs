//! `sinyal corrections export`: what responders corrected, as rows to train with.
//!
//! Three passes and no text in memory: the last correction of each interaction; where the text is that it was made of; then those
//! texts, one after the other.

use std::collections::HashMap;

use anyhow::Result;
use classify::classified_part;
use kafka_io::reader::OwnedRecord;
use pipeline::{Personal, Pseudonym};
use record::{ClassifiedRecord, EpochMs, Identity, Label, Language, QueueStatus, Version};
use serde_json::json;
use wire::{OfClassified, OfCorrection, OfQueueItem};

use super::super::stored::{Decoding, each_record};
use super::super::times::{Moment, moment, now_ms};
use super::super::waiting::wait_for_topic;
use crate::cli::{OK, OutsideError, say};
use crate::config::{Config, ConfigErrors, MAKE_SECRET};

#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// How rows are written: tsv is what `model train` reads as train.tsv.
    #[arg(long, value_enum, default_value_t = Format::Tsv)]
    format: Format,
    /// Only what was corrected since then: a time (RFC 3339), or so long ago, as 30d.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: Option<Moment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Tab-separated, with a header line.
    Tsv,
    /// JSON Lines.
    Jsonl,
}

/// Most interactions whose corrections are held; each takes some 200 bytes.
const CORRECTIONS_MAX: usize = 1_000_000;

/// Where a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    Classified,
    QueueState,
}

type Place = (Source, i32, i64);

/// The last correction of an interaction's label, and the text that it was made of.
#[derive(Debug)]
struct Wanted {
    label: Label,
    at: EpochMs,
    text: Option<(Version, Place)>,
    /// The newest version of a retraction.
    retracted: Option<Version>,
}

/// What is not among the rows.
#[derive(Debug, Default)]
struct LeftOut {
    without_label: u64,
    without_text: u64,
    retracted: u64,
}

pub(super) fn run(args: &ExportArgs, config: &Config) -> Result<u8> {
    let no_secret = || ConfigErrors(vec![format!("pseudonym.secret_file names no file; {MAKE_SECRET}")]);
    let secret = config.pseudonym_secret.as_ref().ok_or_else(no_secret)?;
    let pseudonym = Pseudonym::new(secret.bytes(), config.pseudonym_version).ok_or_else(no_secret)?;
    for topic in [&config.topics.corrections, &config.topics.classified, &config.topics.queue_state] {
        wait_for_topic(config, topic)?;
    }
    let mut left_out = LeftOut::default();
    let mut wanted = corrections(args, config, &mut left_out)?;
    find_texts(&mut wanted, config)?;
    let mut places: HashMap<Place, (String, Label)> = HashMap::new();
    for (key, wanted) in wanted {
        match (wanted.text, wanted.retracted) {
            (Some((version, _)), Some(retracted)) if retracted >= version => left_out.retracted += 1,
            (None, Some(_)) => left_out.retracted += 1,
            (None, None) => left_out.without_text += 1,
            (Some((_, place)), _) => {
                places.insert(place, (key, wanted.label));
            }
        }
    }
    let rows = write(args.format, &places, &pseudonym, config)?;
    let LeftOut { without_label, without_text, retracted } = left_out;
    eprintln!(
        "{rows} rows; left out: {without_label} corrections of a queue alone, {without_text} without a text on the topics still, \
         {retracted} retracted"
    );
    Ok(OK)
}

/// The last correction of each interaction's label.
fn corrections(args: &ExportArgs, config: &Config, left_out: &mut LeftOut) -> Result<HashMap<String, Wanted>> {
    let since = args.since.map(|since| since.ms(now_ms()));
    let mut decoding = Decoding::<OfCorrection>::new(config);
    let mut wanted: HashMap<String, Wanted> = HashMap::new();
    let topic = &config.topics.corrections;
    each_record(config, topic, |record| {
        let Some(value) = &record.value else { return Ok(()) };
        let Some(correction) = decoding.decode(value)? else { return Ok(()) };
        if since.is_some_and(|since| correction.at < since) {
            return Ok(());
        }
        let Some(label) = correction.label else {
            left_out.without_label += 1;
            return Ok(());
        };
        let key = Identity { community_id: correction.community_id, kind: correction.kind, id: correction.id }.key();
        let is_full = wanted.len() >= CORRECTIONS_MAX;
        match wanted.get_mut(&key) {
            // Of two made at one time the later on the topic stands, as for the community stage.
            Some(known) if known.at <= correction.at => (known.label, known.at) = (label, correction.at),
            Some(_) => {}
            None if is_full => {
                let what = format!("more than {CORRECTIONS_MAX} interactions were corrected; --since takes fewer");
                return Err(OutsideError(what).into());
            }
            None => {
                wanted.insert(key, Wanted { label, at: correction.at, text: None, retracted: None });
            }
        }
        Ok(())
    })?;
    decoding.tell(topic);
    Ok(wanted)
}

/// Finds for each the newest text that was there when it was corrected; on the queues' state only where the classified topic has
/// none any more, since a row there does not tell of which version its text is.
fn find_texts(wanted: &mut HashMap<String, Wanted>, config: &Config) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let mut decoding = Decoding::<OfClassified>::new(config);
    each_record(config, &config.topics.classified, |record| {
        let Some(value) = &record.value else { return Ok(()) };
        let Some(ClassifiedRecord::ClassifiedInteraction(classified)) = decoding.decode(value)? else { return Ok(()) };
        let Some(wanted) = wanted.get_mut(&classified.identity().key()) else { return Ok(()) };
        let version = classified.version();
        if classified.deleted {
            wanted.retracted = wanted.retracted.max(Some(version));
        } else if has_text(classified.text.as_deref())
            && version.changed_at <= wanted.at
            && wanted.text.is_none_or(|(known, _)| known <= version)
        {
            wanted.text = Some((version, (Source::Classified, record.partition, record.offset)));
        }
        Ok(())
    })?;
    decoding.tell(&config.topics.classified);
    let mut decoding = Decoding::<OfQueueItem>::new(config);
    each_record(config, &config.topics.queue_state, |record| {
        let Some(key) = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()) else { return Ok(()) };
        let Some(wanted) = wanted.get_mut(key) else { return Ok(()) };
        if matches!(wanted.text, Some((_, (Source::Classified, ..)))) {
            return Ok(());
        }
        // A later row, or none, does away with the one before.
        wanted.text = None;
        let Some(value) = &record.value else { return Ok(()) };
        let Some(item) = decoding.decode(value)? else { return Ok(()) };
        let version = Version { changed_at: item.created_at, observed_at: item.created_at };
        if item.status == QueueStatus::Retracted {
            wanted.retracted = wanted.retracted.max(Some(version));
        } else if has_text(item.text.as_deref()) {
            wanted.text = Some((version, (Source::QueueState, record.partition, record.offset)));
        }
        Ok(())
    })?;
    decoding.tell(&config.topics.queue_state);
    Ok(())
}

fn has_text(text: Option<&str>) -> bool {
    text.is_some_and(|text| !text.trim().is_empty())
}

/// Writes the rows in the order of the topics; gives how many.
fn write(
    format: Format,
    places: &HashMap<Place, (String, Label)>,
    pseudonym: &Pseudonym,
    config: &Config,
) -> Result<u64> {
    if format == Format::Tsv {
        say("id\tlang\tsource\tlabel\tambiguous\ttext")?;
    }
    let mut rows = 0;
    let mut row = |(key, label): &(String, Label), language: Language, text: &str| -> Result<()> {
        rows += 1;
        Ok(say(line(format, pseudonym, key, *label, language, text))?)
    };
    let has = |source| places.keys().any(|(known, ..)| *known == source);
    let at = |source, record: &OwnedRecord| places.get(&(source, record.partition, record.offset));
    if has(Source::Classified) {
        let mut decoding = Decoding::<OfClassified>::new(config);
        each_record(config, &config.topics.classified, |record| {
            let (Some(of), Some(value)) = (at(Source::Classified, &record), &record.value) else { return Ok(()) };
            match decoding.decode(value)? {
                Some(ClassifiedRecord::ClassifiedInteraction(classified)) => {
                    row(of, classified.language, classified.text.as_deref().unwrap_or_default())
                }
                _ => Ok(()),
            }
        })?;
    }
    if has(Source::QueueState) {
        let mut decoding = Decoding::<OfQueueItem>::new(config);
        each_record(config, &config.topics.queue_state, |record| {
            let (Some(of), Some(value)) = (at(Source::QueueState, &record), &record.value) else { return Ok(()) };
            match decoding.decode(value)? {
                Some(item) => row(of, item.language, item.text.as_deref().unwrap_or_default()),
                None => Ok(()),
            }
        })?;
    }
    Ok(rows)
}

fn line(format: Format, pseudonym: &Pseudonym, key: &str, label: Label, language: Language, text: &str) -> String {
    let mut id = String::new();
    pseudonym.write(key, &mut id);
    let text = masked(classified_part(text));
    match format {
        Format::Tsv => format!("{id}\t{}\tcorrection\t{}\t0\t{text}", language.as_str(), label.as_str()),
        Format::Jsonl => json!({
            "id": id, "lang": language.as_str(), "source": "correction", "label": label.as_str(), "ambiguous": 0, "text": text,
        })
        .to_string(),
    }
}

/// A text on one line, with what names somebody masked as in the training data: the classifier sees the same in both. What was redacted
/// has the mask of what it was.
fn masked(text: &str) -> String {
    let mut text = text.to_owned();
    for personal in Personal::ALL {
        let mask = if personal == Personal::Email { "EMAIL" } else { "NUM" };
        text = text.replace(personal.marker(), mask);
    }
    let mut out = String::with_capacity(text.len());
    for token in text.split(|one: char| one.is_whitespace() || one.is_control()).filter(|token| !token.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        let lower = token.to_ascii_lowercase();
        if ["http://", "https://", "www."].iter().any(|begin| lower.contains(begin)) {
            out.push_str("URL");
            continue;
        }
        let mut rest = token;
        while let Some(at) = rest.find('@') {
            let is_name = |one: char| one.is_alphanumeric() || matches!(one, '_' | '.' | '-');
            let after = &rest[at + 1..];
            let end = after.find(|one| !is_name(one)).unwrap_or(after.len());
            // What closes a sentence is not the name's.
            let name = after[..end].trim_end_matches(['.', '-']);
            let before = rest[..at].trim_end_matches(|one: char| is_name(one) || one == '+');
            out.push_str(before);
            if name.is_empty() {
                out.push_str(&rest[before.len()..=at]);
            } else {
                out.push_str(if before.len() < at { "EMAIL" } else { "@USER" });
            }
            rest = &after[name.len()..];
        }
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_somebody_is_masked() {
        let check = |text: &str, expected: &str| assert_eq!(masked(text), expected);
        check("makasih @Sari_77, cepat", "makasih @USER, cepat");
        check("(@sari) @budi.", "(@USER) @USER.");
        check("tulis ke cs@toko.example ya", "tulis ke EMAIL ya");
        check("tulis ke [email] atau WA [phone]!", "tulis ke EMAIL atau WA NUM!");
        check("cek https://a.example/u/sari?x=1 dan WWW.b.example", "cek URL dan URL");
        check("a\tb\r\n\u{7} c", "a b c");
        check("jam 9 @ kantor @", "jam 9 @ kantor @");
        check("@satu@dua", "@USER@USER");
    }

    #[test]
    fn rows_are_what_training_reads() {
        let pseudonym = Pseudonym::new(b"a secret of some length", 1).unwrap();
        let row = |format| line(format, &pseudonym, "c|post|1", Label::Tip, Language::English, "try\tthis @sari");
        let cells: Vec<String> = row(Format::Tsv).split('\t').map(str::to_owned).collect();
        assert!(cells[0].starts_with("v1:") && cells[0].len() == 35, "{cells:?}");
        assert_eq!(cells[1..], ["en", "correction", "tip", "0", "try this @USER"]);
        let json: serde_json::Value = serde_json::from_str(&row(Format::Jsonl)).unwrap();
        assert_eq!((json["id"].as_str(), json["label"].as_str()), (Some(cells[0].as_str()), Some("tip")));
    }
}
