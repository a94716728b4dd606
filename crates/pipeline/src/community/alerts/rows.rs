//! Rows of the alerts topic.

use std::borrow::Cow;

use record::stage::{Outputs, Stop};
use record::{Alert, EpochMs, limits};
use rules::Community;
use rules::alerts::{AlertState, Evidence, Rule, Story, Transition, alert_id, summary_en, summary_id};

use super::{Backed, On, Silence, Told};
use crate::community::answers::complaint_reach_ms;
use crate::community::partition::Partition;
use crate::community::{CommunityStage, Shared};
use crate::encode;

/// Most links of an alert.
const LINKS_MAX: usize = 10;

impl Partition {
    /// Steps the rules of a community up to the watermark, and writes what they tell.
    pub(crate) fn step_alerts(
        &mut self,
        number: u32,
        watermark: EpochMs,
        shared: &mut Shared,
        outputs: &mut Outputs,
    ) -> Result<(), Stop> {
        let Some(community) = self.communities[number as usize].as_mut() else { return Ok(()) };
        let waiting = super::steps::Waiting {
            complaints: &community.complaints,
            overdue: &community.overdue,
            reach_ms: complaint_reach_ms(&shared.windows),
        };
        let mut told: Vec<(Transition, i64)> = Vec::new();
        community.alerts.step(&community.id, &waiting, watermark, shared, &mut |transition, oldest_open_ms| {
            told.push((transition, oldest_open_ms));
        });
        for (transition, oldest_open_ms) in told {
            self.tell(number, &transition, oldest_open_ms, shared, outputs)?;
        }
        Ok(())
    }

    /// A rule tells of a community.
    fn tell(
        &mut self,
        number: u32,
        transition: &Transition,
        oldest_open_ms: i64,
        shared: &mut Shared,
        outputs: &mut Outputs,
    ) -> Result<(), Stop> {
        let Transition { rule, started_at, at, .. } = *transition;
        let evidence = self.evidence(number, rule, started_at, at);
        let Some(community) = self.communities[number as usize].as_mut() else { return Ok(()) };
        let alerts = &mut community.alerts;
        let before = alerts.on[rule as usize].take().filter(|on| on.started_at == started_at);
        let opens = before.is_none();
        let mut on = On {
            started_at,
            told: Told::from(transition),
            oldest_open_ms,
            evidence,
            acknowledged: before.as_ref().and_then(|on| on.acknowledged.clone()),
            acknowledgements: before.as_ref().map_or(0, |on| on.acknowledgements),
        };
        if opens && let Some((at, by)) = alerts.take_acknowledgement(rule, started_at) {
            on.acknowledge(at, &by);
        }
        self.alerts_told += 1;
        // What was told is to be known after a crash, with the time that it was told at.
        self.moved = true;
        alerts.on[rule as usize] = Some(on);
        self.write_alert(number, rule, shared, outputs)
    }

    /// Writes the rows of alerts with which responders did something.
    pub(crate) fn write_touched_alerts(&mut self, shared: &mut Shared, outputs: &mut Outputs) -> Result<(), Stop> {
        for number in std::mem::take(&mut self.touched_alerts) {
            let touched = match self.communities[number as usize].as_mut() {
                Some(community) => std::mem::take(&mut community.alerts.touched),
                None => 0,
            };
            for rule in Rule::ALL.into_iter().filter(|&rule| touched >> rule as u8 & 1 == 1) {
                self.write_alert(number, rule, shared, outputs)?;
            }
        }
        Ok(())
    }

    fn write_alert(&mut self, number: u32, rule: Rule, shared: &mut Shared, outputs: &mut Outputs) -> Result<(), Stop> {
        let Some(community) = self.communities[number as usize].as_mut() else { return Ok(()) };
        community.alerts.changed |= 1 << rule as u8;
        let alerts = &community.alerts;
        let Some(on) = &alerts.on[rule as usize] else { return Ok(()) };
        let known = shared.communities.get(&community.id);
        let resolved = on.told.state == AlertState::Resolved;
        // What was over before is not silenced by what was said later.
        let silence = alerts.silenced(rule, on.told.at).filter(|silence| !resolved || silence.at <= on.told.at);
        let id = alert_id(rule, &community.id, on.started_at);
        let row = row(&id, rule, &community.id, on, known, silence);
        encode(&mut shared.encoders.alert, &row, CommunityStage::ALERTS, &id, outputs)?;
        if on.told.state == AlertState::Resolved {
            community.alerts.on[rule as usize] = None;
        }
        Ok(())
    }
}

