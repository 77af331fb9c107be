//! A long history that never changes, and the digest it has to lead to: what a store knows survives a change of how it
//! keeps it. The constants may only change together with what a store remembers.

use super::build::*;
use super::command::Command;
use super::shop::Shop;
use crate::terms::settings::Field;
use crate::terms::states::OrderState;

/// A small generator of numbers whose sequence is fixed for ever: the constants of Knuth's MMIX.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn one_of<'a>(&mut self, names: &[&'a str]) -> &'a str {
        names[self.roll(names.len() as u64) as usize]
    }

    fn id(&mut self, prefix: &str, count: u64) -> String {
        format!("{prefix}{}", self.roll(count))
    }

    fn items(&mut self) -> Vec<(&'static str, u64)> {
        let all = ["tea", "milk", "jam", "bread"];
        let from = self.roll(3) as usize;
        let to = from + 1 + self.roll((all.len() - from) as u64) as usize;
        all[from..to].iter().map(|sku| (*sku, 1 + self.roll(3))).collect()
    }
}

fn counted(dice: &mut Dice) -> Command {
    let sku = dice.one_of(&["tea", "milk", "jam", "bread"]);
    match dice.roll(4) {
        0 => set(sku, 40 + dice.roll(60)).low(dice.roll(9)).safety(dice.roll(4)),
        1 => adjust(sku, 1 + dice.roll(20) as i64).note("delivery").reference(&dice.id("r", 90)),
        2 => adjust(sku, -1 - dice.roll(3) as i64),
        _ => sync("erp", 1 + dice.roll(60), &[("tea", 50), ("jam", 40)]),
    }
}

fn held(dice: &mut Dice) -> Command {
    let hold = dice.id("h", 60);
    match dice.roll(6) {
        0 | 1 => reserve(&hold, &dice.items()).by(&dice.id("c", 12)).ttl(50 + dice.roll(900)),
        2 => reserve(&hold, &dice.items()),
        3 => extend(&hold, 400),
        4 => commit(&hold),
        _ => release(&hold).of(&[("tea", 1)]).reference(&dice.id("r", 90)),
    }
}

fn placed(dice: &mut Dice) -> Command {
    let (order, customer) = (dice.id("o", 160), dice.id("c", 12));
    match dice.roll(6) {
        0 => place_hold(&order, &customer, &dice.id("h", 60)),
        1 => place(&order, &customer, &dice.items()).group(&dice.id("g", 3)).note("{\"to\":\"door\"}"),
        _ => place(&order, &customer, &dice.items()),
    }
}

fn worked(dice: &mut Dice, shop: &Shop) -> Command {
    let (order, worker) = (dice.id("o", 160), dice.id("w", 4));
    let token = shop.store.order(shop.now, order.as_bytes()).map_or(0, |order| order.token);
    match dice.roll(12) {
        0..=3 => claim(&worker, 1 + dice.roll(3) as usize).lease(60 + dice.roll(300)),
        4 | 5 => complete(&order).note("{\"by\":\"van\"}"),
        6 => complete_and_claim(&order, &worker),
        7 if token > 0 => fail(&order).token(token).note("no answer"),
        7 => fail(&order).note("lost"),
        8 if token > 0 => renew(&order, token),
        8 => advance(&order, dice.one_of(&["picked", "packed"])),
        9 => yield_all(&worker),
        10 => redrive(&order),
        _ => fail(&order).fatal().note("broken"),
    }
}

fn ended(dice: &mut Dice) -> Command {
    let order = dice.id("o", 160);
    match dice.roll(3) {
        0 => cancel(&order).note("changed mind"),
        1 => give_back(&order, &[("tea", 1)]).reference(&dice.id("r", 90)),
        _ => give_back(&order, &[("jam", 1)]).scrap(),
    }
}

/// Some thousand calls, most of which change something.
fn lived(rolls: u64) -> Shop {
    let mut shop = Shop::with(&[("tea", 90), ("milk", 80), ("jam", 70), ("bread", 60)]);
    shop.ok(configure(&[(Field::KeepMs, 4_000), (Field::SlaMs, 700), (Field::Attempts, 3), (Field::Journal, 50)]));
    let mut dice = Dice(9);
    for _ in 0..rolls {
        shop.now += dice.roll(12);
        let command = match dice.roll(12) {
            0 => counted(&mut dice),
            1 | 2 => held(&mut dice),
            3..=5 => placed(&mut dice),
            6..=9 => worked(&mut dice, &shop),
            10 => ended(&mut dice),
            _ => sweep(4),
        };
        // Refusals are part of the history.
        let _ = shop.call(command);
    }
    shop
}

#[test]
fn a_history_has_the_digest_it_always_had() {
    let digests = [200, 1_000, 4_000].map(|rolls| format!("{:032x}", lived(rolls).store.digest()));
    let always =
        ["bc80e7d3e1792c75f465b0f4ea5c3776", "32a1b225e1afe4ed7c57dd7fa0cd6d31", "741d3528b904dc8106d1a41751944ecb"];
    assert_eq!(digests, always);
}

#[test]
fn the_history_comes_to_everything_an_order_can_be() {
    let shop = lived(4_000);
    let info = shop.store.info(shop.now);
    assert!(info.orders[..=OrderState::Cancelled as usize].iter().all(|count| *count > 0), "{:?}", info.orders);
    let counters = info.counters;
    let rare =
        [counters.expired, counters.lapsed, counters.redriven, counters.returned, counters.late, counters.retried];
    assert!(rare.iter().all(|count| *count > 5), "{rare:?}");
}
