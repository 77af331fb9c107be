//! ORDER.PLACE, ORDER.COMPLETE, ORDER.CANCEL, ORDER.RETURN, ORDER.GET, ORDER.SCAN. The commands of workers are in
//! [`super::work`].

use super::args::{Args, scan_count};
use super::gates::{gate_named, reply_gates};
use super::reply::{entry, entry_or_nil, field_int, field_text, field_time, scan};
use super::work::token;
use crate::host::callers::Callers;
use crate::host::register::{About, Access, Arg};
use crate::host::table::Command;
use crate::host::{Call, Host, OwnStr, Stop};
use crate::store::claims::{self, frees_for_others, serve_first};
use crate::store::keys::read_store;
use crate::store::streams::EntryWords;
use crate::store::write::{CANCELS, Rule, Written, write};
use holdfast_engine::calls::orders::{Complete, Place, ScanOrders, Take};
use holdfast_engine::calls::returns::Return;
use holdfast_engine::calls::work::{Claim, ClaimView, Pick};
use holdfast_engine::record::history::HistoryEvent;
use holdfast_engine::record::order::OrderView;
use holdfast_engine::store::Store;
use holdfast_engine::terms::refusal::Refusal;
use holdfast_engine::terms::states::OrderState;
use holdfast_engine::terms::streams::{EntryId, StreamKind};

pub const PLACE: Command = Command {
    about: About {
        name: c"ORDER.PLACE",
        summary: "Places an order: checks sale window, limit and stock, takes the units and appends the stream \
                  entry, all or nothing",
        reply: "the id of its entry in `…:orders`; nil while it is waitlisted or pending. With WAIT, an order of \
                which units are short is `waitlisted`: it takes those that are available, waits for the others in the \
                order the orders came, and is cancelled after `ms` (0 or none: never) with the reason `waitlist \
                expired`; `OUTOFSTOCK` then only names a full backlog (INV.SET … BACKLOG). With GATE (up to 8 times) \
                it is `pending` once it has its units, until every gate is passed (ORDER.PASS); if one is not passed \
                within `ms` (0: no end), it is cancelled with the reason `gate <gate> expired`. The same call sent \
                again (with the items and gates in any order, with or without WAIT) gets the first reply, and \
                `BADSTATE` after the order was cancelled. LANE is the part of the queue that the order waits in \
                (default: `\"\"`): at most 64 others at a time, and one that no order is in is gone",
        complexity: "O(N) with N items",
        since: "0.1.0",
        flags: "write fast",
        access: Access::Update,
        args: &[
            Arg::key(),
            Arg::text("order"),
            Arg::text("customer"),
            Arg::text("group").after("GROUP"),
            Arg::text("lane").after("LANE"),
            Arg::text("json").after("DATA"),
            Arg::block("gate", &[Arg::text("gate"), Arg::integer("ms")]).after("GATE").again(),
            Arg::block("wait", &[Arg::integer("ms").opt()]).after("WAIT"),
            Arg::one_of("units", &[Arg::items(), Arg::text("hold").with("HOLD")]),
        ],
    },
    run: |call| place(call),
};

pub fn place<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let ((order, order_str), (customer, customer_str)) = (args.id_str("order")?, args.id_str("customer")?);
    let (mut group, mut lane, mut data, mut wait_ms) = (None, &b""[..], &b""[..], None);
    let (mut data_str, mut gates) = (None, Vec::new());
    let items;
    let take = loop {
        if args.keyword("ITEMS") {
            items = args.items()?;
            break Take::Items(&items);
        } else if args.keyword("HOLD") {
            let hold = args.id("HOLD")?;
            args.end()?;
            break Take::Hold(hold);
        } else if args.keyword("GROUP") {
            group = Some(args.id("GROUP")?);
        } else if args.keyword("GATE") {
            gates.push(gate_named(&mut args)?);
        } else if args.keyword("LANE") {
            lane = args.lane("LANE")?;
        } else if args.keyword("DATA") {
            let (json, string) = args.json("DATA")?;
            (data, data_str) = (json, Some(string));
        } else if args.keyword("WAIT") {
            wait_ms = Some(args.count_if_any("WAIT")?.unwrap_or(0));
        } else {
            args.needs("ITEMS or HOLD")?;
        }
    };
    let place = Place { order, customer, group, lane, data, gates: &gates, wait_ms, take };
    let words = EntryWords { order: order_str, customer: Some(customer_str), text: data_str };
    let new = |store: &Store| store.order_at(order).is_none();
    let rule = Rule { streams: &[StreamKind::Orders], words: Some(&words), takes_in: Some(&new), ..Rule::default() };
    let written = write(call, rule, |store, now, fx| store.place(now, &place, fx))?;
    entry_or_nil(call.ctx, written.entry());
    Ok(())
}

