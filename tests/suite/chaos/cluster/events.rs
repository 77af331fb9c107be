//! What happens to a cluster: slots that move, in every way there is, and servers that fail meanwhile.

use super::load::TAGS;
use proptest::prelude::*;

/// Something that happens to servers.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The replica takes over, with its primary's help: nothing is lost.
    Failover,
    /// The replica takes over without asking its primary. What no WAIT confirmed may be lost.
    Force,
    /// The primary is killed, its replica takes over, and it comes back as a replica. As with `Force`.
    Kill,
    /// The primary is killed or shut down, and started again before its replica takes over.
    Bounce { clean: bool },
    /// The replica is killed and started again.
    KillReplica,
    /// The primary writes a snapshot, or its log anew.
    Save { log: bool },
    /// Writes wait, and deadlines pass meanwhile.
    Pause { ms: u16 },
}

/// Who a fault is about, while a slot moves: a shard, counted from the one that the slot leaves.
#[derive(Clone, Copy, Debug)]
pub struct Interrupt {
    pub shard: usize,
    pub fault: Fault,
}

/// A move of one slot, key by key.
#[derive(Clone, Debug)]
pub struct ByKey {
    /// Whose slot, and how many shards further it moves.
    pub tag: usize,
    pub further: usize,
    /// Keys that one MIGRATE moves, and what decides their order.
    pub batch: usize,
    pub shuffle: u64,
    /// Keys after which the move is interrupted.
    pub halfway: usize,
    pub interrupt: Option<Interrupt>,
    /// Whether it is given up before the first key has moved, if no client made one on the other side.
    pub give_up: bool,
    /// Whether the old owner gives the slot away before the new one takes it.
    pub source_first: bool,
}

/// A move of some slots at once.
#[derive(Clone, Debug)]
pub struct Atomic {
    pub tags: Vec<usize>,
    pub further: usize,
    /// Whether it is kept from its end for a while.
    pub hold: bool,
    pub interrupt: Option<Interrupt>,
    pub cancel: bool,
}

#[derive(Clone, Debug)]
pub enum Event {
    ByKey(ByKey),
    Atomic(Atomic),
    Fault(Interrupt),
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        3 => Just(Fault::Failover),
        2 => Just(Fault::Force),
        2 => Just(Fault::Kill),
        2 => any::<bool>().prop_map(|clean| Fault::Bounce { clean }),
        1 => Just(Fault::KillReplica),
        1 => any::<bool>().prop_map(|log| Fault::Save { log }),
        2 => (10..300_u16).prop_map(|ms| Fault::Pause { ms }),
    ]
}

fn interrupt() -> impl Strategy<Value = Interrupt> {
    (0..3_usize, fault()).prop_map(|(shard, fault)| Interrupt { shard, fault })
}

fn by_key() -> impl Strategy<Value = ByKey> {
    let place = (0..TAGS, 1..3_usize, 1..4_usize, any::<u64>(), 0..12_usize);
    let manner = (proptest::option::weighted(0.5, interrupt()), proptest::bool::weighted(0.2), any::<bool>());
    (place, manner).prop_map(|((tag, further, batch, shuffle, halfway), (interrupt, give_up, source_first))| ByKey {
        tag,
        further,
        batch,
        shuffle,
        halfway,
        interrupt,
        give_up,
        source_first,
    })
}

fn atomic() -> impl Strategy<Value = Atomic> {
    let manner = (any::<bool>(), proptest::option::weighted(0.4, interrupt()), proptest::bool::weighted(0.25));
    (proptest::collection::vec(0..TAGS, 1..4), 1..3_usize, manner)
        .prop_map(|(tags, further, (hold, interrupt, cancel))| Atomic { tags, further, hold, interrupt, cancel })
}

/// Anything that can happen; mostly a slot moves.
pub fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => by_key().prop_map(Event::ByKey),
        4 => atomic().prop_map(Event::Atomic),
        2 => interrupt().prop_map(Event::Fault),
    ]
}
