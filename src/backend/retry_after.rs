//! `Retry-After` (RFC 9110, section 10.2.3): seconds or a date.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// How long to wait by the reply's `Retry-After`; a date is seen from `now`, which is asked only
/// then, and one that has passed is no wait. `None` where there is none or it makes no sense. Not capped: more seconds than 64 bits
/// hold are as many as they do.
pub(super) fn retry_after(
    headers: &HeaderMap,
    now: impl FnOnce() -> SystemTime,
) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now()).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// 1994-11-06 08:49:37 UTC, the date of RFC 9110's examples.
    const NOVEMBER: Duration = Duration::from_secs(784_111_777);

    fn parse(value: &'static [u8]) -> Option<Duration> {
        let headers = [(RETRY_AFTER, HeaderValue::from_bytes(value).unwrap())];
        retry_after(&headers.into_iter().collect(), || SystemTime::UNIX_EPOCH + NOVEMBER)
    }

    #[test]
    fn seconds_and_dates_are_understood_and_garbage_ignored() {
        let table: [(&[u8], Option<u64>); 16] = [
            (b"0", Some(0)),
            (b"120", Some(120)),
            (b" 7 ", Some(7)),
            (b"007", Some(7)),
            (b"99999999999999999999999999", Some(u64::MAX)),
            (b"Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            (b"Sunday, 06-Nov-94 08:49:47 GMT", Some(10)),
            (b"Sun Nov  6 08:49:47 1994", Some(10)),
            (b"Sun, 06 Nov 1994 08:49:07 GMT", Some(0)),
            (b"", None),
            (b"-1", None),
            (b"+1", None),
            (b"1.5", None),
            (b"soon", None),
            (b"Sun, 99 Nov 1994 08:49:47 GMT", None),
            (b"\xff", None),
        ];
        for (value, seconds) in table {
            assert_eq!(parse(value), seconds.map(Duration::from_secs), "{value:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), SystemTime::now), None);
    }
}
