//! The file: order lines as CSV, gathered into invoices.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::ops::RangeInclusive;
use std::path::Path;

use anyhow::{Context, Result};
use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::Deserialize;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The columns, as [`Record`] names them.
const COLUMNS: &str = "invoice, stock_code, quantity, invoice_date, unit_price, customer_id and country";
/// An invoice whose number starts so takes back what the customer bought.
const RETURN_PREFIX: char = 'C';

/// A line of the file, as its columns are named.
#[derive(Debug, Deserialize)]
struct Record {
    invoice: String,
    stock_code: String,
    quantity: i64,
    invoice_date: String,
    unit_price: Decimal,
    customer_id: String,
    country: String,
}

#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Index into [`Book::skus`].
    pub sku: usize,
    /// Units; negative in a return.
    pub quantity: i64,
    pub unit_price: Decimal,
}

/// An invoice: an order, or a return.
#[derive(Debug)]
pub struct Invoice {
    pub id: String,
    pub time: String,
    pub country: String,
    /// Empty where the file names none.
    pub customer: String,
    pub lines: Vec<Line>,
}

impl Line {
    /// Whether a shop can sell it in an order. The others (a count corrected, breakage, a bad debt) are adjustments.
    pub fn is_sold(&self) -> bool {
        self.quantity > 0 && !self.unit_price.is_sign_negative()
    }
}

impl Invoice {
    /// Whether it takes back what was bought before.
    pub fn is_return(&self) -> bool {
        self.id.starts_with(RETURN_PREFIX)
    }

    /// The lines of an order that a shop can sell.
    pub fn sold_lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| !self.is_return() && line.is_sold())
    }
}

#[derive(Debug, Default)]
pub struct Book {
    pub invoices: Vec<Invoice>,
    /// Every stock code that occurs, in order of appearance.
    pub skus: Vec<String>,
    pub lines: u64,
    /// The days of its first and its last invoice.
    pub days: Option<(NaiveDate, NaiveDate)>,
    sku_of: HashMap<String, usize>,
    /// Where an invoice is in the book; `None` when it is of other days.
    invoice_of: HashMap<String, Option<usize>>,
}

impl Book {
    /// Reads a CSV, compressed with gzip or not, and keeps the invoices of these days. An invoice is of the day of its
    /// first line, so that none is cut in two. Fails when the file cannot be read, lacks a column, or has a line that
    /// does not parse (the error names the line).
    pub fn read(path: &Path, days: &RangeInclusive<NaiveDate>) -> Result<Book> {
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let text = decompressed(file).with_context(|| format!("reading {}", path.display()))?;
        let mut reader = csv::Reader::from_reader(text);
        let mut book = Book::default();
        for record in reader.deserialize::<Record>() {
            let record = record.with_context(|| format!("{}: the columns must be {COLUMNS}", path.display()))?;
            book.add(record, days)?;
        }
        Ok(book)
    }

    /// Puts lines together that belong together, also when other invoices stand between them.
    fn add(&mut self, record: Record, days: &RangeInclusive<NaiveDate>) -> Result<()> {
        let at = match self.invoice_of.get(&record.invoice) {
            Some(at) => *at,
            None => self.open_invoice(&record, days)?,
        };
        let Some(at) = at else { return Ok(()) };
        let next = self.skus.len();
        let sku = *self.sku_of.entry(record.stock_code.clone()).or_insert(next);
        if sku == next {
            self.skus.push(record.stock_code);
        }
        self.lines += 1;
        let line = Line { sku, quantity: record.quantity, unit_price: record.unit_price };
        self.invoices[at].lines.push(line);
        Ok(())
    }

    fn open_invoice(&mut self, record: &Record, days: &RangeInclusive<NaiveDate>) -> Result<Option<usize>> {
        let day = day_of(&record.invoice_date).with_context(|| format!("invoice {}", record.invoice))?;
        let at = days.contains(&day).then_some(self.invoices.len());
        self.invoice_of.insert(record.invoice.clone(), at);
        if at.is_none() {
            return Ok(None);
        }
        self.invoices.push(Invoice {
            id: record.invoice.clone(),
            time: record.invoice_date.clone(),
            country: record.country.clone(),
            customer: record.customer_id.clone(),
            lines: Vec::new(),
        });
        let (first, last) = self.days.unwrap_or((day, day));
        self.days = Some((first.min(day), last.max(day)));
        Ok(at)
    }
}

fn decompressed(file: File) -> Result<Box<dyn Read>> {
    let mut file = BufReader::new(file);
    match file.fill_buf()?.starts_with(&GZIP_MAGIC) {
        true => Ok(Box::new(flate2::bufread::MultiGzDecoder::new(file))),
        false => Ok(Box::new(file)),
    }
}

/// The day a time starts with, `2010-12-01 08:26:00`.
fn day_of(time: &str) -> Result<NaiveDate> {
    let day = time.split([' ', 'T']).next().unwrap_or(time);
    day.parse().with_context(|| format!("'{time}' does not start with a day like 2010-12-01"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const TEXT: &str = "invoice,stock_code,quantity,invoice_date,unit_price,customer_id,country\n\
        1,A,2,2010-12-01 08:00:00,2.55,7,EIRE\n\
        2,B,1,2010-12-01 08:01:00,1.00,,EIRE\n\
        1,A,3,2010-12-02 00:00:00,2.55,7,EIRE\n\
        3,B,-4,2010-12-02 09:00:00,0.0,,EIRE\n\
        C4,A,-1,2010-12-03 09:00:00,2.55,7,EIRE\n";

    fn read(bytes: &[u8], from: &str, to: &str) -> Book {
        let mut file = tempfile::NamedTempFile::new().expect("a temp file");
        file.write_all(bytes).expect("writing it");
        let [from, to] = [from, to].map(|day| day_of(day).expect("a day"));
        Book::read(file.path(), &(from..=to)).expect("a good file")
    }

    #[test]
    fn gathers_the_lines_of_an_invoice() {
        let book = read(TEXT.as_bytes(), "2010-01-01", "2011-01-01");
        let lines: Vec<(&str, usize)> = book.invoices.iter().map(|i| (i.id.as_str(), i.lines.len())).collect();
        assert_eq!(lines, [("1", 2), ("2", 1), ("3", 1), ("C4", 1)]);
        assert_eq!(book.skus, ["A", "B"]);
        assert_eq!(book.invoices.iter().map(|i| i.sold_lines().count()).collect::<Vec<_>>(), [2, 1, 0, 0]);
    }

    #[test]
    fn a_period_cuts_no_invoice_in_two_and_gzip_is_read_as_well() {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(TEXT.as_bytes()).expect("packing");
        assert_eq!(read(&packer.finish().expect("packing"), "2010-12-01", "2010-12-01").lines, 3);
        assert_eq!(read(TEXT.as_bytes(), "2010-12-02 08:26:00", "2010-12-31").lines, 2);
    }
}
