//! How results look: tables, and the bars with what was reached.

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

/// One thing the module is to reach, and what was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Bar {
    /// The work that was done.
    pub work: String,
    /// What is wanted.
    pub bar: String,
    /// What was seen.
    pub measured: String,
    /// Whether that is enough.
    pub reached: bool,
}

/// A table with the first column to the left and all others, numbers, to the right.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header.to_vec()).add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The final table: every bar that was measured.
pub fn bars_table(bars: &[Bar]) -> Table {
    let rows = bars.iter().map(|bar| {
        let verdict = if bar.reached { "reached" } else { "not reached" };
        vec![bar.work.clone(), bar.bar.clone(), bar.measured.clone(), verdict.to_string()]
    });
    table(&["work", "bar", "measured", ""], rows)
}

/// `n` with its digits in groups of three.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let (head, groups) = digits.split_at((digits.len() - 1) % 3 + 1);
    let mut out = head.to_string();
    for group in groups.as_bytes().chunks(3) {
        out.push(',');
        out.extend(group.iter().map(|digit| char::from(*digit)));
    }
    out
}

/// Microseconds as milliseconds.
pub fn ms(us: u64) -> String {
    format!("{:.2} ms", us as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::{Bar, bars_table, ms, thousands};

    #[test]
    fn groups_digits() {
        assert_eq!(thousands(7), "7");
        assert_eq!(thousands(1_234), "1,234");
        assert_eq!(thousands(123_456), "123,456");
        assert_eq!(thousands(5_000_000), "5,000,000");
    }

    #[test]
    fn tells_milliseconds() {
        assert_eq!(ms(1_234), "1.23 ms");
    }

    #[test]
    fn a_missed_bar_says_so() {
        let bar = |reached| Bar { work: "w".into(), bar: "b".into(), measured: "m".into(), reached };
        assert!(bars_table(&[bar(false)]).to_string().contains("not reached"));
        assert!(!bars_table(&[bar(true)]).to_string().contains("not reached"));
    }
}
