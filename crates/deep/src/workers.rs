//! Worker threads around a model: micro-batches, a bounded queue, a bounded wait, and what becomes of a worker that fails.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{Model, Probabilities};

/// How the workers work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Threads, each with a model of its own.
    pub threads: usize,
    /// Most texts that are judged at once.
    pub batch: usize,
    /// Most texts that wait for a worker.
    pub queue: usize,
    /// How long a worker that failed waits before it makes its model anew.
    pub rest: Duration,
}

/// How the workers stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Workers that have a model and can judge.
    pub ready: usize,
    /// Texts judged since the start.
    pub judged: u64,
    /// Texts of which the answer did not come in time, or at all.
    pub unanswered: u64,
    /// How often a model failed, or could not be made.
    pub failures: u64,
}

/// One text on its way: the place of its answer among those of its question.
struct Asked {
    text: String,
    place: usize,
    until: Instant,
    answer: Sender<(usize, Probabilities)>,
}

struct Shared {
    waiting: Mutex<Waiting>,
    news: Condvar,
    ready: AtomicUsize,
    judged: AtomicU64,
    failures: AtomicU64,
    settings: Settings,
}

#[derive(Default)]
struct Waiting {
    asked: VecDeque<Asked>,
    ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // What is guarded is a queue: a thread that panicked with it has left it whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Threads that judge. They end when this is dropped, each after the batch that it is at.
pub struct Workers {
    shared: Arc<Shared>,
    unanswered: u64,
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workers").field("standing", &self.standing()).finish_non_exhaustive()
    }
}

impl Workers {
    /// Starts the threads; each makes its model by `make`, and again after it failed.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start<M: Model>(
        settings: Settings,
        make: impl Fn() -> Result<M, String> + Send + Sync + 'static,
    ) -> std::io::Result<Workers> {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            news: Condvar::new(),
            ready: AtomicUsize::new(0),
            judged: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            settings,
        });
        let make = Arc::new(make);
        let workers = Workers { shared: Arc::clone(&shared), unanswered: 0 };
        for number in 0..settings.threads {
            let (shared, make) = (Arc::clone(&shared), Arc::clone(&make));
            std::thread::Builder::new().name(format!("deep-{number}")).spawn(move || work(&shared, &*make))?;
        }
        Ok(workers)
    }

    /// How many texts may be asked now without one being turned away; 0 while no worker has a model.
    pub fn room(&self) -> usize {
        if self.shared.ready.load(Ordering::Acquire) == 0 {
            return 0;
        }
        self.shared.settings.queue.saturating_sub(self.shared.lock().asked.len())
    }

    /// Asks for each text and waits for the answers, at most until `until`; what has not come by then, or was turned away
    /// because the queue was full, is `None`. The first texts are judged first.
    pub fn ask(&mut self, texts: impl IntoIterator<Item = String>, until: Instant) -> Vec<Option<Probabilities>> {
        let (send, receive) = channel();
        let mut answers = Vec::new();
        let mut expected = 0;
        {
            let mut waiting = self.shared.lock();
            let able = self.shared.ready.load(Ordering::Acquire) > 0;
            for (place, text) in texts.into_iter().enumerate() {
                answers.push(None);
                if able && waiting.asked.len() < self.shared.settings.queue {
                    waiting.asked.push_back(Asked { text, place, until, answer: send.clone() });
                    expected += 1;
                }
            }
        }
        drop(send);
        self.shared.news.notify_all();
        collect(&receive, expected, until, &mut answers);
        self.unanswered += answers.iter().filter(|answer| answer.is_none()).count() as u64;
        answers
    }

    /// How they stand.
    pub fn standing(&self) -> Standing {
        Standing {
            ready: self.shared.ready.load(Ordering::Acquire),
            judged: self.shared.judged.load(Ordering::Relaxed),
            unanswered: self.unanswered,
            failures: self.shared.failures.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.news.notify_all();
    }
}

