//! ORDER.EDIT, ORDER.SPLIT: orders that change after they were placed.

use super::args::Args;
use super::reply::entry_or_nil;
use super::work::token;
use crate::host::register::{About, Access, Arg};
use crate::host::table::Command;
use crate::host::{Call, Host, Stop};
use crate::store::write::{Rule, write};
use holdfast_engine::calls::edits;
use holdfast_engine::terms::streams::StreamKind;

pub const EDIT: Command = Command {
    about: About {
        name: c"ORDER.EDIT",
        summary: "Gives an open order exactly these items, all or none: what is added is taken as by ORDER.PLACE, what \
                  it gives up is put back, or with LOST written off",
        reply: "the units that the order has now. It keeps its place in the queue, its age and its first reply to \
                ORDER.PLACE; its entry in `…:orders` is replaced by one with the new items. The sale window is not \
                checked again. An order that a worker has needs its TOKEN (`FENCED`). One that waits for stock gives \
                up first what it lacks, and waits for what is added at its place in the lines, within the backlog. \
                The same call sent again changes nothing; with REF also after later edits, for `keep-ms`",
        complexity: "O((N+M)*log(N+M)) with N items named and M of the order",
        since: "0.2.0",
        flags: "write fast",
        access: Access::Update,
        args: &[
            Arg::key(),
            Arg::text("order"),
            Arg::integer("token").after("TOKEN"),
            Arg::text("id").after("REF"),
            Arg::word("lost", "LOST"),
            Arg::items(),
        ],
    },
    run: |call| edit(call),
};

pub fn edit<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let order = args.id("order")?;
    let mut edit = edits::Edit { order, token: None, reference: None, lost: false, items: &[] };
    while !args.keyword("ITEMS") {
        if args.keyword("TOKEN") {
            edit.token = Some(token(&mut args)?);
        } else if args.keyword("REF") {
            edit.reference = Some(args.id("REF")?);
        } else if args.keyword("LOST") {
            edit.lost = true;
        } else {
            args.needs("ITEMS")?;
        }
    }
    let items = args.items()?;
    let edit = edits::Edit { items: &items, ..edit };
    let rule = Rule { streams: &[StreamKind::Orders], ..Rule::default() };
    let units = write(call, rule, |store, now, fx| store.edit(now, &edit, fx))?.reply;
    call.ctx.int(units as i64);
    Ok(())
}

pub const SPLIT: Command = Command {
    about: About {
        name: c"ORDER.SPLIT",
        summary: "Moves units of an open order into an order of their own, of the same customer, group, data and \
                  time placed, without letting go of them",
        reply: "the id of the new order's entry in `…:orders`. The new order is queued behind those that wait; the \
                other one keeps its place, and at least one unit. Without LANE it waits in the lane of the other. A \
                part of a pending order is pending, behind gates of its own that are as those of the other. Of an \
                order that waits for stock, the part gets first what is gathered; whichever has all its units waits no \
                longer, and both keep its place in the lines, the order before its part. The reply is nil then, unless \
                the part is queued at once. An order that a worker has needs its TOKEN (`FENCED`). The same call sent \
                again gets the first reply, and `BADSTATE` after the new order was cancelled",
        complexity: "O((N+M)*log(N+M)) with N items named and M of the order",
        since: "0.2.0",
        flags: "write fast",
        access: Access::Update,
        args: &[
            Arg::key(),
            Arg::text("order"),
            Arg::text("new-order"),
            Arg::integer("token").after("TOKEN"),
            Arg::text("lane").after("LANE"),
            Arg::items(),
        ],
    },
    run: |call| split(call),
};

pub fn split<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let mut args = Args::new(call);
    let (order, new_order, mut named) = (args.id("order")?, args.id("new-order")?, None);
    let mut lane = None;
    while !args.keyword("ITEMS") {
        if args.keyword("TOKEN") {
            named = Some(token(&mut args)?);
        } else if args.keyword("LANE") {
            lane = Some(args.lane("LANE")?);
        } else {
            args.needs("ITEMS")?;
        }
    }
    let items = args.items()?;
    let split = edits::Split { order, new_order, token: named, lane, items: &items };
    let rule = Rule { streams: &[StreamKind::Orders], ..Rule::default() };
    let written = write(call, rule, |store, now, fx| store.split(now, &split, fx))?;
    entry_or_nil(call.ctx, written.entry());
    Ok(())
}
