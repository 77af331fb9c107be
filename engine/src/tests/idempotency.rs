//! The same call again gives the first reply and changes nothing; the same id with other content is refused.

use super::build::*;
use super::command::{Command, Reply};
use super::shop::{START, Shop};
use crate::terms::settings::Field;

/// Makes the call, lets time pass, and makes it again: the first reply, no change, also after a load.
fn twice(shop: &mut Shop, command: Command) -> Reply {
    let first = shop.changes(command.clone());
    shop.now += 1_000;
    assert_eq!(shop.repeats(command.clone()), first);
    shop.reload();
    assert_eq!(shop.repeats(command), first);
    first
}

fn mismatched(shop: &mut Shop, others: Vec<Command>) {
    for other in others {
        let text = shop.refused(other.clone());
        assert!(text.starts_with("MISMATCH "), "{other:?}: {text}");
    }
}

#[test]
fn a_hold_is_reserved_once() {
    let mut shop = Shop::with(&[("tea", 10), ("milk", 5)]);
    let ask = reserve("h", &[("tea", 2), ("milk", 1)]).by("ann").ttl(60_000);
    assert_eq!(twice(&mut shop, ask.clone()), Reply::Time(START + 60_000));
    mismatched(
        &mut shop,
        vec![
            reserve("h", &[("tea", 2), ("milk", 1)]).by("bob").ttl(60_000),
            reserve("h", &[("tea", 2), ("milk", 1)]).ttl(60_000),
            reserve("h", &[("tea", 2), ("milk", 1)]).by("ann").ttl(60_001),
            reserve("h", &[("tea", 2), ("milk", 1)]).by("ann"),
            reserve("h", &[("tea", 3), ("milk", 1)]).by("ann").ttl(60_000),
            reserve("h", &[("tea", 2)]).by("ann").ttl(60_000),
            reserve("h", &[("tea", 2), ("milk", 1), ("jam", 1)]).by("ann").ttl(60_000),
        ],
    );
    // The first reply also when the hold was extended or partly closed since, and when the stock is gone.
    shop.ok(extend("h", 120_000));
    shop.ok(commit("h").of(&[("tea", 1)]));
    shop.ok(set("tea", 0));
    assert_eq!(shop.repeats(ask.clone()), Reply::Time(START + 60_000));
}

#[test]
fn the_same_items_in_another_order_are_the_same_content() {
    let mut shop = Shop::with(&[("tea", 50), ("milk", 50), ("jam", 50)]);
    let named = [("tea", 3), ("milk", 2), ("jam", 1)];
    let otherwise: [&[(&str, u64)]; 2] =
        [&[("jam", 1), ("milk", 2), ("tea", 3)], &[("tea", 1), ("jam", 1), ("milk", 2), ("tea", 2)]];
    let other = [("jam", 1), ("milk", 3), ("tea", 2)];
    type Call = fn(&[(&str, u64)]) -> Command;
    let calls: [(&[Command], Call); 7] = [
        (&[], |items| reserve("h", items).by("ann")),
        (&[], |items| place("o", "ann", items)),
        (&[], |items| release("h").of(items)),
        (&[reserve("h2", &named)], |items| commit("h2").of(items).reference("r")),
        (&[complete("o")], |items| give_back("o", items).reference("r")),
        (&[place("o2", "ann", &named), complete("o2")], |items| {
            give_back("o2", items).reference("r2").by("ann").scrap()
        }),
        // Last, since it leaves no stock to take.
        (&[], |counts| sync("erp", 1, counts)),
    ];
    for (before, call) in calls {
        before.iter().for_each(|command| drop(shop.ok(command.clone())));
        let first = shop.changes(call(&named));
        for items in otherwise {
            // A feed counts a SKU once: adding its counts up would be nonsense.
            let counts_twice = matches!(call(items), Command::Sync { .. }) && items.len() > 3;
            if counts_twice {
                assert!(shop.refused(call(items)).starts_with("ERR ITEMS "));
                continue;
            }
            let again = shop.repeats(call(items));
            assert!(again == first || again == Reply::Synced(crate::calls::stock::Synced::Duplicate), "{again:?}");
        }
        let text = shop.refused(call(&other));
        let ended = matches!(call(&other), Command::Close { reference: None, .. });
        assert!(text.starts_with(if ended { "BADSTATE " } else { "MISMATCH " }), "{text}");
        shop.reload();
    }
}

