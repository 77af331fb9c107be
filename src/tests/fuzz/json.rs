//! JSON that clients send, which is kept as it came, and JSON that the module writes.

use super::commands::said;
use crate::host::Stop;
use crate::host::simulated::Part;
use crate::tests::simulation::node::{Node, stream_key};
use holdfast_engine::base::units::{MAX_DATA_BYTES, MAX_ID_BYTES};
use holdfast_engine::oracle::shop::START;
use holdfast_engine::terms::streams::StreamKind;

/// Brackets of an input at most: the reader here calls itself, the module's does not and reads any depth.
const BRACKETS_MAX: usize = 500;

/// An input is DATA and RESULT: taken if it is JSON, and then kept to the byte. It is also a SKU, and the streams tell
/// of it in JSON that reads back.
pub fn run(input: &[u8]) {
    if input.iter().filter(|byte| b"[{".contains(byte)).count() > BRACKETS_MAX {
        return;
    }
    let shop = Node::new(1_000, START, 1);
    shop.server.primary.set(true);
    said(&shop, &[b"INV.SET", b"tea", b"9"]).expect("stock");
    is_taken_if_it_is_json(&shop, input);
    is_told_as_it_is(&shop, input);
}

fn is_taken_if_it_is_json(shop: &Node, input: &[u8]) {
    let placed = said(shop, &[b"ORDER.PLACE", b"o", b"ann", b"DATA", input, b"ITEMS", b"tea", b"1"]);
    assert_eq!(placed.is_ok(), is_json(input), "{}: {placed:?}", input.escape_ascii());
    if let Err(stop) = placed {
        return assert!(matches!(stop, Stop::Refused(_)), "{stop:?}");
    }
    assert!(fields(shop, StreamKind::Orders).contains(&input.to_vec()), "the stream has it as it came");
    let view = said(shop, &[b"ORDER.GET", b"o"]).expect("an order");
    assert!(view.contains(&Part::Bulk(input.to_vec())), "so has ORDER.GET");
    said(shop, &[b"ORDER.COMPLETE", b"o", b"RESULT", input]).expect("a result");
    assert!(fields(shop, StreamKind::Complete).contains(&input.to_vec()), "and the result");
}

fn is_told_as_it_is(shop: &Node, sku: &[u8]) {
    if sku.is_empty() || sku.len() > MAX_ID_BYTES {
        return;
    }
    said(shop, &[b"INV.SET", sku, b"9"]).expect("stock");
    said(shop, &[b"ORDER.PLACE", b"of-sku", b"ann", b"ITEMS", sku, b"3"]).expect("an order");
    let told = fields(shop, StreamKind::Orders);
    let items = told.iter().skip_while(|field| *field != b"items").nth(1).expect("items");
    let read: Vec<(String, u64)> = serde_json::from_slice(items).expect("items are JSON");
    // An id that is text comes back as it is; of another, each character is a byte.
    let name = String::from_utf8(sku.to_vec()).unwrap_or_else(|_| sku.iter().map(|byte| char::from(*byte)).collect());
    assert_eq!(read, [(name, 3)]);
}

/// Names and values of all entries of a stream.
fn fields(shop: &Node, kind: StreamKind) -> Vec<Vec<u8>> {
    shop.server.stream(&stream_key(kind)).entries.into_values().flatten().collect()
}

/// Whether it is JSON, by a reader of its own (RFC 8259).
fn is_json(text: &[u8]) -> bool {
    let mut reader = Reader { rest: text };
    text.len() <= MAX_DATA_BYTES && std::str::from_utf8(text).is_ok() && reader.value() && reader.rest.is_empty()
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.rest.first() == Some(&byte);
        if is_next {
            self.rest = &self.rest[1..];
        }
        is_next
    }

    fn take_while(&mut self, is_wanted: impl Fn(u8) -> bool) -> usize {
        let count = self.rest.iter().take_while(|byte| is_wanted(**byte)).count();
        self.rest = &self.rest[count..];
        count
    }

    fn blanks(&mut self) {
        self.take_while(|byte| b" \t\r\n".contains(&byte));
    }

    fn word(&mut self, word: &[u8]) -> bool {
        self.rest.strip_prefix(word).map(|rest| self.rest = rest).is_some()
    }

    /// A value with what is blank around it.
    fn value(&mut self) -> bool {
        self.blanks();
        let is_value = match self.rest.first() {
            Some(b'{') => self.list(b'}', |reader| {
                reader.blanks();
                reader.string() && {
                    reader.blanks();
                    reader.take(b':') && reader.value()
                }
            }),
            Some(b'[') => self.list(b']', Reader::value),
            Some(b'"') => self.string(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => self.number(),
        };
        self.blanks();
        is_value
    }

    /// What begins with a bracket, ends with another, and has commas between its elements.
    fn list(&mut self, end: u8, element: impl Fn(&mut Self) -> bool) -> bool {
        self.rest = &self.rest[1..];
        self.blanks();
        let mut is_list = self.take(end);
        while !is_list {
            if !element(self) {
                return false;
            }
            self.blanks();
            is_list = self.take(end);
            if !is_list && !self.take(b',') {
                return false;
            }
        }
        true
    }

    fn string(&mut self) -> bool {
        if !self.take(b'"') {
            return false;
        }
        loop {
            self.take_while(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
            if self.take(b'"') {
                return true;
            }
            if !self.take(b'\\') || !self.escape() {
                return false;
            }
        }
    }

    fn escape(&mut self) -> bool {
        match self.rest.split_first() {
            Some((b'u', rest)) if rest.len() >= 4 && rest[..4].iter().all(u8::is_ascii_hexdigit) => {
                self.rest = &rest[4..];
                true
            }
            Some((byte, rest)) if b"\"\\/bfnrt".contains(byte) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn number(&mut self) -> bool {
        self.take(b'-');
        let digits = |byte: u8| byte.is_ascii_digit();
        let has_zero = self.take(b'0');
        if !has_zero && self.take_while(digits) == 0 {
            return false;
        }
        if self.take(b'.') && self.take_while(digits) == 0 {
            return false;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            return self.take_while(digits) > 0;
        }
        true
    }
}

#[test]
fn the_reader_knows_json() {
    let good = ["0", " -1.5e+3 ", r#"{"a":[1,{"b":"\u00e4\n"}], "c" : null}"#, "[]", "{}", "\"\"", "[[ ]]"];
    assert!(good.into_iter().all(|text| is_json(text.as_bytes())));
    let bad = ["", "01", "1.", "+1", "[1,]", "{\"a\"}", "{1:2}", "\"\\x\"", "\"\n\"", "nul", "[1 2]", "1 2", ".5", "-"];
    assert!(bad.into_iter().all(|text| !is_json(text.as_bytes())));
}
