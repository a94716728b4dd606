//! The world: communities, their members, their brand, and what they say to each other.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use record::{Author, ContentKind, EpochMs, Interaction, Kind, Label, Language, Media, Role};
use serde::Serialize;

use crate::DEFAULT_START;
use crate::dice::Dice;
use crate::texts::{brand_reply, burst, text};

/// A crisis of one community: many more interactions, most of them complaints, and near its end a burst of nearly the same
/// text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crisis {
    /// Which community, by its place.
    pub community: usize,
    /// When it begins, in milliseconds after the start.
    pub begins_ms: i64,
    /// How long it lasts, in milliseconds.
    pub lasts_ms: i64,
}

/// What a world is like.
#[derive(Debug, Clone, PartialEq)]
pub struct WorldConfig {
    /// Where it begins.
    pub start: EpochMs,
    /// How many communities; their activity falls off as Zipf's law has it.
    pub communities: usize,
    /// The exponent of that law.
    pub zipf: f64,
    /// How many members all communities have together.
    pub members: usize,
    /// Deliveries per second of event time, in all communities together, of an hour that is as busy as the day's mean; in a
    /// crisis they are more.
    pub rate_per_second: f64,
    /// A crisis, if there is to be one.
    pub crisis: Option<Crisis>,
    /// Share of interactions that the crawler delivers minutes late.
    pub late_share: f64,
    /// Share of deliveries that repeat an earlier one.
    pub recrawl_share: f64,
    /// Share of deliveries that are edits.
    pub edit_share: f64,
    /// Share of deliveries that are retractions.
    pub retract_share: f64,
}

impl Default for WorldConfig {
    fn default() -> WorldConfig {
        WorldConfig {
            start: DEFAULT_START,
            communities: 8,
            zipf: 0.6,
            members: 4_000,
            rate_per_second: 4.0,
            crisis: Some(Crisis { community: 1, begins_ms: 600_000, lasts_ms: 900_000 }),
            late_share: 0.005,
            recrawl_share: 0.04,
            edit_share: 0.01,
            retract_share: 0.005,
        }
    }
}

/// What kind of event an interaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A member's post or comment, delivered for the first time.
    New,
    /// The brand's answer.
    BrandReply,
    /// The same content again.
    Recrawl,
    /// An older version after a newer one.
    Stale,
    /// New content of an earlier one.
    Edit,
    /// An earlier one taken back.
    Retraction,
}

/// What is true of an interaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truth {
    /// What its text is.
    pub label: Label,
    /// What kind of event it is.
    pub event: EventKind,
}

/// An interaction as it arrives, with what is true of it.
#[derive(Debug, Clone, PartialEq)]
pub struct SimInteraction {
    /// When the crawler delivers it: its `observed_at`.
    pub arrival: EpochMs,
    /// What it delivers.
    pub interaction: Interaction<'static>,
    /// What is true of it.
    pub truth: Truth,
}

#[derive(Debug)]
struct Community {
    id: String,
    /// The share of its languages: cumulated, in the order of Indonesian, English, Javanese, Sundanese.
    languages: [f64; 4],
    /// The first of its members, and how many.
    members: (usize, usize),
    posts: VecDeque<Interaction<'static>>,
}

/// What later interactions may refer to.
#[derive(Debug, Clone)]
struct Recent {
    interaction: Interaction<'static>,
    label: Label,
    language: Language,
}

/// Deliveries in order of their arrival; the number keeps equal times in order.
type Pending = Reverse<(EpochMs, u64)>;

/// A seeded world.
#[derive(Debug)]
pub struct World {
    config: WorldConfig,
    dice: Dice,
    now: EpochMs,
    /// What has passed of the millisecond that follows `now`.
    fraction_ms: f64,
    number: u64,
    communities: Vec<Community>,
    activity: Vec<f64>,
    recent: VecDeque<Recent>,
    order: BinaryHeap<Pending>,
    pending: BTreeMap<u64, (SimInteraction, Language)>,
}

const RECENT_MAX: usize = 512;
const POSTS_MAX: usize = 8;

/// Names and main language of the first communities; further ones are numbered.
const NAMES: [(&str, Language); 8] = [
    ("pejuang-kereta-pagi", Language::Indonesian),
    ("warga-listrik-depok", Language::Indonesian),
    ("barudak-bandung-kuliner", Language::Sundanese),
    ("wong-solo-belanja", Language::Javanese),
    ("jakarta-expats-help", Language::English),
    ("ibu-ibu-paket-kilat", Language::Indonesian),
    ("sobat-internet-rumah", Language::Indonesian),
    ("arek-suroboyo-ngopi", Language::Javanese),
];

