//! One server that is killed again and again: at once, while it saves or rewrites its log, or right after. Where it has
//! a log, the end of it is torn: within what was not synced yet, or by a part of one more command. What comes back has
//! to be everything acknowledged (`always`), everything but the last two seconds (`everysec`), or the last snapshot;
//! and never anything but what was there at one moment.
//!
//! In a world that stands still no deadline passes, and what comes back is compared with DEBUG DIGEST after each
//! command. In the others deadlines pass, and the units of one more SKU say how far the history reaches.

use super::Figures;
use super::events::commands;
use super::ledger::{KEEP_MS, Ledger, SKUS, all_end, assert_completed_once, assert_in_order};
use super::log::{Sizes, append_torn, cut, last_file};
use crate::common::{Client, DEADLINE, IntoCommand, Reply, Server, ServerBinary, cmd, encode, rewrite_log, wait_until};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use proptest::prelude::*;
use std::time::{Duration, Instant};

/// With `appendfsync everysec`, what is older than this is not lost.
const MAY_BE_LOST: Duration = Duration::from_secs(2);
/// How long a child takes for each key that it saves: long enough to be killed in the middle.
const SLOW_SAVE_US: u32 = 20_000;
/// How long something that was sent may take to be in the log.
const LOG_PATIENCE: Duration = Duration::from_millis(100);
/// Appended to a duration in milliseconds: longer than any world lasts.
const FOR_EVER: &str = "000000";
/// Holds and workers that commands name.
const HOLDS: usize = 12;
const WORKERS: usize = 3;

/// How a server keeps what it has.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kept {
    Always,
    EverySecond,
    /// No log: snapshots alone.
    Snapshots,
}

#[derive(Clone, Debug)]
pub struct Plan {
    kept: Kept,
    /// Whether the rewritten log begins with a snapshot.
    has_preamble: bool,
    /// Whether deadlines are too far away to pass.
    is_still: bool,
    has_replica: bool,
    blows: Vec<Blow>,
}

#[derive(Clone, Debug)]
struct Blow {
    before: Vec<Batch>,
    /// How long clients take for them.
    before_ms: u16,
    when: When,
    /// What is acknowledged while a child is at work.
    meanwhile: Vec<Batch>,
    meanwhile_ms: u16,
    /// What is sent, and not answered.
    unanswered: Vec<String>,
    /// Whether the child dies too.
    kills_child: bool,
    tail: Tail,
}

