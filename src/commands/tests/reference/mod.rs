//! `docs/commands.md`, a page for each command in `docs/commands/`, `commands.json` and `errors.md`: from the table of
//! commands, and from what this folder says of arguments, replies and errors. What is behind the title Example of a
//! page is written by hand, and run by the suite.

mod errors;
mod facts;
mod json;
mod replies;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::docs::{assert_written, read_written, syntax, wrapped};
use crate::commands::TABLE;
use crate::host::register::{About, Access, Arg, Kind};
use facts::{FACTS, Fact};
use holdfast_engine::terms::alerts::AlertKind;
use holdfast_engine::terms::refusal::{Code, Refusal};
use holdfast_engine::terms::settings::FIELDS;

/// The title behind which a page is written by hand.
const EXAMPLE: &str = "## Example\n";

/// An argument that is no group of others, as the reference shows it.
struct Described {
    /// Its name behind those of the groups it is in.
    path: String,
    shown: String,
    /// What stands for it if it is left out.
    default: String,
    fact: &'static Fact,
}

/// The arguments of a command one by one.
fn described(about: &About) -> Vec<Described> {
    let mut rows = Vec::new();
    for arg in about.args {
        describe(about.title(), arg, &Above::default(), &mut rows);
    }
    rows
}

/// The groups around an argument.
#[derive(Clone, Default)]
struct Above {
    path: String,
    /// The keyword or name of the innermost group.
    group: String,
    /// The keyword that is still to be shown.
    token: Option<&'static str>,
    /// The last keyword before the argument, if it is in a group of others.
    keyword: Option<&'static str>,
    is_choice: bool,
}

fn describe(command: &str, arg: &Arg, above: &Above, rows: &mut Vec<Described>) {
    let path = format!("{}/{}", above.path, arg.name);
    if matches!(arg.kind, Kind::OneOf | Kind::Block) {
        let mut inner = Above {
            path,
            group: arg.token.unwrap_or(arg.name).to_owned(),
            token: arg.token.or(above.token),
            keyword: arg.token.filter(|_| arg.optional),
            is_choice: (above.is_choice || arg.kind == Kind::OneOf) && !arg.optional,
        };
        for part in arg.parts {
            describe(command, part, &inner, rows);
            inner.token = None;
            inner.keyword = inner.keyword.or(arg.token).or(part.token).filter(|_| arg.kind == Kind::Block);
        }
        return;
    }
    let known = |name: &str| FACTS.iter().any(|fact| fact.arg == name && [command, ""].contains(&fact.command));
    let in_group = format!("{}.{}", above.group, arg.name);
    let name = arg.token.unwrap_or(if known(&in_group) { &in_group } else { arg.name });
    let fact = facts::fact(command, name);
    let words = [above.token, arg.token, (arg.kind != Kind::Word).then_some(arg.name)];
    let shown = words.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let default = match fact.default {
        "" => match above.keyword {
            Some(keyword) => format!("required with {keyword}"),
            None if above.is_choice => "one of these is required".to_owned(),
            None => "required".to_owned(),
        },
        default => default.to_owned(),
    };
    rows.push(Described { path, shown, default, fact });
}

/// A page's first part, as it is generated.
fn head(about: &About) -> String {
    let name = about.title();
    let args: Vec<_> = about.args.iter().map(syntax).collect();
    let what = if name.starts_with("LOCK.") { "lock" } else { "store" };
    let key = match about.access {
        Access::Read => format!("reads the {what}"),
        Access::Update => format!("changes the {what}"),
        Access::Insert => format!("changes the {what}, creates it if it does not exist"),
        Access::Delete => format!("deletes the {what}"),
    };
    let categories: Vec<_> = about.acl().split(' ').chain(["holdfast"]).map(|word| format!("`@{word}`")).collect();
    let flags: Vec<_> = about.flags.split(' ').map(|flag| format!("`{flag}`")).collect();
    let mut out = format!("# {name}\n\n{GENERATED}\n");
    out.push_str(&wrapped(&format!("{}.", about.summary), ""));
    let form = wrapped(&format!("{name} {}", args.join(" ")), "    ");
    out.push_str(&format!("\n```syntax\n{form}```\n\n| | |\n|---|---|\n"));
    let rows = [
        ("since", about.since.to_owned()),
        ("complexity", about.complexity.to_owned()),
        ("key", format!("{key} (`{}`)", json::key_flags(about.access).join("` `"))),
        ("flags", flags.join(" ")),
        ("ACL categories", categories.join(" ")),
    ];
    rows.iter().for_each(|(name, fact)| out.push_str(&format!("| {name} | {fact} |\n")));
    out.push_str(&arguments(about));
    out.push_str(&reply(about));
    out.push_str(&refusals(about));
    let history = replies::history(name).iter().map(|(version, what)| wrapped(&format!("- {version}: {what}"), "  "));
    let first = format!("- {}: Added.\n", about.since);
    out.push_str(&format!("\n## History\n\n{first}{}\n", history.collect::<String>()));
    out
}