pub const COMPLETE: Command = Command {
    about: About {
        name: c"ORDER.COMPLETE",
        summary: "Completes an order: its units are sold. Can claim the next order in the same round trip",
        reply: "the id of its entry in `…:complete`; with CLAIM an array of that and the next order, as in the reply \
                of ORDER.CLAIM, or nil",
        complexity: "O(N*log(E)) with N items and E ended orders",
        since: "0.1.0",
        flags: "write fast",
        access: Access::Update,
        args: &[
            Arg::key(),
            Arg::text("order"),
            Arg::integer("token").after("TOKEN"),
            Arg::text("json").after("RESULT"),
            Arg::block("claim", &[Arg::text("worker").with("CLAIM"), Arg::integer("lease-ms").after("LEASE")]).opt(),
        ],
    },
    run: |call| complete(call),
};

/// The arguments of ORDER.COMPLETE.
struct CompleteArgs<'a> {
    complete: Complete<'a>,
    claim: Option<Claim<'a>>,
    words: EntryWords<'a>,
}

impl<'a> CompleteArgs<'a> {
    fn read<H>(call: &Call<'a, H>) -> Result<Self, Refusal> {
        let mut args = Args::new(call);
        let (order, order_str) = args.id_str("order")?;
        let mut complete = Complete { order, token: None, result: b"" };
        let (mut claim, mut words) = (None, EntryWords { order: order_str, customer: None, text: None });
        while args.more() {
            if args.keyword("TOKEN") {
                complete.token = Some(token(&mut args)?);
            } else if args.keyword("RESULT") {
                let (json, string) = args.json("RESULT")?;
                (complete.result, words.text) = (json, Some(string));
            } else if args.keyword("CLAIM") {
                let worker = args.id("worker")?;
                let lease_ms = if args.keyword("LEASE") { Some(args.duration("LEASE")?) } else { None };
                claim = Some(Claim { worker, count: 1, pick: Pick::Any, lease_ms });
            } else {
                args.unknown()?;
            }
        }
        Ok(CompleteArgs { complete, claim, words })
    }
}

pub fn complete<H: Callers>(call: &Call<'_, H>) -> Result<(), Stop> {
    let CompleteArgs { complete, claim, words } = CompleteArgs::read(call)?;
    let streams = &[StreamKind::Orders, StreamKind::Complete];
    let rule = Rule { streams, leaves: &[StreamKind::Retry], words: Some(&words), ..Rule::default() };
    let Some(claim) = claim else {
        let written = write(call, rule, |store, now, fx| store.complete(now, &complete, fx))?;
        entry(call.ctx, written.entry());
        return Ok(());
    };
    let is_behind = !serve_first(call, &Pick::Any) || frees_for_others(call, complete.order);
    if is_behind && !is_completed(call, complete.order)? {
        let words = alone(&complete);
        let rest: Vec<_> = words.iter().map(OwnStr::get).collect();
        let (alone, rule) = (Call { rest: &rest, ..*call }, Rule { stamped: true, ..rule });
        let written = write(&alone, rule, |store, now, fx| store.complete(now, &complete, fx))?;
        reply_completed(call, written.entry(), None);
        return Ok(());
    }
    let Written { reply: (id, next), moved } =
        write(call, rule, |store, now, fx| store.complete_and_claim(now, &complete, &claim, fx))?;
    let value = read_store(call.ctx, call.key)?;
    let next = next.map(|slot| value.store.claimed(slot));
    reply_completed(call, Written { reply: id, moved }.entry(), next.as_ref());
    Ok(())
}

/// The reply of a completion that can claim the next order.
fn reply_completed<H: Host>(call: &Call<'_, H>, id: EntryId, next: Option<&ClaimView<'_>>) {
    call.ctx.array(2);
    entry(call.ctx, id);
    match next {
        Some(next) => claims::reply(call.ctx, next),
        None => call.ctx.null(),
    }
}

