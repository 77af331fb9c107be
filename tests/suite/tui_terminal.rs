//! `holdfast watch --tui` and the terminal it runs on: taken, given back, and safe from what others wrote.

use super::tui::{MIDDLE, busy_shop, watch};
use crate::common::terminal::{self, Terminal};
use crate::common::{DEADLINE, Server, ServerBinary, cmd, console, tests, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

tests![
    the_terminal_is_given_back,
    it_ends_with_its_terminal,
    hostile_names_do_nothing,
    without_colours,
    what_is_no_terminal_is_told,
    the_page_is_served_only_if_wanted,
];

fn the_terminal_is_given_back(binary: &ServerBinary) {
    let (server, _client) = busy_shop(binary);
    let signals = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].map(Some);
    let ways = [("q", None), ("\x03", None), ("/q\x03", None), ("?", Some(Signal::SIGTERM))];
    for (keys, signal) in signals.map(|signal| ("", signal)).into_iter().chain(ways) {
        let mut terminal = watch(binary, &server, &[], (80, 24));
        terminal.wait_for_all(&["Oversold", "Orders a second"]);
        terminal.with_screen(|screen| {
            assert!(screen.alternate_screen() && screen.hide_cursor() && screen.bracketed_paste());
        });
        terminal.press(keys);
        if keys == "?" {
            // A key that nobody has read is the terminal's, and is shown once it has been given back.
            terminal.wait_for_all(&["What am I looking at?"]);
        }
        if let Some(signal) = signal {
            kill(Pid::from_raw(terminal.pid()), signal).expect("signalled");
        }
        let (code, text) = terminal.end();
        assert_eq!(code, 0, "{keys:?} {signal:?}: {text}");
        terminal.assert_given_back();
        assert_eq!(text.trim(), "", "{keys:?} {signal:?}: something was left behind");
    }
}

fn it_ends_with_its_terminal(binary: &ServerBinary) {
    let (server, _client) = busy_shop(binary);
    let url = format!("redis://127.0.0.1:{}", server.port());
    // Drawing fails and the signal comes, in any order: it is tried some times.
    for _ in 0..5 {
        terminal::close_the_window(binary, &["watch", "--tui", "--url", &url], b"Oversold");
    }
}

fn hostile_names_do_nothing(binary: &ServerBinary) {
    const HOSTILE: &[u8] = b"\x1b[2J\x1b]0;owned\x07\x1b[?1049l\r\n\xff\xe2\x80\xae";
    let server = Server::start(binary);
    let mut client = server.client();
    client.get(cmd!["INV.SET", HOSTILE, HOSTILE, 10]);
    client.get(cmd!["STORE.SET", HOSTILE, "attempts", 1]);
    for customer in 0..2 {
        let order = [HOSTILE, &[b'0' + customer]].concat();
        client.get(cmd!["ORDER.PLACE", HOSTILE, order, HOSTILE, "ITEMS", HOSTILE, 1]);
    }
    let claimed = client.get(cmd!["ORDER.CLAIM", HOSTILE, HOSTILE, "COUNT", 2]);
    assert_eq!(claimed.array().len(), 2);
    client.get(cmd!["ORDER.FAIL", HOSTILE, [HOSTILE, b"0"].concat(), "REASON", HOSTILE]);
    let mut terminal = watch(binary, &server, &["--allow-writes"], (200, 60));
    let shown = "\\x1b[2J\\x1b]0;owned\\x07\\x1b[?1049l\\x0d\\x0a\\xff\\u{202e}";
    terminal.wait_for_all(&[&format!("Holdfast / {}", &shown[..20]), "Stock by SKU", &format!("▸ {}", &shown[..20])]);
    for tab in ["2", "3", "5", "6", "7", "4"] {
        terminal.press(tab);
    }
    terminal.wait_for_all(&["r redrives"]);
    terminal.press("\rj\r");
    terminal.wait_for_all(&[&format!("Order {shown}0"), "● Dead", "What happened"]);
    terminal.press("r");
    terminal.wait_for_all(&["Redrive order"]);
    terminal.press("y");
    terminal.wait_for_all(&["● Queued"]);
    terminal.with_screen(|screen| assert!(screen.alternate_screen() && screen.hide_cursor()));
    for bytes in [&b"owned\x07"[..], b"\x1b[?1049l", b"\x1b[2J\x1b]", "\u{202e}".as_bytes()] {
        assert!(!terminal.has_seen(bytes), "{}", bytes.escape_ascii());
    }
    terminal.press("q");
    assert_eq!(terminal.end().0, 0);
    terminal.assert_given_back();
}

