//! The end of a day: faults stop, and everything has to end.

use super::action::{Action, Long, Meddling};
use super::world::World;
use holdfast_engine::oracle::build::{adjust, cancel, claim, complete, configure, pass, redrive, release};
use holdfast_engine::oracle::command::{Command, Id};
use holdfast_engine::oracle::model::Order;
use holdfast_engine::terms::settings::Field;
use holdfast_engine::terms::states::{HoldState, OrderState};
use holdfast_engine::terms::streams::StreamKind;

/// Rounds in which workers do what they can.
const GENTLE: usize = 12;

/// Rounds after which nothing may be left.
const ROUNDS: usize = 40;

impl World {
    /// Nothing goes wrong any more.
    pub fn settle(&mut self) {
        self.step(&Action::Pause(false));
        self.step(&Action::Full(false));
        self.step(&Action::Multi(false));
        self.step(&Action::Arrive);
        self.nodes.iter_mut().for_each(|node| node.pace = 1_000);
        self.job = None;
        let open = [(Field::Paused, 0), (Field::Opens, 0), (Field::Closes, 0), (Field::Limit, 0)];
        self.call(configure(&open));
        self.repair();
        for round in 0..ROUNDS {
            self.step(&Action::Pass(60));
            self.tick();
            if self.is_over() {
                break;
            }
            self.work(round);
        }
        assert!(self.is_over(), "something never ends: {:?} {:?}", self.truth.model.orders, self.truth.model.holds);
        for sku in self.truth.model.skus.keys() {
            assert_eq!((self.truth.model.held(sku), self.truth.model.waiting(sku)), (0, 0), "{sku:?}");
        }
        while !self.callers.is_empty() {
            self.unblock(0);
        }
        while !self.lock_callers.is_empty() {
            self.unblock_lock(0);
        }
        self.deliver_all();
        self.check_streams();
        self.replay_all();
    }

    fn repair(&mut self) {
        for _ in 0..2 {
            self.step(&Action::Begin(Long::Repair));
            while self.job.is_some() {
                self.step(&Action::Slice);
            }
            if !self.truth.is_meddled {
                return;
            }
            // What was filled up is of no use any more.
            for kind in [StreamKind::Orders, StreamKind::Retry, StreamKind::Dead] {
                self.step(&Action::Meddle(kind, Meddling::Delete));
            }
        }
        panic!("the streams cannot be repaired");
    }

    fn is_over(&self) -> bool {
        let model = &self.truth.model;
        let is_dead = |order: &Order| order.state == OrderState::Dead;
        !model.orders.values().any(|order| order.state.is_open() || is_dead(order))
            && !model.holds.values().any(|hold| hold.state == HoldState::Live)
    }

    /// The orders of a state.
    fn in_state(&self, is: impl Fn(OrderState) -> bool) -> Vec<Id> {
        let orders = self.truth.model.orders.iter();
        orders.filter(|(_, order)| is(order.state)).map(|(id, _)| id.clone()).collect()
    }

    fn work(&mut self, round: usize) {
        let is_gentle = round < GENTLE;
        let name = |id: &Id| id.clone();
        for sku in self.truth.model.skus.keys().cloned().collect::<Vec<_>>() {
            let missing = self.truth.model.waiting(&sku);
            if missing > 0 {
                self.call(with_sku(adjust("", missing as i64), sku));
            }
        }
        for order in self.in_state(|state| state == OrderState::Pending) {
            let gates = self.truth.model.orders[&order].gates.clone();
            for gate in gates.iter().filter(|gate| gate.passed.is_none()) {
                self.call(with_order(pass("", &String::from_utf8_lossy(&gate.name)), name(&order)));
            }
        }
        self.call(claim("last", 5));
        let ours = |state: OrderState| state == OrderState::Claimed || !is_gentle && state.is_for_workers();
        for order in self.in_state(ours) {
            self.call(with_order(complete(""), order));
        }
        for order in self.in_state(|state| state == OrderState::Dead) {
            let command = if is_gentle && round.is_multiple_of(4) { redrive("") } else { cancel("") };
            self.call(with_order(command, order));
        }
        if is_gentle {
            return;
        }
        let live = |hold: &HoldState| *hold == HoldState::Live;
        let holds: Vec<_> = self.truth.model.holds.iter().filter(|(_, hold)| live(&hold.state)).collect();
        for hold in holds.into_iter().map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            let mut command = release("");
            if let Command::Close { hold: of, .. } = &mut command {
                *of = hold;
            }
            self.call(command);
        }
        for order in self.in_state(|state| matches!(state, OrderState::Waitlisted | OrderState::Pending)) {
            self.call(with_order(cancel(""), order));
        }
    }
}

fn with_sku(mut command: Command, id: Id) -> Command {
    if let Command::Adjust { sku, .. } = &mut command {
        *sku = id;
    }
    command
}

/// The same command of an order whose id may be no text.
fn with_order(mut command: Command, id: Id) -> Command {
    match &mut command {
        Command::Pass { order, .. }
        | Command::Complete { order, .. }
        | Command::Cancel { order, .. }
        | Command::Redrive { order } => *order = id,
        other => unreachable!("{other:?}"),
    }
    command
}
