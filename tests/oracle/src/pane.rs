//! What a pane holds, counted from the list of interactions.

use std::collections::{BTreeMap, BTreeSet};

use crate::Window;
use crate::interaction::Counted;

/// What is known of a community beside the list itself.
pub(crate) struct Community<'a> {
    /// In order of event time.
    interactions: &'a [Counted],
    /// When each member was first there.
    first_seen: BTreeMap<&'a str, i64>,
    /// When the brand first answered which interaction of a member's.
    responses: BTreeMap<&'a (String, String), i64>,
    /// The same in order of time: when, and after how long.
    delays: Vec<(i64, i64)>,
    /// How far back a complaint is told as open: the longest window.
    reach_ms: i64,
}

/// A number of a pane.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Figure {
    Count(i64),
    /// Null where there is none.
    Optional(Option<f64>),
    /// Within 1 % and a millisecond: an estimate with a stated error.
    Near(Option<i64>),
}

/// What the pane `[end - length, end)` holds: field by field, all that holds until another interaction enters or leaves it.
pub(crate) fn lasting(community: &Community<'_>, window: &Window, end: i64) -> Vec<(String, Figure)> {
    let start = end - window.length_ms;
    let held = community.held(start, end);
    let mut figures: BTreeMap<String, i64> = FIELDS.into_iter().map(|field| (field.to_owned(), 0)).collect();
    for counted in held {
        let label = match counted.label.as_str() {
            "complaint" => "complaints",
            "tip" => "tips",
            "experience" => "experiences",
            "praise" => "praises",
            _ => "others",
        };
        let kind = if counted.kind == "post" { "posts" } else { "comments" };
        let mut fields =
            vec!["interactions".to_owned(), kind.to_owned(), label.to_owned(), counted.direction.to_owned()];
        fields.extend(counted.content_kinds.iter().map(|kind| format!("with_{kind}")));
        fields.extend(counted.abstained.then(|| "abstained".to_owned()));
        for field in fields {
            *figures.entry(field).or_default() += 1;
        }
    }
    let members: BTreeSet<&str> = held.iter().filter_map(|counted| counted.member.as_deref()).collect();
    let new = members.iter().filter(|member| community.first_seen[*member] >= start).count() as i64;
    let by_members = held.iter().filter(|counted| counted.member.is_some()).count();
    let delays = community.delays(start, end);
    figures.insert("distinct_members".to_owned(), members.len() as i64);
    figures.insert("new_members".to_owned(), new);
    figures.insert("returning_members".to_owned(), members.len() as i64 - new);
    figures.insert("first_responses".to_owned(), delays.len() as i64);
    let mut figures: Vec<(String, Figure)> =
        figures.into_iter().map(|(field, count)| (field, Figure::Count(count))).collect();
    let per_member = (!members.is_empty()).then(|| by_members as f64 / members.len() as f64);
    figures.push(("interactions_per_member".to_owned(), Figure::Optional(per_member)));
    for (field, share) in [("first_response_ms_p50", 0.5), ("first_response_ms_p90", 0.9)] {
        let rank = (delays.len() as f64 * share).ceil() as usize;
        figures.push((field.to_owned(), Figure::Near(rank.checked_sub(1).map(|at| delays[at]))));
    }
    let waiting = community.open_complaints(start, end).len();
    figures.push(("harmony".to_owned(), Figure::Optional(harmony(held, delays.len(), waiting))));
    figures.push(("brand_contact_regularity".to_owned(), Figure::Optional(regularity(held, window, start))));
    figures
}

/// What a row says as of its own end alone.
pub(crate) fn as_of_end(community: &Community<'_>, end: i64) -> Vec<(String, Figure)> {
    let open = community.open_complaints(end - community.reach_ms, end);
    let oldest = open.iter().min().map(|at| (end - at) as f64);
    vec![
        ("open_complaints".to_owned(), Figure::Count(open.len() as i64)),
        ("oldest_open_complaint_ms".to_owned(), Figure::Optional(oldest)),
    ]
}

