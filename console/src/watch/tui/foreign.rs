//! Text that others wrote: keys, ids, reasons. It is shown, and can do nothing to the terminal.

use std::fmt::Write;

use unicode_properties::{GeneralCategory as Category, GeneralCategoryGroup as Group, UnicodeGeneralCategory};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Marks that may follow each other on one letter: more of them climb over the lines above.
const MARKS_MAX: usize = 2;

/// Text with everything escaped that is no plain character: control characters and escape sequences, characters that
/// turn the direction of writing or have no width, and more marks than fit on one letter.
pub fn safe(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut marks = 0;
    for char in text.chars() {
        let (category, group) = (char.general_category(), char.general_category_group());
        let is_mark = group == Group::Mark;
        marks = if is_mark { marks + 1 } else { 0 };
        let is_hidden = matches!(category, Category::LineSeparator | Category::ParagraphSeparator)
            || group == Group::Other
            || (!is_mark && char.width().unwrap_or(0) == 0);
        // A mark at the very beginning would sit on whatever stands before it.
        if is_hidden || marks > MARKS_MAX || (is_mark && shown.is_empty()) {
            escape(&mut shown, char);
        } else {
            shown.push(char);
        }
    }
    shown
}

fn escape(shown: &mut String, char: char) {
    // Writing to a string cannot fail.
    let _ = match u32::from(char) {
        code @ 0..0x80 => write!(shown, "\\x{code:02x}"),
        code => write!(shown, "\\u{{{code:x}}}"),
    };
}

/// How many columns of the terminal a text takes.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// As much of a text as fits into `width` columns; `…` marks that something is cut off.
pub fn fit(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_string();
    }
    let mut shown = String::new();
    let mut used = 0;
    for char in text.chars() {
        used += char.width().unwrap_or(0);
        if used + 1 > width {
            break;
        }
        shown.push(char);
    }
    if width > 0 {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_but_plain_characters() {
        assert_eq!(safe("\x1b[2J\x07o-1\r\n"), "\\x1b[2J\\x07o-1\\x0d\\x0a");
        assert_eq!(safe("a\u{9b}31m\u{7f}"), "a\\u{9b}31m\\x7f");
        assert_eq!(safe("evil\u{202e}txt\u{200b}\u{2028}\u{feff}"), "evil\\u{202e}txt\\u{200b}\\u{2028}\\u{feff}");
        assert_eq!(safe("\u{301}e\u{301}\u{301}\u{301}"), "\\u{301}e\u{301}\u{301}\\u{301}");
        for text in ["pöpup", "店舗-7", "o-1001", "👟 mug", "שלום"] {
            assert_eq!(safe(text), text);
        }
    }

    #[test]
    fn wide_text_is_cut_by_columns() {
        assert_eq!(fit("店舗店舗", 8), "店舗店舗");
        assert_eq!(fit("店舗店舗", 7), "店舗店…");
        assert_eq!(fit("店舗店舗", 6), "店舗…");
        assert_eq!(fit("abc", 2), "a…");
        assert_eq!((fit("abc", 0), fit("", 0)), (String::new(), String::new()));
    }
}
