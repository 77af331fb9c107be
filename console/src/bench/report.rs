//! How results look: tables, and the bars with what was reached.

use comfy_table::{CellAlignment, Table, presets};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::text::ms;

/// What a measurement came to, and the bars it was held against.
pub type Part = (Value, Vec<Bar>);

/// One thing the module is to reach, and what was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bar {
    pub work: String,
    pub bar: String,
    pub measured: String,
    pub reached: bool,
}

impl Bar {
    /// A wait of `us` microseconds that may be `most_us` at most, shown with what else took how many.
    pub fn wait(work: impl Into<String>, us: u64, most_us: u64, (other, other_us): (&str, u64)) -> Bar {
        let measured = format!("{} ({other}: {})", ms(us), ms(other_us));
        Bar { work: work.into(), bar: format!("at most {}", ms(most_us)), measured, reached: us <= most_us }
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

pub fn bars_table(bars: &[Bar]) -> Table {
    let rows = bars.iter().map(|bar| {
        let verdict = if bar.reached { "reached" } else { "not reached" };
        vec![bar.work.clone(), bar.bar.clone(), bar.measured.clone(), verdict.to_string()]
    });
    table(&["work", "bar", "measured", ""], rows)
}
