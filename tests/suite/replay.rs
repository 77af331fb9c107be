//! Four days of a real shop, replayed: every SKU's count is what this test computes from the file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::common::{Client, Reply, Server, ServerBinary, cmd, console, tests};

tests![
    exact_stock_sells_out,
    scarce_stock_refuses_orders_and_still_adds_up,
    days_can_be_chosen,
    a_store_in_the_way_is_not_touched,
    a_broken_file_is_refused,
];

/// The columns of the file, as its header names them.
const HEADER: &str = "invoice,stock_code,quantity,invoice_date,unit_price,customer_id,country";

/// With fewer orders than this the test would prove little.
const ORDERS_MIN: i64 = 50;

/// A line of the file.
pub struct Line<'a> {
    sku: &'a str,
    quantity: i64,
    customer: &'a str,
}

/// The file's lines by invoice, in the order of each invoice's first line.
pub struct File<'a> {
    invoices: Vec<(&'a str, Vec<Line<'a>>)>,
}

fn data_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/online-retail-2011-04.csv")
}

pub fn data() -> String {
    std::fs::read_to_string(data_path()).expect("the test data")
}

/// The lines of the days that `wanted` accepts.
pub fn parse(text: &str, wanted: impl Fn(&str) -> bool) -> File<'_> {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(HEADER));
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut invoices: Vec<(&str, Vec<Line>)> = Vec::new();
    for line in lines {
        // No field of this file is quoted; a quoted one could change the number of columns.
        let columns: Vec<&str> = line.split(',').collect();
        let &[invoice, sku, quantity, date, _price, customer, _country] = columns.as_slice() else {
            panic!("seven columns: {line}");
        };
        if !wanted(&date[..10]) {
            continue;
        }
        let place = *places.entry(invoice).or_insert_with(|| {
            invoices.push((invoice, Vec::new()));
            invoices.len() - 1
        });
        invoices[place].1.push(Line { sku, quantity: quantity.parse().expect("a quantity"), customer });
    }
    File { invoices }
}

/// The expected state of the shop, and how many orders were accepted and refused.
#[derive(Default)]
pub struct Outcome<'a> {
    on_hand: HashMap<&'a str, i64>,
    pub orders: i64,
    refused: i64,
}

/// Sells the file's orders from `stock` units of every SKU (what all orders need, when `None`), one after the other.
pub fn sell<'a>(file: &File<'a>, stock: Option<i64>) -> Outcome<'a> {
    let mut outcome = Outcome::default();
    for (invoice, lines) in &file.invoices {
        for line in lines {
            let needed = if invoice.starts_with('C') { 0 } else { line.quantity.max(0) };
            *outcome.on_hand.entry(line.sku).or_default() += needed;
        }
    }
    if let Some(units) = stock {
        outcome.on_hand.values_mut().for_each(|on_hand| *on_hand = units);
    }
    // Units a customer bought and has not given back, by SKU.
    let mut bought: HashMap<(&str, &str), i64> = HashMap::new();
    for (invoice, lines) in &file.invoices {
        match invoice.starts_with('C') {
            true => take_back(lines, &mut bought, &mut outcome),
            false => place(lines, &mut bought, &mut outcome),
        }
    }
    outcome
}

fn place<'a>(lines: &[Line<'a>], bought: &mut HashMap<(&'a str, &'a str), i64>, outcome: &mut Outcome<'a>) {
    let mut items: HashMap<&str, i64> = HashMap::new();
    for line in lines.iter().filter(|line| line.quantity > 0) {
        *items.entry(line.sku).or_default() += line.quantity;
    }
    if items.is_empty() {
        return;
    }
    if items.iter().any(|(sku, units)| outcome.on_hand[sku] < *units) {
        outcome.refused += 1;
        return;
    }
    outcome.orders += 1;
    for (sku, units) in items {
        *outcome.on_hand.entry(sku).or_default() -= units;
        *bought.entry((lines[0].customer, sku)).or_default() += units;
    }
}