fn collect(
    receive: &Receiver<(usize, Probabilities)>,
    mut expected: usize,
    until: Instant,
    answers: &mut [Option<Probabilities>],
) {
    while expected > 0 {
        let left = until.saturating_duration_since(Instant::now());
        // It also ends when every sender is gone: the worker that had the texts has failed.
        let Ok((place, probabilities)) = receive.recv_timeout(left) else { return };
        answers[place] = Some(probabilities);
        expected -= 1;
    }
}

/// One worker's life: a model, batches until it fails, a rest, a model again.
fn work<M: Model>(shared: &Shared, make: &(dyn Fn() -> Result<M, String> + Send + Sync)) {
    let mut said = false;
    while !shared.lock().ended {
        // A panic of the model's library must not end the thread without a word.
        let failure = match catch_unwind(AssertUnwindSafe(make)) {
            Ok(Ok(mut model)) => {
                shared.ready.fetch_add(1, Ordering::AcqRel);
                let result = catch_unwind(AssertUnwindSafe(|| judge_batches(shared, &mut model)));
                shared.ready.fetch_sub(1, Ordering::AcqRel);
                match result {
                    Ok(Ok(())) => return,
                    Ok(Err(detail)) => {
                        said = false;
                        detail
                    }
                    Err(_) => "it panicked".to_owned(),
                }
            }
            Ok(Err(detail)) => detail,
            Err(_) => "it panicked while it was made".to_owned(),
        };
        shared.failures.fetch_add(1, Ordering::Relaxed);
        if !said {
            tracing::warn!(
                detail = failure,
                "the deep tier's model failed; the fast tier decides alone until it works again"
            );
            said = true;
        }
        rest(shared);
    }
}

