//! The program `holdfast`, as a person runs it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::binary::ServerBinary;
use super::wait::DEADLINE;

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
pub struct Running(Option<Child>);

impl Running {
    /// Waits for its end.
    #[track_caller]
    pub fn wait(mut self) -> Run {
        let child = self.0.take().expect("it is waited for once");
        let output = child.wait_with_output().expect("its output");
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Run { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// The process id.
    #[track_caller]
    pub fn pid(&self) -> i32 {
        self.0.as_ref().expect("it runs").id() as i32
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // One that has just ended by itself is as good as killed.
            let _ = child.kill();
            let _ = child.wait();
        }
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
    let program = program();
    let child = Command::new(&program)
        .args(arguments)
        .env("REDIS_SERVER", binary.path())
        .env("HOLDFAST_MODULE", binary.module())
        .env("TMPDIR", temp_dir)
        .env_remove("DURATION")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!(
                "{}: {error} (build it with `cargo build --release --workspace`, or name it by HOLDFAST_BIN)",
                program.display()
            )
        });
    Running(Some(child))
}

/// Starts `holdfast watch` with these arguments on a port of its own, and waits until it says where its page is: that
/// address, as in `127.0.0.1:7070`.
#[track_caller]
pub fn watch(binary: &ServerBinary, arguments: &[&str]) -> (Running, String) {
    let arguments = [&["watch", "--listen", "127.0.0.1:0"], arguments].concat();
    let mut running = start(binary, &arguments, &std::env::temp_dir());
    let stdout = running.0.as_mut().and_then(|child| child.stdout.take()).expect("its output");
    let mut stdout = BufReader::new(stdout);
    let mut said = String::new();
    while stdout.read_line(&mut said).expect("its output") > 0 {
        let listens = said.split_once("http://").map(|(_, rest)| rest.trim_end().trim_end_matches('/').to_owned());
        if let Some(address) = listens {
            // Kept open: what it says later must find a reader.
            running.0.as_mut().expect("it runs").stdout = Some(stdout.into_inner());
            return (running, address);
        }
    }
    panic!("holdfast watch did not say where it listens: {said} {}", running.wait().stderr);
}

/// The body of a page.
#[track_caller]
pub fn http_get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection to the console");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    // HTTP/1.0: the body ends with the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").expect("a request sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200"), "{path}: {head}");
    body.to_owned()
}

fn program() -> PathBuf {
    std::env::var_os("HOLDFAST_BIN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/holdfast"), PathBuf::from)
}
