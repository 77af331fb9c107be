//! How results look: tables, and the bars with what was reached.

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use serde_json::Value;

use super::rounds::Summary;

/// What a measurement came to.
pub struct Part {
    /// All of it, for the file.
    pub result: Value,
    /// The bars it was held against.
    pub bars: Vec<Bar>,
}

impl Part {
    /// A result with its bars. Fails when the result cannot be written as JSON.
    pub fn new(result: impl Serialize, bars: impl IntoIterator<Item = Bar>) -> Result<Part> {
        Ok(Part { result: serde_json::to_value(result)?, bars: bars.into_iter().collect() })
    }
}

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

impl Bar {
    /// A ratio that must be at most this.
    pub fn at_most(work: &str, most: f64, ratio: &Summary) -> Bar {
        Bar { bar: format!("at most {most} ×"), reached: ratio.median <= most, ..Bar::of_ratio(work, ratio) }
    }

    /// A ratio that must be at least this.
    pub fn at_least(work: &str, least: f64, ratio: &Summary) -> Bar {
        Bar { bar: format!("at least {least} ×"), reached: ratio.median >= least, ..Bar::of_ratio(work, ratio) }
    }

    fn of_ratio(work: &str, ratio: &Summary) -> Bar {
        let measured = format!("{:.2} × (± {:.0} %)", ratio.median, ratio.spread_percent());
        Bar { work: work.to_string(), bar: String::new(), measured, reached: false }
    }
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

#[cfg(test)]
mod tests {
    use super::{Bar, Summary, bars_table};

    #[test]
    fn a_missed_bar_says_so() {
        let ratio = Summary::of(vec![2.0]);
        for (bar, reached) in [(1.9, false), (2.0, true)] {
            let bar = Bar::at_most("w", bar, &ratio);
            assert_eq!(bar.reached, reached);
            assert_eq!(bars_table(&[bar]).to_string().contains("not reached"), !reached);
        }
        assert!(Bar::at_least("w", 2.0, &ratio).reached && !Bar::at_least("w", 2.1, &ratio).reached);
    }
}
