//! A client of a cluster: it follows MOVED and ASK, and tries again after TRYAGAIN, a failover, a lost connection.

use super::shared::Shared;
use crate::common::{Client, DEADLINE, Reply, cmd, wait_until};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Errors that a node replies which does not serve the command now.
const NOT_NOW: [&str; 8] =
    ["TRYAGAIN", "CLUSTERDOWN", "LOADING", "UNBLOCKED", "READONLY", "MASTERDOWN", "EXECABORT", "NOREPLICAS"];

/// Redirections that are followed at once.
const HOPS: usize = 5;

/// How long a client waits for a replica to confirm what it wrote, milliseconds.
const CONFIRM_MS: u64 = 300;

/// How often a write that no replica confirmed is sent again.
const CONFIRM_TRIES: usize = 2;

/// How long a redirection of a caller that would be blocked may take.
const REDIRECTION: Duration = Duration::from_millis(50);

/// Between two looks at whether a caller that waits should stay.
const LOOK: Duration = Duration::from_millis(100);

pub type Command = Vec<Vec<u8>>;

pub fn shown(command: &Command) -> String {
    command.iter().map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>().join(" ")
}

/// Says at which node a caller waits, and what that node is.
fn stuck(port: u16, tag: &str, command: &Command) -> ! {
    let mut node = Client::connect(port).expect("a connection");
    let (role, owner) = (node.info("replication", "role"), node.call(format!("EXISTS {tag}")));
    let store = node.call(cmd!["STORE.INFO", &command[1]]);
    panic!("nobody answers {} at {port}, a {role} that says {owner:?}; {store:?}", shown(command));
}

/// A reply, and whether what it says survives the loss of a server.
pub struct Confirmed {
    pub reply: Reply,
    pub is_sure: bool,
}

pub struct Roamer<'a> {
    shared: &'a Shared,
    /// The node of each tag, as far as it is known.
    at: HashMap<String, u16>,
    connections: HashMap<u16, Client>,
    /// The node that replied last.
    last: u16,
    next_guess: usize,
}

enum Way {
    Here,
    Moved(u16),
    Ask(u16),
    Later,
}

fn way_of(reply: &Reply) -> Way {
    let inner = |reply: &Reply| matches!(reply, Reply::Error(_)).then(|| reply.error());
    let text = match reply {
        // Of a transaction: one of its commands came too early.
        Reply::Array(items) => items.iter().find_map(inner).filter(|text| text.starts_with("TRYAGAIN")),
        reply => inner(reply),
    };
    let Some(text) = text else { return Way::Here };
    let mut words = text.split(' ');
    let code = words.next().unwrap_or_default();
    let port = || text.rsplit(':').next().and_then(|port| port.parse().ok());
    match (code, port()) {
        ("MOVED", Some(port)) => Way::Moved(port),
        ("ASK", Some(port)) => Way::Ask(port),
        _ if NOT_NOW.contains(&code) => Way::Later,
        _ => Way::Here,
    }
}

impl<'a> Roamer<'a> {
    pub fn new(shared: &'a Shared) -> Self {
        Roamer { shared, at: HashMap::new(), connections: HashMap::new(), last: 0, next_guess: 0 }
    }

