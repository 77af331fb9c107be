//! Commands in the words of a client, and what a reply has to be.

use std::ffi::CStr;

use crate::host::simulated::{Bytes, Part};
use holdfast_engine::calls::stock::Synced;
use holdfast_engine::calls::work::Failure;
use holdfast_engine::oracle::command::{Command, Id, Lines, Picked, Reply, Source};
use holdfast_engine::terms::states::OrderState;
use holdfast_engine::terms::streams::EntryId;

/// The arguments of a command, put together.
#[derive(Default)]
struct Words(Vec<Bytes>);

impl Words {
    fn id(mut self, id: &[u8]) -> Self {
        self.0.push(id.to_vec());
        self
    }

    fn number(self, number: impl ToString) -> Self {
        self.id(number.to_string().as_bytes())
    }

    fn word(self, word: &str) -> Self {
        self.id(word.as_bytes())
    }

    fn word_if(self, word: &str, is_given: bool) -> Self {
        if is_given { self.word(word) } else { self }
    }

    fn option(self, word: &str, id: Option<&Id>) -> Self {
        match id {
            Some(id) => self.word(word).id(id),
            None => self,
        }
    }

    /// An option that is left out where it is empty.
    fn text(self, word: &str, text: &Id) -> Self {
        self.option(word, Some(text).filter(|text| !text.is_empty()))
    }

    fn option_number(self, word: &str, number: Option<u64>) -> Self {
        match number {
            Some(number) => self.word(word).number(number),
            None => self,
        }
    }

    fn items(self, items: &Lines) -> Self {
        items.iter().fold(self.word("ITEMS"), |words, (sku, qty)| words.id(sku).number(qty))
    }
}

/// A command as a client sends it; none, if no client can.
pub fn words(command: &Command) -> Option<(&'static CStr, Vec<Bytes>)> {
    let words = Words::default();
    let (name, words) = match command {
        Command::Configure(fields) => (
            c"STORE.SET",
            fields.iter().fold(words, |words, (field, value)| {
                let words = words.word(field.name());
                match (field.is_switch(), value) {
                    (true, 0) => words.word("no"),
                    (true, 1) => words.word("yes"),
                    _ => words.number(value),
                }
            }),
        ),
        Command::SetStock { .. } | Command::Adjust { .. } | Command::Sync { .. } => of_stock(command),
        Command::Reserve { .. } | Command::Extend { .. } | Command::Close { .. } => of_hold(command),
        Command::Place { .. } => (c"ORDER.PLACE", placed(command)),
        Command::Gate { order, gate, ms } => (c"ORDER.GATE", words.id(order).id(gate).number(ms)),
        Command::Pass { order, gate } => (c"ORDER.PASS", words.id(order).id(gate)),
        Command::Cancel { order, reason } => (c"ORDER.CANCEL", words.id(order).text("REASON", reason)),
        Command::Return { order, customer, reference, scrap, items } => {
            let words = words.id(order).option("CUSTOMER", customer.as_ref()).option("REF", reference.as_ref());
            (c"ORDER.RETURN", words.word_if("SCRAP", *scrap).items(items))
        }
        Command::Edit { order, token, reference, lost, items } => {
            let words = words.id(order).option_number("TOKEN", *token).option("REF", reference.as_ref());
            (c"ORDER.EDIT", words.word_if("LOST", *lost).items(items))
        }
        Command::Split { order, new_order, token, lane, items } => {
            let words = words.id(order).id(new_order).option_number("TOKEN", *token).option("LANE", lane.as_ref());
            (c"ORDER.SPLIT", words.items(items))
        }
        _ => of_work(command)?,
    };
    Some((name, words.0))
}

fn of_stock(command: &Command) -> (&'static CStr, Words) {
    let words = Words::default();
    match command {
        Command::SetStock { sku, on_hand, safety, low, limit, backlog } => {
            let words = words.id(sku).number(on_hand).option_number("SAFETY", *safety).option_number("LOW", *low);
            (c"INV.SET", words.option_number("LIMIT", *limit).option_number("BACKLOG", *backlog))
        }
        Command::Adjust { sku, delta, reason, reference } => {
            let words = words.id(sku).number(delta).text("REASON", reason);
            (c"INV.ADJUST", words.option("REF", reference.as_ref()))
        }
        Command::Sync { source, seq, counts } => (c"INV.SYNC", words.id(source).number(seq).items(counts)),
        other => unreachable!("{other:?} counts nothing"),
    }
}

fn of_hold(command: &Command) -> (&'static CStr, Words) {
    let words = Words::default();
    match command {
        Command::Reserve { hold, customer, ttl_ms, replace, items } => {
            let words = words.id(hold).option("CUSTOMER", customer.as_ref()).option_number("TTL", *ttl_ms);
            (c"INV.RESERVE", words.word_if("REPLACE", *replace).items(items))
        }
        Command::Extend { hold, ms } => (c"INV.EXTEND", words.id(hold).number(ms)),
        Command::Close { hold, commit, reference, items } => {
            let words = words.id(hold).option("REF", reference.as_ref());
            let words = if let Some(items) = items { words.items(items) } else { words };
            (if *commit { c"INV.COMMIT" } else { c"INV.RELEASE" }, words)
        }
        other => unreachable!("{other:?} is of no hold"),
    }
}

fn placed(command: &Command) -> Words {
    let Command::Place { order, customer, group, lane, data, gates, wait_ms, take } = command else {
        unreachable!("{command:?} places nothing")
    };
    let words = Words::default().id(order).id(customer).option("GROUP", group.as_ref()).text("LANE", lane);
    let words = words.text("DATA", data).option_number("WAIT", *wait_ms);
    let words = gates.iter().fold(words, |words, (gate, ms)| words.word("GATE").id(gate).number(ms));
    match take {
        Source::Items(items) => words.items(items),
        Source::Hold(hold) => words.word("HOLD").id(hold),
    }
}

