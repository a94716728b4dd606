//! The state of one partition: what is known, what is counted, what is due.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use record::stage::{InputRecord, LatencySample};
use record::{ClassifiedInteraction, EpochMs, Kind, Ledger, Outcome, Position, Reason, Role};
use sha2::{Digest, Sha256};
use window::{Applied, Change, CommunityWindows, Contribution, MemberKey, WindowSet};

use super::alerts::Alerts;
use super::aliases::Aliases;
use super::answers::{Answers, Complaints, TargetHash, Waiting, target_hash};
use super::corrections::{Parked, Said};
use super::erasure::Erasures;
use super::hottest::Hottest;
use super::identity::{ContentOf, Entry, IdentityIndex, SlotId, write_key};
use super::items::{Items, Overdue};
use super::state_version::StateVersion;
use super::watermark::Watermark;
use super::{CommunityStage, Shared};

/// One community of the partition.
#[derive(Debug)]
pub(super) struct Community {
    pub(super) id: Arc<str>,
    pub(super) windows: CommunityWindows,
    pub(super) complaints: Complaints,
    pub(super) overdue: Overdue,
    /// Its queue items, in the order of time.
    pub(super) items: BTreeSet<(EpochMs, SlotId)>,
    pub(super) alerts: Alerts,
    /// Members known at the last flush.
    pub(super) members: usize,
    /// What stands for it in `due`.
    scheduled: Option<EpochMs>,
    /// Its slices changed since the last flush.
    pub(super) touched: bool,
    /// Records of it in this interval of [`Hottest`].
    pub(super) read: u32,
}

impl Community {
    /// The least watermark at which there is something to do.
    fn next_due(&self, windows: &WindowSet) -> Option<EpochMs> {
        let overdue_at = self.overdue.next_after(self.alerts.rules.at().unwrap_or(EpochMs::MIN));
        let alerts = self.alerts.next_due(windows.slice_ms(), overdue_at);
        [self.windows.next_due(windows), alerts].into_iter().flatten().min()
    }

    /// What stands for it among what is due.
    pub(super) fn scheduled(&self) -> Option<EpochMs> {
        self.scheduled
    }

    /// What a member said in a slice that is not over is what the alert rules will see; what is late, they never do.
    pub(super) fn count_for_alerts(&mut self, entry: &Entry, comes: bool, watermark: Option<EpochMs>, shared: &Shared) {
        if entry.brand {
            return;
        }
        let size_ms = shared.windows.slice_ms();
        let slice_end = entry.event_time - entry.event_time.rem_euclid(size_ms) + size_ms;
        if watermark.is_none_or(|watermark| slice_end > watermark) {
            self.alerts.count(slice_end, entry.label, comes);
        }
    }
}

/// A segment of ids in the changelog.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SegmentUse {
    pub(super) written: u32,
    pub(super) live: u32,
}

