//! What Alertmanager is told, by its API v2 (`POST /api/v2/alerts`).

use record::EpochMs;
use serde_json::{Map, Value, json};

use super::board::Due;
use super::row::{BLIND, Row, State};
use super::webhook::rfc_3339;
use crate::config::Notify;

/// Most alerts of one request.
pub(super) const BATCH_MAX: usize = 64;
/// Longest value of an annotation, in bytes.
const ANNOTATION_BYTES_MAX: usize = 1_024;
/// Most samples and links that are told.
const LISTED_MAX: usize = 10;
/// After how many times the interval at which it is told again an alert is taken for over.
const EXPIRES_TIMES: i64 = 10;

/// The body for these alerts, by what is configured.
pub(super) fn body(due: &[Due], notify: &Notify, now: EpochMs) -> Vec<u8> {
    let mut alerts = Vec::with_capacity(due.len());
    for Due { row, before, inhibited_by, .. } in due {
        let severity = row.alert.severity.as_ref();
        let mut labels = labels(row, severity, row.alert.coordinated);
        if let Some(before) = before.as_ref().filter(|before| before.state.is_on()) {
            let known = self::labels(row, &before.severity, before.coordinated);
            if known != labels && row.state == State::Resolved {
                // What is over is what it was known as.
                labels = known;
            } else if known != labels {
                // With other labels it would be another alert: the one that it was known as ends.
                alerts.push(alert(row, known, None, now, notify, true));
            }
        }
        alerts.push(alert(row, labels, inhibited_by.as_deref(), now, notify, false));
    }
    Value::Array(alerts).to_string().into_bytes()
}

fn alert(
    row: &Row,
    labels: Map<String, Value>,
    inhibited_by: Option<&str>,
    now: EpochMs,
    notify: &Notify,
    ends_now: bool,
) -> Value {
    let begins = row.alert.fired_at.unwrap_or(row.alert.started_at).min(now);
    let ends = match row.state {
        State::Resolved => row.alert.resolved_at.unwrap_or(now).clamp(begins, now),
        _ if ends_now => now,
        _ => now + notify.resend_ms * EXPIRES_TIMES,
    };
    let mut told = json!({
        "labels": labels,
        "annotations": annotations(row, inhibited_by, &notify.runbook_base),
        "startsAt": rfc_3339(begins),
        "endsAt": rfc_3339(ends),
    });
    if let Some(link) = row.alert.links.iter().find(|link| is_link(link)) {
        told["generatorURL"] = link.as_ref().into();
    }
    told
}

/// What an alert is known by: the same for all of its life, unless its severity changes or it turns out to be coordinated.
fn labels(row: &Row, severity: &str, coordinated: bool) -> Map<String, Value> {
    let mut labels = Map::new();
    let alert = &row.alert;
    labels.insert("alertname".to_owned(), alert_name(&alert.rule).into());
    labels.insert("rule".to_owned(), alert.rule.as_ref().into());
    labels.insert("severity".to_owned(), severity.into());
    if alert.rule == BLIND {
        labels.insert("kind".to_owned(), alert.id.split('|').nth(1).unwrap_or_default().into());
    } else {
        labels.insert("community".to_owned(), alert.community_id.as_ref().into());
        labels.insert("coordinated".to_owned(), coordinated.to_string().into());
    }
    labels
}

/// `complaint_spike` is `SinyalComplaintSpike`.
fn alert_name(rule: &str) -> String {
    let mut name = "Sinyal".to_owned();
    for word in rule.split(|letter: char| !letter.is_ascii_alphanumeric()) {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name
}

fn annotations(row: &Row, inhibited_by: Option<&str>, runbook_base: &str) -> Map<String, Value> {
    let alert = &row.alert;
    let number = |value: f64| format!("{value:.3}").trim_end_matches('0').trim_end_matches('.').to_owned();
    let list = |items: &[std::borrow::Cow<'_, str>]| {
        items.iter().take(LISTED_MAX).map(AsRef::as_ref).collect::<Vec<&str>>().join(" ")
    };
    let mut annotations = Map::new();
    let mut annotate = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            annotations.insert(name.to_owned(), cut(value).into());
        }
    };
    annotate("summary", Some(alert.summary_en.to_string()));
    annotate("summary_id", Some(alert.summary_id.to_string()));
    annotate("alert_id", Some(alert.id.to_string()));
    annotate("notification_id", Some(row.notification_id()));
    annotate("state", Some(row.state.as_str().to_owned()));
    annotate("window", Some(alert.window.to_string()));
    annotate("observed", Some(number(alert.observed)));
    annotate("expected", alert.expected.map(number));
    annotate("score", alert.score.map(number));
    annotate("distinct_authors", alert.distinct_authors.map(|count| count.to_string()));
    annotate("near_duplicate_share", alert.near_duplicate_share.map(number));
    annotate("new_author_share", alert.new_author_share.map(number));
    annotate("samples", Some(list(&alert.samples)));
    annotate("links", Some(list(&alert.links)));
    annotate("acknowledged_by", alert.acknowledged_by.as_deref().map(str::to_owned));
    annotate("inhibited_by", inhibited_by.map(str::to_owned));
    let page = || format!("{runbook_base}/{}.html", alert.rule);
    annotate("runbook_url", (!runbook_base.is_empty()).then(page));
    annotations
}

