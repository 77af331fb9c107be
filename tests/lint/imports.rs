//! The imports of a crate: every path that begins with `crate`, `self`, `super` or a child module, in a `use` or
//! anywhere else, resolved to the file that defines what it names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Folders, or files right in the root, that stand next to each other: none imports from another. A folder in a folder
/// is named `outer::inner`.
pub struct Folder {
    pub names: &'static [&'static str],
}

/// The order of a crate's folders.
pub struct Layout {
    /// Where the crate's sources are.
    pub root: &'static str,
    /// The highest first.
    pub order: &'static [Folder],
}

/// A file's module, from the crate's root: empty for the root itself.
type Module = Vec<String>;

/// An import: from a file, by a path, of another file.
struct Import {
    from: Module,
    path: String,
    to: Module,
}

/// A crate's files and what they import.
pub struct Crate {
    /// Each file by its module.
    files: BTreeMap<Module, PathBuf>,
    imports: Vec<Import>,
}

/// A path that a file names, from the crate's root; and the name under which it makes it public, if it does.
struct Named {
    path: Module,
    as_public: Option<String>,
}

/// Reads the crate whose sources are in a folder of the repository. Files of tests alone are no part of it.
pub fn crate_of(root: &str) -> Crate {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let mut files = BTreeMap::new();
    find(&base, &mut Module::new(), &mut files);
    assert!(!files.is_empty(), "there are sources in {root}");
    let named: BTreeMap<_, _> =
        files.iter().map(|(module, path)| (module.clone(), names_in(&files, module, path))).collect();
    let mut imports = Vec::new();
    for (from, names) in &named {
        for name in names {
            let to = resolve(&files, &named, &name.path, 0);
            if to != *from {
                imports.push(Import { from: from.clone(), path: name.path.join("::"), to });
            }
        }
    }
    Crate { files, imports }
}

fn find(folder: &Path, module: &mut Module, files: &mut BTreeMap<Module, PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        if name == "tests" {
            continue;
        }
        let is_root = ["mod", "lib", "main"].contains(&&*name);
        if !is_root {
            module.push(name);
        }
        if path.is_dir() {
            find(&path, module, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.insert(module.clone(), path);
        }
        if !is_root {
            module.pop();
        }
    }
}

/// All paths that a file names.
fn names_in(files: &BTreeMap<Module, PathBuf>, module: &Module, path: &Path) -> Vec<Named> {
    let text = fs::read_to_string(path).expect("a source");
    let tokens: TokenStream = text.parse().unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
    let mut reader = Reader { files, named: Vec::new() };
    reader.read(module, tokens, false);
    reader.named
}

struct Reader<'a> {
    files: &'a BTreeMap<Module, PathBuf>,
    named: Vec<Named>,
}

impl Reader<'_> {
    /// Reads the tokens of a module, or of a part of one.
    fn read(&mut self, module: &Module, tokens: TokenStream, mut public: bool) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let (mut at, mut in_use) = (0, false);
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Ident(word) if word == "mod" && is_group(tokens.get(at + 2)) => {
                    let inner = [&module[..], &[tokens[at + 1].to_string()]].concat();
                    if let Some(TokenTree::Group(body)) = tokens.get(at + 2) {
                        self.read(&inner, body.stream(), false);
                    }
                    at += 3;
                    continue;
                }
                TokenTree::Ident(word) if word == "pub" => public = true,
                TokenTree::Ident(word) if word == "use" => in_use = true,
                TokenTree::Ident(word) if !behind_a_path(&tokens, at) => {
                    if let Some(start) = self.start(module, &word.to_string(), tokens.get(at + 1)) {
                        at = self.path(start, &tokens, at + 1, public && in_use);
                        continue;
                    }
                }
                TokenTree::Group(group) => self.read(module, group.stream(), false),
                TokenTree::Punct(punct) if punct.as_char() == ';' => (public, in_use) = (false, false),
                _ => {}
            }
            at += 1;
        }
    }

    /// Where a path begins that begins with this word; none if it is no path into this crate.
    fn start(&self, module: &Module, word: &str, next: Option<&TokenTree>) -> Option<Module> {
        if !is_colon(next) {
            return None;
        }
        match word {
            "crate" => Some(Module::new()),
            "self" => Some(module.clone()),
            "super" => Some(module[..module.len().checked_sub(1)?].to_vec()),
            child => Some([&module[..], &[child.to_owned()]].concat()).filter(|path| self.files.contains_key(path)),
        }
    }

    /// Reads on from a `::`; says where the path ends.
    fn path(&mut self, mut path: Module, tokens: &[TokenTree], mut at: usize, public: bool) -> usize {
        while is_colon(tokens.get(at)) && is_colon(tokens.get(at + 1)) {
            match tokens.get(at + 2) {
                Some(TokenTree::Ident(word)) if word == "super" => drop(path.pop()),
                Some(TokenTree::Ident(word)) => path.push(word.to_string()),
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    self.branches(&path, group.stream(), public);
                    return at + 3;
                }
                _ => break,
            }
            at += 3;
        }
        let as_public = public.then(|| match (tokens.get(at), tokens.get(at + 1)) {
            (Some(TokenTree::Ident(word)), Some(alias)) if word == "as" => alias.to_string(),
            _ => path.last().cloned().unwrap_or_default(),
        });
        self.named.push(Named { path, as_public });
        at
    }

    /// Reads the branches of a `use`, in braces.
    fn branches(&mut self, path: &Module, tokens: TokenStream, public: bool) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        for branch in tokens.split(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',')) {
            match branch.first() {
                Some(TokenTree::Ident(word)) if word == "self" => {
                    self.path(path.clone(), branch, 1, public);
                }
                Some(TokenTree::Ident(word)) => {
                    self.path([&path[..], &[word.to_string()]].concat(), branch, 1, public);
                }
                _ => {}
            }
        }
    }
}

