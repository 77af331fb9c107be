//! A store on a simulated server: what a real one cannot be brought to do easily, and replicas that do as they should.

use std::ffi::CStr;

use proptest::prelude::*;

use super::claims::{hand_out, take_back};
use super::due::do_due;
use super::keys::{Opened, any_store, read_store, write_store};
use super::repair::Repair;
use super::streams::EntryWords;
use super::value::StoreValue;
use super::write::{QUIET, Rule, write};
use crate::host::clock::Now;
use crate::host::deadlines::Due;
use crate::host::key::Mode;
use crate::host::opened::{Read, Unfit, Write};
use crate::host::simulated::{Sent, Simulated, Stream};
use crate::host::{Call, Host, OwnStr, Stop, Str};
use holdfast_engine::base::units::Ms;
use holdfast_engine::books::audit::AUDIT_SLICE;
use holdfast_engine::calls::holds::Reserve;
use holdfast_engine::calls::orders::{Complete, Place, Take};
use holdfast_engine::calls::stock::SetStock;
use holdfast_engine::calls::work::{Claim, Fail, Pick};
use holdfast_engine::record::gate::NewGate;
use holdfast_engine::terms::items::Item;
use holdfast_engine::terms::settings::Field;
use holdfast_engine::terms::streams::StreamKind;

/// Any time: 2026, in Unix milliseconds.
const START: Ms = 1_790_000_000_000;

type Run = fn(&Call<'_, &Simulated>) -> Result<(), Stop>;

/// The commands of these tests: a few of the real ones, in as few words as they need.
const COMMANDS: [(&CStr, Run); 11] = [
    (c"STORE.SET", |call| {
        let fields = [(Field::by_name(call.rest[0].bytes()).expect("a setting"), number(call.rest[1]))];
        let rule = Rule { makes: true, moves_nothing: true, ..Rule::default() };
        write(call, rule, |store, now, fx| store.configure(now, &fields, fx)).map(drop)
    }),
    (c"INV.SET", |call| {
        let on_hand = number(call.rest[1]);
        let sku = call.rest[0].bytes();
        let set = SetStock { sku, on_hand, safety: None, low: None, limit: None, backlog: None };
        write(call, Rule { makes: true, ..Rule::default() }, |store, now, fx| store.set_stock(now, &set, fx)).map(drop)
    }),
    (c"INV.RESERVE", |call| {
        let items = [Item { sku: call.rest[2].bytes(), qty: 1 }];
        let ttl_ms = Some(number(call.rest[1]));
        let reserve = Reserve { hold: call.rest[0].bytes(), customer: None, ttl_ms, replace: false, items: &items };
        write(call, Rule::default(), |store, now, fx| store.reserve(now, &reserve, fx)).map(drop)
    }),
    (c"ORDER.PLACE", |call| {
        let [order, customer, sku, gate @ ..] = call.rest else { panic!("PLACE order customer sku [gate ms]") };
        let gates: Vec<_> = gate.chunks(2).map(gate_of).collect();
        let items = [Item { sku: sku.bytes(), qty: 1 }];
        let take = Take::Items(&items);
        let place = Place {
            order: order.bytes(),
            customer: customer.bytes(),
            group: None,
            lane: b"",
            data: b"",
            gates: &gates,
            wait_ms: None,
            take,
        };
        let words = EntryWords { order: *order, customer: Some(*customer), text: None };
        let rule = Rule { streams: &[StreamKind::Orders], words: Some(&words), ..Rule::default() };
        let is_new = any_store(call.ctx, call.key)?.store()?.store.order_at(order.bytes()).is_none();
        let written = write(call, rule, |store, now, fx| store.place(now, &place, fx))?;
        let value = any_store(call.ctx, call.key)?.store()?;
        let view = value.store.order(0, order.bytes()).expect("the order");
        if is_new && call.ctx.primary.get() {
            assert_eq!(written.entry(), view.entry, "the reply is the id that the entry got");
        }
        Ok(())
    }),
    (c"ORDER.CLAIM", |call| {
        let (worker, count) = (call.rest[0].bytes(), number(call.rest[2]) as usize);
        let claim = Claim { worker, count, pick: Pick::Any, lease_ms: None };
        write(call, QUIET, |store, now, fx| store.claim(now, &claim, fx)).map(drop)
    }),
    (c"ORDER.COMPLETE", |call| {
        let complete = Complete { order: call.rest[0].bytes(), token: None, result: b"" };
        let streams = &[StreamKind::Orders, StreamKind::Complete];
        let rule = Rule { streams, leaves: &[StreamKind::Retry], ..Rule::default() };
        write(call, rule, |store, now, fx| store.complete(now, &complete, fx)).map(drop)
    }),
    (c"ORDER.FAIL", |call| {
        let order = call.rest[0].bytes();
        let fail = Fail { order, token: None, reason: b"no", after_ms: None, fatal: false };
        let leaves = &[StreamKind::Orders, StreamKind::Retry];
        let rule = Rule { streams: &[StreamKind::Dead], leaves, ..Rule::default() };
        write(call, rule, |store, now, fx| store.fail(now, &fail, fx)).map(drop)
    }),
    (c"ORDER.GATE", |call| {
        let rule = Rule { leaves: &[StreamKind::Retry], ..QUIET };
        let gate = gate_of(&call.rest[1..]);
        write(call, rule, |store, now, fx| store.gate(now, call.rest[0].bytes(), &gate, fx)).map(drop)
    }),
    (c"ORDER.PASS", |call| {
        let rule = Rule { streams: &[StreamKind::Orders], ..QUIET };
        let [order, gate] = call.rest else { panic!("PASS order gate") };
        write(call, rule, |store, now, fx| store.pass(now, order.bytes(), gate.bytes(), fx)).map(drop)
    }),
    (c"ORDER.CANCEL", |call| {
        let leaves = &[StreamKind::Retry, StreamKind::Dead];
        let rule = Rule { streams: &[StreamKind::Orders], leaves, ..Rule::default() };
        write(call, rule, |store, now, fx| store.cancel(now, call.rest[0].bytes(), b"", fx)).map(drop)
    }),
    (c"ORDER.REDRIVE", |call| {
        let rule = Rule { streams: &[StreamKind::Orders], leaves: &[StreamKind::Dead], ..Rule::default() };
        write(call, rule, |store, now, fx| store.redrive(now, call.rest[0].bytes(), fx)).map(drop)
    }),
];

fn gate_of<'a>(words: &[Str<'a>]) -> NewGate<'a> {
    NewGate { name: words[0].bytes(), ms: number(words[1]) }
}

