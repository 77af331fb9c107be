//! Reading arguments: each problem is told with the argument's name, what was wanted and what is there.

use smallvec::SmallVec;

use crate::host::{Call, Str};
use holdfast_engine::base::units::{Item, MAX_DATA_BYTES, MAX_ID_BYTES, MAX_ITEMS, MAX_QUANTITY, Ms};
use holdfast_engine::terms::refusal::Refusal;

/// Elements a SCAN looks at that names no COUNT, as Redis's own.
const COUNT_DEFAULT: usize = 10;

/// The most elements a SCAN looks at: it bounds the time one call takes.
const COUNT_MAX: u64 = 10_000;

/// The items of a command. A cart of a few needs no allocation.
pub type Lines<'a> = SmallVec<[Item<'a>; 4]>;

/// The arguments behind the key, read one by one.
pub struct Args<'a> {
    rest: &'a [Str<'a>],
}

impl<'a> Args<'a> {
    pub fn new(call: &Call<'a>) -> Self {
        Args { rest: call.rest }
    }

    fn next(&mut self, name: &'static str) -> Result<Str<'a>, Refusal> {
        let (first, rest) = self.rest.split_first().ok_or_else(|| Refusal::argument(name, "is missing"))?;
        self.rest = rest;
        Ok(*first)
    }

    /// Whether anything is left.
    pub fn more(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Takes the next argument if it is this keyword.
    pub fn keyword(&mut self, word: &str) -> bool {
        let is_it = self.rest.first().is_some_and(|arg| arg.bytes().eq_ignore_ascii_case(word.as_bytes()));
        if is_it {
            self.rest = &self.rest[1..];
        }
        is_it
    }

    /// Refuses an argument that no keyword fits, or any that is left.
    pub fn unknown<T>(&self) -> Result<T, Refusal> {
        let shown = self.rest.first().map_or(String::new(), |arg| shown(arg.bytes()));
        Err(Refusal::argument("syntax", format!("error: {shown} was not expected here")))
    }

    /// Refuses what is left behind the last argument.
    pub fn end(&self) -> Result<(), Refusal> {
        if self.more() {
            return self.unknown();
        }
        Ok(())
    }

    /// Any bytes, at most [`MAX_DATA_BYTES`].
    pub fn text(&mut self, name: &'static str) -> Result<&'a [u8], Refusal> {
        let bytes = self.next(name)?.bytes();
        if bytes.len() > MAX_DATA_BYTES {
            return Err(Refusal::argument(name, format!("is {} bytes, at most {MAX_DATA_BYTES}", bytes.len())));
        }
        Ok(bytes)
    }

    /// An id, and the server's string of it.
    pub fn id_str(&mut self, name: &'static str) -> Result<(&'a [u8], Str<'a>), Refusal> {
        let string = self.next(name)?;
        let bytes: &[u8] = string.bytes();
        if bytes.is_empty() || bytes.len() > MAX_ID_BYTES {
            let problem = format!("is {} bytes, 1 to {MAX_ID_BYTES} were wanted", bytes.len());
            return Err(Refusal::argument(name, problem));
        }
        Ok((bytes, string))
    }

    /// An id: 1 to 512 bytes.
    pub fn id(&mut self, name: &'static str) -> Result<&'a [u8], Refusal> {
        Ok(self.id_str(name)?.0)
    }

    /// JSON, at most [`MAX_DATA_BYTES`].
    pub fn json(&mut self, name: &'static str) -> Result<(&'a [u8], Str<'a>), Refusal> {
        let string = *self.rest.first().ok_or_else(|| Refusal::argument(name, "is missing"))?;
        let bytes = self.text(name)?;
        let parsed = std::str::from_utf8(bytes).map_err(|problem| problem.to_string()).and_then(|text| {
            serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|problem| problem.to_string())
        });
        match parsed {
            Ok(_) => Ok((bytes, string)),
            Err(problem) => Err(Refusal::argument(name, format!("is not JSON: {problem}"))),
        }
    }

    /// An integer between two bounds.
    pub fn integer(&mut self, name: &'static str, min: i64, max: i64) -> Result<i64, Refusal> {
        let string = self.next(name)?;
        string.integer().filter(|n| (min..=max).contains(n)).ok_or_else(|| {
            let problem = format!("is {}, an integer from {min} to {max} was wanted", shown(string.bytes()));
            Refusal::argument(name, problem)
        })
    }

    /// Units, 1 and more.
    pub fn quantity(&mut self, name: &'static str) -> Result<u64, Refusal> {
        self.integer(name, 1, MAX_QUANTITY as i64).map(i64::unsigned_abs)
    }

    /// Units or a time, 0 and more.
    pub fn count(&mut self, name: &'static str) -> Result<u64, Refusal> {
        self.integer(name, 0, MAX_QUANTITY as i64).map(i64::unsigned_abs)
    }

    /// A duration, 1 ms and more.
    pub fn duration(&mut self, name: &'static str) -> Result<Ms, Refusal> {
        self.quantity(name)
    }

    /// A cursor of a SCAN.
    pub fn cursor(&mut self) -> Result<u64, Refusal> {
        let string = self.next("cursor")?;
        let parsed = std::str::from_utf8(string.bytes()).ok().and_then(|text| text.parse().ok());
        parsed.ok_or_else(|| {
            Refusal::argument("cursor", format!("is {}, one that a scan replied was wanted", shown(string.bytes())))
        })
    }

    /// COUNT's number, for [`scan_count`].
    pub fn scan_count(&mut self) -> Result<usize, Refusal> {
        Ok(self.quantity("COUNT")?.min(COUNT_MAX) as usize)
    }

    /// Everything that is left, as `sku qty` pairs.
    pub fn items(&mut self) -> Result<Lines<'a>, Refusal> {
        self.pairs(1)
    }

    /// Everything that is left, as `sku on-hand` pairs: counts, 0 and more.
    pub fn counts(&mut self) -> Result<Lines<'a>, Refusal> {
        self.pairs(0)
    }

    fn pairs(&mut self, min: i64) -> Result<Lines<'a>, Refusal> {
        let words = self.rest.len();
        if words == 0 || !words.is_multiple_of(2) || words / 2 > MAX_ITEMS {
            let problem = format!("has {words} words, 1 to {MAX_ITEMS} pairs of a SKU and a number were wanted");
            return Err(Refusal::argument("ITEMS", problem));
        }
        let mut lines = Lines::with_capacity(if words > 8 { words / 2 } else { 0 });
        while self.more() {
            let sku = self.id("sku")?;
            let name = if min == 0 { "on-hand" } else { "qty" };
            let qty = self.integer(name, min, MAX_QUANTITY as i64)?.unsigned_abs();
            lines.push(Item { sku, qty });
        }
        Ok(lines)
    }
}

/// The number of elements to look at.
pub fn scan_count(count: Option<usize>) -> usize {
    count.unwrap_or(COUNT_DEFAULT)
}

/// A client's bytes in an error: printable, and not too much of it.
pub fn shown(bytes: &[u8]) -> String {
    const SHOWN_BYTES: usize = 64;
    let (part, dots) = if bytes.len() > SHOWN_BYTES { (&bytes[..SHOWN_BYTES], "…") } else { (bytes, "") };
    format!("'{}{dots}'", part.escape_ascii())
}
