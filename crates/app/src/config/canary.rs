//! `[canary]`: the records of our own that show that each partition flows.

use super::reader::Reader;

/// How often canaries are sent, if at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Canary {
    /// Between two rounds; `None`: none are sent.
    pub(crate) interval_ms: Option<u64>,
}

pub(super) fn canary(reader: &mut Reader<'_>) -> Canary {
    let key = "canary.interval_ms";
    let interval_ms: i64 = reader.number(key, 0, 3_600_000);
    if (1..1_000).contains(&interval_ms) {
        reader.wrong(key, &interval_ms.to_string(), "0 for none, or 1000 to 3600000, is right");
    }
    Canary { interval_ms: (interval_ms > 0).then(|| interval_ms.unsigned_abs()) }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    fn load(interval_ms: &str, late_ms: &str) -> Result<Config, Vec<String>> {
        let typed = [("SINYAL__CANARY__INTERVAL_MS", interval_ms), ("SINYAL__CANARY__LATE_MS", late_ms)];
        Config::load(None, typed.map(|(key, value)| (key.to_owned(), value.to_owned()))).map_err(|errors| errors.0)
    }

    #[test]
    fn none_are_sent_or_not_too_many() {
        assert_eq!(Config::load(None, []).unwrap().canary.interval_ms, Some(30_000));
        assert_eq!(load("0", "1000").unwrap().canary.interval_ms, None);
        assert_eq!(load("1000", "1000").unwrap().canary.interval_ms, Some(1_000));
        assert_eq!(
            load("999", "1000").unwrap_err(),
            ["canary.interval_ms is 999; 0 for none, or 1000 to 3600000, is right"]
        );
        assert_eq!(
            load("-1", "10").unwrap_err(),
            ["canary.late_ms is 10; 1000 to 1800000 is right", "canary.interval_ms is -1; 0 to 3600000 is right",]
        );
    }
}
