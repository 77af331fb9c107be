//! Failovers by Sentinel: a primary with replicas, three Sentinels, and a client that asks them where the primary is
//! and sends what was not acknowledged again. The primary is killed, or frozen while it goes on believing that it is
//! one, and comes back as a replica.
//!
//! Where the client waits for all replicas (WAIT), nothing acknowledged is lost. Where it does not, the new primary has
//! what the old one had at one moment, and what came after that is lost.

use super::Figures;
use super::events::commands;
use super::ledger::{KEEP_MS, Ledger, SKUS, all_end, assert_completed_once, assert_in_order};
use crate::common::{Client, DEADLINE, IntoCommand, Reply, Server, ServerBinary, cmd, encode, entries, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proptest::prelude::*;
use std::io;
use std::time::{Duration, Instant};

const SENTINELS: usize = 3;
/// How long a primary does not answer until a Sentinel takes it for down.
const DOWN_AFTER_MS: u32 = 1000;
/// How long a failover may take, until everything is a replica of the new primary.
const HEAL_DEADLINE: Duration = Duration::from_secs(90);
/// How long the client waits for a reply before it asks the Sentinels again.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long a failover may take that a Sentinel is asked for.
const ASKED_PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts.
const POLL: Duration = Duration::from_millis(10);
/// How long WAIT waits, in milliseconds.
const WAIT_MS: u32 = 300;
/// What the Sentinels do so often, in milliseconds: a hundred times slower, no world would end.
const SENTINEL_PERIODS: [(&str, u32); 7] = [
    ("info-period", 300),
    ("ping-period", 100),
    ("ask-period", 100),
    ("publish-period", 200),
    ("election-timeout", 2000),
    ("slave-reconf-timeout", 2000),
    ("tilt-period", 2000),
];
/// Errors of a server that is not the primary, or not yet or not any more: the client asks again.
const ELSEWHERE: [&str; 5] = ["READONLY", "LOADING", "MASTERDOWN", "NOREPLICAS", "UNBLOCKED"];
/// What a Sentinel says of a server that it cannot reach, or of a failover that is not over.
const UNWELL: [&str; 4] = ["s_down", "o_down", "disconnected", "failover_in_progress"];
/// What adds or removes units without an order: left out, so that what was sold can be compared with what was there.
const RECOUNTS: [&str; 4] = ["INV.SET ", "INV.SYNC ", "INV.ADJUST ", "ORDER.RETURN "];
const UNITS: i64 = 200;

#[derive(Clone, Debug)]
pub struct Plan {
    replicas: usize,
    /// Whether the client waits until all replicas have what it wrote.
    is_waited: bool,
    /// Whether the log is synced once a second only.
    is_every_second: bool,
    /// Whether a primary without a replica refuses writes.
    needs_replica: bool,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
struct Step {
    batches: Vec<Vec<String>>,
    unanswered: Vec<String>,
    blow: Blow,
    /// Whether one of the Sentinels is down meanwhile.
    lacks_sentinel: bool,
}

#[derive(Clone, Copy, Debug)]
enum Blow {
    /// The primary is killed, and comes back once another is primary.
    Kill,
    /// It is killed, and started again at once.
    KillBriefly,
    /// It is killed while its replicas do not hear of what it acknowledges.
    KillAhead,
    /// It stands still until another is primary, and then goes on.
    Freeze,
    /// A Sentinel is asked for a failover.
    Asked,
    /// A replica is killed, and started again at once.
    KillReplica,
}

fn some_commands(most: usize) -> impl Strategy<Value = Vec<String>> {
    commands(most).prop_map(|mut commands| {
        commands.retain(|command| !RECOUNTS.iter().any(|recount| command.starts_with(recount)));
        commands
    })
}

fn step() -> impl Strategy<Value = Step> {
    let blow = prop_oneof![
        5 => Just(Blow::Kill),
        1 => Just(Blow::KillBriefly),
        2 => Just(Blow::KillAhead),
        2 => Just(Blow::Freeze),
        1 => Just(Blow::Asked),
        1 => Just(Blow::KillReplica),
    ];
    let batches = proptest::collection::vec(some_commands(12), 3..10);
    (batches, some_commands(12), blow, any::<bool>()).prop_map(|(batches, unanswered, blow, lacks_sentinel)| Step {
        batches,
        unanswered,
        blow,
        lacks_sentinel,
    })
}

/// A world with so many failovers.
pub fn plan(failovers: usize) -> impl Strategy<Value = Plan> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let steps = proptest::collection::vec(step(), failovers);
    (1..3_usize, flags, steps).prop_map(|(replicas, (is_waited, is_every_second, needs_replica), steps)| Plan {
        replicas,
        is_waited,
        // What was acknowledged is on the disk of a primary that is back before it is missed.
        is_every_second: is_every_second && !is_waited,
        needs_replica,
        steps,
    })
}

pub struct World {
    plan: Plan,
    servers: Vec<Server>,
    sentinels: Vec<Server>,
    /// The server that the client is connected to.
    connection: Option<(usize, Client)>,
    /// The server that acknowledged last.
    primary: usize,
    ledger: Ledger,
    markers: usize,
    token: i64,
    /// Orders that only a server took that was not the primary any more.
    late: Vec<String>,
    figures: Figures,
}

impl World {
    pub fn new(binary: &ServerBinary, plan: &Plan) -> World {
        let servers = servers(binary, plan);
        let sentinels = (0..SENTINELS).map(|_| sentinel(binary, servers[0].port())).collect();
        let mut world = World {
            plan: plan.clone(),
            servers,
            sentinels,
            connection: None,
            primary: 0,
            ledger: Ledger::default(),
            markers: 0,
            token: 0,
            late: Vec::new(),
            figures: Figures::default(),
        };
        world.open();
        world
    }

    fn open(&mut self) {
        let client = &mut self.servers[0].client();
        let settings = "lease-ms 300 backoff-ms 5 attempts 3";
        client.ok(format!("STORE.SET popup journal 500 metrics 0 keep-ms {KEEP_MS} {settings}"));
        for sku in SKUS {
            client.int(format!("INV.SET popup {sku} {UNITS}"));
        }
        client.int("INV.SET popup mark 0");
        let replicas = self.plan.replicas;
        assert_eq!(client.int(format!("WAIT {replicas} {}", HEAL_DEADLINE.as_millis())), replicas as i64);
        self.ledger.mark("0".to_owned());
        wait_until(HEAL_DEADLINE, "the Sentinels know everything", || {
            self.sentinels.iter().all(|sentinel| knows_all(sentinel, self.servers[0].port(), replicas))
        });
    }

    /// The number of the server that a Sentinel takes for the primary.
    fn told(&self) -> Option<usize> {
        let ask = |sentinel: &Server| {
            let mut client = Client::connect(sentinel.port()).ok()?;
            let address = client.try_call("SENTINEL GET-MASTER-ADDR-BY-NAME shop").ok()?;
            let Reply::Array(parts) = &address else { return None };
            self.servers.iter().position(|server| server.port().to_string() == parts[1].text())
        };
        self.sentinels.iter().find_map(ask)
    }

    /// Connects to the primary, as the Sentinels tell.
    fn connect(&mut self) -> Option<()> {
        let at = self.told()?;
        let mut client = Client::connect(self.servers[at].port()).ok()?.patient_for(PATIENCE);
        let role = client.try_call("ROLE").ok().filter(|role| !role.is_error())?;
        let stock = client.try_call("INV.GET popup mark").ok().filter(|stock| !stock.is_error())?;
        if role.array()[0].text() != "master" {
            return None;
        }
        let seen = stock.array()[0].field("on-hand").text();
        // A server that comes back with its log synced has everything too.
        let is_whole = self.plan.is_waited || at == self.primary && !self.plan.is_every_second;
        let least = if is_whole { self.ledger.last() } else { 0 };
        let mut patient = self.servers[at].client();
        let lost = self.ledger.came_back(&mut patient, seen, least, true);
        self.figures.add("Lost", lost);
        self.figures.add("Failovers", usize::from(at != self.primary));
        self.primary = at;
        self.connection = Some((at, client));
        Some(())
    }

    /// Sends commands until they are acknowledged: to the primary, wherever it is by then.
    fn write(&mut self, commands: &[String]) {
        let commands = self.ledger.all_filled(commands);
        self.markers += 1;
        let mut wire: Vec<Vec<Vec<u8>>> = commands.iter().map(IntoCommand::into_command).collect();
        wire.push(format!("INV.ADJUST popup mark 1 REF m-{}", self.markers).into_command());
        let waited = if self.plan.is_waited { self.plan.replicas } else { 0 };
        wire.push(cmd!["WAIT", waited, WAIT_MS]);
        let start = Instant::now();
        let replies = loop {
            match self.attempt(&wire) {
                Some(replies) if replies[wire.len() - 1].int() >= waited as i64 => break replies,
                _ => self.figures.add("SentAgain", 1),
            }
            std::thread::sleep(POLL);
            assert!(start.elapsed() < HEAL_DEADLINE, "not acknowledged: {commands:?}");
        };
        commands.iter().zip(&replies).for_each(|(command, reply)| self.learn(command, reply));
        self.ledger.mark(replies[commands.len()].text());
        self.figures.add("Acknowledged", commands.len());
    }

    /// The replies of the primary, if it is there and gives them all.
    fn attempt(&mut self, wire: &[Vec<Vec<u8>>]) -> Option<Vec<Reply>> {
        if self.connection.is_none() {
            self.connect()?;
        }
        let (_, mut client) = self.connection.take()?;
        let replies = exchange(&mut client, wire).ok()?;
        if replies.iter().any(|reply| reply.is_error() && ELSEWHERE.contains(&reply.code().as_str())) {
            return None;
        }
        self.connection = Some((self.primary, client));
        Some(replies)
    }

    fn learn(&mut self, command: &str, reply: &Reply) {
        self.ledger.learn(command, reply);
        if command.starts_with("ORDER.CLAIM ") && !reply.is_error() {
            for claimed in reply.array() {
                let token = claimed.field("token").int();
                assert!(token > self.token, "token {token} after {}", self.token);
                self.token = token;
            }
        }
    }

    fn step(&mut self, step: &Step) {
        step.batches.iter().for_each(|batch| self.write(batch));
        if step.lacks_sentinel {
            self.sentinels[0].kill9();
        }
        let unanswered = self.ledger.all_filled(&step.unanswered);
        self.ledger.unread(&unanswered);
        let before = self.told().expect("a primary");
        if let Some((_, client)) = &mut self.connection {
            for command in &unanswered {
                // The server may have failed over by itself, on a machine that is busy.
                let _ = client.send(command.as_str());
            }
        }
        // Its replies are lost.
        self.connection = None;
        self.strike(step, before);
        if step.lacks_sentinel {
            self.sentinels[0].start_again();
            tune(&self.sentinels[0]);
        }
        self.write(&[]);
        self.heal();
        self.check();
    }

    fn strike(&mut self, step: &Step, primary: usize) {
        match step.blow {
            Blow::KillAhead if !self.plan.is_waited && !self.plan.needs_replica => self.kill_ahead(step, primary),
            Blow::Kill | Blow::KillAhead => {
                self.servers[primary].kill9();
                self.wait_for_another(primary);
                self.servers[primary].start_again();
                self.figures.add("Kill", 1);
            }
            Blow::KillBriefly => {
                self.servers[primary].kill9();
                self.servers[primary].start_again();
                self.figures.add("KillBriefly", 1);
            }
            Blow::Freeze => self.freeze(primary),
            Blow::Asked => {
                self.sentinels[SENTINELS - 1].client().call("SENTINEL FAILOVER shop");
                // It may be given up: nothing is wrong with the primary.
                let start = Instant::now();
                wait_until(HEAL_DEADLINE, "another is primary, or the failover is given up", || {
                    self.told().is_some_and(|told| told != primary) || start.elapsed() >= ASKED_PATIENCE
                });
                self.figures.add("Asked", 1);
            }
            Blow::KillReplica => {
                let replica = (primary + 1) % self.servers.len();
                self.servers[replica].kill9();
                self.servers[replica].start_again();
                self.figures.add("KillReplica", 1);
            }
        }
    }

    fn wait_for_another(&self, primary: usize) {
        let start = Instant::now();
        while self.told().is_none_or(|told| told == primary) {
            assert!(start.elapsed() < HEAL_DEADLINE, "no other is primary; the Sentinels say:\n{}", self.logs());
            std::thread::sleep(POLL);
        }
    }

    fn logs(&self) -> String {
        self.sentinels.iter().map(Server::log_tail).collect::<Vec<_>>().join("\n\n")
    }

    /// Replicas stand still while the primary acknowledges what they never get, and then dies.
    fn kill_ahead(&mut self, step: &Step, primary: usize) {
        let replicas = self.servers.iter().enumerate().filter(|(at, _)| *at != primary);
        let pids: Vec<Pid> = replicas.map(|(_, server)| Pid::from_raw(server.pid())).collect();
        pids.iter().for_each(|pid| kill(*pid, Signal::SIGSTOP).expect("SIGSTOP"));
        self.servers[primary].client().int("CLIENT KILL TYPE replica");
        step.batches.iter().for_each(|batch| self.write(batch));
        self.connection = None;
        self.servers[primary].kill9();
        pids.iter().for_each(|pid| kill(*pid, Signal::SIGCONT).expect("SIGCONT"));
        self.wait_for_another(primary);
        self.servers[primary].start_again();
        self.figures.add("KillAhead", 1);
    }

    /// The primary stands still until another is primary. When it goes on it takes writes of a client that has not
    /// noticed: they are lost, since nobody waited for a replica.
    fn freeze(&mut self, primary: usize) {
        let mut stale = self.servers[primary].client().patient_for(PATIENCE);
        let pid = Pid::from_raw(self.servers[primary].pid());
        kill(pid, Signal::SIGSTOP).expect("SIGSTOP");
        self.wait_for_another(primary);
        // Without the old one, a single replica has none to wait for.
        if self.plan.replicas > 1 && !self.plan.is_waited {
            self.write(&["ORDER.PLACE popup <new> c-1 ITEMS box 1".to_owned()]);
        }
        let late = format!("late-{}", self.markers);
        let place = cmd!["ORDER.PLACE", "popup", &late, "c-9", "ITEMS", "shoe", 1];
        let wire = [place, cmd!["ORDER.CLAIM", "popup", "w-late", "COUNT", 5]];
        stale.send_raw(&wire.iter().flat_map(|command| encode(command)).collect::<Vec<_>>()).expect("sent");
        kill(pid, Signal::SIGCONT).expect("SIGCONT");
        let is_told = stale.receive().is_ok_and(|reply| !reply.is_error());
        self.figures.add("Freeze", 1);
        self.figures.add("AcceptedByOldPrimary", usize::from(is_told));
        self.late.push(late);
    }

    /// Everything is a replica of the primary, and all Sentinels know it.
    fn heal(&mut self) {
        let replicas = self.plan.replicas;
        wait_until(HEAL_DEADLINE, "everything is a replica of the primary", || {
            let Some(primary) = self.told() else { return false };
            let port = self.servers[primary].port();
            let agree = self.sentinels.iter().all(|sentinel| knows_all(sentinel, port, replicas));
            agree
                && self.servers.iter().enumerate().all(|(at, server)| {
                    // A Sentinel that makes it a replica disconnects its clients.
                    let Ok(info) = server.client().try_call("INFO replication") else { return false };
                    let info = info.text();
                    let has = |line: String| info.lines().any(|found| found == line);
                    match at == primary {
                        true => has("role:master".into()) && has(format!("connected_slaves:{replicas}")),
                        false => has(format!("master_port:{port}")) && has("master_link_status:up".into()),
                    }
                })
        });
    }

    fn check(&mut self) {
        // Where it is by now.
        self.write(&[]);
        let mut client = self.servers[self.primary].client();
        assert_in_order(&mut client);
        assert_completed_once(&mut client);
        assert_eq!(client.int("STORE.REPAIR popup"), 0, "entries of streams were wrong");
        self.ledger.compare(&mut client);
        for late in &self.late {
            let found = client.call(format!("ORDER.GET popup {late}"));
            assert!(found.is_error(), "{late} was written to a server that was not the primary any more");
        }
        let others = (0..self.servers.len()).filter(|at| *at != self.primary);
        let mut readers: Vec<Client> = others.map(|at| self.servers[at].client()).collect();
        wait_until(DEADLINE, "all servers are the same", || {
            let digest = client.digest();
            readers.iter_mut().all(|reader| reader.digest() == digest)
        });
        assert_nothing_oversold(&mut client);
    }

    pub fn ends(mut self) {
        let mut client = self.servers[self.primary].client();
        all_end(&mut client, &mut self.ledger);
        self.figures.add("Orders", self.ledger.acknowledged());
        self.figures.print();
    }
}

impl Plan {
    pub fn run(&self, binary: &ServerBinary) {
        let mut world = World::new(binary, self);
        self.steps.iter().for_each(|step| world.step(step));
        world.ends();
    }
}

/// A primary, and its replicas.
fn servers(binary: &ServerBinary, plan: &Plan) -> Vec<Server> {
    let sync = format!("appendfsync {}", if plan.is_every_second { "everysec" } else { "always" });
    let needed = format!("min-replicas-to-write {}", usize::from(plan.needs_replica));
    let own = ["appendonly yes", &sync, &needed, "min-replicas-max-lag 2", "holdfast.sample-ms 0"];
    let mut servers = vec![Server::with(binary, &own)];
    for _ in 0..plan.replicas {
        let of = format!("replicaof 127.0.0.1 {}", servers[0].port());
        let replica = Server::with(binary, &[&own[..], &[of.as_str()]].concat());
        replica.wait_for_link();
        servers.push(replica);
    }
    servers
}

fn sentinel(binary: &ServerBinary, primary: u16) -> Server {
    let lines = [
        format!("sentinel monitor shop 127.0.0.1 {primary} 2"),
        format!("sentinel down-after-milliseconds shop {DOWN_AFTER_MS}"),
        "sentinel failover-timeout shop 2000".to_owned(),
        "sentinel parallel-syncs shop 2".to_owned(),
    ];
    let sentinel = Server::sentinel(binary, &lines.each_ref().map(String::as_str));
    tune(&sentinel);
    sentinel
}

fn tune(sentinel: &Server) {
    for (name, ms) in SENTINEL_PERIODS {
        sentinel.client().ok(format!("SENTINEL DEBUG {name} {ms}"));
    }
}

/// Whether a Sentinel has this primary, the replicas and the other Sentinels, and nothing is wrong with any of them.
fn knows_all(sentinel: &Server, primary: u16, replicas: usize) -> bool {
    let mut client = sentinel.client();
    let known = client.get("SENTINEL MASTER shop");
    let is_well = |one: &Reply| !UNWELL.iter().any(|flag| one.field("flags").text().contains(flag));
    let mut are_well = |of: &str, count: usize| {
        let found = client.get(format!("SENTINEL {of} shop"));
        found.array().len() == count && found.array().iter().all(is_well)
    };
    known.field("port").text() == primary.to_string()
        && is_well(&known)
        && are_well("REPLICAS", replicas)
        && are_well("SENTINELS", SENTINELS - 1)
}

/// The replies to commands that are sent at once.
fn exchange(client: &mut Client, wire: &[Vec<Vec<u8>>]) -> io::Result<Vec<Reply>> {
    client.send_raw(&wire.iter().flat_map(|command| encode(command)).collect::<Vec<_>>())?;
    wire.iter().map(|_| client.receive()).collect()
}

/// What was completed of each SKU, and what is there, is no more than there was.
fn assert_nothing_oversold(client: &mut Client) {
    let completed = entries(client, "{popup}:complete");
    for sku in SKUS {
        let units = |items: String| {
            let items: Vec<(String, i64)> = serde_json::from_str(&items).expect("items");
            items.iter().filter(|(name, _)| name == sku).map(|(_, units)| units).sum::<i64>()
        };
        let sold: i64 = completed.iter().map(|entry| units(entry.text("items"))).sum();
        let on_hand = client.get(format!("INV.GET popup {sku}")).array()[0].field("on-hand").int();
        assert!(sold + on_hand <= UNITS, "{sku}: {sold} sold, {on_hand} on hand, {UNITS} were there");
    }
}
