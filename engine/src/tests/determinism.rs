//! The same stamped calls lead to the same state, wherever and whenever they are made again.

use proptest::prelude::*;

use super::command::{Command, Reply};
use super::generate::{Step, cases, opening, steps};
use super::published::{Published, published};
use super::shop::{START, loaded, saved};
use crate::store::Store;
use crate::terms::effects::Effects;
use crate::terms::settings::Field;

/// A call that changed the store: what a primary sends to its replicas and its log, and what came of it.
struct Entry {
    stamp: u64,
    /// Whether the store's time is where it was before: then the call may be made again without a stamp.
    same_time: bool,
    command: Command,
    reply: Reply,
    published: Vec<Published>,
    digest: u128,
}

/// A primary: makes every call, logs those that change something.
struct Primary {
    store: Box<Store>,
    now: u64,
    calls: Vec<Command>,
    log: Vec<Entry>,
    /// An image for each time the store was saved, and how long the log was then.
    images: Vec<(usize, Vec<Vec<u8>>)>,
}

impl Primary {
    fn new() -> Primary {
        let store = Box::new(Store::new(11));
        let mut primary = Primary { store, now: START, calls: Vec::new(), log: Vec::new(), images: Vec::new() };
        opening().into_iter().for_each(|command| primary.call(command));
        primary
    }

    fn call(&mut self, command: Command) {
        let (mut fx, before) = (Effects::default(), self.store.last_change());
        let reply = command.apply(&mut self.store, self.now, &mut fx);
        if fx.changed {
            let same_time = self.store.last_change() == before;
            let reply = reply.expect("a refused call changes nothing");
            let (published, digest) = (published(&self.store, &fx), self.store.digest());
            self.log.push(Entry { stamp: self.now, same_time, command: command.clone(), reply, published, digest });
        }
        self.calls.push(command);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Call(ms, command) => {
                self.now = self.now.saturating_add_signed(*ms);
                self.call(command.clone().aimed(&self.store));
            }
            Step::Again(ms, back) => {
                self.now = self.now.saturating_add_signed(*ms);
                self.call(self.calls[self.calls.len().saturating_sub(*back)].clone());
            }
            // The primary itself goes on with the slots it has; those that follow it start from the image.
            Step::Reload => self.images.push((self.log.len(), saved(&self.store))),
        }
    }
}

/// Makes the calls of a log again and compares everything with what came of them first. Where it makes no difference, a
/// call may come `unstamped`: as at time 0, which is before whatever the store has seen.
fn replay(store: &mut Store, log: &[Entry], unstamped: bool) {
    for entry in log {
        let mut fx = Effects::default();
        let stamp = if unstamped && entry.same_time { 0 } else { entry.stamp };
        let reply = entry.command.apply(store, stamp, &mut fx);
        assert_eq!(reply.as_ref(), Ok(&entry.reply), "{:?}", entry.command);
        assert!(fx.changed, "{:?} changed something the first time", entry.command);
        assert_eq!(published(store, &fx), entry.published, "{:?}", entry.command);
        assert_eq!(store.digest(), entry.digest, "{:?}", entry.command);
    }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn a_replayed_log_leads_to_the_same_store(steps in steps(200)) {
        let mut primary = Primary::new();
        steps.iter().for_each(|step| primary.step(step));
        let mut replica = Store::new(22);
        replay(&mut replica, &primary.log, false);
        replay(&mut Store::new(33), &primary.log, true);
        for (i, (from, image)) in primary.images.iter().enumerate() {
            let mut late = loaded(image, i as u64).expect("a saved store loads");
            replay(&mut late, &primary.log[*from..], i % 2 == 0);
            // The image of a store that was loaded says the same, whatever its slots are.
            prop_assert_eq!(loaded(&saved(&late), 5).unwrap().digest(), late.digest());
        }
    }
}

#[test]
fn the_seed_of_the_hash_tables_shows_nowhere() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let tree = steps(400).new_tree(&mut runner).unwrap();
    let list = proptest::strategy::ValueTree::current(&tree);
    let images = [1u64, 2, u64::MAX].map(|seed| {
        let (mut store, mut now) = (Store::new(seed), START);
        let opening = opening().into_iter().map(|command| Step::Call(0, command));
        for step in &opening.chain(list.iter().cloned()).collect::<Vec<_>>() {
            if let Step::Call(ms, command) = step {
                now = now.saturating_add_signed(*ms);
                let _ = command.clone().aimed(&store).apply(&mut store, now, &mut Effects::default());
            }
        }
        saved(&store)
    });
    assert_eq!(images[0], images[1]);
    assert_eq!(images[0], images[2]);
}