fn number(word: Str<'_>) -> u64 {
    word.integer().and_then(|n| u64::try_from(n).ok()).expect("a number")
}

fn stream_key(kind: StreamKind) -> String {
    format!("{{p}}{}", kind.suffix())
}

/// A simulated server with a store at the key `p`.
struct Shop(Simulated);

impl Shop {
    /// An empty primary.
    fn new() -> Self {
        Shop(Simulated::new(START))
    }

    /// One that has 100,000 units of `s`, with a journal.
    fn open() -> Self {
        let shop = Shop::new();
        shop.ok("INV.SET s 100000");
        shop.ok("STORE.SET journal 50");
        shop
    }

    fn replica() -> Self {
        let shop = Shop::new();
        shop.0.primary.set(false);
        shop
    }

    /// Runs a client's command on the store.
    fn run(&self, command: &str) -> Result<(), Stop> {
        let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
        let (name, run) = COMMANDS.into_iter().find(|(known, _)| known.to_bytes() == name.as_bytes()).expect("known");
        let rest: Vec<_> = rest.split_whitespace().map(|word| word.as_bytes().to_vec()).collect();
        *self.0.command.borrow_mut() = Some((name, b"p".to_vec(), rest.clone()));
        self.call(name, &rest, None, run)
    }

    fn ok(&self, command: &str) {
        self.run(command).expect(command);
    }

