//! The program `holdfast` on a terminal: a pseudo-terminal, and what a person sees on it.

use super::binary::ServerBinary;
use super::console;
use holdfast_lab::wait::{DEADLINE, wait_until};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// A terminal on which the program runs.
pub struct Terminal {
    master: Box<dyn MasterPty + Send>,
    keyboard: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    seen: Arc<Mutex<Seen>>,
    reader: Option<JoinHandle<()>>,
    modes: String,
}

/// What has come to the terminal.
struct Seen {
    parser: vt100::Parser,
    bytes: Vec<u8>,
}

fn size_of((columns, rows): (u16, u16)) -> PtySize {
    PtySize { rows, cols: columns, ..PtySize::default() }
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).expect("a terminal has rows and columns")
}

impl Terminal {
    /// Runs `holdfast` with these arguments on a terminal of so many columns and rows.
    #[track_caller]
    pub fn start(
        binary: &ServerBinary,
        arguments: &[&str],
        size: (u16, u16),
        environment: &[(&str, &str)],
    ) -> Terminal {
        let pair = native_pty_system().openpty(size_of(size)).expect("a pseudo-terminal");
        let modes = modes(&*pair.master);
        let child = pair.slave.spawn_command(command(binary, arguments, environment)).expect("the program started");
        // Only the program holds the terminal's other side: its end ends what is read.
        drop(pair.slave);
        let parser = vt100::Parser::new(cells(size.1), cells(size.0), 0);
        let seen = Arc::new(Mutex::new(Seen { parser, bytes: Vec::new() }));
        let output = pair.master.try_clone_reader().expect("the terminal's output");
        let keyboard = pair.master.take_writer().expect("the terminal's keyboard");
        let reader = std::thread::spawn({
            let seen = seen.clone();
            move || look(output, &seen)
        });
        Terminal { master: pair.master, keyboard, child, seen, reader: Some(reader), modes }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The screen as text, a line a row.
    pub fn text(&self) -> String {
        let seen = self.seen();
        let (_, columns) = seen.parser.screen().size();
        let rows: Vec<String> = seen.parser.screen().rows(0, columns.get()).collect();
        // A space at which no line is broken is a space to whoever reads it.
        rows.join("\n").replace('\u{a0}', " ")
    }

    /// What the screen knows of every cell and mode.
    pub fn with_screen<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(self.seen().parser.screen())
    }

    /// Waits until the text on the screen is as wanted, and gives it. Panics with what is on the screen instead.
    #[track_caller]
    pub fn wait_for(&self, what: &str, is_wanted: impl Fn(&str) -> bool) -> String {
        let start = std::time::Instant::now();
        loop {
            let text = self.text();
            if is_wanted(&text) {
                return text;
            }
            assert!(start.elapsed() < DEADLINE, "waited in vain until {what} on the screen:\n{text}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Waits until all of these are on the screen.
    #[track_caller]
    pub fn wait_for_all(&self, words: &[&str]) -> String {
        self.wait_for(&format!("{words:?} are"), |text| words.iter().all(|word| text.contains(word)))
    }

    /// Types this.
    #[track_caller]
    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).and_then(|()| self.keyboard.flush()).expect("keys pressed");
    }

    /// Makes the terminal so many columns and rows large.
    #[track_caller]
    pub fn resize(&mut self, size: (u16, u16)) {
        // Both at once: the program draws as soon as it hears of it.
        let mut seen = self.seen();
        seen.parser.set_size(cells(size.1), cells(size.0));
        self.master.resize(size_of(size)).expect("resized");
    }

    /// The process id of the program.
    #[track_caller]
    pub fn pid(&self) -> i32 {
        self.child.process_id().expect("a process") as i32
    }

    /// Waits for the end of the program, and for the last it said. Its exit code, and what is on the screen then.
    #[track_caller]
    pub fn end(&mut self) -> (u32, String) {
        let mut status = None;
        wait_until(DEADLINE, "the program ends", || {
            status = self.child.try_wait().expect("its status");
            status.is_some()
        });
        if let Some(reader) = self.reader.take() {
            reader.join().expect("all of its output");
        }
        let status = status.expect("it has ended");
        assert_eq!(status.signal(), None, "{}", self.text());
        (status.exit_code(), self.text())
    }

    /// Panics unless the terminal is as it was: its own screen, a cursor, lines and echo.
    #[track_caller]
    pub fn assert_given_back(&self) {
        self.with_screen(|screen| {
            assert!(!screen.alternate_screen(), "the other screen was not left");
            assert!(!screen.hide_cursor(), "the cursor is hidden");
            assert!(!screen.bracketed_paste(), "pastes are still marked");
        });
        assert_eq!(modes(&*self.master), self.modes, "the terminal's modes");
    }

    /// Whether these bytes ever came.
    pub fn has_seen(&self, bytes: &[u8]) -> bool {
        self.seen().bytes.windows(bytes.len()).any(|window| window == bytes)
    }
}

/// Runs `holdfast` on a terminal that goes away as soon as it has shown this, as when a window is closed; and waits for
/// the end of the program.
#[track_caller]
pub fn close_the_window(binary: &ServerBinary, arguments: &[&str], shown: &[u8]) {
    let pair = native_pty_system().openpty(size_of((80, 24))).expect("a pseudo-terminal");
    let mut child = pair.slave.spawn_command(command(binary, arguments, &[])).expect("the program started");
    drop(pair.slave);
    let mut output = pair.master.try_clone_reader().expect("the terminal's output");
    let (mut seen, mut buffer) = (Vec::new(), [0; 4_096]);
    while !seen.windows(shown.len()).any(|window| window == shown) {
        let length = output.read(&mut buffer).expect("output");
        assert!(length > 0, "the program ended: {}", seen.escape_ascii());
        seen.extend_from_slice(&buffer[..length]);
    }
    drop((output, pair.master));
    let start = std::time::Instant::now();
    while child.try_wait().expect("its status").is_none() {
        if start.elapsed() > DEADLINE {
            // It must not outlive the test, too.
            let _ = child.kill();
            panic!("the program outlives its terminal");
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn command(binary: &ServerBinary, arguments: &[&str], environment: &[(&str, &str)]) -> CommandBuilder {
    let mut command = CommandBuilder::new(console::program());
    command.args(arguments);
    command.cwd(std::env::temp_dir());
    for name in ["NO_COLOR", "HOLDFAST_WATCH_PASSWORD", "DURATION"] {
        command.env_remove(name);
    }
    let usual = [("TERM", "xterm-256color"), ("COLORTERM", "truecolor"), ("TZ", "UTC")];
    usual.iter().chain(environment).for_each(|(name, value)| command.env(name, value));
    command.env("REDIS_SERVER", binary.path());
    command
}

/// The terminal's modes: whether it echoes, waits for whole lines, turns Ctrl-C into a signal.
fn modes(master: &dyn MasterPty) -> String {
    format!("{:?}", master.get_termios().expect("modes"))
}

fn look(mut output: Box<dyn Read + Send>, seen: &Mutex<Seen>) {
    let mut buffer = [0; 64 * 1_024];
    // An error says that the program has ended: a pseudo-terminal has no end of file.
    while let Ok(length @ 1..) = output.read(&mut buffer) {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.parser.process(&buffer[..length]);
        seen.bytes.extend_from_slice(&buffer[..length]);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // One that has ended by itself is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
