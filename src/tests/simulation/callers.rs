//! Callers who wait for orders, and what they have to get: first come, first served, from the lanes that they serve.

use super::history::Truth;
use super::turn::Said;
use super::words::{claimed, words};
use super::world::World;
use crate::host::callers::{self, Callers};
use crate::host::clock::Boot;
use crate::host::simulated::{Bytes, Part, Sent, Simulation};
use crate::host::{OwnStr, Stop};
use holdfast_engine::base::units::Ms;
use holdfast_engine::oracle::command::{Command, Id, Picked, Reply};

/// A caller who waits.
pub struct Caller {
    client: u64,
    /// What it asked for.
    claim: Command,
    until: Option<Boot>,
    /// The orders that were handed to it, with their tokens.
    gets: Option<Vec<(Id, u64)>>,
    /// Whether the store that it waits for has left the keyspace.
    is_sent_away: bool,
    /// Whether it goes away before it has its reply.
    is_going: bool,
}

impl Caller {
    /// Whether it takes orders of a lane.
    fn takes(&self, lane: &Id) -> bool {
        match &self.claim {
            Command::Claim { pick: Picked::Lanes(lanes), .. } => lanes.contains(lane),
            _ => true,
        }
    }
}

/// A claim as it is replicated.
fn words_of_claim(claim: &Command) -> Vec<Bytes> {
    let Command::Claim { worker, count, pick, lease_ms } = claim else { unreachable!("{claim:?} claims nothing") };
    let number = |n: u64| n.to_string().into_bytes();
    let mut words = vec![worker.clone(), b"COUNT".to_vec(), number(*count as u64)];
    words.extend(lease_ms.iter().flat_map(|ms| [b"LEASE".to_vec(), number(*ms)]));
    if let Picked::Lanes(lanes) = pick {
        words.extend([b"LANES".to_vec(), number(lanes.len() as u64)]);
        words.extend(lanes.iter().cloned());
    }
    words
}

/// The orders that a claim gets, by the model.
fn got(truth: &mut Truth, now: Ms, claim: &Command) -> Vec<(Id, u64)> {
    match truth.model.apply(now, claim).0 {
        Ok(Reply::Claimed(list)) => list,
        other => panic!("{claim:?}: {other:?}"),
    }
}

impl World {
    /// A caller claims orders, and waits if there are none.
    pub fn block(&mut self, claim: Command, block_ms: Ms) {
        let Some((name, mut rest)) = words(&claim).filter(|_| !self.is_paused()) else { return };
        rest.extend([b"BLOCK".to_vec(), block_ms.to_string().into_bytes()]);
        let (turn, before) = (self.begin_turn(), self.primary().server.blocked.get());
        let done = self.primary().command(name, &rest).map(drop);
        let server = &self.primary().server;
        let (parts, client, boot) = (server.replies.take(), server.blocked.get(), server.boot());
        let is_blocked = client > before;
        assert_eq!(is_blocked, matches!(done, Err(Stop::Replied)), "{claim:?}: {done:?}");
        let done = if is_blocked { Ok(vec![Part::Array(0)]) } else { done.map(|()| parts) };
        self.end_turn(turn, Some(Said { command: claim.clone(), name, rest, done, is_shortened: false }));
        if is_blocked {
            let until = (block_ms > 0).then(|| boot.plus_ms(block_ms));
            let caller = Caller { client, claim, until, gets: None, is_sent_away: false, is_going: false };
            self.callers.push(caller);
        }
    }

    /// One who waits, by number.
    fn caller(&self, number: usize) -> Option<usize> {
        let len = self.callers.len();
        (len > 0).then(|| number % len)
    }

    /// A caller who waits is gone: what was handed to it goes to others.
    pub fn hang_up(&mut self, number: usize) {
        let Some(at) = self.caller(number) else { return };
        let caller = self.callers.remove(at);
        assert!(callers::is_gone(&self.primary().server, caller.client), "one who waits is known");
    }

    /// The same, in the moment in which it is answered.
    pub fn miss_reply(&mut self, number: usize) {
        let Some(at) = self.caller(number) else { return };
        self.callers[at].is_going = true;
        self.primary().server.going.borrow_mut().insert(self.callers[at].client);
    }

    /// CLIENT UNBLOCK.
    pub fn unblock(&mut self, number: usize) {
        let Some(at) = self.caller(number) else { return };
        let caller = self.callers.remove(at);
        let server = &self.primary().server;
        server.going.borrow_mut().remove(&caller.client);
        callers::unblocked::<Simulation>(server, caller.client);
        let parts = server.replies.take();
        assert_eq!(claimed(&parts), caller.gets.unwrap_or_default(), "{:?} is unblocked", caller.claim);
    }

    /// The store leaves the keyspace, or another takes its place: those who wait for it get nothing.
    pub fn leave(&mut self, uid: Option<u64>) {
        let Some(uid) = uid else { return };
        callers::leave(&self.primary().server, uid);
        self.callers.iter_mut().for_each(|caller| caller.is_sent_away = true);
    }

    /// All connections end.
    pub fn disconnect_all(&mut self) {
        while !self.callers.is_empty() {
            self.hang_up(0);
        }
        while !self.lock_callers.is_empty() {
            self.hang_up_lock(0);
        }
    }