/// The state of one partition.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) number: i32,
    pub(super) version: StateVersion,
    pub(super) aliases: Aliases,
    /// Since when, in event time, authors come with the previous pseudonym beside the new one.
    pub(super) linked_since: Option<EpochMs>,
    /// By input.
    pub(super) ledgers: [Ledger; CommunityStage::INPUTS],
    pub(super) positions: BTreeMap<usize, Position>,
    /// What the changelog said of the positions when it was restored.
    pub(super) recorded: BTreeMap<usize, Position>,
    pub(super) watermark: Watermark,
    /// What is older is not taken in, and leaves.
    pub(super) low_mark: Option<EpochMs>,
    /// All that was older has left: the low mark as soon as nothing is on its way out. This is what the changelog has.
    pub(super) left_below: Option<EpochMs>,
    pub(super) index: IdentityIndex,
    /// Entries changed since the last flush.
    pub(super) changed: Vec<SlotId>,
    /// Entries on their way out, in the order in which they leave, with when: their queue items are tombstoned a bounded number at a time.
    pub(super) leaving: BTreeSet<(EpochMs, SlotId)>,
    pub(super) answers: Answers,
    /// Complaints that wait, or waited until they were answered.
    pub(super) waiting: HashMap<SlotId, Waiting, ahash::RandomState>,
    /// Corrections of interactions that are not known.
    pub(super) parked: Parked,
    /// Who is to be forgotten.
    pub(super) erasures: Erasures,
    /// Rows that went and are to be told so: output and key.
    pub(super) tombstones: Vec<(usize, Box<str>)>,
    /// What a restore found to have left, with its row: most were told before, some are told again at each commit.
    pub(super) old_rows: Vec<(Box<[u8]>, Box<str>)>,
    /// Segments below this one may hold what was erased; 0 if none does.
    pub(super) scrub_below: u64,
    pub(super) items: Items,
    /// Communities with whose alerts responders did something since the last flush.
    pub(super) touched_alerts: Vec<u32>,
    /// Communities that are known by nothing but what responders said of their alerts.
    pub(super) desks: usize,
    /// Transitions of alerts since the partition was assigned.
    pub(super) alerts_told: u64,
    pub(super) segments: BTreeMap<u64, SegmentUse>,
    pub(super) next_segment: u64,
    /// Identities that the segments hold, also those that were written again since, as of the last flush.
    pub(super) written_ids: u64,
    /// Names of queues that entries wait in, by their place.
    pub(super) queue_names: Vec<Box<str>>,
    /// Members known in all communities at the last flush.
    pub(super) members: usize,
    /// With fewer members it is of no use to look for some to forget.
    pub(super) members_tried: usize,
    pub(super) communities: Vec<Option<Community>>,
    pub(super) free_communities: Vec<u32>,
    pub(super) community_ids: HashMap<Arc<str>, u32, ahash::RandomState>,
    pub(super) due: BTreeSet<(EpochMs, u32)>,
    pub(super) touched: Vec<u32>,
    /// Something was processed since the last flush, or told.
    pub(super) moved: bool,
    /// Whether anything left in this flush, once that was its turn.
    pub(super) left: Option<bool>,
    pub(super) meta_written_at: EpochMs,
    /// The watermark that the changelog has.
    pub(super) written_watermark: Option<EpochMs>,
    pub(super) swept_to: Option<EpochMs>,
    pub(super) panes: u64,
    /// The on-time panes emitted since the last commit for which a record was waited.
    pub(super) on_time: Option<LatencySample>,
    pub(super) hottest: Hottest,
    key: Vec<u8>,
    asked_key: Vec<u8>,
    pub(super) text_key: String,
}

impl Partition {
    pub(super) fn new(number: i32, watermark: Watermark) -> Partition {
        Partition {
            number,
            version: StateVersion::default(),
            aliases: Aliases::default(),
            linked_since: None,
            ledgers: Default::default(),
            positions: BTreeMap::new(),
            recorded: BTreeMap::new(),
            watermark,
            low_mark: None,
            left_below: None,
            index: IdentityIndex::default(),
            changed: Vec::new(),
            leaving: BTreeSet::new(),
            answers: Answers::default(),
            waiting: HashMap::default(),
            parked: Parked::default(),
            erasures: Erasures::default(),
            tombstones: Vec::new(),
            old_rows: Vec::new(),
            scrub_below: 0,
            items: Items::default(),
            touched_alerts: Vec::new(),
            desks: 0,
            alerts_told: 0,
            segments: BTreeMap::new(),
            next_segment: 0,
            written_ids: 0,
            queue_names: Vec::new(),
            members: 0,
            members_tried: 0,
            communities: Vec::new(),
            free_communities: Vec::new(),
            community_ids: HashMap::default(),
            due: BTreeSet::new(),
            touched: Vec::new(),
            // The first flush writes down where the partition begins.
            moved: true,
            left: None,
            meta_written_at: EpochMs::MIN,
            written_watermark: None,
            swept_to: None,
            panes: 0,
            on_time: None,
            hottest: Hottest::default(),
            key: Vec::new(),
            asked_key: Vec::new(),
            text_key: String::new(),
        }
    }

