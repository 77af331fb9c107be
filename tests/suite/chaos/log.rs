//! The append-only log of a server that was killed, as a power cut leaves it.

use crate::common::Server;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The server syncs every second, so that what was written before is on the disk.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The file that the server appends to.
pub fn last_file(server: &Server) -> PathBuf {
    let dir = server.dir().join("appendonlydir");
    let manifest = std::fs::read_to_string(dir.join("appendonly.aof.manifest")).expect("the manifest of the log");
    let mut words = manifest.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    // Redis 8.6 writes where it starts behind its type.
    let is_of_increments = |words: &Vec<&str>| words.windows(2).any(|two| two == ["type", "i"]);
    let last = words.rfind(is_of_increments).expect("a file of increments");
    dir.join(last[1])
}

/// How long the log was, and when.
#[derive(Default)]
pub struct Sizes(Vec<(Option<Instant>, PathBuf, u64)>);

impl Sizes {
    /// Right after a start: what is there was on the disk.
    pub fn started(&mut self, server: &Server) {
        self.0.clear();
        self.note(server);
        self.0[0].0 = None;
    }

    pub fn note(&mut self, server: &Server) {
        let file = last_file(server);
        let length = std::fs::metadata(&file).map_or(0, |file| file.len());
        self.0.push((Some(Instant::now()), file, length));
    }

    /// Whether more is there than when it was looked at last.
    pub fn has_grown(&self, server: &Server) -> bool {
        let file = last_file(server);
        std::fs::metadata(&file).map_or(0, |file| file.len()) > self.last(&file)
    }

    /// How much of the file was there when it was looked at last.
    pub fn last(&self, file: &PathBuf) -> u64 {
        self.0.iter().rfind(|(_, of, _)| of == file).map_or(0, |(_, _, length)| *length)
    }

    /// How much of the file was synced when the server died, with `appendfsync everysec`.
    pub fn synced(&self, file: &PathBuf, died: Instant) -> u64 {
        let is_synced = |at: &Option<Instant>| at.is_none_or(|at| at + SYNC_EVERY <= died);
        self.0.iter().rfind(|(at, of, _)| of == file && is_synced(at)).map_or(0, |(_, _, length)| *length)
    }
}

/// A part of a whole, in thousandths.
fn part(of: u64, permille: u16) -> u64 {
    of * u64::from(permille) / 1000
}

/// Cuts the file somewhere behind its first `kept` bytes; replies how much is gone.
pub fn cut(file: &PathBuf, kept: u64, permille: u16) -> u64 {
    let log = OpenOptions::new().write(true).open(file).expect("the log");
    let length = log.metadata().expect("its length").len();
    let rest = kept.min(length) + part(length.saturating_sub(kept), permille);
    log.set_len(rest).expect("cut");
    length - rest
}

/// Appends the beginning of a command, at least a byte of it, never the whole.
pub fn append_torn(file: &PathBuf, command: &[u8], permille: u16) {
    let mut log: File = OpenOptions::new().append(true).open(file).expect("the log");
    let length = 1 + part(command.len() as u64 - 2, permille);
    log.write_all(&command[..length as usize]).expect("appended");
}
