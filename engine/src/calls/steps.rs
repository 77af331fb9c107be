//! Steps of fulfilment: `ORDER.ADVANCE`.

use crate::base::units::Ms;
use crate::record::history::HistoryEvent;
use crate::record::order::{Extra, Step};
use crate::record::reference::fingerprint;
use crate::store::Store;
use crate::terms::effects::{Effects, Event};
use crate::terms::refusal::{Refusal, Shown};
use crate::terms::states::OrderState;

/// `ORDER.ADVANCE`.
#[derive(Clone, Copy, Debug)]
pub struct Advance<'a> {
    pub order: &'a [u8],
    pub step: &'a [u8],
    /// The step it has to be at; any where none is named.
    pub from: Option<&'a [u8]>,
    pub token: Option<u64>,
}

impl Store {
    /// Brings an order to a step of fulfilment; replies how many steps it has been at.
    pub fn advance(&mut self, now: Ms, advance: &Advance<'_>, fx: &mut Effects) -> Result<u64, Refusal> {
        let slot = self.orders.slot(advance.order)?;
        let call = advance.fingerprint();
        let known = self.orders.extra_at(slot).and_then(Extra::step);
        let version = known.map_or(0, |step| step.version);
        // An order that was cancelled or died since is not where the first reply said it is.
        let stands = self.check_open(slot).is_ok() || self.orders.at(slot).state() == OrderState::Completed;
        if stands && known.is_some_and(|step| step.call == call) {
            return Ok(version);
        }
        self.check_token(slot, advance.token)?;
        self.check_for_workers(slot)?;
        if let Some(from) = advance.from {
            let at = known.map_or(&b""[..], |step| &step.name);
            if from != at {
                let at = if at.is_empty() { "no step".into() } else { format!("step {}", Shown(at)) };
                return Err(Refusal::BadState(format!("order is at {at}, not {}", Shown(from))));
            }
        }
        self.touch(now, fx);
        let (at, version) = (self.now, version.saturating_add(1));
        self.changing_order(slot, |_, extra| {
            extra.seldom_mut().step = Some(Box::new(Step { name: advance.step.into(), version, call }));
            extra.history.push(HistoryEvent::Step { at, step: advance.step, version });
        });
        fx.event(Event::OrderAdvanced);
        Ok(version)
    }
}

impl Advance<'_> {
    fn fingerprint(&self) -> u128 {
        let from = self.from.unwrap_or_default();
        fingerprint([b"advance", self.step, from, &self.token.unwrap_or(0).to_le_bytes()])
    }
}
