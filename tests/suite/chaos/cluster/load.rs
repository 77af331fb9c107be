//! What clients do meanwhile: buyers, workers, and those who take locks, in stores of many slots.

use super::client::{Command, Confirmed, Roamer, shown};
use super::dice::Dice;
use super::shared::{Name, Shared};
use crate::common::{Claimed, DEADLINE, Reply, cmd};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Slots with stores, each of its own tag.
pub const TAGS: usize = 10;

/// Units of `lace` at the start: it is always short.
pub const LACES: i64 = 20;

/// Units of what is not short.
pub const MANY: i64 = 1_000_000;

/// Recent orders and gates that a buyer comes back to.
const RECENT: usize = 20;

pub fn tag(number: usize) -> String {
    format!("shop-{number}")
}

/// Two stores in each slot.
pub fn stores() -> Vec<Name> {
    (0..TAGS).map(tag).flat_map(|tag| [(tag.clone(), tag.clone()), (format!("b:{{{tag}}}"), tag)]).collect()
}

/// Splits a line at spaces, behind a key.
fn line(verb: &str, key: &str, rest: &str) -> Command {
    let mut command = cmd![verb, key];
    command.extend(rest.split_whitespace().map(|word| word.as_bytes().to_vec()));
    command
}

/// A refusal has to be one of these.
#[track_caller]
fn expect(reply: &Reply, of: &Command, codes: &[&str]) {
    if reply.is_error() {
        let code = reply.code();
        assert!(codes.contains(&code.as_str()), "{}: {reply:?}", shown(of));
    }
}

pub struct Buyer<'a> {
    shared: &'a Shared,
    client: Roamer<'a>,
    dice: Dice,
    number: usize,
    named: usize,
    stores: Vec<Name>,
    recent: VecDeque<(Name, String)>,
    gated: VecDeque<(Name, String)>,
}

impl<'a> Buyer<'a> {
    pub fn new(shared: &'a Shared, number: usize, seed: u64) -> Self {
        let dice = Dice::new(seed ^ number as u64);
        let (recent, gated) = (VecDeque::new(), VecDeque::new());
        Buyer { shared, client: Roamer::new(shared), dice, number, named: 0, stores: stores(), recent, gated }
    }

    pub fn run(&mut self) {
        while !self.shared.stop.load(Ordering::SeqCst) {
            self.step();
        }
    }

    fn step(&mut self) {
        let at = self.dice.below(self.stores.len());
        let (store, tag) = self.stores[at].clone();
        match self.dice.below(20) {
            0..6 => self.place(&store, &tag),
            6 | 7 => self.buy_held(&store, &tag),
            8 | 9 => self.hold(&store, &tag),
            10 | 11 => self.cancel(),
            12 | 13 => self.pass(),
            14 => self.give_back(&store, &tag),
            15 => self.restock(&store, &tag),
            16 => self.transaction(&store, &tag),
            17 => self.script(&store, &tag),
            18 => self.change(),
            _ => self.short_sale(&tag),
        }
    }

    fn name(&mut self) -> String {
        self.named += 1;
        format!("o-{}-{}", self.number, self.named)
    }

    fn customer(&self) -> String {
        format!("c-{}", self.number)
    }

    fn options(&mut self) -> (String, bool) {
        let mut options = String::new();
        if self.dice.once_in(3) {
            options += &format!(" GROUP g-{}", self.dice.below(5));
        }
        if self.dice.once_in(3) {
            options += self.dice.pick(&[" LANE express", " LANE counter"]);
        }
        let gated = self.dice.once_in(4);
        if gated {
            options += self.dice.pick(&[" GATE pay 0", " GATE pay 3000", " GATE pay 50"]);
        }
        if self.dice.once_in(3) {
            options += self.dice.pick(&[" WAIT", " WAIT 100", " WAIT 2000"]);
        }
        (options, gated)
    }

