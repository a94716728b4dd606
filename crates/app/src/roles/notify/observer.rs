//! Watches the pipeline from outside: a thread that looks every few seconds at what Kafka tells of it, and says how it stands.
//!
//! What it says is taken back when it is old: while no broker answers, nobody is told that all is well, nor that it is not.

mod arrivals;
mod canaries;
mod groups;
mod history;
mod letters;
mod look;
mod tail;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rules::blindness::{Kind, Verdict};

use super::standing::{Blindness, Standing};
use crate::roles::Surroundings;
use crate::telemetry::Metrics;

pub(crate) use canaries::Came;
pub(crate) use groups::InputLag;
pub(crate) use history::History;
pub(crate) use look::{Look, LookError};

/// How much of the history of raw topics is asked for at each look: it takes some minutes, and burdens brokers little.
const HISTORY_ASKS_PER_LOOK: usize = 50;
/// And no longer than this.
const HISTORY_TIME_PER_LOOK: Duration = Duration::from_secs(2);
/// After so many looks in vain in a row all clients are made anew.
const FAILURES_MAX: u32 = 6;
/// How often to see whether the end is asked for.
const TURN: Duration = Duration::from_millis(50);

/// Starts the thread. `standing` is empty until it has looked, while no broker answers, and once it has ended: nothing is known
/// then, and whoever reads it must take the pipeline for one that is behind. Where nothing was seen for longer than it may be, that
/// itself is what it says.
///
/// # Errors
/// If there is no thread to be had.
pub(crate) fn start_observer(
    surroundings: Surroundings,
    standing: Arc<Mutex<Option<Standing>>>,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("observer".to_owned())
        .spawn(move || Observer { surroundings, standing, told: AtomicBool::new(false) }.run())
}

struct Observer {
    surroundings: Surroundings,
    standing: Arc<Mutex<Option<Standing>>>,
    /// True once a failure was told, until a look succeeds.
    told: AtomicBool,
}

/// Whatever ends the thread, nothing that it said lasts.
impl Drop for Observer {
    fn drop(&mut self) {
        self.say(None);
    }
}

impl Observer {
    fn run(&self) {
        let settings = &self.surroundings.config.blindness;
        let interval = Duration::from_millis(settings.interval_ms);
        let trusted = Duration::from_millis(settings.judged.gap_ms_max.unsigned_abs());
        let mut watching: Option<(Look, History)> = None;
        let mut blind_since: Option<record::EpochMs> = None;
        let (mut failures, mut seen_at) = (0, Instant::now());
        while !self.surroundings.shutdown.is_requested() {
            let began = Instant::now();
            match self.look(&mut watching) {
                Ok(verdict) => {
                    (failures, seen_at, blind_since) = (0, Instant::now(), None);
                    if self.told.swap(false, Ordering::Relaxed) {
                        tracing::info!("the pipeline is seen again");
                    }
                    self.say(Some(standing_of(&verdict)));
                    // What is known is said first: history takes its time.
                    if let Some((look, history)) = &mut watching {
                        let (fresh, seen) = look.take_canaries();
                        self.surroundings.metrics.canaries(&fresh, &seen);
                        look.learn(history, HISTORY_ASKS_PER_LOOK, HISTORY_TIME_PER_LOOK);
                    }
                }
                Err(error) => {
                    failures += 1;
                    if !self.told.swap(true, Ordering::Relaxed) {
                        tracing::warn!(%error, "the pipeline cannot be looked at; trying again");
                    }
                    if seen_at.elapsed() >= trusted {
                        let now = self.surroundings.clock.now_ms();
                        let elapsed = i64::try_from(seen_at.elapsed().as_millis()).unwrap_or(0);
                        let since = *blind_since.get_or_insert(now - elapsed);
                        self.say(Some(unobserved(since, &error)));
                    }
                    // What was learned is learned again; a client that has lost its way never answers.
                    if failures % FAILURES_MAX == 0 {
                        watching = None;
                    }
                }
            }
            while began.elapsed() < interval && !self.surroundings.shutdown.is_requested() {
                std::thread::sleep(TURN);
            }
        }
    }

