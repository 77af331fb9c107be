//! INV.RESERVE, EXTEND, COMMIT, RELEASE, HOLD and HOLDS, and what happens at the deadline of a hold.

use crate::common::{
    Client, DEADLINE, Server, ServerBinary, assert_books_balance, cmd, open_store, server_now_ms, shop_of, stock,
    tests, wait_until,
};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

tests![
    reserve_sets_units_aside,
    reserve_is_all_or_none,
    reserve_is_idempotent,
    reserve_of_the_same_sku_twice_adds_up,
    default_time_to_live,
    extend_never_shortens,
    commit_takes_units_out,
    release_gives_units_back,
    parts_of_a_hold,
    a_ref_makes_a_part_idempotent,
    ended_holds_refuse,
    an_ended_hold_is_forgotten_after_keep_ms,
    a_hold_becomes_an_order,
    a_hold_of_another_customer_is_a_mismatch,
    holds_scan,
    expiry_frees_units_within_ten_ms,
    extended_hold_outlives_its_first_deadline,
    many_holds_due_at_once,
    expired_units_are_sold_again,
    a_deadline_far_ahead_costs_nothing,
];

/// The guarantee: units can be sold again at most this long after the deadline.
const EXPIRY_SLACK_MS: i64 = 10;

fn state(client: &mut Client, hold: &str) -> String {
    client.get(format!("INV.HOLD popup {hold}")).field("state").text()
}

fn reserve_sets_units_aside(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.int("INV.SET popup sku-2 5");
    let before_ms = server_now_ms(&mut client);
    let expiry_ms = client.int("INV.RESERVE popup h-1 CUSTOMER c-1 TTL 60000 ITEMS sku-1 3 sku-2 5");
    let after_ms = server_now_ms(&mut client);
    assert!((before_ms + 60_000..=after_ms + 60_000).contains(&expiry_ms), "{expiry_ms}");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (10, 3, 7));
    assert_eq!(stock(&mut client, "popup", "sku-2"), (5, 5, 0));
    let hold = client.get("INV.HOLD popup h-1");
    assert_eq!(hold.field("state").text(), "live");
    assert_eq!(hold.field("customer").text(), "c-1");
    assert_books_balance(&mut client, "popup");
}

fn reserve_is_all_or_none(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.int("INV.SET popup sku-2 1");
    let text = client.refused("OUTOFSTOCK", "INV.RESERVE popup h-1 ITEMS sku-1 3 sku-2 2");
    assert_eq!(text, "OUTOFSTOCK sku-2 wanted 2 available 1");
    client.refused("NOSKU", "INV.RESERVE popup h-1 ITEMS sku-1 3 sku-9 2");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (10, 0, 10));
    client.refused("NOHOLD", "INV.HOLD popup h-1");
}

fn reserve_is_idempotent(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    let reserve = "INV.RESERVE popup h-1 CUSTOMER c-1 TTL 60000 ITEMS sku-1 3";
    let first = client.int(reserve);
    let digest = client.digest();
    assert_eq!(client.int(reserve), first);
    assert_eq!(client.digest(), digest, "a retry changes nothing");
    for other in [
        "INV.RESERVE popup h-1 CUSTOMER c-1 TTL 60000 ITEMS sku-1 4",
        "INV.RESERVE popup h-1 CUSTOMER c-2 TTL 60000 ITEMS sku-1 3",
        "INV.RESERVE popup h-1 TTL 60000 ITEMS sku-1 3",
        "INV.RESERVE popup h-1 CUSTOMER c-1 TTL 60001 ITEMS sku-1 3",
    ] {
        client.refused_naming("MISMATCH", "h-1", other);
    }
    assert!(client.int("INV.EXTEND popup h-1 120000") > first);
    assert_eq!(client.int(reserve), first, "the first call's reply, after EXTEND too");
    client.int("INV.RELEASE popup h-1");
    let text = client.refused("BADSTATE", reserve);
    assert_eq!(text, "BADSTATE hold is released", "nobody takes it for held");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (10, 0, 10), "a retry revives no hold");
}

