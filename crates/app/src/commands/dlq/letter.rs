//! A dead letter as its headers tell of it.

use kafka_io::reader::OwnedRecord;
use record::{EpochMs, header};
use serde_json::{Value, json};

/// A dead letter, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letter {
    /// Its partition and offset on the dead-letter topic.
    pub(super) place: (i32, i64),
    /// When it was written.
    pub(super) written_at: Option<EpochMs>,
    /// `topic:partition:offset` where it was read; empty if it does not say.
    pub(super) origin: String,
    pub(super) stage: String,
    pub(super) reason: String,
    pub(super) detail: String,
    pub(super) disposition: String,
    pub(super) key_bytes: Option<usize>,
    pub(super) value_bytes: Option<usize>,
    /// What its value had before it was cut, in bytes, if it was.
    pub(super) original_bytes: Option<u64>,
    /// True if its key or its value was cut.
    pub(super) is_cut: bool,
    /// The record's own Kafka time.
    pub(super) original_timestamp: Option<EpochMs>,
    /// How often it has been offered to a stage.
    pub(super) attempts: u32,
    /// Where it was read first.
    pub(super) first_origin: String,
}

impl Letter {
    /// What the headers say; nothing of a receipt, which is no dead letter.
    pub(super) fn read(record: &OwnedRecord) -> Option<Letter> {
        if receipt(record).is_some() {
            return None;
        }
        // Ours come after the record's own.
        let find = |name: &str| record.headers.iter().rev().find(|(known, _)| known == name);
        let text = |name: &str| {
            let value = find(name).and_then(|(_, value)| value.as_deref()).unwrap_or_default();
            String::from_utf8_lossy(value).chars().filter(|one| !one.is_control()).collect::<String>()
        };
        let number = |name: &str| text(name).parse::<i64>().ok();
        let origin = text(header::ORIGIN);
        let first_origin = Some(text(header::FIRST_ORIGIN)).filter(|first| !first.is_empty());
        Some(Letter {
            place: (record.partition, record.offset),
            written_at: record.timestamp,
            stage: text(header::STAGE),
            reason: text(header::REASON),
            detail: text(header::DETAIL),
            disposition: text(header::DISPOSITION),
            key_bytes: record.key.as_ref().map(Vec::len),
            value_bytes: record.value.as_ref().map(Vec::len),
            original_bytes: number(header::ORIGINAL_SIZE).and_then(|bytes| u64::try_from(bytes).ok()),
            is_cut: find(header::ORIGINAL_SIZE).is_some() || find(header::ORIGINAL_KEY_SIZE).is_some(),
            original_timestamp: number(header::ORIGINAL_TIMESTAMP),
            attempts: number(header::ATTEMPTS).and_then(|count| u32::try_from(count).ok()).unwrap_or(1).max(1),
            first_origin: first_origin.unwrap_or_else(|| origin.clone()),
            origin,
        })
    }

    /// The topic that it was read from; empty if it does not say.
    pub(super) fn origin_topic(&self) -> &str {
        self.origin_parts().map_or("", |(topic, _)| topic)
    }

    /// The topic and the partition that it was read from.
    pub(super) fn origin_parts(&self) -> Option<(&str, i32)> {
        let (rest, offset) = self.origin.rsplit_once(':')?;
        let (topic, partition) = rest.rsplit_once(':')?;
        offset.parse::<i64>().ok()?;
        Some((topic, partition.parse().ok()?))
    }

    /// How large it is, or was before it was cut.
    pub(super) fn size(&self) -> String {
        match (self.value_bytes, self.original_bytes) {
            (None, _) => "null".to_owned(),
            (Some(bytes), None) => format!("{bytes} B"),
            (Some(bytes), Some(original)) => format!("{bytes} of {original} B"),
        }
    }

    pub(super) fn as_json(&self, redriven: bool) -> Value {
        json!({
            "partition": self.place.0, "offset": self.place.1, "written_at": self.written_at, "origin": self.origin,
            "stage": self.stage, "reason": self.reason, "detail": self.detail, "disposition": self.disposition,
            "key_bytes": self.key_bytes, "value_bytes": self.value_bytes, "original_bytes": self.original_bytes,
            "cut": self.is_cut, "original_timestamp": self.original_timestamp, "attempts": self.attempts,
            "first_origin": self.first_origin, "redriven": redriven,
        })
    }
}

