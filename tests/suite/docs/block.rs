//! Blocks of documents that are no sessions: what can be run is run, the others are parsed.

use super::document::Block;
use crate::common::{Server, ServerBinary, cmd};
use std::process::{Command, Stdio};

/// Programs that documents call and that the tests do not run.
const PROGRAMS: [&str; 4] = ["docker", "kubectl", "redis-server", "redis-cli"];

/// Checks a block in the language it names.
pub fn check(binary: &ServerBinary, place: &str, block: &Block) {
    let text = block.lines.join("\n");
    match block.language.as_str() {
        "sh" => block.shell().iter().for_each(|line| check_shell(binary, place, line)),
        "conf" => check_configuration(binary, place, block),
        "sentinel" => check_sentinel(binary, place, &text),
        "lua" => {
            let sha = Server::start(binary).client().text(cmd!["SCRIPT", "LOAD", &text]);
            assert_eq!(sha.len(), 40, "{place}: {sha}");
        }
        "yaml" => check_yaml(place, &text),
        // The form of a command, as the reference shows it.
        "syntax" => assert!(text.starts_with(|letter: char| letter.is_ascii_uppercase()), "{place}: {text}"),
        "dockerfile" => assert!(text.starts_with("FROM "), "{place}: {text}"),
        other => panic!("{place}: a block in {other:?}, which no test knows"),
    }
}

/// A line of a shell: a target of make, a command of `holdfast` with options it has, or a known program.
fn check_shell(binary: &ServerBinary, place: &str, line: &str) {
    let words = shlex::split(line).unwrap_or_else(|| panic!("{place}: quotes do not match: {line}"));
    let words: Vec<&str> = words.iter().map(String::as_str).skip_while(|word| word.contains('=')).collect();
    match words.first().copied().unwrap_or("#") {
        "make" => {
            let makefile = super::read("Makefile");
            let target = words[1..].iter().find(|word| !word.contains('=')).expect("a target");
            assert!(makefile.contains(&format!("\n{target}: ")), "{place}: no target {target}");
        }
        "holdfast" | "target/release/holdfast" => check_options(binary, place, &words[1..]),
        "#" => {}
        program => assert!(PROGRAMS.contains(&program), "{place}: {program} is not known: {line}"),
    }
}

/// Every option that is shown is in the program's own help.
fn check_options(binary: &ServerBinary, place: &str, words: &[&str]) {
    let help = crate::common::console::holdfast(binary, &[words[0], "--help"]);
    let help = help.stdout;
    for option in words.iter().filter(|word| word.starts_with("--")) {
        assert!(help.contains(option), "{place}: holdfast {} has no {option}", words[0]);
    }
}

/// A server starts with these lines. The module is loaded already, and files are not where they are elsewhere.
fn check_configuration(binary: &ServerBinary, place: &str, block: &Block) {
    const NOT_HERE: [&str; 4] = ["loadmodule ", "replicaof ", "dir ", "port "];
    let is_setting = |line: &&str| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#') && NOT_HERE.iter().all(|word| !line.starts_with(word))
    };
    let lines: Vec<&str> = block.lines.iter().map(String::as_str).collect();
    if let Some(path) = lines.iter().find_map(|line| line.strip_prefix("loadmodule ")) {
        assert!(path.contains("/libholdfast.so"), "{place}: {path}");
    }
    let settings: Vec<_> = lines.into_iter().filter(is_setting).collect();
    let server = Server::with(binary, &settings);
    server.client().text("PING");
}

/// A sentinel starts with these lines, and follows a server.
fn check_sentinel(binary: &ServerBinary, place: &str, text: &str) {
    let server = Server::start(binary);
    let port = server.port().to_string();
    let config = server.dir().join("sentinel.conf");
    let text = text.replace("6379", &port).replace("10.0.0.1", "127.0.0.1").replace("26379", "0");
    std::fs::write(&config, text + "\nport 0\nunixsocket sentinel.sock\n").expect("written");
    let mut sentinel = Command::new(binary.path())
        .arg(&config)
        .arg("--sentinel")
        .current_dir(server.dir())
        .stdout(Stdio::null())
        .spawn()
        .expect("a sentinel");
    let socket = server.dir().join("sentinel.sock");
    let mut ended = None;
    crate::common::wait_until(crate::common::DEADLINE, "the sentinel listens, or has ended", || {
        ended = sentinel.try_wait().expect("a process");
        ended.is_some() || socket.exists()
    });
    let _ = sentinel.kill();
    let _ = sentinel.wait();
    assert!(ended.is_none(), "{place}: the sentinel does not start: {ended:?}");
}

/// Parses YAML.
fn check_yaml(place: &str, text: &str) {
    for event in saphyr_parser::Parser::new_from_str(text) {
        event.unwrap_or_else(|error| panic!("{place}: no YAML: {error}"));
    }
}
