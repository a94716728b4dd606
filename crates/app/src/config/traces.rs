//! `[telemetry.traces]`: which records are followed, and who is told.

use super::reader::Reader;

/// Checked settings of traces.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TraceSettings {
    /// The collector's address, to which `/v1/traces` is added.
    pub(crate) endpoint: String,
    /// Of raw records without a trace context, 0 to 1.
    pub(crate) share: f64,
    pub(crate) spans_per_second_max: f64,
    /// Most spans on their way to the collector.
    pub(crate) queue_max: usize,
    pub(crate) timeout_ms: u64,
}

/// `None` where no collector is named: nothing is traced.
pub(super) fn traces(reader: &mut Reader<'_>) -> Option<TraceSettings> {
    const ENDPOINT: &str = "telemetry.traces.endpoint";
    const SHARE: &str = "telemetry.traces.share";
    let endpoint = reader.text(ENDPOINT);
    let share = reader.real(SHARE).unwrap_or(0.0);
    if !(0.0..=1.0).contains(&share) {
        reader.wrong(SHARE, &share.to_string(), "0 to 1 is right");
    }
    let settings = TraceSettings {
        endpoint: endpoint.trim_end_matches('/').to_owned(),
        share,
        spans_per_second_max: f64::from(reader.number::<u32>("telemetry.traces.spans_per_second_max", 1, 100_000)),
        queue_max: reader.number("telemetry.traces.queue_max", 1, 1_000_000),
        timeout_ms: reader.number("telemetry.traces.timeout_ms", 10, 60_000),
    };
    if endpoint.is_empty() {
        return None;
    }
    let parsed: Option<ureq::http::Uri> = endpoint.parse().ok();
    let is_address = parsed.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && uri.query().is_none()
    });
    if !is_address || settings.endpoint.ends_with("/v1/traces") {
        // It is not shown: there may be a password in it.
        reader.errors.push(format!(
            "{ENDPOINT} is no address of a collector; one such as \"http://collector:4318\", without a name, a password and \
             /v1/traces, is right"
        ));
        return None;
    }
    Some(settings)
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    fn load(keys: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let keys = keys.iter().map(|(key, value)| (format!("SINYAL__TELEMETRY__TRACES__{key}"), (*value).to_owned()));
        Config::load(None, keys).map_err(|errors| errors.0)
    }

    #[test]
    fn off_unless_a_collector_is_named() {
        assert_eq!(load(&[]).unwrap().traces, None);
        let traces = load(&[("ENDPOINT", "http://collector:4318/")]).unwrap().traces.unwrap();
        assert_eq!((traces.endpoint.as_str(), traces.share, traces.queue_max), ("http://collector:4318", 0.001, 2_048));
    }

    #[test]
    fn each_mistake_is_told_and_no_password() {
        let wrong = [("ENDPOINT", "http://me:rahasia@collector"), ("SHARE", "2"), ("QUEUE_MAX", "0")];
        let errors = load(&wrong).unwrap_err();
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert_eq!(errors[0], "telemetry.traces.share is 2; 0 to 1 is right");
        assert!(errors[2].starts_with("telemetry.traces.endpoint is no address"), "{errors:?}");
        assert!(!errors.join(" ").contains("rahasia"));
        for endpoint in ["collector:4317", "http://collector:4318/v1/traces", "http://collector?a=b"] {
            assert_eq!(load(&[("ENDPOINT", endpoint)]).unwrap_err().len(), 1, "{endpoint}");
        }
    }
}
