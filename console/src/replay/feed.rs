//! Feeds invoices to the server in pipelines, and enters into the books what the server said yes to.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context, Result, bail};
use redis::{Pipeline, RedisResult, Value};
use rust_decimal::Decimal;
use serde::Serialize;

use super::books::{Books, ByOrder};
use super::file::{Book, Invoice, Line};
use crate::check::Complaints;
use crate::connect::Connection;
use crate::store;

/// Orders sent before their replies are read.
const PIPELINE_ORDERS: usize = 64;
/// Order lines sent before replies are read: a bound on what waits in the socket's buffers.
const PIPELINE_LINES: usize = 4_000;
/// What an order may have at most; a longer invoice becomes several orders.
const ORDER_LINES_MAX: usize = 1_000;
const SKUS_PER_ROUND_TRIP: usize = 500;

/// What came of it so far. Units and lines are those of the file.
#[derive(Debug, Default)]
pub struct Counts {
    pub invoices: u64,
    pub lines_read: u64,
    pub orders: u64,
    pub order_lines: u64,
    pub units_sold: i64,
    pub return_invoices: u64,
    pub returned_orders: u64,
    pub units_returned: i64,
    /// Return lines of which at least a part was never sold to that customer.
    pub never_sold_lines: u64,
    pub never_sold_units: i64,
    /// Of these, lines of returns that name no customer.
    pub nameless_return_lines: u64,
    pub adjustment_lines: u64,
    pub adjustment_units: i64,
    /// Orders placed in parts, as they had more lines than one order may.
    pub invoices_split: u64,
    /// Orders refused, by code: only where the stock was given (`--stock`).
    pub refused: BTreeMap<String, u64>,
    pub complaints: Complaints,
}

#[derive(Debug)]
struct Order {
    id: String,
    customer: String,
    items: Vec<(usize, i64)>,
}

/// What the next reply of the pipeline answers: a command about an order, with so many units.
#[derive(Debug)]
struct Asked {
    command: &'static str,
    order: usize,
    units: i64,
}

#[derive(Serialize)]
struct OrderData<'a> {
    date: &'a str,
    country: &'a str,
    total: Decimal,
}

pub struct Feed<'a> {
    /// For what is asked besides orders, too.
    pub connection: Connection,
    store: &'a str,
    book: &'a Book,
    /// Refusals for want of stock are part of the game.
    stock_is_short: bool,
    pub books: Books,
    pub counts: Counts,
    orders: Vec<Order>,
    waiting: Waiting,
}

#[derive(Default)]
struct Waiting {
    pipeline: Pipeline,
    asked: Vec<Asked>,
    lines: usize,
    customers: HashSet<String>,
}

