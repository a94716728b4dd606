//! What samples tell: whether memory, handles, threads, state and lag stay where they are, and what all of it took.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::SPARED;
use super::following::STATE;
use super::samples::{EVERY, Kind, Row};

/// From this length of a run on, in seconds, what holds state is judged: state has turned over some times then, see
/// [`HORIZON_MS`](super::HORIZON_MS), and stands.
pub(crate) const TURNED_OVER_SECONDS: f64 = 4.0 * super::HORIZON_MS as f64 / 1e3;

/// How much something may grow over the second half of a run: so much of its median, or so much, whichever is more.
#[derive(Debug, Clone, Copy)]
struct Tolerance {
    share: f64,
    least: f64,
}

const MEMORY: Tolerance = Tolerance { share: 0.05, least: 16.0 * MIB };
const HANDLES: Tolerance = Tolerance { share: 0.05, least: 8.0 };
const THREADS: Tolerance = Tolerance { share: 0.0, least: 2.0 };
const KEYS: Tolerance = Tolerance { share: 0.05, least: 1_000.0 };
/// Brokers compact when they see fit: what is stored goes up and down by whole segments.
const STORED: Tolerance = Tolerance { share: 0.25, least: 64.0 * MIB };
/// So many seconds' worth of the feed.
const LAG_SECONDS: f64 = 10.0;
const MIB: f64 = (1 << 20) as f64;

/// Of the samples of the second half a process must be in so many to be judged.
const PRESENT: f64 = 0.8;

/// One thing that was judged.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judgement {
    pub(crate) what: String,
    /// At its middle, over the second half, and how much it grew in that time by the fitted slope.
    pub(crate) median: f64,
    pub(crate) growth: f64,
    pub(crate) tolerated: f64,
    /// Nothing: the run was too short to tell.
    pub(crate) fine: Option<bool>,
}

/// Of the replicas that are never killed, those that did not run through the second half.
pub(crate) fn gone(rows: &[Row]) -> Vec<&'static str> {
    let end = end(rows);
    let half: Vec<&Row> = rows.iter().filter(|row| row.seconds >= end / 2.0).collect();
    let lasting = lasting(&half, end);
    SPARED.into_iter().filter(|name| !lasting.contains_key(name)).collect()
}

/// When the last sample was taken.
pub(crate) fn end(rows: &[Row]) -> f64 {
    // What is noted after the last sample, of the comparison, is none.
    rows.iter().filter(|row| row.kind != Kind::Fault).map(|row| row.seconds).fold(0.0, f64::max)
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fine = match self.fine {
            Some(true) => "ok",
            Some(false) => "GROWS",
            None => "too short to tell",
        };
        let Judgement { what, median, growth, tolerated, .. } = self;
        write!(f, "| {what} | {} | {} | {} | {fine} |", number(*median), number(*growth), number(*tolerated))
    }
}

/// In mebibytes from ten of them on.
fn number(value: f64) -> String {
    if value.abs() >= 10.0 * MIB { format!("{:.0} MiB", value / MIB) } else { format!("{value:.0}") }
}

/// Judges all that there is. A process counts if it ran through the whole second half.
pub(crate) fn judge(rows: &[Row]) -> Vec<Judgement> {
    let end = end(rows);
    let half: Vec<&Row> = rows.iter().filter(|row| row.seconds >= end / 2.0).collect();
    let turned_over = end >= TURNED_OVER_SECONDS;
    let mut judged = Vec::new();
    let mut judge = |what: String, points: &[(f64, f64)], tolerance: Tolerance, tell: bool| {
        let (Some(slope), Some(median)) = (slope(points), median(points.iter().map(|point| point.1))) else { return };
        let growth = slope * end / 2.0;
        let tolerated = (tolerance.share * median).max(tolerance.least);
        judged.push(Judgement { what, median, growth, tolerated, fine: tell.then_some(growth <= tolerated) });
    };
    let points = |of: &[&Row], figure: fn(&Row) -> Option<f64>| -> Vec<(f64, f64)> {
        of.iter().filter_map(|row| Some((row.seconds, figure(row)?))).collect()
    };
    for (name, of) in lasting(&half, end) {
        judge(format!("{name}: resident bytes"), &points(&of, |row| float(row.resident_bytes)), MEMORY, turned_over);
        judge(format!("{name}: handles"), &points(&of, |row| float(row.handles)), HANDLES, true);
        judge(format!("{name}: threads"), &points(&of, |row| float(row.threads)), THREADS, true);
    }
    for topic in STATE {
        let of: Vec<&Row> = half.iter().copied().filter(|row| row.kind == Kind::Topic && row.name == topic).collect();
        judge(format!("{topic}: live keys"), &points(&of, |row| float(row.live_keys)), KEYS, turned_over);
        judge(format!("{topic}: stored bytes"), &points(&of, |row| float(row.stored_bytes)), STORED, turned_over);
    }
    let fed_a_second = interactions(rows) / end.max(1.0);
    let tolerance = Tolerance { share: 0.0, least: LAG_SECONDS * fed_a_second };
    judge("lag of all replicas, records".to_owned(), &lag(&half), tolerance, true);
    judged
}

