//! The program `holdfast`, as a person runs it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::binary::ServerBinary;
use holdfast_lab::Process;

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

/// The program while it runs. It is killed when the value is dropped before its end.
pub struct Running(Process);

impl Running {
    /// Waits for its end.
    #[track_caller]
    pub fn wait(self) -> Run {
        let output = self.0.output().expect("its output");
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Run { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// The next line of standard output. What comes after it is left for [`Running::wait`].
    #[track_caller]
    pub fn line(&mut self) -> String {
        let stdout = self.0.stdout.as_mut().expect("its output");
        let (mut line, mut byte) = (Vec::new(), [0]);
        // Byte by byte, as what a buffer read ahead would be lost.
        while stdout.read(&mut byte).expect("standard output") == 1 && byte != *b"\n" {
            line.push(byte[0]);
        }
        String::from_utf8_lossy(&line).into_owned()
    }

    /// The process id.
    #[track_caller]
    pub fn pid(&self) -> i32 {
        self.0.id() as i32
    }
}

/// Runs `holdfast` with these arguments to its end; servers that it starts are those of the matrix.
#[track_caller]
pub fn holdfast(binary: &ServerBinary, arguments: &[&str]) -> Run {
    start(binary, arguments, &std::env::temp_dir()).wait()
}

/// Starts `holdfast` with these arguments; what it makes for itself, it makes in `temp_dir`.
#[track_caller]
pub fn start(binary: &ServerBinary, arguments: &[&str], temp_dir: &Path) -> Running {
    run(Command::new(program()).args(arguments), binary, temp_dir)
}

/// As [`start`], with more variables in its environment.
#[track_caller]
pub fn start_with(binary: &ServerBinary, arguments: &[&str], variables: &[(&str, &str)]) -> Running {
    let mut command = Command::new(program());
    run(command.args(arguments).envs(variables.iter().copied()), binary, &std::env::temp_dir())
}

/// As [`start`], and the program may open only so many files (and connections) at a time.
#[track_caller]
pub fn start_with_files(binary: &ServerBinary, arguments: &[&str], files: usize) -> Running {
    let limited = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
    let mut shell = Command::new("sh");
    run(shell.arg("-c").arg(limited).arg(program()).args(arguments), binary, &std::env::temp_dir())
}

#[track_caller]
fn run(command: &mut Command, binary: &ServerBinary, temp_dir: &Path) -> Running {
    command
        .env("REDIS_SERVER", binary.path())
        .env("HOLDFAST_MODULE", binary.module())
        .env("TMPDIR", temp_dir)
        .env_remove("DURATION")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Running(Process::spawn(command).unwrap_or_else(|error| {
        panic!(
            "{}: {error} (build it with `cargo build --release --workspace`, or name it by HOLDFAST_BIN)",
            program().display()
        )
    }))
}

/// Where the program is.
pub fn program() -> PathBuf {
    std::env::var_os("HOLDFAST_BIN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/holdfast"), PathBuf::from)
}