    /// Whoever waits and could get something now.
    fn to_serve(&self, now: Ms) -> impl Iterator<Item = usize> {
        let may = move |caller: &Caller| {
            let waits = self.truth.exists && caller.gets.is_none() && !caller.is_sent_away;
            waits && !got(&mut self.truth.clone(), now, &caller.claim).is_empty()
        };
        (0..self.callers.len()).filter(move |at| may(&self.callers[*at]))
    }

    /// Whether anybody waits who is not served yet.
    pub fn is_waited_for(&self) -> bool {
        self.callers.iter().any(|caller| caller.gets.is_none())
    }

    /// Whether somebody waits for whom there is something.
    pub fn is_one_to_serve(&self, now: Ms) -> bool {
        self.to_serve(now).next().is_some()
    }

    /// Who was served, if something that was replicated is a claim in the name of one who waits: the first for whom
    /// there is something. Who waited long enough may be passed over; and so may be whoever asks for the same as one
    /// who did, and was served by what we know: it may be the other who was ([`Self::sort_out`]).
    fn served(&self, sent: &Sent) -> Option<usize> {
        let boot = self.primary().server.boot();
        let is_late = |caller: &Caller| caller.until.is_some_and(|until| until <= boot);
        let may_be_served = |caller: &Caller| {
            let is_same = |other: &Caller| other.gets.is_some() && other.claim == caller.claim && is_late(other);
            self.callers.iter().any(is_same)
        };
        let may_pass = |at: &usize| is_late(&self.callers[*at]) || may_be_served(&self.callers[*at]);
        let is_meant = |at: &usize| words_of_claim(&self.callers[*at].claim) == sent.rest;
        self.to_serve(sent.stamp?).find(|at| is_meant(at) || !may_pass(at)).filter(is_meant)
    }

    pub fn is_for_a_caller(&self, sent: &Sent) -> bool {
        sent.name == b"ORDER.CLAIM" && self.served(sent).is_some()
    }

    /// Orders were handed to one who waits.
    pub fn follow_caller(&mut self, sent: &Sent) {
        let at = self.served(sent).unwrap_or_else(|| panic!("{sent:?}, and another came first"));
        let gets = got(&mut self.truth, sent.stamp.expect("a stamp"), &self.callers[at].claim);
        self.callers[at].gets = Some(gets);
    }

    /// Nobody who waits is overtaken by one who comes and gets orders.
    pub fn check_overtaken(&self, orders: &[(Id, u64)]) {
        let lanes: Vec<_> = orders.iter().map(|(order, _)| &self.truth.model.orders[order].lane).collect();
        let boot = self.primary().server.boot();
        let is_late = |caller: &Caller| caller.until.is_some_and(|until| until <= boot);
        let waits = |caller: &&Caller| caller.gets.is_none() && !caller.is_sent_away && !is_late(caller);
        let overtaken = self.callers.iter().filter(waits).find(|caller| lanes.iter().any(|lane| caller.takes(lane)));
        let is_multi = self.primary().server.multi.get();
        assert!(is_multi || overtaken.is_none(), "{:?} is overtaken", overtaken.map(|caller| &caller.claim));
    }

    /// What callers got is what was handed to them; or nothing, where their time is over or the store is gone.
    pub fn check_delivered(&mut self) {
        let server = &self.primary().server;
        let (delivered, boot) = (server.delivered.take(), server.boot());
        for (client, parts) in delivered {
            if self.take_lock_reply(client, &parts) {
                continue;
            }
            let at = self.callers.iter().position(|caller| caller.client == client).expect("one who waits");
            self.sort_out(at, &parts);
            let caller = self.callers.remove(at);
            let is_over = caller.is_sent_away || caller.until.is_some_and(|until| until <= boot);
            match caller.gets {
                Some(gets) => assert_eq!(claimed(&parts), gets, "{:?}", caller.claim),
                None => assert!(parts == [Part::Array(0)] && is_over, "{:?}: {parts:?}", caller.claim),
            }
        }
        let going = self.primary().server.going.borrow().clone();
        self.callers.retain(|caller| !caller.is_going || going.contains(&caller.client));
        self.forget_lock_callers();
    }

    /// Of those who ask for the same in the same name, one whose time is over may have been told so before the other
    /// was served: which of them that was, the replies say.
    fn sort_out(&mut self, at: usize, parts: &[Part]) {
        let gets = Some(claimed(parts)).filter(|orders| !orders.is_empty());
        let is_other = |caller: &Caller| caller.gets == gets && caller.claim == self.callers[at].claim;
        if self.callers[at].gets != gets
            && let Some(other) = self.callers.iter().position(is_other)
        {
            let theirs = self.callers[other].gets.take();
            self.callers[other].gets = std::mem::replace(&mut self.callers[at].gets, theirs);
        }
    }

    /// Whoever could get something has it, and nobody waits longer than asked.
    pub fn check_served(&self) {
        let (boot, time) = (self.primary().server.boot(), self.primary().time());
        for caller in &self.callers {
            assert!(caller.until.is_none_or(|until| until > boot), "{:?} waits too long", caller.claim);
            assert!(caller.gets.is_none() && !caller.is_sent_away, "{:?} has no reply", caller.claim);
        }
        assert!(!self.is_one_to_serve(time), "somebody waits, and there is something for it");
    }

    /// The store's number in its process.
    pub fn uid(&self) -> Option<u64> {
        let key = OwnStr::new(super::node::KEY);
        crate::store::keys::read_store(&self.primary().server, key.get()).ok().map(|value| value.uid)
    }
}