#[derive(Clone, Debug)]
enum Batch {
    Commands(Vec<String>),
    Transaction(Vec<String>),
    Script(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    AtOnce,
    InSave,
    AfterSave,
    InRewrite,
    AfterRewrite,
}

const WHENS: [When; 5] = [When::AtOnce, When::InSave, When::AfterSave, When::InRewrite, When::AfterRewrite];

/// What becomes of the end of the log.
#[derive(Clone, Debug)]
enum Tail {
    Whole,
    /// It is cut within what was not synced.
    Cut {
        permille: u16,
    },
    /// A part of one more command was written.
    Torn {
        is_transaction: bool,
        permille: u16,
    },
}

fn batch() -> impl Strategy<Value = Batch> {
    prop_oneof![
        6 => commands(20).prop_map(Batch::Commands),
        1 => commands(6).prop_map(Batch::Transaction),
        1 => commands(6).prop_map(Batch::Script),
    ]
}

fn tail() -> impl Strategy<Value = Tail> {
    prop_oneof![
        2 => Just(Tail::Whole),
        4 => (0..1000_u16).prop_map(|permille| Tail::Cut { permille }),
        2 => (any::<bool>(), 0..1000_u16)
            .prop_map(|(is_transaction, permille)| Tail::Torn { is_transaction, permille }),
    ]
}

fn blow() -> impl Strategy<Value = Blow> {
    let batches = |most| proptest::collection::vec(batch(), 0..most);
    let before = (batches(8), prop_oneof![2 => Just(0), 1 => 0..3000_u16]);
    let meanwhile = (batches(3), 0..200_u16, prop_oneof![Just(Vec::new()), commands(12)]);
    let how = (proptest::sample::select(&WHENS[..]), any::<bool>(), tail());
    (before, how, meanwhile).prop_map(|((before, before_ms), (when, kills_child, tail), after)| {
        let (meanwhile, meanwhile_ms, unanswered) = after;
        Blow { before, before_ms, when, meanwhile, meanwhile_ms, unanswered, kills_child, tail }
    })
}

/// A world with so many kills.
pub fn plan(kills: usize) -> impl Strategy<Value = Plan> {
    let kept = prop_oneof![3 => Just(Kept::Always), 3 => Just(Kept::EverySecond), 2 => Just(Kept::Snapshots)];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (kept, flags, proptest::collection::vec(blow(), kills)).prop_map(|(kept, flags, blows)| {
        let (has_preamble, is_still, has_replica) = flags;
        Plan { kept, has_preamble, is_still, has_replica, blows }
    })
}

/// A command of which no deadline passes.
fn stilled(command: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    let is_duration = |at: usize| match (words[0], at) {
        ("ORDER.GATE", 4) | ("LOCK.ACQUIRE", 3) => true,
        _ => {
            let after = |back: usize, names: &[&str]| at.checked_sub(back).is_some_and(|at| names.contains(&words[at]));
            after(1, &["TTL", "LEASE", "AFTER", "WAIT"]) || after(2, &["GATE"])
        }
    };
    let is_number = |word: &str| word.parse::<u64>().is_ok();
    let still = words.iter().enumerate().map(|(at, word)| match is_number(word) && is_duration(at) {
        true => format!("{word}{FOR_EVER}"),
        false => word.to_string(),
    });
    still.collect::<Vec<_>>().join(" ")
}

pub struct World {
    plan: Plan,
    server: Server,
    replica: Option<Server>,
    client: Client,
    ledger: Ledger,
    /// How often a unit was added to the SKU that says how far the history reaches.
    markers: usize,
    /// The moment that the last snapshot has, or the start with a log.
    safe: usize,
    /// The last token that a worker got.
    token: i64,
    sizes: Sizes,
    /// Whether the server truncates a log behind a MULTI: Valkey does not any more.
    leaves_multi: bool,
    figures: Figures,
}

impl World {
    pub fn new(binary: &ServerBinary, plan: &Plan) -> World {
        let preamble = format!("aof-use-rdb-preamble {}", if plan.has_preamble { "yes" } else { "no" });
        let sync = match plan.kept {
            Kept::Always => "always",
            _ => "everysec",
        };
        let log = if plan.kept == Kept::Snapshots { "appendonly no" } else { "appendonly yes" };
        let sync = format!("appendfsync {sync}");
        let config = [log, &sync, &preamble, "aof-load-truncated yes", "holdfast.sample-ms 0"];
        let server = Server::with(binary, &[&config[..], &["auto-aof-rewrite-percentage 0"]].concat());
        let replica = plan.has_replica.then(|| server.replica(binary));
        let client = server.client();
        let (ledger, sizes, figures) = (Ledger::default(), Sizes::default(), Figures::default());
        let mut world = World {
            plan: plan.clone(),
            server,
            replica,
            client,
            ledger,
            markers: 0,
            safe: 0,
            token: 0,
            sizes,
            leaves_multi: !binary.label().starts_with("valkey-9"),
            figures,
        };
        world.open();
        world
    }

    /// Makes the store, and has it on the disk.
    fn open(&mut self) {
        let ms = if self.plan.is_still { FOR_EVER } else { "" };
        let settings = format!("lease-ms 300{ms} backoff-ms 5{ms} backoff-cap-ms 60000{ms}");
        let client = &mut self.client;
        client.ok(format!("STORE.SET popup journal 500 metrics 0 keep-ms {KEEP_MS} attempts 3 {settings}"));
        for (sku, units) in SKUS.into_iter().zip([30, 4, 12]) {
            client.int(format!("INV.SET popup {sku} {units}"));
        }
        client.int("INV.SET popup mark 0");
        match self.plan.kept {
            Kept::Snapshots => client.ok("SAVE"),
            _ => rewrite_log(client),
        }
        let seen = self.seen();
        self.ledger.mark(seen);
        self.note_started();
    }

    fn note_started(&mut self) {
        self.safe = self.ledger.last();
        if self.plan.kept != Kept::Snapshots {
            self.sizes.started(&self.server);
        }
    }

