//! What a call can be refused with: a variant for each code, the first word of the error.

use std::fmt;

use redis::{ErrorKind, RedisError};

/// What a call can end with. A refused call changed nothing. Each text is the server's whole message.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// There is no store at the key.
    NoStore(String),
    /// The store does not know the SKU.
    NoSku(String),
    /// The store does not know the hold, or has forgotten it.
    NoHold(String),
    /// The store does not know the order, or has forgotten it.
    NoOrder(String),
    /// The order never had the gate.
    NoGate(String),
    /// More was wanted than is available.
    OutOfStock {
        /// The SKU of which there is too little; what is no UTF-8 in it is replaced.
        sku: String,
        /// How many units were wanted.
        wanted: u64,
        /// How many are available.
        available: i64,
        /// The server's whole message.
        message: String,
    },
    /// The customer would have more units than the limit allows.
    Limit(String),
    /// The sale has not opened yet.
    NotOpen(String),
    /// The sale has closed.
    Closed(String),
    /// The hold expired before.
    Expired(String),
    /// The order or hold is in a state that does not allow it.
    BadState(String),
    /// The same id was used before, with other content.
    Mismatch(String),
    /// The lease expired, and the token is not the current one any more.
    Fenced {
        /// The token of the claim that is valid now; 0: nobody has the order.
        current: u64,
        /// The server's whole message.
        message: String,
    },
    /// A number is missing in an outside system's feed.
    Gap {
        /// The number that has to come next.
        expected: u64,
        /// The server's whole message.
        message: String,
    },
    /// The server's memory is full, and the call would take more.
    OutOfMemory(String),
    /// The key holds something else.
    WrongType(String),
    /// An argument is missing or out of range; the message names it.
    BadArgument(String),
    /// A reply is not what it should be, or a value has no JSON.
    Content(String),
    /// The server's own error, or one of the way to it.
    Redis(RedisError),
}

impl Error {
    /// Whether the same call may succeed later: the connection broke, or the server cannot answer now.
    pub fn is_passing(&self) -> bool {
        match self {
            Error::OutOfMemory(_) => true,
            Error::Redis(error) if error.kind() == ErrorKind::AuthenticationFailed => false,
            Error::Redis(error) => !matches!(error.code(), Some("NOAUTH" | "NOPERM" | "WRONGPASS" | "ERR")),
            _ => false,
        }
    }

    /// The first word of the server's error, such as `OUTOFSTOCK`; none if it is no error of the server's.
    pub fn code(&self) -> Option<&str> {
        match self {
            Error::Redis(error) => error.code(),
            Error::Content(_) => None,
            _ => self.message().split(' ').next(),
        }
    }

    /// Whether the connection is of no more use: no reply came, or its server is no primary any more.
    pub(crate) fn broke(&self) -> bool {
        let of_connection = |error: &RedisError| matches!(error.code(), None | Some("READONLY"));
        matches!(self, Error::Redis(error) if of_connection(error)) || matches!(self, Error::Content(_))
    }

    fn message(&self) -> &str {
        match self {
            Error::NoStore(message)
            | Error::NoSku(message)
            | Error::NoHold(message)
            | Error::NoOrder(message)
            | Error::NoGate(message)
            | Error::OutOfStock { message, .. }
            | Error::Limit(message)
            | Error::NotOpen(message)
            | Error::Closed(message)
            | Error::Expired(message)
            | Error::BadState(message)
            | Error::Mismatch(message)
            | Error::Fenced { message, .. }
            | Error::Gap { message, .. }
            | Error::OutOfMemory(message)
            | Error::WrongType(message)
            | Error::BadArgument(message)
            | Error::Content(message) => message,
            Error::Redis(_) => "",
        }
    }

    fn refused(code: &str, said: &str, message: String) -> Option<Error> {
        Some(match code {
            "NOSTORE" => Error::NoStore(message),
            "NOSKU" => Error::NoSku(message),
            "NOHOLD" => Error::NoHold(message),
            "NOORDER" => Error::NoOrder(message),
            "NOGATE" => Error::NoGate(message),
            "OUTOFSTOCK" => {
                // A SKU may look like what follows it.
                let (sku, _) = said.rsplit_once(" wanted ").unwrap_or_default();
                let counts = &said[sku.len()..];
                let (wanted, available) = (number(counts, "wanted"), number(counts, "available"));
                Error::OutOfStock { sku: id_of(sku), wanted, available, message }
            }
            "LIMIT" => Error::Limit(message),
            "NOTOPEN" => Error::NotOpen(message),
            "CLOSED" => Error::Closed(message),
            "EXPIRED" => Error::Expired(message),
            "BADSTATE" => Error::BadState(message),
            "MISMATCH" => Error::Mismatch(message),
            "FENCED" => Error::Fenced { current: number(said, "token"), message },
            "GAP" => Error::Gap { expected: number(said, "expected"), message },
            "OOM" => Error::OutOfMemory(message),
            "WRONGTYPE" => Error::WrongType(message),
            "ERR" if !said.starts_with("unknown command") => Error::BadArgument(message),
            _ => return None,
        })
    }
}

/// The id that an error shows, which has `\\xNN` and the like for what is not printable ASCII.
fn id_of(shown: &str) -> String {
    let (mut id, mut rest) = (Vec::new(), shown);
    while let Some((before, escaped)) = rest.split_once('\\') {
        id.extend_from_slice(before.as_bytes());
        let hex = escaped.strip_prefix('x').and_then(|hex| hex.get(..2));
        let (byte, length) = match (hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()), escaped.as_bytes().first()) {
            (Some(byte), _) => (byte, 3),
            (None, Some(b't')) => (b'\t', 1),
            (None, Some(b'r')) => (b'\r', 1),
            (None, Some(b'n')) => (b'\n', 1),
            (None, Some(other)) => (*other, 1),
            (None, None) => break,
        };
        id.push(byte);
        rest = &escaped[length..];
    }
    id.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&id).into_owned()
}

/// The number behind a word of a message.
fn number<N: std::str::FromStr + Default>(message: &str, word: &str) -> N {
    let mut words = message.split([' ', ',']).skip_while(|found| *found != word).skip(1);
    words.next().and_then(|found| found.parse().ok()).unwrap_or_default()
}

impl From<RedisError> for Error {
    fn from(error: RedisError) -> Self {
        let known = error.code().and_then(|code| {
            let said = error.detail().unwrap_or("");
            Error::refused(code, said, format!("{code} {said}"))
        });
        known.unwrap_or(Error::Redis(error))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Redis(error) => error.fmt(f),
            refused => f.write_str(refused.message()),
        }
    }
}

impl std::error::Error for Error {}
