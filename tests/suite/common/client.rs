//! A connection to a server, near enough to the wire to see exactly what it says.

use super::command::IntoCommand;
use super::documented;
use super::resp::{Reply, encode, read_reply};
use holdfast_lab::wait::DEADLINE;
use std::io::{self, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A client connection, RESP2 until [`Client::resp3`].
pub struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    /// Connects to a port of the loopback.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn connect(port: u16) -> io::Result<Client> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(Client { reader: BufReader::new(stream) })
    }

    /// Waits no longer than this for a reply.
    pub fn patient_for(self, patience: Duration) -> Client {
        self.reader.get_ref().set_read_timeout(Some(patience)).expect("timeout");
        self
    }

    /// Switches to RESP3.
    pub fn resp3(mut self) -> Client {
        self.ok_map("HELLO 3");
        self
    }

    #[track_caller]
    fn ok_map(&mut self, command: &str) {
        let reply = self.call(command);
        assert!(matches!(reply, Reply::Map(_)), "{command}: {reply:?}");
    }

    /// Sends a command, and does not read its reply.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn send(&mut self, command: impl IntoCommand) -> io::Result<()> {
        self.send_raw(&encode(&command.into_command()))
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// Reads one reply.
    ///
    /// # Errors
    /// What the operating system says; `UnexpectedEof` when the server has gone; `InvalidData` for what is not RESP.
    pub fn receive(&mut self) -> io::Result<Reply> {
        read_reply(&mut self.reader)
    }

    /// Sends a command and reads its reply.
    ///
    /// # Errors
    /// As [`Client::send`] and [`Client::receive`].
    pub fn try_call(&mut self, command: impl IntoCommand) -> io::Result<Reply> {
        let command = command.into_command();
        self.send_raw(&encode(&command))?;
        let reply = self.receive()?;
        documented::check(&command, &reply);
        Ok(reply)
    }

    /// Sends many commands at once and reads all replies.
    #[track_caller]
    pub fn pipeline(&mut self, commands: &[Vec<Vec<u8>>]) -> Vec<Reply> {
        let bytes: Vec<u8> = commands.iter().flat_map(|command| encode(command)).collect();
        self.send_raw(&bytes).expect("pipeline sent");
        let mut receive = |command: &Vec<Vec<u8>>| {
            let reply = self.receive().expect("reply of a pipeline");
            documented::check(command, &reply);
            reply
        };
        commands.iter().map(&mut receive).collect()
    }

    /// True when nothing came within `patience`: the caller is (still) blocked.
    pub fn is_silent(&mut self, patience: Duration) -> bool {
        let stream = self.reader.get_ref();
        stream.set_read_timeout(Some(patience)).expect("timeout");
        let seen = stream.peek(&mut [0]);
        stream.set_read_timeout(Some(DEADLINE)).expect("timeout");
        matches!(seen, Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut))
    }

    /// Sends a command and reads its reply, which may be an error.
    #[track_caller]
    pub fn call(&mut self, command: impl IntoCommand) -> Reply {
        let command = command.into_command();
        match self.try_call(command.as_slice()) {
            Ok(reply) => reply,
            Err(error) => panic!("{}: {error}", shown(&command)),
        }
    }

    /// The reply of a command that is not refused.
    #[track_caller]
    pub fn get(&mut self, command: impl IntoCommand) -> Reply {
        let command = command.into_command();
        let reply = self.call(command.as_slice());
        assert!(!reply.is_error(), "{}: {reply:?}", shown(&command));
        reply
    }

    /// The integer that a command replies.
    #[track_caller]
    pub fn int(&mut self, command: impl IntoCommand) -> i64 {
        self.get(command).int()
    }

    /// The string (or the digits) that a command replies.
    #[track_caller]
    pub fn text(&mut self, command: impl IntoCommand) -> String {
        self.get(command).text()
    }

    /// Sends a command that replies OK.
    #[track_caller]
    pub fn ok(&mut self, command: impl IntoCommand) {
        let command = command.into_command();
        let reply = self.call(command.as_slice());
        assert_eq!(reply, Reply::Status(b"OK".to_vec()), "{}", shown(&command));
    }

    /// Sends a command that is refused with `code`, and changes nothing: DEBUG DIGEST is the same before and after.
    /// Gives the whole text of the error.
    #[track_caller]
    pub fn refused(&mut self, code: &str, command: impl IntoCommand) -> String {
        let command = command.into_command();
        let before = self.digest();
        let reply = self.call(command.as_slice());
        assert!(reply.is_error(), "{}: {reply:?}, wanted {code}", shown(&command));
        assert_eq!(reply.code(), code, "{}: {reply:?}", shown(&command));
        assert_eq!(self.digest(), before, "{}: refused, but changed something", shown(&command));
        reply.error()
    }

    /// As [`Client::refused`], and the text holds `word`: what it is that was wrong.
    #[track_caller]
    pub fn refused_naming(&mut self, code: &str, word: &str, command: impl IntoCommand) {
        let command = command.into_command();
        let text = self.refused(code, command.as_slice());
        let found = text.to_lowercase().contains(&word.to_lowercase());
        assert!(found, "{}: {text:?} does not name {word:?}", shown(&command));
    }

    /// DEBUG DIGEST: forty hex digits for everything in the server. From here on the server takes no samples: what is
    /// compared with this digest may differ by what clients do, and by nothing else.
    #[track_caller]
    pub fn digest(&mut self) -> String {
        self.ok("CONFIG SET holdfast.sample-ms 0");
        self.text("DEBUG DIGEST")
    }

    /// DEBUG DIGEST-VALUE of one key.
    #[track_caller]
    pub fn digest_value(&mut self, key: &str) -> String {
        self.get(format!("DEBUG DIGEST-VALUE {key}")).texts().concat()
    }

    /// The value of a line of INFO.
    #[track_caller]
    pub fn info(&mut self, section: &str, name: &str) -> String {
        let text = self.text(format!("INFO {section}"));
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name} in INFO {section}")).trim().to_owned()
    }
}

/// A command for a message: printable, and not endless.
fn shown(command: &[Vec<u8>]) -> String {
    const MOST: usize = 200;
    let words: Vec<String> = command.iter().map(|arg| arg.escape_ascii().to_string()).collect();
    let mut line = words.join(" ");
    if line.len() > MOST {
        line.truncate(MOST);
        line.push('…');
    }
    line
}
