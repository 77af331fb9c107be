//! The documents are true: a test types their sessions on every server, and compares the replies with what they show.

mod block;
pub mod document;
mod session;

use crate::common::watcher::Watcher;
use crate::common::{Client, DEADLINE, Reply, Server, ServerBinary, assert_books_balance, cmd, console, tests};
use document::{Block, Document, anchors, blocks, documents, links, read, root};
use regex::Regex;
use session::{Filling, Known, PROMPT, Sessions, is_typed};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

tests![
    the_sessions_of_the_documents_are_what_one_sees,
    the_sessions_of_the_reference_are_what_one_sees,
    a_guide_ends_as_it_says,
    a_readme_that_is_wrong_is_found,
    the_other_blocks_of_the_readme_are_true,
    the_other_blocks_of_the_documents_are_true,
    every_link_leads_somewhere,
    every_command_in_a_document_is_one,
    the_pages_first_steps_can_be_taken,
    the_example_configuration_can_be_used,
    the_grafana_user_may_read_and_no_more,
    the_roles_may_do_their_work_and_no_more,
];

/// The start of a line that is typed into a shell.
const SHELL: &str = "$ ";

fn begins_with(block: &Block, text: &str) -> bool {
    block.first().starts_with(text)
}

/// Whether a block is a session: what is typed, and the replies.
fn is_session(block: &Block) -> bool {
    is_typed(block.first())
}

/// Runs all sessions of a document on a server, in the order of the document. Says how many there are.
fn hold_sessions(name: &str, text: &str, server: &Server, patience: Duration) -> Result<usize, String> {
    let mut sessions = Sessions { name, port: server.port(), patience, known: Known::default(), filling: None };
    hold_with(&mut sessions, text)
}

/// The same, and what a writer left out is written into the document: the replies.
fn fill_sessions(name: &str, text: &str, server: &Server) -> Result<usize, String> {
    let filling = Some(Filling::new());
    let mut sessions = Sessions { name, port: server.port(), patience: DEADLINE, known: Known::default(), filling };
    let held = hold_with(&mut sessions, text)?;
    let filled = sessions.filling.unwrap_or_default();
    let line = |(at, line): (usize, &str)| filled.get(&(at + 1)).map_or(line.to_owned(), |lines| lines.join("\n"));
    let lines: Vec<_> = text.lines().enumerate().map(line).collect();
    std::fs::write(root().join(name), lines.join("\n") + "\n").expect("the document is written");
    Ok(held)
}

fn hold_with(sessions: &mut Sessions<'_>, text: &str) -> Result<usize, String> {
    let blocks: Vec<_> = blocks(text).into_iter().filter(is_session).collect();
    for block in &blocks {
        sessions.hold(block)?;
        // What is written into a list is indented as the block is.
        let lines = sessions.filling.iter_mut().flatten().filter(|(at, _)| **at >= block.line);
        let indent = " ".repeat(block.indent);
        lines.flat_map(|(_, lines)| lines).for_each(|line| line.insert_str(0, &indent));
    }
    sessions.known.assert_in_order()?;
    Ok(blocks.len())
}

/// Runs a document of the project, then checks what it leaves behind: the books of every store balance, and no group
/// keeps entries forever.
fn hold(Document { name, text }: &Document, server: &Server) -> Result<(), String> {
    if !text.contains("redis-cli -3") {
        return Err(format!("{name} does not say which protocol it shows: redis-cli -3"));
    }
    match std::env::var_os("HOLDFAST_WRITE_DOCS") {
        Some(_) => fill_sessions(name, text, server)?,
        None => hold_sessions(name, text, server, DEADLINE)?,
    };
    let mut client = server.client();
    for store in client.get("SCAN 0 COUNT 100000 TYPE holdstore").array()[1].texts() {
        assert_books_balance(&mut client, &store);
    }
    for stream in client.get("SCAN 0 COUNT 100000 TYPE stream").array()[1].texts() {
        for group in client.get(format!("XINFO GROUPS {stream}")).array() {
            if group.field("pending").int() != 0 {
                return Err(format!("{name}: left in a group's list of {stream}: {group:?}"));
            }
        }
    }
    Ok(())
}