    fn items(&mut self) -> &'static str {
        self.dice.pick(&["ITEMS shoe 1", "ITEMS shoe 2 lace 1", "ITEMS lace 1", "ITEMS shoe 3"])
    }

    fn place_words(&mut self, store: &str, order: &str) -> (Command, bool) {
        let (options, gated) = self.options();
        let (customer, items) = (self.customer(), self.items());
        (line("ORDER.PLACE", store, &format!("{order} {customer}{options} {items}")), gated)
    }

    /// Takes down that an order was placed.
    fn placed(&mut self, place: Name, order: &str, done: &Confirmed, gated: bool) {
        if done.reply.is_error() {
            return;
        }
        if done.is_sure {
            let mut ledger = self.shared.ledger();
            ledger.order(&(place.0.clone(), order.to_string())).is_placed = true;
            ledger.count("placed");
        }
        let to = if gated { &mut self.gated } else { &mut self.recent };
        to.push_back((place, order.to_string()));
        if to.len() > RECENT {
            to.pop_front();
        }
    }

    fn place(&mut self, store: &str, tag: &str) {
        let order = self.name();
        let (command, gated) = self.place_words(store, &order);
        let done = self.client.write(tag, command.clone());
        expect(&done.reply, &command, &["OUTOFSTOCK", "BADSTATE"]);
        self.placed((store.to_string(), tag.to_string()), &order, &done, gated);
    }

    /// A hold that becomes an order. Where a server is lost, the hold may be too.
    fn buy_held(&mut self, store: &str, tag: &str) {
        let order = self.name();
        let command = line("INV.RESERVE", store, &format!("h-{order} TTL 3000 ITEMS shoe 1"));
        let held = self.client.write(tag, command.clone());
        expect(&held.reply, &command, &["EXPIRED", "BADSTATE"]);
        let command = line("ORDER.PLACE", store, &format!("{order} {} HOLD h-{order}", self.customer()));
        let done = self.client.write(tag, command.clone());
        let lost: &[&str] = if held.is_sure { &["EXPIRED"] } else { &["EXPIRED", "NOHOLD", "BADSTATE"] };
        expect(&done.reply, &command, lost);
        self.placed((store.to_string(), tag.to_string()), &order, &done, false);
    }

    /// A hold that ends in another way. Tickets are sold by holds alone.
    fn hold(&mut self, store: &str, tag: &str) {
        let hold = format!("t-{}", self.name());
        let ttl_ms = self.dice.pick(&[20, 200, 5000]);
        let command = line("INV.RESERVE", store, &format!("{hold} TTL {ttl_ms} ITEMS ticket 2"));
        let held = self.client.write(tag, command.clone());
        expect(&held.reply, &command, &["EXPIRED", "BADSTATE"]);
        let end = self.dice.pick(&["", "INV.COMMIT", "INV.RELEASE", "INV.EXTEND"]);
        if end.is_empty() {
            return;
        }
        let command = line(end, store, &if end == "INV.EXTEND" { format!("{hold} 100") } else { hold });
        let done = self.client.write(tag, command.clone());
        let lost: &[&str] = if held.is_sure { &["EXPIRED", "BADSTATE"] } else { &["EXPIRED", "BADSTATE", "NOHOLD"] };
        expect(&done.reply, &command, lost);
        self.shared.ledger().count("holds");
    }

    fn is_sure(&self, store: &str, order: &str) -> bool {
        self.shared.ledger().order(&(store.to_string(), order.to_string())).is_placed
    }

    fn cancel(&mut self) {
        let Some(((store, tag), order)) = self.recent.pop_front() else { return };
        let command = line("ORDER.CANCEL", &store, &order);
        let done = self.client.write(&tag, command.clone());
        // A gate or a wait that ended has cancelled it.
        let mut codes = vec!["BADSTATE", "MISMATCH"];
        if !self.is_sure(&store, &order) {
            codes.push("NOORDER");
        }
        expect(&done.reply, &command, &codes);
        if done.is_sure && !done.reply.is_error() {
            self.shared.ledger().cancelled(&(store, order));
        }
    }

    fn pass(&mut self) {
        let Some(((store, tag), order)) = self.gated.pop_front() else { return };
        let command = line("ORDER.PASS", &store, &format!("{order} pay"));
        let done = self.client.write(&tag, command.clone());
        let lost: &[&str] = if self.is_sure(&store, &order) { &["BADSTATE"] } else { &["BADSTATE", "NOORDER"] };
        expect(&done.reply, &command, lost);
        self.recent.push_back(((store, tag), order));
    }

    /// Returns a unit of an order that is completed for sure.
    fn give_back(&mut self, store: &str, tag: &str) {
        let found = {
            let ledger = self.shared.ledger();
            let (from, to) = ((store.to_string(), String::new()), (format!("{store}\0"), String::new()));
            let completed = ledger.orders.range(from..to).filter(|(_, known)| known.completed.is_some());
            completed.map(|((_, order), _)| order.clone()).next_back()
        };
        let Some(order) = found else { return };
        let command = line("ORDER.RETURN", store, &format!("{order} REF r-{order} ITEMS shoe 1"));
        let done = self.client.write(tag, command.clone());
        // An order of laces alone has no shoe.
        expect(&done.reply, &command, &["BADSTATE", "ERR", "NOSKU"]);
        self.shared.ledger().count("returns");
    }

    /// Adds laces, until it is sure.
    fn restock(&mut self, store: &str, tag: &str) {
        let (units, reference) = (1 + self.dice.below(3) as i64, self.name());
        let command = line("INV.ADJUST", store, &format!("lace {units} REF {reference}"));
        loop {
            let done = self.client.write(tag, command.clone());
            expect(&done.reply, &command, &[]);
            if done.is_sure {
                break;
            }
        }
        *self.shared.ledger().added.entry((store.to_string(), "lace".to_string())).or_default() += units;
    }

    fn transaction(&mut self, store: &str, tag: &str) {
        let orders = [self.name(), self.name()];
        let placed = orders.each_ref().map(|order| self.place_words(store, order));
        let commands = [cmd!["MULTI"], placed[0].0.clone(), placed[1].0.clone(), cmd!["EXEC"]];
        let done = self.client.write_all(tag, &commands);
        let replies = done.reply.array().to_vec();
        for ((order, (command, gated)), reply) in orders.iter().zip(&placed).zip(replies) {
            expect(&reply, command, &["OUTOFSTOCK", "BADSTATE"]);
            let one = Confirmed { reply, is_sure: done.is_sure };
            self.placed((store.to_string(), tag.to_string()), order, &one, *gated);
        }
        self.shared.ledger().count("transactions");
    }

    fn script(&mut self, store: &str, tag: &str) {
        const TWO: &str = "redis.call('ORDER.PLACE', KEYS[1], ARGV[1], ARGV[3], 'ITEMS', 'shoe', 1) \
             return redis.call('ORDER.PLACE', KEYS[1], ARGV[2], ARGV[3], 'ITEMS', 'shoe', 2)";
        let orders = [self.name(), self.name()];
        let command = cmd!["EVAL", TWO, "1", store, &orders[0], &orders[1], self.customer()];
        let done = self.client.write(tag, command.clone());
        expect(&done.reply, &command, &["BADSTATE"]);
        for order in orders {
            self.placed((store.to_string(), tag.to_string()), &order, &done, false);
        }
        self.shared.ledger().count("scripts");
    }

    /// Changes an order, or splits it.
    fn change(&mut self) {
        let Some(((store, tag), order)) = self.recent.back().cloned() else { return };
        let new = self.name();
        let command = match self.dice.below(2) {
            0 => line("ORDER.EDIT", &store, &format!("{order} ITEMS shoe {}", 1 + self.dice.below(3))),
            _ => line("ORDER.SPLIT", &store, &format!("{order} {new} ITEMS shoe 1")),
        };
        let done = self.client.write(&tag, command.clone());
        // A worker may have it; a split can want all that it has, or what it has not.
        let mut codes = vec!["BADSTATE", "FENCED", "OUTOFSTOCK", "ERR", "NOSKU"];
        if !self.is_sure(&store, &order) {
            codes.push("NOORDER");
        }
        expect(&done.reply, &command, &codes);
    }

    /// A store that is made, sells something and is dropped.
    fn short_sale(&mut self, tag: &str) {
        let store = format!("{{{tag}}}tmp-{}-{}", self.number, self.named);
        let order = self.name();
        let is_gone: &[&str] = if self.shared.rough { &["NOSTORE", "NOSKU", "NOORDER"] } else { &[] };
        for (verb, rest) in [
            ("STORE.SET", "journal 10 metrics 10".to_string()),
            ("INV.SET", "shoe 10".to_string()),
            ("ORDER.PLACE", format!("{order} c-1 ITEMS shoe 1")),
            ("ORDER.COMPLETE", order.clone()),
        ] {
            let command = line(verb, &store, &rest);
            let done = self.client.write(tag, command.clone());
            expect(&done.reply, &command, is_gone);
        }
        loop {
            let done = self.client.write(tag, cmd!["STORE.DROP", &store]);
            if done.is_sure {
                break;
            }
        }
        self.shared.ledger().count("short-sales");
    }
}

