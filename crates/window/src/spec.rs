//! Which windows there are, and the levels of slices that serve them.

use record::EpochMs;

/// A rolling window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowSpec {
    /// Its name in keys and rows, e.g. `1h`.
    pub name: String,
    /// Its length, in milliseconds; a multiple of the slide.
    pub length_ms: i64,
    /// Panes end at each multiple of the slide from the epoch on, in milliseconds.
    pub slide_ms: i64,
    /// How long after its end a pane is still corrected, in milliseconds of event time.
    pub lateness_ms: i64,
}

/// Why a list of windows cannot be used. Each names the window and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// None at all, or too many.
    #[error("{0} windows; 1 to {max} are right", max = WindowSet::WINDOWS_MAX)]
    Number(usize),
    /// A name that is empty, too long or taken.
    #[error("window name {0:?}: 1 to 32 bytes, each name once, are right")]
    Name(String),
    /// A length or a slide that is not positive, or a lateness that is negative.
    #[error("window {0:?}: length and slide must be positive, lateness not negative, all at most 400 days")]
    Range(String),
    /// A length that is no multiple of the slide.
    #[error("window {name:?}: length {length_ms} ms is no multiple of slide {slide_ms} ms")]
    Length {
        /// The window.
        name: String,
        /// Its length.
        length_ms: i64,
        /// Its slide.
        slide_ms: i64,
    },
    /// More slides within a window and its lateness than can be summed for each of its panes.
    #[error("window {name:?}: {slides} slides of {slide_ms} ms in its length and lateness; at most {max} are right", max = WindowSet::SLIDES_MAX)]
    Slides {
        /// The window.
        name: String,
        /// Its slide.
        slide_ms: i64,
        /// How many of them.
        slides: i64,
    },
    /// A slide that is no multiple of a shorter one.
    #[error(
        "window {name:?}: slide {slide_ms} ms is no multiple of the shorter slide {shorter_ms} ms of another window"
    )]
    Slide {
        /// The window.
        name: String,
        /// Its slide.
        slide_ms: i64,
        /// The other window's slide.
        shorter_ms: i64,
    },
}

/// One level of slices: as long as a slide, kept as long as a window of this slide or a shorter one needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) size_ms: i64,
    /// A slice leaves the level when the watermark is this far behind its end.
    pub(crate) keep_ms: i64,
}

/// A checked list of windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowSet {
    specs: Vec<WindowSpec>,
    /// Of each window, its level.
    window_levels: Vec<usize>,
    levels: Vec<Level>,
}

/// The longest time that a window may span: windows are for rolling figures, not for archives.
const SPAN_MS_MAX: i64 = 400 * 24 * 3_600_000;

impl WindowSet {
    /// Most windows.
    pub const WINDOWS_MAX: usize = 8;
    /// Most slides in the length and the lateness of a window: each is a slice that is kept, and that panes sum.
    pub const SLIDES_MAX: i64 = 10_000;

    /// Checks a list of windows.
    ///
    /// # Errors
    /// The first [`WindowError`] of the list.
    pub fn new(specs: Vec<WindowSpec>) -> Result<WindowSet, WindowError> {
        if specs.is_empty() || specs.len() > WindowSet::WINDOWS_MAX {
            return Err(WindowError::Number(specs.len()));
        }
        for (at, spec) in specs.iter().enumerate() {
            check(spec, &specs[..at])?;
        }
        let mut sizes: Vec<i64> = specs.iter().map(|spec| spec.slide_ms).collect();
        sizes.sort_unstable();
        sizes.dedup();
        for pair in sizes.windows(2) {
            if pair[1] % pair[0] != 0 {
                let name = specs.iter().find(|spec| spec.slide_ms == pair[1]).map(|spec| spec.name.clone());
                return Err(WindowError::Slide {
                    name: name.unwrap_or_default(),
                    slide_ms: pair[1],
                    shorter_ms: pair[0],
                });
            }
        }
        let levels = sizes.iter().map(|&size_ms| {
            let served = specs.iter().filter(|spec| spec.slide_ms <= size_ms);
            Level { size_ms, keep_ms: served.map(|spec| spec.length_ms + spec.lateness_ms).max().unwrap_or(0) }
        });
        let levels: Vec<Level> = levels.collect();
        let level_of = |spec: &WindowSpec| sizes.iter().position(|&size| size == spec.slide_ms).unwrap_or(0);
        let window_levels = specs.iter().map(level_of).collect();
        Ok(WindowSet { specs, window_levels, levels })
    }

