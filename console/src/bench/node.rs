//! The clients that are written for Node: BullMQ, and Holdfast over the same Redis client.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use holdfast_lab::Process;
use serde_json::{Value, json};

use crate::bench::workload::{SKUS, sku_id};

/// What is installed: the program, and what it needs in versions that never change by themselves.
const FILES: [(&str, &str); 4] = [
    ("package.json", PACKAGE),
    ("package-lock.json", include_str!("bullmq/package-lock.json")),
    (LIVES, include_str!("bullmq/life.mjs")),
    (PLACES, include_str!("bullmq/place.mjs")),
];
/// What is installed, in versions that are exact.
pub const PACKAGE: &str = include_str!("bullmq/package.json");
/// The program that takes orders through their lives.
pub const LIVES: &str = "life.mjs";
/// The program that places orders over many connections.
pub const PLACES: &str = "place.mjs";
/// Written when all is installed; holds what was.
const INSTALLED: &str = "installed.json";
const DEFAULT_DIR: &str = "bench-node";
/// `install` and not `ci`: the lock file need not name what is optional for other machines than this. Nothing is saved.
const NPM_ARGUMENTS: [&str; 7] =
    ["install", "--no-save", "--omit=optional", "--ignore-scripts", "--engine-strict", "--no-audit", "--no-fund"];

/// Installs the program and its packages with npm, unless they are there; where to. Fails when there is no npm, it
/// reaches no registry, Node is too old, or the directory cannot be written.
pub fn install(dir: Option<&Path>) -> Result<PathBuf> {
    let program = std::env::current_exe().context("asking for this program's own path")?;
    let dir = dir.map_or_else(|| program.with_file_name(DEFAULT_DIR), Path::to_path_buf);
    fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    for (name, text) in FILES {
        fs::write(dir.join(name), text).with_context(|| format!("writing {name} to {}", dir.display()))?;
    }
    let lock = FILES[1].1;
    if fs::read_to_string(dir.join(INSTALLED)).is_ok_and(|installed| installed == lock) {
        return Ok(dir);
    }
    let output = Command::new("npm").args(NPM_ARGUMENTS).current_dir(&dir).stdin(Stdio::null()).output();
    let output = output.context("starting npm")?;
    ensure!(output.status.success(), "npm install: {}", first_errors(&String::from_utf8_lossy(&output.stderr)));
    fs::write(dir.join(INSTALLED), lock).context("noting what was installed")?;
    Ok(dir)
}

/// What npm says went wrong, without its warnings and advice.
fn first_errors(stderr: &str) -> String {
    let lines = stderr.lines().filter_map(|line| line.strip_prefix("npm error ")).take(2);
    lines.collect::<Vec<_>>().join("; ")
}

/// The program, running: it stays for all rounds, so that its code is compiled before the rounds that count.
#[derive(Debug)]
pub struct Node {
    pub process: Process,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Node {
    /// Starts a program that was installed. Fails when there is no Node.
    pub fn start(dir: &Path, program: &str) -> Result<Node> {
        let mut command = Command::new("node");
        command.arg(dir.join(program)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::spawn(&mut command).context("starting node")?;
        let requests = process.stdin.take().context("node without an input")?;
        let answers = BufReader::new(process.stdout.take().context("node without an output")?);
        Ok(Node { process, requests, answers })
    }

    /// Connects a producer and a worker to the server on 127.0.0.1:`port`. Fails when they cannot connect.
    pub fn prepare(&mut self, is_bullmq: bool, port: u16, batch: u64) -> Result<()> {
        let skus: Vec<String> = (0..SKUS).map(sku_id).collect();
        let flow = if is_bullmq { "bullmq" } else { "holdfast" };
        self.ask(&json!({"do": "prepare", "flow": flow, "port": port, "batch": batch, "skus": skus})).map(drop)
    }

    /// The seconds that the lives of `orders` orders take. Fails when not all are completed in a few minutes.
    pub fn run(&mut self, orders: u64) -> Result<f64> {
        let answer = self.ask(&json!({"do": "run", "first": 0, "orders": orders}))?;
        ensure!(answer["orders"] == orders, "of {orders} orders {} were completed", answer["orders"]);
        answer["seconds"].as_f64().with_context(|| format!("node answered {answer}"))
    }

    /// Closes the connections. Fails when the program is gone.
    pub fn close(&mut self) -> Result<()> {
        self.ask(&json!({"do": "close"})).map(drop)
    }

    /// Sends a request and waits for the answer. Fails when that is an error, or the program is gone.
    pub fn ask(&mut self, request: &Value) -> Result<Value> {
        writeln!(self.requests, "{request}").context("asking node")?;
        let mut line = String::new();
        ensure!(self.answers.read_line(&mut line).context("waiting for node")? > 0, "node ended without an answer");
        let answer: Value = serde_json::from_str(&line).with_context(|| format!("node answered {line:?}"))?;
        match answer.get("error") {
            Some(error) => bail!("node: {}", error.as_str().unwrap_or_default()),
            None => Ok(answer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FILES, first_errors};
    use serde_json::Value;

    #[test]
    fn npm_is_quoted_without_its_warnings() {
        let stderr = "npm warn old\nnpm error code ENOTFOUND\nnpm error network failed\nnpm error advice\n";
        assert_eq!(first_errors(stderr), "code ENOTFOUND; network failed");
    }

    #[test]
    fn versions_are_exact_and_no_registry_is_named() {
        let package: Value = serde_json::from_str(FILES[0].1).unwrap();
        let dependencies = package["dependencies"].as_object().unwrap();
        let exact = |version: &Value| version.as_str().unwrap().starts_with(|first: char| first.is_ascii_digit());
        assert!(dependencies.values().all(exact), "{dependencies:?}");
        assert!(!FILES[1].1.contains("\"resolved\""));
    }
}