/// Whether an order is completed already: then the same call gets the first reply, and claims nothing.
fn is_completed<H: Host>(call: &Call<'_, H>, order: &[u8]) -> Result<bool, Stop> {
    let value = read_store(call.ctx, call.key)?;
    Ok(value.store.order(0, order).is_some_and(|order| order.state == OrderState::Completed))
}

/// The arguments of a completion that claims nothing, as others wait before its caller: it is replicated so.
fn alone(complete: &Complete<'_>) -> Vec<OwnStr> {
    let mut words = vec![OwnStr::new(complete.order)];
    if let Some(token) = complete.token {
        words.extend([OwnStr::new(b"TOKEN"), OwnStr::number(token)]);
    }
    if !complete.result.is_empty() {
        words.extend([OwnStr::new(b"RESULT"), OwnStr::new(complete.result)]);
    }
    words
}

pub const CANCEL: Command = Command {
    about: About {
        name: c"ORDER.CANCEL",
        summary: "Cancels an open or dead order and puts its units back",
        reply: "the units put back: 0 for a dead order, whose units went back when it died; of an order that waits for \
                stock those that it has so far",
        complexity: "O(N*log(E)) with N items and E ended orders",
        since: "0.1.0",
        flags: "write fast",
        access: Access::Update,
        args: &[Arg::key(), Arg::text("order"), Arg::text("reason").after("REASON")],
    },
    run: |call| cancel(call),
};

pub fn cancel<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let order = args.id("order")?;
    let reason = if args.keyword("REASON") { args.text("REASON")? } else { b"" };
    args.end()?;
    let units = write(call, CANCELS, |store, now, fx| store.cancel(now, order, reason, fx))?.reply;
    call.ctx.int(units as i64);
    Ok(())
}

pub const RETURN: Command = Command {
    about: About {
        name: c"ORDER.RETURN",
        summary: "Returns units of a completed order to on-hand, never more than it had; SCRAP writes them off \
                  instead; for a forgotten order name CUSTOMER and REF",
        reply: "the units returned. They no longer count as sold nor towards the customer's limit, with SCRAP too. \
                If CUSTOMER is given, the order must be of that customer (`MISMATCH`). For a forgotten order \
                (`keep-ms`): at most the units of the SKU that the customer has from forgotten orders and committed \
                holds (`BADSTATE`). The REF is remembered for `keep-ms`",
        complexity: "O(N+M) with N items named and M of the order",
        since: "0.1.0",
        flags: "write fast",
        access: Access::Update,
        args: &[
            Arg::key(),
            Arg::text("order"),
            Arg::text("customer").after("CUSTOMER"),
            Arg::text("id").after("REF"),
            Arg::word("scrap", "SCRAP"),
            Arg::items(),
        ],
    },
    run: |call| return_units(call),
};

pub fn return_units<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let order = args.id("order")?;
    let (mut customer, mut reference, mut scrap) = (None, None, false);
    while !args.keyword("ITEMS") {
        if args.keyword("CUSTOMER") {
            customer = Some(args.id("CUSTOMER")?);
        } else if args.keyword("REF") {
            reference = Some(args.id("REF")?);
        } else if args.keyword("SCRAP") {
            scrap = true;
        } else {
            args.needs("ITEMS")?;
        }
    }
    let items = args.items()?;
    let back = Return { order, customer, reference, scrap, items: &items };
    let rule = Rule { frees: true, ..Rule::default() };
    let units = write(call, rule, |store, now, fx| store.return_units(now, &back, fx))?.reply;
    call.ctx.int(units as i64);
    Ok(())
}

pub const GET: Command = Command {
    about: About {
        name: c"ORDER.GET",
        summary: "Returns everything that is known about an order, with its history",
        reply: "a map: `order` `state` `customer` `group` `lane` `hold` `items` (maps: `sku` `qty` `returned` \
                `missing` (units that it still waits for)) `data` `entry` `placed-at` `ended-at` `complete` (the id \
                of its entry there) `result` `reason` (of the cancel, or of the last failure of an order that is not \
                completed) `late` (0 or 1) `attempts` (failed ones) `worker` `token` `due` (when the lease expires, \
                the retry is due, the next gate expires, or it stops waiting for stock) `gates` (maps: `gate` \
                `deadline` `passed` (0 or 1)) `step` `version` (of the step) `history` (maps: `event` `at` …: the \
                last 100 events before the order ended, and the last 100 returns; earlier ones are summed up in a \
                `forgotten` event each). Times are Unix milliseconds; nil for what is not set",
        complexity: "O(N) with N items and events",
        since: "0.1.0",
        flags: "readonly fast",
        access: Access::Read,
        args: &[Arg::key(), Arg::text("order")],
    },
    run: |call| get(call),
};

