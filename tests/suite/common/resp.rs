//! Replies as they are on the wire: every type of RESP2 and RESP3 is kept apart, errors are bytes as sent.

use std::fmt;
use std::io::{self, BufRead};

/// A reply of the server.
#[derive(Clone, PartialEq)]
pub enum Reply {
    /// A simple string, `+OK`.
    Status(Vec<u8>),
    /// An error, code and text, without the leading `-`.
    Error(Vec<u8>),
    /// An integer.
    Int(i64),
    /// A bulk string (RESP3's verbatim string too, without its format).
    Bulk(Vec<u8>),
    /// A missing value, of either protocol.
    Nil,
    /// An array.
    Array(Vec<Reply>),
    /// RESP3's map, in the order sent.
    Map(Vec<(Reply, Reply)>),
    /// RESP3's set.
    Set(Vec<Reply>),
    /// RESP3's push.
    Push(Vec<Reply>),
    /// RESP3's double, as its text.
    Double(Vec<u8>),
    /// RESP3's boolean.
    Bool(bool),
    /// RESP3's big number, as its text.
    BigNumber(Vec<u8>),
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Status(text) => write!(f, "+{}", text.escape_ascii()),
            Reply::Error(text) => write!(f, "-{}", text.escape_ascii()),
            Reply::Int(number) => write!(f, ":{number}"),
            Reply::Bulk(bytes) if bytes.len() > 300 => {
                write!(f, "<{} bytes>", bytes.len())
            }
            Reply::Bulk(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Reply::Nil => write!(f, "nil"),
            Reply::Array(items) => f.debug_list().entries(items).finish(),
            Reply::Map(pairs) => f.debug_map().entries(pairs.iter().cloned()).finish(),
            Reply::Set(items) => f.debug_set().entries(items).finish(),
            Reply::Push(items) => f.debug_tuple("push").field(items).finish(),
            Reply::Double(text) => write!(f, ",{}", text.escape_ascii()),
            Reply::Bool(value) => write!(f, "#{value}"),
            Reply::BigNumber(text) => write!(f, "({}", text.escape_ascii()),
        }
    }
}

impl Reply {
    /// True for an error.
    pub fn is_error(&self) -> bool {
        matches!(self, Reply::Error(_))
    }

    /// The number, of an integer reply.
    #[track_caller]
    pub fn int(&self) -> i64 {
        match self {
            Reply::Int(number) => *number,
            other => panic!("wanted an integer, got {other:?}"),
        }
    }

    /// The bytes, of a string of either kind.
    #[track_caller]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Reply::Bulk(bytes) | Reply::Status(bytes) => bytes,
            other => panic!("wanted a string, got {other:?}"),
        }
    }

    /// A scalar as text: strings as they are, numbers in digits.
    #[track_caller]
    pub fn text(&self) -> String {
        match self {
            Reply::Int(number) => number.to_string(),
            other => String::from_utf8_lossy(other.bytes()).into_owned(),
        }
    }

    /// The elements, of an array (or a RESP3 set).
    #[track_caller]
    pub fn array(&self) -> &[Reply] {
        match self {
            Reply::Array(items) | Reply::Set(items) => items,
            other => panic!("wanted an array, got {other:?}"),
        }
    }

    /// The elements as texts, of an array of scalars.
    #[track_caller]
    pub fn texts(&self) -> Vec<String> {
        self.array().iter().map(Reply::text).collect()
    }

    /// The pairs of a map: a RESP3 map as it is, a RESP2 array by twos.
    #[track_caller]
    pub fn pairs(&self) -> Vec<(String, Reply)> {
        match self {
            Reply::Map(pairs) => pairs.iter().map(|(k, v)| (k.text(), v.clone())).collect(),
            Reply::Array(items) if items.len() % 2 == 0 => {
                items.chunks_exact(2).map(|pair| (pair[0].text(), pair[1].clone())).collect()
            }
            other => panic!("wanted a map, got {other:?}"),
        }
    }

    /// The value of a map's field; panics when it is missing, and names those there are.
    #[track_caller]
    pub fn field(&self, name: &str) -> Reply {
        let pairs = self.pairs();
        match pairs.iter().find(|(key, _)| key == name) {
            Some((_, value)) => value.clone(),
            None => panic!("no field {name:?} in {pairs:?}"),
        }
    }

    /// The text of an error.
    #[track_caller]
    pub fn error(&self) -> String {
        match self {
            Reply::Error(text) => String::from_utf8_lossy(text).into_owned(),
            other => panic!("wanted an error, got {other:?}"),
        }
    }

    /// The first word of an error: its code.
    #[track_caller]
    pub fn code(&self) -> String {
        let text = self.error();
        text.split(' ').next().unwrap_or_default().to_owned()
    }
}

