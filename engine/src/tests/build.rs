//! Short ways to write down a [`Command`] in a test.

use super::command::{Command, Lines, Picked, Source};
use crate::terms::settings::Field;

fn lines(list: &[(&str, u64)]) -> Lines {
    list.iter().map(|(sku, qty)| (sku.as_bytes().to_vec(), *qty)).collect()
}

pub fn configure(fields: &[(Field, u64)]) -> Command {
    Command::Configure(fields.to_vec())
}

pub fn set(sku: &str, on_hand: u64) -> Command {
    Command::SetStock { sku: sku.into(), on_hand, safety: None, low: None, limit: None, backlog: None }
}

pub fn adjust(sku: &str, delta: i64) -> Command {
    Command::Adjust { sku: sku.into(), delta, reason: Vec::new(), reference: None }
}

pub fn sync(source: &str, seq: u64, counts: &[(&str, u64)]) -> Command {
    Command::Sync { source: source.into(), seq, counts: lines(counts) }
}

pub fn reserve(hold: &str, items: &[(&str, u64)]) -> Command {
    Command::Reserve { hold: hold.into(), customer: None, ttl_ms: None, replace: false, items: lines(items) }
}

pub fn replace(hold: &str, items: &[(&str, u64)]) -> Command {
    Command::Reserve { hold: hold.into(), customer: None, ttl_ms: None, replace: true, items: lines(items) }
}

pub fn extend(hold: &str, ms: u64) -> Command {
    Command::Extend { hold: hold.into(), ms }
}

pub fn commit(hold: &str) -> Command {
    Command::Close { hold: hold.into(), commit: true, reference: None, items: None }
}

pub fn release(hold: &str) -> Command {
    Command::Close { hold: hold.into(), commit: false, reference: None, items: None }
}

pub fn place(order: &str, customer: &str, items: &[(&str, u64)]) -> Command {
    let take = Source::Items(lines(items));
    let (order, customer, lane, data, gates) = (order.into(), customer.into(), Vec::new(), Vec::new(), Vec::new());
    Command::Place { order, customer, group: None, lane, data, gates, wait_ms: None, take }
}

pub fn place_hold(order: &str, customer: &str, hold: &str) -> Command {
    let take = Source::Hold(hold.into());
    let (order, customer, lane, data, gates) = (order.into(), customer.into(), Vec::new(), Vec::new(), Vec::new());
    Command::Place { order, customer, group: None, lane, data, gates, wait_ms: None, take }
}

pub fn gate(order: &str, gate: &str, ms: u64) -> Command {
    Command::Gate { order: order.into(), gate: gate.into(), ms }
}

pub fn pass(order: &str, gate: &str) -> Command {
    Command::Pass { order: order.into(), gate: gate.into() }
}

pub fn complete(order: &str) -> Command {
    Command::Complete { order: order.into(), token: None, result: Vec::new() }
}

pub fn cancel(order: &str) -> Command {
    Command::Cancel { order: order.into(), reason: Vec::new() }
}

pub fn give_back(order: &str, items: &[(&str, u64)]) -> Command {
    Command::Return { order: order.into(), customer: None, reference: None, scrap: false, items: lines(items) }
}

pub fn edit(order: &str, items: &[(&str, u64)]) -> Command {
    Command::Edit { order: order.into(), token: None, reference: None, lost: false, items: lines(items) }
}

pub fn split(order: &str, new_order: &str, items: &[(&str, u64)]) -> Command {
    Command::Split { order: order.into(), new_order: new_order.into(), token: None, lane: None, items: lines(items) }
}

pub fn claim(worker: &str, count: usize) -> Command {
    Command::Claim { worker: worker.into(), count, pick: Picked::Any, lease_ms: None }
}

pub fn claim_order(worker: &str, order: &str) -> Command {
    Command::Claim { worker: worker.into(), count: 1, pick: Picked::Order(order.into()), lease_ms: None }
}

pub fn renew(order: &str, token: u64) -> Command {
    Command::Renew { order: order.into(), token, lease_ms: None }
}

pub fn yield_all(worker: &str) -> Command {
    Command::Yield { worker: worker.into() }
}

pub fn take_back(order: &str, token: u64) -> Command {
    Command::TakeBack { order: order.into(), token }
}

pub fn fail(order: &str) -> Command {
    Command::Fail { order: order.into(), token: None, reason: Vec::new(), after_ms: None, fatal: false }
}

pub fn redrive(order: &str) -> Command {
    Command::Redrive { order: order.into() }
}

pub fn advance(order: &str, step: &str) -> Command {
    Command::Advance { order: order.into(), step: step.into(), from: None, token: None }
}

pub fn complete_and_claim(order: &str, worker: &str) -> Command {
    let (order, worker) = (order.into(), worker.into());
    Command::CompleteAndClaim { order, token: None, result: Vec::new(), worker, lease_ms: None }
}

pub fn reentry(order: &str, ahead_ms: u64) -> Command {
    Command::Reentry { order: order.into(), side: false, ahead_ms: Some(ahead_ms) }
}

pub fn sweep(budget: u64) -> Command {
    Command::Sweep { budget }
}

impl Command {
    /// Sets what a command can do without; a command that does not have it is a mistake in the test.
    fn with(mut self, put: impl FnOnce(&mut Command) -> bool) -> Command {
        assert!(put(&mut self), "{self:?} has no such argument");
        self
    }