fn reserve_of_the_same_sku_twice_adds_up(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.int("INV.SET popup sku-2 10");
    let first = client.int("INV.RESERVE popup h-1 ITEMS sku-1 3 sku-1 4 sku-2 2");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (10, 7, 3));
    for same in ["sku-1 3 sku-1 4 sku-2 2", "sku-2 2 sku-1 7", "sku-2 1 sku-1 7 sku-2 1"] {
        assert_eq!(client.int(format!("INV.RESERVE popup h-1 ITEMS {same}")), first, "{same}");
    }
    client.refused("MISMATCH", "INV.RESERVE popup h-1 ITEMS sku-2 7 sku-1 2");
    client.int("INV.RELEASE popup h-1 ITEMS sku-2 2");
    client.refused("OUTOFSTOCK", "INV.RESERVE popup h-2 ITEMS sku-1 2 sku-1 2");
    assert_eq!(client.int("INV.RELEASE popup h-1 ITEMS sku-1 1 sku-1 1"), 5);
    assert_books_balance(&mut client, "popup");
}

fn default_time_to_live(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.ok("STORE.SET popup hold-ms 123456");
    let before_ms = server_now_ms(&mut client);
    let expiry_ms = client.int("INV.RESERVE popup h-1 ITEMS sku-1 1");
    let after_ms = server_now_ms(&mut client);
    assert!((before_ms + 123_456..=after_ms + 123_456).contains(&expiry_ms), "{expiry_ms}");
    for bad in ["0", "-5", "x", "9007199254740992"] {
        client.refused_naming("ERR", "TTL", format!("INV.RESERVE popup h-2 TTL {bad} ITEMS sku-1 1"));
    }
}

fn extend_never_shortens(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    let first = client.int("INV.RESERVE popup h-1 TTL 60000 ITEMS sku-1 1");
    assert_eq!(client.int("INV.EXTEND popup h-1 1000"), first, "the later of the two deadlines");
    let before_ms = server_now_ms(&mut client);
    let later = client.int("INV.EXTEND popup h-1 90000");
    let after_ms = server_now_ms(&mut client);
    assert!((before_ms + 90_000..=after_ms + 90_000).contains(&later), "{later}");
    assert_eq!(client.int("INV.EXTEND popup h-1 1"), later);
    client.refused("NOHOLD", "INV.EXTEND popup h-9 1000");
    for bad in ["0", "-1", "x"] {
        client.refused_naming("ERR", "ms", format!("INV.EXTEND popup h-1 {bad}"));
    }
}

fn commit_takes_units_out(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.int("INV.RESERVE popup h-1 ITEMS sku-1 4");
    assert_eq!(client.int("INV.COMMIT popup h-1"), 0);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (6, 0, 6));
    let digest = client.digest();
    assert_eq!(client.int("INV.COMMIT popup h-1"), 0, "again");
    assert_eq!(client.digest(), digest);
    assert_eq!(state(&mut client, "h-1"), "committed");
    assert_books_balance(&mut client, "popup");
}

fn release_gives_units_back(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.int("INV.RESERVE popup h-1 ITEMS sku-1 4");
    assert_eq!(client.int("INV.RELEASE popup h-1"), 0);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (10, 0, 10));
    let digest = client.digest();
    assert_eq!(client.int("INV.RELEASE popup h-1"), 0, "again");
    assert_eq!(client.digest(), digest);
    assert_eq!(state(&mut client, "h-1"), "released");
    assert_books_balance(&mut client, "popup");
}

fn parts_of_a_hold(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    client.int("INV.SET popup sku-2 10");
    client.int("INV.RESERVE popup h-1 ITEMS sku-1 5 sku-2 2");
    assert_eq!(client.int("INV.COMMIT popup h-1 ITEMS sku-1 2"), 5);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (8, 3, 5));
    assert_eq!(client.int("INV.RELEASE popup h-1 ITEMS sku-1 1 sku-2 1"), 3);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (8, 2, 6));
    client.refused("BADSTATE", "INV.COMMIT popup h-1 ITEMS sku-1 3");
    client.refused("BADSTATE", "INV.RELEASE popup h-1 ITEMS sku-2 1 sku-1 9");
    client.refused("BADSTATE", "INV.RELEASE popup h-1 ITEMS sku-2 1 sku-2 1");
    assert_eq!(client.int("INV.COMMIT popup h-1"), 0, "what is left");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (6, 0, 6));
    assert_eq!(stock(&mut client, "popup", "sku-2"), (9, 0, 9));
    assert_books_balance(&mut client, "popup");
}

