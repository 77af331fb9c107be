//! The servers of a world, what clients know of them, and what has to be so at any time.

use super::events::Happening;
use super::ledger::{KEEP_MS, Ledger, SKUS, all_end, assert_in_order};
use crate::common::{
    Client, DEADLINE, IntoCommand, Server, ServerBinary, WallClock, assert_books_balance, cmd, rewrite_log,
    server_now_ms, wait_until,
};

const SERVERS: usize = 3;
/// How far ahead of the store an outsider's entry is.
const AHEAD_MS: i64 = 3_600_000;

pub struct World {
    servers: Vec<Server>,
    clocks: Vec<WallClock>,
    /// The primary's number, then that of its replica, then of that one's replica.
    chain: [usize; SERVERS],
    client: Client,
    ledger: Ledger,
    /// Copies, each with a name of its own.
    copies: usize,
}

impl World {
    pub fn new(binary: &ServerBinary) -> World {
        let clocks: Vec<WallClock> = (0..SERVERS).map(|_| WallClock::ahead_ms(0)).collect();
        // A server gives up its replicas when its wall clock is set forward.
        let repl_timeout = format!("repl-timeout {}", i32::MAX);
        let config = ["appendonly yes", "appendfsync always", "holdfast.sample-ms 0", &repl_timeout].map(str::to_owned);
        let mut servers: Vec<Server> = Vec::new();
        for clock in &clocks {
            let of = servers.last().map(|primary: &Server| format!("replicaof 127.0.0.1 {}", primary.port()));
            let lines: Vec<&str> = config.iter().chain(&of).map(String::as_str).collect();
            servers.push(Server::with_clock(binary, &lines, clock));
        }
        servers[1..].iter().for_each(Server::wait_for_link);
        let client = servers[0].client();
        let mut world = World { servers, clocks, chain: [0, 1, 2], client, ledger: Ledger::default(), copies: 0 };
        let client = &mut world.client;
        client.ok(format!(
            "STORE.SET popup journal 500 metrics 0 keep-ms {KEEP_MS} lease-ms 300 attempts 3 backoff-ms 5"
        ));
        for (sku, units) in SKUS.into_iter().zip([30, 4, 12]) {
            client.int(format!("INV.SET popup {sku} {units}"));
        }
        world
    }

    fn at(&mut self, place: usize) -> &mut Server {
        &mut self.servers[self.chain[place]]
    }

    fn commands(&mut self, commands: &[String]) {
        let commands = self.ledger.all_filled(commands);
        let replies = self.client.pipeline(&commands.iter().map(IntoCommand::into_command).collect::<Vec<_>>());
        commands.iter().zip(&replies).for_each(|(command, reply)| self.ledger.learn(command, reply));
    }

    pub fn happens(&mut self, event: &Happening) {
        match event {
            Happening::Commands(commands) => self.commands(commands),
            Happening::Transaction(commands) => self.transaction(commands),
            Happening::Script(commands) => self.script(commands),
            Happening::KillPrimary(commands) => self.kill_primary(commands),
            Happening::KillReplica(first) => {
                let replica = self.at(if *first { 1 } else { 2 });
                replica.kill9();
                replica.start_again();
            }
            Happening::Failover => self.failover(),
            Happening::Pause { ms } => self.client.ok(format!("CLIENT PAUSE {ms} WRITE")),
            Happening::Clock { server, ahead_ms } => {
                // The server's own pause ends by the wall clock.
                self.client.ok("CLIENT UNPAUSE");
                self.clocks[*server].set(*ahead_ms);
            }
            Happening::Meddle(command) => self.meddle(command),
            Happening::Operate("BGREWRITEAOF") => rewrite_log(&mut self.client),
            Happening::Operate(command) => self.client.ok(*command),
            Happening::Full(commands) => {
                self.client.ok("CONFIG SET maxmemory 1");
                self.commands(commands);
                self.client.ok("CONFIG SET maxmemory 0");
            }
            Happening::Copy => self.copy(),
            Happening::Restore => self.restore(),
            Happening::Rename => {
                self.client.ok("RENAME popup elsewhere");
                self.client.ok("RENAME elsewhere popup");
            }
            Happening::Wait { ms } => {
                let until_ms = server_now_ms(&mut self.client) + i64::from(*ms);
                wait_until(DEADLINE, "deadlines pass", || server_now_ms(&mut self.client) >= until_ms);
            }
        }
    }

