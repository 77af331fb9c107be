//! The tests that docs/guarantees.md names are there.

use std::fs;
use std::path::Path;

const DOCUMENT: &str = "docs/guarantees.md";

/// The words by which the document names a folder of tests, and the folder.
const FOLDERS: [(&str, &str); 3] =
    [("suite", "tests/suite"), ("engine", "engine/src/tests"), ("simulation", "src/tests/simulation")];

/// Fewer tests than this are a document that was not read.
const LEAST: usize = 100;

/// The tests that the document names and that are not there.
pub fn missing_tests() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join(DOCUMENT)).expect("the document");
    let named: Vec<_> = text.split('`').filter(|word| word.contains("::")).collect();
    assert!(named.len() >= LEAST, "{} tests are named in {DOCUMENT}", named.len());
    named.into_iter().filter(|name| !is_there(root, name)).map(str::to_string).collect()
}

/// Whether a test `folder::file::name` is there.
fn is_there(root: &Path, name: &str) -> bool {
    let [folder, file, test] = name.split("::").collect::<Vec<_>>()[..] else { return false };
    let Some((_, folder)) = FOLDERS.iter().find(|(word, _)| *word == folder) else { return false };
    let paths = [format!("{folder}/{file}.rs"), format!("{folder}/{file}/mod.rs")];
    let source = paths.iter().find_map(|path| fs::read_to_string(root.join(path)).ok());
    source.is_some_and(|source| source.contains(&format!("fn {test}(")))
}
