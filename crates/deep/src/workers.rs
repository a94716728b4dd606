//! Worker threads around a model: micro-batches, a bounded queue, a bounded wait, and what becomes of a worker that fails.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
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
    /// Most bytes that they may have together if each were as long as the longest, as a model pads them: it bounds how long a batch
    /// takes. A longer text is judged alone.
    pub batch_bytes: usize,
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
    /// Texts that were taken and not answered in time, or at all, since the start.
    pub unanswered: u64,
    /// Texts that were not taken, or gave way to a more urgent one, since the start.
    pub turned_away: u64,
    /// How often a model failed, or could not be made.
    pub failures: u64,
}

/// The most urgent first, and of those the earliest.
type Rank = (u32, Reverse<u64>);

/// One text on its way.
struct Asked {
    ticket: u32,
    round: u64,
    text: String,
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<Rank, Asked>,
    answers: Vec<(u32, Probabilities)>,
    /// Texts of this round that wait or are being judged.
    pending: usize,
    /// Texts of an earlier round are nobody's any more.
    round: u64,
    asked: u64,
    standing: Standing,
    ended: bool,
}

struct Shared {
    state: Mutex<State>,
    asked: Condvar,
    answered: Condvar,
    /// For those who rest: what wakes who waits for a text must not be lost on them.
    end: Condvar,
    settings: Settings,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that could panic runs while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Threads that judge. They end when this is dropped, each after the batch that it is at.
///
/// Texts are submitted in rounds: [`Workers::collect`] ends one, and what was not answered by then is forgotten.
pub struct Workers {
    shared: Arc<Shared>,
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
            state: Mutex::default(),
            asked: Condvar::new(),
            answered: Condvar::new(),
            end: Condvar::new(),
            settings,
        });
        let make = Arc::new(make);
        let workers = Workers { shared: Arc::clone(&shared) };
        for number in 0..settings.threads {
            let (shared, make) = (Arc::clone(&shared), Arc::clone(&make));
            std::thread::Builder::new().name(format!("deep-{number}")).spawn(move || work(&shared, &*make))?;
        }
        Ok(workers)
    }

    /// Asks for a text; the most urgent are judged first. False if it is not taken: no worker has a model, or the queue is full
    /// of texts that are as urgent. If it is full of less urgent ones, the least urgent gives way and stays unanswered.
    pub fn submit(&self, ticket: u32, text: &str, urgency: u32) -> bool {
        let mut state = self.shared.lock();
        let full = state.waiting.len() >= self.shared.settings.queue;
        let gives_way = state.waiting.first_key_value().is_some_and(|(&(least, _), _)| least < urgency);
        if state.standing.ready == 0 || (full && !gives_way) {
            state.standing.turned_away += 1;
            return false;
        }
        if full {
            state.waiting.pop_first();
            state.pending -= 1;
            state.standing.turned_away += 1;
        }
        let rank = (urgency, Reverse(state.asked));
        let asked = Asked { ticket, round: state.round, text: text.to_owned() };
        state.waiting.insert(rank, asked);
        state.asked += 1;
        state.pending += 1;
        drop(state);
        self.shared.asked.notify_one();
        true
    }

    /// Waits for the answers to what was submitted in this round, at most until `until`, and shows each. Then the next round
    /// begins: what has not come is forgotten. It does not wait for what a failed worker had.
    pub fn collect(&self, until: Instant, see: &mut dyn FnMut(u32, Probabilities)) {
        let mut state = self.shared.lock();
        while state.pending > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.shared.answered.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let answers = std::mem::take(&mut state.answers);
        state.next_round();
        drop(state);
        for (ticket, probabilities) in answers {
            see(ticket, probabilities);
        }
    }

    /// How they stand.
    pub fn standing(&self) -> Standing {
        self.shared.lock().standing
    }
}

impl State {
    /// The most urgent text, and those after it that fit into a batch with it.
    fn take_batch(&mut self, settings: &Settings) -> (Vec<u32>, Vec<String>) {
        let mut ranks: Vec<Rank> = Vec::new();
        let mut longest = 0;
        for (&rank, asked) in self.waiting.iter().rev() {
            debug_assert_eq!(asked.round, self.round, "the queue is emptied with each round");
            let padded = longest.max(asked.text.len());
            if ranks.is_empty() || padded * (ranks.len() + 1) <= settings.batch_bytes {
                longest = padded;
                ranks.push(rank);
            }
            if ranks.len() == settings.batch {
                break;
            }
        }
        ranks.iter().filter_map(|rank| self.waiting.remove(rank)).map(|asked| (asked.ticket, asked.text)).unzip()
    }

    fn next_round(&mut self) {
        self.standing.unanswered += self.pending as u64;
        self.waiting.clear();
        self.pending = 0;
        self.round += 1;
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.asked.notify_all();
        self.shared.end.notify_all();
    }
}