    fn connection(&mut self, port: u16) -> io::Result<&mut Client> {
        Ok(match self.connections.entry(port) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(vacant) => vacant.insert(Client::connect(port)?),
        })
    }

    /// Sends commands at once; the reply of the last of them, or the first redirection.
    fn exchange(&mut self, port: u16, asking: bool, commands: &[Command]) -> io::Result<Reply> {
        let mut all: Vec<Command> = if asking { vec![cmd!["ASKING"]] } else { Vec::new() };
        all.extend_from_slice(commands);
        let client = self.connection(port)?;
        let mut go = || {
            all.iter().try_for_each(|command| client.send(command))?;
            let replies = all.iter().map(|_| client.receive()).collect::<io::Result<Vec<Reply>>>()?;
            let found = replies.iter().find(|reply| reply.is_error() && !matches!(way_of(reply), Way::Here));
            Ok(found.or(replies.last()).expect("a reply").clone())
        };
        let reply = go();
        if reply.is_err() {
            self.connections.remove(&port);
        }
        self.last = port;
        reply
    }

    fn guess(&mut self) -> u16 {
        self.next_guess += 1;
        self.shared.ports[self.next_guess % self.shared.ports.len()]
    }

    /// One attempt; nothing if no node serves the commands now.
    fn attempt(&mut self, tag: &str, commands: &[Command]) -> Option<Reply> {
        let shared = self.shared;
        let _open = shared.enter();
        let mut port = self.at.get(tag).copied().unwrap_or_else(|| self.guess());
        let mut asking = false;
        for _ in 0..HOPS {
            let Ok(reply) = self.exchange(port, asking, commands) else {
                self.at.remove(tag);
                return None;
            };
            match way_of(&reply) {
                Way::Here => {
                    if !asking {
                        self.at.insert(tag.to_string(), port);
                    }
                    shared.calls.fetch_add(1, Ordering::SeqCst);
                    return Some(reply);
                }
                Way::Later => {
                    self.at.remove(tag);
                    return None;
                }
                Way::Moved(to) => (port, asking) = (to, false),
                Way::Ask(to) => (port, asking) = (to, true),
            }
        }
        None
    }

    /// Sends commands until a node serves them; the reply of the last.
    #[track_caller]
    pub fn call_all(&mut self, tag: &str, commands: &[Command]) -> Reply {
        let mut reply = None;
        let shown = shown(commands.last().expect("a command"));
        wait_until(DEADLINE * 3, &format!("a node serves {shown}"), || {
            reply = self.attempt(tag, commands);
            reply.is_some()
        });
        reply.expect("a reply")
    }

    #[track_caller]
    pub fn call(&mut self, tag: &str, command: Command) -> Reply {
        self.call_all(tag, &[command])
    }

    /// The same, and where servers are lost, a replica has confirmed it. What cannot be confirmed is sent again.
    #[track_caller]
    pub fn write_all(&mut self, tag: &str, commands: &[Command]) -> Confirmed {
        let mut tries = 0..CONFIRM_TRIES;
        loop {
            let reply = self.call_all(tag, commands);
            let is_sure = !self.shared.rough || self.confirm();
            tries.next();
            if is_sure || tries.is_empty() {
                return Confirmed { reply, is_sure };
            }
        }
    }

    #[track_caller]
    pub fn write(&mut self, tag: &str, command: Command) -> Confirmed {
        self.write_all(tag, &[command])
    }

    /// A write of this connection, so that WAIT waits for everything that the node did until now.
    fn confirm(&mut self) -> bool {
        let shared = self.shared;
        let _open = shared.enter();
        let commands = [cmd!["SET", shared.mark_of(self.last), "1"], cmd!["WAIT", 1, CONFIRM_MS]];
        matches!(self.exchange(self.last, false, &commands), Ok(Reply::Int(1..)))
    }

    /// A call that may block; nothing if it came to no answer: it was sent away, or the
    /// connection was lost. Fails if it is not answered although `stay` says that it should be.
    pub fn wait(&mut self, tag: &str, command: Command, stay: impl Fn() -> bool) -> Option<Reply> {
        let port = self.begin_to_wait(tag, &command)?;
        let port = match port {
            Ok(reply) => return Some(reply),
            Err(port) => port,
        };
        let client = self.connections.get_mut(&port)?;
        while client.is_silent(LOOK) {
            if !stay() {
                stuck(port, tag, &command);
            }
        }
        let reply = client.receive();
        if reply.is_err() {
            self.connections.remove(&port);
        }
        let reply = reply.ok().filter(|reply| matches!(way_of(reply), Way::Here));
        if reply.is_none() {
            self.at.remove(tag);
        }
        reply
    }

    /// Sends a call that may block and follows redirections; the reply that came at once, or the node that it waits at.
    fn begin_to_wait(&mut self, tag: &str, command: &Command) -> Option<Result<Reply, u16>> {
        let shared = self.shared;
        let _open = shared.enter();
        let mut port = self.at.get(tag).copied().unwrap_or_else(|| self.guess());
        let mut asking = false;
        for _ in 0..HOPS {
            let Ok(client) = self.connection(port) else { break };
            if asking && client.try_call("ASKING").is_err() || client.send(command).is_err() {
                self.connections.remove(&port);
                break;
            }
            if client.is_silent(REDIRECTION) {
                return Some(Err(port));
            }
            let Ok(reply) = client.receive() else {
                self.connections.remove(&port);
                break;
            };
            match way_of(&reply) {
                Way::Here => {
                    shared.calls.fetch_add(1, Ordering::SeqCst);
                    return Some(Ok(reply));
                }
                Way::Later => break,
                Way::Moved(to) => (port, asking) = (to, false),
                Way::Ask(to) => (port, asking) = (to, true),
            }
        }
        self.at.remove(tag);
        None
    }
}
