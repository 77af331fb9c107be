//! A session that a document shows, run in a real `redis-cli`: what is typed, and what is shown.

use super::document::Block;
use crate::common::wait_until;
use regex::Regex;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// A time or a token: a number with this many digits differs in each run.
const LARGE_DIGITS: usize = 13;
/// Numbers of any size that differ in each run, by what is before them, on the line before or on the same one.
const DURATIONS: &[&str] = &["\"took-ms\"", "\"oldest-waiting-ms\"", "\"ttl-ms\""];
/// A line that stands for one or more lines that are not shown.
const LEFT_OUT: &str = "…";

/// Numbers of the document, and their values in this run.
#[derive(Clone, Debug, Default)]
pub struct Known(BTreeMap<String, String>);

/// An id of a stream's entry, or a number.
static NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\d+(-\d+)?").expect("a pattern"));
/// What redis-cli adds to a slow reply.
static SLOW: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^\(\d+\.\d\ds\)$").expect("a pattern"));

/// How a number ends that somebody wrote, as no clock makes it: a time of a sale, the largest number.
const WRITTEN: [&str; 2] = ["00000", "9007199254740991"];

fn is_large(number: &str) -> bool {
    let is_written = WRITTEN.iter().any(|end| number.ends_with(end));
    !is_written && number.split('-').next().is_some_and(|digits| digits.len() >= LARGE_DIGITS)
}

impl Known {
    /// A command of the document as it has to be sent in this run.
    fn told(&self, command: &str) -> Result<String, String> {
        let mut unknown = None;
        let told = NUMBER.replace_all(command, |found: &regex::Captures<'_>| {
            let number = &found[0];
            match self.0.get(number) {
                Some(known) => known.clone(),
                None => {
                    unknown = is_large(number).then(|| number.to_owned()).or(unknown.take());
                    number.to_owned()
                }
            }
        });
        match unknown {
            Some(number) => Err(format!("no reply before it has {number}")),
            None => Ok(told.into_owned()),
        }
    }

    /// Binds a number of the document to one of this run: equal numbers must be equal in both, and different ones
    /// different.
    fn bind(&mut self, shown: &str, seen: &str) -> bool {
        match self.0.get(shown) {
            Some(known) => known == seen,
            None => {
                let is_new = self.0.values().all(|known| known != seen);
                self.0.insert(shown.to_owned(), seen.to_owned());
                is_new
            }
        }
    }

    /// Whether a number of the document stands for one of this run.
    pub fn agree(&mut self, shown: &str, seen: &str) -> bool {
        if !is_large(shown) {
            return shown == seen;
        }
        match (shown.split_once('-'), seen.split_once('-')) {
            (Some((shown_ms, _)), Some((seen_ms, _))) => {
                shown_ms.len() == seen_ms.len() && self.bind(shown, seen) && self.bind(shown_ms, seen_ms)
            }
            (None, None) => shown.len() == seen.len() && self.bind(shown, seen),
            _ => false,
        }
    }

    fn agree_on_line(&mut self, shown: &str, seen: &str, before: Option<&str>) -> bool {
        let is_named =
            |name: &&str| before.is_some_and(|line| line.ends_with(name)) || shown.contains(&format!("{name} =>"));
        let is_duration = DURATIONS.iter().any(is_named);
        let (numbers, seen_numbers) = (NUMBER.find_iter(shown).collect::<Vec<_>>(), NUMBER.find_iter(seen));
        let seen_numbers: Vec<_> = seen_numbers.collect();
        if NUMBER.replace_all(shown, "N") != NUMBER.replace_all(seen, "N") || numbers.len() != seen_numbers.len() {
            return false;
        }
        let last = numbers.len().saturating_sub(1);
        let mut pairs = numbers.iter().zip(seen_numbers).enumerate();
        pairs.all(|(place, (shown, seen))| (is_duration && place == last) || self.agree(shown.as_str(), seen.as_str()))
    }

    /// Whether the lines of a reply are those of this run; also returns what is known then.
    fn agree_on(&self, shown: &[String], seen: &[String], before: Option<&str>) -> Option<Known> {
        let Some((line, rest)) = shown.split_first() else { return seen.is_empty().then(|| self.clone()) };
        if line.trim() == LEFT_OUT {
            return (1..=seen.len()).find_map(|skipped| self.agree_on(rest, &seen[skipped..], None));
        }
        let mut known = self.clone();
        let (found, others) = seen.split_first()?;
        let agree = known.agree_on_line(line.trim_end(), found.trim_end(), before);
        agree.then(|| known.agree_on(rest, others, Some(line.trim_end())))?
    }

    /// Checks that times and tokens of the document are in the order in which they came.
    pub fn assert_in_order(&self) -> Result<(), String> {
        let mut last: BTreeMap<usize, (&str, &str)> = BTreeMap::new();
        for (shown, seen) in self.0.iter().filter(|(shown, _)| !shown.contains('-')) {
            if let Some((shown_before, seen_before)) = last.insert(shown.len(), (shown, seen))
                && seen_before > seen.as_str()
            {
                return Err(format!("{shown_before} is shown before {shown}, but came after it"));
            }
        }
        Ok(())
    }
}

/// Runs the sessions of a document.
pub struct Sessions<'a> {
    pub name: &'a str,
    pub port: u16,
    /// A command without a reply by then hangs.
    pub patience: Duration,
    pub known: Known,
    /// What is to be written into the document, if what it does not show is to be filled in.
    pub filling: Option<Filling>,
}

