//! Orders handed to workers: the reply, and the callers who wait for orders ([`super::line`]).

use super::call::Call;
use super::ctx::{Ctx, OwnStr, Str};
use super::keys::write_store;
use super::line::{self, Answer, Ask};
use super::streams::Streams;
use super::value::StoreValue;
use super::{memory, wire, write};
use crate::engine::{Claim, ClaimView, Effects, Ms, Refusal, Store};

/// The command that a caller who waited is replicated as.
const CLAIM: &std::ffi::CStr = c"ORDER.CLAIM";

/// Replies one order: the map that ORDER.CLAIM's documentation names.
pub fn reply(ctx: Ctx, order: &ClaimView<'_>) {
    let number = |name: &[u8], n: u64| {
        ctx.bulk(name);
        ctx.int(n as i64);
    };
    ctx.map(8);
    ctx.bulk(b"order");
    ctx.bulk(order.order);
    number(b"token", order.token);
    number(b"attempt", order.attempt);
    ctx.bulk(b"customer");
    ctx.bulk(order.customer);
    ctx.bulk(b"items");
    ctx.array(order.items.len());
    for (sku, qty) in &order.items {
        ctx.array(2);
        ctx.bulk(sku);
        ctx.int(*qty as i64);
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
struct Handed {
    order: Vec<u8>,
    token: u64,
    attempt: u64,
    customer: Vec<u8>,
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
            items: view.items.iter().map(|(sku, qty)| (sku.to_vec(), *qty)).collect(),
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
            items: self.items.iter().map(|(sku, qty)| (&**sku, *qty)).collect(),
            data: &self.data,
            placed_at: self.placed_at,
            deadline: self.deadline,
        }
    }
}

/// Those who wait for orders of the call's store come before its caller.
pub fn serve_first(call: &Call<'_>) {
    if line::nobody() || call.ctx.denies_blocking() {
        return;
    }
    let uid = write_store(call.ctx, call.key).ok().and_then(|(_, value)| Some(value?.uid));
    if let Some(uid) = uid.filter(|uid| line::anybody(*uid)) {
        serve(call.ctx, call.key, uid, usize::MAX);
    }
}

/// Hands orders to those who wait for them, first come, first served; says how many callers got any. See
/// [`line::Serve`].
pub fn serve(ctx: Ctx, key: Str, uid: u64, most: usize) -> usize {
    let Ok((_key, Some(value))) = write_store(ctx, key) else { return 0 };
    if value.uid != uid {
        return 0;
    }
    let mut answered = 0;
    while answered < most && value.store.has_work() {
        let Some(ask) = line::first(uid) else { break };
        let Ask::Claim { worker, count, lease_ms } = &*ask else { break };
        let claim = Claim { worker, count: *count, lease_ms: *lease_ms };
        line::answer_first(uid, hand_out(ctx, key, value, &claim));
        answered += 1;
    }
    answered
}

fn hand_out(ctx: Ctx, key: Str, value: &mut StoreValue, claim: &Claim<'_>) -> Answer {
    let call = Call { ctx, name: CLAIM, key, rest: &[], stamp: None };
    let handed = change(&call, value, |store, now, fx| {
        let slots = store.claim(now, claim, fx)?;
        Ok(slots.into_iter().map(|slot| Handed::new(&store.claimed(slot))).collect::<Vec<_>>())
    });
    let handed = match handed {
        Ok((now, handed)) => {
            replicate(&call, now, claim);
            handed
        }
        Err(refusal) => return Answer::new(move |ctx| ctx.error(&refusal.to_string())),
    };
    let tokens: Vec<_> = handed.iter().map(|order| (order.order.clone(), order.token)).collect();
    let (db, key, uid) = (ctx.db(), OwnStr::new(key.bytes()), value.uid);
    let answer = Answer::new(move |ctx| {
        ctx.array(handed.len());
        handed.iter().for_each(|order| reply(ctx, &order.view()));
    });
    answer.or_else(move |ctx| {
        if ctx.select(db) {
            take_back(ctx, key.get(), uid, &tokens);
        }
    })
}

/// Changes a store outside any client's command; the time it was changed at, and what came of it. To be replicated by the
/// caller.
fn change<T>(
    call: &Call<'_>,
    value: &mut StoreValue,
    run: impl FnOnce(&mut Store, Ms, &mut Effects) -> Result<T, Refusal>,
) -> Result<(Ms, T), Refusal> {
    let (now, mut effects, before) = (call.now(), Effects::default(), memory::net());
    let result = run(&mut value.store, now, &mut effects);
    value.bytes += memory::net() - before;
    let result = result?;
    let mut streams = Streams::new(call.ctx, call.key, now, true, None);
    write::finish(call, value, &mut streams, &effects);
    Ok((now, result))
}

fn replicate(call: &Call<'_>, now: Ms, claim: &Claim<'_>) {
    let mut words = vec![claim.worker.to_vec(), b"COUNT".to_vec(), claim.count.to_string().into_bytes()];
    if let Some(lease_ms) = claim.lease_ms {
        words.extend([b"LEASE".to_vec(), lease_ms.to_string().into_bytes()]);
    }
    let words: Vec<OwnStr> = words.iter().map(|word| OwnStr::new(word)).collect();
    let words: Vec<Str> = words.iter().map(OwnStr::get).collect();
    wire::replicate(call.ctx, call.key, now, call.name, &words);
}

/// Takes back what was handed to a caller who went away before the reply: the next one in the line gets it.
fn take_back(ctx: Ctx, key: Str, uid: u64, orders: &[(Vec<u8>, u64)]) {
    let Ok((_key, Some(value))) = write_store(ctx, key) else { return };
    if value.uid != uid {
        return;
    }
    let call = Call { ctx, name: wire::TAKE_BACK, key, rest: &[], stamp: None };
    for (order, token) in orders {
        let words = [OwnStr::new(order), OwnStr::new(token.to_string().as_bytes())];
        // Refused where the lease has ended meanwhile, or somebody ended the order: then there is nothing to take back.
        if let Ok((now, ())) = change(&call, value, |store, now, fx| store.take_back(now, order, *token, fx)) {
            wire::replicate(ctx, key, now, wire::TAKE_BACK, &words.each_ref().map(OwnStr::get));
        }
    }
}