fn is_colon(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == ':')
}

fn is_group(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace)
}

/// Whether a word goes on a path that began before it.
fn behind_a_path(tokens: &[TokenTree], at: usize) -> bool {
    at >= 2 && is_colon(tokens.get(at - 1)) && is_colon(tokens.get(at - 2))
}

/// The file that defines what a path names: through files that only make it public under another path.
fn resolve(
    files: &BTreeMap<Module, PathBuf>,
    named: &BTreeMap<Module, Vec<Named>>,
    path: &Module,
    depth: usize,
) -> Module {
    let file = (0..=path.len()).rev().map(|len| path[..len].to_vec()).find(|module| files.contains_key(module));
    let file = file.unwrap_or_default();
    let Some(name) = path.get(file.len()) else { return file };
    let public = named.get(&file).and_then(|names| names.iter().find(|n| n.as_public.as_ref() == Some(name)));
    match public {
        Some(public) if depth < 8 && public.path != *path => {
            let further = [&public.path[..], &path[file.len() + 1..]].concat();
            resolve(files, named, &further, depth + 1)
        }
        _ => file,
    }
}

impl Crate {
    fn say(&self, import: &Import) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = |module: &Module| self.files[module].strip_prefix(root).unwrap_or(root).display();
        format!("{} → {} (by {})", file(&import.from), file(&import.to), import.path)
    }
}

impl Layout {
    /// The position of a file's folder in the order, and the folder: the innermost that the order names.
    fn level(&self, module: &Module) -> (usize, &'static str) {
        let root = if self.root.starts_with("console") { "main" } else { "lib" };
        let path = if module.is_empty() { root.to_owned() } else { module.join("::") };
        let holds = |folder: &str| path == folder || path.starts_with(&format!("{folder}::"));
        let rows = self.order.iter().enumerate();
        let folders = rows.flat_map(|(level, row)| row.names.iter().map(move |folder| (level, *folder)));
        let innermost = folders.filter(|(_, folder)| holds(folder)).max_by_key(|(_, folder)| folder.len());
        innermost.unwrap_or_else(|| panic!("{}: {path} is nowhere in the order", self.root))
    }

    /// Imports from a folder above, or next to, the file's own.
    pub fn arrows_up(&self, of: &Crate) -> Vec<String> {
        let points_up = |import: &&Import| {
            let ((from, folder), (to, other)) = (self.level(&import.from), self.level(&import.to));
            to < from || to == from && folder != other
        };
        let arrows = of.imports.iter().filter(points_up);
        arrows.map(|import| of.say(import)).collect()
    }

    /// A circle of imports, if there is one.
    pub fn circle(&self, of: &Crate) -> Option<String> {
        let mut graph: BTreeMap<&Module, Vec<&Import>> = BTreeMap::new();
        for import in &of.imports {
            graph.entry(&import.from).or_default().push(import);
        }
        let mut done = BTreeSet::new();
        let found = graph.keys().find_map(|file| go_on(&graph, file, &mut Vec::new(), &mut done))?;
        Some(found.into_iter().map(|import| of.say(import)).collect::<Vec<_>>().join("\n"))
    }
}

/// Follows the imports of a file, as far as they do not lead back: the circle, if they do.
fn go_on<'a>(
    graph: &BTreeMap<&'a Module, Vec<&'a Import>>,
    file: &'a Module,
    way: &mut Vec<&'a Import>,
    done: &mut BTreeSet<&'a Module>,
) -> Option<Vec<&'a Import>> {
    if let Some(start) = way.iter().position(|import| import.from == *file) {
        return Some(way[start..].to_vec());
    }
    if !done.insert(file) {
        return None;
    }
    for import in graph.get(file).into_iter().flatten() {
        way.push(import);
        let circle = go_on(graph, &import.to, way, done);
        if circle.is_some() {
            return circle;
        }
        way.pop();
    }
    None
}
