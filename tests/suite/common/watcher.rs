//! `holdfast watch` while it runs, and a browser's side of it: requests, and events that are pushed.

use super::binary::ServerBinary;
use super::console::{self, Running};
use super::server::Server;
use holdfast_lab::wait::{DEADLINE, wait_until};
use serde_json::Value as Json;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// The program, serving the page of a server.
pub struct Watcher {
    /// The process.
    pub process: Running,
    /// Where it serves, `127.0.0.1:port`.
    pub address: String,
}

/// An answer.
pub struct Answer {
    /// 200 and so on.
    pub status: u16,
    /// Its headers as text, names in small letters.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// A header's value, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

impl Watcher {
    /// Watches a server.
    #[track_caller]
    pub fn of(binary: &ServerBinary, server: &Server) -> Watcher {
        Watcher::with(binary, server, &[])
    }

    /// Watches a server, with more arguments.
    #[track_caller]
    pub fn with(binary: &ServerBinary, server: &Server, more: &[&str]) -> Watcher {
        let url = format!("redis://127.0.0.1:{}", server.port());
        let arguments = [&["watch", "--url", &url, "--listen", "127.0.0.1:0"], more].concat();
        let process = console::start(binary, &arguments, &std::env::temp_dir());
        Watcher::in_line_of(process)
    }

    /// The page whose address is in the next line that a program says.
    #[track_caller]
    pub fn in_line_of(mut process: Running) -> Watcher {
        let line = process.line();
        let address = line.split_once("http://").map(|(_, rest)| rest.trim_end_matches('/').to_string());
        match address {
            Some(address) => Watcher { process, address },
            None => panic!("no address in {line:?}: {}", process.wait().stderr),
        }
    }

    /// GET of a path.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], "")
    }

    /// GET of a path that answers 200, as JSON.
    #[track_caller]
    pub fn json(&self, path: &str) -> Json {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    /// POST of JSON, as the page sends it.
    #[track_caller]
    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.request("POST", path, &[("X-Holdfast", "1"), ("Content-Type", "application/json")], body)
    }

    /// Any request.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(DEADLINE)).build();
        let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.to_string()).expect("a request");
        let mut answer = ureq::Agent::from(config).run(request).unwrap_or_else(|error| panic!("{path}: {error}"));
        let text = |value: &ureq::http::HeaderValue| value.to_str().expect("text").to_string();
        Answer {
            status: answer.status().as_u16(),
            headers: answer.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            body: answer.body_mut().read_to_string().expect("a body of text"),
        }
    }

    /// The status of a request that is sent as it is, byte by byte.
    #[track_caller]
    pub fn raw_status(&self, request: &str) -> u16 {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).expect("sent");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("an answer");
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("{line:?}"))
    }

    /// A bare connection.
    #[track_caller]
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("connected");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream
    }

    /// The events of a store, or of all (`""`).
    #[track_caller]
    pub fn events(&self, store: &str) -> Events {
        Events::read_from(self.ask_for_events(store))
    }

    /// Asks for events, and reads none of them.
    #[track_caller]
    pub fn ask_for_events(&self, store: &str) -> TcpStream {
        let query = if store.is_empty() { String::new() } else { format!("?store={store}") };
        let mut stream = self.connect();
        let request = format!("GET /api/events{query} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).expect("sent");
        stream
    }
    /// Waits until the program has seen a store, and what it saw of it is as wanted.
    #[track_caller]
    pub fn wait_for(&self, what: &str, store: &str, wanted: impl Fn(&Json) -> bool) -> Json {
        let mut found = Json::Null;
        wait_until(DEADLINE, what, || {
            let all = self.json("/api/stores");
            let stores = all["stores"].as_array().expect("stores");
            found = stores.iter().find(|line| line["id"] == store).cloned().unwrap_or_default();
            !found.is_null() && wanted(&found)
        });
        found
    }
}

/// Events as they come.
pub struct Events(Receiver<(String, Json)>);

impl Events {
    /// The events that come over a connection, from now on.
    pub fn read_from(stream: TcpStream) -> Events {
        let (tell, told) = channel();
        std::thread::spawn(move || {
            let mut name = String::new();
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if let Some(event) = line.strip_prefix("event: ") {
                    name = event.to_string();
                } else if let Some(data) = line.strip_prefix("data: ") {
                    let data = serde_json::from_str(data).unwrap_or_else(|error| panic!("{name}: {error}: {data}"));
                    if tell.send((std::mem::take(&mut name), data)).is_err() {
                        return;
                    }
                }
            }
        });
        Events(told)
    }

    /// The next event, whatever it is.
    #[track_caller]
    pub fn next(&self) -> (String, Json) {
        self.0.recv_timeout(DEADLINE).expect("an event")
    }

    /// The data of the next event of this name that is as wanted; others are passed over.
    #[track_caller]
    pub fn wait_for(&self, name: &str, wanted: impl Fn(&Json) -> bool) -> Json {
        let start = Instant::now();
        let mut seen = Vec::new();
        loop {
            let left = DEADLINE.saturating_sub(start.elapsed());
            match self.0.recv_timeout(left) {
                Ok((event, data)) if event == name && wanted(&data) => return data,
                Ok((event, _)) => seen.push(event),
                Err(error) => panic!("no such event {name}: {error}; seen: {}", seen.join(" ")),
            }
        }
    }

    /// The names of the events that have come, and were not asked for yet.
    pub fn names_so_far(&self) -> Vec<String> {
        self.0.try_iter().map(|(name, _)| name).collect()
    }

    /// The names of the events that come within a time.
    pub fn names_within(&self, time: Duration) -> Vec<String> {
        let start = Instant::now();
        let mut names = Vec::new();
        while let Ok((name, _)) = self.0.recv_timeout(time.saturating_sub(start.elapsed())) {
            names.push(name);
        }
        names
    }
}