fn of_work(command: &Command) -> Option<(&'static CStr, Words)> {
    let words = Words::default();
    Some(match command {
        Command::Claim { worker, count, pick, lease_ms } => {
            let words = words.id(worker).option_number("LEASE", *lease_ms);
            let words = match pick {
                Picked::Order(order) => return Some((c"ORDER.CLAIM", words.word("ORDER").id(order))),
                Picked::Any => words,
                Picked::Lanes(lanes) => {
                    let words = words.word("LANES").number(lanes.len());
                    lanes.iter().fold(words, |words, lane| words.id(lane))
                }
            };
            (c"ORDER.CLAIM", words.word("COUNT").number(count))
        }
        Command::Renew { order, token, lease_ms } => {
            (c"ORDER.RENEW", words.id(order).word("TOKEN").number(token).option_number("LEASE", *lease_ms))
        }
        Command::Yield { worker } => (c"ORDER.YIELD", words.id(worker)),
        Command::Fail { order, token, reason, after_ms, fatal } => {
            let words = words.id(order).option_number("TOKEN", *token).text("REASON", reason);
            (c"ORDER.FAIL", words.option_number("AFTER", *after_ms).word_if("FATAL", *fatal))
        }
        Command::Redrive { order } => (c"ORDER.REDRIVE", words.id(order)),
        Command::Advance { order, step, from, token } => {
            let words = words.id(order).id(step).option("FROM", from.as_ref());
            (c"ORDER.ADVANCE", words.option_number("TOKEN", *token))
        }
        Command::Complete { order, token, result } => {
            (c"ORDER.COMPLETE", words.id(order).option_number("TOKEN", *token).text("RESULT", result))
        }
        Command::CompleteAndClaim { order, token, result, worker, lease_ms } => {
            let words = words.id(order).option_number("TOKEN", *token).text("RESULT", result);
            (c"ORDER.COMPLETE", words.word("CLAIM").id(worker).option_number("LEASE", *lease_ms))
        }
        _ => return None,
    })
}

/// The same command as the arguments of a client can say it: what is to be JSON is, and a claim is of one order or
/// more.
pub fn sayable(mut command: Command) -> Command {
    match &mut command {
        Command::Place { data: text, .. }
        | Command::Complete { result: text, .. }
        | Command::CompleteAndClaim { result: text, .. }
            if text == b"why" =>
        {
            *text = b"\"why\"".to_vec();
        }
        Command::Claim { count, pick: Picked::Order(_), .. } => *count = 1,
        Command::Claim { count, .. } => *count = (*count).max(1),
        _ => {}
    }
    command
}

/// An entry's id as clients see it.
pub fn entry(id: EntryId) -> Part {
    Part::Bulk(format!("{}-{}", id.ms, id.seq).into_bytes())
}

/// What follows a name in a reply.
fn after<'a>(parts: &'a [Part], name: &'a [u8]) -> impl Iterator<Item = &'a Part> {
    parts.windows(2).filter(move |pair| pair[0] == Part::Bulk(name.to_vec())).map(|pair| &pair[1])
}

/// The orders that a reply hands out, with their tokens.
pub fn claimed(parts: &[Part]) -> Vec<(Id, u64)> {
    let maps = parts.split(|part| *part == Part::Map(9)).skip(1);
    maps.filter_map(|map| match map {
        [_, Part::Bulk(order), _, Part::Int(token), ..] => Some((order.clone(), *token as u64)),
        _ => None,
    })
    .collect()
}

/// The reply of ORDER.FAIL.
pub fn failure(parts: &[Part]) -> Option<Failure> {
    let Part::Bulk(state) = after(parts, b"state").next()? else { return None };
    let Part::Int(attempt) = after(parts, b"attempt").next()? else { return None };
    let due = match after(parts, b"due").next()? {
        Part::Int(due) => *due as u64,
        _ => 0,
    };
    Some(Failure { state: OrderState::by_name(state)?, attempt: *attempt as u32, due })
}

/// Whether a client got the reply that the model gives; `entry_of` says which id an entry has after it was moved.
pub fn is_reply(parts: &[Part], wanted: &Reply, entry_of: impl Fn(EntryId) -> EntryId) -> bool {
    let one = |part: Part| parts == [part];
    match wanted {
        Reply::Nothing => one(Part::Status(b"OK".to_vec())),
        Reply::Available(units) => one(Part::Int(*units)),
        Reply::OnHand(n) | Reply::Units(n) | Reply::Time(n) | Reply::ToPass(n) => one(Part::Int(*n as i64)),
        Reply::Yielded(n) | Reply::Version(n) => one(Part::Int(*n as i64)),
        Reply::Redriven(done) => one(Part::Int(i64::from(*done))),
        Reply::Entry(id) => one(entry(entry_of(*id))),
        Reply::Unlisted => one(Part::Nil),
        Reply::Synced(Synced::Applied) => one(Part::Status(b"APPLIED".to_vec())),
        Reply::Synced(Synced::Duplicate) => one(Part::Status(b"DUPLICATE".to_vec())),
        Reply::Claimed(list) => claimed(parts) == *list,
        Reply::Failed(wanted) => failure(parts).as_ref() == Some(wanted),
        Reply::Next(id, next) => {
            let is_next = claimed(parts) == next.iter().cloned().collect::<Vec<_>>();
            is_next && parts.get(..2) == Some(&[Part::Array(2), entry(entry_of(*id))])
        }
        Reply::Swept(_) | Reply::Sampled(_) => false,
    }
}