fn a_ref_makes_a_part_idempotent(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 20);
    client.int("INV.RESERVE popup h-1 ITEMS sku-1 10");
    assert_eq!(client.int("INV.COMMIT popup h-1 REF r-1 ITEMS sku-1 2"), 8);
    assert_eq!(client.int("INV.COMMIT popup h-1 ITEMS sku-1 2"), 6, "without REF it is another call");
    let digest = client.digest();
    assert_eq!(client.int("INV.COMMIT popup h-1 REF r-1 ITEMS sku-1 2"), 8, "the first call's reply");
    assert_eq!(client.digest(), digest);
    client.refused_naming("MISMATCH", "r-1", "INV.COMMIT popup h-1 REF r-1 ITEMS sku-1 3");
    assert_eq!(client.int("INV.RELEASE popup h-1 REF r-1 ITEMS sku-1 1"), 5, "a REF is its command's");
    assert_eq!(client.int("INV.RELEASE popup h-1 REF r-1 ITEMS sku-1 1"), 5);
    assert_eq!(client.int("INV.RELEASE popup h-1"), 0);
    assert_eq!(client.int("INV.COMMIT popup h-1 REF r-1 ITEMS sku-1 2"), 8, "after the hold's end too");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (16, 0, 16));
}

fn ended_holds_refuse(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 20);
    for hold in ["h-released", "h-committed"] {
        client.int(format!("INV.RESERVE popup {hold} ITEMS sku-1 1"));
    }
    client.int("INV.RELEASE popup h-released");
    client.int("INV.COMMIT popup h-committed");
    client.refused("BADSTATE", "INV.COMMIT popup h-released");
    client.refused("BADSTATE", "INV.RELEASE popup h-committed");
    for hold in ["h-released", "h-committed"] {
        client.refused("BADSTATE", format!("INV.EXTEND popup {hold} 1000"));
        client.refused("BADSTATE", format!("INV.COMMIT popup {hold} ITEMS sku-1 1"));
        client.refused("BADSTATE", format!("ORDER.PLACE popup o-1 c-1 HOLD {hold}"));
    }
    client.int("INV.RESERVE popup h-expired TTL 1 ITEMS sku-1 1");
    wait_until(DEADLINE, "the hold expires", || state(&mut client, "h-expired") == "expired");
    client.refused("EXPIRED", "INV.COMMIT popup h-expired");
    client.refused("EXPIRED", "INV.EXTEND popup h-expired 1000");
    client.refused("EXPIRED", "ORDER.PLACE popup o-1 c-1 HOLD h-expired");
    client.refused("EXPIRED", "INV.RESERVE popup h-expired TTL 1 ITEMS sku-1 1");
    let text = client.refused("BADSTATE", "INV.RESERVE popup h-committed ITEMS sku-1 1");
    assert_eq!(text, "BADSTATE hold is committed");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (19, 0, 19));
}

fn an_ended_hold_is_forgotten_after_keep_ms(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 20);
    client.ok("STORE.SET popup keep-ms 1");
    client.int("INV.RESERVE popup h-1 ITEMS sku-1 1");
    client.int("INV.COMMIT popup h-1");
    client.int("INV.RESERVE popup h-2 TTL 1 ITEMS sku-1 1");
    for hold in ["h-1", "h-2"] {
        wait_until(DEADLINE, "the hold is forgotten", || {
            let reply = client.call(format!("INV.HOLD popup {hold}"));
            reply.is_error() && reply.code() == "NOHOLD"
        });
    }
    client.int("INV.RESERVE popup h-1 ITEMS sku-1 5");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (19, 5, 14), "a new hold of an old id");
    assert_books_balance(&mut client, "popup");
}

fn a_hold_becomes_an_order(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 3);
    client.int("INV.RESERVE popup h-1 CUSTOMER c-1 TTL 200 ITEMS sku-1 3");
    let placed = client.text("ORDER.PLACE popup o-1 c-1 DATA {} HOLD h-1");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (3, 3, 0));
    assert_eq!(client.text("ORDER.PLACE popup o-1 c-1 DATA {} HOLD h-1"), placed, "a retry");
    client.refused("BADSTATE", "ORDER.PLACE popup o-2 c-1 HOLD h-1");
    client.refused("BADSTATE", "INV.RELEASE popup h-1");
    client.refused("BADSTATE", "INV.COMMIT popup h-1");
    client.refused("NOHOLD", "ORDER.PLACE popup o-2 c-1 HOLD h-9");
    // The hold's deadline passes and changes nothing: the units belong to the order.
    let now_ms = server_now_ms(&mut client);
    wait_until(DEADLINE, "the hold's deadline has passed", || server_now_ms(&mut client) > now_ms + 250);
    assert_eq!(stock(&mut client, "popup", "sku-1"), (3, 3, 0));
    client.text("ORDER.COMPLETE popup o-1");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (0, 0, 0));
    assert_books_balance(&mut client, "popup");
}

