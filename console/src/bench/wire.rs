//! A raw pipelined connection: requests are bytes made beforehand, replies are counted and hardly read, so that the
//! client takes next to nothing of the machine that is being measured.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::reply::Reply;

/// Bytes taken from the socket at once.
const READ_BYTES: usize = 64 * 1024;
/// A reply that takes longer than this never comes: the server hangs.
const REPLY_DEADLINE: Duration = Duration::from_secs(120);

/// Appends one command in RESP to `out`.
pub fn encode(out: &mut Vec<u8>, arguments: &[&[u8]]) {
    push_header(out, b'*', arguments.len());
    for argument in arguments {
        push_header(out, b'$', argument.len());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
}

fn push_header(out: &mut Vec<u8>, kind: u8, count: usize) {
    out.push(kind);
    out.extend_from_slice(count.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// A connection that sends batches of commands and waits for as many replies.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    counter: ReplyCounter,
    inbox: Vec<u8>,
}

impl Wire {
    /// Connects to the server on 127.0.0.1:`port`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect(port: u16) -> Result<Wire> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("connecting to 127.0.0.1:{port}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_DEADLINE))?;
        Ok(Wire { stream, counter: ReplyCounter::default(), inbox: vec![0; READ_BYTES] })
    }

    /// Sends `batch`, which holds `replies` commands, and waits until each has been answered.
    ///
    /// # Errors
    /// When the server answers with an error, hangs or goes away.
    pub fn exchange(&mut self, batch: &[u8], replies: u64) -> Result<()> {
        self.exchange_with(batch, replies, |_| {})
    }

    /// As [`Wire::exchange`], and hands the first line of each reply (`+OK`, `:42`, `$5`) to `on_reply`, in order.
    ///
    /// # Errors
    /// When the server answers with an error, hangs or goes away.
    pub fn exchange_with(&mut self, batch: &[u8], replies: u64, on_reply: impl FnMut(&[u8])) -> Result<()> {
        self.send(batch)?;
        self.await_replies(replies, on_reply, |_| {})
    }

    /// As [`Wire::exchange`], and gives the replies as they are.
    ///
    /// # Errors
    /// When the server answers with an error, hangs or goes away.
    pub fn call(&mut self, batch: &[u8], replies: u64) -> Result<Vec<Reply>> {
        self.send(batch)?;
        self.receive(replies)
    }

    /// Sends commands whose replies are received later.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn send(&mut self, batch: &[u8]) -> Result<()> {
        self.stream.write_all(batch).context("sending commands")
    }

    /// Waits for so many replies to what was sent before.
    ///
    /// # Errors
    /// When the server answers with an error, hangs or goes away.
    pub fn receive(&mut self, replies: u64) -> Result<Vec<Reply>> {
        let mut bytes = Vec::new();
        self.await_replies(replies, |_| {}, |piece| bytes.extend_from_slice(piece))?;
        let mut left = &bytes[..];
        (0..replies).map(|_| Reply::read(&mut left)).collect()
    }

    /// Waits for so many replies; hands over the first line of each, and all bytes as they come in.
    fn await_replies(
        &mut self,
        replies: u64,
        mut on_reply: impl FnMut(&[u8]),
        mut on_bytes: impl FnMut(&[u8]),
    ) -> Result<()> {
        let wanted = self.counter.replies + replies;
        while self.counter.replies < wanted {
            let count = self.stream.read(&mut self.inbox).context("waiting for replies")?;
            if count == 0 {
                bail!("the server closed the connection, {} replies short", wanted - self.counter.replies);
            }
            on_bytes(&self.inbox[..count]);
            self.counter.feed(&self.inbox[..count], &mut on_reply)?;
        }
        Ok(())
    }
}

/// Counts the replies in a RESP2 byte stream that arrives in pieces.
#[derive(Debug, Default)]
struct ReplyCounter {
    /// Replies seen whole.
    replies: u64,
    /// The beginning of a line whose end has not arrived.
    line: Vec<u8>,
    /// Bytes of a bulk string, its line end included, still to be passed over.
    bulk_bytes_left: usize,
    /// Elements still to come in each open array, the outermost first.
    open_arrays: Vec<u64>,
}

