//! The store compared with the model: the same books in every detail.

use std::collections::{BTreeMap, BTreeSet};

use super::command::Id;
use super::model::{Gate, Model, Order, OrderItem};
use super::shop::audited;
use crate::calls::orders::ScanOrders;
use crate::record::order::{OrderView, Stage};
use crate::record::returns::EarlierReturns;
use crate::store::Store;
use crate::terms::items::Units;
use crate::terms::metrics::METRICS;
use crate::terms::settings::FIELDS;
use crate::terms::states::HoldState;
use crate::terms::states::OrderState;
use crate::terms::streams::{EntryId, StreamKind};

/// A store and what it should be, at a time.
pub struct Compared<'a> {
    pub store: &'a mut Store,
    pub model: &'a Model,
    pub now: u64,
}

impl Compared<'_> {
    /// Compares all of it.
    pub fn check(&mut self) {
        self.compare_skus();
        self.compare_holds();
        self.compare_orders();
        self.compare_info();
        self.compare_lanes();
        for field in FIELDS {
            assert_eq!(self.store.settings().get(*field), self.model.setting(field.name()), "{}", field.name());
        }
        assert_eq!(audited(self.store, 1_000), []);
    }

    fn compare_skus(&self) {
        for (id, wanted) in &self.model.skus {
            let sku = self.store.sku(id).expect("a SKU of the model");
            let books = (sku.on_hand, sku.safety, sku.low, sku.limit);
            assert_eq!(books, (wanted.on_hand, wanted.safety, wanted.low, wanted.limit), "{id:?}");
            let sums = (sku.held, sku.sold, sku.available);
            let wanted = (self.model.held(id), self.model.sold(id), self.model.available(id));
            assert_eq!(sums, wanted, "held, sold, available of {id:?}");
            let waits = (self.model.waiting(id), self.model.skus[id].backlog);
            assert_eq!((sku.waiting, sku.backlog), waits, "waiting, backlog of {id:?}");
            assert!(sku.waiting == 0 || sku.available <= 0, "somebody waits for {id:?}, and some is available");
            assert_eq!(self.store.shelf.at(self.store.shelf.find(id).unwrap()).aside, 0, "{id:?}");
        }
        let (_, ids) = self.store.scan_skus(0, 1_000, |_, _| true);
        assert_eq!(set(ids), self.model.skus.keys().cloned().collect());
    }

    fn compare_holds(&self) {
        for (id, wanted) in &self.model.holds {
            let hold = self.store.hold(id).expect("a hold of the model");
            assert_eq!(hold.customer, wanted.customer.as_deref().unwrap_or_default());
            let (state, times) = (hold.state, (hold.deadline, hold.ended_at));
            assert_eq!((state, times), (wanted.state, (wanted.deadline, wanted.ended_at)), "{id:?}");
            let items = wanted.items.iter().map(|i| (i.sku.as_slice(), i.qty, i.left, i.committed));
            assert_eq!(hold.items, items.collect::<Vec<_>>());
            assert_eq!(hold.left, wanted.items.iter().map(|item| item.left).sum::<u64>());
        }
        let (_, ids) = self.store.scan_holds(0, 1_000, None);
        let live = self.model.holds.iter().filter(|(_, hold)| hold.state == HoldState::Live);
        assert_eq!(set(ids), live.map(|(id, _)| id.clone()).collect());
    }

    fn compare_orders(&self) {
        for (id, wanted) in &self.model.orders {
            let order = self.store.order(self.now, id).expect("an order of the model");
            assert_eq!((order.id, order.customer, order.data), (&**id, &*wanted.customer, &*wanted.data));
            assert_eq!(order.group, wanted.group.as_deref().unwrap_or_default());
            assert_eq!(order.lane, &wanted.lane[..]);
            assert_eq!(order.hold, wanted.hold.as_deref().unwrap_or_default());
            let times = (order.entry, order.placed_at, order.ended_at, order.complete);
            assert_eq!(times, (wanted.entry, wanted.placed_at, wanted.ended_at, wanted.complete), "{id:?}");
            let note = if order.state == OrderState::Completed { order.result } else { order.reason };
            assert_eq!((order.state, note), (wanted.state, &*wanted.note));
            let returns: Vec<_> = order.returns.iter().map(|back| (back.at, back.units, back.scrap)).collect();
            assert_eq!((returns, order.returns_lost), (wanted.returns.clone(), EarlierReturns::default()), "{id:?}");
            let items = wanted.items.iter().map(|item| (item.sku.as_slice(), item.qty, item.returned));
            assert_eq!(order.items, items.collect::<Vec<_>>());
            let until = if wanted.ended_at > 0 { wanted.ended_at } else { self.now };
            let sla_ms = self.model.setting("sla-ms");
            assert_eq!(order.late, sla_ms > 0 && until.saturating_sub(wanted.placed_at) > sla_ms);
            let stage = self.store.orders.extra_at(self.store.orders.find(id).unwrap()).map(|extra| &extra.stage);
            let waits = wanted.state == OrderState::Waitlisted;
            let lacks = |item: &OrderItem| if waits { item.qty - item.has } else { 0 };
            let shown = order.items.iter().map(|item| (item.sku, item.missing));
            let lacking = wanted.items.iter().map(|item| (item.sku.as_slice(), lacks(item)));
            assert!(shown.eq(lacking), "{id:?}: {:?}", order.items);
            let missing = stage.and_then(Stage::waitlisted).map(|waitlisted| waitlisted.missing.clone());
            let units = |item: &OrderItem| Units { sku: self.store.shelf.find(&item.sku).unwrap(), qty: lacks(item) };
            let mut lacked: Vec<_> = wanted.items.iter().map(units).filter(|item| item.qty > 0).collect();
            lacked.sort_by_key(|item| item.sku);
            assert_eq!(missing, waits.then_some(lacked), "{id:?}");
            let counted = self.store.orders.at(self.store.orders.find(id).unwrap()).late;
            assert_eq!(counted, wanted.late, "whether {id:?} was counted as late");
            Self::compare_work(&order, wanted);
        }
        let (_, ids) = self.store.scan_orders(self.now, 0, 1_000, &ScanOrders::default());
        assert_eq!(set(ids), self.model.orders.keys().cloned().collect());
        let mut by_lane = BTreeMap::<&[u8], BTreeSet<Id>>::new();
        for (id, order) in &self.model.orders {
            by_lane.entry(&order.lane).or_default().insert(id.clone());
        }
        for (lane, wanted) in by_lane {
            let of_lane = ScanOrders { lane: Some(lane), ..ScanOrders::default() };
            assert_eq!(set(self.store.scan_orders(self.now, 0, 1_000, &of_lane).1), wanted, "lane {lane:?}");
        }
        let (after, dead) = self.store.dead_from(0, 1_000, |_| true);
        assert_eq!((after, dead.into_iter().map(<[u8]>::to_vec).collect()), (0, self.model.dead()));
        self.compare_entries();
    }

    /// What workers did with an order.
    fn compare_work(order: &OrderView<'_>, wanted: &Order) {
        let claim = (order.token, order.worker, u64::from(order.attempts));
        assert_eq!(claim, (wanted.token, wanted.worker.as_deref().unwrap_or_default(), wanted.attempts));
        let due = wanted.due.filter(|_| wanted.state.is_open()).map_or(0, |(due, _)| due);
        assert_eq!((order.due, order.side), (due, wanted.side), "{:?}", order.id);
        let gate = |gate: &Gate| {
            (gate.name.clone(), if gate.passed.is_some() { 0 } else { gate.until }, gate.passed.is_some())
        };
        let gates = order.gates.iter().map(|gate| (gate.name.to_vec(), gate.deadline, gate.is_passed));
        assert!(gates.eq(wanted.gates.iter().map(gate)), "{:?} and not {:?}", order.gates, wanted.gates);
        let (step, version) = wanted.step.as_ref().map_or((&[][..], 0), |(step, version, _)| (step, *version));
        assert_eq!((order.step, order.version), (step, version));
        let lost = wanted.history.len().saturating_sub(100);
        let history: Vec<_> = order.history.iter().map(|event| format!("{event:?}")).collect();
        assert_eq!((order.history_lost, &history[..]), (lost as u64, &wanted.history[lost..]));
    }

    /// The entries that the streams of orders have to have: what a repair goes by.
    fn compare_entries(&self) {
        let open = |order: &&Order| order.state.is_open() && order.entry.is_some();
        let retry = |order: &&Order| order.state.is_for_workers() && order.side.is_some();
        let dead = |order: &&Order| order.state == OrderState::Dead;
        let orders = || self.model.orders.values();
        let wanted: [(StreamKind, BTreeSet<EntryId>); 3] = [
            (StreamKind::Orders, orders().filter(open).filter_map(|order| order.entry).collect()),
            (StreamKind::Retry, orders().filter(retry).filter_map(|order| order.side).collect()),
            (StreamKind::Dead, orders().filter(dead).filter_map(|order| order.side).collect()),
        ];
        for (kind, entries) in wanted {
            let (mut slot, mut found) = self.store.entries_from(kind, 0, 10, 100);
            while slot != 0 {
                let (next, part) = self.store.entries_from(kind, slot, 10, 100);
                assert!(part.len() <= 10 && (next > slot || next == 0));
                found.extend(part);
                slot = next;
            }
            assert_eq!(self.store.entries(kind), Some(found.len() as u64), "{kind:?}");
            assert_eq!(found.iter().map(|(id, _)| *id).collect::<BTreeSet<_>>(), entries, "{kind:?}");
        }
    }

    fn compare_lanes(&self) {
        let views = self
            .store
            .lanes(self.now)
            .into_iter()
            .map(|view| (view.lane.to_vec(), (view.queued, view.in_work, view.retrying, view.oldest_waiting_ms)));
        let lanes = std::iter::once(Vec::new()).chain(self.model.lanes());
        let aged = |(queued, in_work, retrying, at): (u64, u64, u64, u64)| {
            let age = if at == 0 { 0 } else { self.now.saturating_sub(at) };
            (queued, in_work, retrying, age)
        };
        let wanted = lanes.filter_map(|lane| Some((lane.clone(), aged(self.model.lane(&lane)?))));
        assert_eq!(views.collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
    }

    fn compare_info(&self) {
        let (info, model) = (self.store.info(self.now), &self.model);
        let sum = |of: &dyn Fn(&Id) -> u64| model.skus.keys().map(|sku| u128::from(of(sku))).sum::<u128>();
        assert_eq!(info.skus, model.skus.len() as u64);
        assert_eq!(info.on_hand, sum(&|sku| model.skus[sku].on_hand));
        assert_eq!(info.held, sum(&|sku| model.held(sku)));
        assert_eq!(info.sold, sum(&|sku| model.sold(sku)));
        assert_eq!(info.available, sum(&|sku| model.available(sku).max(0) as u64));
        let in_state = |state: &OrderState| model.orders.values().filter(|order| order.state == *state).count() as u64;
        assert_eq!(info.orders.to_vec(), OrderState::ALL.iter().map(in_state).collect::<Vec<_>>());
        let live = model.holds.values().filter(|hold| hold.state == HoldState::Live).count();
        assert_eq!((info.holds, info.customers), (live as u64, model.customers() as u64));
        assert_eq!(info.workers, model.workers() as u64);
        let next = model.next_order().map(|id| self.now.saturating_sub(model.orders[&id].placed_at));
        assert_eq!(info.oldest_waiting_ms, next.unwrap_or(0));
        let work = next.is_some() && model.setting("paused") == 0;
        assert_eq!(self.store.has_work(), work, "whether a worker gets an order");
        assert_eq!((info.next_due, self.store.next_due()), (model.next_due().unwrap_or(0), model.next_due()));
        for (name, number) in METRICS.map(|metric| metric.name).into_iter().zip(self.store.numbers().0) {
            if name == "oldest-waiting-ms" {
                continue;
            }
            assert_eq!(number, model.number(name), "{name}");
        }
        let due = model.sampled.1.then_some(model.sampled.0 + 1_000);
        assert_eq!(self.store.sample_due(1_000, false), due, "the next sample");
        assert_eq!(self.store.workers.last_token(), model.last_token);
        let last = StreamKind::ALL.map(|kind| self.store.last_entry(kind));
        let [orders, complete, journal] = [model.last_orders, model.last_complete, model.last_journal];
        assert_eq!(
            last,
            [orders, complete, journal, model.last_retry, model.last_dead, model.last_metrics, model.last_alerts]
        );
    }
}

fn set(ids: Vec<&[u8]>) -> BTreeSet<Id> {
    ids.into_iter().map(<[u8]>::to_vec).collect()
}
