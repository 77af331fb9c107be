//! What the streams tell of an order's items.

use super::command::{Command, Source};
use super::shop::Shop;
use crate::terms::effects::Effect;

/// The JSON of the items of an order that is placed now.
fn json(shop: &mut Shop, items: Vec<(Vec<u8>, u64)>) -> String {
    let (customer, take) = (b"ann".to_vec(), Source::Items(items));
    let order = shop.now.to_string().into_bytes();
    shop.now += 1;
    let (lane, data, gates) = (Vec::new(), Vec::new(), Vec::new());
    shop.changes(Command::Place { order, customer, group: None, lane, data, gates, wait_ms: None, take });
    let slot = shop.fx.list.iter().find_map(|e| if let Effect::Queued { order, .. } = e { Some(*order) } else { None });
    let mut out = Vec::new();
    shop.store.items_json(slot.expect("a placed order is queued"), &mut out);
    String::from_utf8(out).expect("JSON is UTF-8")
}

fn stocked(ids: &[&[u8]]) -> Shop {
    let mut shop = Shop::new();
    for id in ids {
        let (sku, on_hand) = (id.to_vec(), u64::MAX >> 11);
        shop.ok(Command::SetStock { sku, on_hand, safety: None, low: None, limit: None, backlog: None });
    }
    shop
}

#[test]
fn items_are_pairs_in_the_order_they_were_named() {
    let mut shop = Shop::with(&[("sku-1", 9), ("sku-2", 9)]);
    let items = |list: &[(&str, u64)]| list.iter().map(|(sku, qty)| (sku.as_bytes().to_vec(), *qty)).collect();
    assert_eq!(json(&mut shop, items(&[("sku-1", 2)])), r#"[["sku-1",2]]"#);
    assert_eq!(json(&mut shop, items(&[("sku-2", 1), ("sku-1", 2), ("sku-2", 1)])), r#"[["sku-2",2],["sku-1",2]]"#);
}

#[test]
fn any_id_gives_json_that_reads_back() {
    let ids: [&[u8]; 8] = [
        b"plain",
        b"quote\"back\\slash/",
        b"line\nbreak\ttab\0nul\x1b",
        "größe-茶-🍵".as_bytes(),
        b"\xff\xfe binary \x80",
        b"half \xe8\x8c of a character",
        b"\"",
        b"]],[[",
    ];
    for id in ids {
        let mut shop = stocked(&[id]);
        let text = json(&mut shop, vec![(id.to_vec(), (1 << 53) - 1)]);
        let read: Vec<(String, u64)> = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        // An id that is text comes back as it is; of another, each character is a byte.
        let name = match std::str::from_utf8(id) {
            Ok(name) => name.to_string(),
            Err(_) => id.iter().map(|byte| char::from(*byte)).collect(),
        };
        assert_eq!(read, [(name, (1 << 53) - 1)]);
        assert!(!text.contains('\n') && !text.contains('\0'), "control characters are escaped");
    }
}

#[test]
fn a_refusal_shows_any_id_as_one_line_of_ascii() {
    let mut shop = Shop::with(&[("tea", 1)]);
    let sku = b"bad\r\n\x00\xff\"id".to_vec();
    let text = shop.refused(Command::Adjust { sku, delta: 1, reason: Vec::new(), reference: None });
    assert!(text.starts_with("NOSKU no SKU bad\\r\\n\\x00\\xff"), "{text}");
    assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
}