impl<'a> Community<'a> {
    pub(crate) fn new(interactions: &'a [Counted], reach_ms: i64) -> Community<'a> {
        let mut first_seen = BTreeMap::new();
        for counted in interactions {
            if let Some(member) = &counted.member {
                first_seen.entry(member.as_str()).or_insert(counted.at);
            }
        }
        let asked: BTreeMap<&(String, String), i64> =
            interactions.iter().filter(|counted| !counted.by_brand).map(|counted| (&counted.own, counted.at)).collect();
        let mut responses = BTreeMap::new();
        // In order of time: the first answer that does not come before what it answers is the response.
        for reply in interactions.iter().filter(|counted| counted.by_brand) {
            let answered = reply.answers.as_ref().and_then(|answers| asked.get_key_value(answers));
            if let Some((&own, _)) = answered.filter(|(_, at)| **at <= reply.at) {
                responses.entry(own).or_insert(reply.at);
            }
        }
        let answered = interactions.iter().filter_map(|asked| Some((*responses.get(&asked.own)?, asked.at)));
        let mut delays: Vec<(i64, i64)> = answered.map(|(answered, asked)| (answered, answered - asked)).collect();
        delays.sort_unstable();
        Community { interactions, first_seen, responses, delays, reach_ms }
    }

    /// Interactions within `[start, end)`.
    fn held(&self, start: i64, end: i64) -> &'a [Counted] {
        let from = self.interactions.partition_point(|counted| counted.at < start);
        let to = self.interactions.partition_point(|counted| counted.at < end);
        &self.interactions[from..to]
    }

    /// How long those waited whom the brand first answered within `[start, end)`, the shortest first.
    fn delays(&self, start: i64, end: i64) -> Vec<i64> {
        let from = self.delays.partition_point(|&(answered, _)| answered < start);
        let to = self.delays.partition_point(|&(answered, _)| answered < end);
        let mut delays: Vec<i64> = self.delays[from..to].iter().map(|&(_, delay)| delay).collect();
        delays.sort_unstable();
        delays
    }

    /// When the complaints were made, within `[from, end)`, that have no response before `end`.
    fn open_complaints(&self, from: i64, end: i64) -> Vec<i64> {
        let made = self.held(from, end).iter().filter(|counted| !counted.by_brand && counted.label == "complaint");
        made.filter(|asked| self.responses.get(&asked.own).is_none_or(|at| *at >= end)).map(|asked| asked.at).collect()
    }
}

/// The counts of a row.
const FIELDS: [&str; 20] = [
    "interactions",
    "posts",
    "comments",
    "complaints",
    "tips",
    "experiences",
    "praises",
    "others",
    "abstained",
    "member_to_brand",
    "brand_to_member",
    "member_to_member",
    "brand_to_all",
    "member_to_all",
    "direction_unknown",
    "with_text",
    "with_photo",
    "with_video",
    "with_article",
    "with_unknown_media",
];

/// Mood to the power of 0.5, care to that of 0.3, exchange to that of 0.2, each with one more of everything than there is.
fn harmony(held: &[Counted], responses: usize, waiting: usize) -> Option<f64> {
    if held.is_empty() {
        return None;
    }
    let labelled = |label: &str| held.iter().filter(|counted| counted.label == label).count() as f64;
    let goodwill = labelled("praise") + labelled("tip") + 1.0;
    let mood = goodwill / (goodwill + labelled("complaint") + 1.0);
    let care = (responses as f64 + 1.0) / ((responses + waiting) as f64 + 1.0);
    let ways = ["member_to_brand", "brand_to_member", "member_to_member"];
    let numbers = ways.map(|way| held.iter().filter(|counted| counted.direction == way).count() as f64 + 1.0);
    let shares = numbers.map(|number| number / numbers.iter().sum::<f64>());
    let evenness = shares.iter().map(|share| -share * share.ln()).sum::<f64>() / 3.0_f64.ln();
    Some(mood.powf(0.5) * care.powf(0.3) * evenness.powf(0.2))
}

/// (1 - B) / 2 of the burstiness of the gaps between the slides in which the brand was in contact.
fn regularity(held: &[Counted], window: &Window, start: i64) -> Option<f64> {
    let contacts = held.iter().filter(|counted| matches!(counted.direction, "brand_to_all" | "brand_to_member"));
    let slides: BTreeSet<i64> = contacts.map(|counted| (counted.at - start).div_euclid(window.slide_ms)).collect();
    let slides: Vec<i64> = slides.into_iter().collect();
    if slides.len() < 3 {
        return None;
    }
    let gaps: Vec<f64> = slides.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let deviation = (gaps.iter().map(|gap| (gap - mean) * (gap - mean)).sum::<f64>() / gaps.len() as f64).sqrt();
    let burstiness = (deviation - mean) / (deviation + mean);
    Some((1.0 - burstiness) / 2.0)
}