impl ReplyCounter {
    fn feed(&mut self, mut bytes: &[u8], on_reply: &mut impl FnMut(&[u8])) -> Result<()> {
        while !bytes.is_empty() {
            if self.bulk_bytes_left > 0 {
                let passed = self.bulk_bytes_left.min(bytes.len());
                self.bulk_bytes_left -= passed;
                bytes = &bytes[passed..];
                if self.bulk_bytes_left == 0 {
                    self.end_value();
                }
                continue;
            }
            let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
                self.line.extend_from_slice(bytes);
                return Ok(());
            };
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            self.take_line(line.strip_suffix(b"\r").unwrap_or(&line), on_reply)?;
            line.clear();
            self.line = line;
        }
        Ok(())
    }

    fn take_line(&mut self, line: &[u8], on_reply: &mut impl FnMut(&[u8])) -> Result<()> {
        if self.open_arrays.is_empty() {
            on_reply(line);
        }
        match line.first() {
            Some(b'+' | b':') => self.end_value(),
            Some(b'-') => bail!("the server answered: {}", String::from_utf8_lossy(&line[1..])),
            Some(b'$') => match length(line)? {
                Some(bytes) => self.bulk_bytes_left = bytes + b"\r\n".len(),
                None => self.end_value(),
            },
            Some(b'*') => match length(line)? {
                Some(elements) if elements > 0 => self.open_arrays.push(elements as u64),
                _ => self.end_value(),
            },
            _ => bail!("not a RESP2 reply: {:?}", String::from_utf8_lossy(line)),
        }
        Ok(())
    }

    /// A value has ended; it may have been the last of the arrays around it.
    fn end_value(&mut self) {
        while let Some(left) = self.open_arrays.last_mut() {
            *left -= 1;
            if *left > 0 {
                return;
            }
            self.open_arrays.pop();
        }
        self.replies += 1;
    }
}

/// The number after the type byte; `None` where it is negative, which means nil.
fn length(line: &[u8]) -> Result<Option<usize>> {
    let text = std::str::from_utf8(&line[1..]).context("a length in a reply")?;
    let number: i64 = text.parse().with_context(|| format!("a length in a reply: {text:?}"))?;
    Ok(usize::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::{ReplyCounter, encode};

    fn count(bytes: &[u8], piece: usize) -> anyhow::Result<u64> {
        let mut counter = ReplyCounter::default();
        for part in bytes.chunks(piece) {
            counter.feed(part, &mut |_| {})?;
        }
        Ok(counter.replies)
    }

    #[test]
    fn encodes_as_redis_wants_it() {
        let mut out = Vec::new();
        encode(&mut out, &[b"SET", b"k", b""]);
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n");
    }

    #[test]
    fn counts_every_kind_however_it_is_cut() {
        let stream = b"+OK\r\n:1\r\n$3\r\na\nb\r\n$-1\r\n*-1\r\n*0\r\n*2\r\n*2\r\n:1\r\n$0\r\n\r\n+x\r\n";
        for piece in 1..=stream.len() {
            assert_eq!(count(stream, piece).unwrap(), 7, "cut every {piece} bytes");
        }
    }

    #[test]
    fn an_unfinished_reply_does_not_count() {
        assert_eq!(count(b"+OK\r\n*2\r\n:1\r\n", 64).unwrap(), 1);
        assert_eq!(count(b"$5\r\nabcde\r", 64).unwrap(), 0);
    }

    #[test]
    fn an_error_is_an_error_in_an_array_too() {
        assert!(count(b"-OUTOFSTOCK sku-1\r\n", 64).unwrap_err().to_string().contains("OUTOFSTOCK sku-1"));
        assert!(count(b"*2\r\n:1\r\n-ERR x\r\n", 64).is_err());
    }

    #[test]
    fn hands_over_the_first_line_of_each_reply() {
        let mut seen = Vec::new();
        let mut counter = ReplyCounter::default();
        counter.feed(b":7\r\n*1\r\n:8\r\n$1\r\nx\r\n", &mut |line: &[u8]| seen.push(line.to_vec())).unwrap();
        assert_eq!(seen, vec![b":7".to_vec(), b"*1".to_vec(), b"$1".to_vec()]);
    }
}