fn bad(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

fn read_line(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if !line.ends_with(b"\r\n") {
        return Err(bad(format!("line without CRLF: {}", line.escape_ascii())));
    }
    line.truncate(line.len() - 2);
    if line.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
        return Err(bad(format!("broken line: {}", line.escape_ascii())));
    }
    Ok(line)
}

fn number(text: &[u8]) -> io::Result<i64> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| bad(format!("not a number: {}", text.escape_ascii())))
}

fn read_bulk(reader: &mut impl BufRead, length: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let length = number(length)?;
    if length < 0 {
        return Ok(None);
    }
    let mut bytes = vec![0; length as usize + 2];
    reader.read_exact(&mut bytes)?;
    if !bytes.ends_with(b"\r\n") {
        return Err(bad("bulk string without CRLF".into()));
    }
    bytes.truncate(length as usize);
    Ok(Some(bytes))
}

fn read_items(reader: &mut impl BufRead, count: i64) -> io::Result<Vec<Reply>> {
    (0..count).map(|_| read_reply(reader)).collect()
}

/// Reads one reply. Anything that is not RESP (an unknown type, a status with a line break in it) is an error.
pub fn read_reply(reader: &mut impl BufRead) -> io::Result<Reply> {
    let line = read_line(reader)?;
    let (kind, rest) = (line.first().copied().unwrap_or(b'?'), &line[1.min(line.len())..]);
    Ok(match kind {
        b'+' => Reply::Status(rest.to_vec()),
        b'-' => Reply::Error(rest.to_vec()),
        b':' => Reply::Int(number(rest)?),
        b',' => Reply::Double(rest.to_vec()),
        b'(' => Reply::BigNumber(rest.to_vec()),
        b'#' => Reply::Bool(rest == b"t"),
        b'_' => Reply::Nil,
        b'$' => read_bulk(reader, rest)?.map_or(Reply::Nil, Reply::Bulk),
        b'=' => read_bulk(reader, rest)?
            .map_or(Reply::Nil, |bytes| Reply::Bulk(bytes.get(4..).unwrap_or_default().to_vec())),
        b'*' | b'~' | b'>' | b'%' => read_aggregate(reader, kind, number(rest)?)?,
        _ => return Err(bad(format!("not RESP: {}", line.escape_ascii()))),
    })
}

fn read_aggregate(reader: &mut impl BufRead, kind: u8, count: i64) -> io::Result<Reply> {
    if count < 0 {
        return Ok(Reply::Nil);
    }
    Ok(match kind {
        b'*' => Reply::Array(read_items(reader, count)?),
        b'~' => Reply::Set(read_items(reader, count)?),
        b'>' => Reply::Push(read_items(reader, count)?),
        _ => {
            let items = read_items(reader, count * 2)?;
            let mut items = items.into_iter();
            let mut pairs = Vec::with_capacity(count as usize);
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                pairs.push((key, value));
            }
            Reply::Map(pairs)
        }
    })
}

/// A command as RESP.
pub fn encode(command: &[Vec<u8>]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", command.len()).into_bytes();
    for arg in command {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// The commands in bytes of RESP, as an append-only file holds them; an incomplete one at the end is left out.
pub fn read_commands(mut bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut commands = Vec::new();
    while let Ok(Reply::Array(args)) = read_reply(&mut bytes) {
        commands.push(args.iter().map(|arg| arg.bytes().to_vec()).collect());
    }
    commands
}
