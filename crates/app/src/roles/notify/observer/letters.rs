//! Dead letters as they come, by reason.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_io::Connection;
use kafka_io::offsets::{Offsets, Partition};
use kafka_io::reader::{OwnedRecord, Reader};
use record::{EpochMs, Position, Reason, header};

use super::look::{ASK_TIMEOUT, LookError};

/// How far back they are counted by reason.
const COUNTED_MS: i64 = 3_600_000;
/// Most that are read at one look, and most bytes of them: they hold raw records. More are counted by their offsets.
const RECORDS_MAX: usize = 2_000;
const BYTES_MAX: usize = 16 * 1_048_576;
/// What a letter without one of our reasons, or one that was not read, counts as.
const UNKNOWN: &str = "unknown";

pub(super) struct Letters {
    /// `None` where there is no such topic.
    reader: Option<Reader>,
    partitions: Vec<Partition>,
    /// By the minute in which they were written, and reason.
    minutes: BTreeMap<i64, BTreeMap<String, u64>>,
    by_reason: BTreeMap<String, u64>,
    is_cut: bool,
    /// Until everything that was there at first is read.
    begins: bool,
}

impl Letters {
    pub(super) fn open(
        topic: &str,
        connection: &Connection,
        offsets: &Offsets,
        now: EpochMs,
    ) -> Result<Letters, LookError> {
        let topic: Arc<str> = topic.into();
        let partitions = offsets.partitions(&topic)?;
        let ends = offsets.ends(&partitions)?;
        let begin = now - COUNTED_MS;
        let mut positions = BTreeMap::new();
        let mut is_cut = false;
        let most = (RECORDS_MAX / partitions.len().max(1)) as Position;
        for ((topic, partition), at) in offsets.at_times(partitions.iter().map(|partition| (partition, begin)))? {
            let end = ends.get(&(topic, partition)).copied().unwrap_or(0);
            let from = at.unwrap_or(end);
            is_cut |= from < end - most;
            positions.insert(partition, from.max(end - most));
        }
        let reader = if positions.is_empty() {
            None
        } else {
            Some(Reader::open_from(connection, &topic, &positions, ASK_TIMEOUT)?)
        };
        let (minutes, by_reason) = Default::default();
        Ok(Letters { reader, partitions, minutes, by_reason, is_cut, begins: true })
    }

    /// Reads what has come; gives how many of them were written since then.
    pub(super) fn follow(&mut self, offsets: &Offsets, now: EpochMs, since: EpochMs) -> Result<u64, LookError> {
        let Some(reader) = self.reader.as_mut() else { return Ok(0) };
        let (mut records, mut bytes, mut letters) = (0, 0, 0);
        let until = Instant::now() + ASK_TIMEOUT;
        while records < RECORDS_MAX && bytes < BYTES_MAX {
            let Some(record) = reader.next(Duration::from_millis(50))? else {
                if self.begins && !reader.is_at_end() && Instant::now() < until {
                    continue;
                }
                self.begins = false;
                break;
            };
            records += 1;
            bytes += record.value.as_ref().map_or(0, Vec::len);
            // Its producer is a stage, whose clock may be ahead.
            let written = record.timestamp.unwrap_or(now).min(now);
            letters += u64::from(written >= since);
            *self.minutes.entry(written / 60_000).or_default().entry(reason(&record)).or_default() += 1;
        }
        if records >= RECORDS_MAX || bytes >= BYTES_MAX {
            letters += self.pass_over(offsets, now)?;
        }
        self.forget(now);
        Ok(letters)
    }

    /// Where there is more than can be read the rest is counted by its offsets, among which are markers of transactions.
    fn pass_over(&mut self, offsets: &Offsets, now: EpochMs) -> Result<u64, LookError> {
        let Some(reader) = self.reader.as_mut() else { return Ok(0) };
        let mut skipped = 0;
        for ((_, partition), end) in offsets.ends(&self.partitions)? {
            let position = reader.positions().get(&partition).copied().unwrap_or(end);
            if end - position > RECORDS_MAX as Position {
                skipped += (end - position).unsigned_abs();
                reader.skip_to(partition, end, ASK_TIMEOUT)?;
            }
        }
        if skipped > 0 {
            *self.minutes.entry(now / 60_000).or_default().entry(UNKNOWN.to_owned()).or_default() += skipped;
        }
        Ok(skipped)
    }

    /// Those of the last hour by reason, and whether there were more.
    pub(super) fn by_reason(&self) -> (&BTreeMap<String, u64>, bool) {
        (&self.by_reason, self.is_cut)
    }

    fn forget(&mut self, now: EpochMs) {
        self.minutes = self.minutes.split_off(&((now - COUNTED_MS) / 60_000));
        self.by_reason.clear();
        for (reason, count) in self.minutes.values().flatten() {
            *self.by_reason.entry(reason.clone()).or_default() += count;
        }
    }
}

/// The reason by its name: one of ours, whatever stands there.
fn reason(record: &OwnedRecord) -> String {
    let header = record.headers.iter().find(|(name, _)| name == header::REASON);
    let said = header.and_then(|(_, value)| value.as_deref()).unwrap_or_default();
    let known = Reason::ALL.iter().map(|reason| reason.as_str()).find(|name| name.as_bytes() == said);
    known.unwrap_or(UNKNOWN).to_owned()
}
