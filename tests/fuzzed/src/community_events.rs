//! What an owner may feed the community stage, made from bytes.

use std::borrow::Cow;

use arbitrary::Arbitrary;
use record::{
    ClassifiedInteraction, ContentKinds, Direction, EpochMs, Kind, Label, Language, ReachBand, Role, Tier, encode_key,
};

use crate::scripts::{Forward, Name, When, Words};
use crate::stages::{RAW_PARTITIONS, RAW_TOPICS};

pub(crate) const QUEUES: [&str; 6] = ["complaint", "tip", "experience", "praise", "review", "elsewhere"];
pub(crate) const RULES: [&str; 3] = ["complaint_spike", "overdue", "silence"];

/// A source of event time.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub(crate) struct Source {
    pub(crate) place: u8,
    pub(crate) offset: u16,
}

impl Source {
    pub(crate) fn topic(self) -> &'static str {
        RAW_TOPICS[usize::from(self.place % 2)].0
    }

    pub(crate) fn partition(self) -> i32 {
        i32::from(self.place / 2) % (RAW_PARTITIONS + 1)
    }
}

/// Who is meant: community, kind and id.
#[derive(Debug, Arbitrary)]
pub(crate) struct Meant<'a> {
    pub(crate) community: Name<'a>,
    pub(crate) is_comment: bool,
    pub(crate) id: Name<'a>,
}

impl Meant<'_> {
    pub(crate) fn kind(&self) -> Kind {
        if self.is_comment { Kind::Comment } else { Kind::Post }
    }

    pub(crate) fn key(&self) -> String {
        encode_key(&[&self.community.text(), self.kind().as_str(), &self.id.text()])
    }
}

/// A classified interaction.
#[derive(Debug, Arbitrary)]
pub(crate) struct Said<'a> {
    pub(crate) meant: Meant<'a>,
    pub(crate) author: Option<u8>,
    pub(crate) previous_author: Option<u8>,
    pub(crate) role: u8,
    pub(crate) parent: Option<(Name<'a>, u8)>,
    pub(crate) thread: Option<Name<'a>>,
    pub(crate) direction: u8,
    pub(crate) created: When,
    pub(crate) observed: When,
    pub(crate) edited: Option<When>,
    pub(crate) is_deleted: bool,
    pub(crate) label: u8,
    pub(crate) queue: Option<u8>,
    pub(crate) confidence: f32,
    pub(crate) is_abstained: bool,
    pub(crate) kinds: u8,
    pub(crate) fingerprint: Option<u8>,
    pub(crate) words: Option<Words<'a>>,
    pub(crate) source: Source,
}

impl Said<'_> {
    pub(crate) fn record(&self, now: EpochMs) -> ClassifiedInteraction<'static> {
        let author = |number: &u8| Cow::Owned(format!("v1:{:032x}", number % 16));
        let before = |number: &u8| Cow::Owned(format!("v0:{:032x}", number % 16));
        let role = [Role::Member, Role::Brand, Role::Moderator, Role::Unknown][usize::from(self.role % 4)];
        let text = |name: &Name<'_>| Cow::Owned(name.text());
        let digest = (self.label, self.queue, self.words.as_ref().map(Words::text).map_or(0, |words| words.len()));
        ClassifiedInteraction {
            community_id: text(&self.meant.community),
            kind: self.meant.kind(),
            id: text(&self.meant.id),
            author_key: self.author.as_ref().map(author),
            author_role: role,
            post_author_key: self.parent.as_ref().map(|(_, number)| author(number)),
            post_author_role: Role::Member,
            parent_author_key: self.parent.as_ref().map(|(_, number)| author(number)),
            parent_author_role: Role::Member,
            direction: Direction::ALL[usize::from(self.direction) % Direction::ALL.len()],
            reach_band: ReachBand::Small,
            thread_id: self.thread.as_ref().map(text),
            parent_id: self.parent.as_ref().map(|(name, _)| text(name)),
            url: None,
            created_at: self.created.at(now),
            observed_at: self.observed.at(now),
            edited_at: self.edited.map(|edited| edited.at(now)),
            ingested_at: now,
            classified_at: now,
            deleted: self.is_deleted,
            content_digest: Cow::Owned(format!("{digest:?}")),
            label: Label::ALL[usize::from(self.label) % Label::ALL.len()],
            p_complaint: self.confidence,
            p_tip: 0.1,
            p_experience: 0.1,
            p_praise: 0.1,
            p_other: 0.1,
            confidence: self.confidence,
            abstained: self.is_abstained,
            language: Language::Indonesian,
            mixed: false,
            tier: Tier::Fast,
            model: Cow::Borrowed("fuzz-1"),
            queue: self.queue.map(|queue| Cow::Borrowed(QUEUES[usize::from(queue) % QUEUES.len()])),
            content_kinds: ContentKinds::from_bits(self.kinds),
            fingerprint: self.fingerprint.map(|bits| i64::from(bits / 16)),
            text: self.words.as_ref().map(|words| Cow::Owned(words.text())),
            text_truncated: false,
            origin_topic: Cow::Borrowed(self.source.topic()),
            origin_partition: self.source.partition(),
            origin_offset: i64::from(self.source.offset),
            previous_author_key: self.previous_author.as_ref().map(before),
        }
    }
}

