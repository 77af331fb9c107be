//! The documents of the project: where they are, their blocks, and what they link to.

use regex::Regex;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A fenced block of a Markdown file.
#[derive(Debug)]
pub struct Block {
    /// What stands behind the fence: the language, or empty.
    pub language: String,
    /// How far it is indented, as part of a list.
    pub indent: usize,
    /// The first line in the fence, from 1.
    pub line: usize,
    pub lines: Vec<String>,
}

impl Block {
    /// The first line of a block that has any.
    pub fn first(&self) -> &str {
        self.lines.first().map_or("", String::as_str)
    }

    /// What is typed into a shell: a line that ends with a backslash goes on in the next one.
    pub fn shell(&self) -> Vec<String> {
        self.lines.join("\n").replace("\\\n", "").lines().map(str::to_owned).collect()
    }
}

/// A Markdown file.
pub struct Document {
    /// Its path from the root of the project.
    pub name: String,
    pub text: String,
}

/// Folders that are not written here, or are built, or have only parts of documents.
const NOT_OURS: [&str; 5] = ["target", "node_modules", ".git", "vendor", "render"];

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every Markdown file of the project, by name.
pub fn documents() -> Vec<Document> {
    let mut paths = Vec::new();
    find(root(), &mut paths);
    paths.sort();
    let name = |path: &Path| path.strip_prefix(root()).expect("below the root").display().to_string();
    paths.iter().map(|path| name(path)).map(|name| Document { text: read(&name), name }).collect()
}

fn find(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let is_ours = path.file_name().is_some_and(|name| NOT_OURS.iter().all(|other| name != *other));
        if path.is_dir() && is_ours {
            find(&path, paths);
        } else if path.extension().is_some_and(|end| end == "md") {
            paths.push(path);
        }
    }
}

/// The blocks of a Markdown file, in order.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), open.take()) {
            (Some(language), None) => {
                let indent = line.len() - line.trim_start().len();
                open = Some(Block { language: language.to_owned(), indent, line: number + 2, lines: Vec::new() });
            }
            (Some(_), Some(block)) => blocks.push(block),
            (None, Some(mut block)) => {
                block.lines.push(line.get(block.indent..).unwrap_or_default().to_owned());
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed: {open:?}");
    blocks
}

/// The text without what is in fences, line by line with numbers from 1.
pub fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut in_block = false;
    let lines = text.lines().enumerate().filter(|(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_block ^= is_fence;
        !in_block && !is_fence
    });
    lines.map(|(at, line)| (at + 1, line)).collect()
}

/// A link: `[text](target)`, or the source of a picture.
static LINK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\]\(([^)\s]+)\)").expect("a pattern"));
/// Code within a line, in which nothing is a link.
static CODE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"`[^`]*`").expect("a pattern"));
/// A link within a title, of which only the text counts.
static LINKED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\[([^\]]*)\]\([^)]*\)").expect("a pattern"));

/// Every link of a document to a file or title of the project: the line, and the target.
pub fn links(document: &Document) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (line, text) in prose(&document.text) {
        let text = CODE.replace_all(text, |code: &regex::Captures<'_>| "`".repeat(code[0].len()));
        let targets = LINK.captures_iter(&text).map(|found| found[1].to_owned());
        links.extend(targets.filter(|target| !target.contains("://")).map(|target| (line, target)));
    }
    links
}

/// The anchors of a document's titles, as the usual viewers make them: letters, digits, dashes and underscores in small
/// letters, spaces as dashes, a number behind one that was there before.
pub fn anchors(text: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let titles = prose(text).into_iter().filter_map(|(_, line)| {
        let title = line.trim_start_matches('#');
        (title.len() < line.len()).then(|| title.strip_prefix(' ')).flatten()
    });
    let anchor = |title: &str| {
        let text = LINKED.replace_all(title.trim(), "$1").to_lowercase();
        let kept = text.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
        kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect::<String>()
    };
    let numbered = |anchor: String| {
        let times = seen.entry(anchor.clone()).or_default();
        *times += 1;
        if *times == 1 { anchor } else { format!("{anchor}-{}", *times - 1) }
    };
    titles.map(anchor).map(numbered).collect()
}
