//! Slots that move from one shard to another: key by key, as `redis-cli --cluster reshard` does, and at once, by the
//! server's own migration.

use super::dice::Dice;
use super::events::Fault;
use super::nodes::{Nodes, SHARDS, Way};
use crate::common::{Client, DEADLINE, Reply, cmd, wait_until};
use holdfast_lab::wait::wait_for;

/// Keys of a slot that are asked for at once: more than a slot has.
const MOST_KEYS: usize = 1_000;

/// A slot that is open: its keys are on two shards.
pub struct Open<'a> {
    nodes: &'a mut Nodes,
    slot: i64,
    from: usize,
    to: usize,
    dice: Dice,
    batch: usize,
    /// Keys that were moved.
    pub moved: usize,
}

impl<'a> Open<'a> {
    /// Starts to move a slot to another shard.
    pub fn begin(nodes: &'a mut Nodes, slot: i64, further: usize, batch: usize, dice: Dice) -> Open<'a> {
        let from = nodes.owner(slot);
        let to = (from + further) % SHARDS;
        let open = Open { nodes, slot, from, to, dice, batch, moved: 0 };
        open.open_both();
        open
    }

    fn open_both(&self) {
        let (from, to) = (self.nodes.id(self.from), self.nodes.id(self.to));
        begin(self.nodes, self.to, &format!("CLUSTER SETSLOT {} IMPORTING {from}", self.slot));
        begin(self.nodes, self.from, &format!("CLUSTER SETSLOT {} MIGRATING {to}", self.slot));
    }

    /// Moves keys until as many are moved, or all.
    pub fn move_keys(&mut self, most: usize) {
        self.transfer(self.from, self.to, most);
    }

    fn transfer(&mut self, from: usize, to: usize, most: usize) {
        let port = self.nodes.port(self.nodes.primary(to));
        let mut client = self.nodes.of_primary(from);
        let mut moved = 0;
        while moved < most {
            let mut keys = client.get(format!("CLUSTER GETKEYSINSLOT {} {MOST_KEYS}", self.slot)).texts();
            self.dice.shuffle(&mut keys);
            keys.truncate(self.batch.min(most - moved));
            if keys.is_empty() {
                return;
            }
            migrate(&mut client, port, &keys);
            moved += keys.len();
            self.moved += keys.len();
            // What a primary alone has would be lost with it.
            self.nodes.wait_for_replica(from);
            self.nodes.wait_for_replica(to);
        }
    }

    /// What a fault is where nothing may be lost.
    pub fn tamed(&self, fault: Fault) -> Fault {
        self.nodes.tamed(fault)
    }

    /// A server fails now. Where replicas do not know that a slot is open, the one that took over has to be told, and
    /// the old owner must not be replaced: its replica would take the keys that have moved for missing.
    pub fn interrupt(&mut self, further: usize, fault: Fault) -> Fault {
        let shard = (self.from + further) % SHARDS;
        let replaces = matches!(fault, Fault::Failover | Fault::Force | Fault::Kill);
        let alone = !self.nodes.tells_replicas;
        let fault = if replaces && shard == self.from && alone { Fault::Bounce { clean: false } } else { fault };
        self.nodes.suffer(shard, fault);
        if replaces && (shard == self.to || !alone) {
            self.open_both();
        }
        fault
    }

    /// Moves the rest, and assigns the slot to its new owner.
    pub fn finish(mut self, source_first: bool, pause: impl FnOnce()) -> usize {
        self.transfer(self.from, self.to, usize::MAX);
        let id = self.nodes.id(self.to).to_string();
        let mut pause = Some(pause);
        for shard in if source_first { [self.from, self.to] } else { [self.to, self.from] } {
            self.assign(shard, &id);
            pause.take().into_iter().for_each(|pause| pause());
        }
        self.nodes.wait_for_agreement();
        assert_eq!(self.nodes.owner(self.slot), self.to, "the new owner of {}", self.slot);
        self.moved
    }

    /// The old owner may have keys anew: those that a client made just before the last one moved.
    fn assign(&mut self, shard: usize, id: &str) {
        let command = format!("CLUSTER SETSLOT {} NODE {id}", self.slot);
        wait_until(DEADLINE, "the slot is assigned", || {
            let reply = self.nodes.of_primary(shard).call(&command);
            if reply.is_error() {
                self.transfer(self.from, self.to, usize::MAX);
            }
            !reply.is_error()
        });
    }

    /// Gives the move up, while no client calls, if it can be: where some keys have moved, the way is to go on.
    pub fn give_up(&self) -> bool {
        let keys = format!("CLUSTER GETKEYSINSLOT {} 1", self.slot);
        if !self.nodes.of_primary(self.to).get(keys).array().is_empty() {
            return false;
        }
        for shard in [self.from, self.to] {
            self.nodes.of_primary(shard).ok(format!("CLUSTER SETSLOT {} STABLE", self.slot));
        }
        true
    }
}

/// Moves these keys. A key that is on the other node already is a second copy.
fn migrate(client: &mut Client, port: u16, keys: &[String]) {
    let timeout_ms = DEADLINE.as_millis() as u64;
    let command = match keys {
        [key] => cmd!["MIGRATE", "127.0.0.1", port, key, 0, timeout_ms],
        keys => {
            let mut command = cmd!["MIGRATE", "127.0.0.1", port, "", 0, timeout_ms, "KEYS"];
            command.extend(keys.iter().map(|key| key.as_bytes().to_vec()));
            command
        }
    };
    let mut reply = Reply::Nil;
    wait_until(DEADLINE, &format!("{keys:?} are moved"), || {
        reply = client.call(&command);
        // The other node is still loading, say; nothing was moved.
        !reply.is_error() || !reply.error().contains("IOERR")
    });
    assert!(!reply.is_error(), "{keys:?}: {reply:?}");
}

/// Starts a move at a shard's primary. Redis remembers, at the other end, a migration that ended with a failover.
fn begin(nodes: &Nodes, shard: usize, command: &str) {
    let mut reply = Reply::Nil;
    let accepted = wait_for(DEADLINE, "the move begins", || {
        reply = nodes.of_primary(shard).call(command);
        let is_left = reply.is_error() && nodes.way == Some(Way::Redis);
        if is_left {
            (0..SHARDS).for_each(|shard| drop(nodes.of_primary(shard).call("CLUSTER MIGRATION CANCEL ALL")));
        }
        Ok((!reply.is_error()).then_some(()))
    });
    assert!(accepted.is_ok(), "{command}: {reply:?}");
}

/// Slots that move at once.
pub struct Atomic<'a> {
    nodes: &'a mut Nodes,
    way: Way,
    slots: Vec<i64>,
    from: usize,
    to: usize,
}