    pub fn by(self, name: &str) -> Command {
        self.with(|command| match command {
            Command::Reserve { customer, .. } | Command::Return { customer, .. } => {
                customer.replace(name.into()).is_none()
            }
            _ => false,
        })
    }

    pub fn scrap(self) -> Command {
        self.with(|command| match command {
            Command::Return { scrap, .. } => !std::mem::replace(scrap, true),
            _ => false,
        })
    }

    pub fn lost(self) -> Command {
        self.with(|command| match command {
            Command::Edit { lost, .. } => !std::mem::replace(lost, true),
            _ => false,
        })
    }

    pub fn ttl(self, ms: u64) -> Command {
        self.with(|command| match command {
            Command::Reserve { ttl_ms, .. } => ttl_ms.replace(ms).is_none(),
            _ => false,
        })
    }

    pub fn of(self, list: &[(&str, u64)]) -> Command {
        self.with(|command| match command {
            Command::Close { items, .. } => items.replace(lines(list)).is_none(),
            _ => false,
        })
    }

    pub fn reference(self, id: &str) -> Command {
        self.with(|command| match command {
            Command::Adjust { reference, .. }
            | Command::Close { reference, .. }
            | Command::Edit { reference, .. }
            | Command::Return { reference, .. } => reference.replace(id.into()).is_none(),
            _ => false,
        })
    }

    /// The reason of an adjustment, a failure or a cancel, the data of an order, the result it is completed with.
    pub fn note(self, text: &str) -> Command {
        self.with(|command| match command {
            Command::Adjust { reason: note, .. }
            | Command::Cancel { reason: note, .. }
            | Command::Fail { reason: note, .. }
            | Command::Place { data: note, .. }
            | Command::CompleteAndClaim { result: note, .. }
            | Command::Complete { result: note, .. } => std::mem::replace(note, text.into()).is_empty(),
            _ => false,
        })
    }

    pub fn group(self, id: &str) -> Command {
        self.with(|command| match command {
            Command::Place { group, .. } => group.replace(id.into()).is_none(),
            _ => false,
        })
    }

    /// A gate that the order has to pass; it can be called again.
    pub fn gate(self, name: &str, ms: u64) -> Command {
        self.with(|command| match command {
            Command::Place { gates, .. } => {
                gates.push((name.into(), ms));
                true
            }
            _ => false,
        })
    }

    pub fn lane(self, id: &str) -> Command {
        self.with(|command| match command {
            Command::Place { lane, .. } => std::mem::replace(lane, id.into()).is_empty(),
            Command::Split { lane, .. } => lane.replace(id.into()).is_none(),
            _ => false,
        })
    }

    /// The lanes that a claim can get orders of.
    pub fn lanes(self, list: &[&str]) -> Command {
        let list = list.iter().map(|lane| (*lane).into()).collect();
        self.with(|command| match command {
            Command::Claim { pick, .. } => std::mem::replace(pick, Picked::Lanes(list)) == Picked::Any,
            _ => false,
        })
    }

    pub fn token(self, number: u64) -> Command {
        self.with(|command| match command {
            Command::Complete { token, .. }
            | Command::CompleteAndClaim { token, .. }
            | Command::Fail { token, .. }
            | Command::Edit { token, .. }
            | Command::Split { token, .. }
            | Command::Advance { token, .. } => token.replace(number).is_none(),
            _ => false,
        })
    }

    pub fn lease(self, ms: u64) -> Command {
        self.with(|command| match command {
            Command::Claim { lease_ms, .. }
            | Command::Renew { lease_ms, .. }
            | Command::CompleteAndClaim { lease_ms, .. } => lease_ms.replace(ms).is_none(),
            _ => false,
        })
    }

    pub fn after(self, ms: u64) -> Command {
        self.with(|command| match command {
            Command::Fail { after_ms, .. } => after_ms.replace(ms).is_none(),
            _ => false,
        })
    }

    pub fn fatal(self) -> Command {
        self.with(|command| match command {
            Command::Fail { fatal, .. } => !std::mem::replace(fatal, true),
            _ => false,
        })
    }

    pub fn from(self, step: &str) -> Command {
        self.with(|command| match command {
            Command::Advance { from, .. } => from.replace(step.into()).is_none(),
            _ => false,
        })
    }

    pub fn safety(self, units: u64) -> Command {
        self.with(|command| match command {
            Command::SetStock { safety, .. } => safety.replace(units).is_none(),
            _ => false,
        })
    }

    pub fn low(self, units: u64) -> Command {
        self.with(|command| match command {
            Command::SetStock { low, .. } => low.replace(units).is_none(),
            _ => false,
        })
    }

    pub fn limit(self, units: u64) -> Command {
        self.with(|command| match command {
            Command::SetStock { limit, .. } => limit.replace(units).is_none(),
            _ => false,
        })
    }

    pub fn backlog(self, units: u64) -> Command {
        self.with(|command| match command {
            Command::SetStock { backlog, .. } => backlog.replace(units).is_none(),
            _ => false,
        })
    }

    pub fn wait(self, ms: u64) -> Command {
        self.with(|command| match command {
            Command::Place { wait_ms, .. } => wait_ms.replace(ms).is_none(),
            _ => false,
        })
    }
}
