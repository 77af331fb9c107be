//! What clients know: the orders they named, and what was acknowledged of each. Where a server may come back with less
//! than it had, it also has moments: what a reader saw in between. What comes back has to be one of them.

use crate::common::{Client, Reply, assert_books_balance, entries, wait_until};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

pub const SKUS: [&str; 3] = ["shoe", "lace", "box"];
/// As long as no test takes: an ended order is remembered to the end.
pub const KEEP_MS: u64 = 30 * 86_400_000;
/// How long all orders of a world may take to end once nothing happens any more.
const END_DEADLINE: Duration = Duration::from_secs(60);

/// A moment at which everything was answered that had been sent.
struct Moment {
    at: Instant,
    seen: String,
}

/// What was acknowledged of an order: `placed`, or the state it ended in.
struct Fact {
    /// The first moment that includes it.
    moment: usize,
    order: String,
    state: &'static str,
}

#[derive(Default)]
pub struct Ledger {
    /// How many orders clients have named.
    named: usize,
    known: BTreeMap<String, &'static str>,
    facts: Vec<Fact>,
    moments: Vec<Moment>,
    /// Orders that may have been placed without a reply.
    unsure: BTreeSet<String>,
}

impl Ledger {
    pub fn all_filled(&mut self, commands: &[String]) -> Vec<String> {
        commands.iter().map(|command| self.filled(command)).collect()
    }

    /// A command with the orders it is about.
    pub fn filled(&mut self, command: &str) -> String {
        let mut words = Vec::new();
        for word in command.split(' ') {
            let inner = word.strip_prefix('<').and_then(|word| word.strip_suffix('>'));
            words.push(match inner {
                Some("new") => {
                    self.named += 1;
                    format!("o-{}", self.named)
                }
                Some(back) => format!("o-{}", self.named.saturating_sub(back.parse().expect("a number"))),
                None => word.to_string(),
            });
        }
        words.join(" ")
    }

    /// Every order that was named.
    pub fn orders(&self) -> impl Iterator<Item = String> + use<> {
        (0..=self.named).map(|number| format!("o-{number}"))
    }

    /// How many orders were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.known.len()
    }

    /// Takes down what a reply says of an order.
    pub fn learn(&mut self, command: &str, reply: &Reply) {
        let words: Vec<&str> = command.split(' ').collect();
        if reply.is_error() {
            return;
        }
        match words[0] {
            "ORDER.PLACE" => self.take_down(words[2], "placed"),
            "ORDER.SPLIT" => self.take_down(words[3], "placed"),
            "ORDER.COMPLETE" => self.take_down(words[2], "completed"),
            "ORDER.CANCEL" => self.take_down(words[2], "cancelled"),
            _ => {}
        }
    }

    /// These are sent, and nobody reads what they reply: the orders they name may be there from now on.
    pub fn unread(&mut self, commands: &[String]) {
        let words = commands.iter().flat_map(|command| command.split(' '));
        self.unsure.extend(words.filter(|word| word.starts_with("o-")).map(str::to_owned));
    }

    fn take_down(&mut self, order: &str, state: &'static str) {
        if state != "placed" || !self.known.contains_key(order) {
            self.known.insert(order.to_string(), state);
            self.facts.push(Fact { moment: self.moments.len(), order: order.to_string(), state });
        }
    }

    /// Takes down how an order ended whose reply was lost.
    pub fn learn_state(&mut self, client: &mut Client, order: &str) {
        let found = client.call(format!("ORDER.GET popup {order}"));
        if found.is_error() {
            assert!(!self.known.contains_key(order), "{order} was acknowledged, and is not there");
            return;
        }
        let state = found.field("state").text();
        let ended = ["completed", "cancelled"].into_iter().find(|ended| state == *ended);
        self.take_down(order, ended.unwrap_or("placed"));
    }

    /// Each acknowledged order is there, and what ended is as it ended.
    pub fn compare(&mut self, client: &mut Client) {
        for (order, state) in self.known.clone() {
            let found = client.call(format!("ORDER.GET popup {order}"));
            assert!(!found.is_error(), "{order} was acknowledged as {state}: {found:?}");
            let now = found.field("state").text();
            assert!(state == "placed" || state == now, "{order} was acknowledged as {state}, and is {now}");
            // Once it has ended, it stays so.
            match now.as_str() {
                "completed" if state == "placed" => self.take_down(&order, "completed"),
                "cancelled" if state == "placed" => self.take_down(&order, "cancelled"),
                _ => {}
            }
        }
    }

    /// Everything that was sent is answered, and this is what a reader sees.
    pub fn mark(&mut self, seen: String) {
        self.moments.push(Moment { at: Instant::now(), seen });
    }

    /// The number of the last moment.
    pub fn last(&self) -> usize {
        self.moments.len() - 1
    }

    /// The last moment that was over by then; 0 if none was.
    pub fn last_until(&self, then: Instant) -> usize {
        self.moments.iter().rposition(|moment| moment.at <= then).unwrap_or(0)
    }

    /// A server came back with what a reader saw at one of the moments, not before the moment `least`; or, where
    /// commands were on the way, with everything and more. What came after that moment is forgotten: these orders are
    /// not there. Replies how much was forgotten.
    pub fn came_back(&mut self, client: &mut Client, seen: String, least: usize, is_on_the_way: bool) -> usize {
        let Some(found) = self.moments.iter().rposition(|moment| moment.seen == seen) else {
            assert!(
                is_on_the_way,
                "it came back with what never was: {seen}, last was {}",
                self.moments[self.last()].seen
            );
            self.mark(seen);
            return 0;
        };
        let last = self.last();
        assert!(found >= least, "it came back as of moment {found} of {last}, not {least} or later");
        self.moments.truncate(found + 1);
        let lost: Vec<Fact> = self.facts.extract_if(.., |fact| fact.moment > found).collect();
        self.known = self.facts.iter().map(|fact| (fact.order.clone(), fact.state)).collect();
        let next = lost.iter().filter(|fact| fact.moment == found + 1);
        self.unsure.extend(next.map(|fact| fact.order.clone()));
        self.assert_gone(client, &lost, found);
        lost.len()
    }

    /// What was lost is lost as a whole, but for what came right after the moment `found`: it was on the way.
    fn assert_gone(&self, client: &mut Client, lost: &[Fact], found: usize) {
        let later = lost.iter().filter(|fact| fact.moment > found + 1);
        let gone: BTreeSet<&String> = later.map(|fact| &fact.order).collect();
        for order in gone.difference(&self.unsure.iter().collect()).filter(|order| !self.known.contains_key(**order)) {
            let reply = client.call(format!("ORDER.GET popup {order}"));
            assert!(reply.is_error(), "{order} came after what was lost: {reply:?}");
        }
    }
}

