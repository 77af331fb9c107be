//! ORDER.PLACE, ORDER.COMPLETE, ORDER.CANCEL, ORDER.RETURN, ORDER.GET, ORDER.SCAN. The workers' commands: [`super::work`].

use super::args::{Args, scan_count};
use super::reply::{entry, field_int, field_text, field_time, scan};
use super::work::token;
use crate::host::register::{About, Access, Arg};
use crate::host::table::Command;
use crate::host::{Call, Ctx, Stop};
use crate::store::claims::{self, serve_first};
use crate::store::keys::read_store;
use crate::store::streams::EntryWords;
use crate::store::write::{Rule, Written, write};
use holdfast_engine::calls::orders::{Complete, Place, Take};
use holdfast_engine::calls::returns::Return;
use holdfast_engine::calls::work::Claim;
use holdfast_engine::record::history::HistoryEvent;
use holdfast_engine::record::order::OrderView;
use holdfast_engine::store::Store;
use holdfast_engine::terms::refusal::Refusal;
use holdfast_engine::terms::states::OrderState;
use holdfast_engine::terms::streams::StreamKind;

pub const PLACE: Command = Command {
    about: About {
        name: "ORDER.PLACE",
        summary: "Places an order: checks window, limit and stock, takes the units, appends the entry, all or nothing",
        reply: "the id of its entry in `…:orders`; the first one again for the same call again (the same items in any order), `BADSTATE` once the order is cancelled",
        complexity: "O(N) with N items",
        since: "0.1.0",
        flags: "write fast",
        acl: "write fast",
        arity: -6,
        access: Access::Update,
        args: &[
            Arg::key(),
            Arg::text("order"),
            Arg::text("customer"),
            Arg::text("group").after("GROUP"),
            Arg::text("json").after("DATA"),
            Arg::one_of("units", &[Arg::items(), Arg::text("hold").with("HOLD")]),
        ],
    },
    name: c"ORDER.PLACE",
    run: place,
    internal: false,
};

fn place(call: &Call<'_>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let ((order, order_str), (customer, customer_str)) = (args.id_str("order")?, args.id_str("customer")?);
    let (mut group, mut data, mut data_str) = (None, &b""[..], None);
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
        } else if args.keyword("DATA") {
            let (json, string) = args.json("DATA")?;
            (data, data_str) = (json, Some(string));
        } else if args.more() {
            args.unknown()?;
        } else {
            return Err(Refusal::argument("ITEMS", "or HOLD is missing").into());
        }
    };
    let place = Place { order, customer, group, data, take };
    let words = EntryWords { order: order_str, customer: Some(customer_str), text: data_str };
    let new = |store: &Store| store.order_at(order).is_none();
    let rule = Rule { streams: &[StreamKind::Orders], words: Some(&words), takes_in: Some(&new), ..Rule::default() };
    let written = write(call, rule, |store, now, fx| store.place(now, &place, fx))?;
    entry(call.ctx, written.entry());
    Ok(())
}

pub const COMPLETE: Command = Command {
    about: About {
        name: "ORDER.COMPLETE",
        summary: "Completes an order: its units are sold; can hand the worker the next one in the same round trip",
        reply: "the id of its entry in `…:complete`; with CLAIM an array of that and the next order, as ORDER.CLAIM replies it, or nil",
        complexity: "O(N*log(E)) with N items and E ended orders",
        since: "0.1.0",
        flags: "write fast",
        acl: "write fast",
        arity: -3,
        access: Access::Update,
        args: &[
            Arg::key(),
            Arg::text("order"),
            Arg::integer("token").after("TOKEN"),
            Arg::text("json").after("RESULT"),
            Arg::block("claim", &[Arg::text("worker").with("CLAIM"), Arg::integer("lease-ms").after("LEASE")]).opt(),
        ],
    },
    name: c"ORDER.COMPLETE",
    run: complete,
    internal: false,
};

fn complete(call: &Call<'_>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let (order, order_str) = args.id_str("order")?;
    let mut complete = Complete { order, token: None, result: b"" };
    let (mut claim, mut result_str) = (None, None);
    while args.more() {
        if args.keyword("TOKEN") {
            complete.token = Some(token(&mut args)?);
        } else if args.keyword("RESULT") {
            let (json, string) = args.json("RESULT")?;
            (complete.result, result_str) = (json, Some(string));
        } else if args.keyword("CLAIM") {
            let worker = args.id("worker")?;
            let lease_ms = if args.keyword("LEASE") { Some(args.duration("LEASE")?) } else { None };
            claim = Some(Claim { worker, count: 1, lease_ms });
        } else {
            args.unknown()?;
        }
    }
    let streams = &[StreamKind::Orders, StreamKind::Complete];
    let words = EntryWords { order: order_str, customer: None, text: result_str };
    let rule = Rule { streams, leaves: &[StreamKind::Retry], words: Some(&words), ..Rule::default() };
    let Some(claim) = claim else {
        let written = write(call, rule, |store, now, fx| store.complete(now, &complete, fx))?;
        entry(call.ctx, written.entry());
        return Ok(());
    };
    serve_first(call);
    let Written { reply: (id, next), moved } =
        write(call, rule, |store, now, fx| store.complete_and_claim(now, &complete, &claim, fx))?;
    let value = read_store(call.ctx, call.key)?;
    call.ctx.array(2);
    entry(call.ctx, Written { reply: id, moved }.entry());
    match next {
        Some(slot) => claims::reply(call.ctx, &value.store.claimed(slot)),
        None => call.ctx.null(),
    }
    Ok(())
}