/// What a responder or an operator does.
#[derive(Debug, Arbitrary)]
pub(crate) enum Act<'a> {
    Claim(Meant<'a>, Option<When>),
    Release(Meant<'a>),
    Acknowledge(Meant<'a>),
    AcknowledgeAlert { rule: u8, community: Name<'a>, started: When },
    Silence { community: Name<'a>, rule: Option<u8>, until: When },
    Unsilence { community: Name<'a> },
    Erase { community: Name<'a>, author: u8, is_before: bool },
    Any { kind: Name<'a>, target: &'a str },
}

impl Act<'_> {
    /// Its kind, its target, and the community that it is about.
    pub(crate) fn meaning(&self, now: EpochMs) -> (String, String, String) {
        let rule = |rule: &u8| RULES[usize::from(*rule) % RULES.len()];
        let of = |kind: &str, target: String, community: &Name<'_>| (kind.to_owned(), target, community.text());
        match self {
            Act::Claim(meant, _) => of("claim", meant.key(), &meant.community),
            Act::Release(meant) => of("release", meant.key(), &meant.community),
            Act::Acknowledge(meant) => of("acknowledge", meant.key(), &meant.community),
            Act::AcknowledgeAlert { rule: number, community, started } => {
                let started = (started.at(now) / 10_000 * 10_000).to_string();
                of("acknowledge_alert", encode_key(&[rule(number), &community.text(), &started]), community)
            }
            Act::Silence { community, rule: number, .. } => {
                let name = community.text();
                let parts: Vec<&str> = [Some(&*name), number.as_ref().map(rule)].into_iter().flatten().collect();
                of("silence", encode_key(&parts), community)
            }
            Act::Unsilence { community } => of("unsilence", encode_key(&[&community.text()]), community),
            Act::Erase { community, author, is_before } => {
                let version = if *is_before { "v0" } else { "v1" };
                let author = format!("{version}:{:032x}", author % 16);
                of("erase", encode_key(&[&community.text(), &author]), community)
            }
            Act::Any { kind, target } => of(&kind.text(), (*target).to_owned(), kind),
        }
    }

    pub(crate) fn until(&self, now: EpochMs) -> Option<EpochMs> {
        match self {
            Act::Claim(_, until) => until.map(|until| until.at(now)),
            Act::Silence { until, .. } => Some(until.at(now)),
            _ => None,
        }
    }
}

/// What a marker says of a source.
#[derive(Debug, Arbitrary)]
pub(crate) struct Stand {
    pub(crate) source: Source,
    pub(crate) largest: Option<When>,
    pub(crate) is_caught_up: bool,
}

/// What happens.
#[derive(Debug, Arbitrary)]
pub(crate) enum Event<'a> {
    Said(Box<Said<'a>>),
    Correction {
        meant: Meant<'a>,
        label: Option<u8>,
        queue: Option<u8>,
        at: When,
    },
    Act {
        act: Act<'a>,
        at: When,
        by: u8,
    },
    Marker {
        partition: u8,
        at: When,
        stands: Vec<Stand>,
        canary: Option<(Source, When)>,
    },
    /// All sources have come so far.
    CaughtUp {
        largest: When,
    },
    Bytes {
        input: u8,
        partition: u8,
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
    },
    Clock(Forward),
    Commit,
    Crash,
    /// A partition goes away, and comes back later.
    Move {
        partition: u8,
    },
    Sources {
        partitions: u8,
    },
}
