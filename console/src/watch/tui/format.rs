//! Numbers, times and durations as people read them: in the words of the page (`console/web/format.js`).

use chrono::{DateTime, Local, TimeZone};

use crate::text::grouped;

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// What stands where there is no number.
pub const NONE: &str = "–";

/// A count: `12,345`.
pub fn count(value: i64) -> String {
    grouped(value)
}

/// A count where there is little room: `12.3K` from ten thousand on.
pub fn short(value: f64) -> String {
    let scaled = |by: f64, unit: &str| {
        let text = format!("{:.1}", value / by);
        format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text))
    };
    match value.abs() {
        size if size < 10_000.0 => count(value.round() as i64),
        size if size < 999_950.0 => scaled(1e3, "K"),
        size if size < 999_950_000.0 => scaled(1e6, "M"),
        size if size < 999_950_000_000.0 => scaled(1e9, "B"),
        _ => scaled(1e12, "T"),
    }
}

/// A count in at most so many columns: [`short`] where all its digits are too many.
pub fn fitted(value: i64, width: usize) -> String {
    let whole = count(value);
    if whole.len() <= width { whole } else { short(value as f64) }
}

/// Events a second: `0`, `0.4`, `7.2`, `143`.
pub fn rate(value: f64) -> String {
    match value {
        0.0 => "0".into(),
        value if value < 0.05 => "<0.1".into(),
        value if value < 9.95 => format!("{value:.1}"),
        value => count(value.round() as i64),
    }
}

/// `1 order`, `2 orders`.
pub fn plural(value: i64, one: &str) -> String {
    format!("{} {one}{}", count(value), if value == 1 { "" } else { "s" })
}

/// A part of a whole: `42 %`; never 100 % before it is all, nor 0 % of something.
pub fn percent(part: i64, all: i64) -> String {
    if all <= 0 {
        return NONE.into();
    }
    match 100.0 * part as f64 / all as f64 {
        value if value > 0.0 && value < 1.0 => "<1 %".into(),
        value if value > 99.0 && value < 100.0 => ">99 %".into(),
        value => format!("{value:.0} %"),
    }
}

/// A duration, to about three digits: `412 ms`, `1.4 s`, `38 s`, `4 min 05 s`, `2 h 10 min`, `3 d 4 h`.
pub fn duration(ms: i64) -> String {
    match ms.max(0) {
        ms if ms < SECOND_MS => format!("{ms} ms"),
        ms if ms < 10 * SECOND_MS => format!("{:.1} s", ms as f64 / SECOND_MS as f64),
        ms if ms < MINUTE_MS => format!("{} s", ms / SECOND_MS),
        ms if ms < HOUR_MS => format!("{} min {:02} s", ms / MINUTE_MS, ms % MINUTE_MS / SECOND_MS),
        ms if ms < DAY_MS => format!("{} h {:02} min", ms / HOUR_MS, ms % HOUR_MS / MINUTE_MS),
        ms => format!("{} d {} h", ms / DAY_MS, ms % DAY_MS / HOUR_MS),
    }
}

/// An age that is looked at while it grows: `0.4 s`, `12 s`, `4 min`.
pub fn age(ms: i64) -> String {
    match ms.max(0) {
        ms if ms < SECOND_MS => format!("{:.1} s", ms as f64 / SECOND_MS as f64),
        ms if (MINUTE_MS..HOUR_MS).contains(&ms) => format!("{} min", ms / MINUTE_MS),
        ms => duration(ms),
    }
}

/// What is left until a time, as a clock shows it: `0:41`, `12:05`, `1:02:03`, `3 d 04:05:06`.
pub fn countdown(ms: i64) -> String {
    let seconds = (ms.max(0) + SECOND_MS - 1) / SECOND_MS;
    let (days, hours, minutes) = (seconds / 86_400, seconds % 86_400 / 3_600, seconds % 3_600 / 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{:02}", seconds % 60),
        (0, hours) => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
        (days, hours) => format!("{days} d {hours:02}:{minutes:02}:{:02}", seconds % 60),
    }
}

fn local(ms: i64) -> Option<DateTime<Local>> {
    Local.timestamp_millis_opt(ms).single()
}

fn written(ms: i64, pattern: &str) -> String {
    local(ms).map_or_else(|| NONE.into(), |time| time.format(pattern).to_string())
}

/// A time of the day, in the reader's time zone: `14:03:22`.
pub fn clock(ms: i64) -> String {
    written(ms, "%H:%M:%S")
}

/// The same to the millisecond: `14:03:22.045`.
pub fn exact_clock(ms: i64) -> String {
    written(ms, "%H:%M:%S%.3f")
}

/// A time with its day, where that is not today's (`now_ms`).
pub fn moment(ms: i64, now_ms: i64) -> String {
    let day = |ms| local(ms).map(|time| time.date_naive());
    if day(ms) == day(now_ms) { clock(ms) } else { written(ms, "%Y-%m-%d %H:%M:%S") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_rates() {
        assert_eq!((count(12_345), count(-1)), ("12,345".into(), "-1".into()));
        let shorts = [9_999.0, 10_000.0, 12_345.0, 999_999.0, 1_234_567.0].map(short);
        assert_eq!(shorts, ["9,999", "10K", "12.3K", "1M", "1.2M"]);
        assert_eq!([1e15, 9_007_199_254_740_991.0].map(short), ["1000T", "9007.2T"]);
        assert_eq!([123_456_789, 1_234_567_890].map(|value| fitted(value, 11)), ["123,456,789", "1.2B"]);
        assert_eq!([0.0, 0.01, 0.4, 7.24, 143.2].map(rate), ["0", "<0.1", "0.4", "7.2", "143"]);
        assert_eq!(
            [(0, 0), (1, 300), (299, 300), (1, 2), (0, 5)].map(|(a, b)| percent(a, b)),
            ["–", "<1 %", ">99 %", "50 %", "0 %"]
        );
        assert_eq!((plural(1, "order"), plural(2_000, "order")), ("1 order".into(), "2,000 orders".into()));
    }

    #[test]
    fn durations_and_countdowns() {
        let ms = [412, 1_449, 38_999, 245_000, 7_800_000, 273_600_000];
        assert_eq!(ms.map(duration), ["412 ms", "1.4 s", "38 s", "4 min 05 s", "2 h 10 min", "3 d 4 h"]);
        assert_eq!([400, 12_300, 240_000].map(age), ["0.4 s", "12 s", "4 min"]);
        let left = [-5, 40_001, 725_000, 3_723_000, 273_906_000].map(countdown);
        assert_eq!(left, ["0:00", "0:41", "12:05", "1:02:03", "3 d 04:05:06"]);
    }
}