pub fn get<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let id = args.id("order")?;
    args.end()?;
    let value = read_store(call.ctx, call.key)?;
    let now = value.time_of(call);
    let view = value.store.order(now, id).ok_or_else(|| Refusal::NoOrder(id.into()))?;
    reply_order(call.ctx, &view);
    Ok(())
}

fn reply_order(ctx: impl Host, order: &OrderView<'_>) {
    ctx.map(23);
    field_text(ctx, "order", order.id);
    field_text(ctx, "state", order.state.name().as_bytes());
    field_text(ctx, "customer", order.customer);
    field_text(ctx, "group", order.group);
    ctx.bulk(b"lane");
    ctx.bulk(order.lane);
    field_text(ctx, "hold", order.hold);
    ctx.bulk(b"items");
    ctx.array(order.items.len());
    for item in &order.items {
        ctx.map(4);
        field_text(ctx, "sku", item.sku);
        field_int(ctx, "qty", item.qty as i64);
        field_int(ctx, "returned", item.returned as i64);
        field_int(ctx, "missing", item.missing as i64);
    }
    field_text(ctx, "data", order.data);
    ctx.bulk(b"entry");
    entry_or_nil(ctx, order.entry);
    field_time(ctx, "placed-at", order.placed_at);
    field_time(ctx, "ended-at", order.ended_at);
    ctx.bulk(b"complete");
    entry_or_nil(ctx, order.complete);
    field_text(ctx, "result", order.result);
    field_text(ctx, "reason", order.reason);
    field_int(ctx, "late", i64::from(order.late));
    reply_work(ctx, order);
    reply_history(ctx, order);
}

/// How far the work on an order is.
fn reply_work(ctx: impl Host, order: &OrderView<'_>) {
    let claimed = order.state == OrderState::Claimed;
    field_int(ctx, "attempts", i64::from(order.attempts));
    field_text(ctx, "worker", order.worker);
    field_time(ctx, "token", if claimed { order.token } else { 0 });
    field_time(ctx, "due", order.due);
    reply_gates(ctx, &order.gates);
    field_text(ctx, "step", order.step);
    field_int(ctx, "version", order.version as i64);
}

/// What happened to the order, first to last: each event with its time and details.
fn reply_history(ctx: impl Host, order: &OrderView<'_>) {
    let (ended, lost, returns_lost) = (order.ended_at > 0, order.history_lost > 0, order.returns_lost);
    let sums = usize::from(lost) + usize::from(ended) + usize::from(returns_lost.count > 0);
    ctx.bulk(b"history");
    ctx.array(1 + sums + order.history.len() + order.returns.len());
    begin_event(ctx, "placed", order.placed_at, 0);
    if lost {
        begin_event(ctx, "forgotten", order.placed_at, 1);
        field_int(ctx, "events", order.history_lost as i64);
    }
    order.history.iter().for_each(|event| reply_event(ctx, event));
    if ended {
        begin_event(ctx, order.state.name(), order.ended_at, 0);
    }
    if returns_lost.count > 0 {
        begin_event(ctx, "forgotten", order.ended_at, 2);
        field_int(ctx, "returns", returns_lost.count as i64);
        field_int(ctx, "units", returns_lost.units as i64);
    }
    for back in order.returns {
        begin_event(ctx, "returned", back.at, 1 + usize::from(back.scrap));
        field_int(ctx, "units", back.units as i64);
        if back.scrap {
            field_int(ctx, "scrap", 1);
        }
    }
}

/// Begins the map of an event that has this many fields after its name and time.
fn begin_event(ctx: impl Host, name: &str, at: u64, fields: usize) {
    ctx.map(2 + fields);
    field_text(ctx, "event", name.as_bytes());
    field_time(ctx, "at", at);
}