    fn meddle(&mut self, command: &str) {
        let ahead_ms = server_now_ms(&mut self.client) + AHEAD_MS;
        self.client.call(command.replace("<ahead>", &ahead_ms.to_string()));
        if let Some(stream) = command.strip_prefix("PEXPIRE ").and_then(|rest| rest.split(' ').next()) {
            // Not between a repair and an audit.
            wait_until(DEADLINE, "the stream has expired", || self.client.int(format!("PTTL {stream}")) < 0);
        }
    }

    fn transaction(&mut self, commands: &[String]) {
        let commands = self.ledger.all_filled(commands);
        self.client.ok("MULTI");
        for command in &commands {
            self.client.text(command);
        }
        let replies = self.client.get("EXEC");
        commands.iter().zip(replies.array()).for_each(|(command, reply)| self.ledger.learn(command, reply));
    }

    fn script(&mut self, commands: &[String]) {
        let commands = self.ledger.all_filled(commands);
        let calls = commands.iter().map(|command| {
            let words: Vec<String> = command.split(' ').map(|word| format!("'{word}'")).collect();
            format!("redis.pcall({})", words.join(","))
        });
        let script = format!("{} return 1", calls.collect::<Vec<_>>().join(" "));
        assert_eq!(self.client.int(cmd!["EVAL", script, "3", "popup", "{popup}:orders", "lock"]), 1);
        // Their replies are not told: what is known of these orders is what is there now.
        for command in commands {
            if let Some(order) = command.split(' ').nth(2).filter(|word| word.starts_with("o-")) {
                self.ledger.learn_state(&mut self.client, order);
            }
        }
    }

    fn kill_primary(&mut self, commands: &[String]) {
        for command in commands {
            let command = self.ledger.filled(command);
            // It may not have been read yet when the server dies; no reply says so.
            self.client.send(command.as_str()).expect("sent");
        }
        let primary = self.at(0);
        primary.kill9();
        primary.start_again();
        self.client = self.at(0).client();
        self.ledger.compare(&mut self.client);
    }

    fn failover(&mut self) {
        let [primary, replica, last] = self.chain;
        let port = self.servers[replica].port();
        self.client.ok(format!("FAILOVER TO 127.0.0.1 {port}"));
        let mut next = self.servers[replica].client();
        wait_until(DEADLINE, "the replica is the primary", || next.info("replication", "role") == "master");
        self.servers[primary].wait_for_link();
        // The chain: the old primary comes last.
        self.servers[primary].client().ok(format!("REPLICAOF 127.0.0.1 {}", self.servers[last].port()));
        self.chain = [replica, last, primary];
        self.servers.iter().for_each(|server| server.client().ok("CONFIG REWRITE"));
        self.client = next;
    }

    fn name_of_copy(&mut self) -> String {
        self.copies += 1;
        format!("copy-{}", self.copies)
    }

    fn copy(&mut self) {
        let name = self.name_of_copy();
        assert_eq!(self.client.int(format!("COPY popup {name}")), 1);
        self.look_at_copy(&name);
    }

    fn restore(&mut self) {
        let (name, payload) = (self.name_of_copy(), self.client.get("DUMP popup").bytes().to_vec());
        self.client.ok(cmd!["RESTORE", &name, 0, payload]);
        self.look_at_copy(&name);
    }

    fn look_at_copy(&mut self, name: &str) {
        self.client.int(format!("STORE.REPAIR {name}"));
        assert_books_balance(&mut self.client, name);
        self.client.ok(format!("STORE.DROP {name}"));
    }

    /// What has to be so at any time.
    pub fn check(&mut self, event: &Happening) {
        let repaired = self.client.int("STORE.REPAIR popup");
        // Streams stay where they are when their store gets another name.
        let is_meddled = matches!(event, Happening::Meddle(_) | Happening::Rename);
        assert!(repaired == 0 || is_meddled, "{repaired} entries of streams were wrong after {event:?}");
        assert_in_order(&mut self.client);
        self.ledger.compare(&mut self.client);
        self.servers.iter().enumerate().filter(|(at, _)| *at != self.chain[0]).for_each(|(_, replica)| {
            replica.wait_for_link();
        });
        let mut readers: Vec<Client> = self.chain[1..].iter().map(|at| self.servers[*at].client()).collect();
        let client = &mut self.client;
        wait_until(DEADLINE, &format!("all servers are the same after {event:?}"), || {
            let digest = client.digest();
            readers.iter_mut().all(|reader| reader.digest() == digest)
        });
    }

    /// Nothing happens any more: every order ends, and all units are where they belong.
    pub fn ends(&mut self) {
        all_end(&mut self.client, &mut self.ledger);
    }
}