impl World {
    /// A world of this seed.
    pub fn new(seed: u64, config: WorldConfig) -> World {
        let count = config.communities.clamp(1, 10_000_000);
        let mut activity = Vec::with_capacity(count);
        let mut sum = 0.0;
        let mut weights = Vec::with_capacity(count);
        for rank in 0..count {
            let weight = 1.0 / power((rank + 1) as f64, config.zipf);
            sum += weight;
            activity.push(sum);
            weights.push(weight);
        }
        let mut first = 0;
        let communities = weights.iter().enumerate().map(|(rank, weight)| {
            let members = ((config.members as f64 * weight / sum) as usize).max(5);
            let (name, main) = NAMES[rank % NAMES.len()];
            let id = if rank < NAMES.len() { name.to_owned() } else { format!("{name}-{rank}") };
            let community =
                Community { id, languages: languages(main), members: (first, members), posts: VecDeque::new() };
            first += members;
            community
        });
        let communities = communities.collect();
        World {
            dice: Dice::new(seed),
            now: config.start,
            fraction_ms: 0.0,
            config,
            number: 0,
            communities,
            activity,
            recent: VecDeque::new(),
            order: BinaryHeap::new(),
            pending: BTreeMap::new(),
        }
    }

    /// The next delivery; they come in order of their arrival, without end.
    pub fn next_interaction(&mut self) -> SimInteraction {
        loop {
            // What was made up to now and arrives before it is complete.
            if let Some(Reverse((arrival, _))) = self.order.peek()
                && *arrival <= self.now
                && let Some(Reverse((_, number))) = self.order.pop()
                && let Some((delivery, language)) = self.pending.remove(&number)
            {
                self.delivered(&delivery, language);
                return delivery;
            }
            self.happen();
        }
    }

    /// From now on the crawler may see it again.
    fn delivered(&mut self, delivery: &SimInteraction, language: Language) {
        let Truth { label, event } = delivery.truth;
        if matches!(event, EventKind::New | EventKind::BrandReply) {
            self.recent.push_back(Recent { interaction: delivery.interaction.clone(), label, language });
            if self.recent.len() > RECENT_MAX {
                self.recent.pop_front();
            }
        }
        if event == EventKind::BrandReply {
            // It came with another, long before: one more now would be above the rate.
            self.pass_time();
        }
    }

    /// Time goes on by as much as lies between two deliveries.
    fn pass_time(&mut self) {
        let busy = if self.crisis().is_some() { 1.6 } else { 1.0 };
        let speed = self.config.rate_per_second * rhythm(self.now) * busy;
        self.fraction_ms += self.dice.gap_ms(1_000.0 / speed);
        self.now += self.fraction_ms as i64;
        self.fraction_ms = self.fraction_ms.fract();
    }

    /// One thing happens.
    fn happen(&mut self) {
        let crisis = self.crisis();
        self.pass_time();
        let kind = self.dice.unit();
        let WorldConfig { recrawl_share, edit_share, retract_share, .. } = self.config;
        let again = if kind < recrawl_share {
            Some(EventKind::Recrawl)
        } else if kind < recrawl_share + edit_share {
            Some(EventKind::Edit)
        } else if kind < recrawl_share + edit_share + retract_share {
            Some(EventKind::Retraction)
        } else if kind < recrawl_share + edit_share + retract_share + 0.002 {
            Some(EventKind::Stale)
        } else {
            None
        };
        if !again.is_some_and(|event| self.repeat(event)) {
            self.speak(crisis);
        }
    }

    fn crisis(&self) -> Option<Crisis> {
        let since = self.now - self.config.start;
        self.config.crisis.filter(|crisis| (crisis.begins_ms..crisis.begins_ms + crisis.lasts_ms).contains(&since))
    }

