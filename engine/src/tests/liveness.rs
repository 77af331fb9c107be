//! Nothing is stuck, and nothing is handed out twice: after any history, let time pass and workers come back, and every
//! order ends.

use crate::calls::orders::ScanOrders;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::build::{adjust, configure, place, set, sweep, yield_all};
use super::command::{Command, Id, Picked, Reply, code};
use super::generate::{Step, cases, opening, steps};
use super::shop::{START, audited, loaded, saved};
use crate::record::gate::GateView;
use crate::record::order::OrderView;
use crate::store::Store;
use crate::terms::effects::Effects;
use crate::terms::settings::Field;
use crate::terms::states::OrderState;

/// Past this time no lease could be given: its end would be more than 2^53 - 1. An order can be remembered for longer.
const LAST_MS: u64 = (1 << 53) - 1_000_000;

/// A store with a history, and every token that was handed out in it.
struct Shift {
    store: Box<Store>,
    now: u64,
    calls: Vec<Command>,
    /// Tokens, as they were handed out, and the order of each.
    tokens: Vec<(u64, Id)>,
}

impl Shift {
    fn new() -> Shift {
        let mut shift = Shift { store: Box::new(Store::new(1)), now: START, calls: Vec::new(), tokens: Vec::new() };
        for command in opening() {
            shift.call(command).expect("an opening is never refused");
        }
        shift
    }

    fn after(steps: &[Step]) -> Shift {
        let mut shift = Shift::new();
        steps.iter().for_each(|step| shift.step(step));
        shift
    }

    fn step(&mut self, step: &Step) {
        let (ms, command) = match step {
            Step::Call(ms, command) => (*ms, command.clone().aimed(&self.store)),
            Step::Again(ms, back) => (*ms, self.calls[self.calls.len().saturating_sub(*back)].clone()),
            Step::Reload => {
                self.store = loaded(&saved(&self.store), 3).expect("a saved store loads");
                return;
            }
        };
        self.now = self.now.saturating_add_signed(ms);
        let _ = self.call(command);
    }

    /// Makes a call; what it hands out has to be under tokens that grew. Says what is refused by its code.
    fn call(&mut self, command: Command) -> Result<Reply, String> {
        let mut fx = Effects::default();
        let reply = command.apply(&mut self.store, self.now, &mut fx);
        let handed_out = match &reply {
            Ok(Reply::Claimed(claimed)) => claimed.clone(),
            // The same call again hands out nothing anew.
            Ok(Reply::Next(_, Some(next))) if fx.changed => vec![next.clone()],
            _ => Vec::new(),
        };
        for (id, token) in handed_out {
            let last = self.tokens.last().map_or(0, |(last, _)| *last);
            assert!(token > last, "{command:?} hands out {token} after {last}");
            assert!(token < 1 << 53, "{token}");
            self.tokens.push((token, id));
        }
        self.calls.push(command);
        reply.map_err(|refusal| code(&refusal))
    }

    /// Lets the time pass until something is due, if nothing is now, and does it. Forgets nothing before an order ends.
    fn let_time_pass(&mut self) {
        let due = self.store.next_due().unwrap_or(self.now).min(LAST_MS);
        self.now = self.now.max(due).max(self.store.last_change());
        self.call(sweep(u64::MAX)).expect("a sweep is never refused");
    }

    /// Passes the gates that would keep an order from its end for long.
    fn pass_gates(&mut self) {
        let wanted = ScanOrders { state: Some(OrderState::Pending), ..ScanOrders::default() };
        let pending = self.store.scan_orders(self.now, 0, 1_000, &wanted).1;
        let views = pending.into_iter().filter_map(|id| self.store.order(self.now, id));
        let long = |gate: &GateView| !gate.is_passed && !(1..self.now + 1_000).contains(&gate.deadline);
        let pass = |view: OrderView| {
            let (gates, order) = (view.gates.into_iter().filter(long), view.id.to_vec());
            let pass = move |gate: GateView| Command::Pass { order: order.clone(), gate: gate.name.to_vec() };
            gates.map(pass).collect::<Vec<_>>()
        };
        let passes: Vec<_> = views.flat_map(pass).collect();
        for command in passes {
            self.call(command).expect("a gate that is open can be passed");
        }
    }

    /// Brings all that somebody waits for. Where the count cannot be as high, those who wait are called off.
    fn restock(&mut self) {
        let skus: Vec<Id> = self.store.scan_skus(0, 1_000, |_, _| true).1.into_iter().map(<[u8]>::to_vec).collect();
        for sku in skus {
            let view = self.store.sku(&sku).unwrap();
            let delta = view.waiting as i64 - view.available;
            if view.waiting > 0 && self.call(adjust(&String::from_utf8_lossy(&sku), delta)).is_err() {
                let waitlisted = ScanOrders { state: Some(OrderState::Waitlisted), ..ScanOrders::default() };
                let ids = self.store.scan_orders(self.now, 0, 1_000, &waitlisted).1;
                let ids: Vec<Id> = ids.into_iter().map(<[u8]>::to_vec).collect();
                for order in ids {
                    self.call(Command::Cancel { order, reason: Vec::new() }).expect("who waits can be called off");
                }
            }
        }
    }