    /// What a reader sees of the history so far.
    fn seen(&mut self) -> String {
        match self.plan.is_still {
            true => self.client.text("DEBUG DIGEST"),
            false => self.client.get("INV.GET popup mark").array()[0].field("on-hand").text(),
        }
    }

    /// The command that shows how far the history reaches, and in a lively world makes that another place.
    fn marker(&mut self) -> Vec<Vec<u8>> {
        self.markers += 1;
        match self.plan.is_still {
            true => cmd!["DEBUG", "DIGEST"],
            false => format!("INV.ADJUST popup mark 1 REF m-{}", self.markers).into_command(),
        }
    }

    fn all_filled(&mut self, commands: &[String]) -> Vec<String> {
        let filled = self.ledger.all_filled(commands);
        if self.plan.is_still { filled.iter().map(|command| stilled(command)).collect() } else { filled }
    }

    fn write(&mut self, batch: &Batch) {
        match batch {
            Batch::Commands(commands) => self.commands(commands),
            Batch::Transaction(commands) => self.transaction(commands),
            Batch::Script(commands) => self.script(commands),
        }
        if self.plan.kept != Kept::Snapshots {
            self.sizes.note(&self.server);
        }
    }

    fn commands(&mut self, commands: &[String]) {
        let commands = self.all_filled(commands);
        // A digest after each of them; a marker after all.
        let groups = commands.chunks(if self.plan.is_still { 1 } else { commands.len() });
        let mut wire = Vec::new();
        for group in groups.clone() {
            wire.extend(group.iter().map(IntoCommand::into_command));
            wire.push(self.marker());
        }
        let mut replies = self.client.pipeline(&wire).into_iter();
        for group in groups {
            for command in group {
                let reply = replies.next().expect("a reply");
                self.learn(command, &reply);
            }
            self.ledger.mark(replies.next().expect("what the marker says").text());
        }
    }

    fn transaction(&mut self, commands: &[String]) {
        let commands = self.all_filled(commands);
        let mut wire = vec![cmd!["MULTI"]];
        wire.extend(commands.iter().map(IntoCommand::into_command));
        wire.extend([cmd!["EXEC"], self.marker()]);
        let replies = self.client.pipeline(&wire);
        let [.., of_all, seen] = replies.as_slice() else { unreachable!("two replies at least") };
        commands.iter().zip(of_all.array()).for_each(|(command, reply)| self.learn(command, reply));
        self.ledger.mark(seen.text());
    }

    fn script(&mut self, commands: &[String]) {
        let commands = self.all_filled(commands);
        self.ledger.unread(&commands);
        let calls = commands.iter().map(|command| {
            let words: Vec<String> = command.split(' ').map(|word| format!("'{word}'")).collect();
            format!("redis.pcall({})", words.join(","))
        });
        let script = format!("{} return 1", calls.collect::<Vec<_>>().join(" "));
        let wire = [cmd!["EVAL", script, "3", "popup", "{popup}:orders", "lock"], self.marker()];
        let replies = self.client.pipeline(&wire);
        assert_eq!(replies[0], Reply::Int(1));
        self.ledger.mark(replies[1].text());
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
        self.figures.add("Acknowledged", usize::from(!reply.is_error()));
    }

    /// Kills the server, and looks at what comes back.
    fn blow(&mut self, blow: &Blow) {
        self.write_for(&blow.before, Duration::from_millis(blow.before_ms.into()));
        let when = self.child(blow.when);
        for batch in &blow.meanwhile {
            self.write(batch);
        }
        if when != When::AtOnce {
            let (start, ms) = (Instant::now(), Duration::from_millis(blow.meanwhile_ms.into()));
            wait_until(DEADLINE, "the child is at work", || start.elapsed() >= ms || !is_busy(&mut self.client));
        }
        self.note_sizes();
        let unanswered = self.all_filled(&blow.unanswered);
        self.ledger.unread(&unanswered);
        let is_in_child = is_busy(&mut self.client);
        for command in &unanswered {
            // It may not have been read yet when the server dies; no reply says so.
            self.client.send(command.as_str()).expect("sent");
        }
        if matches!(blow.tail, Tail::Cut { .. }) && !unanswered.is_empty() {
            self.wait_for_more_log();
        }
        let died = self.kill(blow);
        self.count_kill(when, is_in_child);
        self.tear(&blow.tail, died);
        self.start_again();
        self.check(died, !unanswered.is_empty());
    }

