//! How often something is done, as the command line has it.

use std::time::Duration;

/// Oftener than anybody can look.
const LEAST: Duration = Duration::from_millis(10);
/// More than any clock counts up to is no time: a year.
const MOST: Duration = Duration::from_secs(366 * 24 * 3600);

/// `2` and `0.5` are seconds; `500ms`, `2min` and the like are understood as well.
pub fn parse(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let time = seconds.or_else(|| humantime::parse_duration(text).ok());
    let time = time.filter(|time| (LEAST..=MOST).contains(time));
    time.ok_or_else(|| "a time from 10 ms to a year is wanted: 2, or 500ms".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(parse("1"), Ok(Duration::from_secs(1)));
        assert_eq!(parse("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("2min"), Ok(Duration::from_secs(120)));
        for text in ["", "0", "-1", "nan", "inf", "1e300", "1e19", "1e18", "0.001", "300years"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
