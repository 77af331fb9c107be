//! The sale window.

use super::build::*;
use super::shop::{START, Shop};
use crate::terms::settings::Field;

fn shop(opens: u64, closes: u64) -> Shop {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(configure(&[(Field::Opens, opens), (Field::Closes, closes)]));
    shop
}

#[test]
fn nothing_is_sold_before_the_window_opens() {
    let mut shop = shop(START + 5, 0);
    shop.now = START + 4;
    let text = format!("NOTOPEN opens at {}, now is {}", START + 5, START + 4);
    assert_eq!(shop.refused(reserve("h", &[("tea", 1)])), text);
    assert_eq!(shop.refused(place("o", "ann", &[("tea", 1)])), text);
    shop.now = START + 5;
    shop.ok(reserve("h", &[("tea", 1)]));
    shop.ok(place("o", "ann", &[("tea", 1)]));
}

#[test]
fn nothing_new_is_sold_once_it_has_closed() {
    let mut shop = shop(0, START + 10);
    shop.now = START + 9;
    shop.ok(reserve("h", &[("tea", 1)]));
    shop.ok(place("o", "ann", &[("tea", 1)]));
    shop.now = START + 10;
    let text = format!("CLOSED closed at {}, now is {}", START + 10, START + 10);
    assert_eq!(shop.refused(reserve("h2", &[("tea", 1)])), text);
    assert_eq!(shop.refused(place("o2", "ann", &[("tea", 1)])), text);
    // What was sold in time goes on: the first replies too.
    shop.repeats(reserve("h", &[("tea", 1)]));
    shop.repeats(place("o", "ann", &[("tea", 1)]));
    shop.ok(complete("o"));
    shop.ok(commit("h"));
}

#[test]
fn the_clock_that_steps_back_does_not_open_a_closed_window() {
    let mut shop = shop(0, START + 10);
    shop.now = START + 12;
    shop.ok(set("tea", 20));
    shop.now = START;
    assert!(shop.refused(place("o", "ann", &[("tea", 1)])).starts_with("CLOSED "));
}

#[test]
fn a_window_that_closes_before_it_opens_is_refused() {
    let mut shop = shop(START, START + 10);
    for fields in [vec![(Field::Closes, START)], vec![(Field::Opens, START + 10)]] {
        assert!(shop.refused(configure(&fields)).starts_with("ERR closes must be after opens"));
    }
    assert_eq!((shop.store.settings().opens, shop.store.settings().closes), (START, START + 10));
    shop.ok(configure(&[(Field::Closes, 0), (Field::Opens, START + 10)]));
}

#[test]
fn settings_are_set_all_or_none_and_within_their_ranges() {
    let mut shop = Shop::new();
    let most = crate::base::units::MAX_QUANTITY;
    for field in crate::terms::settings::FIELDS.iter().copied() {
        let (least, most) = (field.min(), if field.is_switch() { 1 } else { most });
        let fit = |shop: &mut Shop, n| shop.call(configure(&[(Field::Limit, 77), (field, n)])).is_ok();
        if field != Field::Closes {
            assert!(fit(&mut shop, least) && fit(&mut shop, most), "{}", field.name());
            assert_eq!(shop.store.settings().get(field), most);
        }
        shop.ok(configure(&[(Field::Limit, 3), (Field::Opens, 0), (Field::Closes, 0)]));
        assert!(!fit(&mut shop, most + 1), "{} takes {}", field.name(), most + 1);
        assert!(least == 0 || !fit(&mut shop, least - 1), "{} takes {}", field.name(), least - 1);
        assert_eq!(shop.store.settings().limit, 3, "a refused {} leaves the rest", field.name());
    }
    shop.reload();
}

#[test]
fn names_of_settings_are_known_in_any_case_and_no_other_name_is() {
    for field in crate::terms::settings::FIELDS.iter().copied() {
        assert_eq!(Field::by_name(field.name().as_bytes()), Some(field));
        assert_eq!(Field::by_name(field.name().to_uppercase().as_bytes()), Some(field));
        assert!(!field.doc().is_empty());
    }
    assert_eq!(Field::by_name(b"limits"), None);
    assert_eq!(Field::by_name(b""), None);
}