    fn call(
        &self,
        name: &'static CStr,
        rest: &[Vec<u8>],
        stamp: Option<Ms>,
        run: impl FnOnce(&Call<'_, &Simulated>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let (key, rest) = (OwnStr::new(b"p"), rest.iter().map(|word| OwnStr::new(word)).collect::<Vec<_>>());
        let rest: Vec<_> = rest.iter().map(OwnStr::get).collect();
        run(&Call { ctx: &self.0, name, key: key.get(), rest: &rest, stamp })
    }

    /// Does what a primary sent.
    fn receive(&self, sent: &Sent) {
        assert_eq!(sent.key, b"p");
        let known = COMMANDS.into_iter().find(|(name, _)| name.to_bytes() == sent.name);
        let done =
            self.call(known.map_or(c"HOLDFAST.APPLY", |(name, _)| name), &sent.rest, sent.stamp, |call| match known {
                Some((_, run)) => run(call),
                None => super::apply::apply(call, &sent.name).expect("a word of the store"),
            });
        done.unwrap_or_else(|stop| panic!("{sent:?} was refused: {stop:?}"));
    }

    /// Hands all that was replicated since the last time to a replica.
    fn send(&self, replica: &Shop) {
        self.0.sent.take().iter().for_each(|sent| replica.receive(sent));
    }

    fn pass(&self, ms: Ms) {
        self.0.now.set(self.0.now.get() + ms);
    }

    fn value<T>(&self, read: impl FnOnce(&StoreValue) -> T) -> T {
        read(&read_store(&self.0, OwnStr::new(b"p").get()).expect("the store"))
    }

    /// Does one slice of what is due; whether there is more, unless it may not be done now.
    fn due(&self) -> bool {
        let (uid, key) = (self.value(|value| value.uid), OwnStr::new(b"p"));
        do_due(&self.0, &Due { uid, key: key.get(), now: Now::simulated(self.0.now.get()) }).expect("the store").more
    }

    fn digest(&self) -> u128 {
        self.value(|value| value.store.digest())
    }

    fn streams(&self) -> Vec<(StreamKind, Stream)> {
        StreamKind::ALL.map(|kind| (kind, self.0.stream(&stream_key(kind)))).into()
    }

    fn entries(&self, kind: StreamKind) -> usize {
        self.0.stream(&stream_key(kind)).entries.len()
    }

    /// The books balance, and each stream of orders is as long as they say.
    fn check(&self) {
        let mut value = write_store(&self.0, OwnStr::new(b"p").get()).and_then(|p| Ok(p.store()?)).expect("the store");
        value.store.audit_start();
        let differences = std::iter::repeat_with(|| value.store.audit_slice(AUDIT_SLICE)).find_map(|done| done);
        assert!(differences.is_some_and(|differences| differences.is_empty()), "the books balance");
        for kind in [StreamKind::Orders, StreamKind::Retry, StreamKind::Dead] {
            assert_eq!(value.store.entries(kind), Some(self.entries(kind) as u64), "{kind:?}");
        }
    }

    /// Repairs the streams; how many entries were removed or written.
    fn repair(&self) -> Result<u64, String> {
        let key = OwnStr::new(b"p");
        let mut value = write_store(&self.0, key.get()).and_then(|opened| Ok(opened.store()?)).expect("the store");
        let (now, mut repair) = (value.time_at((&self.0).now()), Repair::default());
        loop {
            match repair.slice(&self.0, key.get(), now, &mut value) {
                Ok(None) => {}
                Ok(Some(done)) => return Ok(done),
                Err(stop) => return Err(stop.text().unwrap_or_default()),
            }
        }
    }
}

/// What happens to a store and its streams.
#[derive(Clone, Debug)]
enum Step {
    Run(String),
    Pass(Ms),
    Due,
    /// An outsider adds an entry to a stream, milliseconds ahead.
    Push(StreamKind, Ms),
    /// An outsider removes the first entry of a stream.
    Remove(StreamKind),
    Repair,
    /// A caller who waited is handed an order, and goes away before it gets the reply.
    HandOut,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = || (0..StreamKind::ALL.len()).prop_map(|at| StreamKind::ALL[at]);
    let order = |name: &'static str| (0..12u32).prop_map(move |n| Step::Run(format!("{name} o{n}")));
    let step = prop_oneof![
        4 => (0..12u32).prop_map(|n| Step::Run(format!("ORDER.PLACE o{n} c{} s", n % 3))),
        2 => (0..12u32, 1..300u64).prop_map(|(n, ttl)| Step::Run(format!("INV.RESERVE h{n} {ttl} s"))),
        1 => (0..12u32, 0..60_000u64).prop_map(|(n, ms)| Step::Run(format!("ORDER.PLACE o{n} c{} s pay {ms}", n % 3))),
        1 => (0..12u32, 0..60_000u64).prop_map(|(n, ms)| Step::Run(format!("ORDER.GATE o{n} pay {ms}"))),
        2 => (0..12u32).prop_map(|n| Step::Run(format!("ORDER.PASS o{n} pay"))),
        3 => (1..4u32).prop_map(|n| Step::Run(format!("ORDER.CLAIM w COUNT {n}"))),
        3 => order("ORDER.FAIL"),
        1 => order("ORDER.COMPLETE"),
        1 => order("ORDER.CANCEL"),
        1 => order("ORDER.REDRIVE"),
        3 => (0..40_000u64).prop_map(Step::Pass),
        3 => Just(Step::Due),
        1 => (kind(), 0..5_000u64).prop_map(|(kind, ms)| Step::Push(kind, ms)),
        1 => kind().prop_map(Step::Remove),
        1 => Just(Step::Repair),
        1 => Just(Step::HandOut),
    ];
    proptest::collection::vec(step, 1..80)
}

fn do_step(primary: &Shop, replica: &Shop, step: &Step) {
    let both = [primary, replica];
    match step {
        // What is refused is no matter here: it must change nothing on the replica either.
        Step::Run(command) => drop(primary.run(command)),
        Step::Pass(ms) => both.into_iter().for_each(|shop| shop.pass(*ms)),
        Step::Due => while primary.due() {},
        Step::Push(kind, ahead) => both.into_iter().for_each(|shop| {
            let id = (primary.0.now.get() + ahead, 0);
            shop.0.meddle(&stream_key(*kind), |stream| {
                if id > stream.last {
                    stream.last = id;
                    stream.entries.insert(id, vec![b"what".to_vec(), b"ever".to_vec()]);
                }
            });
        }),
        Step::Remove(kind) => both.into_iter().for_each(|shop| {
            shop.0.meddle(&stream_key(*kind), |stream| drop(stream.entries.pop_first()));
        }),
        Step::Repair => drop(primary.repair().expect("streams that take entries")),
        Step::HandOut => hand_out_and_take_back(primary),
    }
}

fn hand_out_and_take_back(shop: &Shop) {
    let key = OwnStr::new(b"p");
    let Ok(Opened::Store(mut value)) = write_store(&shop.0, key.get()) else { panic!("the store") };
    let (uid, claim) = (value.uid, Claim { worker: b"gone", count: 1, pick: Pick::Any, lease_ms: Some(1_000) });
    let handed = hand_out(&shop.0, key.get(), &mut value, &claim).expect("not refused");
    drop(value);
    let tokens: Vec<_> = handed.into_iter().map(|order| (order.order, order.token)).collect();
    take_back(&shop.0, key.get(), uid, &tokens);
    assert!(tokens.iter().all(|(order, _)| {
        shop.value(|value| value.store.order(START, order).is_some_and(|view| view.worker.is_empty()))
    }));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_replica_has_the_same_store_and_the_same_streams(steps in steps()) {
        let (primary, replica) = (Shop::open(), Shop::replica());
        primary.ok("STORE.SET attempts 2");
        primary.send(&replica);
        for step in &steps {
            do_step(&primary, &replica, step);
            primary.send(&replica);
            prop_assert_eq!(primary.digest(), replica.digest(), "after {:?}", step);
            prop_assert_eq!(primary.streams(), replica.streams(), "after {:?}", step);
        }
        primary.repair().expect("streams that take entries");
        primary.check();
        prop_assert!(replica.0.sent.take().is_empty(), "a replica replicates nothing by itself");
    }
}

#[test]
fn an_entry_that_its_stream_refuses_gets_the_next_id_there_and_on_the_replica() {
    let (primary, replica) = (Shop::open(), Shop::replica());
    primary.send(&replica);
    let ahead = (START + 60_000, 7);
    for shop in [&primary, &replica] {
        shop.0.meddle(&stream_key(StreamKind::Orders), |stream| stream.last = ahead);
    }
    primary.ok("ORDER.PLACE o1 c s");
    assert_eq!(primary.0.stream("{p}:orders").last, (ahead.0, ahead.1 + 1));
    let words: Vec<_> = primary.0.sent.borrow().iter().map(|sent| sent.name.clone()).collect();
    assert_eq!(words, [b"ORDER.PLACE".to_vec(), b"REENTRY".to_vec()]);
    primary.send(&replica);
    assert_eq!(primary.streams(), replica.streams());
    assert_eq!(primary.digest(), replica.digest());
    primary.ok("ORDER.CANCEL o1");
    assert_eq!(primary.entries(StreamKind::Orders), 0, "the order knows where its entry is");
}

#[test]
fn a_stream_that_takes_nothing_any_more_loses_no_order() {
    let shop = Shop::open();
    shop.0.meddle("{p}:orders", |stream| stream.last = (u64::MAX, u64::MAX));
    for order in 0..3 {
        shop.ok(&format!("ORDER.PLACE o{order} c s"));
    }
    assert_eq!(shop.entries(StreamKind::Orders), 0);
    assert_eq!(shop.0.log.borrow().len(), 1, "said once, not with every entry");
    let problem = shop.repair().expect_err("nothing can be written");
    assert!(problem.starts_with("ERR {p}:orders takes no more entries"), "{problem}");
    shop.0.delete("{p}:orders");
    assert_eq!(shop.repair(), Ok(3));
    shop.check();
}

#[test]
fn work_that_is_due_waits_while_writes_are_paused_and_is_done_afterwards() {
    let shop = Shop::open();
    for hold in 0..3_000 {
        shop.ok(&format!("INV.RESERVE h{hold} 1000 s"));
    }
    let held = || shop.value(|value| value.store.sku(b"s").map(|sku| sku.held));
    shop.pass(1_000);
    assert!(shop.due(), "more than one slice is due");
    let (part, sent) = (held(), shop.0.sent.take().len());
    assert!(part.is_some_and(|held| held > 0 && held < 3_000) && sent > 0);
    shop.0.paused.set(true);
    for _ in 0..3 {
        assert!(!shop.due());
        shop.pass(100);
    }
    assert_eq!((held(), shop.0.sent.borrow().len()), (part, 0), "nothing is done while writes are paused");
    let (uid, now) = (shop.value(|value| value.uid), shop.0.now.get());
    assert!(shop.0.looks.borrow()[&uid] < now + 100, "it is looked at again in a moment");
    shop.0.paused.set(false);
    while shop.due() {}
    assert_eq!(held(), Some(0));
    shop.check();
}

#[test]
fn while_a_slot_moves_holds_expire_and_orders_wait_for_their_streams() {
    let shop = Shop::open();
    shop.ok("STORE.SET lease-ms 1000");
    shop.ok("STORE.SET journal 0");
    shop.ok("INV.RESERVE h 1000 s");
    shop.ok("ORDER.PLACE o c s");
    shop.pass(1);
    shop.ok("ORDER.CLAIM w COUNT 1");
    shop.0.cluster.set(true);
    shop.0.away.borrow_mut().extend([b"{p}:dead".to_vec(), b"{p}:retry".to_vec()]);
    shop.pass(5_000);
    shop.due();
    let state = || shop.value(|value| value.store.order(0, b"o").map(|view| view.state.name()));
    assert!(shop.value(|value| value.store.sku(b"s").is_some_and(|sku| sku.held == 1)), "the order's unit alone");
    assert_eq!(state(), Some("claimed"));
    assert!(matches!(shop.run("ORDER.FAIL o"), Err(Stop::Server(text)) if text.starts_with("TRYAGAIN")));
    shop.0.away.borrow_mut().clear();
    while shop.due() {}
    assert_ne!(state(), Some("claimed"));
    shop.check();
    shop.0.away.borrow_mut().insert(b"p".to_vec());
    let before = shop.digest();
    shop.pass(100_000);
    assert!(!shop.due());
    assert_eq!(shop.digest(), before, "a store that another node owns is left alone");
}

#[test]
fn a_sample_whose_stream_is_on_another_node_is_left_out_on_replicas_too() {
    let (primary, replica) = (Shop::open(), Shop::replica());
    let sampled = || {
        primary.ok("INV.SET s 7");
        primary.pass(1_000);
        while primary.due() {}
        primary.send(&replica);
        assert_eq!(primary.streams(), replica.streams());
        assert_eq!(primary.digest(), replica.digest());
        primary.entries(StreamKind::Metrics)
    };
    assert_eq!(sampled(), 1);
    for shop in [&primary, &replica] {
        shop.0.cluster.set(true);
        shop.0.delete("{p}:metrics");
    }
    primary.0.away.borrow_mut().insert(b"{p}:metrics".to_vec());
    assert_eq!(sampled(), 0);
    primary.0.away.borrow_mut().clear();
    assert_eq!(sampled(), 1);
}

#[test]
fn a_promoted_replica_goes_on_with_what_is_due() {
    let (primary, replica) = (Shop::open(), Shop::replica());
    primary.ok("INV.RESERVE h 1000 s");
    primary.send(&replica);
    replica.pass(5_000);
    assert!(!replica.due());
    assert_eq!(primary.digest(), replica.digest(), "a replica ends nothing by its own clock");
    replica.0.primary.set(true);
    replica.due();
    assert_eq!(replica.value(|value| value.store.sku(b"s").map(|sku| sku.held)), Some(0));
}

#[test]
fn streams_that_an_outsider_cut_are_made_whole() {
    let (primary, replica) = (Shop::open(), Shop::replica());
    for order in 0..500 {
        primary.ok(&format!("ORDER.PLACE o{order} c s"));
    }
    primary.send(&replica);
    let whole = primary.streams();
    for shop in [&primary, &replica] {
        shop.0.meddle("{p}:orders", |stream| {
            let cut: Vec<_> = stream.entries.keys().copied().skip(100).step_by(3).collect();
            cut.iter().for_each(|id| drop(stream.entries.remove(id)));
            let foreign = (stream.last.0, stream.last.1 + 1);
            stream.last = foreign;
            stream.entries.insert(foreign, vec![b"order".to_vec(), b"o1".to_vec()]);
        });
    }
    // Ids only grow: what was cut is written behind the others.
    assert_eq!(primary.repair(), Ok(1 + 134));
    primary.send(&replica);
    primary.check();
    assert_eq!(primary.streams(), replica.streams());
    assert_eq!(primary.digest(), replica.digest());
    assert_ne!(primary.streams(), whole);
    assert_eq!(primary.repair(), Ok(0));
}

#[test]
fn a_value_that_is_open_for_writing_cannot_be_opened_again() {
    let shop = Shop::open();
    let name = OwnStr::new(b"p");
    let open = |mode| (&shop.0).open(name.get(), mode).expect("the key");
    let writing = Write::<_, StoreValue>::open(open(Mode::Write)).expect("at rest");
    assert_eq!(Read::<_, StoreValue>::open(open(Mode::Read)).err(), Some(Unfit::InUse));
    assert_eq!(Write::<_, StoreValue>::open(open(Mode::Read)).err(), Some(Unfit::InUse));
    assert!(matches!(shop.run("ORDER.PLACE o c s"), Err(Stop::Server(text)) if text.starts_with("ERR")));
    drop(writing);
    let readers = [(); 2].map(|()| Read::<_, StoreValue>::open(open(Mode::Read)).expect("at rest"));
    assert_eq!(Write::<_, StoreValue>::open(open(Mode::Write)).err(), Some(Unfit::InUse));
    drop(readers);
    shop.ok("ORDER.PLACE o c s");
}