    /// Waits a moment for something that was sent to be in the log: not all of it changes something.
    fn wait_for_more_log(&self) {
        let start = Instant::now();
        let has_more = || self.plan.kept != Kept::Snapshots && self.sizes.has_grown(&self.server);
        wait_until(DEADLINE, "the log grows, or does not", || has_more() || start.elapsed() >= LOG_PATIENCE);
    }

    /// Starts the server. Redis leaves the MULTI of a transaction of which it cut off the rest, and takes what comes
    /// after it for a part of the transaction: the log has to be rewritten.
    fn start_again(&mut self) {
        let truncated = |server: &Server| server.log().matches("Truncating the AOF").count();
        let before = truncated(&self.server);
        self.server.start_again();
        self.client = self.server.client();
        if self.leaves_multi && truncated(&self.server) > before {
            rewrite_log(&mut self.client);
        }
    }

    /// Writes these, with so much time in between that they take this long.
    fn write_for(&mut self, batches: &[Batch], duration: Duration) {
        let pause = match (self.plan.kept, u32::try_from(batches.len())) {
            // Elsewhere it makes no difference.
            (Kept::EverySecond, Ok(count @ 1..)) => duration / count,
            _ => Duration::ZERO,
        };
        for batch in batches {
            let start = Instant::now();
            self.write(batch);
            wait_until(DEADLINE, "time passes", || start.elapsed() >= pause);
        }
    }

    fn note_sizes(&mut self) {
        if self.plan.kept != Kept::Snapshots {
            self.sizes.note(&self.server);
        }
    }

    /// Has a child save or rewrite the log. Replies what it is: without a log there is none to rewrite.
    fn child(&mut self, when: When) -> When {
        let when = match (self.plan.kept, when) {
            (Kept::Snapshots, When::InRewrite) => When::InSave,
            (Kept::Snapshots, When::AfterRewrite) => When::AfterSave,
            (_, when) => when,
        };
        let client = &mut self.client;
        wait_until(DEADLINE, "no child is at work", || !is_busy(client));
        let (command, is_slow) = match when {
            When::AtOnce => return when,
            When::InSave => ("BGSAVE", true),
            When::AfterSave => ("BGSAVE", false),
            When::InRewrite => ("BGREWRITEAOF", true),
            When::AfterRewrite => ("BGREWRITEAOF", false),
        };
        client.ok(format!("CONFIG SET rdb-key-save-delay {}", if is_slow { SLOW_SAVE_US } else { 0 }));
        client.get(command);
        if is_slow {
            wait_until(DEADLINE, "the child is at work", || is_busy(client));
        } else {
            wait_until(DEADLINE, "the child is done", || !is_busy(client));
            assert_eq!(client.info("persistence", "rdb_last_bgsave_status"), "ok");
            assert_eq!(client.info("persistence", "aof_last_bgrewrite_status"), "ok");
            if self.plan.kept == Kept::Snapshots {
                self.safe = self.ledger.last();
            }
        }
        when
    }

    fn kill(&mut self, blow: &Blow) -> Instant {
        let pid = Pid::from_raw(self.server.pid());
        if blow.kills_child {
            killpg(pid, Signal::SIGKILL).expect("killed with its child");
        }
        let died = Instant::now();
        self.server.kill9();
        // A child that goes on would replace the snapshot some time later. It is in the server's group.
        wait_until(DEADLINE, "its child has ended", || !is_group_alive(pid));
        died
    }

    fn count_kill(&mut self, when: When, is_in_child: bool) {
        let name = match (when, is_in_child) {
            (When::InSave, true) => "KillInSave",
            (When::InRewrite, true) => "KillInRewrite",
            (When::AfterSave | When::InSave, _) => "KillAfterSave",
            (When::AfterRewrite | When::InRewrite, _) => "KillAfterRewrite",
            (When::AtOnce, _) => "KillAtOnce",
        };
        self.figures.add(name, 1);
    }

