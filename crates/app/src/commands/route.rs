//! `sinyal route`: which rule a text would take, and why not the others.

use std::fmt::Write;

use anyhow::Result;
use classify::{Classifier, Decision};
use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;
use kafka_io::{Clock, SystemClock};
use record::limits::ID_BYTES;
use record::{ContentKind, ContentKinds, Direction, EpochMs, Role};
use rules::{Routable, Routed, Sla, SlaClock};
use serde_json::{Value, json};

use crate::cli::{OK, say};
use crate::config::Config;
use crate::telemetry::start_logging;

/// Arguments of `sinyal route`.
#[derive(Debug, clap::Args)]
pub(crate) struct RouteArgs {
    /// The text. The fast tier decides on it.
    #[arg(long)]
    text: String,
    /// The community, by id; without it one that is not listed.
    #[arg(long, default_value = "", hide_default_value = true, value_parser = community)]
    community: String,
    /// Who says it: member, brand, moderator or unknown.
    #[arg(long, default_value = "member", value_parser = |name: &str| named(name, &ROLES))]
    role: Role,
    /// From whom to whom: member_to_brand, brand_to_member, member_to_member, brand_to_all, member_to_all or unknown.
    #[arg(long, default_value = "member_to_all", value_parser = |name: &str| named(name, &Direction::ALL.map(|one| (one.as_str(), one))))]
    direction: Direction,
    /// What it holds beside the text, by commas: photo, video, article or unknown.
    #[arg(long, value_delimiter = ',', value_parser = |name: &str| named(name, &ContentKind::ALL.map(|one| (one.as_str(), one))))]
    content: Vec<ContentKind>,
    /// When it was written, for the deadline, e.g. 2026-11-27T16:00:00+07:00; now if it is left out.
    #[arg(long, value_parser = time)]
    at: Option<EpochMs>,
    /// One JSON object instead of words.
    #[arg(long)]
    json: bool,
}

const ROLES: [(&str, Role); 4] = [
    (Role::Member.as_str(), Role::Member),
    (Role::Brand.as_str(), Role::Brand),
    (Role::Moderator.as_str(), Role::Moderator),
    (Role::Unknown.as_str(), Role::Unknown),
];

fn named<T: Copy>(name: &str, all: &[(&str, T)]) -> Result<T, String> {
    all.iter().find(|(one, _)| *one == name).map(|&(_, value)| value).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|&(name, _)| name).collect();
        format!("one of {} is right", names.join(", "))
    })
}

fn community(id: &str) -> Result<String, String> {
    if id.len() > ID_BYTES { Err(format!("at most {ID_BYTES} bytes is right")) } else { Ok(id.to_owned()) }
}

fn time(text: &str) -> Result<EpochMs, String> {
    let time: Result<Timestamp, _> = text.parse();
    time.map(Timestamp::as_millisecond).map_err(|_| "a time such as 2026-11-27T16:00:00+07:00 is right".to_owned())
}

/// What one rule says.
struct Said {
    rule: String,
    queue: String,
    against: Vec<String>,
}

/// When an answer is due, and by what.
struct Due {
    at: EpochMs,
    sla: Sla,
    time_zone: String,
}

/// Where a text goes, and why.
struct Report {
    decision: Decision,
    /// The queue, the department, and why; or why none.
    queue: Option<(String, String)>,
    reason: String,
    rule: Option<String>,
    due_at: Option<Due>,
    rules: Vec<Said>,
}

pub(crate) fn run(args: &RouteArgs, config: &Config) -> Result<u8> {
    start_logging("warn", "auto")?;
    let report = route(args, config, SystemClock.now_ms());
    if args.json {
        say(report.json())?;
    } else {
        say(report.words().trim_end())?;
    }
    Ok(OK)
}

fn route(args: &RouteArgs, config: &Config, now: EpochMs) -> Report {
    let mut classifier = Classifier::embedded();
    if let Some(threshold) = config.classify.threshold {
        classifier = classifier.with_threshold(threshold);
    }
    let (decision, _) = classifier.judge(&args.text);
    let mut content_kinds: ContentKinds =
        args.content.iter().copied().filter(|&kind| kind != ContentKind::Text).collect();
    if !args.text.trim().is_empty() {
        content_kinds.insert(ContentKind::Text);
    }
    let routable = Routable {
        label: decision.label,
        confidence: decision.confidence,
        abstained: decision.abstained,
        language: decision.language,
        community_id: &args.community,
        direction: args.direction,
        content_kinds,
        author_role: args.role,
        deleted: false,
    };
    let community = config.communities.get(&args.community);
    let verdicts = config.routing.verdicts(&routable);
    let first = verdicts.iter().find(|verdict| verdict.against.is_empty()).filter(|_| routable.is_queued());
    let (queue, reason, due_at) = match config.routing.route(&routable) {
        Routed::Queue(route) => {
            let created_at = args.at.unwrap_or(now);
            let due_at = route.sla.map(|sla| Due {
                at: community.due_at(created_at, sla),
                sla,
                time_zone: community.time_zone.clone(),
            });
            let queue = (route.queue.spec.name.clone(), route.department(community).to_owned());
            (Some(queue), route.reason().to_owned(), due_at)
        }
        Routed::Unqueued => {
            let reason = match first {
                Some(verdict) => verdict.rule.reason().to_owned(),
                None if !routable.is_queued() => {
                    "the brand's own words are not queued, whatever the rules say".to_owned()
                }
                None => format!("no queue takes label {}", decision.label.as_str()),
            };
            (None, reason, None)
        }
    };
    let rule = first.map(|verdict| verdict.rule.spec().name.clone());
    let rules = verdicts.iter().map(|verdict| Said {
        rule: verdict.rule.spec().name.clone(),
        queue: verdict.rule.spec().queue.clone(),
        against: verdict.against.clone(),
    });
    let rules = rules.collect();
    Report { decision, queue, reason, rule, due_at, rules }
}