    /// Somebody says something new.
    fn speak(&mut self, crisis: Option<Crisis>) {
        // In a crisis about half of everything is about it.
        let in_crisis =
            crisis.filter(|_| self.dice.chance(0.5)).filter(|crisis| crisis.community < self.communities.len());
        let place = match in_crisis {
            Some(crisis) => crisis.community,
            None => self.dice.weighted(&self.activity),
        };
        let label = self.label(in_crisis.is_some());
        let language = LANGUAGES[self.dice.weighted(&self.communities[place].languages)];
        let ends = crisis.is_some_and(|crisis| {
            let since = self.now - self.config.start - crisis.begins_ms;
            since * 10 > crisis.lasts_ms * 8
        });
        let said = if in_crisis.is_some() && ends && self.dice.chance(0.6) {
            burst(&mut self.dice)
        } else {
            text(language, label, &mut self.dice)
        };
        let author = self.member(place);
        let answers = !self.communities[place].posts.is_empty() && self.dice.chance(0.65);
        let mut interaction = self.blank(place, author, said);
        if answers {
            self.answer(place, &mut interaction);
        }
        self.adorn(&mut interaction);
        interaction.language_hint = self.dice.chance(0.3).then(|| Cow::Borrowed(language.as_str()));
        let reply = label == Label::Complaint && self.dice.chance(0.35);
        let said = self.deliver(interaction, label, EventKind::New, language);
        if reply {
            self.brand_replies(place, &said, language);
        }
        if said.kind == Kind::Post {
            let posts = &mut self.communities[place].posts;
            posts.push_back(said);
            if posts.len() > POSTS_MAX {
                posts.pop_front();
            }
        }
    }

    fn label(&mut self, crisis: bool) -> Label {
        let shares = if crisis { [0.82, 0.85, 0.90, 0.92, 1.0] } else { [0.22, 0.36, 0.56, 0.80, 1.0] };
        Label::ALL[self.dice.weighted(&shares)]
    }

    fn member(&mut self, place: usize) -> Author<'static> {
        let (first, count) = self.communities[place].members;
        // Few members say much: the square of an even share is small more often. Who they are drifts with the weeks.
        let share = self.dice.unit();
        let drift = usize::try_from((self.now - self.config.start) / 86_400_000).unwrap_or(0);
        let number = first + ((share * share * count as f64) as usize + drift) % count;
        let followers = match number % 50 {
            0 => 250_000,
            1..=6 => 4_000 + (number % 900) as i64,
            _ => (number * 37 % 900) as i64,
        };
        Author {
            id: format!("u{number}").into(),
            handle: Some(format!("akun.{number}").into()),
            role: if number.is_multiple_of(97) { Role::Moderator } else { Role::Member },
            followers: Some(followers),
            verified: Some(number.is_multiple_of(50)),
        }
    }

    fn blank(&mut self, place: usize, author: Author<'static>, said: String) -> Interaction<'static> {
        self.number += 1;
        Interaction {
            kind: Kind::Post,
            id: format!("{:08}", self.number).into(),
            community_id: self.communities[place].id.clone().into(),
            author: Some(author),
            created_at: self.now,
            observed_at: self.now,
            edited_at: None,
            deleted: false,
            text: said.into(),
            media: Vec::new(),
            url: None,
            language_hint: None,
            post_id: None,
            parent_id: None,
            post_author: None,
            parent_author: None,
            mentions: Vec::new(),
        }
    }

    /// Makes it a comment on a recent post of the community, or on a comment there.
    fn answer(&mut self, place: usize, interaction: &mut Interaction<'static>) {
        let posts = &self.communities[place].posts;
        let at = self.dice.roll(posts.len());
        let post = &posts[at];
        interaction.kind = Kind::Comment;
        interaction.post_id = Some(post.id.clone());
        interaction.post_author = post.author.clone();
    }

    fn adorn(&mut self, interaction: &mut Interaction<'static>) {
        let kind = match self.dice.roll(100) {
            0..15 => ContentKind::Photo,
            15..20 => ContentKind::Video,
            20..23 => ContentKind::Article,
            _ => ContentKind::Text,
        };
        if kind != ContentKind::Text {
            let url = format!("https://media.example/{}/{}", kind.as_str(), interaction.id);
            interaction.media.push(Media { kind, url: Some(url.into()) });
        }
        interaction.url =
            Some(format!("https://social.example/{}/{}", interaction.community_id, interaction.id).into());
    }

    fn brand_replies(&mut self, place: usize, to: &Interaction<'static>, language: Language) {
        let said = brand_reply(language, &mut self.dice);
        let mut reply = self.blank(place, brand(), said);
        let delay = 20_000 + self.dice.gap_ms(120_000.0) as i64;
        reply.kind = Kind::Comment;
        reply.created_at = self.now + delay;
        reply.observed_at = reply.created_at;
        match to.kind {
            Kind::Post => {
                reply.post_id = Some(to.id.clone());
                reply.post_author = to.author.clone();
            }
            Kind::Comment => {
                reply.post_id = to.post_id.clone();
                reply.post_author = to.post_author.clone();
                reply.parent_id = Some(to.id.clone());
                reply.parent_author = to.author.clone();
            }
        }
        self.deliver(reply, Label::Other, EventKind::BrandReply, language);
    }

    /// An earlier interaction comes again: as it was, edited, or taken back. False if the one that is chosen cannot.
    fn repeat(&mut self, event: EventKind) -> bool {
        if self.recent.is_empty() {
            return false;
        }
        let at = self.dice.roll(self.recent.len());
        let earlier = self.recent[at].clone();
        if earlier.interaction.deleted || earlier.interaction.observed_at >= self.now {
            return false;
        }
        let mut again = earlier.interaction.clone();
        let mut label = earlier.label;
        match event {
            EventKind::Edit => {
                if self.dice.chance(0.5) {
                    label = self.label(false);
                }
                again.text = text(earlier.language, label, &mut self.dice).into();
                again.edited_at = Some(self.now);
            }
            EventKind::Retraction => {
                again.deleted = true;
                again.edited_at = Some(self.now);
            }
            EventKind::Stale => {
                let stale = SimInteraction {
                    arrival: self.now,
                    interaction: Interaction { observed_at: again.created_at - 1, ..again },
                    truth: Truth { label, event },
                };
                self.queue(stale, earlier.language);
                return true;
            }
            EventKind::New | EventKind::BrandReply | EventKind::Recrawl => {}
        }
        again.observed_at = self.now;
        self.recent[at] = Recent { interaction: again.clone(), label, ..earlier };
        let again = SimInteraction { arrival: self.now, interaction: again, truth: Truth { label, event } };
        self.queue(again, earlier.language);
        true
    }

    /// The crawler sees something new after a moment, or much later.
    fn deliver(
        &mut self,
        mut interaction: Interaction<'static>,
        label: Label,
        event: EventKind,
        language: Language,
    ) -> Interaction<'static> {
        let delay = if self.dice.chance(self.config.late_share) {
            60_000 + self.dice.gap_ms(120_000.0) as i64
        } else {
            200 + (self.dice.gap_ms(1_200.0) as i64).min(7_500)
        };
        interaction.observed_at = interaction.created_at + delay;
        let said = interaction.clone();
        let arrival = interaction.observed_at;
        self.queue(SimInteraction { arrival, interaction, truth: Truth { label, event } }, language);
        said
    }

    fn queue(&mut self, delivery: SimInteraction, language: Language) {
        self.number += 1;
        self.order.push(Reverse((delivery.arrival, self.number)));
        self.pending.insert(self.number, (delivery, language));
    }
}

