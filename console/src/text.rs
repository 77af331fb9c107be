//! Numbers, durations and colours as people read them.

use std::io::IsTerminal;
use std::time::Duration;

use crossterm::style::{StyledContent, Stylize};

/// `format!`, with every argument a number whose digits are grouped: `counted!("{} units", 1_000)` is `1,000 units`.
macro_rules! counted {
    ($text:literal, $($number:expr),+ $(,)?) => { format!($text, $($crate::text::grouped($number)),+) };
}
pub(crate) use counted;

/// `1234567` as `1,234,567`.
pub fn grouped(number: impl Into<i128>) -> String {
    let number = number.into();
    let digits = number.unsigned_abs().to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    format!("{}{}", if number < 0 { "-" } else { "" }, groups.join(","))
}

/// A measured time in the unit that suits it: `84 µs`, `1.2 ms`, `3.4 s`.
pub fn measured(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..100_000 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        100_000..1_000_000 => format!("{:.0} ms", time.as_secs_f64() * 1e3),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// Microseconds as milliseconds, `1.23 ms`.
pub fn ms(micros: u64) -> String {
    format!("{:.2} ms", micros as f64 / 1e3)
}

/// A time on a clock: `01:05`, `1:02:03`.
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours == 0 { format!("{minutes:02}:{rest:02}") } else { format!("{hours}:{minutes:02}:{rest:02}") }
}

/// Colours for a terminal; plain text anywhere else, or where NO_COLOR asks for none.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Paint for standard output.
    pub fn for_stdout() -> Paint {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Paint { on: wanted && std::io::stdout().is_terminal() }
    }

    fn apply(self, text: impl Into<String>, style: fn(StyledContent<String>) -> StyledContent<String>) -> String {
        let text = text.into();
        if self.on { style(text.stylize()).to_string() } else { text }
    }
}

/// The ways in which a text can be painted, each with its colour.
macro_rules! paints {
    ($($(#[$doc:meta])* $name:ident $style:expr;)*) => {
        impl Paint {
            $($(#[$doc])* pub fn $name(self, text: impl Into<String>) -> String { self.apply(text, $style) })*
        }
    };
}
paints! {
    /// What the eye should find first.
    strong |text| text.bold();
    /// What may stay in the background: labels.
    quiet |text| text.dark_grey();
    good |text| text.green();
    /// Worth a look, not wrong.
    warm |text| text.yellow();
    /// Work under way.
    cool |text| text.cyan();
    bad |text| text.red().bold();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_in_a_text_are_grouped() {
        assert_eq!(counted!("{} of {} of {} units", 0, 999_u64, -1_234_567_i64), "0 of 999 of -1,234,567 units");
    }

    #[test]
    fn picks_the_unit() {
        let texts = [84, 1_240, 640_000, 3_400_000].map(|micros| measured(Duration::from_micros(micros)));
        assert_eq!(texts, ["84 µs", "1.2 ms", "640 ms", "3.4 s"]);
        assert_eq!(clock(Duration::from_secs(65)), "01:05");
        assert_eq!(clock(Duration::from_secs(3_723)), "1:02:03");
    }
}