fn without_colours(binary: &ServerBinary) {
    let (server, mut client) = busy_shop(binary);
    client.int("INV.SET popup mug 2");
    let url = format!("redis://127.0.0.1:{}", server.port());
    let arguments = ["watch", "--tui", "--url", &url];
    let terminal = Terminal::start(binary, &arguments, MIDDLE, &[("NO_COLOR", "1")]);
    terminal.wait_for_all(&["▲ OVERSOLD", "Oversold by", "▓ Held"]);
    terminal.with_screen(|screen| {
        let all = (0..MIDDLE.1).flat_map(|row| (0..MIDDLE.0).map(move |column| (row, column)));
        let cells: Vec<_> = all.filter_map(|(row, column)| screen.cell(row, column)).collect();
        let is_plain =
            |cell: &&vt100::Cell| cell.fgcolor() == vt100::Color::Default && cell.bgcolor() == vt100::Color::Default;
        assert!(cells.iter().all(is_plain), "{}", screen.contents());
        assert!(cells.iter().filter(|cell| cell.inverse()).count() > 100, "{}", screen.contents());
    });
}

fn what_is_no_terminal_is_told(binary: &ServerBinary) {
    let run = console::holdfast(binary, &["watch", "--tui"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{}", run.stderr);
    assert!(run.stderr.contains("--tui needs a terminal, and standard output is not one"), "{}", run.stderr);
    let mut terminal = Terminal::start(binary, &["watch", "--tui", "--url", "http://127.0.0.1"], (80, 24), &[]);
    let (code, text) = terminal.end();
    assert_eq!(code, 1);
    assert!(text.contains("must be redis://host:port"), "{text}");
    terminal.assert_given_back();
}

fn the_page_is_served_only_if_wanted(binary: &ServerBinary) {
    let (server, _client) = busy_shop(binary);
    let listening = |pid: i32| {
        // Sockets of the process that listen: state 0A of the kernel's table, by their inodes.
        let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).expect("sockets");
        let inode = |line: &str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            (fields.get(3) == Some(&"0A")).then(|| format!("socket:[{}]", fields[9]))
        };
        let listening: Vec<String> = table.lines().filter_map(inode).collect();
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("files").flatten();
        let links = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        links.filter(|link| listening.iter().any(|socket| link.as_os_str() == socket.as_str())).count()
    };
    let terminal = watch(binary, &server, &[], (200, 60));
    terminal.wait_for_all(&["Oversold", "read-only"]);
    assert_eq!(listening(terminal.pid()), 0);
    let terminal = watch(binary, &server, &["--listen", "127.0.0.1:0"], (200, 60));
    let text = terminal.wait_for_all(&["http://127.0.0.1:", "Oversold"]);
    assert_eq!(listening(terminal.pid()), 1);
    let address = text.split_once("http://").and_then(|(_, rest)| rest.split_once('/')).expect("an address").0;
    let body = ureq::get(format!("http://{address}/api/stores")).call().expect("an answer").body_mut().read_to_string();
    assert!(body.expect("a body").contains("\"popup\""));
    wait_until(DEADLINE, "it is still drawn", || {
        terminal.text().contains("live · ") || terminal.text().contains("quiet")
    });
}
