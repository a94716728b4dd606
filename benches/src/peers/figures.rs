//! Figures of several runs: the median, the range, and what each run said, which is kept.

use std::fmt;
use std::io::Write;

use anyhow::Result;
use serde_json::{Map, Value, json};

/// What is measured in a run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Figure {
    /// In what `--json` prints.
    pub(super) key: &'static str,
    /// In tables: the unit.
    pub(super) column: &'static str,
    /// Above its bars.
    pub(super) title: &'static str,
    /// Behind the point.
    pub(super) digits: usize,
}

macro_rules! figures {
    ($($name:ident $key:literal $digits:literal $column:literal $title:literal)+) => {
        $(pub(super) const $name: Figure = Figure { key: $key, column: $column, title: $title, digits: $digits };)+
        /// All of them, in the order in which they are shown.
        pub(super) const ALL: &[Figure] = &[$($name),+];
    };
}

figures! {
    CPU "cpu_seconds_per_million" 1 "CPU-seconds per million" "CPU-seconds per million interactions (less is better)"
    RATE "records_per_second" 0 "interactions/s" "interactions per second (more is better)"
    RESIDENT "peak_resident_mib" 0 "resident at most, MiB" "peak resident memory, MiB (less is better)"
    ITEM_P50 "item_p50_seconds" 3 "queue item p50, s" "from a raw record to its queue item, median, s (less is better)"
    ITEM_P99 "item_p99_seconds" 3 "queue item p99, s" "the same, 99th percentile, s"
    ROW_P50 "row_p50_seconds" 1 "row p50, s" "from when a row is due by event time until it is seen, median, s (less is better)"
    ROW_P99 "row_p99_seconds" 1 "row p99, s" "the same, 99th percentile, s"
    FED "fed_per_second" 0 "fed, interactions/s" "raw interactions per second, as they came"
    FIRST_ROW "first_row_seconds" 1 "first row, s" "from the start of the process to the first row, s (less is better)"
    CAUGHT_UP "caught_up_seconds" 1 "caught up, s" "from the start of the process until all is committed, s (less is better)"
}

/// The figures of one run.
pub(super) type Measured = Vec<(&'static Figure, f64)>;

/// A line for people, and what is kept: what was measured of a case, in runs that all have the same figures; `more` says how.
pub(super) fn tell(case: &str, more: Value, runs: &[Measured]) -> Result<Value> {
    let mut told = Map::new();
    told.insert("case".to_owned(), json!(case));
    told.extend(more.as_object().cloned().unwrap_or_default());
    let mut said = Vec::new();
    for (at, (figure, _)) in runs.first().into_iter().flatten().enumerate() {
        let spread = Spread::of(runs.iter().filter_map(|run| run.get(at)).map(|(_, value)| *value));
        said.push(format!("{spread:.digits$} {column}", digits = figure.digits, column = figure.column));
        told.insert(figure.key.to_owned(), spread.json());
    }
    let of_run =
        |run: &Measured| run.iter().map(|(figure, value)| (figure.key.to_owned(), json!(value))).collect::<Map<_, _>>();
    told.insert("runs".to_owned(), json!(runs.iter().map(of_run).collect::<Vec<_>>()));
    writeln!(std::io::stdout().lock(), "{case:<60} {}; {} runs", said.join(", "), runs.len())?;
    Ok(Value::Object(told))
}

/// What is told of a candidate that could not do it, which is a result too: what others did is not lost by that.
pub(super) fn failure(case: &str, error: &anyhow::Error) -> Result<Value> {
    writeln!(std::io::stdout().lock(), "{case:<60} FAILED: {error:#}")?;
    Ok(json!({ "case": case, "failed": format!("{error:#}") }))
}

/// The same of each case, in their order.
pub(super) fn tell_each(
    cases: impl Iterator<Item = String>,
    more: &Value,
    measured: Vec<Result<Vec<Measured>>>,
) -> Result<Vec<Value>> {
    let told = cases.zip(measured).map(|(case, runs)| match runs {
        Ok(runs) => tell(&case, more.clone(), &runs),
        Err(error) => failure(&case, &error),
    });
    told.collect()
}

/// Runs each of these so many times, in turns, of which each begins with the next; one that failed is not run again.
pub(super) fn in_turns<C, T>(
    candidates: &[C],
    rounds: usize,
    mut run: impl FnMut(usize, &C, usize) -> Result<T>,
) -> Vec<Result<Vec<T>>> {
    let mut measured: Vec<Result<Vec<T>>> = candidates.iter().map(|_| Ok(Vec::new())).collect();
    for round in 0..rounds {
        // Nobody has the coldest broker each time.
        for at in (0..candidates.len()).map(|turn| (turn + round) % candidates.len()) {
            if let Ok(done) = &mut measured[at] {
                match run(at, &candidates[at], round) {
                    Ok(one) => done.push(one),
                    Err(error) => measured[at] = Err(error),
                }
            }
        }
    }
    measured
}

/// The median and the range of a figure.
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Spread {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let at = |place: usize| figures.get(place).copied().unwrap_or(f64::NAN);
        Spread { median: at(figures.len() / 2), min: at(0), max: at(figures.len().saturating_sub(1)) }
    }

    fn json(&self) -> Value {
        json!({ "median": self.median, "min": self.min, "max": self.max })
    }

    /// Of a figure of what was told, if it has that.
    pub(super) fn in_told(told: &Value, figure: &Figure) -> Option<Spread> {
        let number = |of: &str| told[figure.key][of].as_f64();
        Some(Spread { median: number("median")?, min: number("min")?, max: number("max")? })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(0);
        write!(f, "{:.digits$} ({:.digits$} to {:.digits$})", self.median, self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn what_each_run_said_is_kept_beside_the_median_and_the_range() {
        let runs: Vec<Measured> =
            [3.0, 1.0, 2.0].iter().map(|value| vec![(&CPU, *value), (&RATE, value * 10.0)]).collect();
        let told = tell("one", json!({ "records": 5 }), &runs).unwrap();
        assert_eq!(told["records"], 5);
        assert_eq!(told[CPU.key], json!({ "median": 2.0, "min": 1.0, "max": 3.0 }));
        assert_eq!(told["runs"][0], json!({ CPU.key: 3.0, RATE.key: 30.0 }));
        assert_eq!(Spread::in_told(&told, &CPU).unwrap().to_string(), "2 (1 to 3)");
        assert!(Spread::in_told(&told, &RESIDENT).is_none());
    }

    #[test]
    fn turns_begin_with_another_each_time_and_who_failed_is_left_out() {
        let mut order = Vec::new();
        let measured = in_turns(&["a", "b", "c"], 3, |at, name, round| {
            order.push(*name);
            if (at, round) == (1, 1) { bail!("it ended") } else { Ok(round) }
        });
        assert_eq!(order.concat(), "abcbcaca".to_owned(), "b failed in the second round");
        assert_eq!(measured[0].as_ref().unwrap(), &[0, 1, 2]);
        assert!(measured[1].is_err());
    }
}
