//! `sinyal status --follow`: what the notifier goes by, whenever it changes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use kafka_io::{Clock, Shutdown, SystemClock};
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::report::blind_json;
use crate::cli::{OK, say};
use crate::commands::times::shown;
use crate::config::Config;
use crate::reload::LiveRules;
use crate::roles::Surroundings;
use crate::roles::notify::observer::start_observer;
use crate::roles::notify::standing::Standing;
use crate::telemetry::{Health, Metrics};

const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) fn follow(config: Config, as_json: bool) -> Result<u8> {
    let ending = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&ending))?;
        signal_hook::flag::register(signal, Arc::clone(&ending))?;
    }
    let shutdown = Shutdown::default();
    let surroundings = Surroundings {
        connection: config.kafka.connection.clone(),
        rules: LiveRules::new(&config),
        health: Health::new(Duration::from_millis(config.alive_ms)),
        config: Arc::new(config),
        clock: Arc::new(SystemClock),
        metrics: Metrics::new(),
        shutdown: shutdown.clone(),
        traces: None,
        embedded: false,
    };
    let standing: Arc<Mutex<Option<Standing>>> = Arc::default();
    let thread = start_observer(surroundings, Arc::clone(&standing))?;
    let mut said = None;
    while !ending.load(Ordering::Acquire) && !thread.is_finished() {
        let now = standing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if said.as_ref().is_none_or(|said| differs(said, &now)) {
            let at = SystemClock.now_ms();
            if as_json { say(line_json(at, now.as_ref())) } else { say(line(at, now.as_ref())) }?;
            said = Some(now);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    shutdown.request();
    thread.join().map_err(|_| anyhow::anyhow!("the observer panicked; its message stands above"))?;
    Ok(OK)
}

/// Sentences tell of times that go on: by themselves they are no change.
fn differs(before: &Option<Standing>, now: &Option<Standing>) -> bool {
    let what = |standing: &Option<Standing>| {
        standing.as_ref().map(|standing| {
            let kinds: Vec<_> = standing.blind.iter().map(|blindness| (blindness.kind, blindness.since)).collect();
            (standing.behind.is_some(), kinds)
        })
    };
    what(before) != what(now)
}

fn line_json(at: i64, standing: Option<&Standing>) -> String {
    let value = match standing.filter(|standing| !standing.is_unobserved()) {
        None => json!({ "at": at, "observed": false }),
        Some(standing) => json!({
            "at": at,
            "observed": true,
            "behind": standing.behind,
            "blind": standing.blind.iter().map(blind_json).collect::<Vec<_>>(),
        }),
    };
    value.to_string()
}

fn line(at: i64, standing: Option<&Standing>) -> String {
    let mut line = shown(at);
    let Some(standing) = standing else { return line + "  nothing is seen: no broker answers, or a topic is missing" };
    match &standing.behind {
        Some(why) => line += &format!("  behind: {why}"),
        None => line += "  caught up",
    }
    for blindness in &standing.blind {
        line += &format!("\n    {} since {}: {}", blindness.kind.as_str(), shown(blindness.since), blindness.detail_en);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::notify::standing::Blindness;

    fn standing(behind: Option<&str>, since: i64, detail: &str) -> Option<Standing> {
        let blindness = Blindness {
            kind: rules::blindness::Kind::Lag,
            since,
            detail_en: detail.to_owned(),
            detail_id: String::new(),
        };
        Some(Standing { behind: behind.map(str::to_owned), blind: vec![blindness], ..Standing::default() })
    }

    #[test]
    fn other_words_are_no_change() {
        let before = standing(Some("by 7"), 1, "7");
        assert!(!differs(&before, &standing(Some("by 8"), 1, "8")));
        assert!(differs(&before, &standing(None, 1, "7")));
        assert!(differs(&before, &standing(Some("by 7"), 2, "7")));
        assert!(differs(&before, &None));
    }

    #[test]
    fn a_line_tells_all() {
        assert!(line(0, None).ends_with("nothing is seen: no broker answers, or a topic is missing"));
        let text = line(0, standing(Some("by 7"), 0, "too slow").as_ref());
        assert!(text.contains("behind: by 7\n    lag since ") && text.ends_with(": too slow"), "{text}");
        assert_eq!(line_json(5, None), r#"{"at":5,"observed":false}"#);
    }
}