impl Report {
    fn words(&self) -> String {
        let Decision { label, confidence, abstained, language, .. } = &self.decision;
        let mut out = String::new();
        // Writing to a String cannot fail.
        let mut line = |name: &str, text: String| {
            let _ = writeln!(out, "{name:<10} {text}");
        };
        let doubt = if *abstained { ", which is not sure enough" } else { "" };
        line("label", format!("{}, {:.0} % sure{doubt}, in {}", label.as_str(), confidence * 100.0, language.as_str()));
        line("goes to", self.queue.as_ref().map_or("no queue".to_owned(), |(queue, by)| format!("{queue} ({by})")));
        line("because", self.reason.clone());
        if let Some(Due { at, sla, time_zone }) = &self.due_at {
            let hours = match sla.clock() {
                SlaClock::Always => "",
                SlaClock::Business => " of business hours",
            };
            line("due", format!("{}, {} minutes{hours} later", shown(*at, time_zone), sla.minutes()));
        }
        let mut taken = false;
        for (number, said) in self.rules.iter().enumerate() {
            let matches = said.against.is_empty();
            let verdict = match (matches, self.rule.as_ref() == Some(&said.rule), taken) {
                (false, _, _) => format!("no: {}", said.against.join("; ")),
                (true, true, _) => format!("yes, to {}", said.queue),
                (true, false, true) => "would match, but one before it does".to_owned(),
                (true, false, false) => "would match, but what the brand says is not queued".to_owned(),
            };
            taken |= matches && self.rule.is_some();
            line(&format!("rule {number}"), format!("{:?}: {verdict}", said.rule));
        }
        out
    }

    fn json(&self) -> Value {
        let Decision { label, confidence, abstained, language, .. } = &self.decision;
        let rules = self.rules.iter().map(|said| {
            json!({
                "rule": said.rule, "queue": said.queue, "matches": said.against.is_empty(), "against": said.against,
            })
        });
        json!({
            "label": label.as_str(),
            "confidence": confidence,
            "abstained": abstained,
            "language": language.as_str(),
            "queue": self.queue.as_ref().map(|(queue, _)| queue),
            "department": self.queue.as_ref().map(|(_, department)| department),
            "rule": self.rule,
            "reason": self.reason,
            "due_at": self.due_at.as_ref().map(|due| due.at),
            "rules": rules.collect::<Vec<Value>>(),
        })
    }
}

/// A time by the clock on the wall there.
fn shown(time: EpochMs, time_zone: &str) -> String {
    let zone = TimeZoneDatabase::bundled().get(time_zone);
    match (Timestamp::from_millisecond(time), zone) {
        (Ok(time), Ok(zone)) => format!("{} {time_zone}", time.to_zoned(zone).strftime("%Y-%m-%d %H:%M")),
        _ => time.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        args: RouteArgs,
    }

    const CONFIG: &str = "[deep]\ntier = \"off\"\n\
        [[routes]]\nname = \"jawa\"\nlanguage = \"jv\"\nqueue = \"tip\"\n\
        [[routes]]\nname = \"depok\"\ncommunity = \"depok\"\nqueue = \"review\"\ndepartment = \"depok desk\"\n\
        sla_minutes = 120\nsla_clock = \"business\"\n\
        [[routes]]\nname = \"rest\"\nlabel = \"complaint\"\nqueue = \"none\"\n";

    fn report(arguments: &[&str]) -> Report {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), CONFIG).unwrap();
        let config = Config::load(Some(file.path()), []).unwrap();
        let text = ["sinyal", "--text", "Kecewa berat, paketnya rusak dan CS tidak membalas"];
        let typed = Typed::parse_from(text.iter().chain(arguments));
        // Friday 16:00 in Jakarta.
        route(&typed.args, &config, 1_795_770_000_000)
    }

    #[test]
    fn the_rule_that_is_taken_and_why_not_the_others() {
        let report = report(&["--community", "depok"]);
        let words = report.words();
        for part in [
            "goes to    review (depok desk)",
            "because    rule \"depok\" matches: community depok; it sends to queue review",
            "due        2026-11-30 09:00 Asia/Jakarta, 120 minutes of business hours later",
            "rule 0     \"jawa\": no: language is id; it wants jv",
            "rule 1     \"depok\": yes, to review",
            "rule 2     \"rest\": would match, but one before it does",
        ] {
            assert!(words.contains(part), "{part}: {words}");
        }
        let json = report.json();
        assert_eq!(
            (&json["rule"], &json["queue"], &json["due_at"]),
            (&json!("depok"), &json!("review"), &json!(1_796_004_000_000_i64))
        );
        assert_eq!(json["rules"][0]["against"], json!(["language is id; it wants jv"]));
    }

    #[test]
    fn what_is_not_queued_says_why() {
        let none = report(&[]);
        assert_eq!((none.queue.as_ref(), none.rule.as_deref()), (None, Some("rest")));
        assert!(none.words().contains("it queues nothing"), "{}", none.words());
        let brand = report(&["--role", "brand", "--community", "depok"]);
        assert!(brand.queue.is_none() && brand.rule.is_none());
        let words = brand.words();
        assert!(words.contains("the brand's own words are not queued"), "{words}");
        assert!(words.contains("would match, but what the brand says is not queued"), "{words}");
    }

    #[test]
    fn a_wrong_name_is_told_with_the_right_ones() {
        let error = Typed::try_parse_from(["sinyal", "--text", "a", "--direction", "up"]).unwrap_err().to_string();
        assert!(error.contains("one of member_to_brand, brand_to_member"), "{error}");
    }
}
