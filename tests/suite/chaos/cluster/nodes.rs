//! The servers of a cluster: three primaries, each with a replica, and what they know of each other.

use super::events::Fault;
use crate::common::{Client, DEADLINE, Reply, Server, ServerBinary, server_now_ms, wait_until};
use holdfast_lab::wait::wait_for;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

pub const SHARDS: usize = 3;

/// Time after which a node that is silent is taken for failed. A busy machine is silent for a while, too.
const NODE_TIMEOUT_MS: u32 = 4_000;

/// How long it may take until all nodes have the same picture: some seconds after a failover.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a failover that was asked for may take before it is asked for again.
const FAILOVER_TRY: Duration = Duration::from_secs(7);

/// The server's way of moving slots at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Valkey,
    Redis,
}

/// The nodes `n` and `n + SHARDS` are of the same shard.
pub struct Nodes {
    servers: Vec<Server>,
    ids: Vec<String>,
    primaries: [usize; SHARDS],
    pub way: Option<Way>,
    /// Whether replicas know which slots are open: Valkey 8 and later.
    pub tells_replicas: bool,
    /// Whether servers are lost with what nobody else has.
    pub rough: bool,
    /// The replica that is kept from taking over by itself.
    kept: Option<usize>,
}

/// What a node knows of the cluster: a line a node, with its role, its epoch and its slots.
type Picture = BTreeSet<String>;

impl Nodes {
    pub fn start(binary: &ServerBinary, rough: bool) -> Nodes {
        let timeout = format!("cluster-node-timeout {NODE_TIMEOUT_MS}");
        let no_failover = format!("cluster-replica-no-failover {}", if rough { "no" } else { "yes" });
        let config = [
            "cluster-enabled yes",
            &timeout,
            "cluster-allow-replica-migration no",
            "cluster-replica-validity-factor 0",
            &no_failover,
            "appendonly yes",
            "appendfsync always",
            "repl-backlog-size 32mb",
            "holdfast.sample-ms 100",
        ];
        let servers: Vec<Server> = (0..2 * SHARDS).map(|_| Server::with(binary, &config)).collect();
        let ids: Vec<String> = servers.iter().map(|server| server.client().text("CLUSTER MYID")).collect();
        let mut client = servers[0].client();
        let mut has = |command: &str| client.get(format!("COMMAND INFO {command}")).array()[0] != Reply::Nil;
        let way = match (has("cluster|migrateslots"), has("cluster|migration")) {
            (true, _) => Some(Way::Valkey),
            (false, true) => Some(Way::Redis),
            (false, false) => None,
        };
        let tells_replicas = binary.label().starts_with("valkey");
        let mut nodes = Nodes { servers, ids, primaries: [0, 1, 2], way, tells_replicas, rough, kept: None };
        nodes.meet();
        nodes
    }

    fn meet(&mut self) {
        const SLOTS: [&str; SHARDS] = ["0 5460", "5461 10922", "10923 16383"];
        for (at, server) in self.servers.iter().enumerate() {
            let mut client = server.client();
            client.ok(format!("CLUSTER SET-CONFIG-EPOCH {}", at + 1));
            if let Some(slots) = SLOTS.get(at) {
                client.ok(format!("CLUSTER ADDSLOTSRANGE {slots}"));
            }
            if at > 0 {
                let first = &self.servers[0];
                client.ok(format!("CLUSTER MEET 127.0.0.1 {} {}", first.port(), first.bus_port()));
            }
        }
        for replica in SHARDS..2 * SHARDS {
            let (mut client, of) = (self.client(replica), &self.ids[replica - SHARDS]);
            wait_until(PATIENCE, "the replica knows its primary", || {
                !client.call(format!("CLUSTER REPLICATE {of}")).is_error()
            });
        }
        self.wait_for_agreement();
    }

    pub fn client(&self, node: usize) -> Client {
        self.servers[node].client()
    }

    pub fn ports(&self) -> Vec<u16> {
        self.servers.iter().map(Server::port).collect()
    }