/// Processes of ours that ran through the second half, each with its rows.
fn lasting<'a>(half: &[&'a Row], end: f64) -> BTreeMap<&'a str, Vec<&'a Row>> {
    let mut by_name: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in half.iter().copied().filter(|row| row.kind == Kind::Replica || row.name == "ingest") {
        by_name.entry(&row.name).or_default().push(row);
    }
    let least = PRESENT * end / 2.0 / EVERY.as_secs_f64();
    by_name.retain(|_, rows| {
        let starts: BTreeSet<Option<u64>> = rows.iter().map(|row| row.starts).collect();
        starts.len() == 1 && rows.len() as f64 >= least
    });
    by_name
}

/// What all replicas together had not read yet, at each sample at which all that ran answered.
pub(crate) fn lag(half: &[&Row]) -> Vec<(f64, f64)> {
    let mut by_time: BTreeMap<u64, Option<f64>> = BTreeMap::new();
    for row in half.iter().filter(|row| row.kind == Kind::Replica) {
        let sum = by_time.entry((row.seconds * 10.0) as u64).or_insert(Some(0.0));
        *sum = sum.zip(float(row.lag_records)).map(|(sum, lag)| sum + lag);
    }
    by_time.into_iter().filter_map(|(at, lag)| Some((at as f64 / 10.0, lag?))).collect()
}

/// How many raw records there were in the end.
pub(crate) fn interactions(rows: &[Row]) -> f64 {
    let last = |topic: &str| {
        let of = rows.iter().filter(|row| row.kind == Kind::Topic && row.name == topic);
        of.filter_map(|row| float(row.records)).fold(0.0, f64::max)
    };
    last("social.posts.raw") + last("social.comments.raw")
}

/// CPU-seconds of each process, over all that had its name: what it took between its last sample and its end is not known.
pub(crate) fn cpu_seconds(rows: &[Row]) -> BTreeMap<&str, f64> {
    let mut used: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for row in rows {
        let Some(now) = row.cpu_seconds else { continue };
        let (sum, last) = used.entry(&row.name).or_default();
        // Less than before: another process of the name.
        *sum += if now >= *last { now - *last } else { now };
        *last = now;
    }
    used.into_iter().map(|(name, (sum, _))| (name, sum)).collect()
}

/// The last of what came of each topic: records, and bytes of keys and values.
pub(crate) fn topics(rows: &[Row]) -> BTreeMap<&str, (u64, u64)> {
    let of = rows.iter().filter(|row| row.kind == Kind::Topic);
    of.filter_map(|row| Some((row.name.as_str(), (row.records?, row.bytes?)))).collect()
}