    fn look(&self, watching: &mut Option<(Look, History)>) -> Result<Verdict, LookError> {
        let Surroundings { config, connection, clock, .. } = &self.surroundings;
        let (look, _) = match watching {
            Some(watching) => watching,
            None => {
                let now = clock.now_ms();
                let look = Look::open(config, connection, config.blindness.judged.clone(), now)?;
                watching.insert((look, History::whole(now)))
            }
        };
        look.observe(clock.now_ms())
    }

    fn say(&self, standing: Option<Standing>) {
        self.surroundings.metrics.standing(standing.as_ref());
        // A reader that panicked has nothing to do with what stands there.
        let mut said = self.standing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(standing) = &standing {
            tell_changes(said.as_ref(), standing);
        }
        *said = standing;
    }
}

/// What changed is a line in the log.
fn tell_changes(before: Option<&Standing>, now: &Standing) {
    let had = |kind| before.is_some_and(|before| before.blind.iter().any(|blindness| blindness.kind == kind));
    for blindness in now.blind.iter().filter(|blindness| !had(blindness.kind)) {
        tracing::warn!(kind = blindness.kind.as_str(), detail = blindness.detail_en, "the pipeline is blind");
    }
    let over = before.iter().flat_map(|before| &before.blind);
    for blindness in over.filter(|before| !now.blind.iter().any(|now| now.kind == before.kind)) {
        tracing::info!(kind = blindness.kind.as_str(), "the pipeline sees again");
    }
    match (before.map(|before| before.behind.is_some()), &now.behind) {
        (None | Some(false), Some(why)) => tracing::info!(why, "the pipeline is behind"),
        (None | Some(true), None) => tracing::info!("the pipeline has caught up"),
        _ => {}
    }
}

/// A verdict as the notifier reads it.
pub(crate) fn standing_of(verdict: &Verdict) -> Standing {
    let blindness = verdict.blind.iter().map(|condition| Blindness {
        kind: condition.kind,
        since: condition.since,
        detail_en: condition.detail_en.clone(),
        detail_id: condition.detail_id.clone(),
    });
    Standing {
        behind: verdict.behind.clone(),
        lags: verdict.lags,
        settled: verdict.settled,
        blind: blindness.collect(),
    }
}

/// Nothing was seen since then: what else there is nobody knows, and nothing of it is over.
fn unobserved(since: record::EpochMs, why: &LookError) -> Standing {
    let blindness = Blindness {
        kind: Kind::Unobserved,
        since,
        detail_en: format!("Nobody sees how the pipeline stands: {why}. Do brokers answer, and is every topic there?"),
        detail_id: format!(
            "Tidak terlihat bagaimana keadaan pipeline: {why}. Apakah broker menjawab, dan semua topik ada?"
        ),
    };
    let behind = format!("it cannot be looked at: {why}");
    Standing { behind: Some(behind), lags: false, settled: false, blind: vec![blindness] }
}

impl Metrics {
    /// Shows how long canaries took, and when the last round was sent that came through everywhere.
    fn canaries(&self, fresh: &[Came], seen: &std::collections::BTreeMap<rules::blindness::At, record::EpochMs>) {
        for came in fresh {
            self.canary_took(record::StageName::Classify, came.classified_ms);
            self.canary_took(record::StageName::Community, came.counted_ms);
        }
        self.canaries_seen(seen.iter().map(|(at, sent_at)| (&*at.topic, at.partition, *sent_at)));
    }