pub const CANCEL: Command = Command {
    about: About {
        name: "ORDER.CANCEL",
        summary: "Cancels an open or dead order; replies the units put back",
        reply: "the units put back: 0 of a dead order, whose units went back when it died",
        complexity: "O(N*log(E)) with N items and E ended orders",
        since: "0.1.0",
        flags: "write fast",
        acl: "write fast",
        arity: -3,
        access: Access::Update,
        args: &[Arg::key(), Arg::text("order"), Arg::text("reason").after("REASON")],
    },
    name: c"ORDER.CANCEL",
    run: cancel,
    internal: false,
};

fn cancel(call: &Call<'_>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let order = args.id("order")?;
    let reason = if args.keyword("REASON") { args.text("REASON")? } else { b"" };
    args.end()?;
    let leaves = &[StreamKind::Retry, StreamKind::Dead];
    let rule = Rule { streams: &[StreamKind::Orders], leaves, ..Rule::default() };
    let units = write(call, rule, |store, now, fx| store.cancel(now, order, reason, fx))?.reply;
    call.ctx.int(units as i64);
    Ok(())
}

pub const RETURN: Command = Command {
    about: About {
        name: "ORDER.RETURN",
        summary: "Takes units of a completed order back to on_hand, never more than it had; with SCRAP they are written off instead; an order that is forgotten after keep-ms is returned by naming CUSTOMER and REF",
        reply: "the units that came back. They count as sold no longer and the customer's limit is free of them, with SCRAP too. CUSTOMER: the order has to be of that customer (`MISMATCH`). Of a forgotten order no more comes back than the books say the customer has of the SKU from forgotten orders and committed holds (`BADSTATE`). The REF is remembered for `keep-ms` as any other",
        complexity: "O(N+M) with N items named and M of the order",
        since: "0.1.0",
        flags: "write fast",
        acl: "write fast",
        arity: -6,
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
    name: c"ORDER.RETURN",
    run: return_units,
    internal: false,
};

fn return_units(call: &Call<'_>) -> Result<(), Stop> {
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
        } else if args.more() {
            args.unknown()?;
        } else {
            return Err(Refusal::argument("ITEMS", "is missing").into());
        }
    }
    let items = args.items()?;
    let back = Return { order, customer, reference, scrap, items: &items };
    let units = write(call, Rule::default(), |store, now, fx| store.return_units(now, &back, fx))?.reply;
    call.ctx.int(units as i64);
    Ok(())
}

pub const GET: Command = Command {
    about: About {
        name: "ORDER.GET",
        summary: "Everything known of an order, with its history",
        reply: "a map: `order` `state` `customer` `group` `hold` `items` (maps: `sku` `qty` `returned`) `data` `entry` `placed-at` `ended-at` `complete` `result` (or `reason`: of the cancel or the last failure) `late` (0 or 1) `attempts` (failed ones) `worker` `token` `due` (the end of the lease, or the retry) `step` `version` (of the step) `history` (maps: `event` `at` …: the last 100 things that happened until its end and the last 100 returns, earlier ones added up in a `forgotten` each); nil for what there is not",
        complexity: "O(N) with N items and events",
        since: "0.1.0",
        flags: "readonly fast",
        acl: "read fast",
        arity: 3,
        access: Access::Read,
        args: &[Arg::key(), Arg::text("order")],
    },
    name: c"ORDER.GET",
    run: get,
    internal: false,
};

fn get(call: &Call<'_>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let id = args.id("order")?;
    args.end()?;
    let value = read_store(call.ctx, call.key)?;
    let now = value.time_of(call);
    let view = value.store.order(now, id).ok_or_else(|| Refusal::NoOrder(id.into()))?;
    reply_order(call.ctx, &view);
    Ok(())
}

