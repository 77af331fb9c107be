//! Every command, with every option, and what its reply becomes.

use super::*;

const MOST: u64 = (1 << 53) - 1;

/// A connection that remembers what was sent on it.
struct Recorded {
    real: Connection,
    sent: Vec<Json>,
}

impl ConnectionLike for Recorded {
    fn req_command(&mut self, cmd: &Cmd) -> RedisResult<Value> {
        let mut line = Vec::new();
        for arg in cmd.args_iter() {
            let redis::Arg::Simple(arg) = arg else { unreachable!("no cursor is sent") };
            let arg = String::from_utf8(arg.to_vec()).unwrap();
            let of_lock = line.len() == 2 && ["LOCK.RENEW", "LOCK.RELEASE"].contains(&line[0]);
            let is_token = of_lock || line.last().is_some_and(|word| *word == "TOKEN");
            line.push(if is_token { "<token>" } else { String::leak(arg) });
        }
        self.sent.push(json!(line));
        self.real.req_command(cmd)
    }

    fn req_packed_command(&mut self, cmd: &[u8]) -> RedisResult<Value> {
        self.real.req_packed_command(cmd)
    }

    fn req_packed_commands(&mut self, cmd: &[u8], offset: usize, count: usize) -> RedisResult<Vec<Value>> {
        self.real.req_packed_commands(cmd, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.real.get_db()
    }

    fn check_connection(&mut self) -> bool {
        self.real.check_connection()
    }

    fn is_open(&self) -> bool {
        self.real.is_open()
    }
}

fn is_time(at: u64) {
    assert!(at > 1_700_000_000_000, "a time, got {at}");
}

/// The calls of clients/tests/session.jsonl, with what they are to return.
fn session(redis: &mut Recorded) -> Result<(), Error> {
    store_set("popup").limit(40).paused(false).query(redis)?;
    assert_eq!(inv_set("popup", "mug", 50).safety(1).low(5).limit(30).backlog(40).query(redis)?, 49);
    assert_eq!(inv_set("popup", "cup", 10).query(redis)?, 10);
    let adjust = inv_adjust("popup", "mug", -1).reason("chipped").reference("adj-1");
    assert_eq!(adjust.query(redis)?, 49);
    assert_eq!(inv_sync("popup", "erp", 7, [("pen", 5), ("ink", MOST)]).query(redis)?, "APPLIED");
    let skus = inv_get("popup", &["mug", "nothing", "ink"]).query(redis)?;
    let (mug, ink) = (skus[0].as_ref().unwrap(), skus[2].as_ref().unwrap());
    assert_eq!((mug.on_hand, mug.backlog, skus[1].is_none(), ink.on_hand), (49, Some(40), true, MOST));
    let scanned = inv_scan("popup", "0").matching("m*").count(100).low().query(redis)?;
    assert_eq!(scanned, ("0".to_owned(), vec![]));
    let reserve = inv_reserve("popup", "cart-1", [("mug", 4)]).customer("alice").ttl_ms(60_000).replace();
    is_time(reserve.query(redis)?);
    is_time(inv_extend("popup", "cart-1", 120_000).query(redis)?);
    assert_eq!(inv_commit("popup", "cart-1").reference("part-1").items([("mug", 1)]).query(redis)?, 3);
    assert_eq!(inv_release("popup", "cart-1").reference("part-2").items([("mug", 1)]).query(redis)?, 2);
    let hold = inv_hold("popup", "cart-1").query(redis)?;
    assert_eq!((hold.state.as_str(), hold.customer.as_deref(), hold.left), ("live", Some("alice"), 2));
    assert_eq!((hold.items[0].qty, hold.items[0].committed), (4, 1));
    let holds = inv_holds("popup", "0").customer("alice").count(100).query(redis)?;
    assert_eq!(holds.1, ["cart-1"]);
    let order = order_place("popup", "o-1", "alice").group("robot").lane("express").data(&json!({"gift": true}));
    let order = order.gate("payment", 60_000).gate("fraud", 0).wait_ms(60_000).items([("mug", 2), ("cup", 1)]);
    assert_eq!(order.query(redis)?, None);
    assert!(order_place("popup", "o-2", "alice").hold("cart-1").query(redis)?.is_some());
    is_time(order_gate("popup", "o-1", "payment", 90_000).query(redis)?);
    assert_eq!(order_pass("popup", "o-1", "fraud").query(redis)?, 1);
    assert_eq!(order_pass("popup", "o-1", "payment").query(redis)?, 0);
    let lanes = store_lanes("popup").query(redis)?;
    assert_eq!((lanes[1].lane.as_str(), lanes[1].queued), ("express", 1));
    let claim = order_claim("popup", "w-1").count(1).lease_ms(60_000).lanes(&["express", "counter"]);
    let waiting = claim.block_ms(10);
    let first = recorded_wait(redis, &waiting)?.remove(0);
    assert_eq!((first.order.as_str(), first.attempt, first.items.len()), ("o-1", 1, 2));
    assert_eq!(first.data_as::<Json>()?, json!({"gift": true}));
    let token = first.token;
    is_time(order_renew("popup", "o-1", token).lease_ms(90_000).query(redis)?);
    assert_eq!(order_advance("popup", "o-1", "accepted").query(redis)?, 1);
    assert_eq!(order_advance("popup", "o-1", "picked").from("accepted").token(token).query(redis)?, 2);
    let edit = order_edit("popup", "o-1", [("mug", 2)]).token(token).reference("edit-1").lost();
    assert_eq!(edit.query(redis)?, 2);
    let split = order_split("popup", "o-1", "o-3", [("mug", 1)]).token(token).lane("counter");
    assert!(split.query(redis)?.is_some());
    let complete = order_complete("popup", "o-1").token(token).result(&json!({"parcel": "JD014"}));
    let next = complete.claim("w-1").lease_ms(60_000).query(redis)?.next.unwrap();
    assert_eq!((next.order.as_str(), next.data.as_ref()), ("o-2", None));
    let fail = order_fail("popup", "o-2").token(next.token).reason("no label").after_ms(50).query(redis)?;
    assert_eq!((fail.state.as_str(), fail.attempt, fail.due.is_some()), ("retrying", 1, true));
    let dead = || order_fail("popup", "o-2").reason("no label").fatal();
    assert_eq!(dead().query(redis)?.state, "dead");
    assert_eq!(order_redrive("popup", "o-2").query(redis)?, 1);
    assert_eq!(dead().query(redis)?.due, None);
    assert_eq!(order_redrive_all("popup").reason("no*").count(10).query(redis)?, 1);
    dead().query(redis)?;
    assert_eq!(order_purge("popup").reason("no*").count(10).query(redis)?, 1);
    assert_eq!(order_claim("popup", "w-1").order("o-3").query(redis)?[0].lane, "counter");
    assert_eq!(order_yield("popup", "w-1").query(redis)?, 1);
    assert_eq!(order_cancel("popup", "o-3").reason("too late").query(redis)?, 1);
    let back = order_return("popup", "o-1", [("mug", 1)]).customer("alice").reference("rma-1").scrap();
    assert_eq!(back.query(redis)?, 1);
    let order = order_get("popup", "o-1").query(redis)?;
    assert_eq!((order.state.as_str(), order.group.as_deref(), order.late), ("completed", Some("robot"), 0));
    assert_eq!((order.gates[0].passed, order.items[0].returned, order.step.as_deref()), (1, 1, Some("picked")));
    assert_eq!(order.history[0]["event"], "placed");
    let done = order_scan("popup", "0").state("completed").customer("alice").lane("").late().count(100).query(redis)?;
    assert!(done.1.is_empty());
    let lock = recorded_wait(redis, &lock_acquire("doc:7", "editor-1", 30_000).wait_ms(10))?.unwrap();
    assert!(lock_renew("doc:7", lock, 30_000).query(redis)?);
    let held = lock_get("doc:7").query(redis)?;
    assert_eq!((held.owner.as_deref(), held.token, held.waiting), (Some("editor-1"), Some(lock), 0));
    assert!(lock_release("doc:7", lock).query(redis)?);
    let settings = store_get("popup", &["limit", "paused"]).query(redis)?;
    assert_eq!((&settings["limit"], &settings["paused"]), (&json!(40), &json!("no")));
    assert_eq!(store_info("popup").query(redis)?.completed, 1);
    assert_eq!(store_audit("popup").query(redis)?, []);
    assert_eq!(store_repair("popup").query(redis)?, 0);
    store_drop("popup").query(redis)
}

/// Sends one round of a call that waits on the recorded connection.
fn recorded_wait<K: holdfast_client::Command>(redis: &mut Recorded, waiting: &Waiting<K>) -> Result<K::Reply, Error> {
    waiting.once().query(redis)
}

#[test]
fn every_command_does_and_returns_what_it_should() {
    let lines = include_str!("../../../tests/session.jsonl").lines().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Json> = lines.collect();
    let url = lab()["url"].as_str().unwrap();
    for url in [url.to_owned(), format!("{url}/?protocol=resp3")] {
        let real = redis::Client::open(url).unwrap().get_connection().unwrap();
        let mut recorded = Recorded { real, sent: Vec::new() };
        session(&mut recorded).unwrap();
        assert_eq!(recorded.sent, lines);
    }
}

#[test]
fn refusals_are_variants_with_what_they_say() {
    let redis = &mut connection();
    let store = &new_store();
    assert!(matches!(order_get(store, "o-1").query(redis), Err(Error::NoStore(_))));
    inv_set(store, "mug", 1).query(redis).unwrap();
    let out = order_place(store, "o-1", "alice").items([("mug", 2)]).query(redis).unwrap_err();
    assert!(matches!(&out, Error::OutOfStock { sku, wanted: 2, available: 1, .. } if sku == "mug"), "{out:?}");
    assert_eq!((out.code(), out.to_string().as_str()), (Some("OUTOFSTOCK"), "OUTOFSTOCK mug wanted 2 available 1"));
    let bad = order_place(store, "o-1", "alice").items([("mug", 0)]).query(redis).unwrap_err();
    assert!(matches!(&bad, Error::BadArgument(message) if message.contains("qty")), "{bad:?}");
    order_place(store, "o-1", "alice").items([("mug", 1)]).query(redis).unwrap();
    let token = order_claim(store, "w").query(redis).unwrap()[0].token;
    let fenced = order_complete(store, "o-1").token(token - 1).query(redis).unwrap_err();
    assert!(matches!(fenced, Error::Fenced { current, .. } if current == token), "{fenced:?}");
    redis::cmd("SET").arg("text").arg("x").exec(redis).unwrap();
    assert!(matches!(store_info("text").query(redis), Err(Error::WrongType(_))));
}

/// A connection that is recorded.
fn recorded() -> Recorded {
    Recorded { real: connection(), sent: Vec::new() }
}

impl Recorded {
    /// The cursors that were sent.
    fn cursors(&self) -> Vec<&str> {
        self.sent.iter().map(|call| call[2].as_str().unwrap()).collect()
    }
}

/// Orders of as many customers.
fn place_numbered(store: &str, orders: usize) -> Vec<String> {
    place(&mut connection(), store, orders);
    (0..orders).map(|at| format!("o-{at}")).collect()
}

fn all(ids: impl Iterator<Item = Result<String, Error>>) -> Vec<String> {
    ids.map(Result::unwrap).collect()
}

#[test]
fn an_iterator_asks_for_a_page_when_it_is_needed_and_ends_with_the_last_one() {
    let (redis, store) = (&mut recorded(), &new_store());
    let ids = place_numbered(store, 25);
    let page = all(order_scan(store, "0").state("queued").count(10).iter(redis).take(10));
    assert_eq!((page.as_slice(), redis.cursors()), (&ids[..10], vec!["0"]));
    assert_eq!(all(order_scan(store, "0").count(10).iter(redis)), ids);
    assert_eq!(redis.cursors()[1..], ["0", "10", "20"]);
    // Pages on which nothing fits are not the end, and one that is left off is gone on with.
    assert_eq!(all(order_scan(store, "10").customer("c-24").count(5).iter(redis)), ["o-24"]);
    assert_eq!(redis.cursors()[4..], ["10", "15", "20"]);
    assert_eq!(all(order_scan(store, "0").iter(redis)), ids);
    assert_eq!(redis.cursors()[7..], ["0"]);
}

#[test]
fn an_iterator_shows_what_has_changed_when_it_asks_and_ends_with_an_error() {
    let (redis, store) = (&mut connection(), &new_store());
    let ids = place_numbered(store, 25);
    let mut waiter = Waiter::new(client("url"));
    let mut orders = waiter.iter(order_scan(store, "0").state("queued").count(10));
    assert_eq!(orders.next().unwrap().unwrap(), "o-0");
    order_cancel(store, "o-11").query(redis).unwrap();
    order_place(store, "o-25", "alice").items([("mug", 1)]).query(redis).unwrap();
    let found = all(orders);
    assert_eq!(found, [&ids[1..11], &ids[12..], &["o-25".to_owned()]].concat());
    let mut orders = waiter.iter(order_scan(store, "0").count(10));
    assert_eq!(all(orders.by_ref().take(10)), ids[..10]);
    store_drop(store).query(redis).unwrap();
    assert!(matches!(orders.next(), Some(Err(Error::NoStore(_)))));
    assert!(orders.next().is_none());
}

#[test]
fn there_is_an_iterator_for_whatever_has_a_cursor() {
    let (redis, store) = (&mut connection(), &new_store());
    for at in 0..3 {
        let (sku, customer) = (format!("sku-{at}"), format!("c-{at}"));
        inv_set(store, &sku, 5).low(at * 3).query(redis).unwrap();
        inv_reserve(store, &format!("cart-{at}"), [(&sku, 1)]).customer(&customer).query(redis).unwrap();
        order_place(store, &format!("o-{at}"), &customer).items([(&sku, 1)]).query(redis).unwrap();
    }
    assert_eq!(all(inv_scan(store, "0").count(1).iter(redis)), ["sku-0", "sku-1", "sku-2"]);
    assert_eq!(all(inv_scan(store, "0").low().iter(redis)), ["sku-1", "sku-2"]);
    assert_eq!(all(inv_holds(store, "0").count(1).iter(redis)), ["cart-0", "cart-1", "cart-2"]);
    assert_eq!(all(inv_holds(store, "0").customer("c-2").count(1).iter(redis)), ["cart-2"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let found = runtime.block_on(async {
        let mut shared = client("url").get_multiplexed_async_connection().await.unwrap();
        let (mut ids, mut found) = (order_scan(store, "0").count(1).iter_async(&mut shared), Vec::new());
        while let Some(id) = ids.next().await {
            found.push(id.unwrap());
        }
        let gone = order_scan("nowhere", "0").iter_async(&mut shared).next().await;
        assert!(matches!(gone, Some(Err(Error::NoStore(_)))));
        found
    });
    assert_eq!(found, ["o-0", "o-1", "o-2"]);
}

#[test]
fn the_type_of_store_info_has_the_fields_of_the_server() {
    let (redis, store) = (&mut connection(), &new_store());
    inv_set(store, "mug", 1).query(redis).unwrap();
    let shown = format!("{:?}", store_info(store).query(redis).unwrap());
    let fields = shown.strip_prefix("Info { ").unwrap().split(", ").map(|field| field.split(':').next().unwrap());
    let found: HashMap<String, Option<u64>> = redis::cmd("STORE.INFO").arg(store).query(redis).unwrap();
    let mut wanted: Vec<String> = found.into_keys().map(|name| name.replace('-', "_")).collect();
    wanted.sort();
    let mut fields: Vec<&str> = fields.collect();
    fields.sort();
    assert_eq!(fields, wanted);
}

/// What a later server adds does no harm, nor what an earlier one does not have.
#[test]
fn store_info_of_another_version_can_be_read() {
    use holdfast_client::Command;
    let name = |name: &str| Value::BulkString(name.into());
    let map = Value::Map(vec![(name("brand-new"), Value::Int(1)), (name("in-work"), Value::Int(2))]);
    let flat = [name("brand-new"), Value::Int(1), name("in-work"), Value::Int(2)];
    for reply in [map, Value::Array(flat.into())] {
        let info = StoreInfo::read(reply).unwrap();
        assert_eq!((info.in_work, info.placed, info.next_due), (2, 0, None));
    }
}

#[test]
fn data_with_its_names_in_another_order_is_the_same_content() {
    #[derive(serde::Serialize)]
    struct Parcel<'a> {
        weight: f32,
        to: HashMap<&'a str, Option<&'a str>>,
        lines: [Json; 2],
        id: i128,
    }
    let (redis, store) = (&mut connection(), &new_store());
    inv_set(store, "mug", 9).query(redis).unwrap();
    let mut place = |lines| {
        // Each HashMap has an order of its own.
        let to = HashMap::from([("zip", Some("1")), ("a \"b\"", None), ("city", Some("ü")), ("floor", None)]);
        let parcel = Parcel { weight: 0.1, to, lines, id: i128::MAX };
        order_place(store, "o-1", "alice").data(&parcel).items([("mug", 1)]).query(redis)
    };
    let lines = || [json!({"b": [], "a": {}}), json!("x")];
    let entry = place(lines()).unwrap();
    for _ in 0..20 {
        assert_eq!(place(lines()).unwrap(), entry);
    }
    let [first, second] = lines();
    assert!(matches!(place([second, first]), Err(Error::Mismatch(_))));
    let sent = [
        r#"{"id":170141183460469231731687303715884105727,"lines":[{"a":{},"b":[]},"x"],"#,
        r#""to":{"a \"b\"":null,"city":"ü","floor":null,"zip":"1"},"weight":0.1}"#,
    ];
    assert_eq!(order_get(store, "o-1").query(redis).unwrap().data, Some(sent.concat()));
}

#[test]
fn items_that_name_no_sku_are_refused_before_they_are_sent() {
    let redis = &mut recorded();
    const NONE: [(&str, u64); 0] = [];
    let refused = [
        order_place("popup", "o-1", "alice").items(NONE).query(redis).map(drop),
        inv_reserve("popup", "cart-1", NONE).query(redis).map(drop),
        inv_commit("popup", "cart-1").items(NONE).query(redis).map(drop),
        order_edit("popup", "o-1", NONE).query(redis).map(drop),
        inv_sync("popup", "erp", 1, NONE).query(redis).map(drop),
    ];
    for refused in refused {
        let Err(Error::BadArgument(message)) = &refused else { panic!("{refused:?}") };
        assert_eq!(message, r#"ERR ITEMS must name a SKU, such as [("mug", 2)], got none"#);
    }
    assert!(redis.sent.is_empty());
}

#[test]
fn each_code_of_the_server_is_a_variant() {
    let terms = include_str!("../../../../engine/src/terms/refusal.rs");
    let ours = include_str!("../../src/error.rs");
    let codes: Vec<&str> =
        terms.lines().filter_map(|line| line.split_once(", \"")?.1.split_once("\", \"")).map(|c| c.0).collect();
    assert!(codes.len() > 10);
    for code in codes.into_iter().filter(|code| code.bytes().all(|byte| byte.is_ascii_uppercase())) {
        assert!(ours.contains(&format!("\"{code}\"")), "{code}");
    }
}

#[test]
fn a_part_without_a_reference_counts_once_however_often_it_is_sent() {
    let redis = &mut connection();
    let store = &new_store();
    inv_set(store, "mug", 5).query(redis).unwrap();
    inv_reserve(store, "cart", [("mug", 3)]).query(redis).unwrap();
    let part = inv_commit(store, "cart").items([("mug", 1)]);
    assert_eq!((part.query(redis).unwrap(), part.query(redis).unwrap()), (2, 2));
    let more = inv_adjust(store, "mug", 1).once();
    assert_eq!((more.query(redis).unwrap(), more.query(redis).unwrap()), (5, 5));
}

#[test]
fn an_error_names_the_sku_as_it_was_given() {
    let (redis, store) = (&mut connection(), new_store());
    for given in ["tasse ☕ 大", "a wanted 3 available 7", "back\\slash\n\t'\""] {
        inv_set(&store, given, 1).backlog(0).query(redis).unwrap();
        let order = || order_place(&store, "o-1", "alice").items([(given, 9)]);
        for refused in [order().query(redis), order().wait_ms(1_000).query(redis)] {
            let Err(Error::OutOfStock { sku, wanted, available, .. }) = refused else { panic!("{refused:?}") };
            assert_eq!((sku.as_str(), wanted, available), (given, 9, 1));
        }
    }
}

#[test]
fn a_trace_context_comes_with_the_order() {
    let redis = &mut connection();
    let store = &new_store();
    let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    inv_set(store, "mug", 1).query(redis).unwrap();
    let order = order_place(store, "o-1", "alice").data(&json!({"traceparent": context}));
    order.items([("mug", 1)]).query(redis).unwrap();
    assert_eq!(order_claim(store, "w").query(redis).unwrap()[0].traceparent().as_deref(), Some(context));
}

#[path = "../../examples/popup.rs"]
mod popup;

const SELL: &str = "HOLDFAST_SELL";

/// No test of its own: the example as a program.
#[test]
fn sell() {
    if std::env::var(SELL).is_ok() {
        popup::main().unwrap();
    }
}

#[test]
fn the_example_sells_out() {
    for _ in 0..2 {
        let mut shop = Command::new(std::env::current_exe().unwrap());
        shop.args(["--exact", "commands::sell", "--nocapture"])
            .env(SELL, "yes")
            .env("REDIS_URL", lab()["url"].as_str().unwrap());
        let sold = shop.output().unwrap();
        let said = String::from_utf8(sold.stdout).unwrap();
        assert!(sold.status.success() && said.contains("\nsold 20 of 20, left 0\n"), "{said}");
    }
}
