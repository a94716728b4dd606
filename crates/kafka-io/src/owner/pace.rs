//! When the next commit is due.

use std::time::Duration;

/// How many times as long as a commit took is worked before the next one, while there is more to read.
const WORK_PER_COMMIT: u32 = 2;
/// What is worked at least, but for shorter intervals.
const LEAST: Duration = Duration::from_millis(10);

/// How an owner divides its time between work and commits.
///
/// A transaction is open while its owner works and commits. Where brokers are slow, what is worked makes the commit longer, too; and one
/// that is open for longer than brokers allow was work for nothing, again and again if the next is as long. So no more is worked at
/// once than what brokers were seen to bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// From the beginning of one commit to that of the next.
    interval: Duration,
    /// How long a transaction may be open; of an owner without any, how long a delivery may take.
    open_max: Duration,
    /// The longest that is worked before a commit, by what brokers bear.
    work_max: Duration,
    /// How long the last commit took.
    took: Duration,
    /// There was something in it.
    anything: bool,
}

impl Pace {
    /// Begins with an interval's work: what brokers bear is not known yet.
    pub(super) fn new(interval: Duration, open_max: Duration) -> Pace {
        Pace { interval, open_max, work_max: interval.min(open_max / 2), took: Duration::ZERO, anything: false }
    }

    /// A commit begins so long after the last one did: how much of that was work. No more than was allowed: what went beyond it went by in
    /// a restore, or waiting for something else.
    pub(super) fn worked(&self, since: Duration) -> Duration {
        since.saturating_sub(self.took).min(self.work_max)
    }

    /// A commit took so long, all waiting for brokers included, after so much work. One with nothing in it says nothing of brokers.
    ///
    /// Half as much is worked where the two took more than three quarters of what they may. Where they took less than half, it becomes
    /// half as much again: by that they cannot come beyond three quarters, unless brokers become slower.
    pub(super) fn committed(&mut self, worked: Duration, took: Duration, anything: bool) {
        (self.took, self.anything) = (took, anything);
        let open = worked.saturating_add(took);
        if anything && open > self.open_max / 4 * 3 {
            self.limit(worked / 2);
        } else if anything && open < self.open_max / 2 && worked >= self.work_max {
            self.limit(self.work_max + self.work_max / 2);
        }
    }

    /// What was not committed is given up: begins anew with an interval's work at most, and with half of that each time.
    pub(super) fn gave_up(&mut self) {
        self.took = Duration::ZERO;
        self.limit(self.work_max.min(self.interval.saturating_mul(2)) / 2);
    }

    fn limit(&mut self, work_max: Duration) {
        self.work_max = work_max.max(self.interval.min(LEAST)).min(self.open_max / 2);
    }