#[test]
fn a_call_that_version_0_1_remembered_in_the_order_it_was_named_is_known() {
    let mut shop = Shop::with(&[("tea", 50), ("milk", 50)]);
    let named = [("tea", 3), ("milk", 2)];
    let as_named = |kind: &[u8], id: &[u8]| {
        let (three, two) = (3u64.to_le_bytes(), 2u64.to_le_bytes());
        crate::record::reference::fingerprint(
            [kind, id, b"tea", &three, b"milk", &two].into_iter().filter(|p| !p.is_empty()),
        )
    };
    shop.ok(place("o", "ann", &named));
    shop.ok(complete("o"));
    let back = give_back("o", &named).reference("r");
    let first = shop.changes(back.clone());
    shop.ok(sync("erp", 1, &named));
    shop.ok(reserve("h", &named));
    shop.ok(commit("h").of(&named));
    // As they are in an image of version 1: a REF without its command, and calls as they were named.
    let (refs, sources) = shop.store.remembered.broken();
    let slot = refs.iter().next().unwrap().0;
    let reference = refs.at_mut(slot);
    (reference.by, reference.call) = (crate::record::reference::RefCommand::Any, as_named(b"return", b"o"));
    sources.get_mut(&b"erp"[..]).unwrap().call = as_named(b"", b"");
    let slot = shop.store.holds.find(b"h").unwrap();
    shop.store.holds.broken().0.at_mut(slot).end_call = as_named(b"commit", b"h");
    shop.reload();
    assert_eq!(shop.repeats(back), first);
    shop.repeats(commit("h").of(&named));
    shop.repeats(sync("erp", 1, &named));
    // Which command it was of, nobody can say: another call under the id is refused rather than applied.
    mismatched(&mut shop, vec![adjust("tea", 1).reference("r"), give_back("o", &[("tea", 1)]).reference("r")]);
}

#[test]
fn a_ref_belongs_to_its_command() {
    let mut shop = Shop::with(&[("tea", 50)]);
    shop.ok(place("o", "ann", &[("tea", 3)]));
    shop.ok(complete("o"));
    shop.ok(reserve("h", &[("tea", 9)]));
    let calls = [
        (give_back("o", &[("tea", 2)]).reference("rma-5"), Reply::Units(2)),
        (adjust("tea", -2).note("broken").reference("rma-5"), Reply::OnHand(47)),
        (commit("h").of(&[("tea", 4)]).reference("rma-5"), Reply::Units(5)),
        (release("h").of(&[("tea", 4)]).reference("rma-5"), Reply::Units(1)),
    ];
    for (call, reply) in &calls {
        assert_eq!(shop.changes(call.clone()), *reply);
    }
    shop.reload();
    for (call, reply) in &calls {
        assert_eq!(shop.repeats(call.clone()), *reply);
    }
    mismatched(
        &mut shop,
        vec![
            give_back("o", &[("tea", 1)]).reference("rma-5"),
            give_back("o", &[("tea", 2)]).reference("rma-5").scrap(),
            give_back("o", &[("tea", 2)]).reference("rma-5").by("ann"),
            adjust("tea", -1).note("broken").reference("rma-5"),
            commit("h").of(&[("tea", 1)]).reference("rma-5"),
            release("h").of(&[("tea", 1)]).reference("rma-5"),
        ],
    );
}

#[test]
fn a_setting_that_changes_makes_no_mismatch() {
    let mut shop = Shop::with(&[("tea", 10)]);
    let first = shop.ok(reserve("h", &[("tea", 2)]));
    shop.ok(configure(&[(Field::HoldMs, 1), (Field::Limit, 1), (Field::Opens, START + 1_000_000)]));
    assert_eq!(shop.repeats(reserve("h", &[("tea", 2)])), first);
}

#[test]
fn a_commit_and_a_release_apply_once() {
    let mut shop = Shop::with(&[("tea", 10)]);
    for (id, close) in [("a", commit("a")), ("b", release("b")), ("c", commit("c").reference("r-c"))] {
        shop.ok(reserve(id, &[("tea", 2)]));
        assert_eq!(twice(&mut shop, close), Reply::Units(0));
    }
    assert_eq!(shop.books("tea"), (6, 0, 4));
}

#[test]
fn a_part_of_a_hold_is_closed_once_under_a_ref() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(reserve("h", &[("tea", 6)]));
    shop.ok(reserve("h2", &[("tea", 1)]));
    let part = commit("h").of(&[("tea", 2)]).reference("r");
    assert_eq!(twice(&mut shop, part.clone()), Reply::Units(4));
    mismatched(
        &mut shop,
        vec![
            commit("h").of(&[("tea", 3)]).reference("r"),
            commit("h").reference("r"),
            commit("h2").of(&[("tea", 2)]).reference("r"),
        ],
    );
    assert_eq!(shop.books("tea"), (8, 5, 2));
    shop.ok(commit("h"));
    assert_eq!(shop.repeats(part), Reply::Units(4));
}

#[test]
fn the_part_that_ended_a_hold_is_known_without_a_ref() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(reserve("h", &[("tea", 3)]));
    shop.ok(commit("h").of(&[("tea", 1)]));
    assert_eq!(twice(&mut shop, commit("h").of(&[("tea", 2)])), Reply::Units(0));
    assert_eq!(shop.refused(commit("h").of(&[("tea", 1)])), "BADSTATE hold is committed");
    assert_eq!(shop.books("tea"), (7, 0, 3));
}

