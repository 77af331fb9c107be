//! The width of lines in all sources that are written by hand.

use std::fs;
use std::path::Path;

/// The widest line, columns.
const WIDEST: usize = 120;

/// The files that are sources, by their ends.
const SOURCES: [&str; 11] = ["rs", "js", "cjs", "ts", "css", "html", "py", "sh", "toml", "md", "c"];

/// Folders and files that are made by programs, or come from elsewhere.
const NOT_OURS: [&str; 9] = [
    "target",
    "node_modules",
    ".git",
    "docs/commands.md",
    "docs/metrics.md",
    "tests/data",
    "grafana/check/types.ts",
    "clients/node/dist",
    "console/web/vendor",
];

/// The lines that are wider than that.
pub fn wide_lines() -> Vec<String> {
    let mut wide = Vec::new();
    look(Path::new(env!("CARGO_MANIFEST_DIR")), Path::new(""), &mut wide);
    wide.sort();
    wide
}

fn look(root: &Path, folder: &Path, wide: &mut Vec<String>) {
    for entry in fs::read_dir(root.join(folder)).expect("a folder") {
        let name = entry.expect("an entry").file_name();
        let path = folder.join(name);
        if NOT_OURS.iter().any(|left_out| path == Path::new(left_out) || path.ends_with(left_out)) {
            continue;
        }
        if root.join(&path).is_dir() {
            look(root, &path, wide);
        } else if let Some(text) = source(root, &path) {
            let lines = text.lines().enumerate().filter(|(_, line)| is_wide(line));
            wide.extend(lines.map(|(at, line)| format!("{}:{}: {}", path.display(), at + 1, line.chars().count())));
        }
    }
}

/// The text of a source: it has one of their ends, or none and is a script or the Makefile.
fn source(root: &Path, path: &Path) -> Option<String> {
    let Some(end) = path.extension() else {
        let text = String::from_utf8(fs::read(root.join(path)).expect("a file")).ok()?;
        return (text.starts_with("#!") || path == Path::new("Makefile")).then_some(text);
    };
    let is_source = SOURCES.iter().any(|source| end == *source);
    is_source.then(|| fs::read_to_string(root.join(path)).expect("a source in UTF-8"))
}

/// A row of a Markdown table cannot be broken.
fn is_wide(line: &str) -> bool {
    line.chars().count() > WIDEST && !line.starts_with('|')
}
