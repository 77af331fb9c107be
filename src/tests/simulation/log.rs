//! The log as bytes, and what a server makes of one that is cut anywhere: it drops a command that is cut, and a
//! transaction that is. What one command or one turn replicated is a transaction, if it is more than one command: so
//! some of its effects never come without the others.

use super::history::{Group, Item};

/// A command in the server's protocol.
fn add_command<'a>(log: &mut Vec<u8>, words: impl ExactSizeIterator<Item = &'a [u8]>) {
    log.extend(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        log.extend(format!("${}\r\n", word.len()).as_bytes());
        log.extend_from_slice(word);
        log.extend(b"\r\n");
    }
}

fn add_item(log: &mut Vec<u8>, item: &Item) {
    let words = match item {
        Item::Sent(sent) => {
            let stamp = sent.stamp.map(|stamp| stamp.to_string().into_bytes());
            let head = match stamp {
                Some(stamp) => vec![b"HOLDFAST.APPLY".to_vec(), sent.key.clone(), stamp, sent.name.clone()],
                None => vec![sent.name.clone(), sent.key.clone()],
            };
            [head, sent.rest.clone()].concat()
        }
        Item::Stream(kind, change) => vec![b"XADD".to_vec(), format!("{kind:?} {change:?}").into_bytes()],
    };
    add_command(log, words.iter().map(Vec::as_slice));
}

/// What was replicated, as the server writes it.
pub fn written(groups: &[Group]) -> Vec<u8> {
    let mut log = Vec::new();
    for group in groups {
        let is_transaction = group.items.len() > 1;
        if is_transaction {
            add_command(&mut log, [&b"MULTI"[..]].into_iter());
        }
        group.items.iter().for_each(|item| add_item(&mut log, item));
        if is_transaction {
            add_command(&mut log, [&b"EXEC"[..]].into_iter());
        }
    }
    log
}

/// Reads a line of the protocol: a sign and a number.
fn number(log: &mut &[u8], sign: u8) -> Option<usize> {
    let end = log.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, rest) = (&log[..end], &log[end + 2..]);
    assert_eq!(line.first(), Some(&sign), "a log that is broken, not cut");
    *log = rest;
    std::str::from_utf8(&line[1..]).ok()?.parse().ok()
}

/// Reads the next command, if it is whole: its name.
fn command<'a>(log: &mut &'a [u8]) -> Option<&'a [u8]> {
    let words = number(log, b'*')?;
    let mut name = None;
    for _ in 0..words {
        let len = number(log, b'$')?;
        let word = log.get(..len)?;
        *log = log.get(len + 2..)?;
        name = name.or(Some(word));
    }
    name
}

/// How many commands a server takes from a log that may be cut, and what is left of them: whole transactions, and whole
/// commands that are in none.
pub fn taken(mut log: &[u8]) -> Vec<usize> {
    let (mut taken, mut open) = (Vec::new(), None);
    while let Some(name) = command(&mut log) {
        match (name, open) {
            (b"MULTI", None) => open = Some(0),
            (b"EXEC", Some(commands)) => {
                taken.push(commands);
                open = None;
            }
            (_, Some(commands)) => open = Some(commands + 1),
            (_, None) => taken.push(1),
        }
    }
    taken
}

/// Cut at every byte, the log of a world is one of whole groups, each time.
#[test]
fn a_log_that_is_cut_anywhere_is_a_log_of_whole_changes() {
    let world = super::run::replay(&super::generate::actions(1));
    let last = &world.history[world.history.len().saturating_sub(GROUPS)..];
    let (log, lengths) = (written(last), last.iter().map(|group| group.items.len()).collect::<Vec<_>>());
    assert!(lengths.iter().any(|items| *items > 1), "no transaction in it");
    let mut whole = 0;
    for cut in 0..=log.len() {
        let groups = taken(&log[..cut]);
        assert_eq!(groups, lengths[..groups.len()], "cut at {cut}");
        assert!(groups.len() == whole || groups.len() == whole + 1, "cut at {cut}");
        whole = groups.len();
    }
    assert_eq!(whole, lengths.len());
}

/// Groups of the log that is cut at every byte.
const GROUPS: usize = 40;