/// The prompt before a command in `redis-cli -3`, or in a block `resp2` in plain `redis-cli`.
pub const PROMPT: &str = "> ";
/// The prompt before `redis-cli` itself, with options of its own, in a shell.
pub const SHELL_PROMPT: &str = "$ redis-cli ";
/// The language of a block that shows replies of RESP2.
pub const RESP2: &str = "resp2";

/// Whether a line is something that is typed.
pub fn is_typed(line: &str) -> bool {
    line.starts_with(PROMPT) || line.starts_with(SHELL_PROMPT)
}

/// Lines of a document that are written while it is held: by number, from 1, what stands there and after it.
pub type Filling = BTreeMap<usize, Vec<String>>;

/// What a writer of a document types for the token of the last claim.
const LAST_TOKEN: &str = "<token>";
/// A token: a number of 16 digits.
static TOKEN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b\d{16}\b").expect("a pattern"));

impl Sessions<'_> {
    /// Types the commands of a block one after the other, and compares the output with the document.
    ///
    /// # Errors
    /// Where and how the output differs.
    pub fn hold(&mut self, block: &Block) -> Result<(), String> {
        let protocol: &[&str] = if block.language == RESP2 { &[] } else { &["-3"] };
        let mut start = 0;
        while start < block.lines.len() {
            let typed = &block.lines[start];
            if !is_typed(typed) {
                return Err(format!("{}:{}: no command: {typed}", self.name, block.line + start));
            }
            let replies = &block.lines[start + 1..];
            let length = replies.iter().position(|line| is_typed(line)).unwrap_or(replies.len());
            self.compare(block.line + start, protocol, typed, &replies[..length])?;
            start += 1 + length;
        }
        Ok(())
    }

    fn compare(&mut self, line: usize, protocol: &[&str], typed: &str, shown: &[String]) -> Result<(), String> {
        let (typed, place) = (self.with_last_token(typed), format!("{}:{line}", self.name));
        let command = typed.strip_prefix(PROMPT).unwrap_or(&typed);
        let sent = self.known.told(command).map_err(|text| format!("{place}: {command}: {text}"))?;
        // Nobody types two commands within a millisecond: each gets a time of its own.
        let typed_at = Instant::now();
        wait_until(self.patience, "a millisecond is over", || typed_at.elapsed() > Duration::from_millis(1));
        let began = Instant::now();
        loop {
            let seen = self.type_in(protocol, &sent).map_err(|text| format!("{place}: {command}: {text}"))?;
            if shown.is_empty() && self.filling.is_some() {
                return self.fill(line, typed, seen);
            }
            if let Some(known) = self.known.agree_on(shown, &seen, None) {
                self.known = known;
                return Ok(());
            }
            // A sample comes once a second.
            if !command.contains(":metrics") || began.elapsed() > self.patience {
                let [shown, seen] = [shown, &seen].map(|lines| lines.join("\n"));
                return Err(format!("{place}: {command}\nshown:\n{shown}\n\nseen:\n{seen}\n"));
            }
        }
    }

    /// The line with the token of the last claim, where a writer left it out.
    fn with_last_token(&self, typed: &str) -> String {
        let is_filled = self.filling.is_some() && typed.contains(LAST_TOKEN);
        let token = self.known.0.keys().rfind(|number| TOKEN.is_match(number)).filter(|_| is_filled);
        token.map_or_else(|| typed.to_owned(), |token| typed.replace(LAST_TOKEN, token))
    }

    /// Writes down what is seen as what the document shows.
    fn fill(&mut self, line: usize, typed: String, seen: Vec<String>) -> Result<(), String> {
        let known =
            self.known.agree_on(&seen, &seen, None).ok_or_else(|| format!("{line}: cannot be shown: {seen:?}"))?;
        self.known = known;
        let lines = std::iter::once(typed).chain(seen.iter().map(|line| line.trim_end().to_owned())).collect();
        self.filling.get_or_insert_default().insert(line, lines);
        Ok(())
    }

    /// What redis-cli shows on a terminal when this line is typed.
    fn type_in(&self, protocol: &[&str], line: &str) -> Result<Vec<String>, String> {
        let port = self.port.to_string();
        let in_shell = line.strip_prefix(SHELL_PROMPT).map(|words| shlex::split(words).ok_or("quotes do not match"));
        let words = in_shell.transpose()?;
        // In a shell the line says itself which protocol it wants.
        let protocol = if words.is_some() { &[] } else { protocol };
        let mut child = Command::new("redis-cli")
            .args(protocol)
            .args(["--no-raw", "-p", &port])
            .args(words.iter().flatten())
            .env("REDISCLI_RCFILE", "/dev/null")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("redis-cli does not start (it comes with the server): {error}"))?;
        let mut stdin = child.stdin.take().ok_or("redis-cli takes no input")?;
        if words.is_none() {
            stdin.write_all(format!("{line}\n").as_bytes()).map_err(|error| error.to_string())?;
        }
        drop(stdin);
        let text = self.output_of(child)?;
        Ok(text.lines().map(str::to_owned).filter(|line| !SLOW.is_match(line)).collect())
    }

    fn output_of(&self, mut child: Child) -> Result<String, String> {
        let began = Instant::now();
        let mut stdout = child.stdout.take().ok_or("redis-cli says nothing")?;
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).map(|_| text)
        });
        wait_until(2 * self.patience, "redis-cli has come back, or it hangs", || {
            reader.is_finished() || began.elapsed() > self.patience
        });
        let hangs = !reader.is_finished();
        // It has ended, or waits for a reply forever.
        let _ = child.kill();
        let _ = child.wait();
        let text = reader.join().map_err(|_| "the reader of redis-cli's output panicked")?;
        match hangs {
            true => Err(format!("hangs: no reply within {:?}", self.patience)),
            false => text.map_err(|error| error.to_string()),
        }
    }
}