impl<'a> Feed<'a> {
    /// A feed for `store` with nothing in it yet.
    pub fn new(connection: Connection, store: &'a str, book: &'a Book, stock_is_short: bool) -> Feed<'a> {
        Feed {
            connection,
            store,
            book,
            stock_is_short,
            books: Books::new(book.skus.len()),
            counts: Counts::default(),
            orders: Vec::new(),
            waiting: Waiting::default(),
        }
    }

    /// Receives `units` of each SKU (INV.SET). Fails when the server refuses.
    pub fn receive(&mut self, units: &[i64]) -> Result<()> {
        let skus: Vec<_> = self.book.skus.iter().zip(units).collect();
        for chunk in skus.chunks(SKUS_PER_ROUND_TRIP) {
            let mut pipeline = Pipeline::new();
            for (sku, units) in chunk {
                pipeline.cmd("INV.SET").arg(self.store).arg(sku).arg(units);
            }
            pipeline.exec(&mut self.connection).context("receiving stock with INV.SET")?;
        }
        units.iter().enumerate().for_each(|(sku, units)| self.books.receive(sku, *units));
        Ok(())
    }

    /// Sends an invoice, or lets it wait for company until the pipeline is full. Fails when the connection fails.
    pub fn invoice(&mut self, invoice: &Invoice) -> Result<()> {
        self.counts.invoices += 1;
        self.counts.lines_read += u64::try_from(invoice.lines.len())?;
        match invoice.is_return() {
            true => self.take_back(invoice)?,
            false => self.place(invoice)?,
        }
        if self.waiting.asked.len() >= 2 * PIPELINE_ORDERS || self.waiting.lines >= PIPELINE_LINES {
            self.flush()?;
        }
        Ok(())
    }

    fn place(&mut self, invoice: &Invoice) -> Result<()> {
        let (sold, others): (Vec<Line>, Vec<Line>) = invoice.lines.iter().partition(|line| line.is_sold());
        others.iter().for_each(|line| self.skip(line));
        self.counts.invoices_split += u64::from(sold.len() > ORDER_LINES_MAX);
        for (part, lines) in sold.chunks(ORDER_LINES_MAX).enumerate() {
            let id = match part {
                0 => invoice.id.clone(),
                _ => format!("{}#{}", invoice.id, part + 1),
            };
            let total: Decimal = lines.iter().map(|line| line.unit_price * Decimal::from(line.quantity)).sum();
            let data = OrderData { date: &invoice.time, country: &invoice.country, total };
            let items: Vec<_> = lines.iter().map(|line| (line.sku, line.quantity)).collect();
            let (order, customer) = (self.orders.len(), customer_of(invoice));
            self.orders.push(Order { id, customer: customer.clone(), items: items.clone() });
            self.ask("ORDER.PLACE", order, &[&customer, "DATA", &serde_json::to_string(&data)?], &items);
            self.ask("ORDER.COMPLETE", order, &[], &[]);
            self.waiting.customers.insert(customer);
        }
        Ok(())
    }

    fn skip(&mut self, line: &Line) {
        self.counts.adjustment_lines += 1;
        self.counts.adjustment_units += line.quantity;
    }

    fn take_back(&mut self, invoice: &Invoice) -> Result<()> {
        let customer = customer_of(invoice);
        // What this customer may give back depends on replies that have not been read yet.
        if self.waiting.customers.contains(&customer) {
            self.flush()?;
        }
        self.counts.return_invoices += 1;
        let mut by_order = ByOrder::new();
        for line in &invoice.lines {
            if line.quantity >= 0 {
                self.skip(line);
                continue;
            }
            let never_sold = self.books.take_back(&customer, line.sku, -line.quantity, &mut by_order);
            if never_sold > 0 {
                self.counts.never_sold_lines += 1;
                self.counts.never_sold_units += never_sold;
                self.counts.nameless_return_lines += u64::from(invoice.customer.is_empty());
            }
        }
        for (order, items) in by_order {
            let reference = format!("{}/{}", invoice.id, self.orders[order].id);
            self.ask("ORDER.RETURN", order, &["REF", &reference], &items);
        }
        Ok(())
    }

    /// Adds a command about an order to what waits, with its details and its items.
    fn ask(&mut self, command: &'static str, order: usize, details: &[&str], items: &[(usize, i64)]) {
        let named: Vec<_> = items.iter().map(|&(sku, units)| (&self.book.skus[sku], units)).collect();
        let pipeline = self.waiting.pipeline.cmd(command).arg(self.store).arg(&self.orders[order].id).arg(details);
        if !items.is_empty() {
            pipeline.arg("ITEMS").arg(named);
        }
        self.waiting.lines += items.len();
        let units = items.iter().map(|(_, units)| units).sum();
        self.waiting.asked.push(Asked { command, order, units });
    }

    /// Sends what waits, and enters the replies. Fails when the connection fails, or the server leaves a reply out.
    pub fn flush(&mut self) -> Result<()> {
        if self.waiting.asked.is_empty() {
            return Ok(());
        }
        let Waiting { mut pipeline, asked, .. } = std::mem::take(&mut self.waiting);
        let replies: Vec<RedisResult<Value>> =
            pipeline.ignore_errors().query(&mut self.connection).context("sending orders")?;
        if replies.len() != asked.len() {
            bail!("{} commands got {} replies", asked.len(), replies.len());
        }
        let mut refused = HashSet::new();
        for (asked, reply) in asked.into_iter().zip(replies) {
            self.enter(&asked, reply, &mut refused);
        }
        Ok(())
    }

    fn enter(&mut self, asked: &Asked, reply: RedisResult<Value>, refused: &mut HashSet<usize>) {
        let is_refused = refused.contains(&asked.order);
        match (asked.command, reply) {
            ("ORDER.PLACE", Ok(_)) => {}
            ("ORDER.PLACE", Err(error)) if self.stock_is_short && store::code(&error) == "OUTOFSTOCK" => {
                refused.insert(asked.order);
                *self.counts.refused.entry(store::code(&error).to_string()).or_default() += 1;
            }
            // An order that was refused cannot be completed: that it is not there is what must come.
            ("ORDER.COMPLETE", Err(error)) if is_refused && store::code(&error) == "NOORDER" => {}
            ("ORDER.COMPLETE", Ok(_)) if !is_refused => self.enter_sale(asked.order),
            ("ORDER.RETURN", Ok(Value::Int(put_back))) if put_back == asked.units => {
                self.counts.returned_orders += 1;
                self.counts.units_returned += put_back;
            }
            (command, reply) => {
                let reply = reply.map_or_else(|error| error.to_string(), |value| store::plain(&value));
                let id = &self.orders[asked.order].id;
                self.counts.complaints.add(format!("{command} {} {id} got: {reply}", self.store));
            }
        }
    }

    fn enter_sale(&mut self, at: usize) {
        let order = &self.orders[at];
        self.books.sell(at, &order.customer, &order.items);
        self.counts.orders += 1;
        self.counts.order_lines += order.items.len() as u64;
        self.counts.units_sold += order.items.iter().map(|(_, units)| units).sum::<i64>();
    }
}

/// Who bought it; an invoice that names nobody is a guest's, who is never seen again.
fn customer_of(invoice: &Invoice) -> String {
    match invoice.customer.as_str() {
        "" => format!("guest-{}", invoice.id),
        customer => customer.to_string(),
    }
}

/// Units of each SKU that all orders of the book need together.
pub fn units_needed(book: &Book) -> Vec<i64> {
    let mut needed = vec![0; book.skus.len()];
    for line in book.invoices.iter().flat_map(Invoice::sold_lines) {
        needed[line.sku] += line.quantity;
    }
    needed
}
