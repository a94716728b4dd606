//! The deep tier as the classify stage's second opinion.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use deep::{Settings, Standing, Transformer, Workers};
use pipeline::classify::{Cascade, Probabilities, SecondOpinion};

use crate::config::Deep;

/// A worker whose model failed tries again after this time.
const REST: Duration = Duration::from_secs(5);

/// Most bytes of a batch with its padding: about 110 pieces, or 30 ms of a core that computes in bf16. What takes longer would more
/// often come too late, and all of its batch with it.
const BATCH_BYTES: usize = 400;

/// How the workers stand, for whoever looks at it from another thread.
pub(crate) type Watched = Arc<Workers>;

/// Starts the workers; they load their models while the role starts.
///
/// # Errors
/// If the model's files do not fit together, or the system gives no thread.
pub(crate) fn start(settings: &Deep) -> Result<(Cascade, Watched)> {
    let model_version = Transformer::version().context("the deep tier")?;
    let workers = Settings {
        threads: settings.threads,
        batch: settings.batch,
        batch_bytes: BATCH_BYTES,
        queue: settings.queue,
        rest: REST,
    };
    let workers = Workers::start(workers, || Transformer::embedded().map_err(|error| error.to_string()))
        .context("the deep tier gets no thread")?;
    let workers = Arc::new(workers);
    let opinion = Bounded {
        workers: Arc::clone(&workers),
        model_version,
        wait: Duration::from_millis(settings.wait_ms),
        waited_until: Instant::now(),
    };
    let thresholds = settings.threshold.map_or(Transformer::THRESHOLDS, |threshold| [threshold; 5]);
    let cascade = Cascade {
        opinion: Box::new(opinion),
        ask_below: settings.ask_below,
        share_max: settings.share_max,
        thresholds,
    };
    Ok((cascade, workers))
}

/// Workers that are waited for in bounded time: no longer than configured, and no longer than was worked since the last wait.
struct Bounded {
    workers: Watched,
    model_version: String,
    wait: Duration,
    waited_until: Instant,
}

impl fmt::Debug for Bounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounded").field("workers", &self.workers).field("wait", &self.wait).finish_non_exhaustive()
    }
}

impl SecondOpinion for Bounded {
    fn model_version(&self) -> &str {
        &self.model_version
    }

    fn submit(&mut self, ticket: u32, text: &str, urgency: u32) -> bool {
        self.workers.submit(ticket, text, urgency)
    }

    fn collect(&mut self, see: &mut dyn FnMut(u32, Probabilities)) {
        let wait = self.wait.min(self.waited_until.elapsed());
        self.workers.collect(Instant::now() + wait, see);
        self.waited_until = Instant::now();
    }

    fn forget(&mut self) {
        self.workers.collect(Instant::now(), &mut |_, _| {});
    }
}

/// Takes in how the workers stand.
pub(crate) fn show(metrics: &crate::telemetry::Metrics, standing: Standing) {
    metrics.deep(
        standing.ready,
        [
            ("judged", standing.judged),
            ("unanswered", standing.unanswered),
            ("turned_away", standing.turned_away),
            ("failures", standing.failures),
        ],
    );
}
