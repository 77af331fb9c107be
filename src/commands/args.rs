//! Reading arguments. An error names the argument, says what it must be, and then what came.

use std::ffi::CStr;

use smallvec::SmallVec;

use crate::host::{Call, Str};
use holdfast_engine::base::units::{MAX_DATA_BYTES, MAX_ID_BYTES, MAX_ITEMS, MAX_QUANTITY, Ms};
use holdfast_engine::calls::lanes::LANES_MAX;
use holdfast_engine::terms::items::Item;
use holdfast_engine::terms::refusal::{Refusal, refuse};

/// How many elements a SCAN without COUNT looks at, as in Redis.
const COUNT_DEFAULT: usize = 10;

/// The most elements a SCAN looks at: it bounds the time one call takes.
const COUNT_MAX: u64 = 10_000;

/// The lanes of a command. Up to four need no allocation.
pub type Lanes<'a> = SmallVec<[&'a [u8]; 4]>;

/// The items of a command. Up to four need no allocation.
pub type Items<'a> = SmallVec<[Item<'a>; 4]>;

/// Options that are sometimes given after ITEMS by mistake, where they are read as a SKU.
const BEFORE_ITEMS: [&str; 13] =
    ["CUSTOMER", "DATA", "GATE", "GROUP", "HOLD", "LANE", "LOST", "REF", "REPLACE", "SCRAP", "TOKEN", "TTL", "WAIT"];

/// The arguments after the key, read one by one.
pub struct Args<'a> {
    command: &'static CStr,
    rest: &'a [Str<'a>],
}

impl<'a> Args<'a> {
    pub fn new<H>(call: &Call<'a, H>) -> Self {
        Args { command: call.name, rest: call.rest }
    }

    fn next(&mut self, name: &'static str) -> Result<Str<'a>, Refusal> {
        let (first, rest) = self.rest.split_first().ok_or_else(|| missing(name))?;
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

    /// Takes the next argument, which must be this keyword.
    pub fn expect(&mut self, keyword: &'static str) -> Result<(), Refusal> {
        if self.keyword(keyword) { Ok(()) } else { self.needs(keyword) }
    }

    /// Refuses what stands where an option or this keyword must be.
    pub fn needs(&self, keyword: &'static str) -> Result<(), Refusal> {
        if self.more() { self.unknown() } else { Err(missing(keyword)) }
    }

    /// Refuses the next argument: no keyword fits it, or the command takes no more.
    #[cold]
    pub fn unknown(&self) -> Result<(), Refusal> {
        let (got, command) = (self.rest.first().map_or(&b""[..], |arg| arg.bytes()), self.command.to_string_lossy());
        let problem = format!("error: unexpected {} (COMMAND DOCS {command} lists the arguments)", shown(got));
        Err(Refusal::argument("syntax", problem))
    }

    /// Refuses arguments after the last one.
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
            let problem = || format!("must be at most {MAX_DATA_BYTES} bytes, got {}", bytes.len());
            return Err(refuse(|| Refusal::argument(name, problem())));
        }
        Ok(bytes)
    }

    /// An id, and the server's string of it.
    pub fn id_str(&mut self, name: &'static str) -> Result<(&'a [u8], Str<'a>), Refusal> {
        let string = self.next(name)?;
        let bytes: &[u8] = string.bytes();
        if bytes.is_empty() || bytes.len() > MAX_ID_BYTES {
            let problem = || format!("must be 1 to {MAX_ID_BYTES} bytes, got {}", bytes.len());
            return Err(refuse(|| Refusal::argument(name, problem())));
        }
        Ok((bytes, string))
    }

    /// An id: 1 to 512 bytes.
    pub fn id(&mut self, name: &'static str) -> Result<&'a [u8], Refusal> {
        Ok(self.id_str(name)?.0)
    }

    /// The name of a lane: an id, or empty for the default one.
    pub fn lane(&mut self, name: &'static str) -> Result<&'a [u8], Refusal> {
        let bytes = self.next(name)?.bytes();
        if bytes.len() > MAX_ID_BYTES {
            let problem = || format!("must be 0 to {MAX_ID_BYTES} bytes, got {}", bytes.len());
            return Err(refuse(|| Refusal::argument(name, problem())));
        }
        Ok(bytes)
    }

    /// A number of lanes, and as many names.
    pub fn lanes(&mut self) -> Result<Lanes<'a>, Refusal> {
        let count = self.integer("LANES", 1, 1 + LANES_MAX as i64)?;
        (0..count).map(|_| self.lane("lane")).collect()
    }

    /// JSON, at most [`MAX_DATA_BYTES`].
    pub fn json(&mut self, name: &'static str) -> Result<(&'a [u8], Str<'a>), Refusal> {
        let string = *self.rest.first().ok_or_else(|| missing(name))?;
        let bytes = self.text(name)?;
        let parsed = std::str::from_utf8(bytes).map_err(|problem| problem.to_string()).and_then(|text| {
            serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|problem| problem.to_string())
        });
        match parsed {
            Ok(_) => Ok((bytes, string)),
            Err(problem) => Err(Refusal::argument(name, format!("must be JSON, got {} ({problem})", shown(bytes)))),
        }
    }

