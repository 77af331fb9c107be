//! A store with a clock, and the checks that hold after every call, whatever a test is about.

use super::command::{Command, Reply};
use super::published::Published;
use crate::base::units::Ms;
use crate::books::image::load::Loader;
use crate::record::history::HistoryEvent;
use crate::record::hold::HoldItemView;
use crate::record::order::{OrderItemView, OrderView};
use crate::record::sku::SkuView;
use crate::store::Store;
use crate::terms::audit::Difference;
use crate::terms::effects::{Effect, Effects, Event};
use crate::terms::refusal::Refusal;
use crate::terms::states::OrderState;

/// Where tests start their clock: some time in 2023.
pub const START: Ms = 1_700_000_000_000;

/// A store under test.
pub struct Shop {
    pub store: Store,
    pub now: Ms,
    /// What the last call did.
    pub fx: Effects,
}

/// Starts an audit and runs it to its end, `slice` records at a time.
pub fn audited(store: &mut Store, slice: u32) -> Vec<Difference> {
    store.audit_start();
    loop {
        if let Some(differences) = store.audit_slice(slice) {
            return differences;
        }
    }
}

/// The store as an image, a piece an element.
pub fn saved(store: &Store) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    store.save(&mut |piece| pieces.push(piece.to_vec()));
    pieces
}

/// The store of an image, or why there is none.
pub fn loaded(pieces: &[Vec<u8>], seed: u64) -> Result<Box<Store>, String> {
    let mut loader = Loader::new(seed);
    for (i, piece) in pieces.iter().enumerate() {
        match loader.piece(piece).map_err(|corrupt| corrupt.to_string())? {
            Ok(store) if i + 1 == pieces.len() => return Ok(store),
            Ok(_) => return Err("pieces behind the end".into()),
            Err(next) => loader = next,
        }
    }
    Err("no end".into())
}

impl Shop {
    pub fn new() -> Shop {
        Shop { store: Store::new(7), now: START, fx: Effects::default() }
    }

    /// A shop that has `on_hand` of each SKU.
    pub fn with(stock: &[(&str, u64)]) -> Shop {
        let mut shop = Shop::new();
        for (sku, on_hand) in stock {
            shop.ok(super::build::set(sku, *on_hand));
        }
        shop
    }

    /// Makes a call, and checks what holds for every call: one that is refused or repeated changes nothing and asks for
    /// nothing, and the books balance.
    pub fn call(&mut self, command: Command) -> Result<Reply, Refusal> {
        let before = self.store.digest();
        self.fx = Effects::default();
        let reply = command.apply(&mut self.store, self.now, &mut self.fx);
        if reply.is_err() {
            assert!(!self.fx.changed, "{command:?} was refused and says it changed something");
        }
        if !self.fx.changed {
            assert_eq!(self.store.digest(), before, "{command:?} says it changed nothing");
            assert!(self.fx.list.is_empty(), "{command:?} changed nothing and asks for {:?}", self.fx.list);
        }
        assert_eq!(audited(&mut self.store, 3), [], "after {command:?}");
        reply
    }

    /// Makes a call that has to succeed.
    #[track_caller]
    pub fn ok(&mut self, command: Command) -> Reply {
        self.call(command.clone()).unwrap_or_else(|refusal| panic!("{command:?} was refused: {refusal}"))
    }

    /// Makes a call that has to change something.
    #[track_caller]
    pub fn changes(&mut self, command: Command) -> Reply {
        let reply = self.ok(command.clone());
        assert!(self.fx.changed, "{command:?} changed nothing");
        reply
    }

    /// Makes a call that has to be taken for a repeated one.
    #[track_caller]
    pub fn repeats(&mut self, command: Command) -> Reply {
        let reply = self.ok(command.clone());
        assert!(!self.fx.changed, "{command:?} changed something");
        reply
    }

    /// Makes a call that has to be refused; the whole text.
    #[track_caller]
    pub fn refused(&mut self, command: Command) -> String {
        match self.call(command.clone()) {
            Ok(reply) => panic!("{command:?} was not refused: {reply:?}"),
            Err(refusal) => refusal.to_string(),
        }
    }

    /// Lets time pass, and does all that is due.
    pub fn wait(&mut self, ms: Ms) {
        self.now += ms;
        self.call(super::build::sweep(u64::MAX)).expect("a sweep is never refused");
    }

