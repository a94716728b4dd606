//! Canaries among the raw records: told from what people wrote, and passed on.

use std::borrow::Cow;
use std::sync::Arc;

use record::stage::{InputPartition, InputRecord};
use record::{EpochMs, Progress, SourceCanary, header};

use crate::canary::{CANARY_KEY, CANARY_OLD_MS, CanarySaid, CanarySeal, Sealed};

/// Most canaries of one marker: some 40 kB.
const CANARIES_MAX: usize = 500;

/// What a record is found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recognised {
    NoCanary,
    /// It claims to be one, and is not ours.
    False,
    /// It was taken in.
    Canary,
}

/// Canaries that were read and not passed on yet.
#[derive(Debug)]
pub(super) struct Canaries {
    seal: Option<CanarySeal>,
    read: Vec<Read>,
}

#[derive(Debug)]
struct Read {
    from: InputPartition,
    offset: i64,
    id: String,
    sent_at: EpochMs,
}

impl Canaries {
    pub(super) fn new(seal: Option<CanarySeal>) -> Canaries {
        Canaries { seal, read: Vec::new() }
    }

    /// Takes a record in if it is a canary. One that was sent long ago, which a replay reads, is left out and passed on to nobody. So is
    /// one that was sent after `latest`, by a clock that is wrong: the next stage would refuse the marker with all canaries in it.
    pub(super) fn recognise(
        &mut self,
        record: &InputRecord<'_>,
        topic: &str,
        now: EpochMs,
        latest: EpochMs,
    ) -> Recognised {
        // Almost all records end here: nothing of their headers is looked at.
        let (Some(CANARY_KEY), Some(value)) = (record.key, record.value) else { return Recognised::NoCanary };
        let Some(seal) = &self.seal else { return Recognised::NoCanary };
        let at = Sealed { topic, partition: record.from.partition, key: CANARY_KEY, value };
        let (mut claims, mut found) = (false, None);
        record.headers.each(&mut |name, value| {
            if name == header::CANARY && !claims {
                claims = true;
                let said = CanarySaid::read(value).filter(|said| seal.is_ours(said, at));
                found = said.map(|said| (said.id.to_owned(), said.sent_at));
            }
        });
        let Some((id, sent_at)) = found else {
            return if claims { Recognised::False } else { Recognised::NoCanary };
        };
        if now.saturating_sub(sent_at) <= CANARY_OLD_MS && sent_at <= latest {
            self.read.push(Read { from: record.from, offset: record.offset, id, sent_at });
        }
        Recognised::Canary
    }

    pub(super) fn is_full(&self) -> bool {
        self.read.len() >= CANARIES_MAX
    }

    /// The marker that tells of them, if there are any. It names no source: it moves no event time.
    pub(super) fn take(&mut self, now: EpochMs, topics: &[Arc<str>]) -> Option<Progress<'static>> {
        if self.read.is_empty() {
            return None;
        }
        let canaries = self.read.drain(..).map(|read| SourceCanary {
            topic: Cow::Owned(topics[read.from.input].to_string()),
            partition: read.from.partition,
            offset: read.offset,
            id: Cow::Owned(read.id),
            sent_at: read.sent_at,
        });
        Some(Progress { at: now, sources: Vec::new(), canaries: canaries.collect() })
    }

    /// They are read again.
    pub(super) fn clear(&mut self) {
        self.read.clear();
    }
}