    /// An integer between two bounds.
    pub fn integer(&mut self, name: &'static str, min: i64, max: i64) -> Result<i64, Refusal> {
        self.integer_or(name, min, max, String::new)
    }

    /// The same, with a hint for the error.
    fn integer_or(
        &mut self,
        name: &'static str,
        min: i64,
        max: i64,
        hint: impl FnOnce() -> String,
    ) -> Result<i64, Refusal> {
        let string = self.next(name)?;
        string.integer().filter(|n| (min..=max).contains(n)).ok_or_else(|| {
            refuse(|| {
                let got = shown(string.bytes());
                Refusal::argument(name, format!("must be an integer from {min} to {max}, got {got}{}", hint()))
            })
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

    /// The same, if the next argument is a number.
    pub fn count_if_any(&mut self, name: &'static str) -> Result<Option<u64>, Refusal> {
        let is_number = self.rest.first().is_some_and(|arg| arg.integer().is_some());
        if is_number { self.count(name).map(Some) } else { Ok(None) }
    }

    /// A duration, 1 ms and more.
    pub fn duration(&mut self, name: &'static str) -> Result<Ms, Refusal> {
        self.quantity(name)
    }

    /// The cursor of a SCAN.
    pub fn cursor(&mut self) -> Result<u64, Refusal> {
        let string = self.next("cursor")?;
        let parsed = std::str::from_utf8(string.bytes()).ok().and_then(|text| text.parse().ok());
        parsed.ok_or_else(|| {
            let got = shown(string.bytes());
            Refusal::argument("cursor", format!("must be 0 or a cursor that the last call replied, got {got}"))
        })
    }

    /// COUNT's number, for [`scan_count`].
    pub fn scan_count(&mut self) -> Result<usize, Refusal> {
        Ok(self.quantity("COUNT")?.min(COUNT_MAX) as usize)
    }

    /// Everything that is left, as `sku qty` pairs.
    pub fn items(&mut self) -> Result<Items<'a>, Refusal> {
        self.pairs(1)
    }

    /// Everything that is left, as `sku on-hand` pairs: counts, 0 and more.
    pub fn counts(&mut self) -> Result<Items<'a>, Refusal> {
        self.pairs(0)
    }

    fn pairs(&mut self, min: i64) -> Result<Items<'a>, Refusal> {
        let words = self.rest.len();
        if words == 0 || !words.is_multiple_of(2) || words / 2 > MAX_ITEMS {
            return Err(refuse(|| {
                let hint = hint(self.rest);
                let problem = format!("must be 1 to {MAX_ITEMS} pairs of a SKU and a number, got {words} words{hint}");
                Refusal::argument("ITEMS", problem)
            }));
        }
        let mut items = Items::with_capacity(if words > 8 { words / 2 } else { 0 });
        while self.more() {
            let pair = &self.rest[..2];
            let sku = self.id("sku")?;
            let name = if min == 0 { "on-hand" } else { "qty" };
            let qty = self.integer_or(name, min, MAX_QUANTITY as i64, || hint(pair))?.unsigned_abs();
            items.push(Item { sku, qty });
        }
        Ok(items)
    }
}

#[cold]
fn missing(name: &'static str) -> Refusal {
    Refusal::argument(name, "must be given")
}

/// A hint if one of the words is an option that belongs before ITEMS.
fn hint(words: &[Str]) -> String {
    let is_among = |option: &&str| words.iter().any(|word| word.bytes().eq_ignore_ascii_case(option.as_bytes()));
    let found = BEFORE_ITEMS.into_iter().find(is_among);
    found.map_or(String::new(), |option| format!(" (options such as {option} go before ITEMS)"))
}

/// The number of elements to look at.
pub fn scan_count(count: Option<usize>) -> usize {
    count.unwrap_or(COUNT_DEFAULT)
}

/// A client's bytes for an error text: printable, cut to a bounded length.
pub fn shown(bytes: &[u8]) -> String {
    const SHOWN_BYTES: usize = 64;
    let (part, dots) = if bytes.len() > SHOWN_BYTES { (&bytes[..SHOWN_BYTES], "…") } else { (bytes, "") };
    format!("'{}{dots}'", part.escape_ascii())
}