fn is_link(link: &str) -> bool {
    let uri: Option<ureq::http::Uri> = link.parse().ok();
    uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
}

/// Cut at a character's end.
fn cut(mut value: String) -> String {
    if value.len() > ANNOTATION_BYTES_MAX {
        let end = (0..=ANNOTATION_BYTES_MAX - 3).rev().find(|&end| value.is_char_boundary(end));
        value.truncate(end.unwrap_or(0));
        value.push('…');
    }
    value
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::Config;
    use crate::roles::notify::board::tests::row;
    use crate::roles::notify::row::Told;

    fn due(row: Row, before: Option<(&str, bool)>) -> Due {
        let before = before.map(|(severity, coordinated)| Told {
            transition: 1,
            state: State::Firing,
            delivered: true,
            severity: severity.to_owned(),
            coordinated,
            at: 0,
        });
        Due { row: Arc::new(row), may_be_repeat: false, before, inhibited_by: None }
    }

    fn told(due: Due, now: EpochMs) -> Vec<Value> {
        let base = ("SINYAL__NOTIFY__RUNBOOK_BASE".to_owned(), "https://docs.example/runbooks/".to_owned());
        let notify = Config::load(None, [base]).unwrap().notify;
        serde_json::from_slice(&body(&[due], &notify, now)).unwrap()
    }

    #[test]
    fn what_is_on_ends_later_and_what_is_over_when_it_ended() {
        let on = told(due(row("a", State::Firing, 2, 1_000), None), 5_000);
        assert_eq!(on.len(), 1);
        assert_eq!(on[0]["startsAt"], "1970-01-01T00:00:01Z");
        assert_eq!(on[0]["endsAt"], "1970-01-01T00:10:05Z");
        assert_eq!(on[0]["labels"]["alertname"], "SinyalComplaintSpike");
        assert_eq!(on[0]["labels"]["community"], "warga");
        assert_eq!(on[0]["annotations"]["notification_id"], "complaint_spike|warga|a#2");
        assert_eq!(on[0]["annotations"]["runbook_url"], "https://docs.example/runbooks/complaint_spike.html");
        let mut over = row("a", State::Resolved, 3, 4_000);
        over.alert.severity = "critical".into();
        let over = told(due(over, Some(("warning", false))), 5_000);
        assert_eq!(over.len(), 1);
        assert_eq!(over[0]["endsAt"], "1970-01-01T00:00:04Z");
        assert_eq!(over[0]["labels"]["severity"], "warning", "as it was known");
    }

    #[test]
    fn with_other_labels_the_one_before_ends() {
        let mut worse = row("a", State::Firing, 2, 1_000);
        worse.alert.severity = "critical".into();
        let both = told(due(worse, Some(("warning", false))), 5_000);
        assert_eq!(both.len(), 2);
        assert_eq!(
            (&both[0]["labels"]["severity"], &both[0]["endsAt"]),
            (&"warning".into(), &"1970-01-01T00:00:05Z".into())
        );
        assert_eq!(
            (&both[1]["labels"]["severity"], &both[1]["endsAt"]),
            (&"critical".into(), &"1970-01-01T00:10:05Z".into())
        );
    }

    #[test]
    fn only_a_link_is_a_generator_url_and_annotations_are_bounded() {
        let mut linked = row("a", State::Firing, 2, 1_000);
        linked.alert.links = vec!["not a link".into(), "https://b.example/?c=1".into()];
        linked.alert.summary_en = "é".repeat(2_000).into();
        let told = told(due(linked, None), 5_000);
        assert_eq!(told[0]["generatorURL"], "https://b.example/?c=1");
        assert!(told[0]["annotations"]["summary"].as_str().unwrap().len() <= ANNOTATION_BYTES_MAX);
    }
}
