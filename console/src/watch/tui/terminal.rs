//! The terminal while it is ours: taken once, and given back on every way out.

use std::cell::Cell;
use std::io::{self, IsTerminal, Stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste, Event};
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute};
use ratatui::backend::CrosstermBackend;
use ratatui::{Frame, Terminal};
use tokio::sync::mpsc;

use holdfast_lab::cleanup;

/// The terminal, as long as it is ours.
static OURS: Mutex<Option<Terminal<CrosstermBackend<Stdout>>>> = Mutex::new(None);

/// Whether its modes are ours, and are to be given back.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether this thread draws at the moment, and so has `OURS` locked.
    static DRAWS: Cell<bool> = const { Cell::new(false) };
}

fn ours() -> MutexGuard<'static, Option<Terminal<CrosstermBackend<Stdout>>>> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks that there is a terminal to draw on and to read keys from. Fails when there is none.
pub fn require() -> Result<()> {
    let ends = [(io::stdout().is_terminal(), "standard output"), (io::stdin().is_terminal(), "standard input")];
    for (is_terminal, what) in ends {
        ensure!(
            is_terminal,
            "--tui needs a terminal, and {what} is not one; leave --tui out to have the page in a browser"
        );
    }
    Ok(())
}

/// Takes the terminal: another screen, keys as they are pressed. [`give_back`] is called on every way out from now on.
/// Fails when the terminal refuses.
pub fn take() -> Result<()> {
    cleanup::on_exit(give_back);
    let mut ours = ours();
    let terminal = Terminal::new(CrosstermBackend::new(io::stdout())).context("taking the terminal")?;
    // From here on it is given back, whatever else fails.
    *ours = Some(terminal);
    IS_TAKEN.store(true, Ordering::SeqCst);
    enable_raw_mode().context("taking the terminal")?;
    execute!(io::stdout(), EnterAlternateScreen, Clear(ClearType::All), EnableBracketedPaste, cursor::Hide)
        .context("taking the terminal")
}

/// Gives the terminal back as it was. Nothing is drawn after that.
pub fn give_back() {
    // In a panic while drawing the lock is this thread's own; and nothing is drawn after it.
    if !DRAWS.get() {
        let terminal = ours().take();
        // Its drop would show the cursor, and panic where the terminal is no more: that is done below, and may fail.
        std::mem::forget(terminal);
    }
    if IS_TAKEN.swap(false, Ordering::SeqCst) {
        // The program is ending: there is nobody to tell.
        let _ = execute!(io::stdout(), DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
        let _ = disable_raw_mode();
    }
}

/// Draws a picture. `false` once the terminal has been given back. Fails when the terminal is lost.
pub fn draw(picture: impl FnOnce(&mut Frame)) -> Result<bool> {
    let mut ours = ours();
    let Some(terminal) = ours.as_mut() else { return Ok(false) };
    DRAWS.set(true);
    let drawn = terminal.draw(picture).map(|_| true).context("drawing");
    DRAWS.set(false);
    drawn
}

/// What is typed, pasted and resized, from now on. Fails when no thread can be started.
pub fn events() -> Result<mpsc::UnboundedReceiver<io::Result<Event>>> {
    let (typed, events) = mpsc::unbounded_channel();
    let read = move || loop {
        let event = crossterm::event::read();
        let is_last = event.is_err();
        if typed.send(event).is_err() || is_last {
            return;
        }
    };
    std::thread::Builder::new().name("keys".into()).spawn(read).context("starting a thread")?;
    Ok(events)
}
