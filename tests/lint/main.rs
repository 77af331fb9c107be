//! What imports what, how wide lines are, and whether the tests that a document names are there: read from the
//! sources, so that no circle comes back.
//!
//! In each crate the folders stand in an order, from what looks at the whole down to what knows nothing of a shop. A
//! file imports from its own folder and from those below it, and no files import each other in a circle.

mod guarantees;
mod imports;
mod width;

use imports::{Folder, Layout, crate_of};

/// A folder that stands in the order, with those that stand next to it.
const fn row(names: &'static [&'static str]) -> Folder {
    Folder { names }
}

/// The crates, each with its folders, the highest first. A name is that of a folder or of a file without `.rs`.
const LAYOUTS: &[Layout] = &[
    Layout { root: "src", order: &[row(&["lib"]), row(&["commands"]), row(&["store", "lock"]), row(&["host"])] },
    Layout {
        root: "engine/src",
        order: &[
            row(&["lib"]),
            row(&["calls", "books"]),
            row(&["store"]),
            row(&["record"]),
            row(&["terms"]),
            row(&["base"]),
        ],
    },
    Layout {
        root: "console/src",
        order: &[
            row(&["main"]),
            row(&["bench", "replay", "sale"]),
            row(&["watch"]),
            row(&["watch::page", "watch::tui"]),
            row(&["watch::known"]),
            row(&["check"]),
            row(&["target"]),
            row(&["connect"]),
            row(&["display", "store", "text"]),
        ],
    },
];

#[test]
fn each_folder_imports_only_from_those_below_it() {
    let arrows: Vec<_> = LAYOUTS.iter().flat_map(|layout| layout.arrows_up(&crate_of(layout.root))).collect();
    assert!(arrows.is_empty(), "imports that point up:\n{}", arrows.join("\n"));
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let circles: Vec<_> = LAYOUTS.iter().filter_map(|layout| layout.circle(&crate_of(layout.root))).collect();
    assert!(circles.is_empty(), "circles of imports:\n{}", circles.join("\n\n"));
}

#[test]
fn no_line_is_wider_than_120_columns() {
    let lines = width::wide_lines();
    assert!(lines.is_empty(), "{} lines that are too wide:\n{}", lines.len(), lines.join("\n"));
}

#[test]
fn the_tests_of_the_guarantees_are_there() {
    let missing = guarantees::missing_tests();
    assert!(missing.is_empty(), "{} tests are named and not there:\n{}", missing.len(), missing.join("\n"));
}
