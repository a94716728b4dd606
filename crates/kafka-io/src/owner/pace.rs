//! When the next commit is due.

use std::time::Duration;

/// How many times as long as a commit took is worked before the next one, while there is more to read.
const WORK_PER_COMMIT: u32 = 2;

/// How an owner divides its time between work and commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// From the beginning of one commit to that of the next.
    pub(super) interval: Duration,
    /// How long brokers let a transaction be open.
    transaction: Duration,
    /// The longest that work goes on beyond the interval, by what brokers bear.
    work_max: Duration,
}

impl Pace {
    /// Begins with no more work than an interval's: what brokers bear is not known yet, or not any more after a reset.
    pub(super) fn new(interval: Duration, transaction: Duration) -> Pace {
        Pace { interval, transaction, work_max: interval.min(transaction / 2) }
    }

    /// A commit took so long. What is worked makes commits longer where brokers are slow, and one that takes longer than they let a
    /// transaction be open is work for nothing, again and again if the next is as long. So work before a commit may become longer
    /// only while commits take less than a quarter of that time, up to half of it, and becomes half as long where they take more than
    /// half of it.
    pub(super) fn took(&mut self, took: Duration) {
        if took > self.transaction / 2 {
            self.work_max = (self.work_max / 2).max(self.interval / 4).min(self.transaction / 2);
        } else if took < self.transaction / 4 {
            self.work_max = (self.work_max + self.work_max / 2).min(self.transaction / 2);
        }
    }

    /// How long it is until the next commit, where the last one began `since` ago and took `took`, all waiting for brokers
    /// included.
    ///
    /// The interval counts from the beginning of a commit. Where a commit takes nearly as long, hardly any time would be left to
    /// work in; an owner that is `behind` therefore works twice as long as the commit took, so that commits take a third of its
    /// time at most. With nothing more to read the interval alone counts: what waits for a commit is not to wait for longer.
    pub(super) fn next_commit_in(&self, since: Duration, took: Duration, behind: bool) -> Duration {
        let worked_out = took.saturating_add(took.saturating_mul(WORK_PER_COMMIT).min(self.work_max));
        let due = if behind { self.interval.max(worked_out) } else { self.interval };
        due.saturating_sub(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSACTION: Duration = Duration::from_secs(10);

    /// After so many quick commits that work may go on for as long as it ever may.
    fn pace() -> Pace {
        let mut pace = Pace::new(Duration::from_millis(100), TRANSACTION);
        (0..20).for_each(|_| pace.took(Duration::ZERO));
        assert_eq!(pace.work_max, TRANSACTION / 2);
        pace
    }

    fn check(since: u64, took: u64, behind: bool, expected: u64) {
        let next = pace().next_commit_in(Duration::from_millis(since), Duration::from_millis(took), behind);
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
        let no_room = Pace::new(Duration::from_millis(100), Duration::ZERO);
        assert_eq!(no_room.next_commit_in(Duration::ZERO, Duration::MAX, true), Duration::MAX);
    }

    /// A loop of commits that each take as long as said and a part of what was worked: the share of its time that it works.
    #[test]
    fn commits_take_a_third_of_the_time_at_most() {
        for (fixed_ms, per_worked) in [(5, 0.0), (70, 0.0), (95, 0.0), (300, 0.0), (20, 0.3), (90, 0.4)] {
            let mut pace = Pace::new(Duration::from_millis(100), TRANSACTION);
            let (mut worked, mut committed) = (Duration::ZERO, Duration::ZERO);
            let mut took = Duration::ZERO;
            for number in 0..120 {
                let work = pace.next_commit_in(took, took, true);
                took = Duration::from_millis(fixed_ms) + work.mul_f64(per_worked);
                assert!(work <= TRANSACTION / 2, "{work:?}");
                pace.took(took);
                if number >= 20 {
                    worked += work;
                    committed += took;
                }
            }
            let share = worked.as_secs_f64() / (worked + committed).as_secs_f64();
            assert!(share > 0.66, "{fixed_ms} ms and {per_worked}: works {share} of the time");
        }
    }

    /// Brokers that take three seconds for what is worked in one, with transactions of three seconds.
    #[test]
    fn brokers_that_are_slow_get_what_they_bear() {
        let transaction = Duration::from_secs(3);
        let mut pace = Pace::new(Duration::from_millis(100), transaction);
        let (mut took, mut worked) = (Duration::ZERO, Duration::ZERO);
        let mut round = |per_worked: f64, pace: &mut Pace| {
            let work = pace.next_commit_in(took, took, true);
            took = Duration::from_millis(100) + work.mul_f64(per_worked);
            let open = work + took;
            if open < transaction {
                pace.took(took);
                worked += work;
            } else {
                // As an owner does that begins anew.
                (*pace, took) = (Pace::new(pace.interval, transaction), Duration::ZERO);
            }
            open
        };
        for _ in 0..200 {
            assert!(round(3.0, &mut pace) < transaction);
        }
        // They are quick for a while, and slow all at once: one transaction is lost by that, or two.
        for _ in 0..50 {
            round(0.1, &mut pace);
        }
        let lost = (0..200).filter(|_| round(3.0, &mut pace) >= transaction).count();
        assert!(lost <= 2, "{lost}");
        assert!(worked > Duration::from_secs(60), "{worked:?}");
    }
}