    /// What a power cut does to the log.
    fn tear(&mut self, tail: &Tail, died: Instant) {
        if self.plan.kept == Kept::Snapshots {
            return;
        }
        let file = last_file(&self.server);
        match tail {
            Tail::Whole => {}
            Tail::Cut { permille } => {
                let kept = match self.plan.kept {
                    Kept::Always => self.sizes.last(&file),
                    _ => self.sizes.synced(&file, died),
                };
                self.figures.add("TailCut", usize::from(cut(&file, kept, *permille) > 0));
            }
            Tail::Torn { is_transaction, permille } => {
                let place = encode(&"ORDER.PLACE popup torn c-1 ITEMS shoe 1 box 1".into_command());
                let multi = if *is_transaction { encode(&cmd!["MULTI"]) } else { Vec::new() };
                append_torn(&file, &[multi, place].concat(), *permille);
                self.figures.add("TailTorn", 1);
            }
        }
    }

    /// What came back has to be what was there at a moment, late enough, and in order.
    fn check(&mut self, died: Instant, is_on_the_way: bool) {
        let least = match self.plan.kept {
            Kept::Always => self.ledger.last(),
            Kept::EverySecond => died.checked_sub(MAY_BE_LOST).map_or(0, |then| self.ledger.last_until(then)),
            Kept::Snapshots => 0,
        };
        let seen = self.seen();
        let is_on_the_way = is_on_the_way && self.plan.kept != Kept::Snapshots;
        let lost = self.ledger.came_back(&mut self.client, seen, least.max(self.safe), is_on_the_way);
        self.figures.add("Lost", lost);
        self.note_started();
        let torn = self.client.call("ORDER.GET popup torn");
        assert!(torn.is_error(), "a part of a command was done: {torn:?}");
        assert_in_order(&mut self.client);
        assert_completed_once(&mut self.client);
        assert_eq!(self.client.int("STORE.REPAIR popup"), 0, "entries of streams were wrong");
        self.ledger.compare(&mut self.client);
        self.compare_replica();
    }

    fn compare_replica(&mut self) {
        let Some(replica) = &self.replica else { return };
        replica.wait_for_link();
        let (mut reader, client) = (replica.client(), &mut self.client);
        wait_until(DEADLINE, "the replica has the same", || reader.digest() == client.digest());
    }

    /// Nothing happens any more, and every order ends.
    pub fn ends(mut self) {
        for order in self.ledger.orders().filter(|_| self.plan.is_still) {
            ["pay", "fraud"].iter().for_each(|gate| drop(self.client.call(format!("ORDER.PASS popup {order} {gate}"))));
            self.client.call(format!("ORDER.COMPLETE popup {order}"));
        }
        (0..HOLDS).for_each(|hold| drop(self.client.call(format!("INV.RELEASE popup h-{hold}"))));
        (0..WORKERS).for_each(|worker| drop(self.client.call(format!("ORDER.YIELD popup w-{worker}"))));
        all_end(&mut self.client, &mut self.ledger);
        self.figures.add("Orders", self.ledger.acknowledged());
        self.figures.print();
    }
}

impl Plan {
    pub fn run(&self, binary: &ServerBinary) {
        let mut world = World::new(binary, self);
        self.blows.iter().for_each(|blow| world.blow(blow));
        world.ends();
    }
}

/// Whether a process of this group is there that has not ended.
fn is_group_alive(group: Pid) -> bool {
    let processes = std::fs::read_dir("/proc").expect("processes").flatten();
    let of_group = |stat: String| {
        // pid (name) state parent group …
        let (_, rest) = stat.rsplit_once(") ")?;
        let mut words = rest.split(' ');
        let is_running = !matches!(words.next()?, "Z" | "X");
        Some(is_running && words.nth(1)? == group.to_string())
    };
    processes
        .filter_map(|process| std::fs::read_to_string(process.path().join("stat")).ok())
        .filter_map(of_group)
        .any(|is_alive| is_alive)
}

/// Whether a child saves, or rewrites the log.
fn is_busy(client: &mut Client) -> bool {
    let info = client.text("INFO persistence");
    ["rdb_bgsave_in_progress:1", "aof_rewrite_in_progress:1", "aof_rewrite_scheduled:1"]
        .iter()
        .any(|line| info.contains(line))
}