const GENERATED: &str = "\
<!-- Generated by `make docs` down to the title Example; from there on it is written by hand, and a test runs it. -->
";

/// A cell of a table: a bar would end it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn arguments(about: &About) -> String {
    let mut out =
        "\n## Arguments\n\n| argument | what it may be | if left out | meaning |\n|---|---|---|---|\n".to_owned();
    for row in described(about) {
        let unit = if row.fact.unit.is_empty() { String::new() } else { format!(" {}", row.fact.unit) };
        let (range, meaning) = (cell(&row.fact.range.text()), cell(row.fact.meaning));
        let meaning = if row.path == "/key" && about.title().starts_with("LOCK.") { "the lock" } else { &meaning };
        out.push_str(&format!("| `{}` | {range}{unit} | {} | {meaning} |\n", row.shown, row.default));
    }
    out
}

fn reply(about: &About) -> String {
    let mut text = about.reply.to_owned();
    if let Some(first) = text.get(..1) {
        text = first.to_uppercase() + &text[1..];
    }
    let mut out =
        format!("\n## Reply\n\n{}\n| RESP2 | RESP3 | what |\n|---|---|---|\n", wrapped(&format!("{text}."), ""));
    for reply in replies::replies(about.title()) {
        out.push_str(&format!("| {} | {} | {} |\n", reply.resp2, reply.resp3, cell(reply.what)));
    }
    out
}

fn refusals(about: &About) -> String {
    let mut out = "\n## Errors\n\n| code | when |\n|---|---|\n".to_owned();
    for (code, when, _) in errors::errors(about.title()) {
        out.push_str(&format!("| `{code}` | {} |\n", cell(when)));
    }
    out.push_str(
        "\nA refused call changes nothing. [Errors](../errors.md) says what to do on each, and what the server",
    );
    out.push_str("\nitself can refuse.\n");
    out
}

/// A page: the generated part, and what is written by hand in the file that is there.
fn page(about: &About) -> (String, String) {
    let name = format!("commands/{}.md", about.title().to_lowercase());
    let written = read_written(&name).unwrap_or_default();
    let example = written.find(EXAMPLE).map_or("", |at| &written[at..]);
    assert!(
        example.contains("\n> ") || std::env::var_os("HOLDFAST_WRITE_DOCS").is_some(),
        "docs/{name} has no example"
    );
    let example = if example.is_empty() { EXAMPLE } else { example };
    (name, head(about) + example)
}

fn clients() -> impl Iterator<Item = &'static About> {
    TABLE.iter().map(|command| &command.about).filter(|about| !about.is_internal())
}

/// The families, and what each is about.
const FAMILIES: [(&str, &str); 4] = [
    ("STORE", "A store as a whole: its settings, its totals, its books"),
    ("INV", "Stock, and holds: units set aside until a deadline"),
    ("ORDER", "Orders, from the customer's click to the worker's hands"),
    ("LOCK", "A lock for what lives elsewhere"),
];