fn a_hold_of_another_customer_is_a_mismatch(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 5);
    client.int("INV.RESERVE popup h-1 CUSTOMER c-1 ITEMS sku-1 2");
    client.int("INV.RESERVE popup h-2 ITEMS sku-1 2");
    client.refused("MISMATCH", "ORDER.PLACE popup o-1 c-2 HOLD h-1");
    client.text("ORDER.PLACE popup o-2 c-2 HOLD h-2");
    client.text("ORDER.PLACE popup o-1 c-1 HOLD h-1");
    assert_books_balance(&mut client, "popup");
}

/// Iterates with INV.HOLDS to the end.
fn holds(client: &mut Client, options: &str) -> BTreeSet<String> {
    let (mut cursor, mut found) = ("0".to_string(), BTreeSet::new());
    loop {
        let reply = client.get(format!("INV.HOLDS popup {cursor} {options}"));
        found.extend(reply.array()[1].texts());
        cursor = reply.array()[0].text();
        if cursor == "0" {
            return found;
        }
    }
}

fn holds_scan(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 1000);
    assert!(holds(&mut client, "").is_empty());
    let mut wanted = BTreeSet::new();
    for number in 0..300 {
        client.int(format!("INV.RESERVE popup h-{number} CUSTOMER c-{} ITEMS sku-1 1", number % 3));
        wanted.insert(format!("h-{number}"));
    }
    for options in ["", "COUNT 1", "COUNT 17", "COUNT 100000"] {
        assert_eq!(holds(&mut client, options), wanted, "{options}");
    }
    let of_one: BTreeSet<String> =
        (0..300).filter(|number| number % 3 == 1).map(|number| format!("h-{number}")).collect();
    assert_eq!(holds(&mut client, "CUSTOMER c-1 COUNT 17"), of_one);
    assert!(holds(&mut client, "CUSTOMER c-9").is_empty());
    client.refused("ERR", "INV.HOLDS popup x");
    client.refused_naming("ERR", "COUNT", "INV.HOLDS popup 0 COUNT 0");
}

/// Reads clock and stock in one transaction until the units are free: (last time seen held, first time seen free).
fn watch_expiry(client: &mut Client) -> (i64, i64) {
    let mut last_held_ms = 0;
    loop {
        client.ok("MULTI");
        client.text("TIME");
        client.text("INV.GET popup sku-1");
        let reply = client.get("EXEC");
        let time = reply.array()[0].texts();
        let now_ms = time[0].parse::<i64>().expect("s") * 1000 + time[1].parse::<i64>().expect("µs") / 1000;
        if reply.array()[1].array()[0].field("held").int() == 0 {
            return (last_held_ms, now_ms);
        }
        last_held_ms = now_ms;
    }
}

/// By the server's own clock, units are not sold before the deadline, and are free 10 ms after it. A busy machine may
/// stop the server itself for longer, so one good round out of a few is enough; being early is always
/// an error.
fn expiry_frees_units_within_ten_ms(binary: &ServerBinary) {
    const ROUNDS: usize = 5;
    let (_server, mut client) = shop_of(binary, 10);
    let mut lateness = Vec::new();
    for round in 0..ROUNDS {
        let mut worst_ms = 0;
        for ttl_ms in [1, 5, 20, 50, 101] {
            let deadline_ms = client.int(format!("INV.RESERVE popup h-{round}-{ttl_ms} TTL {ttl_ms} ITEMS sku-1 1"));
            let (last_held_ms, free_ms) = watch_expiry(&mut client);
            assert!(free_ms >= deadline_ms, "free at {free_ms}, before the deadline {deadline_ms}");
            worst_ms = worst_ms.max(last_held_ms - deadline_ms);
        }
        if worst_ms <= EXPIRY_SLACK_MS {
            return;
        }
        lateness.push(worst_ms);
    }
    panic!("units were still held so many ms after the deadline, in {ROUNDS} rounds: {lateness:?}");
}