/// One worker's life: a model, batches until it fails, a rest, a model again.
fn work<M: Model>(shared: &Shared, make: &(dyn Fn() -> Result<M, String> + Send + Sync)) {
    let mut said = false;
    while !shared.lock().ended {
        // A panic of the model's library must not end the thread without a word.
        let failure = match catch_unwind(AssertUnwindSafe(make)) {
            Ok(Ok(mut model)) => {
                shared.lock().standing.ready += 1;
                let result = judge_batches(shared, &mut model);
                shared.lock().standing.ready -= 1;
                match result {
                    Ok(()) => return,
                    Err(detail) => {
                        said = false;
                        detail
                    }
                }
            }
            Ok(Err(detail)) => detail,
            Err(_) => "it panicked while it was made".to_owned(),
        };
        shared.lock().standing.failures += 1;
        if !said {
            tracing::warn!(
                detail = failure,
                "the deep tier's model failed; the fast tier decides alone until it works"
            );
            said = true;
        }
        rest(shared);
    }
}

/// Judges batch after batch; ends well when the end is asked for.
fn judge_batches(shared: &Shared, model: &mut impl Model) -> Result<(), String> {
    loop {
        let (tickets, texts, round) = {
            let mut state = shared.lock();
            while state.waiting.is_empty() && !state.ended {
                state = shared.asked.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.ended {
                return Ok(());
            }
            let (tickets, texts) = state.take_batch(&shared.settings);
            (tickets, texts, state.round)
        };
        let judged = catch_unwind(AssertUnwindSafe(|| model.judge(&texts)))
            .unwrap_or_else(|_| Err("it panicked".to_owned()))
            .and_then(
                |answers| {
                    if answers.len() == texts.len() { Ok(answers) } else { Err("it left texts out".to_owned()) }
                },
            );
        let mut state = shared.lock();
        if round == state.round {
            // Answered or not, nobody is to wait for them any longer.
            state.pending -= tickets.len();
            shared.answered.notify_all();
            match &judged {
                Ok(answers) => state.answers.extend(tickets.into_iter().zip(answers.iter().copied())),
                Err(_) => state.standing.unanswered += texts.len() as u64,
            }
        }
        state.standing.judged += judged.as_ref().map_or(0, |answers| answers.len() as u64);
        drop(state);
        judged?;
    }
}

fn rest(shared: &Shared) {
    let end = Instant::now() + shared.settings.rest;
    let mut state = shared.lock();
    while !state.ended {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        state = shared.end.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    const SETTINGS: Settings =
        Settings { threads: 2, batch: 4, batch_bytes: 1_000, queue: 16, rest: Duration::from_millis(5) };
    const LONG: Duration = Duration::from_secs(30);
    const NONE: [u32; 0] = [];

    /// Says how long a text is; fails, panics or hangs when told to.
    struct Told(Arc<Orders>);

    #[derive(Default)]
    struct Orders {
        fail: AtomicBool,
        panic: AtomicBool,
        hang: Mutex<()>,
        refuse: AtomicBool,
        most: AtomicUsize,
        judged: Mutex<Vec<usize>>,
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
            self.0.judged.lock().unwrap().extend(texts.iter().map(String::len));
            Ok(texts.iter().map(|text| [text.len() as f32, 0.0, 0.0, 0.0, 0.0]).collect())
        }
    }

    fn start_with(settings: Settings, orders: &Arc<Orders>) -> Workers {
        let told = Arc::clone(orders);
        let make = move || {
            if told.refuse.load(Ordering::Relaxed) { Err("as told".to_owned()) } else { Ok(Told(Arc::clone(&told))) }
        };
        Workers::start(settings, make).unwrap()
    }

    fn start(orders: &Arc<Orders>) -> Workers {
        let workers = start_with(SETTINGS, orders);
        wait_until(&workers, |standing| standing.ready == SETTINGS.threads);
        workers
    }

    fn wait_until(workers: &Workers, so: impl Fn(&Standing) -> bool) {
        let end = Instant::now() + LONG;
        while !so(&workers.standing()) {
            assert!(Instant::now() < end, "{workers:?}");
            std::thread::yield_now();
        }
    }

    /// Submits texts of 1 to `count` bytes; gives the tickets that were taken.
    fn submit(workers: &Workers, count: usize) -> Vec<u32> {
        (1..=count as u32).filter(|&length| workers.submit(length, &"a".repeat(length as usize), 0)).collect()
    }

    /// The tickets that are answered; each answer is that of its text.
    fn collect(workers: &Workers, wait: Duration) -> Vec<u32> {
        let mut tickets = Vec::new();
        workers.collect(Instant::now() + wait, &mut |ticket, probabilities| {
            assert_eq!(ticket as f32, probabilities[0]);
            tickets.push(ticket);
        });
        tickets.sort_unstable();
        tickets
    }

    #[test]
    fn each_text_gets_its_answer_in_small_batches() {
        let orders = Arc::default();
        let workers = start(&orders);
        let taken = submit(&workers, 10);
        assert_eq!(collect(&workers, LONG), taken);
        assert!(orders.most.load(Ordering::Relaxed) <= 4);
        assert_eq!((taken.len(), workers.standing().judged), (10, 10));
        assert_eq!(collect(&workers, LONG), NONE, "nothing was asked: it does not wait");
    }

    #[test]
    fn a_full_queue_gives_way_to_the_more_urgent_and_they_come_first() {
        let orders: Arc<Orders> = Arc::default();
        let workers = start_with(Settings { threads: 1, batch: 1, queue: 3, ..SETTINGS }, &orders);
        wait_until(&workers, |standing| standing.ready == 1);
        let hanging = orders.hang.lock().unwrap();
        assert!(workers.submit(1, "a", 0));
        // The one worker has it, and hangs.
        while orders.most.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        for (ticket, urgency, taken) in [(2, 5, true), (3, 7, true), (4, 6, true), (5, 5, false), (6, 9, true)] {
            assert_eq!(workers.submit(ticket, &"a".repeat(ticket as usize), urgency), taken, "{ticket}");
        }
        drop(hanging);
        assert_eq!(collect(&workers, LONG), [1, 3, 4, 6], "2 gave way");
        assert_eq!(*orders.judged.lock().unwrap(), [1, 6, 3, 4]);
        assert_eq!(workers.standing().turned_away, 2);
    }

    #[test]
    fn a_long_text_is_not_padded_to() {
        let orders: Arc<Orders> = Arc::default();
        let settings = Settings { threads: 1, batch: 4, batch_bytes: 60, queue: 16, ..SETTINGS };
        let workers = start_with(settings, &orders);
        wait_until(&workers, |standing| standing.ready == 1);
        let hanging = orders.hang.lock().unwrap();
        assert!(workers.submit(9, "a", 9));
        // The one worker has it, and hangs.
        while orders.most.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        for (length, urgency) in [(20, 8), (90, 7), (30, 6), (18, 5), (15, 4)] {
            assert!(workers.submit(length, &"a".repeat(length as usize), urgency));
        }
        drop(hanging);
        let mut tickets = Vec::new();
        workers.collect(Instant::now() + LONG, &mut |ticket, _| tickets.push(ticket));
        assert_eq!(tickets, [9, 20, 30, 90, 18, 15], "20 and 30 make 60 with padding; 90 is alone; then the rest");
    }

    #[test]
    fn who_hangs_costs_no_more_than_the_wait_and_comes_back() {
        let orders: Arc<Orders> = Arc::default();
        let workers = start(&orders);
        let hanging = orders.hang.lock().unwrap();
        submit(&workers, 3);
        assert_eq!(collect(&workers, Duration::from_millis(20)), NONE);
        assert_eq!(workers.standing().unanswered, 3);
        submit(&workers, 2);
        drop(hanging);
        assert_eq!(collect(&workers, LONG), [1, 2], "answers of the round before are nobody's");
    }

    #[test]
    fn who_fails_or_panics_is_made_anew() {
        let orders: Arc<Orders> = Arc::default();
        let workers = start(&orders);
        orders.fail.store(true, Ordering::Relaxed);
        submit(&workers, 1);
        assert_eq!(collect(&workers, LONG), NONE, "it does not wait for who has failed");
        orders.fail.store(false, Ordering::Relaxed);
        wait_until(&workers, |standing| standing.ready == 2);
        orders.panic.store(true, Ordering::Relaxed);
        submit(&workers, 1);
        assert_eq!(collect(&workers, LONG), NONE);
        wait_until(&workers, |standing| standing.ready == 2 && standing.failures == 2);
        submit(&workers, 1);
        assert_eq!(collect(&workers, LONG), [1]);
        assert_eq!(workers.standing().unanswered, 2);
    }

    #[test]
    fn without_a_model_nothing_is_taken() {
        let orders: Arc<Orders> = Arc::default();
        orders.refuse.store(true, Ordering::Relaxed);
        let workers = start_with(SETTINGS, &orders);
        wait_until(&workers, |standing| standing.failures >= 4);
        assert_eq!((submit(&workers, 2), collect(&workers, LONG)), (vec![], vec![]));
        orders.refuse.store(false, Ordering::Relaxed);
        wait_until(&workers, |standing| standing.ready == 2);
        submit(&workers, 1);
        assert_eq!(collect(&workers, LONG), [1]);
    }
}