/// Runs documents, all of them, and fails if any is wrong.
fn hold_all(documents: &[Document], mut hold: impl FnMut(&Document) -> Result<(), String>) {
    let wrong: Vec<_> = documents.iter().filter_map(|document| hold(document).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The pages of single commands.
const REFERENCE: &str = "docs/commands/";

fn with_sessions(wanted: impl Fn(&str) -> bool) -> Vec<Document> {
    let has_sessions = |document: &Document| blocks(&document.text).iter().any(is_session);
    documents().into_iter().filter(|document| wanted(&document.name) && has_sessions(document)).collect()
}

fn the_sessions_of_the_documents_are_what_one_sees(binary: &ServerBinary) {
    let others = with_sessions(|name| !name.starts_with(REFERENCE) && !name.starts_with(GUIDES));
    assert!(others.iter().any(|document| document.name == "README.md"), "{} documents", others.len());
    hold_all(&others, |document| hold(document, &Server::start(binary)));
}

fn the_sessions_of_the_reference_are_what_one_sees(binary: &ServerBinary) {
    let server = Server::start(binary);
    hold_all(&with_sessions(|name| name.starts_with(REFERENCE)), |document| {
        server.client().ok("FLUSHALL");
        hold(document, &server)
    });
}

/// The guides.
const GUIDES: &str = "docs/guides/";

/// How each guide ends: a command, and what the reply has, as redis-cli shows it.
const ENDS: &[(&str, &str, &str)] = &[
    ("flash-sale.md", "INV.GET drop shirt", r#""on-hand": :0, "held": :0"#),
    ("flash-sale.md", "INV.GET drop shirt", r#""sold": :5"#),
    ("checkout.md", "INV.GET shop mug", r#""on-hand": :1, "held": :0"#),
    ("checkout.md", "INV.GET shop cap", r#""on-hand": :0, "held": :0"#),
    ("checkout.md", "ORDER.SCAN shop 0 STATE waitlisted", r#"["0", []]"#),
    ("checkout.md", "ORDER.GET shop o-85", r#""reason": "gate payment expired""#),
    ("workers.md", "INV.GET shop mug", r#""sold": :3"#),
    ("workers.md", "STORE.INFO shop", r#""redriven": :1"#),
    ("erp.md", "INV.SYNC shop erp 6 ITEMS mug 31", "DUPLICATE"),
    ("erp.md", "INV.GET shop mug cap", r#""on-hand": :30"#),
    ("picking.md", "INV.GET shop mug", r#""on-hand": :0, "held": :0"#),
    ("picking.md", "INV.GET shop cap", r#""on-hand": :5, "held": :0"#),
    ("from-lua.md", "INV.GET shop mug", r#""on-hand": :40, "held": :0"#),
    ("from-lua.md", "EXISTS stock orders", ":0"),
];

fn a_guide_ends_as_it_says(binary: &ServerBinary) {
    hold_all(&with_sessions(|name| name.starts_with(GUIDES)), |document| {
        let server = Server::start(binary);
        hold(document, &server)?;
        let ends: Vec<_> = ENDS.iter().filter(|(name, ..)| document.name.ends_with(name)).collect();
        assert!(!ends.is_empty(), "{}: no test knows how it ends", document.name);
        for (_, command, end) in ends {
            let reply = format!("{:?}", server.client().resp3().get(*command));
            if !reply.contains(end) {
                return Err(format!("{}: {command}: no {end} in {reply}", document.name));
            }
        }
        Ok(())
    });
}

/// Two short sessions; each case makes one mistake in them.
fn a_readme_that_is_wrong_is_found(binary: &ServerBinary) {
    const PATIENCE: Duration = Duration::from_secs(2);
    const RIGHT: &str = r#"
```
> INV.SET popup mug 3
(integer) 3
> ORDER.PLACE popup o-1 alice ITEMS mug 2
"1795318993007-0"
```

```
> ORDER.PLACE popup o-1 alice ITEMS mug 2
"1795318993007-0"
> XRANGE {popup}:orders - +
1) 1) "1795318993007-0"
   2) 1) "order"
      2) "o-1"
…
> ORDER.COMPLETE popup o-1
"1795318993010-0"
```
"#;
    let hold = |text: &str| hold_sessions("README.md", text, &Server::start(binary), PATIENCE);
    assert_eq!(hold(RIGHT), Ok(2));
    for (what, from, to) in [
        ("another number", "(integer) 3", "(integer) 4"),
        ("another type", "(integer) 3", "\"3\""),
        ("an error", "> INV.SET popup mug 3", "> INV.SET popup mug -3"),
        ("a command that is none", "> INV.SET", "> INV.PUT"),
        ("a line too few", "(integer) 3\n", ""),
        ("a line too many", "(integer) 3\n", "(integer) 3\nOK\n"),
        ("another field", "\"order\"", "\"orders\""),
        ("nothing left out", "…\n", ""),
        ("a reply left out", "\"1795318993010-0\"\n", ""),
        ("a second order", "```\n\n```\n> ORDER.PLACE popup o-1", "```\n\n```\n> ORDER.PLACE popup o-2"),
        ("another entry", "1) 1) \"1795318993007-0\"", "1) 1) \"1795318993008-0\""),
        ("a token from nowhere", "COMPLETE popup o-1", "COMPLETE popup o-1 TOKEN 1838414571074560"),
        ("a text that is not quoted", "ITEMS mug 2\n\"17", "DATA {\"a\": 1} ITEMS mug 2\n\"17"),
    ] {
        let wrong = RIGHT.replacen(from, to, 1);
        assert_ne!(wrong, RIGHT, "{what}");
        assert!(hold(&wrong).is_err(), "{what} is not found:\n{wrong}");
    }
    let hanging = "```\n> INV.SET popup mug 3\n(integer) 3\n> ORDER.CLAIM popup w-1 BLOCK 0\n(nil)\n```\n";
    let found = hold(hanging).expect_err("nobody places an order");
    assert_eq!(found, "README.md:4: ORDER.CLAIM popup w-1 BLOCK 0: hangs: no reply within 2s");
    let mut known = Known::default();
    assert!(known.agree("1795318993007", "1800000000009") && known.agree("1795318993001", "1800000000010"));
    assert!(known.assert_in_order().is_err(), "the earlier time came later");
}

/// Documents whose blocks without a language are checked elsewhere: the README below, others where they are made.
const CHECKED_ELSEWHERE: [&str; 6] =
    ["README.md", "docs/architecture.md", "docs/scaling.md", "docs/grafana.md", "docs/benchmarks.md", "CHANGELOG.md"];

fn the_other_blocks_of_the_documents_are_true(binary: &ServerBinary) {
    let mut languages = BTreeMap::<String, usize>::new();
    for Document { name, text } in documents().into_iter().filter(|document| document.name.starts_with("docs/")) {
        for block in blocks(&text).iter().filter(|block| !is_session(block)) {
            if block.language.is_empty() && CHECKED_ELSEWHERE.contains(&&*name) {
                continue;
            }
            block::check(binary, &format!("{name}:{}", block.line), block);
            *languages.entry(block.language.clone()).or_default() += 1;
        }
    }
    println!("blocks by language: {languages:?}");
}

/// Every link to a file, a folder or a title of the project. What a branch of work adds later is not linked before.
fn every_link_leads_somewhere(_: &ServerBinary) {
    let documents = documents();
    let texts: BTreeMap<_, _> =
        documents.iter().map(|document| (root().join(&document.name), &document.text)).collect();
    let mut checked = 0;
    for document in &documents {
        let path = root().join(&document.name);
        let folder = path.parent().expect("a folder");
        for (line, target) in links(document) {
            let place = format!("{}:{line}: {target}", document.name);
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let found = if file.is_empty() { path.clone() } else { folder.join(file) };
            let found = found.canonicalize().unwrap_or_else(|error| panic!("{place}: {error}"));
            if !anchor.is_empty() {
                let text = texts.get(&found).unwrap_or_else(|| panic!("{place}: no document"));
                assert!(anchors(text).iter().any(|known| known == anchor), "{place}: no such title");
            }
            checked += 1;
        }
    }
    assert!(checked > 50, "{checked} links in all documents");
}

fn the_other_blocks_of_the_readme_are_true(binary: &ServerBinary) {
    let server = Server::start(binary);
    let makefile = read("Makefile");
    for block in blocks(&read("README.md")) {
        let first = block.lines.first().map(String::as_str).unwrap_or_default();
        let what = format!("README.md:{}: {first}", block.line);
        match first.split_whitespace().next().unwrap_or_default() {
            ">" => {}
            "$" => assert_shell(binary, &server, &block),
            "make" => {
                for line in &block.lines {
                    let target = line.split_whitespace().nth(1).expect("a target");
                    assert!(makefile.contains(&format!("\n{target}: ")), "{what}: no target {target}");
                }
            }
            "loadmodule" => assert_eq!(Path::new(first).file_name(), binary.module().file_name(), "{what}"),
            // The tests of the sale check the same line.
            "sold" => assert_eq!(first, "  sold 10,000 of 10,000, oversold 0, lost 0, doubled 0", "{what}"),
            "src/lib.rs" => {
                for line in &block.lines {
                    let path = line.split_whitespace().next().expect("a path");
                    assert!(root().join(path).exists(), "README.md: no {path}");
                }
            }
            _ => panic!("{what}: a block that no test knows"),
        }
    }
}

/// Runs `holdfast` as a block says, on this server, and compares the first line of output, if the block shows one.
fn assert_shell(binary: &ServerBinary, server: &Server, block: &Block) {
    let what = format!("README.md:{}", block.line);
    let line = block.lines[0].strip_prefix(SHELL).unwrap_or_else(|| panic!("{what}: {}", block.lines[0]));
    let url = format!("redis://127.0.0.1:{}", server.port());
    let data = root().join("tests/data/online-retail-2011-04.csv");
    let mut words: Vec<_> = line.split(' ').map(|word| word.replace("redis://127.0.0.1:6379", &url)).collect();
    assert_eq!(words.remove(0), "holdfast", "{what}");
    match words[0].as_str() {
        "watch" => {
            words.extend(["--listen", "127.0.0.1:0"].map(str::to_owned));
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            let seen = console::start(binary, &words, &std::env::temp_dir()).line();
            let ports = Regex::new(r":\d+").expect("a pattern");
            assert_eq!(ports.replace_all(&seen, ":N"), ports.replace_all(&block.lines[1], ":N"), "{what}");
        }
        "replay" => {
            assert!(words[1].ends_with(".csv.gz"), "{what}");
            words[1] = data.display().to_string();
            let words: Vec<_> = words.iter().map(String::as_str).chain(["--url", &url]).collect();
            console::holdfast(binary, &words).assert_success();
        }
        other => panic!("{what}: holdfast {other} is not tested"),
    }
}

/// A command of the module, alone or within a line.
static COMMAND: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(STORE|INV|ORDER|LOCK)\.[A-Z]+\b").expect("a pattern"));
/// A keyword: a word in capitals.
static KEYWORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^[A-Z]{2,}$").expect("a pattern"));
/// Code within a line.
static CODE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"`([^`]+)`").expect("a pattern"));
/// A setting of the module.
static SETTING: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bholdfast\.[a-z-]+[a-z]\b").expect("a pattern"));

/// The files in which people read commands.
fn files_with_commands() -> Vec<PathBuf> {
    let is_ours = |name: &str| ["README.md", "CHANGELOG.md"].contains(&name) || name.starts_with("docs/");
    let names = documents().into_iter().map(|document| document.name).filter(|name| is_ours(name));
    let mut files: Vec<_> = names.chain(["redis.conf.example".to_owned()]).map(|name| root().join(name)).collect();
    let entries = std::fs::read_dir(root().join("console/web")).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    files.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "js")));
    files
}

/// All keywords of a command, as COMMAND DOCS has them.
fn keywords(docs: &Reply, into: &mut BTreeSet<String>) {
    match docs {
        Reply::Map(pairs) => {
            for (name, value) in pairs {
                if name.text() == "token" {
                    into.insert(value.text());
                }
                keywords(value, into);
            }
        }
        Reply::Array(items) | Reply::Set(items) => items.iter().for_each(|item| keywords(item, into)),
        _ => {}
    }
}

/// Checks code that begins with a command: the command exists, and has the keywords that are used.
fn check_command(client: &mut Client, place: &str, code: &str) {
    let words: Vec<&str> =
        code.split([' ', '[', ']', '(', ')', '|', '<', '>']).filter(|word| !word.is_empty()).collect();
    let docs = client.get(format!("COMMAND DOCS {}", words[0]));
    let Reply::Map(found) = &docs else { panic!("{place}: {docs:?}") };
    assert_eq!(found.len(), 1, "{place}: there is no command {}", words[0]);
    let mut known = BTreeSet::new();
    keywords(&docs, &mut known);
    for word in words[1..].iter().filter(|word| KEYWORD.is_match(word)) {
        assert!(known.contains(*word), "{place}: {code}: {} has no {word}, but {known:?}", words[0]);
    }
}

fn every_command_in_a_document_is_one(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client().resp3();
    let mut checked = 0;
    for path in files_with_commands() {
        let text = std::fs::read_to_string(&path).expect("a document");
        for (number, line) in text.lines().enumerate() {
            let place = format!("{}:{}", path.display(), number + 1);
            for name in COMMAND.find_iter(line) {
                check_command(&mut client, &place, name.as_str());
                checked += 1;
            }
            // Code within a line of text, a line of a session, or a line with a command's syntax.
            let codes = CODE.captures_iter(line).filter_map(|found| found.get(1)).map(|code| code.as_str());
            for code in codes.chain([line.trim_start_matches(PROMPT)]) {
                if COMMAND.find(code).is_some_and(|name| name.start() == 0) && !code.ends_with(',') {
                    check_command(&mut client, &place, code);
                }
            }
            for setting in SETTING.find_iter(line).filter(|_| path.extension().is_none_or(|found| found != "js")) {
                let found = client.get(format!("CONFIG GET {}", setting.as_str()));
                assert_eq!(found.pairs().len(), 1, "{place}: no setting {}", setting.as_str());
            }
        }
    }
    assert!(checked > 100, "{checked} commands in all documents");
}

/// The commands that the page of an empty server suggests, and the hints of an empty store.
fn the_pages_first_steps_can_be_taken(binary: &ServerBinary) {
    let server = Server::start(binary);
    let vocabulary = Watcher::of(binary, &server).get("/vocabulary.js").body;
    let steps = Regex::new(r#""((?:STORE|INV|ORDER)\.[A-Z]+ [^"]+)""#).expect("a pattern");
    let text = vocabulary.replace("{store}", "other").replace("{sku}", "mug");
    let mut found: Vec<_> = steps.captures_iter(&text).map(|step| step[1].to_owned()).collect();
    // What sells needs units.
    found.sort_by_key(|step| step.starts_with("ORDER."));
    found.dedup();
    assert!(found.len() >= 4, "{found:?}");
    let mut client = server.client();
    for step in found {
        client.get(step.as_str());
    }
}

/// Every line of the example that is a setting, or would be one without its `#`, is valid; and every user can be made.
fn the_example_configuration_can_be_used(binary: &ServerBinary) {
    let example = read("redis.conf.example");
    let settings = example.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let settings: Vec<_> = settings.filter(|line| !line.starts_with("loadmodule ")).collect();
    let server = Server::with(binary, &settings);
    let mut client = server.client();
    assert!(settings.len() >= 6, "{settings:?}");
    let proposed = Regex::new(r"^# ([a-z-]+) ([^ ]+)$").expect("a pattern");
    let mut offered = 0;
    for line in example.lines().filter_map(|line| proposed.captures(line)).filter(|line| &line[1] != "loadmodule") {
        let found = client.get(format!("CONFIG GET {}", &line[1]));
        assert_eq!(found.pairs().len(), 1, "no setting {}", &line[1]);
        client.ok(format!("CONFIG SET {} {}", &line[1], &line[2]));
        client.ok(cmd!["CONFIG", "SET", &line[1], found.pairs()[0].1.text()]);
        offered += 1;
    }
    assert!(offered >= 5, "{offered} settings are proposed");
    let users: Vec<_> = example.lines().filter_map(|line| line.strip_prefix("# user ")).collect();
    for user in &users {
        client.ok(format!("ACL SETUSER {user}"));
    }
    assert_eq!(users.len(), 4, "web, worker, reader, watch");
    // The user that reads the streams can do what the README shows.
    client.int("INV.SET popup mug 1");
    client.ok("XGROUP CREATE {popup}:orders pickers 0 MKSTREAM");
    client.text("ORDER.PLACE popup o-1 alice ITEMS mug 1");
    let mut reader = server.client();
    reader.ok("AUTH reader secret");
    reader.get("XREADGROUP GROUP pickers picker-1 NOACK COUNT 1 STREAMS {popup}:orders >");
    reader.text("ORDER.COMPLETE popup o-1");
    assert_eq!(reader.call("XADD {popup}:orders * a b").code(), "NOPERM");
}

fn the_grafana_user_may_read_and_no_more(binary: &ServerBinary) {
    let server = Server::with(binary, &["holdfast.sample-ms 10"]);
    let mut client = server.client();
    client.int("INV.SET popup mug 1");
    let blocks = blocks(&read("docs/grafana.md"));
    let block = blocks.iter().find(|block| begins_with(block, "ACL SETUSER")).expect("the user of docs/grafana.md");
    let words = block.lines.join(" ").replace(">…", ">secret");
    let words: Vec<_> = words.split_whitespace().collect();
    // A server without RedisTimeSeries does not know its commands.
    let known: Vec<_> = words.into_iter().filter(|word| *word != "+ts.mrange").collect();
    client.ok(known.join(" "));
    let mut grafana = server.client();
    grafana.ok("AUTH grafana secret");
    for read in
        ["PING", "SCAN 0", "XREVRANGE {popup}:metrics + - COUNT 1", "XRANGE {popup}:metrics - +", "XLEN {popup}:dead"]
    {
        grafana.get(read);
    }
    for write in ["XADD {popup}:metrics * a b", "INV.SET popup mug 2", "DEL popup", "STORE.INFO popup", "KEYS *"] {
        assert_eq!(grafana.call(write).code(), "NOPERM", "{write}");
    }
}

/// A role of docs/running/acl.md: calls of its work, in an order in which each finds what it needs.
type Role = (&'static str, &'static [&'static str]);

const ROLES: &[Role] = &[
    ("erp", &["INV.SYNC shop erp 1 ITEMS mug 50", "INV.ADJUST shop mug 1", "XREVRANGE {shop}:journal + - COUNT 1"]),
    (
        "front",
        &[
            "INV.RESERVE shop cart-1 CUSTOMER ann ITEMS mug 1",
            "INV.EXTEND shop cart-1 600000",
            "ORDER.PLACE shop o-1 ann HOLD cart-1",
            "ORDER.PLACE shop o-2 bob GATE payment 0 ITEMS mug 1",
            "ORDER.PLACE shop o-3 cas ITEMS mug 2",
            "ORDER.PLACE shop o-4 dan ITEMS mug 1",
            "INV.GET shop mug",
        ],
    ),
    ("payments", &["ORDER.PASS shop o-2 payment", "ORDER.GET shop o-2"]),
    ("reader", &["XREADGROUP GROUP packers p-1 NOACK COUNT 1 STREAMS {shop}:orders >", "ORDER.COMPLETE shop o-1"]),
    (
        "worker",
        &[
            "ORDER.SPLIT shop o-3 o-5 ITEMS mug 1",
            "ORDER.FAIL shop o-2 REASON boom FATAL",
            "ORDER.CLAIM shop w-1",
            "ORDER.YIELD shop w-1",
        ],
    ),
    (
        "operator",
        &[
            "ORDER.REDRIVE shop ALL",
            "ORDER.CANCEL shop o-4",
            "STORE.SET shop paused no",
            "STORE.AUDIT shop",
            "XLEN {shop}:dead",
        ],
    ),
    ("dashboards", &["SCAN 0", "STORE.INFO shop", "XREVRANGE {shop}:metrics + - COUNT 1", "ORDER.SCAN shop 0"]),
];

/// What no role may do, and what only these may.
const ONLY: &[(&str, &[&str])] = &[
    ("STORE.DROP shop", &[]),
    ("DEL shop", &[]),
    ("FLUSHALL", &[]),
    ("CONFIG GET maxmemory", &[]),
    ("XADD {shop}:orders * a b", &[]),
    ("HOLDFAST.APPLY shop 1 SWEEP 1", &[]),
    ("ORDER.PLACE other o-1 ann ITEMS mug 1", &[]),
    ("ORDER.PLACE shop o-9 ann ITEMS cap 1", &["front"]),
    ("ORDER.CLAIM shop w-9 ORDER o-1", &["worker"]),
    ("INV.SET shop mug 50", &["operator"]),
    ("INV.SYNC shop erp 1 ITEMS mug 50", &["erp"]),
    ("ORDER.PASS shop o-2 payment", &["payments", "operator"]),
    ("ORDER.COMPLETE shop o-1", &["worker", "reader"]),
    ("STORE.REPAIR shop", &["operator"]),
    ("XRANGE {shop}:journal - +", &["erp", "operator", "dashboards"]),
];

fn the_roles_may_do_their_work_and_no_more(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut admin = server.client();
    admin.ok("STORE.SET shop journal 100");
    admin.ok("XGROUP CREATE {shop}:orders packers 0 MKSTREAM");
    let blocks = blocks(&read("docs/running/acl.md"));
    let lines = blocks.iter().flat_map(|block| &block.lines).filter_map(|line| line.strip_prefix("> ACL SETUSER"));
    lines.for_each(|line| admin.ok(format!("ACL SETUSER{line}")));
    let mut clients: Vec<_> = ROLES.iter().map(|(role, _)| (*role, server.client())).collect();
    for ((role, client), (_, calls)) in clients.iter_mut().zip(ROLES) {
        client.ok(format!("AUTH {role} {role}-secret"));
        calls.iter().for_each(|call| drop(client.get(*call)));
    }
    for (call, allowed) in ONLY {
        for (role, client) in &mut clients {
            let reply = client.call(*call);
            let is_denied = reply.is_error() && reply.code() == "NOPERM";
            assert_eq!(is_denied, !allowed.contains(role), "{role}: {call}: {reply:?}");
        }
    }
    assert_books_balance(&mut admin, "shop");
}