impl<'a> Atomic<'a> {
    /// Starts to move these slots, or those of them that the first one's owner has.
    pub fn begin(nodes: &'a mut Nodes, way: Way, slots: &[i64], further: usize, hold: bool) -> Atomic<'a> {
        let from = nodes.owner(slots[0]);
        let to = (from + further) % SHARDS;
        let mut slots: Vec<i64> = slots.iter().copied().filter(|slot| nodes.owner(*slot) == from).collect();
        slots.sort_unstable();
        slots.dedup();
        let atomic = Atomic { nodes, way, slots, from, to };
        if hold {
            atomic.hold_open(true);
        }
        let ranges: String = atomic.slots.iter().map(|slot| format!(" {slot} {slot}")).collect();
        match way {
            Way::Valkey => {
                let id = atomic.nodes.id(to);
                begin(atomic.nodes, from, &format!("CLUSTER MIGRATESLOTS SLOTSRANGE{ranges} NODE {id}"));
            }
            Way::Redis => begin(atomic.nodes, to, &format!("CLUSTER MIGRATION IMPORT{ranges}")),
        }
        atomic
    }

    /// While it is held open, a migration continues up to the handover.
    fn hold_open(&self, open: bool) {
        for node in 0..self.nodes.count() {
            let mut client = self.nodes.client(node);
            match (self.way, open) {
                (Way::Valkey, _) => client.ok(format!("DEBUG SLOTMIGRATION PREVENT-PAUSE {}", u8::from(open))),
                (Way::Redis, true) => client.ok("DEBUG ASM-FAILPOINT migrate-main-channel handoff-prep"),
                (Way::Redis, false) => client.ok(cmd!["DEBUG", "ASM-FAILPOINT", "", ""]),
            }
        }
    }

    /// What a fault is where nothing may be lost.
    pub fn tamed(&self, fault: Fault) -> Fault {
        self.nodes.tamed(fault)
    }

    pub fn interrupt(&mut self, further: usize, fault: Fault) {
        self.nodes.suffer(self.from + further, fault);
    }

    pub fn cancel(&mut self) {
        for shard in 0..SHARDS {
            let mut client = self.nodes.of_primary(shard);
            // It may be over already.
            client.call(match self.way {
                Way::Valkey => "CLUSTER CANCELSLOTMIGRATIONS",
                Way::Redis => "CLUSTER MIGRATION CANCEL ALL",
            });
        }
    }

    /// Waits until it is over, in whatever way; how many slots moved.
    pub fn end(self) -> usize {
        self.hold_open(false);
        wait_until(DEADLINE * 3, "no migration is under way", || {
            (0..self.nodes.count()).all(|node| !is_migrating(&mut self.nodes.client(node), self.way))
        });
        self.nodes.wait_for_agreement();
        self.nodes.wait_for_replica(self.from);
        self.nodes.wait_for_replica(self.to);
        self.slots.iter().filter(|slot| self.nodes.owner(**slot) == self.to).count()
    }
}

fn is_migrating(client: &mut Client, way: Way) -> bool {
    let (command, over) = match way {
        Way::Valkey => ("CLUSTER GETSLOTMIGRATIONS", ["success", "cancelled", "failed"]),
        Way::Redis => ("CLUSTER MIGRATION STATUS ALL", ["completed", "canceled", "failed"]),
    };
    let jobs = client.call(command);
    let is_over = |job: &Reply| over.contains(&job.field("state").text().as_str());
    !jobs.is_error() && !jobs.array().iter().all(is_over)
}