    /// A worker that comes back: takes what it gets, and does it, but for one in so many.
    fn work(&mut self, fails: u64) {
        let claim = Command::Claim { worker: b"back".to_vec(), count: 3, pick: Picked::Any, lease_ms: Some(20) };
        let Ok(Reply::Claimed(claimed)) = self.call(claim) else { panic!("a claim was refused") };
        for (i, (order, token)) in claimed.into_iter().enumerate() {
            let turn = (token + i as u64) % (fails + 2);
            let token = Some(token);
            let command = match turn {
                0 => Command::Fail { order, token, reason: Vec::new(), after_ms: None, fatal: false },
                // This one is never heard of again: its lease ends.
                1 if fails > 0 => continue,
                _ => Command::Complete { order, token, result: Vec::new() },
            };
            self.call(command).expect("a worker under its lease is never refused");
        }
    }
}

/// How often an order can be handed out, or come due, before it ends: its attempts, each with a lease or a backoff that
/// ends, and its getting late.
const ROUNDS_AN_ORDER: u64 = 3;

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn after_any_history_every_order_ends(steps in steps(160), fails in 0u64..3) {
        let mut shift = Shift::after(&steps);
        let attempts = 3;
        // Whoever had orders is gone: only time brings those back. Nothing that ended is forgotten while we look.
        let open = [(Field::Paused, 0), (Field::Attempts, attempts), (Field::KeepMs, 1 << 50)];
        shift.call(configure(&open)).unwrap();
        // Every order may fail before it dies; everything else that is due is done once.
        let due = (shift.store.agenda.len() as u64) + 1;
        let bound = due + shift.store.open_orders() * (attempts + 1) * ROUNDS_AN_ORDER;
        let mut rounds = 0;
        while shift.store.open_orders() > 0 {
            rounds += 1;
            let open = shift.store.open_orders();
            prop_assert!(rounds <= bound, "{open} orders are stuck: {:?}", shift.store.info(shift.now));
            shift.let_time_pass();
            shift.pass_gates();
            shift.restock();
            shift.work(fails);
            prop_assert_eq!(audited(&mut shift.store, 1_000), []);
        }
        let info = shift.store.info(shift.now);
        prop_assert_eq!((shift.store.open_orders(), info.workers), (0, 0));
        prop_assert_eq!(info.orders.iter().sum::<u64>(), shift.store.orders.records().len() as u64);
    }

    #[test]
    fn no_token_is_handed_out_twice_wherever_the_clock_goes(steps in steps(160), back in 0i64..1_000_000) {
        // The clock of a server that takes over may stand far behind.
        let mut shift = Shift::after(&steps);
        shift.now = shift.now.saturating_add_signed(-back);
        let _ = shift.call(configure(&[(Field::Paused, 0)]));
        for (i, step) in steps.iter().enumerate() {
            let later = match step {
                Step::Call(ms, command) => Step::Call(ms % 2, command.clone()),
                other => other.clone(),
            };
            shift.step(&later);
            if i % 5 == 0 {
                shift.step(&Step::Reload);
                shift.work(0);
            }
        }
        let tokens: BTreeSet<_> = shift.tokens.iter().map(|(token, _)| *token).collect();
        prop_assert_eq!(tokens.len(), shift.tokens.len());
    }

    #[test]
    fn a_worker_whose_lease_passed_on_changes_nothing(steps in steps(120)) {
        let mut shift = Shift::new();
        for step in &steps {
            shift.step(step);
            try_old_tokens(&mut shift);
        }
    }
}

/// Comes with every token that is not the current one of its order, in every call that takes one: nothing changes.
fn try_old_tokens(shift: &mut Shift) {
    let digest = shift.store.digest();
    let from = shift.tokens.len().saturating_sub(8);
    for (token, order) in shift.tokens[from..].iter().cloned() {
        let current = shift.store.order(shift.now, &order).map_or(0, |view| view.token);
        if current == token {
            continue;
        }
        for command in with_token(&order, token) {
            let mut fx = Effects::default();
            // A first reply that is given again is no refusal.
            if let Err(refusal) = command.apply(&mut shift.store, shift.now, &mut fx) {
                let code = code(&refusal);
                let known = ["FENCED", "NOORDER"].contains(&&*code);
                let mismatch = code == "MISMATCH" && matches!(command, Command::Fail { .. });
                // The lease of the next order is looked at first; the store's own may be too long by now.
                let too_long = code == "ERR" && matches!(command, Command::CompleteAndClaim { .. });
                assert!(known || mismatch || too_long, "{command:?}: {refusal}");
            }
            assert!(!fx.changed && fx.list.is_empty(), "{command:?} did something");
        }
    }
    assert_eq!(shift.store.digest(), digest);
}