/// The place of the dead letter that a receipt tells of; nothing of any other record.
pub(super) fn receipt(record: &OwnedRecord) -> Option<(i32, i64)> {
    let (_, value) = record.headers.iter().find(|(name, _)| name == header::REDRIVEN)?;
    if record.key.is_some() || record.value.is_some() {
        return None;
    }
    let (partition, offset) = std::str::from_utf8(value.as_deref()?).ok()?.split_once(':')?;
    Some((partition.parse().ok()?, offset.parse().ok()?))
}

/// PARTITION:OFFSET as it is typed.
pub(super) fn place(text: &str) -> Result<(i32, i64), String> {
    let parts =
        text.split_once(':').and_then(|(partition, offset)| Some((partition.parse().ok()?, offset.parse().ok()?)));
    parts
        .filter(|&(partition, offset): &(i32, i64)| partition >= 0 && offset >= 0)
        .ok_or_else(|| format!("{text:?}: PARTITION:OFFSET of the dead letter is right, as `dlq list` prints it"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn header(name: &str, value: &str) -> (String, Option<Vec<u8>>) {
        (name.to_owned(), Some(value.as_bytes().to_vec()))
    }

    pub(crate) fn record() -> OwnedRecord {
        OwnedRecord {
            partition: 2,
            offset: 17,
            timestamp: Some(7_000),
            key: Some(b"k".to_vec()),
            value: Some(b"value".to_vec()),
            headers: vec![
                header("traceparent", "00-1"),
                ("nothing".to_owned(), None),
                header(header::ORIGIN, "posts:1:42"),
                header(header::STAGE, "classify"),
                header(header::REASON, "unknown_schema"),
                header(header::DISPOSITION, "redrive"),
                header(header::DETAIL, "schema id 7 is not in the registry"),
                header(header::ORIGINAL_TIMESTAMP, "5000"),
            ],
        }
    }

    pub(crate) fn letter(record: &OwnedRecord) -> Letter {
        Letter::read(record).unwrap()
    }

    #[test]
    fn headers_tell_everything() {
        let first = letter(&record());
        assert_eq!(first.origin_parts(), Some(("posts", 1)));
        assert_eq!((first.attempts, first.first_origin.as_str(), first.is_cut), (1, "posts:1:42", false));
        assert_eq!((first.original_timestamp, first.size()), (Some(5_000), "5 B".to_owned()));
        let mut again = record();
        again.headers.push(header(header::ATTEMPTS, "2"));
        again.headers.push(header(header::FIRST_ORIGIN, "posts:1:40"));
        again.headers.push(header(header::ORIGINAL_SIZE, "900"));
        let again = letter(&again);
        assert_eq!((again.attempts, again.first_origin.as_str(), again.is_cut), (2, "posts:1:40", true));
        assert_eq!(again.size(), "5 of 900 B");
        assert_eq!(again.as_json(true)["redriven"], true);
    }

    #[test]
    fn what_others_wrote_there_says_nothing_of_an_origin() {
        let other = letter(&OwnedRecord { headers: Vec::new(), ..record() });
        assert_eq!((other.origin_topic(), other.origin_parts(), other.attempts), ("", None, 1));
        let colons = letter(&OwnedRecord { headers: vec![header(header::ORIGIN, "a:b:3:4")], ..record() });
        assert_eq!(colons.origin_parts(), Some(("a:b", 3)));
    }

    #[test]
    fn receipts_are_no_letters() {
        let receipt_of =
            OwnedRecord { key: None, value: None, headers: vec![header(header::REDRIVEN, "2:17")], ..record() };
        assert_eq!((receipt(&receipt_of), Letter::read(&receipt_of)), (Some((2, 17)), None));
        // A record that carries such a header is still a dead letter: it has content.
        let mut posing = record();
        posing.headers.push(header(header::REDRIVEN, "2:17"));
        assert_eq!(receipt(&posing), None);
        assert!(Letter::read(&posing).is_some());
    }

    #[test]
    fn places_are_read() {
        assert_eq!(place("2:17"), Ok((2, 17)));
        for wrong in ["", "2", "2:", "-1:2", "2:-1", "a:1"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
