//! Orders handed to workers: the reply, and the callers who wait for orders ([`crate::host::callers`]).

use super::keys::{own_store, read_store, write_store};
use super::value::StoreValue;
use super::wire;
use super::write::{QUIET, Rule, change, sweep_before};
use crate::host::callers::{self, ANSWERS_A_PIECE, Answer, Ask, Callers, Kind, Serve};
use crate::host::{Call, Host, OwnStr, Stop, Str};
use holdfast_engine::base::units::Ms;
use holdfast_engine::calls::work::{Claim, ClaimView, Pick, Slots};
use holdfast_engine::terms::items::Item;

/// What is done for callers who wait: no client's command as it came, and it moves no stock.
const OURS: Rule<'_> = Rule { stamped: true, ..QUIET };

/// Replies one order: the map that ORDER.CLAIM's documentation names.
pub fn reply(ctx: impl Host, order: &ClaimView<'_>) {
    let number = |name: &[u8], n: u64| {
        ctx.bulk(name);
        ctx.int(n as i64);
    };
    ctx.map(9);
    ctx.bulk(b"order");
    ctx.bulk(order.order);
    number(b"token", order.token);
    number(b"attempt", order.attempt);
    ctx.bulk(b"customer");
    ctx.bulk(order.customer);
    ctx.bulk(b"lane");
    ctx.bulk(order.lane);
    ctx.bulk(b"items");
    ctx.array(order.items.len());
    for item in &order.items {
        ctx.array(2);
        ctx.bulk(item.sku);
        ctx.int(item.qty as i64);
    }
    ctx.bulk(b"data");
    if order.data.is_empty() {
        ctx.null();
    } else {
        ctx.bulk(order.data);
    }
    number(b"placed-at", order.placed_at);
    number(b"deadline", order.deadline);
}

/// An order in the hands of a caller whose reply is on its way: the store may have changed by then.
pub struct Handed {
    pub order: Vec<u8>,
    pub token: u64,
    attempt: u64,
    customer: Vec<u8>,
    lane: Vec<u8>,
    items: Vec<(Vec<u8>, u64)>,
    data: Vec<u8>,
    placed_at: Ms,
    deadline: Ms,
}

impl Handed {
    fn new(view: &ClaimView<'_>) -> Self {
        Handed {
            order: view.order.to_vec(),
            token: view.token,
            attempt: view.attempt,
            customer: view.customer.to_vec(),
            lane: view.lane.to_vec(),
            items: view.items.iter().map(|item| (item.sku.to_vec(), item.qty)).collect(),
            data: view.data.to_vec(),
            placed_at: view.placed_at,
            deadline: view.deadline,
        }
    }

    fn view(&self) -> ClaimView<'_> {
        ClaimView {
            order: &self.order,
            token: self.token,
            attempt: self.attempt,
            customer: &self.customer,
            lane: &self.lane,
            items: self.items.iter().map(|(sku, qty)| Item { sku, qty: *qty }).collect(),
            data: &self.data,
            placed_at: self.placed_at,
            deadline: self.deadline,
        }
    }
}

/// What a caller who waits for orders asked for.
pub struct Wanted {
    worker: Vec<u8>,
    count: usize,
    /// The lanes it takes orders of; empty: all.
    lanes: Vec<Vec<u8>>,
    lease_ms: Option<Ms>,
}

impl<K: Kind> Ask<K> for Wanted {
    fn serve(&self) -> Serve<K> {
        fn of<K: Kind>(ctx: K::Ctx<'_>, key: Str<'_>, uid: u64, most: usize) -> usize {
            serve(ctx, key, uid, most)
        }
        of::<K>
    }

    fn nothing(&self, ctx: K::Ctx<'_>) {
        ctx.array(0);
    }

    fn parts(&self) -> &[Vec<u8>] {
        &self.lanes
    }
}

/// Has the caller wait for orders of the store `uid`, milliseconds; 0 for ever.
pub fn wait<H: Callers>(call: &Call<'_, H>, uid: u64, claim: &Claim<'_>, block_ms: Ms) -> Stop {
    let lanes = if let Pick::Lanes(lanes) = claim.pick { lanes } else { &[] };
    let lanes = lanes.iter().map(|lane| lane.to_vec()).collect();
    let wanted = Wanted { worker: claim.worker.to_vec(), count: claim.count, lanes, lease_ms: claim.lease_ms };
    callers::wait(call, uid, wanted, block_ms)
}

/// Those who wait for orders of the call's store come before its caller: as many of them as a turn has time for. Says
/// whether it is the caller's turn then, who wants what `pick` says: if not, there is nothing for it yet.
pub fn serve_first<H: Callers>(call: &Call<'_, H>, pick: &Pick<'_>) -> bool {
    if !call.ctx.is_anybody_waiting() || call.ctx.flags().deny_blocking() {
        return true;
    }
    let Some(uid) = waited_for(call) else { return true };
    let turn = call.ctx.begin_turn();
    while serve(call.ctx, call.key, uid, ANSWERS_A_PIECE) == ANSWERS_A_PIECE {
        if callers::is_over(call.ctx, turn) {
            return !is_behind(call, uid, pick);
        }
    }
    true
}

/// Whether the end of an order makes another one available that somebody waits for: the next of its group is for them,
/// and not for the caller who ends it.
pub fn frees_for_others<H: Callers>(call: &Call<'_, H>, order: &[u8]) -> bool {
    if !call.ctx.is_anybody_waiting() || call.ctx.flags().deny_blocking() {
        return false;
    }
    let Ok(value) = read_store(call.ctx, call.key) else { return false };
    let lane = value.store.lane_behind(order);
    callers::first_of::<Wanted, H>(call.ctx, value.uid, lane.into_iter()).is_some()
}