    pub fn count(&self) -> usize {
        self.servers.len()
    }

    pub fn port(&self, node: usize) -> u16 {
        self.servers[node].port()
    }

    pub fn primary(&self, shard: usize) -> usize {
        self.primaries[shard % SHARDS]
    }

    pub fn replica(&self, shard: usize) -> usize {
        (self.primary(shard) + SHARDS) % (2 * SHARDS)
    }

    /// The id of a shard's primary.
    pub fn id(&self, shard: usize) -> &str {
        &self.ids[self.primary(shard)]
    }

    pub fn of_primary(&self, shard: usize) -> Client {
        self.client(self.primary(shard))
    }

    /// The shard that owns a slot.
    #[track_caller]
    pub fn owner(&self, slot: i64) -> usize {
        let picture = self.client(0).text("CLUSTER NODES");
        let owns = |range: &str| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let number = |text: &str| text.parse::<i64>().ok();
            number(first).zip(number(last)).is_some_and(|(first, last)| (first..=last).contains(&slot))
        };
        let line = picture.lines().find(|line| line.split(' ').skip(8).any(owns));
        let line = line.unwrap_or_else(|| panic!("nobody owns {slot}:\n{picture}"));
        self.ids.iter().position(|id| line.starts_with(id.as_str())).expect("a known node") % SHARDS
    }

    /// The shard that owns the slot of a tag.
    pub fn owner_of(&self, tag: &str) -> usize {
        self.owner(self.client(0).int(format!("CLUSTER KEYSLOT {tag}")))
    }

    fn picture(&self, node: usize) -> Option<Picture> {
        let text = Client::connect(self.port(node)).ok()?.try_call("CLUSTER NODES").ok()?;
        let Reply::Bulk(bytes) = text else { return None };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let line = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            let flags: Vec<&str> =
                words[2].split(',').filter(|flag| !["myself", "nofailover"].contains(flag)).collect();
            let slots = words[8..].iter().filter(|slots| !slots.starts_with('['));
            let slots = slots.copied().collect::<Vec<_>>().join(" ");
            format!("{} {} {} {} {slots}", words[0], flags.join(","), words[3], words[6])
        };
        Some(text.lines().map(line).collect())
    }

    /// Whether all nodes have the same picture, in which each shard has a primary and a replica.
    fn agree(&self) -> bool {
        let pictures: Vec<Option<Picture>> = (0..self.count()).map(|node| self.picture(node)).collect();
        let Some(first) = &pictures[0] else { return false };
        let is_sound = |line: &String| line.contains(" master ") || line.contains(" slave ");
        let masters = first.iter().filter(|line| line.contains(" master ")).count();
        first.len() == self.count()
            && first.iter().all(is_sound)
            && masters == SHARDS
            && pictures.iter().all(|picture| picture.as_ref() == Some(first))
    }

    /// Waits until all nodes agree on who owns what, and replicas are linked with their primaries.
    #[track_caller]
    pub fn wait_for_agreement(&mut self) {
        let agreed = wait_for(PATIENCE, "all nodes agree", || Ok(self.agree().then_some(())));
        if let Err(error) = agreed {
            let pictures: Vec<Option<Picture>> = (0..self.count()).map(|node| self.picture(node)).collect();
            panic!("{error}: {pictures:#?}");
        }
        for shard in 0..SHARDS {
            let is_primary = |node: &usize| self.client(*node).info("replication", "role") == "master";
            self.primaries[shard] = [shard, shard + SHARDS].into_iter().find(is_primary).expect("a primary");
            self.servers[self.replica(shard)].wait_for_link();
            let mut clients = [self.primary(shard), self.replica(shard)].map(|node| self.client(node));
            wait_until(PATIENCE, "the shard is up", || {
                clients.iter_mut().all(|client| client.text("CLUSTER INFO").contains("cluster_state:ok"))
            });
        }
    }

    /// Waits until the replica has all that its primary has done by now.
    #[track_caller]
    pub fn wait_for_replica(&self, shard: usize) {
        let offset =
            |client: &mut Client, name: &str| -> u64 { client.info("replication", name).parse().expect("an offset") };
        let wanted = offset(&mut self.of_primary(shard), "master_repl_offset");
        let mut replica = self.client(self.replica(shard));
        wait_until(PATIENCE, "the replica has it", || {
            replica.info("replication", "role") == "master" || offset(&mut replica, "slave_repl_offset") >= wanted
        });
    }

    /// The name under which a fault is counted: where nothing may be lost, those that lose something are replaced.
    pub fn tamed(&self, fault: Fault) -> Fault {
        match fault {
            Fault::Force if !self.rough => Fault::Failover,
            Fault::Kill if !self.rough => Fault::Bounce { clean: false },
            fault => fault,
        }
    }

    /// A fault happens to a shard; when this returns, all nodes agree again.
    pub fn suffer(&mut self, shard: usize, fault: Fault) {
        match fault {
            Fault::Failover => self.fail_over(shard, ""),
            Fault::Force => self.fail_over(shard, " FORCE"),
            Fault::Kill => self.kill(shard),
            Fault::Bounce { clean } => self.bounce(shard, clean),
            Fault::KillReplica => {
                let replica = self.replica(shard);
                self.servers[replica].kill9();
                self.servers[replica].start_again();
            }
            Fault::Save { log } => drop(self.of_primary(shard).call(if log { "BGREWRITEAOF" } else { "BGSAVE" })),
            Fault::Pause { ms } => {
                let mut client = self.of_primary(shard);
                client.ok(format!("CLIENT PAUSE {ms} WRITE"));
                let until_ms = server_now_ms(&mut client) + i64::from(ms);
                wait_until(DEADLINE, "writes go on", || server_now_ms(&mut client) > until_ms);
            }
        }
        self.wait_for_agreement();
    }

    fn fail_over(&mut self, shard: usize, how: &str) {
        let mut replica = self.client(self.replica(shard));
        let mut asked: Option<Instant> = None;
        wait_until(PATIENCE, "the replica took over", || {
            if asked.is_none_or(|asked| asked.elapsed() > FAILOVER_TRY) {
                replica.call(format!("CLUSTER FAILOVER{how}"));
                asked = Some(Instant::now());
            }
            replica.info("replication", "role") == "master"
        });
    }

    fn kill(&mut self, shard: usize) {
        let primary = self.primary(shard);
        self.servers[primary].kill9();
        let mut replica = self.client(self.replica(shard));
        wait_until(PATIENCE, "the replica took over", || replica.info("replication", "role") == "master");
        self.servers[primary].start_again();
    }

    fn bounce(&mut self, shard: usize, clean: bool) {
        let (primary, kept) = (self.primary(shard), self.kept);
        self.keep_primary(shard);
        if clean {
            self.servers[primary].shutdown();
        } else {
            self.servers[primary].kill9();
        }
        self.servers[primary].start_again();
        self.wait_for_agreement();
        let replica = self.kept.take();
        self.kept = kept;
        if self.kept != replica {
            self.set_failover(replica);
        }
    }

    /// Keeps the replica from taking over by itself.
    pub fn keep_primary(&mut self, shard: usize) {
        let replica = self.replica(shard);
        self.client(replica).ok("CONFIG SET cluster-replica-no-failover yes");
        self.kept = Some(replica);
    }

    /// Takes that back.
    pub fn free_primary(&mut self) {
        let replica = self.kept.take();
        self.set_failover(replica);
    }

    fn set_failover(&self, replica: Option<usize>) {
        if let Some(replica) = replica.filter(|_| self.rough) {
            self.client(replica).ok("CONFIG SET cluster-replica-no-failover no");
        }
    }

    /// The keys that each primary has.
    pub fn keys(&self) -> BTreeMap<usize, Vec<String>> {
        (0..SHARDS).map(|shard| (shard, self.of_primary(shard).get("KEYS *").texts())).collect()
    }
}
