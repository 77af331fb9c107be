//! A wall clock of one server that a test can set, while the time since boot goes on: a small library that is loaded
//! into the server before all others.

use holdfast_lab::cleanup;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The variable that tells the library where to look.
const VARIABLE: &str = "HOLDFAST_WALL_CLOCK";

const SOURCE: &str = include_str!("wall_clock.c");

/// A wall clock, right until it is set.
pub struct WallClock {
    file: tempfile::NamedTempFile,
}

impl WallClock {
    /// A wall clock that is so many milliseconds ahead, or behind where that is negative.
    pub fn ahead_ms(ms: i64) -> WallClock {
        let file = tempfile::NamedTempFile::new_in(cleanup::run_dir()).expect("a file");
        let clock = WallClock { file };
        clock.set(ms);
        clock
    }

    /// Sets it so many milliseconds ahead of the right time.
    pub fn set(&self, ms: i64) {
        // In place and at once, never truncated: the server has the file mapped.
        self.file.as_file().write_all_at(&ms.to_le_bytes(), 0).expect("written");
    }

    /// What a server's environment needs.
    pub(super) fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        vec![("LD_PRELOAD", library().to_owned()), (VARIABLE, self.file.path().to_owned())]
    }
}

/// The library, compiled once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let dir = cleanup::run_dir();
        let (source, library) = (dir.join("wall_clock.c"), dir.join("wall_clock.so"));
        fs::write(&source, SOURCE).expect("written");
        let options = ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"];
        let status = Command::new("cc").args(options).arg(&library).arg(&source).status().expect("cc runs");
        assert!(status.success(), "cc: {status}");
        library
    })
}
