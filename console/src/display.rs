//! A display that stays in one place on a terminal, and is a plain line every few seconds anywhere else.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crossterm::{cursor, queue, terminal};
use holdfast_lab::cleanup;

/// Between two pictures on a terminal: calm for the eye, and cheap.
const PICTURE_INTERVAL: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub struct Display {
    in_place: bool,
    line_interval: Duration,
    last: Option<Instant>,
    lines_drawn: u16,
}

impl Display {
    /// A display on standard output. Where that is no terminal, a plain line appears every `line_interval`.
    pub fn new(line_interval: Duration) -> Display {
        let in_place = std::io::stdout().is_terminal();
        if in_place {
            cleanup::on_exit(show_cursor);
            let _ = crossterm::execute!(std::io::stdout(), cursor::Hide);
        }
        // A picture is wanted at once; the first line only after a while.
        let last = (!in_place).then(Instant::now);
        Display { in_place, line_interval, last, lines_drawn: 0 }
    }

    /// Whether it is time for the next picture or line.
    pub fn is_due(&self) -> bool {
        let interval = if self.in_place { PICTURE_INTERVAL } else { self.line_interval };
        self.last.is_none_or(|last| last.elapsed() >= interval)
    }

    /// Shows `picture`, or `line` where there is no terminal. Fails when standard output is closed.
    pub fn show(
        &mut self,
        picture: impl FnOnce() -> Vec<String>,
        line: impl FnOnce() -> String,
    ) -> std::io::Result<()> {
        self.last = Some(Instant::now());
        let mut out = std::io::stdout().lock();
        if !self.in_place {
            return writeln!(out, "{}", line());
        }
        self.draw(&mut out, &picture())
    }

    fn draw(&mut self, out: &mut impl Write, picture: &[String]) -> std::io::Result<()> {
        // A picture taller than the terminal would scroll, and never be found again: show its upper part.
        let rows = terminal::size().map_or(usize::MAX, |(_, rows)| usize::from(rows).saturating_sub(1));
        let shown = &picture[..picture.len().min(rows)];
        self.rewind(out)?;
        // A long line is cut off rather than wrapped: wrapped lines would move everything under them.
        queue!(out, terminal::DisableLineWrap)?;
        for line in shown {
            queue!(out, terminal::Clear(terminal::ClearType::UntilNewLine))?;
            writeln!(out, "{line}")?;
        }
        queue!(out, terminal::Clear(terminal::ClearType::FromCursorDown), terminal::EnableLineWrap)?;
        self.lines_drawn = u16::try_from(shown.len()).unwrap_or(u16::MAX);
        out.flush()
    }

    fn rewind(&self, out: &mut impl Write) -> std::io::Result<()> {
        match self.lines_drawn {
            0 => Ok(()),
            lines => queue!(out, cursor::MoveToPreviousLine(lines)),
        }
    }

    /// Takes the last picture away, so that a summary can stand in its place. Fails when standard output is closed.
    pub fn clear(&mut self) -> std::io::Result<()> {
        if !self.in_place {
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        self.rewind(&mut out)?;
        self.lines_drawn = 0;
        queue!(out, terminal::Clear(terminal::ClearType::FromCursorDown), cursor::Show)?;
        out.flush()
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if self.in_place {
            show_cursor();
        }
    }
}

fn show_cursor() {
    let _ = crossterm::execute!(std::io::stdout(), cursor::Show);
}