    /// Takes in one classified interaction.
    pub(super) fn interaction(&mut self, interaction: &ClassifiedInteraction<'_>, shared: &Shared) -> Outcome {
        let topic = &interaction.origin_topic;
        let (partition, offset) = (interaction.origin_partition, interaction.origin_offset);
        let event_time = (!interaction.deleted).then_some(interaction.created_at);
        self.watermark.heard(topic, partition, offset, event_time, interaction.ingested_at);
        self.share_erasures(interaction, shared);
        let is_erased = self.erasures.take(interaction, &self.aliases);
        let mut key = std::mem::take(&mut self.key);
        write_key(&interaction.community_id, interaction.kind, &interaction.id, &mut key);
        let outcome = match self.index.find(&key) {
            // A retraction says nothing of when it was made.
            Some(slot) if is_erased && !interaction.deleted => self.keep_out(interaction, slot, shared),
            None if is_erased => Outcome::Dropped,
            None => self.unknown(interaction, &key, shared),
            Some(slot) => self.known(interaction, slot, shared),
        };
        self.key = key;
        // Whatever came of it: it was work.
        if let Some(&number) = self.community_ids.get(&*interaction.community_id)
            && let Some(community) = &mut self.communities[number as usize]
        {
            self.hottest.count(number, community);
        }
        outcome
    }

    fn unknown(&mut self, interaction: &ClassifiedInteraction<'_>, key: &[u8], shared: &Shared) -> Outcome {
        if self.low_mark.is_some_and(|low_mark| interaction.created_at < low_mark) {
            return Outcome::Dropped;
        }
        let (mut entry, asked) = self.entry_of(interaction, shared);
        let said = self.unpark(key);
        let model_queue = entry.queue;
        entry = self.corrected(entry, said, &interaction.community_id, shared);
        let outcome = if entry.deleted {
            Outcome::Retracted
        } else {
            self.count(&interaction.community_id, interaction.kind, &mut entry, Change::Add, shared)
        };
        let slot = self.index.insert(key, entry);
        self.mark_changed(slot);
        self.settle_answers(slot, None, asked, shared);
        self.settle_item(slot, None, interaction, model_queue);
        outcome
    }

    fn known(&mut self, interaction: &ClassifiedInteraction<'_>, slot: SlotId, shared: &Shared) -> Outcome {
        let old = self.index.slot(slot).entry;
        let version = interaction.version();
        // On a tie a retraction wins, whichever of the two comes first.
        if version < old.version || (version == old.version && old.deleted && !interaction.deleted) {
            return Outcome::Stale;
        }
        let (mut new, asked) = self.entry_of(interaction, shared);
        let model_queue = new.queue;
        new.listed |= old.listed;
        // An earlier program may have taken one in again that was bare.
        new.closed = old.closed && old.listed;
        if !new.deleted {
            new = self.corrected(new, old.said, &interaction.community_id, shared);
        }
        if interaction.deleted {
            // A retraction says nothing of the event time that it retracts: the known one stays.
            let Entry { event_time, brand, author, answers, thread, .. } = old;
            new = Entry { event_time, brand, author, answers, thread, counted: false, said: old.said, ..new };
            if old.deleted {
                return self.renew(slot, old, new, interaction);
            }
            self.retract(&interaction.community_id, interaction.kind, &old, shared);
            self.set_entry(slot, new);
            self.settle_answers(slot, Some(old), None, shared);
            self.settle_item(slot, Some(old), interaction, None);
            return Outcome::Retracted;
        }
        new.counted = old.counted;
        let author = if self.is_same_author(old.author, new.author) { old.author } else { new.author };
        // What an earlier program kept has no language.
        let content = ContentOf::new(new.content.kinds(), old.content.language());
        if (Entry { version: old.version, author, content, ..new }) == old {
            return self.renew(slot, old, new, interaction);
        }
        if !old.deleted {
            self.retract(&interaction.community_id, interaction.kind, &old, shared);
        }
        let change = if old.is_counted() { Change::Restate } else { Change::Add };
        self.count(&interaction.community_id, interaction.kind, &mut new, change, shared);
        self.set_entry(slot, new);
        self.settle_answers(slot, Some(old), asked, shared);
        self.settle_item(slot, Some(old), interaction, model_queue);
        self.depart_where_moved(slot, &old, shared);
        Outcome::Replaced
    }

    /// The same again: only its version may be newer.
    fn renew(&mut self, slot: SlotId, old: Entry, new: Entry, interaction: &ClassifiedInteraction<'_>) -> Outcome {
        if new.version > old.version {
            self.set_entry(slot, Entry { version: new.version, content: new.content, ..old });
            self.refill_item(slot, interaction);
        }
        Outcome::Deduplicated
    }

