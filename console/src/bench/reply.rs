//! Replies read whole, for the measurements that need what is in them.

use std::borrow::Cow;

use anyhow::{Context, Result, bail};

/// One reply in RESP2. An error is none: it ends the exchange it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing, be it a string or an array.
    Nil,
    /// A whole number.
    Number(i64),
    /// A simple or a bulk string.
    Text(Vec<u8>),
    /// An array; a map is one of fields and values in turn.
    Array(Vec<Reply>),
}

impl Reply {
    /// Reads one reply from the front of `bytes`, which hold it whole, and moves them past it.
    ///
    /// # Errors
    /// When it is not whole, or no RESP2.
    pub fn read(bytes: &mut &[u8]) -> Result<Reply> {
        let line = take_line(bytes)?;
        let (kind, rest) = line.split_first().context("a reply without its type")?;
        match kind {
            b'+' => Ok(Reply::Text(rest.to_vec())),
            b':' => Ok(Reply::Number(number(rest)?)),
            b'$' => read_bulk(number(rest)?, bytes),
            b'*' => read_array(number(rest)?, bytes),
            _ => bail!("not a RESP2 reply: {:?}", String::from_utf8_lossy(line)),
        }
    }

    /// Its elements; none where it is nil or no array.
    pub fn elements(&self) -> &[Reply] {
        match self {
            Reply::Array(elements) => elements,
            _ => &[],
        }
    }

    /// The value after `name`, where this is a map.
    ///
    /// # Errors
    /// When there is no such field.
    pub fn field(&self, name: &str) -> Result<&Reply> {
        let mut pairs = self.elements().chunks_exact(2);
        let named = |pair: &&[Reply]| matches!(&pair[0], Reply::Text(text) if text == name.as_bytes());
        let pair = pairs.find(named).with_context(|| format!("a reply without the field {name}: {self:?}"))?;
        Ok(&pair[1])
    }

    /// Its bytes, a number's digits among them; nothing of nil and of an array.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Reply::Text(text) => Cow::Borrowed(text),
            Reply::Number(number) => Cow::Owned(number.to_string().into_bytes()),
            Reply::Nil | Reply::Array(_) => Cow::Borrowed(&[]),
        }
    }

    /// The number it is, or that its text tells.
    ///
    /// # Errors
    /// When it is none.
    pub fn number(&self) -> Result<i64> {
        number(&self.bytes())
    }
}

fn read_bulk(length: i64, bytes: &mut &[u8]) -> Result<Reply> {
    let Ok(length) = usize::try_from(length) else {
        return Ok(Reply::Nil);
    };
    let (text, rest) = bytes.split_at_checked(length).context("a bulk string that is cut off")?;
    *bytes = rest.strip_prefix(b"\r\n").context("a bulk string without its end")?;
    Ok(Reply::Text(text.to_vec()))
}

fn read_array(length: i64, bytes: &mut &[u8]) -> Result<Reply> {
    match usize::try_from(length) {
        Ok(length) => Ok(Reply::Array((0..length).map(|_| Reply::read(bytes)).collect::<Result<_>>()?)),
        Err(_) => Ok(Reply::Nil),
    }
}

fn take_line<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8]> {
    let end = bytes.iter().position(|&byte| byte == b'\n').context("a reply that is cut off")?;
    let line = &bytes[..end];
    *bytes = &bytes[end + 1..];
    Ok(line.strip_suffix(b"\r").unwrap_or(line))
}

fn number(text: &[u8]) -> Result<i64> {
    let text = std::str::from_utf8(text).context("a number in a reply")?;
    text.parse().with_context(|| format!("a number in a reply: {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::Reply;

    fn read(mut bytes: &[u8]) -> anyhow::Result<Reply> {
        let reply = Reply::read(&mut bytes)?;
        assert!(bytes.is_empty(), "{bytes:?} left");
        Ok(reply)
    }

    #[test]
    fn reads_every_kind() {
        assert_eq!(read(b"+OK\r\n").unwrap(), Reply::Text(b"OK".to_vec()));
        assert_eq!(read(b":-7\r\n").unwrap(), Reply::Number(-7));
        assert_eq!(read(b"$3\r\na\nb\r\n").unwrap(), Reply::Text(b"a\nb".to_vec()));
        assert_eq!(read(b"$-1\r\n").unwrap(), Reply::Nil);
        assert_eq!(read(b"*-1\r\n").unwrap(), Reply::Nil);
        let nested = Reply::Array(vec![Reply::Array(vec![Reply::Number(1)]), Reply::Nil]);
        assert_eq!(read(b"*2\r\n*1\r\n:1\r\n$-1\r\n").unwrap(), nested);
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        for bytes in [&b""[..], b"*1\r\n", b"$5\r\nabc", b"$3\r\nabc", b":x\r\n", b"-ERR x\r\n"] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn finds_fields_by_name_and_not_by_value() {
        let map = read(b"*4\r\n$5\r\norder\r\n$5\r\ntoken\r\n$5\r\ntoken\r\n:42\r\n").unwrap();
        assert_eq!(map.field("token").unwrap().number().unwrap(), 42);
        assert_eq!(map.field("order").unwrap().bytes().as_ref(), b"token");
        assert!(map.field("data").is_err());
    }
}
