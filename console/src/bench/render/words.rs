//! Numbers as the pages show them.

use crate::text::grouped;

/// Digits that a measured number shows: more would claim more than was measured.
const DIGITS: i32 = 3;

/// To three digits, grouped: `123,000`, `1,230`, `12.3`, `1.23`.
pub fn rounded(number: f64) -> String {
    if number <= 0.0 {
        return "0".into();
    }
    let decimals = DIGITS - 1 - number.log10().floor() as i32;
    let unit = 10f64.powi(-decimals);
    let shown = (number / unit).round() * unit;
    match decimals {
        ..=0 => grouped(shown.round() as i64),
        _ => format!("{number:.*}", decimals as usize),
    }
}

/// How many times as much: `8.3`, `31`.
pub fn ratio(above: f64, below: f64) -> String {
    let ratio = above / below;
    if ratio < 9.95 { format!("{ratio:.1}") } else { grouped(ratio.round() as i64) }
}

/// Microseconds as milliseconds, to three digits at most, and no part of a microsecond.
pub fn as_ms(us: u64) -> String {
    let ms = us as f64 / 1e3;
    if us < 1_000 { format!("{ms:.3}") } else { rounded(ms) }
}

/// A power of ten, as an axis shows it: `1 M`, `100 k`, `10`, `0.1`.
pub fn power(exponent: i32) -> String {
    match exponent {
        6.. => format!("{} M", grouped(10i64.pow(exponent as u32 - 6))),
        3.. => format!("{} k", 10i64.pow(exponent as u32 - 3)),
        _ => power_in_full(exponent),
    }
}

/// A power of ten with all its zeros: `1,000`, `0.1`.
pub fn power_in_full(exponent: i32) -> String {
    match exponent {
        0.. => grouped(10i64.pow(exponent as u32)),
        _ => format!("{:.*}", exponent.unsigned_abs() as usize, 10f64.powi(exponent)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let numbers = [123_456.0, 1_234.4, 12.345, 1.234, 0.0456, 999.6, 0.0].map(rounded);
        assert_eq!(numbers, ["123,000", "1,230", "12.3", "1.23", "0.0456", "1,000", "0"]);
        assert_eq!([ratio(83.0, 10.0), ratio(310.0, 10.0)], ["8.3", "31"]);
        assert_eq!([6, 5, 1, 0, -1].map(power), ["1 M", "100 k", "10", "1", "0.1"]);
    }
}