#[test]
fn an_adjustment_applies_once_under_a_ref() {
    let mut shop = Shop::with(&[("tea", 10), ("milk", 10)]);
    let ask = adjust("tea", -4).note("broken").reference("r");
    assert_eq!(twice(&mut shop, ask.clone()), Reply::OnHand(6));
    mismatched(
        &mut shop,
        vec![
            adjust("tea", 4).note("broken").reference("r"),
            adjust("tea", -4).note("stolen").reference("r"),
            adjust("milk", -4).note("broken").reference("r"),
            adjust("jam", -4).note("broken").reference("r"),
        ],
    );
    // Without a REF it applies every time.
    assert_eq!(shop.changes(adjust("tea", -4)), Reply::OnHand(2));
    assert_eq!(shop.repeats(ask), Reply::OnHand(6));
    assert_eq!(shop.changes(adjust("tea", 9)), Reply::OnHand(11));
}

#[test]
fn a_refused_call_does_not_use_up_its_ref() {
    let mut shop = Shop::with(&[("tea", 1)]);
    shop.refused(adjust("tea", -2).reference("r"));
    shop.refused(adjust("jam", 1).reference("r"));
    assert_eq!(shop.changes(adjust("tea", 1).reference("r")), Reply::OnHand(2));
}

#[test]
fn an_order_is_placed_once() {
    let mut shop = Shop::with(&[("tea", 10), ("milk", 5)]);
    let ask = |customer: &str, items: &[(&str, u64)]| place("o", customer, items).note("{}").group("g");
    let items = [("tea", 2), ("milk", 1)];
    twice(&mut shop, ask("ann", &items));
    shop.ok(reserve("h", &[("tea", 2), ("milk", 1)]));
    mismatched(
        &mut shop,
        vec![
            ask("bob", &items),
            ask("ann", &[("tea", 2)]),
            ask("ann", &[("tea", 2), ("milk", 2)]),
            ask("ann", &[("tea", 2), ("jam", 1)]),
            place("o", "ann", &items).note("{}").group("g2"),
            place("o", "ann", &items).note("{}"),
            place("o", "ann", &items).note("[]").group("g"),
            place("o", "ann", &items).group("g"),
            place_hold("o", "ann", "h").note("{}").group("g"),
        ],
    );
    // The same SKU named twice adds up to the same content.
    shop.repeats(ask("ann", &[("tea", 1), ("milk", 1), ("tea", 1)]));
    let first = shop.repeats(ask("ann", &items));
    shop.ok(complete("o"));
    shop.ok(set("tea", 0));
    assert_eq!(shop.repeats(ask("ann", &items)), first);
}

#[test]
fn an_order_of_a_hold_is_placed_once() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(reserve("h", &[("tea", 2)]).by("ann"));
    shop.ok(reserve("h2", &[("tea", 2)]).by("ann"));
    twice(&mut shop, place_hold("o", "ann", "h"));
    mismatched(&mut shop, vec![place_hold("o", "ann", "h2"), place("o", "ann", &[("tea", 2)])]);
    assert_eq!(shop.books("tea"), (10, 4, 0));
}

#[test]
fn an_order_is_completed_and_cancelled_once() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(place("a", "ann", &[("tea", 2)]));
    shop.ok(place("b", "ann", &[("tea", 3)]));
    twice(&mut shop, complete("a").note("\"done\""));
    assert_eq!(twice(&mut shop, cancel("b").note("no")), Reply::Units(3));
    mismatched(&mut shop, vec![complete("a").note("\"other\""), complete("a"), cancel("b").note("yes"), cancel("b")]);
    assert_eq!(shop.books("tea"), (8, 0, 2));
}

#[test]
fn a_return_applies_once_under_a_ref() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(place("o", "ann", &[("tea", 5)]));
    shop.ok(complete("o"));
    shop.ok(place("o2", "ann", &[("tea", 5)]));
    shop.ok(complete("o2"));
    assert_eq!(twice(&mut shop, give_back("o", &[("tea", 2)]).reference("r")), Reply::Units(2));
    mismatched(
        &mut shop,
        vec![give_back("o", &[("tea", 1)]).reference("r"), give_back("o2", &[("tea", 2)]).reference("r")],
    );
    assert_eq!(shop.changes(give_back("o", &[("tea", 2)])), Reply::Units(2));
    assert_eq!(shop.books("tea"), (4, 0, 6));
}

#[test]
fn parts_of_a_call_never_run_together() {
    // Two calls whose parts, laid end to end, are the same bytes.
    let mut shop = Shop::with(&[("ab", 10), ("a", 10)]);
    shop.ok(adjust("ab", 1).note("c").reference("r"));
    mismatched(&mut shop, vec![adjust("a", 1).note("bc").reference("r")]);
}