fn extended_hold_outlives_its_first_deadline(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 10);
    let first_ms = client.int("INV.RESERVE popup h-1 TTL 100 ITEMS sku-1 1");
    let second_ms = client.int("INV.EXTEND popup h-1 400");
    assert!(second_ms > first_ms);
    let (last_held_ms, free_ms) = watch_expiry(&mut client);
    assert!(last_held_ms > first_ms, "held at {last_held_ms}, past the first deadline {first_ms}");
    assert!(free_ms >= second_ms, "free at {free_ms}, the deadline is {second_ms}");
    assert_eq!(state(&mut client, "h-1"), "expired");
}

/// Makes this many holds that are due in the same millisecond; false if that moment came before all were made.
fn hold_many(client: &mut Client, count: i64, lead_ms: i64) -> bool {
    let deadline_ms = server_now_ms(client) + lead_ms;
    for from in (0..count).step_by(1000) {
        let ttl_ms = deadline_ms - server_now_ms(client);
        if ttl_ms <= 0 {
            return false;
        }
        let reserve = |number| cmd!["INV.RESERVE", "popup", format!("h-{number}"), "TTL", ttl_ms, "ITEMS", "sku-1", 1];
        let commands: Vec<_> = (from..from + 1000).map(reserve).collect();
        assert!(client.pipeline(&commands).iter().all(|reply| !reply.is_error()));
    }
    stock(client, "popup", "sku-1").1 == count
}

fn many_holds_due_at_once(binary: &ServerBinary) {
    const HOLDS: i64 = 20_000;
    let server = Server::start(binary);
    let mut client = server.client();
    let made = [1000, 4000, 16_000].into_iter().any(|lead_ms| {
        client.ok("FLUSHALL");
        open_store(&mut client, "popup", HOLDS);
        hold_many(&mut client, HOLDS, lead_ms)
    });
    assert!(made, "too slow a machine to make {HOLDS} holds in 16 s");
    wait_until(DEADLINE, "all units are back", || stock(&mut client, "popup", "sku-1") == (HOLDS, 0, HOLDS));
    assert_books_balance(&mut client, "popup");
}

fn expired_units_are_sold_again(binary: &ServerBinary) {
    let (_server, mut client) = shop_of(binary, 1);
    client.int("INV.RESERVE popup h-1 CUSTOMER c-1 TTL 30 ITEMS sku-1 1");
    let mut refused = 0;
    let placed = loop {
        let reply = client.call("ORDER.PLACE popup o-1 c-2 ITEMS sku-1 1");
        if !reply.is_error() {
            break reply;
        }
        assert_eq!(reply.code(), "OUTOFSTOCK");
        refused += 1;
    };
    assert!(refused > 0, "sold while it was held: {placed:?}");
    client.refused("EXPIRED", "INV.COMMIT popup h-1");
    assert_eq!(stock(&mut client, "popup", "sku-1"), (1, 1, 0));
    assert_books_balance(&mut client, "popup");
}

/// A timer far in the future must not make the server check it all the time.
fn a_deadline_far_ahead_costs_nothing(binary: &ServerBinary) {
    const WATCH: Duration = Duration::from_millis(400);
    /// A server that spins uses most of the time; an idle one a few milliseconds.
    const IDLE_CPU_S: f64 = 0.08;
    let (_server, mut client) = shop_of(binary, 10);
    let cpu_s = |client: &mut Client| {
        let part = |client: &mut Client, name| client.info("cpu", name).parse::<f64>().expect("seconds");
        part(client, "used_cpu_user") + part(client, "used_cpu_sys")
    };
    for ttl_ms in [3_600_000_i64, 30 * 86_400_000, 100_000_000_000_000] {
        client.int(format!("INV.RESERVE popup h-{ttl_ms} TTL {ttl_ms} ITEMS sku-1 1"));
        // The timer fires for a hold that is due soon, and is set again for the one that is due much later.
        client.int(format!("INV.RESERVE popup soon-{ttl_ms} TTL 5 ITEMS sku-1 1"));
        wait_until(DEADLINE, "the hold expires", || stock(&mut client, "popup", "sku-1").1 == 1);
        let (before_s, start) = (cpu_s(&mut client), Instant::now());
        while start.elapsed() < WATCH {
            assert!(client.is_silent(WATCH - start.elapsed().min(WATCH - Duration::from_millis(1))));
        }
        let used_s = cpu_s(&mut client) - before_s;
        assert!(used_s < IDLE_CPU_S, "{used_s:.3} s of CPU in {WATCH:?} with nothing to do but a hold of {ttl_ms} ms");
        client.int(format!("INV.RELEASE popup h-{ttl_ms}"));
    }
}
