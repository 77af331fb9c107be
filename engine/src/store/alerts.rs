//! Alerts: written where something turns, and nowhere else, so that a store that sells calmly writes none.

use crate::base::table::Keyed;
use crate::store::Store;
use crate::store::shelf::Level;
use crate::terms::alerts::{Alert, AlertKind};
use crate::terms::effects::{Effect, Effects, Event};
use crate::terms::streams::{EntryId, StreamKind};

impl Store {
    /// Publishes how the stock of a SKU turned. One that is new (`is_new`) was not out before.
    #[cold]
    #[inline(never)]
    pub(crate) fn stock_turned(&mut self, slot: u32, before: Level, after: Level, is_new: bool, fx: &mut Effects) {
        let is_out = after.out && !before.out;
        let is_low = after.low && !before.low;
        if is_out {
            fx.event(Event::StockOut);
        }
        if is_low {
            fx.event(Event::StockLow);
        }
        let is_in = before.out && !after.out && !is_new;
        let turned = [(is_out, AlertKind::StockOut), (is_low, AlertKind::StockLow), (is_in, AlertKind::StockIn)];
        for (_, kind) in turned.into_iter().filter(|(is_so, _)| *is_so) {
            self.alert(fx, |store, id| {
                let sku = store.shelf.at(slot);
                let (available, sku) = (Some(sku.available()), sku.id.clone());
                Alert { id, kind, sku, order: Box::default(), available, reason: Box::default() }
            });
        }
    }

    /// Alerts that something happened to an order.
    #[cold]
    pub(crate) fn alert_order(&mut self, kind: AlertKind, slot: u32, reason: &[u8], fx: &mut Effects) {
        self.alert(fx, |store, id| {
            let order = store.orders.at(slot).id().into();
            Alert { id, kind, sku: Box::default(), order, available: None, reason: reason.into() }
        });
    }

    fn alert(&mut self, fx: &mut Effects, make: impl FnOnce(&Store, EntryId) -> Alert) {
        if self.settings.alerts > 0 {
            let id = self.last.next(StreamKind::Alerts, self.now);
            fx.push(Effect::Alert(Box::new(make(self, id))));
        }
    }
}
