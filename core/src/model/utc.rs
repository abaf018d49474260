//! Times in text, where no app sees them: names of files, signatures.

use std::time::Duration;

use x509_cert::der::DateTime;

/// Unix seconds as in `20260131T235959Z`; at most the end of the year 9999.
pub(crate) fn compact(unix_s: u64) -> String {
    let time = DateTime::from_unix_duration(Duration::from_secs(unix_s)).unwrap_or(DateTime::INFINITY);
    let (year, month, day) = (time.year(), time.month(), time.day());
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", time.hour(), time.minutes(), time.seconds())
}

#[cfg(test)]
mod tests {
    use super::compact;

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(compact(0), "19700101T000000Z");
        assert_eq!(compact(951_782_399), "20000228T235959Z");
        assert_eq!(compact(951_782_400), "20000229T000000Z");
        assert_eq!(compact(1_795_867_384), "20261128T120304Z");
        assert_eq!(compact(u64::MAX), "99991231T235959Z");
    }
}
