//! Lanes: named parts of the queue, and `STORE.LANES`.

use crate::base::units::Ms;
use crate::store::Store;
use crate::store::lanes::LANES_MAX as MOST;
use crate::terms::refusal::{Refusal, Shown, refuse};
use crate::terms::states::OrderState;

/// The most lanes that orders of a store can be in at a time, next to the default one.
pub const LANES_MAX: usize = MOST;

/// What `STORE.LANES` shows of a lane. Borrowed from the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneView<'a> {
    /// Its name; empty: the default lane.
    pub lane: &'a [u8],
    /// Orders in it that wait for a worker.
    pub queued: u64,
    /// Orders of it that a worker has.
    pub in_work: u64,
    /// Orders of it that failed, and wait for the next attempt.
    pub retrying: u64,
    /// How long ago the order that is next in it was placed, milliseconds; 0: none waits.
    pub oldest_waiting_ms: Ms,
}

impl Store {
    /// Whether a new order can be placed in a lane other than the default one.
    #[cold]
    pub(crate) fn check_lane(&self, lane: &[u8]) -> Result<(), Refusal> {
        if self.orders.lanes().has_room(lane) {
            return Ok(());
        }
        let problem = || format!("must be one of the {MOST} lanes that orders are in, got '{}'", Shown(lane));
        Err(refuse(|| Refusal::argument("LANE", problem())))
    }

    /// The lane of a name, if an order named it; in it, none is the default one.
    pub(crate) fn lane_named(&self, name: &[u8]) -> Option<Option<u32>> {
        if name.is_empty() { Some(None) } else { self.orders.lanes().find(name).map(Some) }
    }

    /// The lanes that orders are in, by name: the default one first.
    pub fn lanes(&self, now: Ms) -> Vec<LaneView<'_>> {
        let lanes = self.orders.lanes();
        let mut default = *self.orders.by_state();
        let mut views = Vec::new();
        for slot in lanes.used() {
            let lane = lanes.records().at(*slot);
            default.iter_mut().zip(lane.by_state).for_each(|(all, own)| *all -= own);
            views.push(self.lane_view(now, Some(*slot), &lane.id, &lane.by_state));
        }
        // What ended in lanes that are not used any more is still in there.
        if OrderState::ALL.into_iter().any(|state| state.is_in_lane() && default[state as usize] > 0) {
            views.push(self.lane_view(now, None, b"", &default));
        }
        views.sort_unstable_by_key(|view| view.lane);
        views
    }

    fn lane_view<'a>(
        &self,
        now: Ms,
        slot: Option<u32>,
        lane: &'a [u8],
        by_state: &[u64; OrderState::COUNT],
    ) -> LaneView<'a> {
        let next = self.queue.next_in(&self.orders, slot).map(|next| self.orders.placed_at(self.orders.at(next)));
        LaneView {
            lane,
            queued: by_state[OrderState::Queued as usize],
            in_work: by_state[OrderState::Claimed as usize],
            retrying: by_state[OrderState::Retrying as usize],
            oldest_waiting_ms: next.map_or(0, |placed_at| now.saturating_sub(placed_at)),
        }
    }

    /// The names of the lanes that have an order for a worker who asks now; the default one is empty.
    pub fn lanes_with_work(&self) -> impl Iterator<Item = &[u8]> {
        let lanes = self.queue.lanes_to_give().filter(|_| self.settings.paused == 0);
        lanes.map(|lane| lane.map_or(&b""[..], |lane| self.orders.lanes().id(lane)))
    }

    /// The lane of the order that workers can get once this one ends: the next of its group.
    pub fn lane_behind(&self, id: &[u8]) -> Option<&[u8]> {
        let next = self.queue.behind(&self.orders, self.orders.find(id)?)?;
        Some(self.orders.lane_id(self.orders.at(next))).filter(|_| self.settings.paused == 0)
    }
}