fn index() -> String {
    let mut out = ABOUT_COMMANDS.to_owned();
    for (family, title) in FAMILIES {
        out.push_str(&format!("\n## {family}\n\n{title}.\n\n| command | what it does |\n|---|---|\n"));
        for about in clients().filter(|about| about.title().starts_with(&format!("{family}."))) {
            let name = about.title();
            out.push_str(&format!("| [`{name}`](commands/{}.md) | {} |\n", name.to_lowercase(), cell(about.summary)));
        }
    }
    out.push_str("\n## Settings of STORE.SET\n\n| setting | default | minimum | meaning |\n|---|---|---|---|\n");
    let defaults = holdfast_engine::terms::settings::Settings::default();
    for field in FIELDS {
        let default = defaults.get(*field);
        let (default, min) = if field.is_switch() {
            ("no".to_owned(), "no".to_owned())
        } else {
            (default.to_string(), field.min().to_string())
        };
        out.push_str(&format!("| `{}` | {default} | {min} | {} |\n", field.name(), field.doc()));
    }
    out.push_str(ABOUT_ALERTS);
    for kind in AlertKind::ALL {
        out.push_str(&format!("| `{}` | {} |\n", kind.name(), kind.meaning()));
    }
    out
}

const ABOUT_COMMANDS: &str = "\
# Commands

Generated from the table of commands (`make docs`). A page for each command says what its arguments may be, what it
replies in both protocols, which errors it gives, and shows an example that a test runs. [commands.json](commands.json)
has the same for programs, in the form of Redis's own commands.json. [Errors](errors.md) lists all errors.

The key is always the first argument. Keywords can be written in small letters too; options come before ITEMS. A write
that names an id can be sent again after a lost reply: it changes nothing, and gives the first call's reply.
";

const ABOUT_ALERTS: &str = "
## Alerts

An entry of `…:alerts` has the fields `kind` `sku` `order` `available` `reason`, each empty where there is nothing to
say. It is written when something turns, so a store that sells calmly writes none. No command is refused because an
alert cannot be written: while `…:alerts` is a key of another type, or on another node, alerts are left out.
[What to do on each](running/alerts.md).

| kind | meaning |
|---|---|
";

/// What a code looks like, and what a client does about it.
const ADVICE: &[(&str, &str, &str)] = &[
    (
        "NOSTORE",
        "no store at this key, make one with STORE.SET or INV.SET",
        "Check the key. In a new shop: make the store",
    ),
    ("NOSKU", "no SKU cap in this store", "Check the SKU, or make it with INV.SET"),
    ("NOHOLD", "no hold cart-7 in this store", "Forgotten (`keep-ms`) or never made: reserve again"),
    ("NOORDER", "no order o-7 in this store", "Forgotten (`keep-ms`) or never placed"),
    ("OUTOFSTOCK", "mug wanted 2 available 1", "Tell the customer, offer less, or place the order with WAIT"),
    ("LIMIT", "customer ann limit 2 has 2", "Tell the customer"),
    ("NOTOPEN", "opens at 1795318993007, now is 1795318900000", "Try again when it opens"),
    ("CLOSED", "closed at 1795318993007, now is 1795318999999", "Tell the customer"),
    ("EXPIRED", "hold cart-7 expired at 1795318993007", "Reserve again: under a new id, or with REPLACE"),
    ("BADSTATE", "order is completed", "Do not try again: look with ORDER.GET or INV.HOLD what it is"),
    ("MISMATCH", "order o-7 was placed with another customer", "A mistake in the caller: two things have the same id"),
    ("FENCED", "current token 1838406649847808", "Another worker has the order: drop it, without undoing anything"),
    ("GAP", "expected 8", "Send the missing numbers first"),
    ("NOGATE", "order o-7 has no gate payment", "A mistake in the caller"),
    ("ERR", "qty must be an integer from 1 to 9007199254740991, got 'two'", "A mistake in the caller"),
    ("OOM", "command not allowed when used memory > 'maxmemory'.", "Try again later; raise `maxmemory`"),
    ("WRONGTYPE", "Operation against a key holding the wrong kind of value", "A mistake in the caller: another key"),
];

fn errors_page() -> String {
    let mut out = ABOUT_ERRORS.to_owned();
    for (code, text, advice) in ADVICE {
        let named = |about: &&About| errors::errors(about.title()).iter().any(|(found, ..)| found == code);
        let commands: Vec<_> = clients().filter(named).map(|about| format!("`{}`", about.title())).collect();
        let commands = match commands.len() {
            all if all == clients().count() => "all".to_owned(),
            many if many > 20 => "all that need a store".to_owned(),
            _ => commands.join(" "),
        };
        let why = Code::ALL.iter().find(|known| known.word() == *code).map_or(why_not_counted(code), |code| code.why());
        out.push_str(&format!("| `{code} {text}` | {why} | {advice}. | {commands} |\n"));
    }
    out.push_str(ABOUT_SERVER_ERRORS);
    out
}

