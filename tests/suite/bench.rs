//! The suite of `holdfast bench` works from end to end: it measures, writes its results, and makes pages of them.

use crate::common::console::holdfast;
use crate::common::{ServerBinary, tests};
use serde_json::Value;
use std::fs;
use std::path::Path;

tests![a_quick_suite_gives_results_and_pages];

/// Those that need nothing but the server.
const CONTENDERS: &str = "xadd,holdfast,lua,function,watch";
/// Workloads, durabilities and shapes that are measured: see `console/src/bench/suite/plan.rs`.
const LEAST_CELLS: usize = 60;

fn a_quick_suite_gives_results_and_pages(binary: &ServerBinary) {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("results.json");
    let file = file.to_str().expect("a path");
    holdfast(binary, &["bench", "suite", "--quick", "--contenders", CONTENDERS, "--json", file]).assert_success();
    let results: Value = serde_json::from_str(&fs::read_to_string(file).expect("results")).expect("JSON");
    let cells = results["cells"].as_array().expect("cells");
    assert!(cells.len() >= LEAST_CELLS, "{} cells", cells.len());
    for cell in cells {
        assert_figures(cell);
    }
    for scale in ["stores", "cluster"] {
        results[scale].as_array().expect("cells").iter().for_each(assert_figures);
    }
    assert!(results["machine"]["cores"].as_u64() > Some(0) && results["quick"] == true, "{results}");
    holdfast(binary, &["bench", "render", file]).assert_success();
    assert_pages(dir.path());
}

#[track_caller]
fn assert_figures(cell: &Value) {
    assert!(cell["orders"].as_u64() > Some(0), "{cell}");
    for figure in ["orders_per_s", "server_cpu_us", "client_cpu_us"] {
        assert!(cell[figure]["median"].as_f64() > Some(0.0), "{figure}: {cell}");
    }
    let wait = |name: &str| cell["latency"][name].as_u64().unwrap_or_else(|| panic!("{name}: {cell}"));
    let waits = ["p50_us", "p99_us", "p999_us", "max_us"].map(wait);
    assert!(waits.is_sorted(), "{cell}");
}

#[track_caller]
fn assert_pages(dir: &Path) {
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    for page in ["benchmarks.md", "scaling.md"] {
        let text = read(page);
        assert!(!text.contains("{{"), "{page}:\n{text}");
        // Every picture that a page shows is there.
        for picture in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if picture.ends_with(".svg") {
                assert!(read(picture).starts_with("<svg"), "{picture}");
            }
        }
    }
    assert!(read("benchmarks.md").contains("| Holdfast "));
}
