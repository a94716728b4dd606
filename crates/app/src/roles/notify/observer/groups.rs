//! How far the two groups have come in what they read.

use std::collections::BTreeMap;
use std::time::Instant;

use kafka_io::Connection;
use kafka_io::admin::AdminError;
use kafka_io::offsets::{Offsets, Partition};
use kafka_io::reader::ReadError;
use record::{Position, StageName};
use rules::blindness::{At, InputSeen};

use super::look::{ASK_TIMEOUT, LookError};

/// Most partitions of a group that are read at one look, for [`ASK_TIMEOUT`] at most, to see whether anything but markers lies before
/// their ends: where all stand still nobody is to take them for a lag at the second look.
const PROBES_MAX: usize = 64;

/// A partition that a group reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InputLag {
    /// Whose.
    pub(crate) stage: StageName,
    /// Which.
    pub(crate) at: At,
    /// Up to where it has committed; `None`: nothing yet.
    pub(crate) committed: Option<Position>,
    /// The end of the log.
    pub(crate) end: Position,
    /// Records, and markers of transactions among them, that are not committed.
    pub(crate) lag: Position,
}

/// A group and what it reads.
pub(super) struct Group {
    pub(super) stage: StageName,
    pub(super) offsets: Offsets,
    /// What was found before the end of a partition that does not move: by committed position, up to where there is nothing to read,
    /// and whether something is known to follow.
    probed: BTreeMap<Partition, Probe>,
    /// What was committed at the look before.
    before: BTreeMap<Partition, Option<Position>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Probe {
    committed: Position,
    /// No record lies between `committed` and here.
    empty_to: Position,
    /// Known to hold a record at `empty_to`.
    has_record: bool,
}

impl Group {
    pub(super) fn new(connection: &Connection, stage: StageName, group: &str) -> Result<Group, AdminError> {
        let offsets = Offsets::of_group(connection, group, ASK_TIMEOUT)?;
        Ok(Group { stage, offsets, probed: BTreeMap::new(), before: BTreeMap::new() })
    }

    /// What it has committed of these.
    pub(super) fn committed(
        &self,
        partitions: &[Partition],
    ) -> Result<BTreeMap<Partition, Option<Position>>, AdminError> {
        self.offsets.committed(partitions)
    }

    /// How it stands. What has a gap before its end that did not change since the look before is read, to see whether it is one.
    pub(super) fn inputs(
        &mut self,
        partitions: &[Partition],
        ends: &BTreeMap<Partition, Position>,
        committed: &BTreeMap<Partition, Option<Position>>,
        first: impl Fn(&Partition) -> Position,
    ) -> Result<Vec<InputLag>, LookError> {
        let mut inputs = Vec::new();
        let (mut probes, began) = (0, Instant::now());
        for partition in partitions {
            let Some(&end) = ends.get(partition) else { continue };
            let said = committed.get(partition).copied().flatten();
            let position = said.unwrap_or_else(|| first(partition)).min(end);
            let stands = self.before.get(partition) == Some(&said);
            let mut reached = position;
            if position < end && stands && said.is_some() {
                let probe = self.probed.get(partition).copied().filter(|probe| probe.committed == position);
                let mut probe = probe.unwrap_or(Probe { committed: position, empty_to: position, has_record: false });
                if !probe.has_record && probe.empty_to < end && probes < PROBES_MAX && began.elapsed() < ASK_TIMEOUT {
                    probes += 1;
                    match self.offsets.next_record(partition, probe.empty_to) {
                        Ok(Some(at)) => probe = Probe { empty_to: at, has_record: true, ..probe },
                        Ok(None) => probe.empty_to = end,
                        // Deleted meanwhile, or its leader is away: it stays a gap.
                        Err(ReadError::NoTopic(_) | ReadError::Failed { .. }) => {}
                        Err(error @ (ReadError::Unauthorized(_) | ReadError::NotLetIn { .. })) => {
                            return Err(error.into());
                        }
                    }
                }
                reached = probe.empty_to.min(end);
                self.probed.insert(partition.clone(), probe);
            }
            inputs.push(InputLag { stage: self.stage, at: at(partition), committed: said, end, lag: end - reached });
        }
        self.before.clone_from(committed);
        self.probed.retain(|partition, _| ends.contains_key(partition));
        Ok(inputs)
    }
}

/// What the judge reads of an input.
pub(super) fn seen(input: &InputLag) -> InputSeen {
    InputSeen { at: input.at.clone(), end: input.end, committed: input.end - input.lag }
}

pub(super) fn at((topic, partition): &Partition) -> At {
    At { topic: topic.clone(), partition: *partition }
}