pub struct Worker<'a> {
    shared: &'a Shared,
    client: Roamer<'a>,
    dice: Dice,
    number: usize,
    stores: Vec<Name>,
    lock: Option<(String, String, i64)>,
}

impl<'a> Worker<'a> {
    pub fn new(shared: &'a Shared, number: usize, seed: u64) -> Self {
        let dice = Dice::new(seed ^ (1000 + number as u64));
        Worker { shared, client: Roamer::new(shared), dice, number, stores: stores(), lock: None }
    }

    pub fn run(&mut self) {
        while !self.shared.over.load(Ordering::SeqCst) {
            if self.dice.once_in(8) {
                self.lock();
            }
            let at = self.dice.below(self.stores.len());
            let (store, tag) = self.stores[at].clone();
            let claimed = self.claim(&store, &tag);
            // Sometimes it stops with the orders in its hands.
            if self.dice.once_in(12) {
                continue;
            }
            claimed.into_iter().for_each(|claimed| self.work_on(&store, &tag, &claimed));
        }
    }

    fn claim(&mut self, store: &str, tag: &str) -> Vec<Claimed> {
        let lanes = self.dice.pick(&["", "", "", " LANES 1 express", " LANES 2 counter express"]);
        let block = self.dice.pick(&["", "", " BLOCK 100", " BLOCK 1000", " BLOCK 0"]);
        let (count, lease_ms) = (1 + self.dice.below(4), self.dice.pick(&[50, 400, 2000]));
        let worker = format!("w-{}", self.number);
        let command = line("ORDER.CLAIM", store, &format!("{worker} COUNT {count} LEASE {lease_ms}{lanes}{block}"));
        let reply = if block.is_empty() {
            self.client.call(tag, command.clone())
        } else {
            let Some(reply) = self.client.wait(tag, command.clone(), stays(self.shared)) else {
                return Vec::new();
            };
            self.shared.ledger().count("blocked-claims");
            reply
        };
        expect(&reply, &command, &[]);
        self.learn(store, reply.array())
    }