const LANGUAGES: [Language; 4] = [Language::Indonesian, Language::English, Language::Javanese, Language::Sundanese];

/// A community speaks its main language mostly, and Indonesian besides.
fn languages(main: Language) -> [f64; 4] {
    match main {
        Language::English => [0.25, 0.95, 0.98, 1.0],
        Language::Javanese => [0.4, 0.43, 0.98, 1.0],
        Language::Sundanese => [0.4, 0.43, 0.45, 1.0],
        _ => [0.86, 0.92, 0.97, 1.0],
    }
}

/// `base` to the power of `exponent` (0 to 64), by multiplication and square root alone: IEEE 754 rounds those alike on every
/// machine, while `powf` is whatever the machine's library makes of it.
fn power(base: f64, exponent: f64) -> f64 {
    let exponent = exponent.clamp(0.0, 64.0);
    let mut result = 1.0;
    for _ in 0..exponent as u32 {
        result *= base;
    }
    // What is left of the exponent, digit by binary digit: 0.11 stands for the square root times the fourth root.
    let (mut root, mut left) = (base, exponent.fract());
    while left > 0.0 {
        root = root.sqrt();
        left *= 2.0;
        if left >= 1.0 {
            result *= root;
            left -= 1.0;
        }
    }
    result
}

fn brand() -> Author<'static> {
    Author {
        id: "brand".into(),
        handle: Some("sahabat.resmi".into()),
        role: Role::Brand,
        followers: Some(900_000),
        verified: Some(true),
    }
}

/// How busy the hour is in Jakarta, by the day's mean.
pub(crate) fn rhythm(now: EpochMs) -> f64 {
    const BY_HOUR: [f64; 24] = [
        0.4, 0.3, 0.2, 0.2, 0.4, 0.7, 1.0, 1.2, 1.2, 1.1, 1.1, 1.3, 1.4, 1.2, 1.1, 1.1, 1.2, 1.3, 1.4, 1.6, 1.6, 1.3,
        0.9, 0.6,
    ];
    let hour = (now + 7 * 3_600_000).rem_euclid(86_400_000) / 3_600_000;
    BY_HOUR[usize::try_from(hour).unwrap_or(0) % 24]
}

#[cfg(test)]
mod tests;
