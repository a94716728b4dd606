//! How long it takes from a raw record to what is made of it, of the whole service on a real Kafka that is fed at a steady rate.

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sinyal_tests::{Kafka, Ran, Sinyal, Usage};

/// Records a second if no other rate is asked for: well below what the roles can do, so that it is not the time in a queue that is
/// measured.
pub(crate) const RATE: usize = 500;
const SECONDS: usize = 90;
/// What is measured before is the service's start.
const WARM_UP: Duration = Duration::from_secs(20);
/// How often the lag is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Feeds both roles in event time that goes on with the wall clock, and reads what their histograms have gained after a warm-up.
pub(crate) fn measure_latency(records_per_second: usize) -> Result<Vec<serde_json::Value>> {
    let kafka = Kafka::start()?;
    let sinyal = Sinyal::new(&kafka.bootstrap(), "latency", "telemetry.log = \"info\"\n")?;
    sinyal.succeed(&["topics", "apply"])?;
    let running = sinyal.start(&["run"])?;
    sinyal_tests::wait_for("both roles to have their partitions", Duration::from_secs(60), || {
        let Ok(text) = running.metrics() else { return Ok(false) };
        let has = |stage| text.lines().any(|line| line.starts_with("sinyal_lag_records{") && line.contains(stage));
        Ok(has("stage=\"classify\"") && has("stage=\"community\""))
    })?;
    let (rate, count) = (records_per_second.to_string(), (records_per_second * SECONDS).to_string());
    let arguments = ["sim", "--seed", "9", "--communities", "1000", "--rate", &rate, "--interactions", &count];
    let mut made = sinyal.command(&arguments)?.stdout(Stdio::piped()).spawn()?;
    let lines = made.stdout.take().context("a pipe")?;
    let started = Instant::now();
    let mut fed = sinyal.command(&["ingest", "-", "--rate", &rate])?.stdin(lines).stderr(Stdio::null()).spawn()?;
    // What waits to be read when half of the time is over, and at the end: a rate that is too high shows by its growth.
    let (mut lags, mut warm) = (Vec::new(), None);
    let feed = [made.id(), fed.id()];
    let mut cores = Cores::default();
    let status = loop {
        cores.look(started.elapsed(), &running, &kafka, feed)?;
        let text = running.metrics()?;
        lags.push(sum(&text, "sinyal_lag_records{"));
        if started.elapsed() > WARM_UP {
            warm.get_or_insert(text);
        }
        match fed.try_wait()? {
            Some(status) => break status,
            None => std::thread::sleep(LOOK_EVERY),
        }
    };
    let seconds = started.elapsed().as_secs_f64();
    ensure!(made.wait()?.success() && status.success(), "the input could not be ingested");
    let (half, last) = lags.split_at(lags.len() / 2);
    let mean = |lags: &[f64]| lags.iter().sum::<f64>() / lags.len().max(1) as f64;
    let (half, last) = (mean(&half[half.len() / 2..]), mean(&last[last.len() / 2..]));
    writeln!(
        std::io::stdout().lock(),
        "fed at {:.0} records/s; {half:.0} records of both roles' inputs were not read yet in the second quarter of the time, {last:.0} \
         in the last",
        (records_per_second * SECONDS) as f64 / seconds
    )?;
    let taken = cores.taken();
    writeln!(
        std::io::stdout().lock(),
        "cores: {:.3} the service, {:.3} the broker, {:.3} the feed; CPU-seconds for a million records: {:.1}, {:.1}, {:.1}",
        taken[0],
        taken[1],
        taken[2],
        taken[0] / records_per_second as f64 * 1e6,
        taken[1] / records_per_second as f64 * 1e6,
        taken[2] / records_per_second as f64 * 1e6
    )?;
    // What came last is to be committed, and its panes are to end.
    std::thread::sleep(Duration::from_secs(15));
    let text = running.metrics()?;
    ensure!(running.terminate()? == Some(0), "the service did not end well: {}", sinyal.log());
    let mut results = Vec::new();
    let warm = warm.context("fed for longer than it takes to warm up")?;
    for case in ["classified-latency", "pane-latency"] {
        let metric = format!("sinyal_{}_seconds", case.replace('-', "_"));
        let buckets = since(&buckets(&warm, &metric), buckets(&text, &metric));
        let count = buckets.last().map_or(0.0, |&(_, count)| count);
        ensure!(count > 0.0, "nothing was measured as {metric}");
        let (p50, p99) = (quantile(&buckets, 0.5), quantile(&buckets, 0.99));
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "{case:<18} p50 {p50:.3} s, p99 {p99:.3} s of {count} measured, at {records_per_second} records/s"
        )?;
        results.push(json!({ "case": case, "records_per_second": records_per_second, "measured": count,
                             "fed_seconds": seconds, "lag_second_quarter": half, "lag_last_quarter": last,
                             "cores_service_broker_feed": taken, "p50_seconds": p50, "p99_seconds": p99 }));
    }
    Ok(results)
}