    /// How long it is until the next commit, where the last one began `since` ago.
    ///
    /// The interval counts from the beginning of a commit. Where a commit takes nearly as long, hardly any time would be left to
    /// work in; an owner that is `behind` therefore works twice as long as the commit took, if brokers bear it. With nothing more to
    /// read the interval alone counts: what waits for a commit is not to wait for longer. Nor is there a need to hurry where there was
    /// nothing to commit.
    pub(super) fn next_commit_in(&self, since: Duration, behind: bool) -> Duration {
        let mut work = self.interval.saturating_sub(self.took);
        if behind {
            work = work.max(self.took.saturating_mul(WORK_PER_COMMIT));
        }
        if behind || self.anything {
            work = work.min(self.work_max);
        }
        self.took.saturating_add(work).saturating_sub(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(100);
    const OPEN_MAX: Duration = Duration::from_secs(10);

    /// Of brokers that bear as much as is ever worked; the last commit took so many milliseconds.
    fn pace(took: u64) -> Pace {
        Pace { work_max: OPEN_MAX / 2, took: Duration::from_millis(took), ..Pace::new(INTERVAL, OPEN_MAX) }
    }

    fn check(since: u64, took: u64, behind: bool, expected: u64) {
        let next = pace(took).next_commit_in(Duration::from_millis(since), behind);
        assert_eq!(next, Duration::from_millis(expected), "since {since}, took {took}, behind {behind}");
    }

    #[test]
    fn a_quick_commit_keeps_to_the_interval() {
        for behind in [true, false] {
            check(0, 0, behind, 100);
            check(20, 20, behind, 80);
            check(33, 33, behind, 67);
            check(100, 20, behind, 0);
            check(1_000, 20, behind, 0);
        }
    }

    #[test]
    fn a_slow_commit_leaves_twice_its_time_to_work_in() {
        check(90, 90, true, 180);
        check(150, 90, true, 120);
        check(270, 90, true, 0);
        check(400, 400, true, 800);
    }

    #[test]
    fn with_nothing_more_to_read_a_slow_commit_changes_nothing() {
        check(90, 90, false, 10);
        check(150, 90, false, 0);
        check(400, 400, false, 0);
    }

    #[test]
    fn work_ends_well_before_the_transaction_would() {
        check(2_500, 2_500, true, 5_000);
        check(4_000, 4_000, true, 5_000);
        check(60_000, 60_000, true, 5_000);
        let no_room = Pace { took: Duration::MAX, ..Pace::new(INTERVAL, Duration::ZERO) };
        assert_eq!(no_room.next_commit_in(Duration::ZERO, true), Duration::MAX);
    }

    /// An owner that is always behind, on brokers whose commits take a fixed time and a part of what was worked.
    struct Bench {
        pace: Pace,
        worked: Duration,
        committed: Duration,
        lost: u32,
    }

    impl Bench {
        fn new(interval: Duration, open_max: Duration) -> Bench {
            let none = Duration::ZERO;
            Bench { pace: Pace::new(interval, open_max), worked: none, committed: none, lost: 0 }
        }

        fn run(&mut self, rounds: u32, fixed_ms: u64, per_worked: f64) {
            for _ in 0..rounds {
                let due = self.pace.took + self.pace.next_commit_in(self.pace.took, true);
                let worked = self.pace.worked(due);
                let took = Duration::from_millis(fixed_ms) + worked.mul_f64(per_worked);
                assert!(worked <= self.pace.open_max / 2, "{worked:?}");
                if worked + took < self.pace.open_max {
                    self.pace.committed(worked, took, true);
                    self.worked += worked;
                    self.committed += took;
                } else {
                    self.pace.gave_up();
                    self.lost += 1;
                }
            }
        }

        /// What it worked since this was asked last, as a part of its time.
        fn share(&mut self) -> f64 {
            let (worked, committed) = (std::mem::take(&mut self.worked), std::mem::take(&mut self.committed));
            worked.as_secs_f64() / (worked + committed).as_secs_f64()
        }
    }

    #[test]
    fn commits_take_a_third_of_the_time_at_most_where_brokers_bear_it() {
        for (fixed_ms, per_worked) in [(5, 0.0), (70, 0.0), (95, 0.0), (300, 0.0), (20, 0.3), (90, 0.4)] {
            let mut bench = Bench::new(INTERVAL, OPEN_MAX);
            bench.run(20, fixed_ms, per_worked);
            bench.share();
            bench.run(100, fixed_ms, per_worked);
            let share = bench.share();
            assert!(share > 0.66, "{fixed_ms} ms and {per_worked}: works {share} of the time");
            assert_eq!(bench.lost, 0);
        }
    }

    #[test]
    fn brokers_that_are_slow_get_what_they_bear() {
        let mut bench = Bench::new(INTERVAL, Duration::from_secs(3));
        bench.run(200, 100, 3.0);
        assert_eq!(bench.lost, 0);
        assert!(bench.share() > 0.2, "of a quarter that can be had");
        // They are quick for a while, and slow all at once: what is lost by that is one transaction, or two.
        bench.run(50, 100, 0.1);
        bench.run(200, 100, 3.0);
        assert!(bench.lost <= 2, "{}", bench.lost);
    }

    #[test]
    fn brokers_that_become_slower_little_by_little_cost_no_transaction() {
        let mut bench = Bench::new(INTERVAL, OPEN_MAX);
        for step in 0..100 {
            bench.run(5, 100, 0.5 + 0.1 * f64::from(step));
        }
        assert_eq!(bench.lost, 0);
        let least = bench.pace.work_max;
        bench.run(50, 100, 0.0);
        assert!(bench.pace.work_max > least, "and get more when they recover");
    }

    /// A wait that has nothing to do with how much is worked: that is no reason to work less and less.
    #[test]
    fn commits_that_take_long_whatever_is_in_them_leave_time_to_work_in() {
        let mut bench = Bench::new(INTERVAL, OPEN_MAX);
        bench.run(20, 2_600, 0.0);
        bench.share();
        bench.run(100, 2_600, 0.0);
        let share = bench.share();
        assert!(share > 0.45, "{share}");
        assert_eq!(bench.lost, 0);
    }

    #[test]
    fn an_interval_that_is_too_long_for_the_brokers_is_cut_short() {
        let mut bench = Bench::new(Duration::from_secs(5), OPEN_MAX);
        bench.run(100, 100, 1.5);
        assert_eq!(bench.lost, 1);
        let mut bench = Bench::new(INTERVAL, OPEN_MAX);
        bench.run(100, 100, 300.0);
        assert!(bench.lost <= 3, "{}", bench.lost);
    }

    #[test]
    fn what_is_given_up_again_and_again_leaves_something_to_work_with() {
        let mut pace = Pace::new(INTERVAL, OPEN_MAX);
        (0..50).for_each(|_| pace.gave_up());
        assert_eq!(pace.next_commit_in(Duration::ZERO, true), LEAST);
        assert_eq!(pace.next_commit_in(Duration::ZERO, false), INTERVAL, "with nothing to do there is no hurry");
        // A restore took a minute, which was no work.
        let worked = pace.worked(Duration::from_secs(60));
        pace.committed(worked, Duration::ZERO, true);
        assert_eq!(pace.next_commit_in(Duration::ZERO, false), LEAST + LEAST / 2);
    }

    #[test]
    fn commits_with_nothing_in_them_say_nothing_of_brokers() {
        let mut pace = Pace::new(INTERVAL, OPEN_MAX);
        (0..50).for_each(|_| pace.committed(INTERVAL, Duration::ZERO, false));
        assert_eq!(pace.work_max, INTERVAL);
        // Nor do those that were due by the interval: what is not used does not grow.
        (0..50).for_each(|_| pace.committed(INTERVAL / 2, INTERVAL / 2, true));
        assert_eq!(pace.work_max, INTERVAL);
    }
}