    /// Saves the store and goes on with what was loaded.
    pub fn reload(&mut self) {
        let digest = self.store.digest();
        self.store = *loaded(&saved(&self.store), 99).expect("a saved store loads");
        assert_eq!(self.store.digest(), digest, "a loaded store is the one that was saved");
    }

    #[track_caller]
    pub fn sku(&self, id: &str) -> SkuView {
        self.store.sku(id.as_bytes()).unwrap_or_else(|| panic!("no SKU {id}"))
    }

    /// on_hand, held, sold of a SKU.
    #[track_caller]
    pub fn books(&self, id: &str) -> (u64, u64, u64) {
        let sku = self.sku(id);
        (sku.on_hand, sku.held, sku.sold)
    }

    /// Everything known of an order.
    #[track_caller]
    pub fn order(&self, id: &str) -> OrderView<'_> {
        self.store.order(self.now, id.as_bytes()).unwrap_or_else(|| panic!("no order {id}"))
    }

    #[track_caller]
    pub fn state(&self, id: &str) -> OrderState {
        self.order(id).state
    }

    /// The token an order is claimed under.
    #[track_caller]
    pub fn token(&self, id: &str) -> u64 {
        let token = self.order(id).token;
        assert_ne!(token, 0, "{id} is not claimed");
        token
    }

    /// Lets a worker claim up to so many orders; the ids of those it gets.
    #[track_caller]
    pub fn claims(&mut self, worker: &str, count: usize) -> Vec<String> {
        match self.ok(super::build::claim(worker, count)) {
            Reply::Claimed(list) => list.into_iter().map(|(id, _)| String::from_utf8_lossy(&id).into_owned()).collect(),
            other => panic!("a claim replied {other:?}"),
        }
    }

    /// What happened to an order, as short as it goes.
    #[track_caller]
    pub fn story(&self, id: &str) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let tell = |event: &HistoryEvent| match *event {
            HistoryEvent::Claimed { worker, attempt, .. } => {
                format!("claimed by {} for attempt {attempt}", text(worker))
            }
            HistoryEvent::Failed { attempt, reason, .. } => format!("attempt {attempt} failed: {}", text(reason)),
            HistoryEvent::LeaseEnded { attempt, .. } => format!("lease of attempt {attempt} ended"),
            HistoryEvent::Yielded { .. } => "yielded".to_string(),
            HistoryEvent::Dead { reason, .. } => format!("dead: {}", text(reason)),
            HistoryEvent::Redriven { .. } => "redriven".to_string(),
            HistoryEvent::Step { step, version, .. } => format!("step {version}: {}", text(step)),
            HistoryEvent::Gathered { .. } => "gathered".to_string(),
            HistoryEvent::Edited { units, .. } => format!("edited to {units}"),
            HistoryEvent::Split { units, into, .. } => format!("{units} split into {}", text(into)),
            HistoryEvent::SplitOff { units, from, .. } => format!("{units} split off {}", text(from)),
            HistoryEvent::Gated { gate, .. } => format!("gate {}", text(gate)),
            HistoryEvent::Passed { gate, .. } => format!("passed {}", text(gate)),
        };
        self.order(id).history.iter().map(tell).collect()
    }

    /// What the last call did to streams.
    pub fn published(&self) -> Vec<Published> {
        let published = super::published::published(&self.store, &self.fx);
        published
            .into_iter()
            .filter(|published| !matches!(published, Published::Event(_) | Published::Moved(_) | Published::Alert(_)))
            .collect()
    }

    /// The events of the last call.
    pub fn events(&self) -> Vec<Event> {
        let event = |effect: &Effect| if let Effect::Event(event) = effect { Some(*event) } else { None };
        self.fx.list.iter().filter_map(event).collect()
    }
}

/// Short in a test: SKU, units reserved, units left, units committed.
impl PartialEq<(&[u8], u64, u64, u64)> for HoldItemView<'_> {
    fn eq(&self, other: &(&[u8], u64, u64, u64)) -> bool {
        (self.sku, self.qty, self.left, self.committed) == *other
    }
}

/// Short in a test: SKU, units, units that came back.
impl PartialEq<(&[u8], u64, u64)> for OrderItemView<'_> {
    fn eq(&self, other: &(&[u8], u64, u64)) -> bool {
        (self.sku, self.qty, self.returned) == *other
    }
}