fn take_back<'a>(lines: &[Line<'a>], bought: &mut HashMap<(&'a str, &'a str), i64>, outcome: &mut Outcome<'a>) {
    // A customer without a name is unknown.
    for line in lines.iter().filter(|line| line.quantity < 0 && !line.customer.is_empty()) {
        let Some(left) = bought.get_mut(&(line.customer, line.sku)) else { continue };
        let units = (*left).min(-line.quantity);
        *left -= units;
        *outcome.on_hand.entry(line.sku).or_default() += units;
    }
}

/// Compares the store with the count of this test, SKU by SKU.
#[track_caller]
pub fn assert_counts(client: &mut Client, store: &str, outcome: &Outcome) {
    assert!(outcome.orders >= ORDERS_MIN, "a test of {} orders says little", outcome.orders);
    for (sku, on_hand) in &outcome.on_hand {
        let reply = client.get(cmd!["INV.GET", store, *sku]);
        let number = |name| reply.array()[0].field(name).int();
        assert_eq!((number("on-hand"), number("held"), number("available")), (*on_hand, 0, *on_hand), "SKU {sku}");
    }
    assert_eq!(client.int(format!("XLEN {{{store}}}:complete")), outcome.orders, "completed orders");
    assert_eq!(client.int(format!("XLEN {{{store}}}:orders")), 0, "orders that wait");
    assert_eq!(client.get(format!("STORE.AUDIT {store}")), Reply::Array(Vec::new()));
}

fn replay(binary: &ServerBinary, server: &Server, options: &[&str]) -> console::Run {
    let path = data_path();
    let url = format!("redis://127.0.0.1:{}", server.port());
    let mut arguments = vec!["replay", path.to_str().expect("a path of UTF-8"), "--url", &url];
    arguments.extend(options);
    console::holdfast(binary, &arguments)
}

fn exact_stock_sells_out(binary: &ServerBinary) {
    let server = Server::start(binary);
    replay(binary, &server, &[]).assert_success();
    let text = data();
    let outcome = sell(&parse(&text, |_| true), None);
    assert_eq!(outcome.refused, 0);
    assert!(outcome.on_hand.values().any(|units| *units > 0), "something was given back");
    assert_counts(&mut server.client(), "retail", &outcome);
}

fn scarce_stock_refuses_orders_and_still_adds_up(binary: &ServerBinary) {
    let server = Server::start(binary);
    let run = replay(binary, &server, &["--stock", "60"]);
    run.assert_success();
    let text = data();
    let outcome = sell(&parse(&text, |_| true), Some(60));
    assert!(outcome.refused > 0);
    assert_counts(&mut server.client(), "retail", &outcome);
    let told = format!("{} orders, OUTOFSTOCK", outcome.refused);
    assert!(run.stdout.contains(&told), "no {told:?} in:\n{}", run.stdout);
}

fn days_can_be_chosen(binary: &ServerBinary) {
    let server = Server::start(binary);
    replay(binary, &server, &["--from", "2011-04-10", "--to", "2011-04-11"]).assert_success();
    let text = data();
    let outcome = sell(&parse(&text, |day| ("2011-04-10"..="2011-04-11").contains(&day)), None);
    assert_counts(&mut server.client(), "retail", &outcome);
}

fn a_store_in_the_way_is_not_touched(binary: &ServerBinary) {
    let server = Server::start(binary);
    let mut client = server.client();
    client.ok("STORE.SET retail metrics 0");
    let before = client.digest();
    let run = replay(binary, &server, &[]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("--force"), "{}", run.stderr);
    assert_eq!(client.digest(), before);
    replay(binary, &server, &["--force"]).assert_success();
}

fn a_broken_file_is_refused(binary: &ServerBinary) {
    let file = tempfile::NamedTempFile::new().expect("a temp file");
    std::fs::write(file.path(), format!("{HEADER}\n1,sku,many,2011-04-08 10:00:00,1,2,EIRE\n")).expect("written");
    let run = console::holdfast(binary, &["replay", file.path().to_str().expect("a path of UTF-8")]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("line: 2") && run.stderr.contains("quantity"), "{}", run.stderr);
}