fn float(number: Option<u64>) -> Option<f64> {
    number.map(|number| number as f64)
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

/// The slope of a line through points, as Theil (1950) and Sen (1968) have it: the median of the slopes between any two. Peaks after a
/// fault, of which least squares would make much, hardly move it.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let pairs = points.iter().enumerate().flat_map(|(at, one)| points[at + 1..].iter().map(move |other| (one, other)));
    median(pairs.filter(|(one, other)| other.0 > one.0).map(|(one, other)| (other.1 - one.1) / (other.0 - one.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A replica's samples: what is resident, at each.
    fn replica(name: &str, resident: impl Fn(f64) -> f64, end: u32) -> Vec<Row> {
        let at = |second: u32| Row {
            seconds: f64::from(second),
            kind: Kind::Replica,
            name: name.to_owned(),
            starts: Some(1),
            resident_bytes: Some(resident(f64::from(second)) as u64),
            handles: Some(40),
            threads: Some(12),
            lag_records: Some(100),
            cpu_seconds: Some(f64::from(second) / 10.0),
            ..Row::default()
        };
        (1..=end / 10).map(|number| at(number * 10)).collect()
    }

    fn fine(rows: &[Row], what: &str) -> Option<bool> {
        let judged = judge(rows);
        let found = judged.iter().find(|judgement| judgement.what == what);
        found.unwrap_or_else(|| panic!("{what} is not in {judged:?}")).fine
    }

    #[test]
    fn memory_that_stands_is_told_from_memory_that_grows() {
        let check = |resident: fn(f64) -> f64, end: u32, expected: Option<bool>| {
            let rows = replica("a", resident, end);
            assert_eq!(fine(&rows, "a: resident bytes"), expected, "{end}");
            assert_eq!((fine(&rows, "a: handles"), fine(&rows, "a: threads")), (Some(true), Some(true)));
        };
        check(|_| 400.0 * MIB, 7_200, Some(true));
        check(|at| (300.0 + at.min(3_000.0) / 10.0) * MIB, 7_200, Some(true));
        // Peaks after each fault.
        check(|at| (300.0 + if at % 60.0 == 0.0 { at / 10.0 } else { 0.0 }) * MIB, 7_200, Some(true));
        check(|at| (300.0 + at / 100.0) * MIB, 7_200, Some(false));
        check(|at| (300.0 - at / 100.0) * MIB, 7_200, Some(true));
        check(|at| (300.0 + at / 100.0) * MIB, 360, None);
    }

    #[test]
    fn a_thread_that_is_left_behind_at_each_fault_is_found() {
        let mut rows = replica("a", |_| 100.0 * MIB, 1_200);
        for row in &mut rows {
            row.threads = Some(12 + (row.seconds / 120.0) as u64);
            row.handles = Some(40 + (row.seconds / 60.0) as u64);
        }
        assert_eq!((fine(&rows, "a: threads"), fine(&rows, "a: handles")), (Some(false), Some(false)));
    }

    #[test]
    fn who_was_started_again_is_not_judged() {
        let mut rows = replica("a", |_| 100.0 * MIB, 1_200);
        rows.extend(replica("b", |_| 100.0 * MIB, 1_200));
        rows.iter_mut().filter(|row| row.name == "b" && row.seconds > 900.0).for_each(|row| row.starts = Some(2));
        let judged: Vec<String> = judge(&rows).into_iter().map(|judgement| judgement.what).collect();
        assert!(judged.iter().any(|what| what.starts_with("a:")), "{judged:?}");
        assert!(!judged.iter().any(|what| what.starts_with("b:")), "{judged:?}");
        assert_eq!(gone(&rows), SPARED);
        rows.iter_mut().filter(|row| row.name == "a").for_each(|row| row.name = SPARED[0].to_owned());
        assert_eq!(gone(&rows), SPARED[1..]);
    }

    #[test]
    fn lag_and_live_keys_are_judged_too() {
        let topic = |name: &str, seconds: f64, records: u64, live: Option<u64>| Row {
            seconds,
            kind: Kind::Topic,
            name: name.to_owned(),
            records: Some(records),
            bytes: Some(records * 300),
            live_keys: live,
            ..Row::default()
        };
        let mut rows = replica("a", |_| 100.0 * MIB, 7_200);
        for second in (10..=7_200_u32).step_by(10) {
            let fed = u64::from(second) * 100;
            rows.push(topic("social.posts.raw", f64::from(second), fed, None));
            rows.push(topic("social.community.changelog", f64::from(second), fed, Some(50_000)));
            rows.push(topic("social.queue.state", f64::from(second), fed, Some(fed)));
        }
        assert_eq!(fine(&rows, "social.community.changelog: live keys"), Some(true));
        assert_eq!(fine(&rows, "social.queue.state: live keys"), Some(false));
        assert_eq!(fine(&rows, "lag of all replicas, records"), Some(true));
        rows.iter_mut().filter(|row| row.kind == Kind::Replica).for_each(|row| {
            row.lag_records = Some(row.seconds as u64);
        });
        assert_eq!(fine(&rows, "lag of all replicas, records"), Some(false));
        assert_eq!(interactions(&rows), 720_000.0);
        assert_eq!(topics(&rows)["social.posts.raw"], (720_000, 216_000_000));
    }

    #[test]
    fn what_a_process_took_counts_over_its_restarts() {
        let mut rows = replica("a", |_| 0.0, 100);
        rows.extend(replica("a", |_| 0.0, 50));
        assert!((cpu_seconds(&rows)["a"] - 15.0).abs() < 1e-9);
    }

    #[test]
    fn slopes_are_medians() {
        let points: Vec<(f64, f64)> =
            (0..11).map(|at| (f64::from(at), if at == 5 { 1e9 } else { f64::from(at) * 2.0 })).collect();
        assert_eq!(slope(&points), Some(2.0));
        assert_eq!(slope(&points[..1]), None);
    }
}