fn reply_event(ctx: impl Host, event: &HistoryEvent<'_>) {
    match *event {
        HistoryEvent::Claimed { at, worker, token, attempt } => {
            begin_event(ctx, "claimed", at, 3);
            field_text(ctx, "worker", worker);
            field_int(ctx, "token", token as i64);
            field_int(ctx, "attempt", attempt as i64);
        }
        HistoryEvent::Failed { at, attempt, due, reason } => {
            begin_event(ctx, "failed", at, 3);
            field_int(ctx, "attempt", attempt as i64);
            field_time(ctx, "due", due);
            field_text(ctx, "reason", reason);
        }
        HistoryEvent::LeaseEnded { at, attempt } => {
            begin_event(ctx, "lease-ended", at, 1);
            field_int(ctx, "attempt", attempt as i64);
        }
        HistoryEvent::Yielded { at } => begin_event(ctx, "yielded", at, 0),
        HistoryEvent::Dead { at, reason } => {
            begin_event(ctx, "dead", at, 1);
            field_text(ctx, "reason", reason);
        }
        HistoryEvent::Redriven { at } => begin_event(ctx, "redriven", at, 0),
        HistoryEvent::Step { at, step, version } => {
            begin_event(ctx, "step", at, 2);
            field_text(ctx, "step", step);
            field_int(ctx, "version", version as i64);
        }
        HistoryEvent::Gathered { at } => begin_event(ctx, "gathered", at, 0),
        HistoryEvent::Edited { at, units } => {
            begin_event(ctx, "edited", at, 1);
            field_int(ctx, "units", units as i64);
        }
        HistoryEvent::Split { at, units, into } => {
            begin_event(ctx, "split", at, 2);
            field_int(ctx, "units", units as i64);
            field_text(ctx, "into", into);
        }
        HistoryEvent::SplitOff { at, units, from } => {
            begin_event(ctx, "split-off", at, 2);
            field_int(ctx, "units", units as i64);
            field_text(ctx, "from", from);
        }
        HistoryEvent::Gated { at, gate, until } => {
            begin_event(ctx, "gated", at, 2);
            field_text(ctx, "gate", gate);
            field_time(ctx, "deadline", until);
        }
        HistoryEvent::Passed { at, gate } => {
            begin_event(ctx, "passed", at, 1);
            field_text(ctx, "gate", gate);
        }
    }
}

pub const SCAN: Command = Command {
    about: About {
        name: c"ORDER.SCAN",
        summary: "Iterates over the orders of a store: all, of one state, customer or lane, or late ones",
        reply: "an array of the next cursor (0 at the end) and an array of order ids",
        complexity: "O(N) with COUNT N",
        since: "0.1.0",
        flags: "readonly",
        access: Access::Read,
        args: &[
            Arg::key(),
            Arg::integer("cursor"),
            Arg::text("state").after("STATE"),
            Arg::text("customer").after("CUSTOMER"),
            Arg::text("lane").after("LANE"),
            Arg::word("late", "LATE"),
            Arg::integer("count").after("COUNT"),
        ],
    },
    run: |call| scan_orders(call),
};

pub fn scan_orders<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let cursor = args.cursor()?;
    let (mut wanted, mut count) = (ScanOrders::default(), None);
    while args.more() {
        if args.keyword("STATE") {
            wanted.state = Some(order_state(args.text("STATE")?)?);
        } else if args.keyword("CUSTOMER") {
            wanted.customer = Some(args.id("CUSTOMER")?);
        } else if args.keyword("LANE") {
            wanted.lane = Some(args.lane("LANE")?);
        } else if args.keyword("LATE") {
            wanted.late = true;
        } else if args.keyword("COUNT") {
            count = Some(args.scan_count()?);
        } else {
            args.unknown()?;
        }
    }
    let value = read_store(call.ctx, call.key)?;
    let now = value.time_of(call);
    scan(call.ctx, value.store.scan_orders(now, cursor, scan_count(count), &wanted));
    Ok(())
}

fn order_state(name: &[u8]) -> Result<OrderState, Refusal> {
    OrderState::by_name(name).ok_or_else(|| {
        let known = OrderState::ALL.map(OrderState::name).join(" ");
        Refusal::argument("STATE", format!("must be one of {known}, got {}", super::args::shown(name)))
    })
}
