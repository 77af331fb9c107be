//! Images: what is saved is what is loaded.

use super::build::*;
use super::forge::{body, live_on, rich, sealed};
use super::shop::{Shop, loaded, saved};
use crate::base::table::Keyed;
use crate::books::image::load::Loader;
use crate::store::Store;

#[test]
fn an_empty_store_is_saved_and_loaded() {
    let store = Store::new(1);
    let again = loaded(&saved(&store), 2).unwrap();
    assert_eq!((again.digest(), again.weight()), (store.digest(), 1));
}

#[test]
fn a_store_that_has_everything_is_saved_and_loaded() {
    let shop = rich();
    let again = loaded(&saved(&shop.store), 2).unwrap();
    assert_eq!(again.digest(), shop.store.digest());
    assert_eq!(again.info(shop.now), shop.store.info(shop.now));
    // Slots settle with the first load: from then on the bytes are the same.
    assert_eq!(saved(&again), saved(&loaded(&saved(&again), 3).unwrap()));
    live_on(again, "as it was saved");
}

#[test]
fn a_store_of_many_records_comes_in_pieces_of_bounded_size() {
    let mut store = Store::new(1);
    let mut fx = Default::default();
    let now = 1_700_000_000_000;
    set("tea", 1_000_000).apply(&mut store, now, &mut fx).unwrap();
    for i in 0..6_000 {
        place(&format!("order-{i}"), &format!("customer-{i}"), &[("tea", 2)]).apply(&mut store, now, &mut fx).unwrap();
        reserve(&format!("hold-{i}"), &[("tea", 1)]).apply(&mut store, now, &mut fx).unwrap();
        adjust("tea", 1).reference(&format!("ref-{i}")).apply(&mut store, now, &mut fx).unwrap();
    }
    let pieces = saved(&store);
    assert!(pieces.len() > 10, "{} pieces", pieces.len());
    let longest = pieces.iter().map(Vec::len).max().unwrap();
    assert!(longest < 70_000, "a piece of {longest} bytes");
    assert_eq!(loaded(&pieces, 9).unwrap().digest(), store.digest());
    // Pieces may be cut elsewhere between records; a piece for each section reads as well.
    let mut joined: Vec<Vec<u8>> = Vec::new();
    for piece in body(&store) {
        match joined.last_mut().filter(|last| last[0] == piece[0]) {
            Some(last) => last.extend_from_slice(&piece[1..]),
            None => joined.push(piece),
        }
    }
    assert_eq!(loaded(&sealed(joined), 9).unwrap().digest(), store.digest());
}

#[test]
fn waiting_orders_keep_their_order() {
    let mut shop = Shop::with(&[("tea", 100)]);
    for i in 0..10 {
        shop.ok(place(&format!("o{i}"), "ann", &[("tea", 1)]));
    }
    shop.ok(configure(&[(crate::terms::settings::Field::KeepMs, 10)]));
    shop.ok(complete("o3"));
    shop.ok(complete("o0"));
    shop.wait(10);
    // A new order takes a vacant slot before those of the others, and waits behind them.
    shop.ok(place("last", "ann", &[("tea", 1)]));
    let waiting = |store: &Store| {
        let (mut at, mut ids) = (store.queue.fifo().head, Vec::new());
        while let Some(order) = store.orders.records().get(at) {
            ids.push(String::from_utf8(Keyed::id(order).to_vec()).unwrap());
            at = order.next;
        }
        ids
    };
    let wanted = ["o1", "o2", "o4", "o5", "o6", "o7", "o8", "o9", "last"];
    assert_eq!(waiting(&shop.store), wanted);
    shop.reload();
    assert_eq!(waiting(&shop.store), wanted);
}

#[test]
fn an_image_without_its_end_is_no_store() {
    let mut loader = Loader::new(1);
    for piece in body(&rich().store) {
        loader = loader.piece(&piece).unwrap().err().expect("the end is still to come");
    }
    assert!(loader.piece(&[]).is_err(), "an empty piece");
}

#[test]
fn the_checksum_covers_every_byte() {
    let pieces = saved(&rich().store);
    for (i, piece) in pieces.iter().enumerate() {
        for at in 0..piece.len() {
            let mut broken = pieces.clone();
            broken[i][at] ^= 0x10;
            assert!(loaded(&broken, 1).is_err(), "byte {at} of piece {i} was changed and nobody saw it");
        }
    }
}