    /// Shows how the pipeline stands; what is not known counts as behind.
    fn standing(&self, standing: Option<&Standing>) {
        let is_seen = standing.is_some_and(|standing| !standing.is_unobserved());
        let holds = |kind| {
            let holds = standing.map(|standing| standing.blind.iter().any(|blindness| blindness.kind == kind));
            holds.filter(|_| is_seen || kind == Kind::Unobserved)
        };
        let blind = Kind::ALL.map(|kind| (kind.as_str(), holds(kind)));
        self.observed(standing.is_none_or(|standing| standing.behind.is_some()), &blind);
    }
}

#[cfg(test)]
mod tests {
    use kafka_io::{Shutdown, SystemClock};

    use super::*;
    use crate::config::Config;
    use crate::telemetry::Health;

    fn surroundings() -> Surroundings {
        let short = [("SINYAL__KAFKA__BOOTSTRAP", "127.0.0.1:1"), ("SINYAL__BLINDNESS__INTERVAL_MS", "500")];
        let config = Config::load(None, short.map(|(key, value)| (key.to_owned(), value.to_owned()))).unwrap();
        Surroundings {
            connection: config.kafka.connection.clone(),
            rules: crate::reload::LiveRules::new(&config),
            config: Arc::new(config),
            clock: Arc::new(SystemClock),
            health: Health::new(Duration::from_secs(30)),
            metrics: Metrics::new(),
            shutdown: Shutdown::default(),
            traces: None,
            embedded: false,
        }
    }

    fn observer() -> Observer {
        Observer { surroundings: surroundings(), standing: Arc::default(), told: AtomicBool::new(false) }
    }

    #[test]
    fn what_it_said_does_not_outlast_it_and_is_shown() {
        let observer = observer();
        let (standing, metrics) = (Arc::clone(&observer.standing), observer.surroundings.metrics.clone());
        let condition = rules::blindness::Condition {
            kind: Kind::Lag,
            since: 7,
            detail_en: "en".to_owned(),
            detail_id: "id".to_owned(),
        };
        let verdict = Verdict { blind: vec![condition], ..Verdict::default() };
        observer.say(Some(standing_of(&verdict)));
        let said = standing.lock().unwrap().clone().unwrap();
        assert_eq!((said.behind, said.blind[0].kind, said.blind[0].since), (None, Kind::Lag, 7));
        let text = metrics.text();
        assert!(
            text.contains("sinyal_blind{kind=\"lag\"} 1") && text.contains("sinyal_blind{kind=\"late\"} 0"),
            "{text}"
        );
        assert!(text.contains("sinyal_behind 0"), "{text}");
        drop(observer);
        assert_eq!(*standing.lock().unwrap(), None);
        let text = metrics.text();
        assert!(text.contains("sinyal_behind 1") && !text.contains("sinyal_blind{"), "{text}");
    }

    #[test]
    fn that_nothing_is_seen_is_told_and_nothing_else_is_over_by_it() {
        let observer = observer();
        let error = LookError::Missing { topic: "raw".to_owned(), bootstrap: "b".to_owned() };
        observer.say(Some(unobserved(7, &error)));
        let said = observer.standing.lock().unwrap().clone().unwrap();
        assert!(said.behind.as_ref().unwrap().contains("topic raw is missing") && !said.settled && !said.lags);
        assert_eq!((said.blind[0].kind, said.blind[0].since), (Kind::Unobserved, 7));
        let text = observer.surroundings.metrics.text();
        assert!(text.contains("sinyal_blind{kind=\"unobserved\"} 1"), "{text}");
        assert!(!text.contains("sinyal_blind{kind=\"lag\"}"), "of the others nothing is known: {text}");
    }

    #[test]
    fn without_a_broker_nothing_is_known_and_it_ends_when_asked() {
        let surroundings = surroundings();
        let (standing, shutdown) = (Arc::default(), surroundings.shutdown.clone());
        let thread = start_observer(surroundings, Arc::clone(&standing)).unwrap();
        shutdown.request();
        thread.join().unwrap();
        assert_eq!(*standing.lock().unwrap(), None);
    }
}