/// CPU-seconds of the service, the broker and the feed after the warm-up and at the last look, each with when that was.
#[derive(Debug, Default)]
struct Cores {
    first: Option<(Duration, [f64; 3])>,
    last: Option<(Duration, [f64; 3])>,
}

impl Cores {
    fn look(&mut self, at: Duration, running: &Ran, kafka: &Kafka, feed: [u32; 2]) -> Result<()> {
        let mut of_feed = 0.0;
        for id in feed {
            // The one that makes lines up ends before the one that sends them; then it is over.
            let Ok(usage) = Usage::of(id) else { return Ok(()) };
            of_feed += usage.cpu_seconds;
        }
        let brokers = kafka.usage()?.iter().map(|usage| usage.cpu_seconds).sum();
        let used = (at, [running.usage()?.cpu_seconds, brokers, of_feed]);
        if at > WARM_UP {
            self.first.get_or_insert(used);
            self.last = Some(used);
        }
        Ok(())
    }

    /// How many cores each had busy between the two.
    fn taken(&self) -> [f64; 3] {
        let (Some((from, before)), Some((to, after))) = (self.first, self.last) else { return [f64::NAN; 3] };
        let seconds = to.saturating_sub(from).as_secs_f64();
        std::array::from_fn(|at| (after[at] - before[at]) / seconds)
    }
}

/// The sum of all samples of a metric.
fn sum(text: &str, metric: &str) -> f64 {
    let samples = text.lines().filter(|line| line.starts_with(metric));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Upper bounds and how many were at most that.
fn buckets(text: &str, metric: &str) -> Vec<(f64, f64)> {
    let begin = format!("{metric}_bucket{{le=\"");
    let samples = text.lines().filter_map(|line| line.strip_prefix(&begin)?.split_once("\"} "));
    samples.filter_map(|(bound, count)| Some((bound.parse().ok()?, count.parse().ok()?))).collect()
}

/// How many of them were added; both have the same bounds.
fn since(before: &[(f64, f64)], mut buckets: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    for ((_, count), (_, before)) in buckets.iter_mut().zip(before) {
        *count -= before;
    }
    buckets
}

/// As Prometheus' `histogram_quantile` has it: linear within a bucket, and the largest bound beyond it.
fn quantile(buckets: &[(f64, f64)], quantile: f64) -> f64 {
    let wanted = buckets.last().map_or(0.0, |&(_, count)| count) * quantile;
    let (mut from, mut below) = (0.0, 0.0);
    for &(bound, count) in buckets {
        if count >= wanted && count > below {
            return if bound.is_finite() { from + (bound - from) * (wanted - below) / (count - below) } else { from };
        }
        (from, below) = (bound, count);
    }
    f64::NAN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_read_out_of_a_histogram() {
        let text =
            "a_seconds_bucket{le=\"0.1\"} 50\na_seconds_bucket{le=\"0.3\"} 90\na_seconds_bucket{le=\"+Inf\"} 100\n";
        let buckets = buckets(text, "a_seconds");
        assert_eq!(buckets, [(0.1, 50.0), (0.3, 90.0), (f64::INFINITY, 100.0)]);
        assert!((quantile(&buckets, 0.5) - 0.1).abs() < 1e-9);
        assert!((quantile(&buckets, 0.7) - 0.2).abs() < 1e-9);
        assert!((quantile(&buckets, 0.99) - 0.3).abs() < 1e-9, "beyond the largest bound");
        assert!(quantile(&[], 0.5).is_nan());
        let later = vec![(0.1, 51.0), (0.3, 100.0), (f64::INFINITY, 111.0)];
        assert_eq!(since(&buckets, later), [(0.1, 1.0), (0.3, 10.0), (f64::INFINITY, 11.0)]);
    }
}