    /// The windows of the design: 5 min/10 s, 1 h/1 min, 24 h/15 min, 7 d/1 h, late by up to 5 min, 1 h, 24 h, 24 h.
    pub fn standard() -> WindowSet {
        const MINUTE_MS: i64 = 60_000;
        const HOUR_MS: i64 = 60 * MINUTE_MS;
        let spec = |name: &str, length_ms, slide_ms, lateness_ms| WindowSpec {
            name: name.to_owned(),
            length_ms,
            slide_ms,
            lateness_ms,
        };
        let specs = vec![
            spec("5m", 5 * MINUTE_MS, 10_000, 5 * MINUTE_MS),
            spec("1h", HOUR_MS, MINUTE_MS, HOUR_MS),
            spec("24h", 24 * HOUR_MS, 15 * MINUTE_MS, 24 * HOUR_MS),
            spec("7d", 7 * 24 * HOUR_MS, HOUR_MS, 24 * HOUR_MS),
        ];
        WindowSet::new(specs).unwrap_or_else(|error| unreachable!("the standard windows are valid: {error}"))
    }

    /// The windows, in their order.
    pub fn specs(&self) -> &[WindowSpec] {
        &self.specs
    }

    /// How far behind the watermark an interaction may still count, in milliseconds: the longest window and its lateness.
    pub fn horizon_ms(&self) -> i64 {
        self.levels.last().map_or(0, |level| level.keep_ms + level.size_ms)
    }

    /// The length of the finest slices, in milliseconds: the shortest slide. All change comes at their ends.
    pub fn slice_ms(&self) -> i64 {
        self.levels()[0].size_ms
    }

    pub(crate) fn levels(&self) -> &[Level] {
        &self.levels
    }

    pub(crate) fn level_of(&self, window: usize) -> usize {
        self.window_levels[window]
    }
}

impl WindowSpec {
    /// The start of the slide that a time is in.
    pub(crate) fn slide_start(&self, time: EpochMs) -> EpochMs {
        floor(time, self.slide_ms)
    }
}

/// The largest multiple of `size` that is not after `time`; right for times before the epoch, too.
pub(crate) fn floor(time: EpochMs, size: i64) -> EpochMs {
    time - time.rem_euclid(size)
}

fn check(spec: &WindowSpec, before: &[WindowSpec]) -> Result<(), WindowError> {
    if spec.name.is_empty() || spec.name.len() > 32 || before.iter().any(|other| other.name == spec.name) {
        return Err(WindowError::Name(spec.name.clone()));
    }
    let within = |value: i64, least: i64| (least..=SPAN_MS_MAX).contains(&value);
    if !within(spec.length_ms, 1) || !within(spec.slide_ms, 1) || !within(spec.lateness_ms, 0) {
        return Err(WindowError::Range(spec.name.clone()));
    }
    if spec.length_ms % spec.slide_ms != 0 {
        let WindowSpec { name, length_ms, slide_ms, .. } = spec.clone();
        return Err(WindowError::Length { name, length_ms, slide_ms });
    }
    let slides = (spec.length_ms + spec.lateness_ms) / spec.slide_ms;
    if slides > WindowSet::SLIDES_MAX {
        return Err(WindowError::Slides { name: spec.name.clone(), slide_ms: spec.slide_ms, slides });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, length_ms: i64, slide_ms: i64) -> WindowSpec {
        WindowSpec { name: name.to_owned(), length_ms, slide_ms, lateness_ms: 0 }
    }

    #[test]
    fn names_what_is_wrong() {
        let check = |specs: Vec<WindowSpec>, expected: &str| {
            assert_eq!(WindowSet::new(specs).err().map(|error| error.to_string()).as_deref(), Some(expected));
        };
        check(vec![], "0 windows; 1 to 8 are right");
        check(vec![spec("a", 10, 5), spec("a", 10, 5)], "window name \"a\": 1 to 32 bytes, each name once, are right");
        check(vec![spec("a", 10, 3)], "window \"a\": length 10 ms is no multiple of slide 3 ms");
        check(
            vec![spec("a", 10, 10), spec("b", 15, 15)],
            "window \"b\": slide 15 ms is no multiple of the shorter slide 10 ms of another window",
        );
        assert!(WindowSet::new(vec![spec("a", 10_000, 1)]).is_ok());
        check(
            vec![WindowSpec { lateness_ms: 5_001, ..spec("a", 5_000, 1) }],
            "window \"a\": 10001 slides of 1 ms in its length and lateness; at most 10000 are right",
        );
        check(
            vec![spec("a", 0, 10)],
            "window \"a\": length and slide must be positive, lateness not negative, all at most 400 days",
        );
    }

    #[test]
    fn floors_times_before_the_epoch_too() {
        assert_eq!((floor(-1, 10), floor(-10, 10), floor(9, 10)), (-10, -10, 0));
    }
}