/// What a code means that no counter counts.
fn why_not_counted(code: &str) -> &'static str {
    match code {
        "NOSTORE" => "there is no store at the key",
        "OOM" => "memory is full, and the call would add something",
        _ => "the key, or a stream of the store, is of another type",
    }
}

const ABOUT_ERRORS: &str = "\
# Errors

Generated from the table of commands (`make docs`). The first word of an error is its code: clients switch on it, and
`INFO errorstats` counts it. A refused call changes nothing, so it can be sent again, or corrected, without harm. The
store counts refused writes by their code (`refused-…` in [metrics.md](metrics.md)); refused reads are not counted.

| error, for example | meaning | what to do | commands |
|---|---|---|---|
";

const ABOUT_SERVER_ERRORS: &str = "
## Errors of the server

The server itself can refuse every command, as it does Redis's own:

| code | meaning | what to do |
|---|---|---|
| `MOVED` `ASK` | the store is on another node of the cluster | a cluster client follows by itself |
| `TRYAGAIN` | the store's slot is moving, part of its keys are elsewhere | send the call again after a few ms |
| `CLUSTERDOWN` | the cluster has no owner for the slot | send the call again: calls with ids are idempotent |
| `READONLY` | this server is a replica now: a failover | connect to the primary, and send the call again |
| `LOADING` `MASTERDOWN` | the server starts, or has lost its primary | send the call again later |
| `MISCONF` `NOREPLICAS` | the disk fails, or replicas are missing | an operator has to act; deadlines wait too |
| `NOAUTH` `NOPERM` | the user may not do this | [roles for users](running/acl.md) |
| `EXECABORT` | a command of a MULTI was refused while it was queued | look at the error of that command |
";

#[test]
fn the_reference_is_what_the_table_says() {
    for (name, text) in clients().map(page) {
        assert_written(&name, &text);
    }
    assert_written("commands.md", &index());
    assert_written("commands.json", &json::commands());
    assert_written("errors.md", &errors_page());
}

/// A page or a fact of a command that is gone is found.
#[test]
fn nothing_is_left_over() {
    let pages: BTreeSet<_> = clients().map(|about| format!("{}.md", about.title().to_lowercase())).collect();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands");
    for entry in std::fs::read_dir(folder).expect("docs/commands") {
        let name = entry.expect("an entry").file_name().into_string().expect("a name");
        assert!(pages.contains(&name), "docs/commands/{name} is of no command");
    }
    let used: BTreeSet<_> =
        clients().flat_map(described).map(|row| (row.fact.command, row.fact.arg, row.fact.meaning)).collect();
    for fact in FACTS {
        let is_used = used.contains(&(fact.command, fact.arg, fact.meaning));
        assert!(is_used, "no command has the argument {} {}", fact.command, fact.arg);
    }
    for error in errors::ERRORS {
        assert!(clients().any(|about| about.title() == error.command), "{} is no command", error.command);
        assert!(ADVICE.iter().any(|(code, ..)| *code == error.code), "{}: no advice", error.code);
    }
}

/// Who runs the store finds what to do on each alert.
#[test]
fn every_alert_has_an_advice() {
    let page = read_written("running/alerts.md").expect("docs/running/alerts.md");
    for kind in AlertKind::ALL {
        assert!(page.contains(&format!("\n### `{}`\n", kind.name())), "docs/running/alerts.md has no {}", kind.name());
    }
}

/// Panics if the reference does not name this error for a command.
pub fn assert_documented(command: &str, refusal: &Refusal) {
    static KNOWN: LazyLock<BTreeSet<(&str, &str)>> = LazyLock::new(|| {
        let of = |about: &'static About| {
            let codes = errors::errors(about.title()).into_iter().map(|(code, ..)| code);
            codes.map(|code| (about.title(), code)).collect::<Vec<_>>()
        };
        clients().flat_map(of).collect()
    });
    let code = Code::of(refusal).map_or("NOSTORE", Code::word);
    assert!(KNOWN.contains(&(command, code)), "{command}: the reference does not name the error {refusal}");
}