    pub(super) fn set_entry(&mut self, slot: SlotId, entry: Entry) {
        self.index.set(slot, entry);
        self.mark_changed(slot);
    }

    pub(super) fn mark_changed(&mut self, slot: SlotId) {
        let known = self.index.slot_mut(slot);
        if !known.changed {
            known.changed = true;
            self.changed.push(slot);
        }
    }

    /// The entry of an interaction, and the place of what it answers, if that is known.
    fn entry_of(&mut self, interaction: &ClassifiedInteraction<'_>, shared: &Shared) -> (Entry, Option<SlotId>) {
        let queue = match &interaction.queue {
            Some(queue) if !interaction.deleted => Some(self.queue_number(queue)),
            _ => None,
        };
        let brand = interaction.author_role == Role::Brand;
        let answers_somebody = brand && !shared.auto_replies.matches(interaction.text.as_deref());
        let (answers, asked) = if answers_somebody { self.asked(interaction).unzip() } else { (None, None) };
        let entry = Entry {
            version: interaction.version(),
            event_time: interaction.created_at,
            digest: digest_of(&interaction.content_digest),
            label: interaction.label,
            direction: interaction.direction,
            content: ContentOf::new(interaction.content_kinds, interaction.language),
            abstained: interaction.abstained,
            brand,
            author: self.author_of(interaction, shared).filter(|_| !brand),
            answers,
            thread: interaction.thread_id.as_deref().map_or(0, thread_of),
            deleted: interaction.deleted,
            said: Said::default(),
            counted: false,
            queue,
            listed: queue.is_some(),
            closed: false,
        };
        (entry, asked.flatten())
    }

    /// What a comment answers: its parent, else its post; and its place, if it is known.
    fn asked(&mut self, interaction: &ClassifiedInteraction<'_>) -> Option<(TargetHash, Option<SlotId>)> {
        if interaction.kind != Kind::Comment {
            return None;
        }
        let (kind, id) = match (&interaction.parent_id, &interaction.thread_id) {
            (Some(parent), _) => (Kind::Comment, parent),
            (None, Some(thread)) => (Kind::Post, thread),
            (None, None) => return None,
        };
        let key = &mut self.asked_key;
        write_key(&interaction.community_id, kind, id, key);
        Some((target_hash(key), self.index.find(key)))
    }

    /// The place of a queue's name, which is added if it is new. The last place stands for all names beyond the bound,
    /// which routing's own bound on queues keeps out of reach.
    pub(super) fn queue_number(&mut self, name: &str) -> u8 {
        let place = match self.queue_names.iter().position(|known| **known == *name) {
            Some(place) => place,
            None if self.queue_names.len() < usize::from(u8::MAX) => {
                self.queue_names.push(name.into());
                self.queue_names.len() - 1
            }
            None => self.queue_names.len() - 1,
        };
        u8::try_from(place).unwrap_or(u8::MAX)
    }

    /// Counts it, `change` saying whether for the first time.
    pub(super) fn count(
        &mut self,
        community_id: &str,
        kind: Kind,
        entry: &mut Entry,
        change: Change,
        shared: &Shared,
    ) -> Outcome {
        let applied = self.apply(community_id, &entry.contribution(kind), (change, entry), shared);
        entry.counted = applied != Applied::Late;
        if entry.counted { Outcome::Applied } else { Outcome::Late }
    }

    pub(super) fn retract(&mut self, community_id: &str, kind: Kind, old: &Entry, shared: &Shared) {
        if old.counted {
            self.apply(community_id, &old.contribution(kind), (Change::Retract, old), shared);
        }
    }

    fn apply(
        &mut self,
        community_id: &str,
        what: &Contribution,
        (change, entry): (Change, &Entry),
        shared: &Shared,
    ) -> Applied {
        let number = self.community(community_id);
        let watermark = self.watermark.value();
        let Some(community) = self.communities[number as usize].as_mut() else { return Applied::Late };
        let applied = community.windows.apply(&shared.windows, what, change, watermark);
        if applied != Applied::Late {
            community.count_for_alerts(entry, change != Change::Retract, watermark, shared);
        }
        self.touch(number, shared);
        applied
    }

