//! The program `holdfast`, as a person runs it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::binary::ServerBinary;

/// What a run of the program came to.
pub struct Run {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Run {
    /// Panics with everything the program said unless it ended well.
    #[track_caller]
    pub fn assert_success(&self) {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
    }
}

/// Runs `holdfast` with these arguments to its end; servers that it starts are those of the matrix.
#[track_caller]
pub fn holdfast(binary: &ServerBinary, arguments: &[&str]) -> Run {
    let program = program();
    let output = Command::new(&program)
        .args(arguments)
        .env("REDIS_SERVER", binary.path())
        .env("HOLDFAST_MODULE", binary.module())
        .env_remove("DURATION")
        .output()
        .unwrap_or_else(|error| {
            panic!(
                "{}: {error} (build it with `cargo build --release --workspace`, or name it by HOLDFAST_BIN)",
                program.display()
            )
        });
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Run { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

fn program() -> PathBuf {
    std::env::var_os("HOLDFAST_BIN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/holdfast"), PathBuf::from)
}