fn row<'a>(
    id: &'a str,
    rule: Rule,
    community_id: &'a str,
    on: &'a On,
    known: &'a Community,
    silence: Option<&'a Silence>,
) -> Alert<'a> {
    let told = &on.told;
    let resolved = told.state == AlertState::Resolved;
    let state = match &on.acknowledged {
        Some(_) if !resolved => "acknowledged",
        _ => told.state.as_str(),
    };
    let evidence = on.evidence.as_ref().map(|backed| Evidence {
        distinct_authors: backed.distinct_authors as usize,
        near_duplicate_share: backed.near_duplicate_share,
        new_author_share: backed.new_author_share,
        coordinated: backed.coordinated,
    });
    let zone = known.zone_at(told.at);
    let story = Story {
        rule,
        community: if known.id == community_id && !known.name.is_empty() { &known.name } else { community_id },
        state: told.state,
        started_at: on.started_at,
        at: told.at,
        observed: told.observed,
        expected: told.expected,
        oldest_open_ms: on.oldest_open_ms,
        evidence: evidence.as_ref(),
        zone: &zone,
    };
    let backed = |of: fn(&Backed) -> f64| on.evidence.as_ref().map(of);
    let acknowledged = on.acknowledged.as_ref();
    Alert {
        id: Cow::Borrowed(id),
        rule: Cow::Borrowed(rule.as_str()),
        community_id: Cow::Borrowed(community_id),
        state: Cow::Borrowed(state),
        severity: Cow::Borrowed(told.severity.as_str()),
        started_at: on.started_at,
        updated_at: acknowledged.map_or(told.at, |(at, _)| told.at.max(if resolved { told.at } else { *at })),
        resolved_at: resolved.then_some(told.at),
        window: Cow::Borrowed(rule.window()),
        observed: told.observed,
        expected: Some(told.expected),
        score: Some(told.score),
        distinct_authors: on.evidence.as_ref().map(|backed| i64::from(backed.distinct_authors)),
        near_duplicate_share: backed(|backed| backed.near_duplicate_share),
        coordinated: on.evidence.as_ref().is_some_and(|backed| backed.coordinated),
        samples: on.evidence.iter().flat_map(|backed| &backed.samples).map(|key| Cow::Borrowed(&**key)).collect(),
        summary_id: Cow::Owned(summary_id(&story)),
        summary_en: Cow::Owned(summary_en(&story)),
        links: links(known, id, community_id),
        inhibited_by: None,
        acknowledged_by: acknowledged.map(|(_, by)| Cow::Borrowed(&**by)),
        fired_at: told.fired_at,
        acknowledged_at: acknowledged.map(|(at, _)| *at),
        silenced_by: silence.map(|silence| Cow::Borrowed(&*silence.by)),
        silenced_until: silence.map(|silence| silence.until),
        silence_reason: silence.map(|silence| Cow::Borrowed(&*silence.reason)),
        new_author_share: backed(|backed| backed.new_author_share),
        transition: i32::try_from(told.number.saturating_add(on.acknowledgements)).unwrap_or(i32::MAX),
    }
}

/// The links of a community, filled in; one that grows beyond what a link may be is left out.
fn links<'a>(known: &Community, id: &str, community_id: &str) -> Vec<Cow<'a, str>> {
    let filled = known.links.values().take(LINKS_MAX).map(|link| filled(link, id, community_id));
    filled.filter(|link| link.len() <= 2 * limits::URL_BYTES).map(Cow::Owned).collect()
}

/// A link with what it has a place for: `{alert}` and `{community}`, percent-encoded.
fn filled(link: &str, id: &str, community_id: &str) -> String {
    link.replace("{alert}", &record::encode_key(&[id])).replace("{community}", &record::encode_key(&[community_id]))
}