fn reply_order(ctx: Ctx, order: &OrderView<'_>) {
    ctx.map(20);
    field_text(ctx, "order", order.id);
    field_text(ctx, "state", order.state.name().as_bytes());
    field_text(ctx, "customer", order.customer);
    field_text(ctx, "group", order.group);
    field_text(ctx, "hold", order.hold);
    ctx.bulk(b"items");
    ctx.array(order.items.len());
    for (sku, qty, returned) in &order.items {
        ctx.map(3);
        field_text(ctx, "sku", sku);
        field_int(ctx, "qty", *qty as i64);
        field_int(ctx, "returned", *returned as i64);
    }
    field_text(ctx, "data", order.data);
    ctx.bulk(b"entry");
    entry(ctx, order.entry);
    field_time(ctx, "placed-at", order.placed_at);
    field_time(ctx, "ended-at", order.ended_at);
    ctx.bulk(b"complete");
    match order.complete {
        Some(id) => entry(ctx, id),
        None => ctx.null(),
    }
    let of_failure = matches!(order.state, OrderState::Cancelled | OrderState::Retrying | OrderState::Dead);
    field_text(
        ctx,
        if of_failure || order.attempts > 0 && order.ended_at == 0 { "reason" } else { "result" },
        order.note,
    );
    field_int(ctx, "late", i64::from(order.late));
    reply_work(ctx, order);
    reply_history(ctx, order);
}

/// How far the work on an order is.
fn reply_work(ctx: Ctx, order: &OrderView<'_>) {
    let claimed = order.state == OrderState::Claimed;
    field_int(ctx, "attempts", i64::from(order.attempts));
    field_text(ctx, "worker", order.worker);
    field_time(ctx, "token", if claimed { order.token } else { 0 });
    field_time(ctx, "due", order.due);
    field_text(ctx, "step", order.step);
    field_int(ctx, "version", order.version as i64);
}

/// What happened to the order, first to last: an event, its time, and what there is to say about it.
fn reply_history(ctx: Ctx, order: &OrderView<'_>) {
    let (ended, lost, returns_lost) = (order.ended_at > 0, order.history_lost > 0, order.returns_lost);
    let sums = usize::from(lost) + usize::from(ended) + usize::from(returns_lost.0 > 0);
    ctx.bulk(b"history");
    ctx.array(1 + sums + order.history.len() + order.returns.len());
    begin_event(ctx, "placed", order.placed_at, 0);
    if lost {
        begin_event(ctx, "forgotten", order.placed_at, 1);
        field_int(ctx, "events", order.history_lost as i64);
    }
    order.history.iter().for_each(|event| reply_happening(ctx, event));
    if ended {
        begin_event(ctx, order.state.name(), order.ended_at, 0);
    }
    if returns_lost.0 > 0 {
        begin_event(ctx, "forgotten", order.ended_at, 2);
        field_int(ctx, "returns", returns_lost.0 as i64);
        field_int(ctx, "units", returns_lost.1 as i64);
    }
    for back in order.returns {
        begin_event(ctx, "returned", back.at, 1 + usize::from(back.scrap));
        field_int(ctx, "units", back.units as i64);
        if back.scrap {
            field_int(ctx, "scrap", 1);
        }
    }
}

/// Begins an event with so many fields beside its name and time.
fn begin_event(ctx: Ctx, name: &str, at: u64, fields: usize) {
    ctx.map(2 + fields);
    field_text(ctx, "event", name.as_bytes());
    field_time(ctx, "at", at);
}

fn reply_happening(ctx: Ctx, event: &HistoryEvent<'_>) {
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
    }
}

pub const SCAN: Command = Command {
    about: About {
        name: "ORDER.SCAN",
        summary: "Goes through the orders of a store: of a state, of a customer, late ones",
        reply: "the next cursor (0 at the end) and an array of order ids",
        complexity: "O(N) with COUNT N",
        since: "0.1.0",
        flags: "readonly",
        acl: "read slow",
        arity: -3,
        access: Access::Read,
        args: &[
            Arg::key(),
            Arg::integer("cursor"),
            Arg::text("state").after("STATE"),
            Arg::text("customer").after("CUSTOMER"),
            Arg::word("late", "LATE"),
            Arg::integer("count").after("COUNT"),
        ],
    },
    name: c"ORDER.SCAN",
    run: scan_orders,
    internal: false,
};

fn scan_orders(call: &Call<'_>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let cursor = args.cursor()?;
    let (mut state, mut customer, mut late, mut count) = (None, None, false, None);
    while args.more() {
        if args.keyword("STATE") {
            state = Some(order_state(args.text("STATE")?)?);
        } else if args.keyword("CUSTOMER") {
            customer = Some(args.id("CUSTOMER")?);
        } else if args.keyword("LATE") {
            late = true;
        } else if args.keyword("COUNT") {
            count = Some(args.scan_count()?);
        } else {
            args.unknown()?;
        }
    }
    let value = read_store(call.ctx, call.key)?;
    let now = value.time_of(call);
    scan(call.ctx, value.store.scan_orders(now, cursor, scan_count(count), state, customer, late));
    Ok(())
}

fn order_state(name: &[u8]) -> Result<OrderState, Refusal> {
    OrderState::by_name(name).ok_or_else(|| {
        let known = OrderState::ALL.map(OrderState::name).join(" ");
        Refusal::argument("STATE", format!("is {}, one of {known} was wanted", super::args::shown(name)))
    })
}