/// The store of the call, if somebody waits for it. What is due by now is done: an order that comes back by it is for
/// those who wait, too.
fn waited_for<H: Callers>(call: &Call<'_, H>) -> Option<u64> {
    let mut value = write_store(call.ctx, call.key).ok()?.store().ok()?;
    let uid = Some(value.uid).filter(|uid| call.ctx.is_waited_for(*uid))?;
    let now = value.time_of(call);
    sweep_before(call, &mut value, now);
    Some(uid)
}

/// Whether somebody waits for orders that a caller wants.
fn is_behind<H: Callers>(call: &Call<'_, H>, uid: u64, pick: &Pick<'_>) -> bool {
    let Some(value) = own_store(call.ctx, call.key, uid) else { return false };
    let wanted = |lane: &&[u8]| if let Pick::Lanes(lanes) = pick { lanes.contains(lane) } else { true };
    callers::first_of::<Wanted, H>(call.ctx, uid, value.store.lanes_with_work().filter(wanted)).is_some()
}

/// Hands orders to those who wait for them, first come, first served; says how many callers got any ([`Serve`]).
fn serve<H: Callers>(ctx: H, key: Str<'_>, uid: u64, most: usize) -> usize {
    let Some(mut value) = own_store(ctx, key, uid) else { return 0 };
    let mut answered = 0;
    while answered < most && value.store.has_work() {
        let first = callers::first_of::<Wanted, H>(ctx, uid, value.store.lanes_with_work());
        let Some((number, wanted)) = first else { break };
        let lanes: Vec<&[u8]> = wanted.lanes.iter().map(Vec::as_slice).collect();
        let pick = if lanes.is_empty() { Pick::Any } else { Pick::Lanes(&lanes) };
        let claim = Claim { worker: &wanted.worker, count: wanted.count, pick, lease_ms: wanted.lease_ms };
        callers::answer(ctx, uid, number, answer(ctx, key, &mut value, &claim));
        answered += 1;
    }
    answered
}

/// Hands orders out, and makes the answer of it.
fn answer<H: Callers>(ctx: H, key: Str<'_>, value: &mut StoreValue, claim: &Claim<'_>) -> Answer<H::Kind> {
    let handed = match hand_out(ctx, key, value, claim) {
        Ok(handed) => handed,
        Err(stop) => return Answer::<H::Kind>::new(move |ctx| ctx.error(&stop.text().unwrap_or_default())),
    };
    let (db, key, uid) = (ctx.db(), OwnStr::new(key.bytes()), value.uid);
    let tokens: Vec<_> = handed.iter().map(|order| (order.order.clone(), order.token)).collect();
    let answer = Answer::<H::Kind>::new(move |ctx| {
        ctx.array(handed.len());
        handed.iter().for_each(|order| reply(ctx, &order.view()));
    });
    answer.or_else(move |ctx| {
        if ctx.select(db) {
            take_back(ctx, key.get(), uid, &tokens);
        }
    })
}

pub fn hand_out(host: impl Host, key: Str<'_>, value: &mut StoreValue, claim: &Claim<'_>) -> Result<Vec<Handed>, Stop> {
    let words = words(claim);
    let rest: Vec<_> = words.iter().map(OwnStr::get).collect();
    let call = Call { ctx: host, name: c"ORDER.CLAIM", key, rest: &rest, stamp: None };
    let now = value.time_of(&call);
    let mut slots = Slots::with_capacity(claim.count);
    change(&call, OURS, value, now, |store, now, fx| store.claim(now, claim, fx).map(|claimed| slots.extend(claimed)))?;
    Ok(slots.into_iter().map(|slot| Handed::new(&value.store.claimed(slot))).collect())
}

/// A claim as the command that a caller who waited is replicated as: without BLOCK.
fn words(claim: &Claim<'_>) -> Vec<OwnStr> {
    let mut words = vec![OwnStr::new(claim.worker), OwnStr::new(b"COUNT"), OwnStr::number(claim.count as u64)];
    if let Some(lease_ms) = claim.lease_ms {
        words.extend([OwnStr::new(b"LEASE"), OwnStr::number(lease_ms)]);
    }
    if let Pick::Lanes(lanes) = claim.pick {
        words.extend([OwnStr::new(b"LANES"), OwnStr::number(lanes.len() as u64)]);
        words.extend(lanes.iter().map(|lane| OwnStr::new(lane)));
    }
    words
}

/// Takes back what was handed to a caller who went away before the reply: the next one in the queue gets it.
pub fn take_back(host: impl Host, key: Str<'_>, uid: u64, orders: &[(Vec<u8>, u64)]) {
    let Some(mut value) = own_store(host, key, uid) else { return };
    for (order, token) in orders {
        let words = [OwnStr::new(order), OwnStr::number(*token)];
        let rest = words.each_ref().map(OwnStr::get);
        let call = Call { ctx: host, name: wire::TAKE_BACK, key, rest: &rest, stamp: None };
        // Refused where the lease has expired meanwhile, or somebody ended the order: then nothing is to be taken back.
        let now = value.time_of(&call);
        let _ = change(&call, OURS, &mut value, now, |store, now, fx| store.take_back(now, order, *token, fx));
    }
}