fn with_token(order: &Id, token: u64) -> Vec<Command> {
    let (order, some, none) = (order.clone(), Some(token), Vec::new);
    let worker = b"late".to_vec();
    vec![
        Command::Renew { order: order.clone(), token, lease_ms: Some(1 << 40) },
        Command::TakeBack { order: order.clone(), token },
        Command::Complete { order: order.clone(), token: some, result: none() },
        Command::CompleteAndClaim { order: order.clone(), token: some, result: none(), worker, lease_ms: None },
        Command::Fail { order: order.clone(), token: some, reason: none(), after_ms: None, fatal: false },
        Command::Fail { order: order.clone(), token: some, reason: b"late".to_vec(), after_ms: None, fatal: true },
        Command::Advance { order, step: b"late".to_vec(), from: None, token: some },
    ]
}

/// What happens to the orders of groups: who waits, as it was placed or redriven, and who is in hand.
#[derive(Default)]
struct Groups {
    waiting: BTreeMap<Id, Vec<Id>>,
    in_hand: BTreeMap<Id, Id>,
}

impl Groups {
    /// Looks at every order anew: those that were not open and queued join the end, those that are not any more leave.
    fn look(&mut self, store: &Store, now: u64) {
        let ids = store.scan_orders(now, 0, 1_000, &ScanOrders::default()).1;
        let known = ids.iter().filter_map(|id| store.order(now, id));
        let mut open: Vec<_> = known.filter(|view| view.state.is_open() && view.entry.is_some()).collect();
        // Units that come free may let more than one in, each behind the last.
        open.sort_by_key(|view| view.entry);
        for waiting in self.waiting.values_mut() {
            waiting.retain(|id| open.iter().any(|view| view.id == *id));
        }
        for view in open.iter().filter(|view| !view.group.is_empty()) {
            let waiting = self.waiting.entry(view.group.to_vec()).or_default();
            if !waiting.iter().any(|id| id == view.id) {
                waiting.push(view.id.to_vec());
            }
        }
        self.in_hand.clear();
        for view in open.iter().filter(|view| view.state == OrderState::Claimed && !view.group.is_empty()) {
            let before = self.in_hand.insert(view.group.to_vec(), view.id.to_vec());
            assert_eq!(before, None, "two of one group are in hand");
            assert_eq!(self.waiting[view.group][0], view.id, "not the first of its group is in hand");
        }
    }
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn a_group_s_orders_are_handed_out_one_by_one_as_they_came(steps in steps(200)) {
        let (mut shift, mut groups) = (Shift::new(), Groups::default());
        for step in &steps {
            shift.step(step);
            groups.look(&shift.store, shift.now);
            others_go_on(&shift, &groups);
        }
    }
}

/// Whoever is first of its group, waits for a worker and is not in backoff is handed out to whoever asks for all there
/// is, whatever becomes of the other groups.
fn others_go_on(shift: &Shift, groups: &Groups) {
    let mut copy = loaded(&saved(&shift.store), 8).expect("a saved store loads");
    let mut fx = Effects::default();
    configure(&[(Field::Paused, 0)]).apply(&mut copy, shift.now, &mut fx).unwrap();
    let wanted: Vec<Id> = groups
        .waiting
        .values()
        .filter_map(|waiting| waiting.first())
        .filter(|id| copy.order(shift.now, id).is_some_and(|view| view.state.is_for_workers() && view.due == 0))
        .cloned()
        .collect();
    let claim = Command::Claim { worker: b"all".to_vec(), count: 100, pick: Picked::Any, lease_ms: Some(1) };
    let Ok(Reply::Claimed(claimed)) = claim.apply(&mut copy, shift.now, &mut fx) else { panic!("nothing was claimed") };
    for id in wanted {
        assert!(claimed.iter().any(|(claimed, _)| *claimed == id), "{id:?} is first of its group and not handed out");
    }
    assert!(!copy.has_work());
}

#[test]
fn orders_behind_a_head_that_dies_are_all_handed_out_in_turn() {
    let mut shift = Shift::new();
    shift.call(configure(&[(Field::Attempts, 2), (Field::LeaseMs, 10)])).unwrap();
    shift.call(set("tea", 1_000)).unwrap();
    for i in 0..50 {
        shift.call(place(&format!("o{i}"), "ann", &[("tea", 1)]).group("g")).unwrap();
    }
    for i in 0..50 {
        for _ in 0..2 {
            let Ok(Reply::Claimed(claimed)) = shift.call(super::build::claim("w", 5)) else { panic!("refused") };
            assert_eq!(claimed.len(), 1);
            assert_eq!(claimed[0].0, format!("o{i}").into_bytes());
            shift.now += 10;
            shift.call(sweep(100)).unwrap();
        }
    }
    assert_eq!(shift.store.info(shift.now).orders, [0, 0, 0, 50, 0, 0, 0, 0]);
    assert_eq!(shift.call(yield_all("w")), Ok(Reply::Yielded(0)));
}