#[test]
fn a_digest_tells_apart_whatever_differs() {
    use super::build::*;
    let scripts: Vec<Vec<Command>> = vec![
        vec![],
        vec![set("tea", 9)],
        vec![set("tea", 8)],
        vec![set("tea", 9).low(1)],
        vec![set("tea", 9).safety(1)],
        vec![set("tea", 9).limit(1)],
        vec![set("tea", 9), set("milk", 9)],
        vec![set("tea", 9), reserve("h", &[("tea", 1)])],
        vec![set("tea", 9), reserve("h", &[("tea", 1)]).by("ann")],
        vec![set("tea", 9), reserve("h", &[("tea", 1)]).ttl(600_000)],
        vec![set("tea", 9), reserve("h", &[("tea", 1)]).by("ann"), commit("h")],
        vec![set("tea", 9), reserve("h", &[("tea", 1)]).by("ann"), release("h")],
        vec![set("tea", 9), reserve("h", &[("tea", 1)]), extend("h", 600_001)],
        vec![set("tea", 9), reserve("h", &[("tea", 1)]).by("ann"), place_hold("o", "ann", "h")],
        vec![set("tea", 9), place("o", "ann", &[("tea", 1)])],
        vec![set("tea", 9), place("o", "ann", &[("tea", 1)]).note("x")],
        vec![set("tea", 9), place("o", "ann", &[("tea", 1)]).group("x")],
        vec![set("tea", 9), place("o", "ann", &[("tea", 1)]), complete("o")],
        vec![set("tea", 9), place("o", "ann", &[("tea", 1)]), complete("o").note("x")],
        vec![set("tea", 9), place("o", "ann", &[("tea", 1)]), complete("o"), give_back("o", &[("tea", 1)])],
        vec![set("tea", 9), place("o", "ann", &[("tea", 1)]), cancel("o")],
        vec![set("tea", 8), adjust("tea", 1)],
        vec![set("tea", 8), adjust("tea", 1).reference("r")],
        vec![set("tea", 8), adjust("tea", 1).reference("r2")],
        vec![set("tea", 8), adjust("tea", 1).reference("r").note("x")],
        vec![sync("erp", 1, &[("tea", 9)])],
        vec![sync("erp", 2, &[("tea", 9)])],
        vec![sync("wms", 1, &[("tea", 9)])],
        vec![set("tea", 9), configure(&[(Field::Limit, 1)])],
        vec![set("tea", 9).backlog(5)],
        vec![set("tea", 9).backlog(6)],
        vec![set("tea", 1), place("o", "ann", &[("tea", 2)]).wait(0)],
        vec![set("tea", 1), place("o", "ann", &[("tea", 2)]).wait(5)],
        vec![set("tea", 1), place("o", "ann", &[("tea", 3)]).wait(0)],
        vec![set("tea", 0), place("o", "ann", &[("tea", 2)]).wait(0)],
        vec![set("tea", 0), place("o", "ann", &[("tea", 2)]).wait(0), adjust("tea", 2)],
        vec![set("tea", 0), place("o", "ann", &[("tea", 2)]).wait(0), cancel("o")],
        vec![set("tea", 1), place("o", "ann", &[("tea", 2)]).wait(0), cancel("o")],
    ];
    let placed = || vec![set("tea", 9), place("o", "ann", &[("tea", 1)])];
    let worked = |work: &[Command]| [placed(), vec![claim("w", 1)], work.to_vec()].concat();
    let scripts = scripts.into_iter().chain([
        worked(&[]),
        [placed(), vec![claim("v", 1)]].concat(),
        [placed(), vec![claim("w", 1).lease(29_999)]].concat(),
        // The same lease, asked for: a RENEW that names none goes by that.
        [placed(), vec![claim("w", 1).lease(30_000)]].concat(),
        worked(&[yield_all("w")]),
        worked(&[yield_all("w"), claim("w", 1)]),
        worked(&[renew("o", 0).lease(30_001)]),
        worked(&[advance("o", "picked")]),
        worked(&[advance("o", "packed")]),
        worked(&[advance("o", "picked").token(0)]),
        worked(&[advance("o", "picked"), advance("o", "packed"), advance("o", "picked")]),
        worked(&[fail("o").after(5)]),
        worked(&[fail("o").after(6)]),
        worked(&[fail("o").after(5).note("x")]),
        worked(&[fail("o").after(5).token(0)]),
        worked(&[fail("o").after(0), sweep(1)]),
        worked(&[fail("o").after(0), sweep(1), claim("w", 1)]),
        worked(&[fail("o").after(5), fail("o").after(5).note("x")]),
        worked(&[fail("o")]),
        worked(&[fail("o").fatal()]),
        worked(&[fail("o").fatal().note("x")]),
        worked(&[fail("o").fatal().token(0)]),
        worked(&[fail("o").fatal(), redrive("o")]),
        worked(&[fail("o").fatal(), redrive("o"), claim("w", 1), fail("o").fatal(), redrive("o")]),
        worked(&[fail("o").fatal(), cancel("o")]),
        worked(&[cancel("o")]),
        worked(&[complete("o")]),
        worked(&[complete("o").token(0)]),
        [worked(&[]), vec![place("p", "ann", &[("tea", 1)]), complete("o"), claim("w", 1)]].concat(),
        [worked(&[]), vec![place("p", "ann", &[("tea", 1)]), complete_and_claim("o", "w")]].concat(),
    ]);
    let mut seen = std::collections::BTreeMap::new();
    for script in scripts {
        let mut shop = super::shop::Shop::new();
        for command in &script {
            let command = command.clone().aimed(&shop.store);
            shop.changes(command);
        }
        // What ends in the same books by another way is the same only if every record is.
        if let Some(other) = seen.insert(shop.store.digest(), script.clone()) {
            let books = |script: &[Command]| script == [set("tea", 8), adjust("tea", 1)] || script == [set("tea", 9)];
            assert!(books(&script) && books(&other), "{script:?} and {other:?} have one digest");
        }
    }
}