/// Judges batch after batch; ends well when the end is asked for.
fn judge_batches(shared: &Shared, model: &mut impl Model) -> Result<(), String> {
    loop {
        let mut batch: Vec<Asked> = Vec::new();
        {
            let mut waiting = shared.lock();
            while waiting.asked.is_empty() && !waiting.ended {
                waiting = shared.news.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            if waiting.ended {
                return Ok(());
            }
            let now = Instant::now();
            while batch.len() < shared.settings.batch
                && let Some(asked) = waiting.asked.pop_front()
            {
                // Nobody waits for it any more.
                if asked.until > now {
                    batch.push(asked);
                }
            }
        }
        if batch.is_empty() {
            continue;
        }
        let texts: Vec<String> = batch.iter_mut().map(|asked| std::mem::take(&mut asked.text)).collect();
        let answers = model.judge(&texts)?;
        shared.judged.fetch_add(answers.len() as u64, Ordering::Relaxed);
        for (asked, answer) in batch.into_iter().zip(answers) {
            // Whoever asked may have gone on.
            let _ = asked.answer.send((asked.place, answer));
        }
    }
}

fn rest(shared: &Shared) {
    let end = Instant::now() + shared.settings.rest;
    let mut waiting = shared.lock();
    while !waiting.ended {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        waiting = shared.news.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    const SETTINGS: Settings = Settings { threads: 2, batch: 4, queue: 16, rest: Duration::from_millis(5) };
    const LONG: Duration = Duration::from_secs(30);

    /// Says how long a text is; fails, panics or hangs when told to.
    struct Told(Arc<Orders>);

    #[derive(Default)]
    struct Orders {
        fail: AtomicBool,
        panic: AtomicBool,
        hang: Mutex<()>,
        refuse: AtomicBool,
        most: AtomicUsize,
    }

    impl Model for Told {
        fn judge(&mut self, texts: &[String]) -> Result<Vec<Probabilities>, String> {
            self.0.most.fetch_max(texts.len(), Ordering::Relaxed);
            let _free = self.0.hang.lock();
            if self.0.panic.swap(false, Ordering::Relaxed) {
                panic!("as told");
            }
            if self.0.fail.load(Ordering::Relaxed) {
                return Err("as told".to_owned());
            }
            Ok(texts.iter().map(|text| [text.len() as f32, 0.0, 0.0, 0.0, 0.0]).collect())
        }
    }

    fn start(orders: &Arc<Orders>) -> Workers {
        let told = Arc::clone(orders);
        let make = move || {
            if told.refuse.load(Ordering::Relaxed) { Err("as told".to_owned()) } else { Ok(Told(Arc::clone(&told))) }
        };
        Workers::start(SETTINGS, make).unwrap()
    }

    fn wait_until_ready(workers: &Workers) {
        let end = Instant::now() + LONG;
        while workers.standing().ready < SETTINGS.threads {
            assert!(Instant::now() < end, "{workers:?}");
            std::thread::yield_now();
        }
    }

    fn texts(count: usize) -> Vec<String> {
        (1..=count).map(|length| "a".repeat(length)).collect()
    }

    fn lengths(answers: &[Option<Probabilities>]) -> Vec<Option<usize>> {
        answers.iter().map(|answer| answer.map(|probabilities| probabilities[0] as usize)).collect()
    }

    #[test]
    fn answers_come_in_the_order_of_the_questions_in_small_batches() {
        let orders = Arc::default();
        let mut workers = start(&orders);
        wait_until_ready(&workers);
        assert_eq!(workers.room(), 16);
        let answers = workers.ask(texts(10), Instant::now() + LONG);
        assert_eq!(lengths(&answers), (1..=10).map(Some).collect::<Vec<_>>());
        assert!(orders.most.load(Ordering::Relaxed) <= 4);
        assert_eq!(workers.standing().judged, 10);
    }

    #[test]
    fn beyond_the_queue_texts_are_turned_away() {
        let mut workers = start(&Arc::default());
        wait_until_ready(&workers);
        let answers = lengths(&workers.ask(texts(40), Instant::now() + LONG));
        assert_eq!(answers[..16], (1..=16).map(Some).collect::<Vec<_>>());
        assert_eq!(answers[16..], [None; 24]);
        assert_eq!(workers.standing().unanswered, 24);
    }

    #[test]
    fn who_hangs_costs_no_more_than_the_wait_and_comes_back() {
        let orders: Arc<Orders> = Arc::default();
        let mut workers = start(&orders);
        wait_until_ready(&workers);
        let hanging = orders.hang.lock().unwrap();
        assert_eq!(workers.ask(texts(3), Instant::now() + Duration::from_millis(20)), [None; 3]);
        drop(hanging);
        assert_eq!(lengths(&workers.ask(texts(2), Instant::now() + LONG)), [Some(1), Some(2)]);
    }

    #[test]
    fn who_fails_or_panics_is_made_anew() {
        let orders: Arc<Orders> = Arc::default();
        let mut workers = start(&orders);
        wait_until_ready(&workers);
        orders.fail.store(true, Ordering::Relaxed);
        assert_eq!(workers.ask(texts(1), Instant::now() + LONG), [None], "it does not wait for who has failed");
        orders.fail.store(false, Ordering::Relaxed);
        wait_until_ready(&workers);
        orders.panic.store(true, Ordering::Relaxed);
        assert_eq!(workers.ask(texts(1), Instant::now() + LONG), [None]);
        wait_until_ready(&workers);
        assert_eq!(lengths(&workers.ask(texts(1), Instant::now() + LONG)), [Some(1)]);
        assert_eq!(workers.standing().failures, 2);
    }

    #[test]
    fn without_a_model_there_is_no_room() {
        let orders: Arc<Orders> = Arc::default();
        orders.refuse.store(true, Ordering::Relaxed);
        let mut workers = start(&orders);
        let end = Instant::now() + LONG;
        while workers.standing().failures < 4 {
            assert!(Instant::now() < end);
            std::thread::yield_now();
        }
        assert_eq!((workers.room(), workers.ask(texts(2), Instant::now() + LONG)), (0, vec![None; 2]));
        orders.refuse.store(false, Ordering::Relaxed);
        wait_until_ready(&workers);
        assert_eq!(lengths(&workers.ask(texts(1), Instant::now() + LONG)), [Some(1)]);
    }
}