/// Books, streams and lines are as they have to be at any time.
pub fn assert_in_order(client: &mut Client) {
    assert_books_balance(client, "popup");
    for sku in SKUS {
        let found = client.get(format!("INV.GET popup {sku}")).array()[0].clone();
        let of = |name: &str| found.field(name).int();
        assert!(of("on-hand") >= 0 && of("held") >= 0, "{found:?}");
        assert!(of("waiting") == 0 || of("available") <= 0, "somebody waits for what is available: {found:?}");
    }
}

/// No order was completed twice.
pub fn assert_completed_once(client: &mut Client) {
    let mut completed: Vec<String> =
        entries(client, "{popup}:complete").iter().map(|entry| entry.text("order")).collect();
    // An outsider adds entries of nobody.
    completed.retain(|order| order.starts_with("o-"));
    let distinct: BTreeSet<&String> = completed.iter().collect();
    assert_eq!(distinct.len(), completed.len(), "an order was completed twice: {completed:?}");
}

/// Nothing happens any more: every order ends, and all units are where they belong.
pub fn all_end(client: &mut Client, ledger: &mut Ledger) {
    for sku in SKUS {
        client.int(format!("INV.ADJUST popup {sku} 1000"));
    }
    client.ok("STORE.SET popup limit 0 attempts 1000");
    wait_until(END_DEADLINE, "every order ends", || {
        client.call("ORDER.REDRIVE popup ALL");
        for order in ledger.orders() {
            ["pay", "fraud"].iter().for_each(|gate| {
                client.call(format!("ORDER.PASS popup {order} {gate}"));
            });
        }
        let claimed = client.get("ORDER.CLAIM popup last COUNT 100");
        for order in claimed.array() {
            client.text(format!("ORDER.COMPLETE popup {}", order.field("order").text()));
        }
        let info = client.get("STORE.INFO popup");
        let names = ["queued", "in-work", "retrying", "pending", "waitlisted", "dead-letters", "holds"];
        names.iter().all(|name| info.field(name).int() == 0)
    });
    for sku in SKUS {
        let held = client.get(format!("INV.GET popup {sku}")).array()[0].field("held").int();
        assert_eq!(held, 0, "{sku}");
    }
    ledger.compare(client);
    assert_completed_once(client);
    client.int("STORE.REPAIR popup");
    assert_books_balance(client, "popup");
    for stream in ["orders", "retry", "dead"] {
        assert_eq!(client.int(format!("XLEN {{popup}}:{stream}")), 0, "{stream}");
    }
}
