//! Requests to a target, and what their outcome means.

use std::time::Duration;

use record::EpochMs;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};

use crate::config::{Target, TargetKind};
use crate::outgoing::{Outgoing, detail};

/// Longest pause that a target may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);
/// What is read of an answer, so that its connection can be used again.
const ANSWER_BYTES_MAX: u64 = 65_536;

/// A request that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// What happened, without anything of the request or of what was answered.
    pub(super) detail: String,
    /// The same again would be refused again.
    pub(super) for_good: bool,
    /// The target may have taken it all the same.
    pub(super) may_have_arrived: bool,
    /// When the target wants to be asked again.
    pub(super) retry_after: Option<Duration>,
}

/// A client of one target.
pub(super) struct Client {
    outgoing: Outgoing,
}

impl Client {
    pub(super) fn new(target: &Target, timeout: Duration) -> Client {
        Client { outgoing: Outgoing::new(&target.access, timeout) }
    }

    /// Posts a body.
    ///
    /// # Errors
    /// Whatever is not a status of success.
    pub(super) fn post(&self, url: &str, headers: &[(&str, String)], body: &[u8], now: EpochMs) -> Result<(), Failure> {
        let mut request = self.outgoing.agent().post(url).header(CONTENT_TYPE, "application/json");
        if let Some(authorization) = self.outgoing.authorization() {
            request = request.header(AUTHORIZATION, authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let mut response = request.send(body).map_err(|error| unanswered(&error))?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|value| pause(value, now));
        let _ = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        if (200..300).contains(&status) {
            return Ok(());
        }
        Err(Failure {
            detail: format!("status {status}"),
            for_good: matches!(status, 400 | 413 | 415 | 422),
            // A gateway says so of what it has passed on.
            may_have_arrived: status >= 500,
            retry_after: retry_after.filter(|_| matches!(status, 429 | 503)),
        })
    }

    /// Asks whether somebody is there, without telling anything.
    ///
    /// # Errors
    /// What would have to be mended.
    pub(super) fn ask(&self, target: &Target) -> Result<String, String> {
        let is_alertmanager = target.kind == TargetKind::Alertmanager;
        let mut request = match is_alertmanager {
            true => self.outgoing.agent().get(format!("{}/api/v2/status", target.url)),
            false => self.outgoing.agent().head(&target.url),
        };
        if let Some(authorization) = self.outgoing.authorization() {
            request = request.header(AUTHORIZATION, authorization);
        }
        let status = request.call().map_err(|error| format!("no answer: {}", detail(&error)))?.status().as_u16();
        match (is_alertmanager, status) {
            (true, 200..300) => Ok("Alertmanager answers".to_owned()),
            (true, _) => Err(format!("status {status} of /api/v2/status; is it an Alertmanager's root?")),
            (false, 401 | 403) => Err(format!("status {status}; is it authorised as the target wants?")),
            // Most hooks take nothing but POST, and say so.
            (false, _) => Ok(format!("it answers (status {status} to HEAD)")),
        }
    }
}

fn unanswered(error: &ureq::Error) -> Failure {
    let (detail, may_have_arrived) = match error {
        ureq::Error::HostNotFound => ("the host's name is not known".to_owned(), false),
        ureq::Error::ConnectionFailed => ("no connection".to_owned(), false),
        ureq::Error::Timeout(timeout) => (
            format!("no answer in time ({timeout:?})"),
            !matches!(timeout, ureq::Timeout::Resolve | ureq::Timeout::Connect),
        ),
        ureq::Error::Io(error) => {
            (format!("connection: {}", error.kind()), error.kind() != std::io::ErrorKind::ConnectionRefused)
        }
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => (format!("TLS: {error}"), false),
        other => (other.to_string(), true),
    };
    Failure { detail, for_good: false, may_have_arrived, retry_after: None }
}

/// `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
pub(crate) fn pause(value: &str, now: EpochMs) -> Option<Duration> {
    let value = value.trim();
    let pause = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp().as_millisecond();
            Duration::from_millis(u64::try_from(at - now).unwrap_or(0))
        }
    };
    Some(pause.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let check = |value: &str, expected: Option<u64>| {
            let now = 1_445_412_480_000; // Wed, 21 Oct 2015 07:28:00 GMT
            assert_eq!(pause(value, now), expected.map(Duration::from_secs), "{value}");
        };
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("999999", Some(3_600));
        check("Wed, 21 Oct 2015 07:28:30 GMT", Some(30));
        check("Wed, 21 Oct 2015 07:00:00 GMT", Some(0));
        check("soon", None);
    }
}