    /// Takes down tokens.
    fn learn(&self, store: &str, orders: &[Reply]) -> Vec<Claimed> {
        let claimed: Vec<Claimed> = orders.iter().map(Claimed::of).collect();
        let mut ledger = self.shared.ledger();
        for Claimed { order, token, .. } in &claimed {
            ledger.token(store, *token, order);
            ledger.order(&(store.to_string(), order.clone())).tokens.push(*token);
            ledger.count("claimed");
        }
        claimed
    }

    fn work_on(&mut self, store: &str, tag: &str, claimed: &Claimed) {
        let Claimed { order, token, .. } = claimed;
        match self.dice.below(12) {
            0 => self.fail(store, tag, claimed),
            1 => {
                let worker = format!("w-{}", self.number);
                let command = cmd!["ORDER.YIELD", store, worker];
                expect(&self.client.call(tag, command.clone()), &command, &[]);
            }
            2 => {
                let command = line("ORDER.RENEW", store, &format!("{order} TOKEN {token} LEASE 500"));
                expect(&self.client.call(tag, command.clone()), &command, self.late(store, order));
                self.complete(store, tag, claimed);
            }
            _ => self.complete(store, tag, claimed),
        }
    }

    /// How a worker is refused that comes late. A claim, and with it an order, may be lost with a server.
    fn late(&self, store: &str, order: &str) -> &'static [&'static str] {
        match self.shared.ledger().order(&(store.to_string(), order.to_string())).is_placed {
            true => &["FENCED", "BADSTATE"],
            false => &["FENCED", "BADSTATE", "NOORDER"],
        }
    }

    fn fail(&mut self, store: &str, tag: &str, Claimed { order, token, .. }: &Claimed) {
        let how = self.dice.pick(&["AFTER 20", "", "FATAL"]);
        let command = line("ORDER.FAIL", store, &format!("{order} TOKEN {token} REASON boom {how}"));
        let done = self.client.write(tag, command.clone());
        expect(&done.reply, &command, self.late(store, order));
        self.shared.ledger().count("failed");
    }

    fn complete(&mut self, store: &str, tag: &str, Claimed { order, token, .. }: &Claimed) {
        let next = if self.dice.once_in(4) { format!(" CLAIM w-{}", self.number) } else { String::new() };
        let command = line("ORDER.COMPLETE", store, &format!("{order} TOKEN {token}{next}"));
        let done = self.client.write(tag, command.clone());
        expect(&done.reply, &command, self.late(store, order));
        if done.reply.is_error() {
            return;
        }
        let entry = match &done.reply {
            Reply::Array(parts) => {
                if parts[1] != Reply::Nil {
                    self.learn(store, &parts[1..2]);
                }
                parts[0].text()
            }
            entry => entry.text(),
        };
        if done.is_sure {
            self.shared.ledger().completed(&(store.to_string(), order.clone()), &entry, Some(*token));
        }
    }

    /// Takes a lock, or gives back the one that it has.
    fn lock(&mut self) {
        if let Some((key, tag, token)) = self.lock.take() {
            return drop(self.client.write(&tag, cmd!["LOCK.RELEASE", key, token]));
        }
        let tag = tag(self.dice.below(TAGS));
        let (key, owner) = (format!("{{{tag}}}doc"), format!("owner-{}", self.number));
        let ttl_ms = self.dice.pick(&[50, 300]);
        let wait = self.dice.pick(&["", " WAIT 200", " WAIT 0"]);
        let command = line("LOCK.ACQUIRE", &key, &format!("{owner} {ttl_ms}{wait}"));
        let reply = match wait.is_empty() {
            true => Some(self.client.call(&tag, command.clone())),
            false => self.client.wait(&tag, command.clone(), stays(self.shared)),
        };
        if let Some(reply) = reply.filter(|reply| *reply != Reply::Nil) {
            expect(&reply, &command, &[]);
            let mut ledger = self.shared.ledger();
            ledger.token(&key, reply.int(), &owner);
            ledger.count("locks");
            self.lock = Some((key, tag, reply.int()));
        }
    }
}

/// A caller who waits stays until the end, when everybody is answered.
fn stays<'a>(shared: &'a Shared) -> impl Fn() -> bool + use<'a> {
    let over: std::cell::Cell<Option<Instant>> = std::cell::Cell::new(None);
    move || {
        if shared.over.load(Ordering::SeqCst) && over.get().is_none() {
            over.set(Some(Instant::now()));
        }
        over.get().is_none_or(|over| over.elapsed() < DEADLINE)
    }
}