    /// The windows of a community changed.
    pub(super) fn touch(&mut self, number: u32, shared: &Shared) {
        if let Some(community) = self.communities[number as usize].as_mut()
            && !community.touched
        {
            community.touched = true;
            self.touched.push(number);
        }
        self.schedule(number, &shared.windows);
    }

    /// The number of the community that an entry is of.
    pub(super) fn community_of(&self, slot: SlotId) -> Option<u32> {
        let (community_id, ..) = self.index.slot(slot).identity()?;
        self.community_ids.get(community_id).copied()
    }

    /// Whether a community is known, or one more can be.
    ///
    /// # Errors
    /// That there are too many: what puts something else into `community_id` must not fill the memory.
    pub(super) fn has_room_for(&self, community_id: &str, shared: &Shared) -> Result<(), (Reason, String)> {
        let known = self.community_ids.len();
        if known < shared.communities_max || self.community_ids.contains_key(community_id) {
            return Ok(());
        }
        Err((
            Reason::LimitExceeded,
            format!("{known} communities are known already (community.communities_max); no new one is taken"),
        ))
    }

    /// The number of a community, which is added if it is new.
    pub(super) fn community(&mut self, community_id: &str) -> u32 {
        if let Some(&number) = self.community_ids.get(community_id) {
            return number;
        }
        let id: Arc<str> = community_id.into();
        let community = Community {
            id: Arc::clone(&id),
            windows: CommunityWindows::new(),
            complaints: Complaints::default(),
            overdue: Overdue::default(),
            items: BTreeSet::new(),
            alerts: Alerts::default(),
            members: 0,
            scheduled: None,
            touched: false,
            read: 0,
        };
        let number = match self.free_communities.pop() {
            Some(number) => {
                self.communities[number as usize] = Some(community);
                number
            }
            None => {
                self.communities.push(Some(community));
                (self.communities.len() - 1) as u32
            }
        };
        self.community_ids.insert(id, number);
        number
    }

    /// Brings `due` up to date with what the community's windows say.
    pub(super) fn schedule(&mut self, number: u32, windows: &WindowSet) {
        let Some(community) = self.communities[number as usize].as_mut() else { return };
        let next = community.next_due(windows);
        if next == community.scheduled {
            return;
        }
        if let Some(scheduled) = community.scheduled {
            self.due.remove(&(scheduled, number));
        }
        if let Some(next) = next {
            self.due.insert((next, number));
        }
        community.scheduled = next;
    }

    /// The record was processed: its position is taken in.
    pub(super) fn settle(&mut self, record: &InputRecord<'_>, outcome: Outcome) {
        if let Some(ledger) = self.ledgers.get_mut(record.from.input) {
            ledger.consume();
            ledger.settle(outcome);
        }
        let position = self.positions.entry(record.from.input).or_default();
        *position = (*position).max(record.offset + 1);
        self.moved = true;
    }
}

/// What stands for a thread: 4 bytes of SHA-256 of its id. Two threads in which the same person writes will hardly ever share one.
fn thread_of(thread_id: &str) -> u32 {
    Sha256::digest(thread_id).first_chunk().map_or(1, |bytes| u32::from_le_bytes(*bytes).max(1))
}

/// What stands for an author: the pseudonym itself where it is one of ours, else its digest.
pub(super) fn member_of(author_key: &str) -> MemberKey {
    let pseudonym =
        author_key.split_once(':').map(|(_, pseudonym)| pseudonym).filter(|pseudonym| pseudonym.len() == 32);
    let bytes = match pseudonym.and_then(|pseudonym| u128::from_str_radix(pseudonym, 16).ok()) {
        Some(pseudonym) => pseudonym.to_be_bytes(),
        None => *Sha256::digest(author_key).first_chunk().unwrap_or(&[0; 16]),
    };
    MemberKey(bytes)
}

/// The first 16 bytes of a digest in hex; what is not hex is taken as zero, which a comparison of two equal ones bears.
fn digest_of(hexadecimal: &str) -> [u8; 16] {
    let mut digest = [0; 16];
    let nibble = |byte: u8| (byte as char).to_digit(16).unwrap_or(0) as u8;
    for (byte, pair) in digest.iter_mut().zip(hexadecimal.as_bytes().chunks_exact(2)) {
        *byte = nibble(pair[0]) << 4 | nibble(pair[1]);
    }
    digest
}
