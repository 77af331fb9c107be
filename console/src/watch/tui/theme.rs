//! Colours: one tone a meaning, the same in charts, tiles and lists, as on the page.

use std::env;

use ratatui::style::{Color, Modifier, Style};

use crate::watch::known::words::Tone;

/// The colours a terminal has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// Any colour: tones of middle brightness, which stand out on black and on white.
    Full,
    Sixteen,
    /// None: NO_COLOR is set. Bold, dim and reversed tell what colours would.
    #[default]
    Plain,
}

impl Theme {
    /// What the environment says of the terminal.
    pub fn of_env() -> Theme {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let colours = env::var("COLORTERM").unwrap_or_default();
        match () {
            () if is_set("NO_COLOR") => Theme::Plain,
            () if colours == "truecolor" || colours == "24bit" => Theme::Full,
            () => Theme::Sixteen,
        }
    }

    fn pick(self, full: u32, sixteen: Color) -> Style {
        match self {
            Theme::Full => Style::new().fg(Color::from_u32(full)),
            Theme::Sixteen => Style::new().fg(sixteen),
            Theme::Plain => Style::new(),
        }
    }

    fn dim(self, full: u32) -> Style {
        match self {
            Theme::Plain => Style::new().add_modifier(Modifier::DIM),
            _ => self.pick(full, Color::DarkGray),
        }
    }

    pub fn tone(self, tone: Tone) -> Style {
        match tone {
            Tone::Placed => self.pick(0x837bf5, Color::LightMagenta),
            Tone::Completed => self.pick(0x1ba890, Color::Green),
            Tone::Queued => self.pick(0xdb8f22, Color::Yellow),
            Tone::Work => self.pick(0x22a3c8, Color::Cyan),
            Tone::Retry => self.pick(0xcc62b4, Color::Magenta),
            Tone::Refused => self.pick(0xe4506a, Color::Red),
            Tone::Available => self.pick(0x4489f0, Color::LightBlue),
            Tone::Overflow => self.pick(0x9d70f0, Color::Magenta),
            Tone::Muted => self.quiet(),
        }
    }

    /// What may stay in the background: explanations, axes.
    pub fn quiet(self) -> Style {
        self.dim(0x868e9c)
    }

    pub fn frame(self) -> Style {
        self.dim(0x59616e)
    }

    /// What the eye should find first.
    pub fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What stands on a frame, and is not of its colour.
    pub fn title(self) -> Style {
        self.strong().fg(Color::Reset)
    }

    /// What must not be: nobody can overlook it.
    pub fn alarm(self) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        match self {
            Theme::Full => style.fg(Color::from_u32(0xffffff)).bg(Color::from_u32(0xc81e3a)),
            Theme::Sixteen => style.fg(Color::White).bg(Color::Red),
            Theme::Plain => style.add_modifier(Modifier::REVERSED),
        }
    }

    /// What is strong in the colour of a meaning.
    pub fn strong_tone(self, tone: Tone) -> Style {
        self.tone(tone).patch(self.strong())
    }

    /// A line of a list.
    pub fn line(self, is_chosen: bool) -> Style {
        if is_chosen { self.chosen() } else { Style::new() }
    }

    /// The chosen line or tab.
    pub fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED)
    }

    /// What a bar is filled with: where there are no colours, each part has a character of its own.
    pub fn fill(self, tone: Tone) -> &'static str {
        match (self, tone) {
            (Theme::Full | Theme::Sixteen, _) | (_, Tone::Completed) => "█",
            (_, Tone::Available) => "▒",
            (_, Tone::Queued) => "▓",
            _ => "░",
        }
    }
}
